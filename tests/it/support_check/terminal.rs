//! Does the terminal behave as a real one?

use std::os::unix::process::ExitStatusExt;

use nix::sys::signal::Signal;

use crate::support::process::{alive, wait_for_end};
use crate::support::pty::Terminal;
use crate::support::scratch::Scratch;
use crate::support::tasklock::Tasklock;

fn shell(script: &str) -> Terminal {
    Tasklock::instead("/bin/sh")
        .args(["-c", script])
        .on_terminal()
}

#[test]
fn keys_reach_the_program_and_its_words_the_screen() {
    let mut terminal = shell("echo ready; read word; echo \"<$word>\"; exit 5");
    terminal.wait_for("ready");
    terminal.type_line("hello");
    terminal.wait_for("<hello>");
    assert_eq!(terminal.wait().code(), Some(5));
}

#[test]
fn control_keys_are_signals() {
    for (key, signal) in [("\x03", Signal::SIGINT), ("\x1c", Signal::SIGQUIT)] {
        let mut terminal = shell("ulimit -c 0; echo ready; exec sleep 1000");
        terminal.wait_for("ready");
        terminal.type_keys(key);
        assert_eq!(terminal.wait().signal(), Some(signal as i32));
    }
}

#[test]
fn a_hang_up_reaches_the_leader() {
    let mut terminal = shell("echo ready; exec sleep 1000");
    terminal.wait_for("ready");
    terminal.hang_up();
    assert_eq!(terminal.wait().signal(), Some(Signal::SIGHUP as i32));
}

#[test]
fn a_window_has_a_size_and_its_change_is_told() {
    let scratch = Scratch::new();
    let gate = scratch.gate("gate");
    let script = format!(
        "trap 'stty size' WINCH; echo ready; while :; do read _ < {}; done",
        gate.path().display()
    );
    let mut terminal = shell(&script);
    terminal.wait_for("ready");
    terminal.resize(40, 132);
    terminal.wait_for("40 132");
}

#[test]
fn a_job_of_bash_is_suspended_and_resumed() {
    let mut terminal = Terminal::bash();
    assert_eq!(terminal.shell("echo $((6 * 7))").trim(), "42");
    terminal.type_line("sh -c 'echo ready; read word; echo got $word; exit 9'");
    terminal.wait_for("ready");
    terminal.type_keys("\x1a");
    assert!(terminal.wait_for_prompt().contains("Stopped"));
    terminal.type_line("fg");
    terminal.wait_for("read word"); // bash repeats the command
    terminal.type_line("hello");
    terminal.wait_for("got hello");
    terminal.wait_for_prompt();
    assert_eq!(terminal.shell("echo $?").trim(), "9");
    terminal.type_line("exit 4");
    assert_eq!(terminal.wait().code(), Some(4));
}

#[test]
fn nobody_outlives_a_terminal() {
    let scratch = Scratch::new();
    let mut terminal = Terminal::bash();
    let path = scratch.path().display();
    let line =
        format!("nohup setsid sh -c 'echo $$ > {path}/escaped; sleep 1000; :' > /dev/null &");
    terminal.shell(&line);
    let escaped = scratch.wait_for_pid("escaped");
    let bash = terminal.pid();
    assert!(terminal.processes().contains(&escaped));
    drop(terminal);
    wait_for_end(escaped);
    assert!(!alive(bash));
}
