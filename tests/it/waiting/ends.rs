//! How a wait ends without the lock.

use std::time::Duration;

use nix::sys::signal::Signal;
use std::os::unix::process::ExitStatusExt;

use super::{Holder, Place, on_every_store, start_waiting, tasklock};
use crate::support::proxy::Proxy;
use crate::support::redis::Server;

on_every_store! {
    a_signal_ends_the_wait_at_once_and_nothing_runs
    a_ctrl_c_ends_the_wait_and_takes_its_line_away
    a_wait_that_is_over_is_skipped_and_says_who_has_the_lock
    the_conflict_exit_code_is_also_that_of_a_wait
    a_wait_of_no_time_is_a_single_try
    a_run_does_not_wait_for_its_own_ancestor
    a_waiter_that_meets_a_cooldown_is_skipped
    a_waiter_whose_work_is_done_is_skipped
    a_delayed_start_ends_at_a_signal_and_has_asked_for_nothing
}

/// From the signal to the end of the wait: 200 ms for the withdrawal, and slack for a busy machine.
const AT_ONCE: Duration = Duration::from_secs(2);

fn a_signal_ends_the_wait_at_once_and_nothing_runs(place: &Place) {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let holder = place.hold();
        let waiter = start_waiting(place.patient(), "echo ran");
        let sent = std::time::Instant::now();
        waiter.signal(signal);
        let finished = waiter.wait();
        assert!(sent.elapsed() < AT_ONCE, "{finished}");
        finished.expect_signal(signal).expect_stdout("");
        assert_eq!(finished.stderr.lines().count(), 1, "{finished}");
        holder.finish();
        place.expect_free();
    }
}

fn a_ctrl_c_ends_the_wait_and_takes_its_line_away(place: &Place) {
    let holder = place.hold();
    let run = place.patient().env("TERM", "xterm").sh("echo ran");
    let mut terminal = run.on_terminal();
    terminal.wait_for("waiting for");
    terminal.type_keys("\x03");
    assert_eq!(terminal.wait().signal(), Some(Signal::SIGINT as i32));
    terminal.wait_for("\r\x1b[2K");
    holder.finish();
    place.expect_free();
    assert!(!terminal.screen().contains("ran"));
}

fn a_wait_that_is_over_is_skipped_and_says_who_has_the_lock(place: &Place) {
    let holder = place.hold();
    let run = place.tasklock().args(["--wait", "300ms"]);
    let finished = run.sh("echo ran").run();
    finished.expect_code(75).expect_stdout("");
    assert!(finished.elapsed >= Duration::from_millis(300));
    finished.expect_stderr("skipped: waited ");
    finished.expect_stderr("held by root@web3 pid ");
    holder.finish();
    place.expect_free();
}

fn the_conflict_exit_code_is_also_that_of_a_wait(place: &Place) {
    let holder = place.hold();
    let run = place.tasklock().args(["-w", "0.05", "-E", "3"]);
    run.sh("echo ran").run().expect_code(3).expect_stdout("");
    holder.finish();
}

fn a_wait_of_no_time_is_a_single_try(place: &Place) {
    let holder = place.hold();
    let finished = place.tasklock().args(["--wait", "0"]).sh("echo ran").run();
    finished.expect_code(75).expect_stdout("");
    assert!(!finished.stderr.contains("wait"), "{finished}");
    holder.finish();
}

fn a_run_does_not_wait_for_its_own_ancestor(place: &Place) {
    let inner = "exec \"$0\" --name job --url \"$1\" --wait forever -- echo inner";
    let program = env!("CARGO_BIN_EXE_tasklock");
    let outer = place.tasklock().args(["--", "/bin/sh", "-c", inner]);
    let finished = outer.args([program, &place.url]).run();
    finished.expect_code(64).expect_stdout("");
    finished.expect_stderr("already held by this job");
    place.expect_free();
}

fn a_waiter_that_meets_a_cooldown_is_skipped(place: &Place) {
    let holder = Holder::start(place.tasklock().args(["--min-hold", "1h"]));
    let waiter = start_waiting(place.patient(), "echo ran");
    holder.finish();
    let finished = waiter.wait();
    finished.expect_code(75).expect_stdout("");
    finished.expect_stderr("cooling down");
}

fn a_waiter_whose_work_is_done_is_skipped(place: &Place) {
    for once in [["--once-per", "1h"], ["--once-key", "today"]] {
        let name = once[0].trim_start_matches('-');
        let run = || place.patient().args(["--name", name]).args(once);
        let holder = Holder::start(run());
        let waiter = start_waiting(run(), "echo ran");
        holder.finish();
        let finished = waiter.wait();
        finished.expect_code(75).expect_stdout("");
        finished.expect_stderr("skipped:");
        finished.expect_stderr("done");
    }
}

fn a_delayed_start_ends_at_a_signal_and_has_asked_for_nothing(place: &Place) {
    let waiter = place.tasklock().args(["--jitter", "30d"]).sh("echo ran");
    let waiter = waiter.start();
    // The signal is caught from the start on: the run dies of it either way.
    waiter.signal(Signal::SIGTERM);
    let finished = waiter.wait();
    finished.expect_signal(Signal::SIGTERM).expect_stdout("");
    finished.expect_silent();
    place.expect_free();
}

#[test]
fn a_store_that_stays_away_ends_the_wait_as_unavailable() {
    let server = Server::start();
    let holder = Holder::start(tasklock(&server.url()));
    let run = tasklock(&server.url()).args(["--wait", "4s"]);
    let waiter = start_waiting(run, "echo ran");
    server.kill();
    let finished = waiter.wait();
    finished.expect_code(69).expect_stdout("");
    finished.expect_stderr("(nothing was run)");
    // It waits to the end, and says once that it waits for the store now.
    assert!(finished.elapsed >= Duration::from_secs(4), "{finished}");
    let said = finished.stderr.matches("; trying again").count();
    assert_eq!(said, 1, "{finished}");
    drop(holder);
}

#[test]
fn a_wait_rides_out_an_outage() {
    let server = Server::start();
    let proxy = Proxy::start(server.address());
    let holder = Holder::start(tasklock(&server.url()));
    let run = tasklock(&proxy.url()).args(["--wait", "10m"]);
    let waiter = start_waiting(run, "echo ran");
    proxy.refuse();
    proxy.cut();
    holder.finish();
    proxy.accept();
    waiter.wait().expect_code(0).expect_stdout("ran\n");
}
