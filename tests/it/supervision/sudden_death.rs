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
    wait_for_end(child);
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
