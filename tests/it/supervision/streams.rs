//! Standard streams that are closed, full, or read by nobody.

use nix::sys::signal::Signal;

use super::Bench;
use crate::support::process::wait_for_end;

/// A shell's words to start what follows.
fn through(script: &str) -> [String; 4] {
    ["sh", "-c", script, "sh"].map(str::to_owned)
}

#[test]
fn closed_streams_disturb_nothing() {
    for redirection in [
        "<&-",
        ">&-",
        "2>&-",
        "<&- >&- 2>&-",
        "2> /dev/full",
        "> /dev/full",
    ] {
        let bench = Bench::new();
        let script = format!("exec \"$@\" {redirection}");
        let run = bench.tasklock().arg("-vv").sh("exit 3");
        run.under(through(&script)).run().expect_code(3);
        // What is said when nothing is run is swallowed as quietly.
        let run = bench.tasklock().args(["--", "./missing"]);
        run.under(through(&script)).run().expect_code(127);
        bench.expect_free();
    }
}

#[test]
fn a_closed_stream_is_not_taken_for_the_lock_or_the_store() {
    // Descriptors 0 to 2 are free then, and the next file to be opened would get them.
    let bench = Bench::new();
    let run = bench.tasklock().sh("echo text; echo text >&2; cat");
    let run = run.under(through("exec \"$@\" <&- >&- 2>&-")).run();
    run.expect_code(0);
    bench.expect_free();
    bench.tasklock().args(["--", "true"]).run().expect_code(0);
}

#[test]
fn a_reader_that_has_gone_away_does_not_end_the_run() {
    let mut bench = Bench::new();
    let script = "{ \"$@\"; echo $? > code; } 2>&1 | { exec <&-; echo gone > reader; }";
    let run = bench.tasklock().arg("-vv");
    let run = run.sh("echo $$ > pid; read _ < gate; exit 3");
    let run = run.under(through(script)).start();
    bench.scratch.wait_for_line("reader");
    bench.child();
    bench.gate.open();
    assert_eq!(bench.scratch.wait_for_line("code"), "3");
    run.wait();
    bench.expect_free();
}

#[test]
fn a_reader_that_does_not_read_does_not_hold_up_a_stop() {
    let bench = Bench::new();
    // A pager at its first page, or a terminal after ^S: the pipe is full.
    let _pipe = bench.scratch.gate("pipe");
    let run = bench
        .tasklock()
        .args(["--max-runtime", "300ms", "-k", "300ms"]);
    let run = run.sh("trap '' TERM; echo $$ > pid; cat /dev/zero >&2; sleep 1000");
    let run = run.under(through("exec \"$@\" 2> pipe")).start();
    let child = bench.child();
    wait_for_end(child);
    run.wait().expect_code(124);
    bench.expect_free();
}

#[test]
fn a_reader_that_does_not_read_does_not_hold_up_a_signal() {
    let bench = Bench::new();
    let _pipe = bench.scratch.gate("pipe");
    let run = bench.tasklock().args(["-vv", "--ttl", "1s"]);
    let run = run.sh("echo $$ > pid; cat /dev/zero >&2; sleep 1000");
    let run = run.under(through("exec \"$@\" 2> pipe")).start();
    bench.child();
    run.signal(Signal::SIGTERM);
    run.wait().expect_signal(Signal::SIGTERM);
    bench.expect_free();
}
