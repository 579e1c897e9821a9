//! At a terminal: keys, job control, hang-ups.

use std::os::unix::process::ExitStatusExt;

use nix::sys::signal::Signal;

use super::{Bench, NOTE_SIGNALS};
use crate::support::process::{self, alive, group, parent, send, stopped};
use crate::support::pty::Terminal;
use crate::support::wait_until;

/// An interactive bash in the directory of `bench`.
fn bash(bench: &Bench) -> Terminal {
    let mut terminal = Terminal::bash();
    terminal.shell(&format!("cd {}", bench.scratch.path().display()));
    terminal
}

/// What `$?` is in the shell.
#[track_caller]
fn status(terminal: &mut Terminal) -> String {
    terminal.shell("echo $?").trim().to_owned()
}

#[test]
fn every_interrupt_from_the_keyboard_reaches_the_command_once() {
    for (key, name) in [("\x03", "INT"), ("\x1c", "QUIT")] {
        let bench = Bench::new();
        let mut terminal = bench.tasklock().sh(NOTE_SIGNALS).on_terminal();
        bench.child();
        for count in 1..=100 {
            terminal.type_keys(key);
            bench.wait_for_signals(count);
        }
        bench.let_end();
        assert_eq!(terminal.wait().code(), Some(0));
        assert_eq!(bench.got(), [name; 100]);
    }
}

#[test]
fn a_command_that_dies_of_the_keyboard_takes_the_run_along() {
    for (key, signal) in [("\x03", Signal::SIGINT), ("\x1c", Signal::SIGQUIT)] {
        let bench = Bench::new();
        let run = bench
            .tasklock()
            .sh("ulimit -c 0; echo ready; exec sleep 1000");
        let mut terminal = run.on_terminal();
        terminal.wait_for("ready");
        terminal.type_keys(key);
        assert_eq!(terminal.wait().signal(), Some(signal as i32));
        bench.expect_free();
    }
}

#[test]
fn a_loop_in_a_shell_stops_at_an_interrupt() {
    for shell in ["bash", "sh"] {
        let bench = Bench::new();
        let words = bench.words();
        let script = format!(
            "for i in 1 2 3; do {words} sh -c 'echo round; exec sleep 1000'; echo after; done"
        );
        bench.scratch.write("loop", script);
        let mut terminal = bash(&bench);
        terminal.type_line(&format!("{shell} loop"));
        terminal.wait_for("round");
        terminal.type_keys("\x03");
        let shown = terminal.wait_for_prompt();
        assert_eq!(status(&mut terminal), "130", "{shell}");
        assert!(!shown.contains("after"), "{shell}: {shown}");
        bench.expect_free();
    }
}

#[test]
fn a_loop_goes_on_when_the_command_lives_through_the_interrupt() {
    let bench = Bench::new();
    let words = bench.words();
    let command = "trap 'exit 0' INT; echo round; while :; do sleep 0.02; done";
    let script = format!("for i in 1 2; do {words} sh -c \"{command}\"; echo after; done");
    bench.scratch.write("loop", script);
    let mut terminal = bash(&bench);
    terminal.type_line("bash loop");
    for _ in 0..2 {
        terminal.wait_for("round");
        terminal.type_keys("\x03");
        terminal.wait_for("after");
    }
    terminal.wait_for_prompt();
    assert_eq!(status(&mut terminal), "0");
}

#[test]
fn a_command_in_a_script_reads_from_the_terminal() {
    let bench = Bench::new();
    let words = bench.words();
    let script = format!("{words} sh -c 'echo ready; read word; echo \"<$word>\"'; echo \"rc $?\"");
    bench.scratch.write("script", script);
    let mut terminal = bash(&bench);
    terminal.type_line("sh script");
    terminal.wait_for("ready");
    terminal.type_line("hello");
    terminal.wait_for("<hello>");
    terminal.wait_for("rc 0");
    terminal.wait_for_prompt();
}

#[test]
fn a_job_is_suspended_and_resumed_from_the_keyboard() {
    let bench = Bench::new();
    let words = bench.words();
    let mut terminal = bash(&bench);
    terminal.type_line(&format!(
        "{words} sh -c 'echo $$ > pid; echo ready; read word; echo \"<$word>\"; exit 9'"
    ));
    terminal.wait_for("ready");
    let child = bench.child();
    let run = parent(child).unwrap();
    assert_eq!(group(child), group(run));
    for _ in 0..3 {
        terminal.type_keys("\x1a");
        assert!(terminal.wait_for_prompt().contains("Stopped"));
        wait_until(|| stopped(child) && stopped(run));
        terminal.type_line("fg");
        terminal.wait_for("read word"); // bash repeats the command
        wait_until(|| !stopped(child) && !stopped(run));
    }
    terminal.type_line("hello");
    terminal.wait_for("<hello>");
    terminal.wait_for_prompt();
    assert_eq!(status(&mut terminal), "9");
}

#[test]
fn a_shell_under_the_lock_can_be_suspended_and_resumed() {
    let bench = Bench::new();
    let words = bench.words();
    let mut terminal = bash(&bench);
    let inner = "bash --norc --noprofile --noediting -i";
    terminal.shell(&format!("{words} {inner}"));
    terminal.shell("echo $$ > pid");
    let child = bench.child();
    assert_ne!(child, terminal.pid());
    for _ in 0..3 {
        terminal.type_line("suspend");
        assert!(terminal.wait_for_prompt().contains("Stopped"));
        assert!(stopped(child));
        assert_eq!(terminal.shell("echo $$").trim(), terminal.pid().to_string());
        terminal.type_line("fg");
        terminal.wait_for_prompt();
        assert_eq!(terminal.shell("echo $$").trim(), child.to_string());
    }
    terminal.type_line("exit 9");
    terminal.wait_for_prompt();
    assert_eq!(status(&mut terminal), "9");
    bench.expect_free();
}

#[test]
fn a_hang_up_reaches_the_command_and_the_lock_is_released() {
    let script = "trap 'echo HUP >> got; exit 5' HUP; echo $$ > pid; while :; do sleep 0.02; done";
    let bench = Bench::new();
    let mut terminal = bench.tasklock().sh(script).on_terminal();
    bench.child();
    terminal.hang_up();
    assert_eq!(terminal.wait().code(), Some(5));
    assert_eq!(bench.got()[0], "HUP");
    bench.expect_free();

    // As a job of a shell, which passes the hang-up on to it.
    let bench = Bench::new();
    bench.scratch.write("script", script);
    let mut terminal = bash(&bench);
    terminal.type_line(&format!("{} sh script", bench.words()));
    let child = bench.child();
    let run = parent(child).unwrap();
    terminal.hang_up();
    terminal.wait();
    process::wait_for_end(run);
    assert!(!alive(child));
    assert_eq!(bench.got()[0], "HUP");
    bench.expect_free();
}

#[test]
fn a_hang_up_ends_a_command_that_does_not_handle_it() {
    let bench = Bench::new();
    let run = bench.tasklock().sh("echo $$ > pid; exec sleep 1000");
    let mut terminal = run.on_terminal();
    bench.child();
    terminal.hang_up();
    assert_eq!(terminal.wait().signal(), Some(Signal::SIGHUP as i32));
    bench.expect_free();
}

#[test]
fn a_signal_of_a_process_reaches_the_command_at_a_terminal_once() {
    let bench = Bench::new();
    let mut terminal = bench.tasklock().sh(NOTE_SIGNALS).on_terminal();
    bench.child();
    for (count, signal) in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGUSR1]
        .into_iter()
        .enumerate()
    {
        send(terminal.pid(), signal);
        bench.wait_for_signals(count + 1);
    }
    bench.let_end();
    assert_eq!(terminal.wait().code(), Some(0));
    assert_eq!(bench.got(), ["TERM", "INT", "USR1"]);
}

#[test]
fn at_a_prompt_the_command_shares_our_group_wherever_its_input_comes_from() {
    let mut bench = Bench::new();
    let words = bench.words();
    let mut terminal = bash(&bench);
    let command = "sh -c 'echo $$ > pid; read _ < gate; exit 4'";
    terminal.type_line(&format!("{words} {command} < /dev/null > /dev/null 2>&1"));
    let child = bench.child();
    let run = parent(child).unwrap();
    assert_eq!(
        group(child),
        Some(run),
        "bash gave the job the group of the run"
    );
    bench.gate.open();
    terminal.wait_for_prompt();
    assert_eq!(status(&mut terminal), "4");
}

#[test]
fn a_job_in_the_background_is_brought_to_the_foreground() {
    let bench = Bench::new();
    let words = bench.words();
    let mut terminal = bash(&bench);
    terminal.shell(&format!(
        "{words} sh -c 'echo $$ > pid; read word; echo \"<$word>\"' &"
    ));
    let child = bench.child();
    let run = parent(child).unwrap();
    // Reading from the background stops the whole job.
    wait_until(|| stopped(child) && stopped(run));
    terminal.type_line("fg");
    terminal.wait_for("read word");
    terminal.type_line("hello");
    terminal.wait_for("<hello>");
    terminal.wait_for_prompt();
}

#[test]
fn a_change_of_the_window_reaches_the_command_once() {
    let bench = Bench::new();
    let mut terminal = bench.tasklock().sh(NOTE_SIGNALS).on_terminal();
    bench.child();
    for count in 1..=5_usize {
        terminal.resize(40, 100 + count as u16);
        bench.wait_for_signals(count);
    }
    bench.let_end();
    assert_eq!(terminal.wait().code(), Some(0));
    assert_eq!(bench.got(), ["WINCH"; 5]);
}
