//! Processes in line.

use crate::support::store::FAILED;
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{InitFlags, Inotify};

use super::*;
use crate::support::{PATIENCE, process, wait_until};

pub(super) const IN_LINE: Ask = Ask {
    in_line: true,
    waited: Duration::ZERO,
};

/// Somebody whose inotify instances no other test needs.
const EXHAUSTED_UID: u32 = 65533;

/// What becomes of standing in line, as a run does it: asks, and asks again when the bell rings
/// or when it is time to.
pub(super) fn wait_in_line(store: &mut LocalStore, run: &Claim) -> Acquire {
    let start = Instant::now();
    loop {
        match store.acquire(run, IN_LINE, NO_TIMEOUT).unwrap() {
            Acquire::Queued(queued) if start.elapsed() < PATIENCE => {
                let mut fds = [PollFd::new(store.bell().unwrap(), PollFlags::POLLIN)];
                let limit = PollTimeout::try_from(queued.ask_in.as_millis() + 1).unwrap();
                poll(&mut fds, limit).unwrap();
            }
            other => return other,
        }
    }
}

/// Uses up what this user has of inotify, until the process ends; how much that was.
pub(super) fn exhaust() -> usize {
    let mut count = 0;
    while let Ok(inotify) = Inotify::init(InitFlags::IN_CLOEXEC) {
        std::mem::forget(inotify);
        count += 1;
    }
    count
}

/// A process in line, asking.
fn waiting(scratch: &Scratch) -> Other {
    let mut other = Other::start(scratch);
    let answer = other.order("queue");
    assert!(answer.contains("Queued"), "{answer}");
    other.tell("wait");
    other
}

impl Other {
    fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Stops all of its threads.
    fn freeze(&self) {
        process::freeze(self.pid());
        let threads = format!("/proc/{}/task", self.pid());
        wait_until(|| {
            fs::read_dir(&threads).unwrap().all(|thread| {
                let stat = fs::read_to_string(thread.unwrap().path().join("stat")).unwrap();
                stat.contains(") T ")
            })
        });
    }

    /// `kill -9`, and gone.
    fn die(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A store that holds the lock.
fn holding(scratch: &Scratch) -> (LocalStore, Claim) {
    let (mut store, run) = (scratch.store(), claim());
    granted(&mut store, &run);
    (store, run)
}

fn released((mut store, run): (LocalStore, Claim)) {
    let answer = store.release(&run, FAILED, NO_TIMEOUT).unwrap();
    assert_eq!(answer, Release::Released);
}

#[test]
fn processes_are_served_in_the_order_they_came_and_those_that_were_killed_are_passed_over() {
    let scratch = Scratch::new(0o755);
    let holder = holding(&scratch);
    let mut waiters: Vec<Other> = (0..12).map(|_| waiting(&scratch)).collect();
    // From the end, so that the numbers before stay what they are.
    for killed in [11, 6, 5, 0] {
        waiters.remove(killed).die();
    }
    let name = claim().name;
    let mut looking = scratch.store();
    let mut count = || looking.inspect(&name, NO_TIMEOUT).unwrap().waiting;
    assert_eq!(count(), Some(8));
    released(holder);
    for waiter in &mut waiters {
        // Nobody else is granted the lock before this one gives it back.
        let answer = waiter.answer();
        assert!(answer.contains("Granted"), "{answer}");
        assert!(waiter.order("release").contains("Released"));
    }
    assert_eq!(count(), Some(0));
}

#[test]
fn the_first_in_line_hears_of_the_death_of_the_holder_at_once() {
    let scratch = Scratch::new(0o755);
    // The best of some: on a busy machine any of them may be late.
    let took = (0..5).map(|_| {
        let mut holder = Other::start(&scratch);
        assert!(holder.order("acquire").contains("Granted"));
        let (mut store, run) = (scratch.store(), claim());
        // It has asked for a while: it is not about to ask again by itself.
        while !matches!(
            store.acquire(&run, IN_LINE, NO_TIMEOUT),
            Ok(Acquire::Queued(queued)) if queued.ask_in > Duration::from_millis(500)
        ) {}
        let killed = Instant::now();
        holder.die();
        let answer = wait_in_line(&mut store, &run);
        let took = killed.elapsed();
        assert!(matches!(answer, Acquire::Granted(_)), "{answer:?}");
        released((store, run));
        took
    });
    let best = took.min().unwrap();
    println!("granted {best:?} after the kill, the best of 5");
    assert!(best < Duration::from_millis(100), "{best:?}");
}

#[test]
fn a_stopped_first_in_line_is_passed_over_and_keeps_its_place() {
    let scratch = Scratch::new(0o755);
    let holder = holding(&scratch);
    let mut frozen = waiting(&scratch);
    let mut second = waiting(&scratch);
    let mut third = waiting(&scratch);
    frozen.freeze();
    released(holder);
    assert!(second.answer().contains("Granted"));
    process::thaw(frozen.pid());
    assert!(second.order("release").contains("Released"));
    assert!(frozen.answer().contains("Granted"));
    assert!(frozen.order("release").contains("Released"));
    assert!(third.answer().contains("Granted"));
}

#[test]
fn a_process_without_inotify_waits_all_the_same() {
    if !geteuid().is_root() {
        return; // only root can be somebody else
    }
    let scratch = Scratch::new(0o1777);
    let holder = holding(&scratch);
    let mut other = Other::start_as(&scratch, EXHAUSTED_UID);
    assert!(!other.order("exhaust").contains("answer: 0"));
    let answers: Vec<String> = (0..10).map(|_| other.order("queue")).collect();
    assert!(answers[9].contains("ask_in: 50ms"), "{answers:?}");
    other.tell("wait");
    released(holder);
    assert!(other.answer().contains("Granted"));
}

#[test]
fn a_program_started_while_we_wait_inherits_nothing_of_it() {
    let scratch = Scratch::new(0o755);
    let (holder, mut behind) = (holding(&scratch), scratch.store());
    let (mut store, run) = (scratch.store(), claim());
    let answer = store.acquire(&run, IN_LINE, NO_TIMEOUT);
    assert!(matches!(answer, Ok(Acquire::Queued(_))), "{answer:?}");
    let mut lister = Command::new("sh")
        .args([
            "-c",
            "for fd in /proc/$$/fd/*; do readlink $fd; done; read end",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut listed = String::new();
    let mut lines = BufReader::new(lister.stdout.take().unwrap());
    // Its stdin, its stdout, and whatever the tests were started with.
    while listed.lines().count() < 3 {
        lines.read_line(&mut listed).unwrap();
    }
    // It lives on, and does not keep our place in line.
    drop(store);
    let run = claim();
    match behind.acquire(&run, IN_LINE, NO_TIMEOUT).unwrap() {
        Acquire::Queued(queued) => assert_eq!(queued.place, Some(1)),
        answer => panic!("{answer:?}"),
    }
    released(holder);
    let answer = wait_in_line(&mut behind, &run);
    assert!(matches!(answer, Acquire::Granted(_)), "{answer:?}");
    drop(lister.stdin.take());
    lines.read_to_string(&mut listed).unwrap();
    lister.wait().unwrap();
    for ours in ["inotify", "eventpoll", "eventfd", ".line", ".lock"] {
        assert!(!listed.contains(ours), "{listed}");
    }
}
