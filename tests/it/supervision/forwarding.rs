//! Signals without a terminal: each reaches the command, and once.

use nix::sys::signal::Signal;

use super::{Bench, NOTE_SIGNALS, requests, wait_until_heard};
use crate::support::process::{freeze, group, parent, send, stopped, thaw};
use crate::support::redis::Server;
use crate::support::{some_within, wait_until};

/// All that are passed on.
const PASSED_ON: [Signal; 7] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
];

fn names(signals: &[Signal]) -> Vec<&str> {
    let names = signals.iter().map(|signal| signal.as_str());
    names.map(|name| name.trim_start_matches("SIG")).collect()
}

#[test]
fn each_signal_to_the_run_or_its_group_reaches_the_command_once() {
    let bench = Bench::new();
    let run = bench.tasklock().sh(NOTE_SIGNALS).start();
    let child = bench.child();
    assert_eq!(group(child), Some(child), "the child leads its own group");
    let mut sent = Vec::new();
    for signal in PASSED_ON {
        run.signal(signal);
        sent.push(signal);
        bench.wait_for_signals(sent.len());
        run.signal_group(signal);
        sent.push(signal);
        bench.wait_for_signals(sent.len());
    }
    bench.let_end();
    run.wait().expect_code(0).expect_silent();
    assert_eq!(bench.got(), names(&sent));
}

#[test]
fn a_hundred_signals_one_after_another_are_a_hundred() {
    let bench = Bench::new();
    let run = bench.tasklock().sh(NOTE_SIGNALS).start();
    bench.child();
    for count in 1..=100 {
        run.signal(Signal::SIGTERM);
        bench.wait_for_signals(count);
    }
    bench.let_end();
    run.wait().expect_code(0);
    assert_eq!(bench.got(), ["TERM"; 100]);
}

#[test]
fn a_signal_reaches_the_whole_group_of_the_command() {
    let bench = Bench::new();
    let script = "trap 'wait; exit 7' USR1; sh -c 'trap \"echo below >> got; exit\" USR1; \
                  echo $$ > pid; while :; do sleep 0.02; done' & wait";
    let run = bench.tasklock().sh(script).start();
    bench.child();
    run.signal(Signal::SIGUSR1);
    run.wait().expect_code(7);
    assert_eq!(bench.got(), ["below"]);
}

#[test]
fn a_command_that_handles_a_signal_decides_the_code() {
    let bench = Bench::new();
    for (handler, code) in [("exit 0", 0), ("exit 9", 9)] {
        let script = format!(
            "exec 2> /dev/null; trap '{handler}' TERM; echo $$ > pid; while :; do sleep 0.02; done"
        );
        let run = bench.tasklock().sh(&script).start();
        bench.child();
        run.signal(Signal::SIGTERM);
        run.wait().expect_code(code).expect_silent();
        std::fs::remove_file(bench.scratch.file("pid")).unwrap();
        bench.expect_free();
    }
}

#[test]
fn in_the_foreground_the_command_stays_in_our_group_and_is_signalled_alone() {
    let bench = Bench::new();
    let run = bench
        .tasklock()
        .arg("--foreground")
        .sh(NOTE_SIGNALS)
        .start();
    let child = bench.child();
    assert_eq!(group(child), Some(run.pid()));
    run.signal(Signal::SIGTERM);
    bench.wait_for_signals(1);
    bench.let_end();
    run.wait().expect_code(0);
    assert_eq!(bench.got(), ["TERM"]);
}

#[test]
fn a_run_that_was_stopped_passes_the_continuation_on_and_looks_at_its_lease() {
    let server = Server::start();
    let monitor = server.monitor();
    let bench = Bench::on(server.url());
    // The first refresh comes after a second, the next one would after a hundred.
    let run = bench.tasklock().args(["--ttl", "600s", "-vv"]);
    let mut run = run.sh(NOTE_SIGNALS).start();
    bench.child();
    run.wait_for_stderr("refreshed");
    let before = requests(&monitor);
    freeze(run.pid());
    thaw(run.pid());
    wait_until(|| requests(&monitor) == before + 1);
    bench.wait_for_signals(1);
    bench.let_end();
    run.wait().expect_code(0);
    assert_eq!(bench.got(), ["CONT"]);
}

#[test]
fn a_command_that_is_stopped_alone_leaves_the_run_awake_and_refreshing() {
    let server = Server::start();
    let monitor = server.monitor();
    let bench = Bench::on(server.url());
    let run = bench.tasklock().args(["--ttl", "6s"]).sh(NOTE_SIGNALS);
    let run = run.start();
    let child = bench.child();
    freeze(child);
    let before = requests(&monitor);
    wait_until(|| requests(&monitor) >= before + 3);
    assert!(stopped(child) && !stopped(run.pid()));
    thaw(child);
    bench.wait_for_signals(1);
    bench.let_end();
    run.wait().expect_code(0);
}

#[test]
fn signals_that_are_not_ours_are_not_passed_on() {
    let bench = Bench::new();
    let run = bench.tasklock().sh(NOTE_SIGNALS).start();
    bench.child();
    for signal in [Signal::SIGWINCH, Signal::SIGURG, Signal::SIGCHLD] {
        run.signal(signal);
    }
    wait_until_heard(run.pid());
    bench.let_end();
    run.wait().expect_code(0);
    assert_eq!(bench.got(), [""; 0]);
}

#[test]
fn a_signal_to_the_command_itself_is_its_own_affair() {
    let bench = Bench::new();
    let run = bench
        .tasklock()
        .sh("echo $$ > pid; exec sleep 1000")
        .start();
    let child = bench.child();
    assert_eq!(parent(child), Some(run.pid()));
    send(child, Signal::SIGINT);
    run.wait().expect_signal(Signal::SIGINT).expect_silent();
    bench.expect_free();
}

#[test]
fn nothing_but_the_user_kills_a_command_that_takes_its_time_to_end() {
    let bench = Bench::new();
    let script = "trap 'echo TERM >> got' TERM; echo $$ > pid; while :; do sleep 0.02; done";
    let mut run = bench.tasklock().args(["-k", "10ms"]).sh(script).start();
    bench.child();
    run.signal(Signal::SIGTERM);
    bench.wait_for_signals(1);
    // Far longer than --kill-after, which counts from a stop of our own only.
    let ended = some_within(std::time::Duration::from_millis(200), || {
        (!run.is_running()).then_some(())
    });
    assert_eq!(ended, None);
    run.signal(Signal::SIGTERM);
    bench.wait_for_signals(2);
    send(bench.child(), Signal::SIGKILL);
    run.wait().expect_signal(Signal::SIGKILL);
}
