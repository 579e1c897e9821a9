//! Standing in line.

use super::super::file_name::line_file;
use super::super::line::Line;
use super::super::request::TURN_MAX;
use super::*;

/// One run in line.
struct Waiter {
    store: LocalStore,
    claim: Claim,
}

impl Waiter {
    fn join(scratch: &Scratch) -> Waiter {
        let mut waiter = Waiter {
            store: scratch.store(),
            claim: claim("backup"),
        };
        queued(&mut waiter.store, &waiter.claim);
        waiter
    }

    fn place(&mut self) -> Option<u32> {
        queued(&mut self.store, &self.claim).place
    }

    fn granted(&mut self) -> Fence {
        granted_in_line(&mut self.store, &self.claim).fence
    }

    fn release(&mut self) -> Release {
        release(&mut self.store, &self.claim)
    }
}

/// The lock, held.
fn held_lock(scratch: &Scratch) -> Waiter {
    let mut holder = Waiter {
        store: scratch.store(),
        claim: claim("backup"),
    };
    granted(&mut holder.store, &holder.claim);
    holder
}

fn line_path(scratch: &Scratch) -> PathBuf {
    let name = LockName::new("backup").unwrap();
    scratch.locks().join(line_file(&name))
}

/// How many stand in line.
fn waiting(scratch: &Scratch) -> Option<u32> {
    let name = LockName::new("backup").unwrap();
    let status = scratch.store().inspect(&name, NO_TIMEOUT).unwrap();
    status.waiting
}

#[test]
fn twenty_waiters_are_served_in_the_order_they_came_but_for_those_who_left() {
    let scratch = Scratch::new();
    let mut holder = held_lock(&scratch);
    let mut waiters: Vec<Waiter> = (0..20).map(|_| Waiter::join(&scratch)).collect();
    assert_eq!(waiting(&scratch), Some(20));
    for (number, waiter) in (1..).zip(&mut waiters) {
        assert_eq!(waiter.place(), Some(number));
    }
    let mut staying = Vec::new();
    for (number, mut waiter) in waiters.into_iter().enumerate() {
        match number % 4 {
            0 => drop(waiter), // a crash
            2 => assert!(matches!(waiter.release(), Release::NotOurs(Some(_)))),
            _ => staying.push(waiter),
        }
    }
    let (sender, grants) = std::sync::mpsc::channel();
    let runs: Vec<_> = staying
        .into_iter()
        .enumerate()
        .map(|(number, mut waiter)| {
            let sender = sender.clone();
            thread::spawn(move || {
                waiter.granted();
                sender.send(number).unwrap();
                assert_eq!(waiter.release(), Release::Released);
            })
        })
        .collect();
    assert_eq!(holder.release(), Release::Released);
    runs.into_iter().for_each(|run| run.join().unwrap());
    assert_eq!(grants.try_iter().collect::<Vec<_>>(), Vec::from_iter(0..10));
    assert_eq!(waiting(&scratch), Some(0));
}

#[test]
fn tickets_begin_again_whenever_the_line_is_empty() {
    let scratch = Scratch::new();
    let _holder = held_lock(&scratch);
    let directory = Directory::open(&Place::Shared(scratch.locks())).unwrap();
    let name = LockName::new("backup").unwrap();
    let line = Line::new(&directory, &name);
    for _ in 0..3 {
        let waiters = [Waiter::join(&scratch), Waiter::join(&scratch)];
        let tickets: Vec<u64> = line.waiters().unwrap().iter().map(|w| w.ticket).collect();
        assert_eq!(tickets, [0, 1]);
        drop(waiters);
    }
}

#[test]
fn a_run_that_need_not_wait_leaves_no_file_of_a_line() {
    let scratch = Scratch::new();
    let (mut store, run) = (scratch.store(), claim("backup"));
    granted_in_line(&mut store, &run);
    assert!(store.bell().is_none());
    release(&mut store, &run);
    assert!(!line_path(&scratch).exists());
}

#[test]
fn a_waiter_that_does_not_take_its_turn_is_passed_over_after_a_second() {
    let scratch = Scratch::new();
    let mut holder = held_lock(&scratch);
    let mut frozen = Waiter::join(&scratch);
    let mut second = Waiter::join(&scratch);
    let mut third = Waiter::join(&scratch);
    holder.release();
    let freed = clock::now();
    let fence = second.granted();
    assert!(clock::now().since(freed) >= TURN_MAX);
    assert_eq!(frozen.place(), Some(1), "it keeps its place");
    second.release();
    release(&mut third.store, &third.claim);
    // Single tries do the same, those of one run together.
    let (mut store, run) = (scratch.store(), claim("backup"));
    let freed = clock::now();
    let later = loop {
        match store.acquire(&run, Ask::default(), NO_TIMEOUT).unwrap() {
            Acquire::Reserved { first } => assert_eq!(first, Some(frozen.claim.holder.clone())),
            Acquire::Granted(grant) => break grant.fence,
            other => panic!("{other:?}"),
        }
    };
    assert!(clock::now().since(freed) >= TURN_MAX);
    assert!(later > fence);
    release(&mut store, &run);
    assert!(frozen.granted() > later);
}

#[test]
fn a_stopped_first_gives_nobody_but_the_second_a_chance_to_overtake() {
    let scratch = Scratch::new();
    let mut holder = held_lock(&scratch);
    let _frozen = Waiter::join(&scratch);
    let mut second = Waiter::join(&scratch);
    let mut third = Waiter::join(&scratch);
    holder.release();
    // The third sees the free place first, and so does a single try.
    third.place().unwrap();
    let (mut store, other) = (scratch.store(), claim("backup"));
    let mut try_once = || store.acquire(&other, Ask::default(), NO_TIMEOUT).unwrap();
    assert!(matches!(try_once(), Acquire::Reserved { .. }));
    let late = thread::spawn(move || (third.granted(), third));
    let fence = second.granted();
    assert!(matches!(try_once(), Acquire::Held(_)));
    second.release();
    let (later, _third) = late.join().unwrap();
    assert!(later > fence);
}

#[test]
fn a_turn_begins_anew_with_each_grant() {
    let scratch = Scratch::new();
    let mut holder = held_lock(&scratch);
    let mut first = Waiter::join(&scratch);
    let mut second = Waiter::join(&scratch);
    let start = clock::now();
    // The place is free at every look of the second, and never for a second.
    while clock::now().since(start) < TURN_MAX * 3 / 2 {
        holder.release();
        second.place().unwrap();
        first.granted();
        holder = first;
        first = Waiter::join(&scratch);
        std::mem::swap(&mut first, &mut second);
    }
}

#[test]
fn the_file_of_the_line_may_be_deleted() {
    let scratch = Scratch::new();
    let mut holder = held_lock(&scratch);
    let mut first = Waiter::join(&scratch);
    let mut second = Waiter::join(&scratch);
    queued(&mut first.store, &first.claim);
    fs::remove_file(line_path(&scratch)).unwrap();
    assert!(rings_within(&first.store, PATIENCE));
    assert_eq!(first.place(), Some(1));
    assert_eq!(second.place(), Some(2));
    let mut third = Waiter::join(&scratch);
    assert_eq!(third.place(), Some(3));
    holder.release();
    first.granted();
    // By the end of the one before it in the new line.
    assert!(rings_within(&second.store, PATIENCE));
    first.release();
    second.granted();
    second.release();
    third.granted();
}

#[test]
fn a_deleted_lock_file_rings_for_the_first_in_line() {
    let scratch = Scratch::new();
    let mut holder = held_lock(&scratch);
    let mut first = Waiter::join(&scratch);
    queued(&mut first.store, &first.claim);
    fs::remove_file(scratch.file("backup")).unwrap();
    assert!(rings_within(&first.store, PATIENCE));
    // As every run it finds no holder there; the holder learns of it.
    first.granted();
    assert!(matches!(holder.release(), Release::NotOurs(Some(_))));
}

#[test]
fn a_lock_freed_by_force_rings_for_the_first_and_its_old_holder_for_nobody() {
    let scratch = Scratch::new();
    let mut holder = held_lock(&scratch);
    let mut first = Waiter::join(&scratch);
    let mut second = Waiter::join(&scratch);
    unlock(&mut scratch.store(), &first.claim, Unlock::Force);
    assert!(rings_within(&first.store, PATIENCE));
    first.granted();
    assert!(rings_within(&second.store, PATIENCE), "it is the first now");
    second.place();
    holder.release();
    assert_eq!(second.place(), Some(1));
    first.release();
    assert!(rings_within(&second.store, PATIENCE));
    second.granted();
}

#[test]
fn a_directory_that_went_away_is_an_error_to_a_waiter_who_may_ask_again() {
    let scratch = Scratch::new();
    let mut holder = held_lock(&scratch);
    let mut first = Waiter::join(&scratch);
    let mut second = Waiter::join(&scratch);
    let elsewhere = scratch.0.join("elsewhere");
    fs::rename(scratch.locks(), &elsewhere).unwrap();
    let gone = first.store.acquire(&first.claim, IN_LINE, NO_TIMEOUT);
    assert!(gone.is_err(), "{gone:?}");
    fs::rename(&elsewhere, scratch.locks()).unwrap();
    assert_eq!(first.place(), Some(1));
    holder.release();
    second.place().unwrap();
    first.granted();
}

#[test]
fn a_removed_directory_of_the_users_own_is_made_again_for_a_waiter() {
    let scratch = Scratch::new();
    let (mut holder, mut store, run) = (scratch.private(), scratch.private(), claim("backup"));
    granted(&mut holder, &claim("backup"));
    queued(&mut store, &run);
    fs::remove_dir_all(scratch.0.join("own")).unwrap();
    assert!(rings_within(&store, PATIENCE));
    granted_in_line(&mut store, &run);
}

#[test]
fn who_leaves_at_the_moment_of_its_turn_passes_it_on() {
    let scratch = Scratch::new();
    let mut holder = held_lock(&scratch);
    for round in 0..100 {
        let mut leaving = Waiter::join(&scratch);
        let mut next = Waiter::join(&scratch);
        let both = Arc::new(Barrier::new(2));
        let start = Arc::clone(&both);
        let run = thread::spawn(move || {
            start.wait();
            if round % 2 == 0 {
                // Perhaps it is granted the lock: given back all the same.
                let _ = leaving.store.acquire(&leaving.claim, IN_LINE, NO_TIMEOUT);
            }
            leaving.release();
        });
        both.wait();
        holder.release();
        next.granted();
        run.join().unwrap();
        holder = next;
    }
    assert_eq!(waiting(&scratch), Some(0));
}

#[test]
fn a_store_may_wait_for_several_locks_and_a_wait_ends_with_its_store() {
    let scratch = Scratch::new();
    let (mut one, mut two) = (scratch.store(), scratch.store());
    let locks = ["a", "b"];
    let holds = locks.map(claim);
    let waits = locks.map(claim);
    for (hold, wait) in holds.iter().zip(&waits) {
        granted(&mut one, hold);
        queued(&mut two, wait);
    }
    for (hold, wait) in holds.iter().zip(&waits) {
        queued(&mut two, wait);
        release(&mut one, hold);
        granted_in_line(&mut two, wait);
    }
    let waiting = |store: &mut LocalStore| store.inspect(&holds[0].name, NO_TIMEOUT).unwrap();
    let mut three = scratch.store();
    queued(&mut three, &claim("a"));
    assert_eq!(waiting(&mut one).waiting, Some(1));
    drop(three);
    assert_eq!(waiting(&mut one).waiting, Some(0));
}

#[test]
fn another_program_that_locks_the_whole_line_is_a_waiter_that_takes_no_turn() {
    use nix::fcntl::{FcntlArg, fcntl};
    use nix::libc;
    let scratch = Scratch::new();
    let (mut store, run) = (scratch.store(), claim("backup"));
    let file = File::create(line_path(&scratch)).unwrap();
    let whole = libc::flock {
        l_type: libc::F_WRLCK as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    fcntl(&file, FcntlArg::F_OFD_SETLK(&whole)).unwrap();
    assert!(matches!(
        store.acquire(&run, Ask::default(), NO_TIMEOUT),
        Ok(Acquire::Reserved { first: None })
    ));
    let error = store.acquire(&run, IN_LINE, NO_TIMEOUT).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    assert!(error.text.contains("backup.line"), "{error}");
    let start = clock::now();
    while !matches!(
        store.acquire(&run, Ask::default(), NO_TIMEOUT),
        Ok(Acquire::Granted(_))
    ) {
        assert!(clock::now().since(start) < PATIENCE);
    }
}

#[test]
fn those_who_only_look_do_not_ring_for_a_waiter() {
    let scratch = Scratch::new();
    let _holder = held_lock(&scratch);
    let first = Waiter::join(&scratch);
    let mut others = scratch.store();
    for _ in 0..3 {
        refused(&mut others, &claim("backup"));
        status(&mut others, &first.claim);
    }
    assert!(!rings_within(&first.store, Duration::ZERO));
}

#[test]
fn a_grant_does_not_wait_for_the_bell_to_be_closed() {
    let scratch = Scratch::new();
    let mut holder = held_lock(&scratch);
    // To close it takes the kernel some 15 ms. The best of some, for a busy machine.
    let took = (0..10).map(|_| {
        let mut first = Waiter::join(&scratch);
        holder.release();
        let start = clock::now();
        first.granted();
        let took = clock::now().since(start);
        assert!(first.store.bell().is_none());
        holder = first;
        took
    });
    let best = took.min().unwrap();
    assert!(best < Duration::from_millis(5), "{best:?}");
}
