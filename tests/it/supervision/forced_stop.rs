//! When tasklock itself stops the command: nothing of it is left.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::{Bench, NAME};
use crate::support::process::{freeze, start_time};
use crate::support::redis::Server;
use crate::support::running::{Finished, Running};
use crate::support::tasklock::Tasklock;
use crate::support::wait_until;

/// A shell, children in its group, in a session of their own, and orphans: eight processes.
const TREE: &str = "
    sleep 1000 & sleep 1000 &
    setsid sleep 1000 &
    setsid sh -c 'sleep 1000 & sleep 1000; :' &
    (setsid sleep 1000 &)
    wait";
const TREE_SIZE: usize = 8;

/// Makes it ignore TERM, and all below it.
fn stubborn(script: &str) -> String {
    format!("trap '' TERM\n{script}")
}

/// The processes of the command that are alive.
fn command_of(run: &Running) -> Vec<i32> {
    let mut processes = run.processes();
    processes.retain(|&pid| pid != run.pid());
    processes
}

#[track_caller]
fn expect_nothing_left(finished: &Finished) {
    assert_eq!(finished.survivors(), [0; 0], "{finished}");
}

/// The lock is freed by force, which the next refresh finds out.
fn lose(bench: &Bench) {
    let unlock = Tasklock::new().args(["unlock", "--force", NAME]);
    unlock.url(&bench.url).run().expect_code(0);
}

#[test]
fn a_time_limit_ends_the_whole_tree() {
    for script in [TREE.to_owned(), stubborn(TREE)] {
        let bench = Bench::new();
        let run = bench
            .tasklock()
            .args(["--max-runtime", "1s", "-k", "300ms"]);
        let finished = run.sh(&script).run();
        finished.expect_code(124).expect_stderr("--max-runtime 1s");
        expect_nothing_left(&finished);
        bench.expect_free();
    }
}

#[test]
fn a_lost_lock_ends_the_whole_tree() {
    let server = Server::start();
    for bench in [Bench::new(), Bench::on(server.url())] {
        let run = bench.tasklock().args(["--ttl", "3s", "-k", "300ms"]);
        let run = run.sh(&stubborn(TREE)).start();
        wait_until(|| command_of(&run).len() == TREE_SIZE);
        lose(&bench);
        let finished = run.wait();
        finished.expect_code(79).expect_stderr("lost \"job\"");
        expect_nothing_left(&finished);
    }
}

#[test]
fn those_that_obey_get_the_time_they_were_promised() {
    let mut bench = Bench::new();
    // The clean-up takes as long as the gate is shut, and that is within the 30 s.
    let script = "trap 'echo TERM >> got; read _ < gate; echo clean > done; exit 3' TERM
        echo $$ > pid; while :; do sleep 0.02; done";
    let run = bench
        .tasklock()
        .args(["--max-runtime", "300ms", "-k", "30s"]);
    let run = run.args(["--ttl", "600s"]).sh(script).start();
    bench.wait_for_signals(1);
    bench.gate.open();
    let finished = run.wait();
    finished.expect_code(124);
    assert_eq!(bench.scratch.read("done"), "clean\n");
}

#[test]
fn the_kill_comes_at_its_time_and_not_before() {
    let bench = Bench::new();
    let run = bench
        .tasklock()
        .args(["--max-runtime", "200ms", "-k", "300ms"]);
    let run = run.sh(&stubborn("while :; do read _ < gate; done")).run();
    run.expect_code(124);
    assert!(run.elapsed >= Duration::from_millis(500), "{run}");
    assert!(run.elapsed < Duration::from_secs(5), "{run}");
}

#[test]
fn the_signal_of_the_stop_can_be_chosen() {
    let bench = Bench::new();
    let script = "trap 'echo INT >> got; exit 0' INT; trap 'echo TERM >> got' TERM
        echo $$ > pid; while :; do sleep 0.02; done";
    let run = bench
        .tasklock()
        .args(["--max-runtime", "300ms", "--signal", "INT"]);
    run.sh(script).run().expect_code(124);
    assert_eq!(bench.got(), ["INT"]);
}

#[test]
fn what_a_command_leaves_behind_in_peace_is_left_alone() {
    let bench = Bench::new();
    let script = "setsid sh -c 'echo $$ > pid; exec sleep 1000' & sleep 1000 &
        while ! [ -s pid ]; do :; done; exit 4";
    let finished = bench.tasklock().sh(script).run();
    finished.expect_code(4).expect_silent();
    assert!(finished.survivors().contains(&bench.child()));
    assert_eq!(finished.survivors().len(), 2);
    bench.expect_free();
}

#[test]
fn a_command_that_is_stopped_is_woken_and_ended() {
    for (script, told) in [
        (
            "trap 'echo TERM >> got; exit 0' TERM; echo $$ > pid; while :; do sleep 0.02; done",
            1,
        ),
        (
            "trap '' TERM; echo $$ > pid; while :; do read _ < gate; done",
            0,
        ),
    ] {
        let bench = Bench::new();
        let run = bench.tasklock().args(["--ttl", "3s", "-k", "300ms"]);
        let run = run.sh(script).start();
        freeze(bench.child());
        lose(&bench);
        let finished = run.wait();
        finished.expect_code(79);
        expect_nothing_left(&finished);
        assert_eq!(bench.got().len(), told);
    }
}

#[test]
fn a_command_that_forks_faster_than_we_look_is_caught() {
    let bench = Bench::new();
    // Each starts the next in a session of its own and is gone: 5000 in a row at
    // most, so that a failure ends as well.
    let script = "trap '' TERM; echo $1 > count; [ $1 -lt 5000 ] && setsid sh ./next $(($1 + 1)) &";
    bench.scratch.write("next", script);
    let run = bench
        .tasklock()
        .args(["--max-runtime", "300ms", "-k", "100ms"]);
    let finished = run.sh("trap '' TERM; sh ./next 1; sleep 1000").run();
    finished.expect_code(124);
    expect_nothing_left(&finished);
    let count: u32 = bench.scratch.read("count").trim().parse().unwrap_or(0);
    assert!(count < 5000, "it ran out by itself");
}

#[test]
fn a_command_with_many_children_is_ended_with_all_of_them() {
    let bench = Bench::new();
    let script =
        "i=0; while [ $i -lt 100 ]; do setsid sleep 1000 & i=$((i + 1)); done; echo $$ > pid; wait";
    let run = bench.tasklock().args(["--ttl", "3s", "-k", "300ms"]);
    let run = run.sh(&stubborn(script)).start();
    bench.child();
    lose(&bench);
    let finished = run.wait();
    finished.expect_code(79);
    expect_nothing_left(&finished);
}

#[test]
fn what_we_were_given_by_the_shell_before_us_is_not_the_command_s() {
    let bench = Bench::new();
    // `exec` makes the children of the shell ours: `exec tasklock … > >(tee log)` does so.
    let script = "sleep 1000 & echo $! > before; exec \"$@\"";
    let run = bench
        .tasklock()
        .args(["--max-runtime", "300ms", "-k", "300ms"]);
    let run = run.sh("sleep 1000 & sleep 1000; :");
    let finished = run.under(["sh", "-c", script, "sh"]).run();
    finished.expect_code(124);
    let before = bench.scratch.wait_for_pid("before");
    assert_eq!(finished.survivors(), [before]);
    assert!(start_time(before).is_some());
}

#[test]
fn a_forwarded_signal_does_not_shorten_a_forced_stop_nor_undo_it() {
    let bench = Bench::new();
    let script = "trap 'echo TERM >> got' TERM; trap 'echo USR1 >> got' USR1
        echo $$ > pid; while :; do sleep 0.02; done";
    let run = bench
        .tasklock()
        .args(["--max-runtime", "300ms", "-k", "2s"]);
    let run = run.sh(script).start();
    bench.wait_for_signals(1);
    run.signal(Signal::SIGUSR1);
    bench.wait_for_signals(2);
    let finished = run.wait();
    finished.expect_code(124);
    assert_eq!(bench.got(), ["TERM", "USR1"]);
    assert!(
        finished.elapsed >= Duration::from_millis(2300),
        "{finished}"
    );
}
