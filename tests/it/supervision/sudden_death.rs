//! `kill -9` of tasklock itself.

use nix::sys::signal::Signal;

use super::Bench;
use crate::support::process::{alive, wait_for_end};

#[test]
fn the_command_dies_with_us_and_the_lock_is_free_at_once() {
    let bench = Bench::new();
    let run = bench
        .tasklock()
        .sh("trap '' TERM; echo $$ > pid; while :; do read _ < gate; done");
    let run = run.start();
    let child = bench.child();
    run.signal(Signal::SIGKILL);
    run.wait().expect_signal(Signal::SIGKILL);
    bench
        .tasklock()
        .args(["--", "true"])
        .run()
        .expect_code(0)
        .expect_silent();
    assert!(!alive(child));
}

/// Each round leaves a command that takes the kernel some ms to end, as it has to take its memory
/// apart, while the next run stands in line already. The kernel's account of who is there: what
/// the command has locked is free when its files are closed.
#[test]
fn no_run_meets_the_command_of_one_that_was_killed() {
    const ROUNDS: usize = 10;
    let bench = Bench::new();
    let start = |round: usize| {
        let run = bench.tasklock().args(["--wait", "10m"]);
        run.sh(&format!(
            "exec 9>> there; flock -n 9 || echo {round} >> met
            memory=$(head -c 60000000 /dev/zero | tr '\\0' x)
            echo $$ > pid{round}; read _ < gate"
        ))
        .start()
    };
    let mut run = start(0);
    for round in 1..=ROUNDS {
        bench.scratch.wait_for_pid(&format!("pid{}", round - 1));
        let mut next = start(round);
        next.wait_for_stderr("waiting");
        run.signal(Signal::SIGKILL);
        run.wait().expect_signal(Signal::SIGKILL);
        run = next;
    }
    bench.scratch.wait_for_pid(&format!("pid{ROUNDS}"));
    assert_eq!(bench.scratch.read("met"), "");
}

/// As one that changes its user does, for which the kernel forgets that it is to die.
#[test]
fn a_command_that_the_kernel_does_not_end_with_us_keeps_the_lock() {
    let mut bench = Bench::new();
    let run = bench.tasklock();
    let run = run.args(["--", "setpriv", "--pdeathsig", "clear", "/bin/sh", "-c"]);
    let run = run.arg("echo $$ > pid; read _ < gate").start();
    let child = bench.child();
    run.signal(Signal::SIGKILL);
    let pid = run.pid();
    // Kept: with it goes what the run left.
    let finished = run.wait();
    finished.expect_signal(Signal::SIGKILL);
    let refused = bench.tasklock().args(["--", "true"]).run();
    refused.expect_code(75);
    refused.expect_stderr(&format!("pid {pid}"));
    let waiter = bench.tasklock().args(["--wait", "10m"]);
    let mut waiter = waiter.sh("echo now > ran").start();
    waiter.wait_for_stderr("waiting");
    assert!(alive(child));
    assert_eq!(bench.scratch.read("ran"), "");
    bench.gate.open();
    waiter.wait().expect_code(0);
    assert!(!alive(child));
    assert_eq!(bench.scratch.read("ran"), "now\n");
}

#[test]
fn the_command_lives_on_when_a_lost_lock_is_no_reason_to_stop_it() {
    let mut bench = Bench::new();
    let run = bench.tasklock().args(["--on-lost", "continue"]);
    let run = run
        .sh("echo $$ > pid; read _ < gate; echo end > done")
        .start();
    let child = bench.child();
    run.signal(Signal::SIGKILL);
    let finished = run.wait();
    finished.expect_signal(Signal::SIGKILL);
    bench.expect_free();
    assert!(alive(child));
    bench.gate.open();
    assert_eq!(bench.scratch.wait_for_line("done"), "end");
    wait_for_end(child);
}
