//! Exit codes, and what settles which of two meanings one has.

use serde_json::Value;

use super::{NOBODY, Site};
use crate::support::tasklock::Tasklock;

#[test]
fn a_skipped_run_exits_with_the_code_of_the_user_s_choice() {
    let site = Site::new();
    let (_running, _gate) = site.hold(site.job());
    for (words, code) in [
        (&["-E", "0"][..], 0),
        (&["-E255"], 255),
        (&["--conflict-exit-code", "7"], 7),
        (&["--conflict-exit-code=75"], 75),
        (&["--lost-exit-code", "3"], 75),
    ] {
        let run = site.job().args(words.iter().copied()).arg("true").run();
        run.expect_code(code).expect_stderr("skipped: ");
    }
}

#[test]
fn the_code_of_a_skip_is_that_of_a_store_that_cannot_be_reached_when_it_is_to_be_skipped() {
    let run = Tasklock::named("job", NOBODY).args(["--store-timeout", "200ms", "-E", "9"]);
    run.clone().arg("true").run().expect_code(69);
    let skip = run.args(["--on-unavailable", "skip", "true"]).run();
    skip.expect_code(9);
    skip.expect_stderr("tasklock: skipped: cannot reach redis://127.0.0.1:1: ");
}

#[test]
fn a_lost_lock_exits_with_the_code_of_the_user_s_choice() {
    let site = Site::new();
    let run = site.job().args(["--ttl", "1s", "--lost-exit-code", "5"]);
    let (mut running, mut gate) = site.hold(run.args(["--on-lost", "continue"]));
    site.ask(&["unlock", "--force"]).expect_code(0);
    running.wait_for_stderr("goes on, as --on-lost asks");
    gate.open();
    running.wait().expect_code(5);
}

#[test]
fn a_command_that_is_missing_or_not_executable_is_told_and_the_lock_is_free_again() {
    let site = Site::new();
    let plain = site.work.write("plain", "text");
    let plain = plain.to_str().unwrap();
    for (command, code, fragment) in [
        (
            "no-such-command",
            127,
            "cannot run no-such-command: not found in PATH (",
        ),
        (
            "/no/such",
            127,
            "cannot run /no/such: no such file or directory",
        ),
        (plain, 126, "permission denied"),
        ("/", 126, "cannot run /: "),
        ("redis://:secret@h", 127, "cannot run redis://…: "),
    ] {
        let finished = site.job().arg(command).run();
        super::refused(&finished, code, &[fragment]);
        site.ask(&["status"]).expect_code(0);
    }
}

#[test]
fn a_script_whose_interpreter_is_missing_is_not_called_missing_itself() {
    let site = Site::new();
    let script = site.work.write("script", "#!/no/such/interpreter\n");
    let made = Tasklock::instead("chmod").arg("755").arg(&script).run();
    made.expect_code(0);
    let finished = site.job().arg(script).run();
    finished.expect_code(127).expect_stderr("interpreter");
}

#[test]
fn the_report_settles_whose_code_it_was() {
    let site = Site::new();
    let report = site.work.file("report");
    for code in [64, 69, 75, 79, 124, 127] {
        let run = site.job().arg("--report").arg(&report);
        let finished = run.sh(&format!("exit {code}")).run();
        finished.expect_code(code).expect_silent();
        let report: Value = serde_json::from_str(&site.work.read("report")).unwrap();
        assert_eq!(report["outcome"], "ran");
        assert_eq!(report["child_exit"], code);
    }
}
