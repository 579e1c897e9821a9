//! The local store between processes, and between users where root runs the tests.

#![allow(clippy::unwrap_used)] // clippy.toml reaches only the bodies of #[test] functions

use crate::support::store::FAILED;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::unistd::geteuid;
use tasklock::store::local::LocalStore;
use tasklock::store::{
    Acquire, Ask, Claim, Fence, Holder, Lasts, LockName, Once, Refresh, Release, Store, Token,
    Unlock,
};

mod sharing;
mod waiting;

use waiting::{IN_LINE, wait_in_line};

/// Somebody who is not root: `nobody`.
const OTHER_UID: u32 = 65534;

/// The variable that tells a process of this binary to be [`Other`].
const ROLE: &str = "TASKLOCK_TEST_LOCAL_STORE_DIRECTORY";

const NO_TIMEOUT: Duration = Duration::ZERO;

struct Scratch(PathBuf);

impl Scratch {
    fn new(mode: u32) -> Scratch {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("tasklock-it-{}-{count}", std::process::id()));
        fs::create_dir(&path).unwrap();
        fs::create_dir(path.join("locks")).unwrap();
        fs::set_permissions(path.join("locks"), Permissions::from_mode(mode)).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        Scratch(path)
    }

    fn locks(&self) -> PathBuf {
        self.0.join("locks")
    }

    fn store(&self) -> LocalStore {
        LocalStore::open(Some(self.locks()))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn claim() -> Claim {
    Claim {
        name: LockName::new("backup").unwrap(),
        token: Token::fresh().unwrap(),
        ttl: Duration::from_secs(60),
        holder: Holder {
            who: "root@web3".to_owned(),
            pid: std::process::id(),
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

/// Another process of this binary, which does with the lock what it is told.
struct Other {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Other {
    fn start(scratch: &Scratch) -> Other {
        Other::spawn(
            Command::new(std::env::current_exe().unwrap()),
            &scratch.locks(),
        )
    }

    fn start_with_umask(scratch: &Scratch, umask: &str) -> Other {
        Other::start_after(scratch, &format!("umask {umask}"))
    }

    /// Started by a shell that has done `first`.
    fn start_after(scratch: &Scratch, first: &str) -> Other {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{first}; exec \"$0\" \"$@\"")]);
        command.arg(std::env::current_exe().unwrap());
        Other::spawn(command, &scratch.locks())
    }

    /// From a copy, as the original may be out of that user's reach. Made by
    /// another process: a descriptor of ours that is open for writing could be
    /// inherited by a child of a parallel test, and nobody could execute the file.
    fn start_as_other_user(scratch: &Scratch) -> Other {
        Other::start_as(scratch, OTHER_UID)
    }

    fn start_as(scratch: &Scratch, uid: u32) -> Other {
        let program = scratch.0.join("it");
        if !program.exists() {
            let original = std::env::current_exe().unwrap();
            let install = Command::new("install")
                .args(["-m", "755"])
                .arg(original)
                .arg(&program)
                .status();
            assert!(install.unwrap().success());
        }
        let mut command = Command::new(program);
        command.uid(uid).gid(uid).current_dir("/");
        Other::spawn(command, &scratch.locks())
    }

    fn spawn(mut command: Command, directory: &Path) -> Other {
        let mut child = command
            .args([
                "--exact",
                "local_store::another_process_obeys",
                "--nocapture",
                "--quiet",
            ])
            .env(ROLE, directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let orders = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Other {
            child,
            orders,
            answers,
        }
    }

    fn order(&mut self, order: &str) -> String {
        self.tell(order);
        self.answer()
    }

    /// Gives an order whose answer will take a while.
    fn tell(&mut self, order: &str) {
        writeln!(self.orders, "{order}").unwrap();
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        while !line.starts_with("answer: ") {
            line.clear();
            assert_ne!(
                self.answers.read_line(&mut line).unwrap(),
                0,
                "the other process died"
            );
        }
        line
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Not a test: the body of [`Other`]. Without its variable it does nothing.
#[test]
fn another_process_obeys() {
    let Some(directory) = std::env::var_os(ROLE) else {
        return;
    };
    let (mut store, run) = (LocalStore::open(Some(directory.into())), claim());
    println!();
    for order in std::io::stdin().lines() {
        let answer = match order.unwrap().as_str() {
            "acquire" => format!("{:?}", store.acquire(&run, Ask::default(), NO_TIMEOUT)),
            "queue" => format!("{:?}", store.acquire(&run, IN_LINE, NO_TIMEOUT)),
            "wait" => format!("{:?}", wait_in_line(&mut store, &run)),
            "once" => {
                let run = sharing::bound(&run);
                format!("{:?}", store.acquire(&run, Ask::default(), NO_TIMEOUT))
            }
            "exhaust" => format!("{:?}", waiting::exhaust()),
            "release" => format!("{:?}", store.release(&run, FAILED, NO_TIMEOUT)),
            "inspect" => format!("{:?}", store.inspect(&run.name, NO_TIMEOUT)),
            "ask" => format!(
                "{:?}",
                store.unlock(&run.name, Unlock::Ask, "nobody@web3", NO_TIMEOUT)
            ),
            "force" => format!(
                "{:?}",
                store.unlock(&run.name, Unlock::Force, "nobody@web3", NO_TIMEOUT)
            ),
            other => panic!("{other}"),
        };
        println!("answer: {answer}");
    }
}

/// Takes the lock, which is free. After a crash within this process it may stay
/// taken for a moment more: a child that a parallel test has forked has a copy of
/// the descriptor until it executes its program.
fn granted(store: &mut LocalStore, run: &Claim) -> Fence {
    for _ in 0..1000 {
        if let Acquire::Granted(grant) = store.acquire(run, Ask::default(), NO_TIMEOUT).unwrap() {
            return grant.fence;
        }
    }
    panic!("the lock stays taken");
}

#[test]
fn the_lock_of_a_killed_process_is_free_at_once_and_the_fence_grows() {
    let scratch = Scratch::new(0o755);
    let mut fence = Fence(0);
    for _ in 0..3 {
        let mut other = Other::start(&scratch);
        assert!(other.order("acquire").contains("Granted"));
        let (mut store, run) = (scratch.store(), claim());
        match store.acquire(&run, Ask::default(), NO_TIMEOUT).unwrap() {
            Acquire::Held(held) => assert_eq!(held.holder.unwrap().pid, other.child.id()),
            answer => panic!("{answer:?}"),
        }
        other.child.kill().unwrap();
        other.child.wait().unwrap();
        let next = granted(&mut store, &run);
        assert!(next > fence);
        fence = next;
        assert_eq!(
            store.release(&run, FAILED, NO_TIMEOUT).unwrap(),
            Release::Released
        );
    }
}

#[test]
fn of_several_processes_one_holds_the_lock() {
    let scratch = Scratch::new(0o755);
    let mut others: Vec<_> = (0..8).map(|_| Other::start(&scratch)).collect();
    for other in &mut others {
        writeln!(other.orders, "acquire").unwrap();
    }
    let answers: Vec<_> = others
        .iter_mut()
        .map(|other| other.order("inspect"))
        .collect();
    assert_eq!(
        answers
            .iter()
            .filter(|answer| answer.contains("Granted"))
            .count(),
        1,
        "{answers:?}"
    );
}

#[test]
fn a_program_started_while_the_lock_is_held_does_not_keep_it() {
    let scratch = Scratch::new(0o755);
    let (mut store, run) = (scratch.store(), claim());
    granted(&mut store, &run);
    let mut child = Command::new("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // It runs its own program once it answers.
    child.stdin.as_mut().unwrap().write_all(b"x").unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    drop(store);
    granted(&mut scratch.store(), &claim());
    drop(child.stdin.take());
    child.wait().unwrap();
}

#[test]
fn files_in_a_chosen_directory_are_open_to_all_whatever_the_umask() {
    let scratch = Scratch::new(0o755);
    let mut holder = Other::start_with_umask(&scratch, "077");
    assert!(holder.order("acquire").contains("Granted"));
    let mut admin = Other::start_with_umask(&scratch, "0777");
    assert!(admin.order("ask").contains("Asked"));
    let files: Vec<_> = fs::read_dir(scratch.locks())
        .unwrap()
        .map(|file| file.unwrap())
        .collect();
    assert_eq!(files.len(), 2);
    for file in files {
        assert_eq!(file.metadata().unwrap().mode() & 0o7777, 0o666, "{file:?}");
    }
}

#[test]
fn users_of_a_sticky_directory_exclude_and_ask_each_other() {
    if !geteuid().is_root() {
        return; // only root can be somebody else
    }
    let scratch = Scratch::new(0o1777);
    let (mut store, run) = (scratch.store(), claim());
    let fence = granted(&mut store, &run);
    let mut other = Other::start_as_other_user(&scratch);
    let held = other.order("acquire");
    assert!(
        held.contains("Held") && held.contains("root@web3"),
        "{held}"
    );
    assert!(other.order("ask").contains("Asked"));
    let grant = tasklock::store::Grant {
        fence,
        end_ms: 0,
        slot: 0,
    };
    let asked = Refresh::Revoked {
        by: "nobody@web3".to_owned(),
    };
    assert_eq!(store.refresh(&run, &grant, NO_TIMEOUT).unwrap(), asked);
    let force = other.order("force");
    assert!(
        force.contains("Denied"),
        "a sticky directory protects the files of others: {force}"
    );
    assert_eq!(
        store.release(&run, FAILED, NO_TIMEOUT).unwrap(),
        Release::Released
    );

    // The file is root's, the lock now the other user's, and the other way round.
    assert!(other.order("acquire").contains("Granted"));
    assert!(matches!(
        store.acquire(&claim(), Ask::default(), NO_TIMEOUT).unwrap(),
        Acquire::Held(_)
    ));
    assert!(other.order("release").contains("Released"));
    assert!(granted(&mut store, &claim()) > fence);
    // The lock, and what is remembered of its runs.
    assert_eq!(fs::read_dir(scratch.locks()).unwrap().count(), 2);
}

#[test]
fn a_file_or_a_directory_that_one_may_not_write_to_is_a_permission_refused() {
    if !geteuid().is_root() {
        return; // only root can be somebody else
    }
    let scratch = Scratch::new(0o755);
    let mut other = Other::start_as_other_user(&scratch);
    let answer = other.order("acquire");
    assert!(
        answer.contains("Denied") && answer.contains("backup.lock"),
        "{answer}"
    );

    let scratch = Scratch::new(0o1777);
    let file = scratch.locks().join("backup.lock");
    for content in ["", "{\"v\":1,\"fence\":5,\"holder\":null}\n"] {
        fs::write(&file, content).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        let mut other = Other::start_as_other_user(&scratch);
        let answer = other.order("acquire");
        assert!(
            answer.contains("Denied") && answer.contains("backup.lock"),
            "{answer}"
        );
        assert!(
            other.order("inspect").contains("held: None"),
            "looking is allowed"
        );
        assert_eq!(fs::read_to_string(&file).unwrap(), content);
    }
}
