//! As the first process of a container.

use nix::sys::signal::Signal;

use super::Bench;
use crate::support::process::{self, descendants, send};
use crate::support::running::Running;
use crate::support::{wait_for_some, wait_until};

/// The process that is PID 1 inside, as it is called outside.
fn first_process(run: &Running) -> i32 {
    wait_for_some(|| descendants(run.pid()).first().copied())
}

#[test]
fn a_command_that_dies_of_a_signal_is_told_by_the_code() {
    let bench = Bench::new();
    for (signal, code) in [("TERM", 143), ("KILL", 137), ("INT", 130), ("HUP", 129)] {
        let run = bench.tasklock().sh(&format!("kill -{signal} $$"));
        run.under(process::pid_one()).run().expect_code(code);
        bench.expect_free();
    }
    let run = bench.tasklock().sh("exit 7").under(process::pid_one());
    run.run().expect_code(7);
}

#[test]
fn a_signal_is_passed_on_though_the_first_process_has_no_default_for_it() {
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130)] {
        let bench = Bench::new();
        let run = bench.tasklock().sh("echo $$ > pid; exec sleep 1000");
        let run = run.under(process::pid_one()).start();
        bench.child();
        send(first_process(&run), signal);
        run.wait().expect_code(code);
        bench.expect_free();
    }
}

#[test]
fn orphans_are_reaped() {
    let bench = Bench::new();
    // A zombie would stay in /proc, and the command would wait for ever.
    let script = "for i in 1 2 3; do
            (sh -c \"echo \\$\\$ > orphan.$i\" &)
            while ! [ -s orphan.$i ]; do :; done
            read pid < orphan.$i
            while [ -e /proc/$pid ]; do :; done
        done";
    let run = bench.tasklock().sh(script).under(process::pid_one()).run();
    run.expect_code(0).expect_silent();
}

#[test]
fn a_forced_stop_ends_orphans_as_well() {
    let bench = Bench::new();
    let script = "trap '' TERM; (setsid sleep 1000 &); sleep 1000";
    let run = bench
        .tasklock()
        .args(["--max-runtime", "300ms", "-k", "300ms"]);
    let run = run.sh(script).under(process::pid_one()).run();
    run.expect_code(124);
    wait_until(|| run.survivors().is_empty());
}
