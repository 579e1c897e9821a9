//! A signal at any moment of the start.

use std::time::{Duration, Instant};
use std::{fs, thread};

use nix::sys::signal::Signal;

use super::{Bench, NAME};
use crate::support::redis::Server;
use crate::support::wait_until;

/// How many moments are tried on each store.
const MOMENTS: u32 = 250;

/// How long a whole run takes here, now.
fn a_whole_run(bench: &Bench) -> Duration {
    let start = Instant::now();
    bench.tasklock().args(["--", "true"]).run().expect_code(0);
    start.elapsed()
}

/// Ends runs by TERM, earlier and later in their start, and looks at what is left of each.
fn interrupt_starts(bench: &Bench, is_free: impl Fn() -> bool) {
    // Somewhat more than a start, so that the last ones have their command running.
    let span = a_whole_run(bench).max(Duration::from_millis(8)) * 3 / 2;
    let log = bench.scratch.file("log");
    let written = || fs::metadata(&log).map_or(0, |it| it.len());
    for moment in 0..MOMENTS {
        let run = bench.tasklock().sh("echo started >> log; exec sleep 1000");
        let run = run.start();
        // The one sleep that is no wait for something: it chooses the moment.
        thread::sleep(span * moment / MOMENTS);
        run.signal(Signal::SIGTERM);
        let finished = run.wait();
        finished.expect_signal(Signal::SIGTERM).expect_silent();
        let at_the_end = written();
        assert_eq!(finished.survivors(), [0; 0], "at {moment}: {finished}");
        wait_until(&is_free);
        assert_eq!(written(), at_the_end, "at {moment} something ran on");
    }
}

#[test]
fn a_termination_at_any_moment_of_the_start_leaves_nothing_behind_in_lock_files() {
    use tasklock::store::local::LocalStore;
    use tasklock::store::{LockName, Store};
    let bench = Bench::new();
    let name = LockName::new(NAME).unwrap();
    interrupt_starts(&bench, || {
        let mut store = LocalStore::open(Some(bench.scratch.file("locks")));
        let status = store.inspect(&name, Duration::ZERO).unwrap();
        status.slots[0].held.is_none()
    });
}

#[test]
fn a_termination_at_any_moment_of_the_start_leaves_nothing_behind_in_redis() {
    let server = Server::start();
    let bench = Bench::on(server.url());
    interrupt_starts(&bench, || server.text(&["GET", "task_lock:job"]).is_none());
    let after = bench.tasklock().args(["--", "true"]).run();
    after.expect_code(0).expect_silent();
}
