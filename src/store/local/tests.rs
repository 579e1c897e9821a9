//! Everything that needs more than one look at the disk, in directories of its own.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use nix::unistd::{geteuid, mkfifo};

use super::directory::{Directory, Place};
use super::file_name::{lock_file, marker_file};
use super::lock_file::LockFile;
use super::*;
use crate::clock;
use crate::store::past::PastOutcome;
use crate::store::{Done, Fence, Holder, Once, Period, Queued, StoreErrorKind};

mod cooling;
mod leases;
mod once;
mod orphans;
mod planted;
mod slots;
mod waiting;

const NO_TIMEOUT: Duration = Duration::ZERO;

const FAILED: End = End::Ran {
    outcome: PastOutcome::Exit(1),
    waited: Duration::ZERO,
};

fn succeeded(waited: Duration) -> End {
    End::Ran {
        outcome: PastOutcome::Exit(0),
        waited,
    }
}

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(30);

const IN_LINE: Ask = Ask {
    in_line: true,
    waited: Duration::ZERO,
};

/// A directory of one test, removed after it. Inside it `locks`, and beside that what must not change.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("tasklock-unit-{}-{count}", std::process::id()));
        fs::create_dir(&path).unwrap();
        fs::create_dir(path.join("locks")).unwrap();
        fs::write(path.join("victim"), "untouched\n").unwrap();
        fs::set_permissions(path.join("victim"), Permissions::from_mode(0o640)).unwrap();
        Scratch(path)
    }

    fn locks(&self) -> PathBuf {
        self.0.join("locks")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.locks()
            .join(lock_file(&LockName::new(name).unwrap(), 0))
    }

    fn store(&self) -> LocalStore {
        LocalStore::open(Some(self.locks()))
    }

    fn private(&self) -> LocalStore {
        LocalStore::at(Place::Private(self.0.join("own")))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn claim(name: &str) -> Claim {
    Claim {
        name: LockName::new(name).unwrap(),
        token: Token::fresh().unwrap(),
        ttl: Duration::from_secs(60),
        holder: Holder {
            id: "0123456789abcdef".to_owned(),
            who: "root@web3".to_owned(),
            pid: 7,
            ..Holder::default()
        },
        slots: 1,
        min_hold: Duration::ZERO,
        once: Once::default(),
        replicas: 0,
        history: 100,
        lasts: Lasts::Process,
    }
}

fn granted(store: &mut LocalStore, claim: &Claim) -> Grant {
    match store.acquire(claim, Ask::default(), NO_TIMEOUT).unwrap() {
        Acquire::Granted(grant) => grant,
        other => panic!("{other:?}"),
    }
}

fn refused(store: &mut LocalStore, claim: &Claim) -> Held {
    match store.acquire(claim, Ask::default(), NO_TIMEOUT).unwrap() {
        Acquire::Held(held) => held,
        other => panic!("{other:?}"),
    }
}

/// Stands in line for the lock, which is not to be had now.
#[track_caller]
fn queued(store: &mut LocalStore, claim: &Claim) -> Queued {
    match store.acquire(claim, IN_LINE, NO_TIMEOUT).unwrap() {
        Acquire::Queued(queued) => queued,
        other => panic!("{other:?}"),
    }
}

/// Asks as a run does, when the bell rings or when it is time to, until the lock is ours.
#[track_caller]
fn granted_in_line(store: &mut LocalStore, claim: &Claim) -> Grant {
    let start = clock::now();
    loop {
        match store.acquire(claim, IN_LINE, NO_TIMEOUT).unwrap() {
            Acquire::Granted(grant) => return grant,
            Acquire::Queued(queued) if clock::now().since(start) < PATIENCE => {
                rings_within(store, queued.ask_in);
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Whether the bell rings before `limit` has passed.
fn rings_within(store: &LocalStore, limit: Duration) -> bool {
    let mut fds = [PollFd::new(store.bell().unwrap(), PollFlags::POLLIN)];
    let limit = PollTimeout::try_from(limit.as_millis() + 1).unwrap();
    poll(&mut fds, limit).unwrap() > 0
}

fn refresh(store: &mut LocalStore, claim: &Claim, grant: &Grant) -> Refresh {
    store.refresh(claim, grant, NO_TIMEOUT).unwrap()
}

fn release(store: &mut LocalStore, claim: &Claim) -> Release {
    store.release(claim, FAILED, NO_TIMEOUT).unwrap()
}

fn status(store: &mut LocalStore, claim: &Claim) -> Slot {
    let mut slots = store.inspect(&claim.name, NO_TIMEOUT).unwrap().slots;
    assert_eq!(slots.len(), 1);
    slots.remove(0)
}

fn unlock(store: &mut LocalStore, claim: &Claim, how: Unlock) -> Option<Unlocked> {
    store
        .unlock(&claim.name, how, "admin@web3", NO_TIMEOUT)
        .unwrap()
        .pop()
}

/// Every path below `root` but for `except`, with what could have changed about it.
fn listing(root: &Path, except: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            let text = if metadata.is_file() {
                fs::read_to_string(&path).unwrap()
            } else {
                String::new()
            };
            lines.push(format!(
                "{} {:o} {} {text}",
                path.display(),
                metadata.mode(),
                metadata.ino()
            ));
            if metadata.is_dir() && path != except {
                open.push(path);
            }
        }
    }
    lines.sort();
    lines
}

#[test]
fn a_held_lock_refuses_everybody_else_and_names_its_holder() {
    let scratch = Scratch::new();
    let (mut one, mut two) = (scratch.store(), scratch.store());
    let (first, second) = (claim("backup"), claim("backup"));
    let grant = granted(&mut one, &first);
    assert_eq!(grant.end_ms, 0);
    assert_eq!(granted(&mut one, &first), grant, "a repeated request");

    let held = refused(&mut two, &second);
    assert_eq!(held.holder.as_ref(), Some(&first.holder));
    assert!(held.age.unwrap() < Duration::from_secs(60));
    assert_eq!((held.remaining, held.revoked), (None, false));
    refused(&mut one, &second); // the same store, another token
    granted(&mut two, &claim("other"));
    let seen = status(&mut two, &second);
    assert_eq!(seen.held.unwrap().holder, Some(first.holder.clone()));
    assert_eq!(seen.fence, Some(grant.fence));

    assert_eq!(refresh(&mut one, &first, &grant), Refresh::Held(grant));
    assert_eq!(release(&mut one, &first), Release::Released);
    assert_eq!(
        release(&mut one, &first),
        Release::Released,
        "a repeated request"
    );
    assert_eq!(
        one.acquire(&first, Ask::default(), NO_TIMEOUT).unwrap(),
        Acquire::Withdrawn
    );
    assert_eq!(
        status(&mut two, &second),
        Slot {
            fence: Some(grant.fence),
            ..Slot::default()
        }
    );
    assert!(granted(&mut two, &second).fence > grant.fence);
    assert!(matches!(
        refresh(&mut one, &first, &grant),
        Refresh::Lost(Loss::TakenOver(_))
    ));
}

#[test]
fn a_withdrawn_token_is_not_granted_later() {
    let scratch = Scratch::new();
    let (mut store, run) = (scratch.store(), claim("backup"));
    assert_eq!(release(&mut store, &run), Release::NotOurs(None));
    assert_eq!(
        store.acquire(&run, Ask::default(), NO_TIMEOUT).unwrap(),
        Acquire::Withdrawn
    );
}

#[test]
fn the_token_itself_stands_in_no_file() {
    let scratch = Scratch::new();
    let (mut store, run) = (scratch.store(), claim("backup"));
    granted(&mut store, &run);
    assert!(
        !fs::read_to_string(scratch.file("backup"))
            .unwrap()
            .contains(run.token.as_str())
    );
}

#[test]
fn fences_grow_over_a_hundred_runs_and_over_crashes_and_deleted_files() {
    let scratch = Scratch::new();
    let mut last = Fence(0);
    for round in 0..100 {
        let (mut store, run) = (scratch.store(), claim("backup"));
        let fence = granted(&mut store, &run).fence;
        assert!(fence > last, "round {round}");
        last = fence;
        match round % 10 {
            3 => drop(store), // a crash: the descriptor is closed, the record stays
            7 => fs::remove_file(scratch.file("backup")).unwrap(),
            _ => assert_eq!(release(&mut store, &run), Release::Released),
        }
    }
}

#[test]
fn a_fence_from_a_wall_clock_that_ran_ahead_still_grows() {
    let scratch = Scratch::new();
    let ahead = u64::MAX - 10;
    fs::write(
        scratch.file("a"),
        format!("{{\"v\":1,\"fence\":{ahead},\"holder\":null}}\n"),
    )
    .unwrap();
    assert_eq!(
        granted(&mut scratch.store(), &claim("a")).fence,
        Fence(ahead + 1)
    );
    fs::write(
        scratch.file("a"),
        format!("{{\"v\":1,\"fence\":{},\"holder\":null}}\n", u64::MAX),
    )
    .unwrap();
    let error = scratch
        .store()
        .acquire(&claim("a"), Ask::default(), NO_TIMEOUT)
        .unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Misconfigured);
}

#[test]
fn the_lock_of_a_crashed_holder_is_free_at_once() {
    let scratch = Scratch::new();
    let (mut one, mut two, run) = (scratch.store(), scratch.store(), claim("backup"));
    let fence = granted(&mut one, &run).fence;
    drop(one);
    assert!(
        fs::read_to_string(scratch.file("backup"))
            .unwrap()
            .contains("root@web3")
    );
    assert_eq!(
        status(&mut two, &run),
        Slot {
            fence: Some(fence),
            ..Slot::default()
        }
    );
    assert_eq!(unlock(&mut two, &run, Unlock::Ask), None);
    assert_eq!(unlock(&mut two, &run, Unlock::Force), None);
    assert!(granted(&mut two, &claim("backup")).fence > fence);
}

#[test]
fn of_fifty_contenders_one_wins() {
    let scratch = Scratch::new();
    for crashed_before in [false, true] {
        if crashed_before {
            let mut predecessor = claim("race");
            predecessor.holder.who = "dead@web1".to_owned();
            granted(&mut scratch.store(), &predecessor);
        }
        let start = Arc::new(Barrier::new(50));
        let contenders: Vec<_> = (0..50)
            .map(|_| {
                let (start, mut store) = (Arc::clone(&start), scratch.store());
                thread::spawn(move || {
                    start.wait();
                    let answer = store
                        .acquire(&claim("race"), Ask::default(), NO_TIMEOUT)
                        .unwrap();
                    (answer, store)
                })
            })
            .collect();
        // Joined into a list: a winner keeps its lock until all have tried.
        let answers: Vec<_> = contenders
            .into_iter()
            .map(|one| one.join().unwrap())
            .collect();
        let wins = answers
            .iter()
            .filter(|(answer, _)| matches!(answer, Acquire::Granted(_)));
        assert_eq!(wins.count(), 1);
        let others = answers
            .iter()
            .filter(|(answer, _)| matches!(answer, Acquire::Held(_)));
        assert_eq!(others.count(), 49);
    }
}

#[test]
fn onlookers_never_keep_a_run_from_a_free_lock() {
    let scratch = Scratch::new();
    granted(&mut scratch.store(), &claim("backup")); // leaves the record of a crash
    let done = Arc::new(AtomicU32::new(0));
    let onlookers: Vec<_> = (0..4)
        .map(|_| {
            let (done, mut store) = (Arc::clone(&done), scratch.store());
            thread::spawn(move || {
                while done.load(Ordering::Relaxed) == 0 {
                    status(&mut store, &claim("backup"));
                }
            })
        })
        .collect();
    let answers: Vec<_> = (0..200)
        .map(|round| {
            let (mut store, run) = (scratch.store(), claim("backup"));
            let answer = store.acquire(&run, Ask::default(), NO_TIMEOUT).unwrap();
            if round % 2 == 0 {
                release(&mut store, &run);
            }
            answer
        })
        .collect();
    done.store(1, Ordering::Relaxed);
    onlookers
        .into_iter()
        .for_each(|onlooker| onlooker.join().unwrap());
    assert!(
        answers
            .iter()
            .all(|answer| matches!(answer, Acquire::Granted(_))),
        "{answers:?}"
    );
}

#[test]
fn a_lock_file_that_another_program_locks_is_held_by_somebody_unknown() {
    let scratch = Scratch::new();
    let (mut store, run) = (scratch.store(), claim("backup"));
    let foreign = File::create(scratch.file("backup")).unwrap();
    foreign.lock().unwrap();
    assert_eq!(refused(&mut store, &run), Held::default());
    assert_eq!(status(&mut store, &run).held, Some(Held::default()));
    assert_eq!(
        unlock(&mut store, &run, Unlock::Ask),
        Some(Unlocked::CannotAsk(Held::default()))
    );
    foreign.unlock().unwrap();
    foreign.lock_shared().unwrap();
    assert_eq!(refused(&mut store, &run), Held::default());
    foreign.unlock().unwrap();
    granted(&mut store, &run);
}

#[test]
fn hostile_names_change_nothing_outside_the_directory() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.0.join("etc")).unwrap();
    fs::write(scratch.0.join("etc/passwd"), "root\n").unwrap();
    let before = listing(&scratch.0, &scratch.locks());
    let long = "ü".repeat(200);
    let absolute = scratch.0.join("victim").display().to_string();
    let names = [
        ".",
        "..",
        "../victim",
        "../etc/passwd",
        "../../etc/passwd",
        "a/b",
        "/",
        "~",
        "-rf",
        "*",
        " ",
        "%2E%2E%2Fvictim",
        ".hidden",
        "x.lock",
        "x.revoked",
        "\\..\\victim",
        &long,
        &absolute,
    ];
    for name in names {
        let (mut store, run) = (scratch.store(), claim(name));
        let grant = granted(&mut store, &run);
        refused(&mut scratch.store(), &claim(name));
        assert!(matches!(
            unlock(&mut scratch.store(), &run, Unlock::Ask),
            Some(Unlocked::Asked(_))
        ));
        assert!(
            matches!(refresh(&mut store, &run, &grant), Refresh::Revoked { .. }),
            "{name}"
        );
        assert!(matches!(
            unlock(&mut scratch.store(), &run, Unlock::Force),
            Some(Unlocked::Freed(_))
        ));
        assert_eq!(
            refresh(&mut store, &run, &grant),
            Refresh::Lost(Loss::FenceMoved),
            "{name}"
        );
    }
    // The directory itself stands in the listing, its content does not.
    assert_eq!(listing(&scratch.0, &scratch.locks()), before);
    let files: Vec<_> = fs::read_dir(scratch.locks())
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    // The lock, and what is remembered of its runs.
    assert_eq!(files.len(), 2 * names.len(), "{files:?}");
    assert!(files.iter().all(|file| file.is_file()));
}

#[test]
fn whatever_is_planted_in_place_of_a_lock_file_is_refused_and_left_alone() {
    let scratch = Scratch::new();
    let victim = scratch.0.join("victim");
    symlink(&victim, scratch.file("symlink")).unwrap();
    symlink(scratch.0.join("absent"), scratch.file("dangling")).unwrap();
    fs::hard_link(&victim, scratch.file("hardlink")).unwrap();
    mkfifo(&scratch.file("fifo"), Mode::S_IRWXU).unwrap();
    fs::create_dir(scratch.file("directory")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(scratch.file("socket")).unwrap();
    let before = listing(&scratch.0, Path::new("/"));
    for name in [
        "symlink",
        "dangling",
        "hardlink",
        "fifo",
        "directory",
        "socket",
    ] {
        let mut store = scratch.store();
        for error in [
            store
                .acquire(&claim(name), Ask::default(), NO_TIMEOUT)
                .unwrap_err(),
            store.inspect(&claim(name).name, NO_TIMEOUT).unwrap_err(),
            store
                .unlock(&claim(name).name, Unlock::Force, "me", NO_TIMEOUT)
                .unwrap_err(),
        ] {
            assert_eq!(error.kind, StoreErrorKind::Misconfigured, "{error}");
            assert!(
                error.text.contains(scratch.file(name).to_str().unwrap()),
                "{error}"
            );
            assert!(!error.text.contains('\n'));
        }
    }
    assert_eq!(listing(&scratch.0, Path::new("/")), before);
}

#[test]
fn a_planted_marker_asks_nothing_and_is_not_followed() {
    let scratch = Scratch::new();
    let (mut store, run) = (scratch.store(), claim("backup"));
    let marker = scratch.locks().join(marker_file(&run.name, 0));
    let grant = granted(&mut store, &run);
    symlink(scratch.0.join("victim"), &marker).unwrap();
    assert_eq!(refresh(&mut store, &run, &grant), Refresh::Held(grant));
    let error = scratch
        .store()
        .unlock(&run.name, Unlock::Ask, "me", NO_TIMEOUT)
        .unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Misconfigured);
    assert_eq!(
        fs::read_to_string(scratch.0.join("victim")).unwrap(),
        "untouched\n"
    );
}

#[test]
fn a_directory_of_the_users_own_is_made_for_that_user_alone() {
    let scratch = Scratch::new();
    let (mut store, run) = (scratch.private(), claim("backup"));
    assert_eq!(status(&mut store, &run), Slot::default());
    assert_eq!(unlock(&mut store, &run, Unlock::Force), None);
    assert!(!scratch.0.join("own").exists(), "looking makes nothing");
    granted(&mut store, &run);
    let mode = |path: PathBuf| path.metadata().unwrap().mode() & 0o7777;
    assert_eq!(mode(scratch.0.join("own")), 0o700);
    assert_eq!(mode(scratch.0.join("own/backup.lock")), 0o600);
    refused(&mut scratch.private(), &claim("backup"));
}

#[test]
fn a_directory_that_others_may_write_to_is_not_trusted_as_the_users_own() {
    let scratch = Scratch::new();
    let own = scratch.0.join("own");
    let fault = || {
        scratch
            .private()
            .acquire(&claim("backup"), Ask::default(), NO_TIMEOUT)
            .unwrap_err()
    };
    fs::create_dir(&own).unwrap();
    for mode in [0o770, 0o702, 0o1777] {
        fs::set_permissions(&own, Permissions::from_mode(mode)).unwrap();
        assert_eq!(fault().kind, StoreErrorKind::Misconfigured);
        assert!(
            fault().text.contains("others may write to it"),
            "{}",
            fault()
        );
        assert!(
            scratch
                .private()
                .inspect(&claim("backup").name, NO_TIMEOUT)
                .is_err()
        );
    }
    fs::set_permissions(&own, Permissions::from_mode(0o755)).unwrap();
    granted(&mut scratch.private(), &claim("backup"));
    fs::remove_dir_all(&own).unwrap();

    symlink(scratch.locks(), &own).unwrap();
    assert_eq!(fault().kind, StoreErrorKind::Misconfigured);
    assert!(fault().text.contains("symbolic link"), "{}", fault());
    fs::remove_file(&own).unwrap();
    fs::write(&own, "").unwrap();
    assert_eq!(fault().kind, StoreErrorKind::Misconfigured);
    assert_eq!(fs::read_dir(scratch.locks()).unwrap().count(), 0);
}

#[test]
fn a_directory_of_another_user_is_not_trusted() {
    if !geteuid().is_root() {
        return; // only root can give a directory away
    }
    let scratch = Scratch::new();
    let own = scratch.0.join("own");
    fs::create_dir(&own).unwrap();
    fs::set_permissions(&own, Permissions::from_mode(0o700)).unwrap();
    std::os::unix::fs::chown(&own, Some(65534), None).unwrap();
    let error = scratch
        .private()
        .acquire(&claim("backup"), Ask::default(), NO_TIMEOUT)
        .unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Misconfigured);
    assert!(error.text.contains("belongs to user 65534"), "{error}");
    assert!(error.text.contains("--url local:/dir"), "{error}");
}

#[test]
fn a_chosen_directory_must_exist_and_may_be_reached_through_a_link() {
    let scratch = Scratch::new();
    let absent = scratch.0.join("absent");
    for path in [absent.clone(), scratch.0.join("victim")] {
        let error = LocalStore::open(Some(path.clone()))
            .acquire(&claim("a"), Ask::default(), NO_TIMEOUT)
            .unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Misconfigured);
        assert!(error.text.contains(path.to_str().unwrap()), "{error}");
    }
    symlink(scratch.locks(), &absent).unwrap();
    let mut through_link = LocalStore::open(Some(absent));
    granted(&mut through_link, &claim("a"));
    refused(&mut scratch.store(), &claim("a"));
}

#[test]
fn a_deleted_lock_file_is_put_back_by_the_holders_refresh() {
    let scratch = Scratch::new();
    let (mut store, run) = (scratch.store(), claim("backup"));
    let grant = granted(&mut store, &run);
    fs::remove_file(scratch.file("backup")).unwrap();
    // The window: until here a second run would be admitted.
    assert_eq!(refresh(&mut store, &run, &grant), Refresh::Retaken(grant));
    let held = refused(&mut scratch.store(), &claim("backup"));
    assert_eq!(held.holder, Some(run.holder.clone()));
    assert_eq!(refresh(&mut store, &run, &grant), Refresh::Held(grant));
    assert_eq!(release(&mut store, &run), Release::Released);
    assert!(granted(&mut scratch.store(), &claim("backup")).fence > grant.fence);
}

#[test]
fn a_removed_directory_of_the_users_own_is_put_back_too() {
    let scratch = Scratch::new();
    let (mut store, run) = (scratch.private(), claim("backup"));
    let grant = granted(&mut store, &run);
    fs::remove_dir_all(scratch.0.join("own")).unwrap();
    assert_eq!(refresh(&mut store, &run, &grant), Refresh::Retaken(grant));
    refused(&mut scratch.private(), &claim("backup"));
    fs::remove_dir_all(scratch.0.join("own")).unwrap();
    assert_eq!(release(&mut store, &run), Release::Forgotten);
}

#[test]
fn a_chosen_directory_that_went_away_is_an_error_and_never_a_loss() {
    let scratch = Scratch::new();
    let (mut store, run) = (scratch.store(), claim("backup"));
    let grant = granted(&mut store, &run);
    let elsewhere = scratch.0.join("elsewhere");
    fs::rename(scratch.locks(), &elsewhere).unwrap();
    assert!(store.refresh(&run, &grant, NO_TIMEOUT).is_err());
    fs::rename(&elsewhere, scratch.locks()).unwrap();
    assert_eq!(refresh(&mut store, &run, &grant), Refresh::Held(grant));
    fs::rename(scratch.locks(), &elsewhere).unwrap();
    assert!(store.release(&run, FAILED, NO_TIMEOUT).is_err());
    fs::rename(&elsewhere, scratch.locks()).unwrap();
    granted(&mut scratch.store(), &claim("backup"));
    assert_eq!(
        release(&mut store, &run),
        Release::Released,
        "a repeated request"
    );
}

#[test]
fn a_deleted_lock_file_that_another_run_locked_meanwhile_is_lost() {
    let scratch = Scratch::new();
    let (mut one, mut two) = (scratch.store(), scratch.store());
    let (first, second) = (claim("backup"), claim("backup"));
    let grant = granted(&mut one, &first);
    fs::remove_file(scratch.file("backup")).unwrap();
    let theirs = granted(&mut two, &second);
    match refresh(&mut one, &first, &grant) {
        Refresh::Lost(Loss::TakenOver(held)) => {
            assert_eq!(held.holder, Some(second.holder.clone()))
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        release(&mut one, &first),
        Release::NotOurs(Some(_))
    ));
    assert_eq!(refresh(&mut two, &second, &theirs), Refresh::Held(theirs));
}

#[test]
fn a_release_after_the_file_was_replaced_says_what_became_of_it() {
    let scratch = Scratch::new();
    let run = |after: &dyn Fn(&Scratch)| {
        let (mut store, run) = (scratch.store(), claim("backup"));
        granted(&mut store, &run);
        fs::remove_file(scratch.file("backup")).unwrap();
        after(&scratch);
        release(&mut store, &run)
    };
    assert_eq!(run(&|_| {}), Release::Forgotten);
    assert_eq!(
        run(&|s| fs::write(s.file("backup"), "").unwrap()),
        Release::Forgotten
    );
    let brief = |s: &Scratch| {
        let (mut store, other) = (s.store(), claim("backup"));
        granted(&mut store, &other);
        release(&mut store, &other);
    };
    assert_eq!(run(&brief), Release::NotOurs(None));
    let other = std::cell::RefCell::new(scratch.store());
    let lasting = |_: &Scratch| {
        granted(&mut other.borrow_mut(), &claim("backup"));
    };
    assert!(matches!(run(&lasting), Release::NotOurs(Some(_))));
}

#[test]
fn a_replaced_file_is_lost_only_if_its_fence_has_moved_on() {
    let scratch = Scratch::new();
    let (mut store, run) = (scratch.store(), claim("backup"));
    let grant = granted(&mut store, &run);
    for content in ["", "{\"v\":1,\"fence\":5,\"holder\":null}\n"] {
        fs::remove_file(scratch.file("backup")).unwrap();
        fs::write(scratch.file("backup"), content).unwrap();
        assert_eq!(refresh(&mut store, &run, &grant), Refresh::Retaken(grant));
        refused(&mut scratch.store(), &claim("backup"));
    }
    fs::remove_file(scratch.file("backup")).unwrap();
    let later = grant.fence.0 + 1;
    fs::write(
        scratch.file("backup"),
        format!("{{\"v\":1,\"fence\":{later},\"holder\":null}}\n"),
    )
    .unwrap();
    assert_eq!(
        refresh(&mut store, &run, &grant),
        Refresh::Lost(Loss::FenceMoved)
    );
    assert_eq!(release(&mut store, &run), Release::NotOurs(None));
}

#[test]
fn a_replaced_file_that_is_looked_at_or_shared_is_no_loss_yet() {
    let scratch = Scratch::new();
    let (mut store, run) = (scratch.store(), claim("backup"));
    let grant = granted(&mut store, &run);
    fs::remove_file(scratch.file("backup")).unwrap();
    let foreign = File::create(scratch.file("backup")).unwrap();
    foreign.lock_shared().unwrap();
    let error = store.refresh(&run, &grant, NO_TIMEOUT).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    foreign.unlock().unwrap();
    assert_eq!(refresh(&mut store, &run, &grant), Refresh::Retaken(grant));
}

#[test]
fn garbage_in_a_lock_file_is_an_unknown_past() {
    let scratch = Scratch::new();
    let torn = "{\"v\":1,\"fence\":17,\"hol";
    let zeros = "\0".repeat(200_000);
    for content in [
        "",
        "\n",
        "garbage\n",
        torn,
        "4711\n",
        "{\"v\":1}\n",
        "[]\n",
        &zeros,
    ] {
        fs::write(scratch.file("backup"), content).unwrap();
        assert_eq!(
            status(&mut scratch.store(), &claim("backup")),
            Slot::default()
        );
        let (mut store, run) = (scratch.store(), claim("backup"));
        granted(&mut store, &run);
        assert_eq!(
            fs::read_to_string(scratch.file("backup"))
                .unwrap()
                .lines()
                .count(),
            1
        );
    }
}

#[test]
fn a_record_that_somebody_overwrote_is_restored_by_the_next_refresh() {
    let scratch = Scratch::new();
    let (mut store, run) = (scratch.store(), claim("backup"));
    let grant = granted(&mut store, &run);
    for content in ["", "{\"v\":1,\"fence\":5,\"holder\":null}\n"] {
        fs::write(scratch.file("backup"), content).unwrap();
        assert_eq!(
            refused(&mut scratch.store(), &claim("backup")),
            Held::default()
        );
        assert_eq!(refresh(&mut store, &run, &grant), Refresh::Held(grant));
        assert!(
            refused(&mut scratch.store(), &claim("backup"))
                .holder
                .is_some()
        );
    }
}

#[test]
fn a_file_of_a_newer_version_is_refused_and_left_alone() {
    let scratch = Scratch::new();
    let content = "{\"v\":2,\"fence\":\"in another notation\"}\n";
    fs::write(scratch.file("backup"), content).unwrap();
    let error = scratch
        .store()
        .acquire(&claim("backup"), Ask::default(), NO_TIMEOUT)
        .unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Misconfigured);
    assert!(error.text.contains("newer tasklock"), "{error}");
    assert!(
        scratch
            .store()
            .inspect(&claim("backup").name, NO_TIMEOUT)
            .is_err()
    );
    assert_eq!(fs::read_to_string(scratch.file("backup")).unwrap(), content);
    let file = File::open(scratch.file("backup")).unwrap();
    file.try_lock().expect("the lock was given back");
}

#[test]
fn a_grant_that_cannot_be_written_is_none_and_the_lock_is_given_back() {
    let scratch = Scratch::new();
    let run = claim("backup");
    granted(&mut scratch.store(), &run);
    let directory = Directory::open(&Place::Shared(scratch.locks())).unwrap();
    let lock = LockFile::new(&directory, &run.name, 0);
    // A descriptor for reading stands in for a full disk.
    let file = File::open(scratch.file("backup")).unwrap();
    file.try_lock().unwrap();
    let duplicate = file.try_clone().unwrap();
    let error = lock.grant(file, &run).err().unwrap();
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    granted(&mut scratch.store(), &run);
    drop(duplicate);
}

#[test]
fn a_revoked_holder_is_asked_at_its_refresh_and_the_next_one_is_not() {
    let scratch = Scratch::new();
    let (mut one, mut two, first) = (scratch.store(), scratch.store(), claim("backup"));
    let marker = scratch.locks().join(marker_file(&first.name, 0));
    assert_eq!(unlock(&mut two, &first, Unlock::Ask), None);
    let grant = granted(&mut one, &first);
    match unlock(&mut two, &first, Unlock::Ask) {
        Some(Unlocked::Asked(held)) => {
            assert!(held.revoked && held.holder == Some(first.holder.clone()))
        }
        other => panic!("{other:?}"),
    }
    let asked = Refresh::Revoked {
        by: "admin@web3".to_owned(),
    };
    assert_eq!(refresh(&mut one, &first, &grant), asked);
    assert!(refused(&mut two, &claim("backup")).revoked);
    assert_eq!(release(&mut one, &first), Release::Released);
    assert!(!marker.exists());

    // A marker that outlived its grant.
    let second = claim("backup");
    let grant = granted(&mut two, &second);
    fs::write(&marker, "{\"v\":1,\"fence\":5,\"by\":\"me\"}\n").unwrap();
    assert_eq!(refresh(&mut two, &second, &grant), Refresh::Held(grant));
    drop(two);
    granted(&mut one, &claim("backup"));
    assert!(!marker.exists());
}

#[test]
fn a_lock_freed_by_force_goes_to_the_next_run_with_a_larger_fence() {
    let scratch = Scratch::new();
    let (mut one, mut two, first) = (scratch.store(), scratch.store(), claim("backup"));
    let grant = granted(&mut one, &first);
    assert!(
        matches!(unlock(&mut two, &first, Unlock::Force), Some(Unlocked::Freed(held)) if held.holder.is_some())
    );
    let forced = status(&mut two, &first);
    assert!(forced.held.is_none() && forced.fence > Some(grant.fence));
    let second = claim("backup");
    let next = granted(&mut two, &second);
    assert!(Some(next.fence) > forced.fence);
    assert!(matches!(
        refresh(&mut one, &first, &grant),
        Refresh::Lost(Loss::TakenOver(_))
    ));
    assert_eq!(refresh(&mut two, &second, &next), Refresh::Held(next));
    let files = fs::read_dir(scratch.locks()).unwrap().count();
    assert_eq!(files, 2, "the lock and its runs: no temporary file stays");
}

#[test]
fn a_holder_whose_lock_was_freed_by_force_learns_of_it_even_if_nobody_came() {
    let scratch = Scratch::new();
    let (mut store, run) = (scratch.store(), claim("backup"));
    let grant = granted(&mut store, &run);
    unlock(&mut scratch.store(), &run, Unlock::Force);
    assert_eq!(
        refresh(&mut store, &run, &grant),
        Refresh::Lost(Loss::FenceMoved)
    );
    granted(&mut scratch.store(), &claim("backup"));
}

#[test]
fn a_file_that_was_deleted_before_it_was_locked_is_not_taken_for_the_lock() {
    let scratch = Scratch::new();
    let runs: Vec<_> = (0..4)
        .map(|_| {
            let (file, directory) = (scratch.file("backup"), scratch.locks());
            thread::spawn(move || {
                for _ in 0..300 {
                    let (mut store, run) =
                        (LocalStore::open(Some(directory.clone())), claim("backup"));
                    if let Acquire::Granted(grant) =
                        store.acquire(&run, Ask::default(), NO_TIMEOUT).unwrap()
                    {
                        // Only holders delete here, and only their own file.
                        assert_eq!(refresh(&mut store, &run, &grant), Refresh::Held(grant));
                        fs::remove_file(&file).unwrap();
                        release(&mut store, &run);
                    }
                }
            })
        })
        .collect();
    runs.into_iter().for_each(|run| run.join().unwrap());
}
