//! What is said, when, and in which form.

use super::{NOBODY, Site, events};
use crate::support::scratch::Scratch;
use crate::support::tasklock::Tasklock;

#[test]
fn a_run_that_got_its_lock_says_nothing_of_its_own() {
    let site = Site::new();
    let finished = site.job().sh("echo out; echo err >&2; exit 3").run();
    finished.expect_code(3).expect_stdout("out\n");
    assert_eq!(finished.stderr, "err\n");
}

#[test]
fn a_store_that_nobody_chose_is_told_in_one_line_also_with_quiet() {
    let name = format!("it-{}", std::process::id());
    let run = || Tasklock::new().args(["--name", &name]);
    let finished = run().arg("true").run();
    finished.expect_code(0);
    assert_eq!(finished.stderr.lines().count(), 1, "{finished}");
    for fragment in [
        "tasklock: no store is configured",
        "this host",
        "TASKLOCK_URL",
    ] {
        finished.expect_stderr(fragment);
    }
    let quiet = run().args(["-q", "true"]).run();
    assert_eq!(quiet.stderr, finished.stderr);
    let status = Tasklock::new().args(["status", &name]).run();
    status.expect_code(0);
    assert_eq!(status.stderr, finished.stderr);
    run()
        .url("local:")
        .arg("true")
        .run()
        .expect_code(0)
        .expect_silent();
}

#[test]
fn verbose_tells_of_acquire_and_release_and_twice_of_refreshes() {
    let site = Site::new();
    let finished = site.job().args(["-v", "true"]).run();
    let lines: Vec<&str> = finished.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{finished}");
    assert!(
        lines[0].starts_with("tasklock: acquired \"job\" in "),
        "{finished}"
    );
    assert!(
        lines[1].starts_with("tasklock: released \"job\" after "),
        "{finished}"
    );

    let (mut running, mut gate) = site.hold(site.job().args(["-vv", "--ttl", "1s"]));
    running.wait_for_stderr("tasklock: refreshed \"job\"");
    gate.open();
    running.wait().expect_code(0).expect_stderr("released");
}

#[test]
fn quiet_hides_that_a_run_was_skipped() {
    let site = Site::new();
    let (_running, _gate) = site.hold(site.job());
    let finished = site.job().arg("true").run();
    finished.expect_code(75);
    finished.expect_stderr("tasklock: skipped: \"job\" is held by ");
    for quiet in ["-q", "--quiet"] {
        let finished = site.job().args([quiet, "true"]).run();
        finished.expect_code(75).expect_silent();
    }
    for (value, silent) in [
        ("1", true),
        ("yes", true),
        ("On", true),
        ("0", false),
        ("OFF", false),
        ("", false),
        (" ", false),
    ] {
        let run = site.job().env("TASKLOCK_QUIET", value).arg("true").run();
        run.expect_code(75);
        assert_eq!(run.stderr.is_empty(), silent, "{value:?}: {run}");
    }
}

#[test]
fn quiet_never_hides_that_a_lock_was_lost() {
    let site = Site::new();
    let (running, _gate) = site.hold(site.job().args(["-q", "--ttl", "1s"]));
    site.ask(&["unlock", "--force"]).expect_code(0);
    running
        .wait()
        .expect_code(79)
        .expect_stderr("tasklock: lost \"job\" after ");
}

#[test]
fn json_lines_carry_the_message_and_its_data() {
    let site = Site::new();
    let json = || site.job().args(["--log-format", "json", "-v"]);
    let finished = json().arg("true").run();
    let told = events(&finished);
    assert_eq!(told.len(), 2, "{finished}");
    assert_eq!(told[0]["event"], "acquired");
    assert_eq!(told[0]["name"], "job");
    assert!(told[0]["fence"].is_u64() && told[0]["waited_ms"].is_u64());
    assert_eq!(told[1]["event"], "released");
    assert!(told[1]["held_ms"].is_u64());

    let finished = json().arg("/no/such/command").run();
    finished.expect_code(127);
    assert_eq!(events(&finished).pop().unwrap()["event"], "failed");

    let finished = json().args(["--max-runtime", "0.1", "sleep", "1000"]).run();
    finished.expect_code(124);
    let told = events(&finished);
    let timeout = told.iter().find(|it| it["event"] == "timeout").unwrap();
    assert_eq!(timeout["limit_ms"], 100);
    assert!(timeout["pid"].is_u64() && timeout["kill_in_ms"].is_u64());

    let holder = site
        .job()
        .args(["--reason", "nightly", "--holder", "pod-7"]);
    let (_running, _gate) = site.hold(holder);
    let finished = json().arg("true").run();
    finished.expect_code(75);
    let skipped = &events(&finished)[0];
    assert_eq!(skipped["event"], "skipped");
    assert_eq!(skipped["holder"]["who"], "pod-7");
    assert_eq!(skipped["holder"]["reason"], "nightly");
    assert!(skipped["age_ms"].is_u64(), "{finished}");
}

#[test]
fn json_lines_tell_of_a_store_that_cannot_be_reached() {
    let run = Tasklock::named("job", NOBODY).args(["--store-timeout", "200ms"]);
    let run = run.args(["--log-format", "json"]);
    let finished = run.clone().arg("true").run();
    finished.expect_code(69);
    let told = events(&finished);
    assert_eq!(told.len(), 1, "{finished}");
    assert_eq!(told[0]["event"], "unavailable");
    let error = told[0]["error"].as_str().unwrap();
    assert_eq!(
        error,
        "cannot reach redis://127.0.0.1:1: connection refused"
    );

    let finished = run.args(["--on-unavailable", "run", "true"]).run();
    finished.expect_code(0);
    assert_eq!(events(&finished)[0]["event"], "runs_unlocked");
}

#[test]
fn a_run_that_fails_before_it_begins_is_told_as_json_too() {
    let site = Site::new();
    let variable = |run: Tasklock| run.env("TASKLOCK_LOG_FORMAT", "json");
    for (run, code) in [
        (
            site.job()
                .args(["--log-format", "json", "--ttl", "0", "true"]),
            64,
        ),
        (
            site.job().args(["--log-format=json", "--nonsense", "true"]),
            64,
        ),
        (variable(Tasklock::new().arg("true")), 64),
        (
            variable(Tasklock::named("job", "http://:secret@h").arg("true")),
            78,
        ),
        (
            variable(site.job().args(["--report", "/no/such/file", "true"])),
            78,
        ),
    ] {
        let finished = run.run();
        finished.expect_code(code);
        let told = events(&finished);
        assert_eq!(told.len(), 1, "{finished}");
        assert_eq!(told[0]["event"], "failed", "{finished}");
    }
}

#[test]
fn a_report_that_cannot_be_written_is_told_in_the_chosen_format() {
    let (site, other) = (Site::new(), Scratch::new());
    let report = site.work.file("sub/report");
    std::fs::create_dir(site.work.file("sub")).unwrap();
    let away = format!(
        "mv {0}/sub {1}/sub",
        site.work.path().display(),
        other.path().display()
    );
    let run = site.job().args(["--log-format", "json"]);
    let finished = run.arg("--report").arg(report).sh(&away).run();
    finished.expect_code(0);
    assert_eq!(events(&finished)[0]["event"], "report_failed");
}
