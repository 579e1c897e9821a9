//! Are programs started cleanly, told apart when they end, and never left behind?

use std::panic::{AssertUnwindSafe, catch_unwind};

use nix::sys::signal::Signal;

use crate::support::process::{
    alive, descendants, freeze, group, parent, pid_one, session, start_time, stopped, thaw,
    wait_for_end, zombie,
};
use crate::support::scratch::Scratch;
use crate::support::tasklock::Tasklock;
use crate::support::wait_until;

/// `/bin/sh -c SCRIPT` in the place of the program.
fn shell(script: &str) -> Tasklock {
    Tasklock::instead("/bin/sh").args(["-c", script])
}

#[test]
fn a_finished_run_tells_code_output_and_time() {
    let finished = shell("echo out; echo err >&2; exit 75").run();
    finished
        .expect_code(75)
        .expect_stdout("out\n")
        .expect_stderr("err");
    assert!(finished.elapsed.as_nanos() > 0);
    assert!(catch_unwind(AssertUnwindSafe(|| finished.expect_silent())).is_err());
    assert!(catch_unwind(AssertUnwindSafe(|| finished.expect_code(0))).is_err());
    shell("exit 0").run().expect_code(0).expect_silent();
    shell("kill -TERM $$").run().expect_signal(Signal::SIGTERM);
}

#[test]
fn a_run_finds_clean_surroundings() {
    let scratch = Scratch::new();
    let finished = shell("/usr/bin/env; /bin/pwd; cat")
        .env("EXTRA", "1")
        .directory(scratch.path())
        .input("from the test\n")
        .run();
    let lines: Vec<&str> = finished.stdout.lines().collect();
    let known = [
        "PATH=", "HOME=", "EXTRA=1", "PWD=", "_=", "SHLVL=", "OLDPWD=",
    ];
    let unknown =
        |line: &&&str| line.contains('=') && !known.iter().any(|name| line.starts_with(name));
    assert_eq!(lines.iter().find(unknown), None);
    assert!(lines.contains(&scratch.path().to_str().unwrap()));
    assert_eq!(lines.last(), Some(&"from the test"));
}

#[test]
fn a_run_has_no_terminal_and_a_session_of_its_own() {
    let script = "if (: < /dev/tty) 2> /dev/null; then exit 1; fi";
    shell(script).run().expect_code(0);
    let scratch = Scratch::new();
    let gate = scratch.gate("gate");
    let script = format!("read _ < {}", gate.path().display());
    let running = shell(&script).start();
    let pid = running.pid();
    assert_eq!((session(pid), group(pid)), (Some(pid), Some(pid)));
    assert_eq!(parent(pid), Some(std::process::id() as i32));
}

#[test]
fn a_running_program_is_seen_and_signalled() {
    let scratch = Scratch::new();
    let mut gate = scratch.gate("gate");
    let script = format!(
        "trap 'echo got >&2' USR1; echo $$ > {0}/ready; while ! read _ < {0}/gate; do :; done; exit 3",
        scratch.path().display()
    );
    let mut running = shell(&script).start();
    assert_eq!(scratch.wait_for_pid("ready"), running.pid());
    running.signal(Signal::SIGUSR1);
    running.wait_for_stderr("got");
    assert!(running.is_running());
    gate.open();
    running.wait().expect_code(3);
}

#[test]
fn an_ignored_signal_is_ignored_from_the_start() {
    let finished = shell("kill -HUP $$; exit 4").ignoring(Signal::SIGHUP).run();
    finished.expect_code(4);
    let finished = shell("kill -HUP $$; exit 4").run();
    finished.expect_signal(Signal::SIGHUP);
}

#[test]
fn waiting_for_words_of_a_program_that_ended_fails_at_once() {
    let mut running = shell("echo other words >&2").start();
    let waited = catch_unwind(AssertUnwindSafe(|| running.wait_for_stderr("these words")));
    assert!(waited.is_err());
}

#[test]
fn the_kernel_tells_who_lives_and_who_descends_from_whom() {
    let scratch = Scratch::new();
    let script = format!(
        "sh -c 'echo $$ > {0}/below; sleep 1000; :' & wait",
        scratch.path().display()
    );
    let running = shell(&script).start();
    let below = scratch.wait_for_pid("below");
    wait_until(|| descendants(running.pid()).len() == 2);
    assert_eq!(descendants(running.pid())[0], below);
    assert!(start_time(below) >= start_time(running.pid()));
    freeze(below);
    assert!(alive(below) && stopped(below));
    thaw(below);
    wait_until(|| !stopped(below));
    running.signal(Signal::SIGKILL);
    wait_until(|| zombie(running.pid()));
    assert!(!alive(running.pid()));
}

#[test]
fn nobody_outlives_a_run_that_is_dropped() {
    let scratch = Scratch::new();
    let script = format!(
        "setsid sh -c 'echo $$ > {}/escaped; sleep 1000; :' & exit 0",
        scratch.path().display()
    );
    let finished = shell(&script).run();
    let escaped = scratch.wait_for_pid("escaped");
    assert!(finished.survivors().contains(&escaped));
    drop(finished);
    wait_for_end(escaped);

    let running = shell("sleep 1000 & sleep 1000; :").start();
    wait_until(|| running.processes().len() == 3);
    let processes = running.processes();
    drop(running);
    processes.into_iter().for_each(wait_for_end);
}

#[test]
fn a_program_may_be_pid_1() {
    let finished = shell("echo $$; exit 6").under(pid_one()).run();
    finished.expect_stdout("1\n").expect_code(6);
}

#[test]
fn the_program_itself_starts() {
    let finished = Tasklock::new().arg("--version").run();
    assert_eq!(finished.signal, None, "{finished}");
}

#[test]
fn a_scratch_directory_is_private_and_goes_away() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new();
    let path = scratch.path().to_owned();
    let mode = path.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    assert_ne!(path, Scratch::new().path());
    scratch.write("file", "content\n");
    assert_eq!(scratch.wait_for_line("file"), "content");
    drop(scratch);
    assert!(!path.exists());
}
