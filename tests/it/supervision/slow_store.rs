//! Signals while the store is slow.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::{Bench, requests, wait_until_heard};
use crate::support::proxy::{Mode, Proxy};
use crate::support::redis::Server;
use crate::support::running::Running;
use crate::support::tasklock::Tasklock;
use crate::support::wait_until;

/// What stands in every request that takes or refreshes the lock, and in no other.
const MARK: &str = "marked-by-the-test";

/// From a signal to the end of a run that waits.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A server, a proxy before it, and a bench that goes through it.
fn behind_a_proxy() -> (Server, Proxy, Bench) {
    let server = Server::start();
    let proxy = Proxy::start(server.address());
    let bench = Bench::on(proxy.url());
    (server, proxy, bench)
}

/// A run that would wait for the store for 20 s.
fn patient(bench: &Bench) -> Tasklock {
    let patient = bench.tasklock().args(["--ttl", "600s"]);
    let patient = patient.args(["--store-timeout", "20s"]);
    patient.args(["--reason", MARK]).sh("echo ran > ran")
}

fn key(server: &Server) -> Option<String> {
    server.text(&["GET", "task_lock:job"])
}

/// Ends the run by `signal`, at once and with nothing run.
#[track_caller]
fn interrupt(bench: &Bench, run: Running, signal: Signal) {
    let sent = Instant::now();
    run.signal(signal);
    run.wait().expect_signal(signal);
    assert!(sent.elapsed() < AT_ONCE, "{:?}", sent.elapsed());
    assert_eq!(bench.scratch.read("ran"), "");
}

#[test]
fn a_signal_ends_the_wait_for_a_store_that_does_not_answer() {
    let (_server, proxy, bench) = behind_a_proxy();
    proxy.set(Mode::BlackHole);
    for signal in [
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGQUIT,
    ] {
        let before = proxy.requests().len();
        let mut run = patient(&bench).start();
        proxy.wait_for_requests(before + 1);
        // Nobody is there to be given these, and a stray one ends nothing.
        for stray in [Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGALRM] {
            run.signal(stray);
        }
        wait_until_heard(run.pid());
        assert!(run.is_running());
        interrupt(&bench, run, signal);
    }
}

#[test]
fn a_signal_ends_the_wait_for_a_frozen_server_and_leaves_no_lock_when_it_thaws() {
    let (server, proxy, bench) = behind_a_proxy();
    let monitor = server.monitor();
    server.freeze();
    let run = patient(&bench).start();
    proxy.wait_for_requests(1);
    interrupt(&bench, run, Signal::SIGTERM);
    // What takes it back has been sent by now, and arrives with the request
    // itself, which was made twice: in place, and in the keeper's thread.
    proxy.wait_for_requests(3);
    server.thaw();
    wait_until(|| requests(&monitor) == 3);
    assert_eq!(key(&server), None);
    bench.expect_free();
}

#[test]
fn a_request_that_arrives_after_it_was_taken_back_does_not_become_a_holder() {
    let (server, proxy, bench) = behind_a_proxy();
    let monitor = server.monitor();
    proxy.hold_request(MARK);
    let run = patient(&bench).start();
    proxy.wait_for_hold();
    interrupt(&bench, run, Signal::SIGINT);
    wait_until(|| key(&server).is_none() && taken_back(&server));
    let before = requests(&monitor);
    proxy.let_go();
    wait_until(|| requests(&monitor) > before);
    assert_eq!(key(&server), None);
    bench.expect_free();
}

#[test]
fn a_request_that_arrives_when_its_run_is_over_does_not_become_a_holder() {
    let (server, proxy, bench) = behind_a_proxy();
    let monitor = server.monitor();
    proxy.hold_request(MARK);
    patient(&bench).run().expect_code(0).expect_silent();
    assert_eq!(bench.scratch.read("ran"), "ran\n");
    let before = requests(&monitor);
    proxy.let_go();
    wait_until(|| requests(&monitor) > before);
    assert_eq!(key(&server), None);
    bench.expect_free();
}

/// The token of the run has been recorded as one that is never granted again.
fn taken_back(server: &Server) -> bool {
    server
        .text(&["HGET", "{task_lock:job}:st", "rel"])
        .is_some()
}

#[test]
fn a_lock_that_was_granted_as_the_signal_came_is_given_back() {
    let (server, proxy, bench) = behind_a_proxy();
    proxy.set(Mode::SwallowReplies);
    let run = patient(&bench).start();
    wait_until(|| key(&server).is_some());
    interrupt(&bench, run, Signal::SIGTERM);
    wait_until(|| key(&server).is_none());
}

/// A run whose command ends with 3 while no reply comes from the store any more.
fn releasing(proxy: &Proxy, bench: &mut Bench) -> Running {
    let run = bench.tasklock().args(["--ttl", "600s"]);
    let run = run.sh("echo $$ > pid; read _ < gate; exit 3").start();
    bench.child();
    proxy.set(Mode::BlackHole);
    let before = proxy.requests().len();
    bench.gate.open();
    proxy.wait_for_requests(before + 1);
    run
}

#[test]
fn a_release_without_an_answer_keeps_the_code_and_is_told() {
    let (_server, proxy, mut bench) = behind_a_proxy();
    let run = releasing(&proxy, &mut bench);
    let since = Instant::now();
    let finished = run.wait();
    finished
        .expect_code(3)
        .expect_stderr("could not release \"job\"");
    assert_eq!(finished.stderr.lines().count(), 1, "{finished}");
    assert!(since.elapsed() < Duration::from_secs(4), "{finished}");
}

#[test]
fn the_first_signal_while_releasing_is_noted_and_the_second_ends_it() {
    let (_server, proxy, mut bench) = behind_a_proxy();
    let mut run = releasing(&proxy, &mut bench);
    let since = Instant::now();
    run.signal(Signal::SIGTERM);
    wait_until_heard(run.pid());
    assert!(run.is_running());
    run.signal(Signal::SIGTERM);
    let finished = run.wait();
    assert!(since.elapsed() < AT_ONCE, "{:?}", since.elapsed());
    // The command had ended by itself: its code is the outcome, and the lock is left behind.
    finished
        .expect_code(3)
        .expect_stderr("could not release \"job\"");
}

#[test]
fn a_signal_while_releasing_does_not_cost_the_release() {
    let (server, proxy, mut bench) = behind_a_proxy();
    let run = bench.tasklock().sh("echo $$ > pid; read _ < gate; exit 3");
    let run = run.start();
    bench.child();
    let before = proxy.requests().len();
    proxy.hold_request("eval");
    bench.gate.open();
    proxy.wait_for_hold();
    assert!(proxy.requests().len() > before);
    run.signal(Signal::SIGINT);
    wait_until_heard(run.pid());
    proxy.let_go();
    run.wait().expect_code(3).expect_silent();
    assert_eq!(key(&server), None);
}
