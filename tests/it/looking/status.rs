//! `tasklock status`

use serde_json::Value;

use super::{Site, expect_harmless};
use crate::support::tasklock::Tasklock;

const NOBODY: &str = "redis://127.0.0.1:1";

#[test]
fn several_locks_are_told_in_their_order_and_one_that_is_held_decides_the_code() {
    Site::each(|site| {
        let (_running, _gate) = site.hold(site.job("b"));
        let told = site.ask(&["status", "a", "b", "--name", "c"]);
        told.expect_code(75).expect_silent();
        let names: Vec<_> = told
            .stdout
            .lines()
            .filter_map(|line| line.split(':').next())
            .collect();
        assert_eq!(names, ["a", "b", "c"], "{told}");
        let free = site.ask(&["status", "--name", "a", "--name", "c"]);
        free.expect_code(0).expect_stdout("a: free\nc: free\n");
    });
}

#[test]
fn who_waits_is_told_with_place_and_age() {
    Site::each(|site| {
        let (_running, _gate) = site.hold(site.job("job"));
        let _waiter = site.wait_in_line(site.job("job").args(["--holder", "pod-7"]));
        let told = site.ask(&["status", "job"]);
        told.expect_code(75).expect_silent();
        assert!(
            told.stdout.lines().next().unwrap().ends_with(", 1 waiting"),
            "{told}"
        );
        let line = told.stdout.lines().nth(1).unwrap();
        assert!(line.starts_with("  1 in line: pod-7 pid "), "{told}");
        assert!(line.contains(" since "), "{told}");
    });
}

#[test]
fn the_last_run_is_told_and_the_last_success_where_it_was_another() {
    Site::each(|site| {
        site.ran("job", 0);
        let told = site.ask(&["status", "job"]);
        told.expect_code(0);
        assert!(told.stdout.contains("\n  last run: ok in "), "{told}");
        assert!(!told.stdout.contains("last success"), "{told}");
        site.ran("job", 3);
        let told = site.ask(&["status", "job"]);
        told.expect_code(0);
        assert!(told.stdout.contains("\n  last run: exit 3 in "), "{told}");
        assert!(told.stdout.contains("\n  last success "), "{told}");
    });
}

#[test]
fn what_was_skipped_is_counted() {
    Site::each(|site| {
        let (running, mut gate) = site.hold(site.job("job"));
        for _ in 0..2 {
            site.job("job").args(["-q", "true"]).run().expect_code(75);
        }
        let told = site.ask(&["status", "job"]);
        assert!(
            told.stdout.contains("\n  2 skipped since the last start\n"),
            "{told}"
        );
        gate.open();
        running.wait().expect_code(0);
    });
}

#[test]
fn a_probe_says_whether_the_last_success_is_recent() {
    Site::each(|site| {
        let probe = |age: &str, names: &[&str]| {
            let words: Vec<_> = ["status", "--max-age", age]
                .iter()
                .chain(names)
                .copied()
                .collect();
            site.ask(&words)
        };
        let never = probe("26h", &["job"]);
        let line = "WARNING: job: no success is remembered, limit 1d2h\n";
        never.expect_code(1).expect_stdout(line).expect_silent();
        site.ran("job", 0);
        site.ran("job", 3);
        let recent = probe("26h", &["job"]);
        recent.expect_code(0).expect_silent();
        assert!(
            recent.stdout.starts_with("OK: job: last success "),
            "{recent}"
        );
        assert!(recent.stdout.ends_with("; last run: exit 3\n"), "{recent}");
        let old = probe("1ms", &["job"]);
        old.expect_code(1);
        assert!(
            old.stdout.starts_with("WARNING: job: last success "),
            "{old}"
        );
        let both = probe("26h", &["job", "other"]);
        both.expect_code(1);
        assert_eq!(both.stdout.lines().count(), 2, "{both}");
        // Held, and not to be had, but no concern of the probe's.
        let (_running, _gate) = site.hold(site.job("job"));
        probe("26h", &["job"]).expect_code(0);
    });
}

#[test]
fn a_probe_that_gets_no_answer_is_no_warning_but_unreachable() {
    let words = ["status", "--max-age", "26h", "job", "--url", NOBODY];
    let probe = Tasklock::new().args(words).run();
    probe.expect_code(69).expect_stdout("");
    probe.expect_stderr("tasklock: cannot reach ");
    for (age, text) in [("0", "is no time at all"), ("soon", "is not a duration")] {
        let wrong = Tasklock::new()
            .args(["status", "--max-age", age, "job"])
            .run();
        wrong
            .expect_code(64)
            .expect_stderr("tasklock: --max-age: ")
            .expect_stderr(text);
    }
    let both = Tasklock::new()
        .args(["status", "--max-age", "1h", "--json", "job"])
        .run();
    both.expect_code(64).expect_stdout("");
}

#[test]
fn for_programs_each_lock_is_one_object() {
    Site::each(|site| {
        site.ran("job", 3);
        let (running, _gate) = site.hold(site.job("job").args(["--reason", "a\x1b\"b"]));
        let told = site.ask(&["status", "--json", "job", "other"]);
        told.expect_code(75).expect_silent();
        let objects: Vec<Value> = told
            .stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(objects.len(), 2, "{told}");
        let held = &objects[0];
        assert_eq!(
            (&held["state"], &held["would_run"]),
            (&"held".into(), &false.into())
        );
        assert_eq!(held["slots"][0]["holder"]["pid"], running.pid());
        assert_eq!(held["slots"][0]["holder"]["reason"], "a\x1b\"b");
        assert_eq!(held["last_run"]["exit_code"], 3);
        assert_eq!(held["last_success_at"], Value::Null);
        assert_eq!(
            (&objects[1]["state"], &objects[1]["would_run"]),
            (&"free".into(), &true.into())
        );
    });
}

#[test]
fn what_others_wrote_does_not_steer_the_terminal() {
    Site::each(|site| {
        let evil = "\x1b]0;x\x07\u{9b}2J";
        let run = site.job("job").args(["--reason", evil, "--holder", evil]);
        let (_running, _gate) = site.hold(run.clone());
        let _waiter = site.wait_in_line(run);
        for words in [
            &["status", "job"][..],
            &["list"],
            &["unlock", "--no-wait", "job"],
        ] {
            expect_harmless(&site.ask(words).stdout);
        }
    });
}

#[test]
fn a_lock_costs_one_command_of_the_server() {
    let site = Site::redis();
    let monitor = site.server().monitor();
    site.ask(&["status", "a", "b"]).expect_code(0);
    let names = monitor.names();
    let looks = names
        .iter()
        .filter(|name| name.to_uppercase().starts_with("EVAL"));
    assert_eq!(looks.count(), 2, "{names:?}");
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let site = Site::local();
    let (_running, _gate) = site.hold(site.job("job"));
    let colour = "\x1b[32mheld\x1b[0m";
    assert!(site.shown("status job", 80, "").contains(colour));
    for setup in ["export NO_COLOR=1", "export TERM=dumb", "unset TERM"] {
        let shown = site.shown("status job", 80, setup);
        assert!(
            shown.contains("held by ") && !shown.contains('\x1b'),
            "{setup}: {shown:?}"
        );
    }
    assert!(
        site.shown("status job", 80, "export NO_COLOR=")
            .contains(colour)
    );
    let piped = site.shown("status job | cat", 80, "");
    assert!(
        piped.contains("held by ") && !piped.contains('\x1b'),
        "{piped:?}"
    );
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let site = Site::local();
    for words in [
        "status a b c",
        "list",
        "history a",
        "list --format prometheus",
    ] {
        let script = format!("{{ \"$0\" {words}; echo $? >&2; }} | head -0");
        let shell = Tasklock::instead("/bin/sh").args(["-c", &script, super::TASKLOCK]);
        let done = shell.env("TASKLOCK_URL", site.url.as_str()).run();
        assert_eq!(done.stderr, "0\n", "{words}: {done}");
    }
}
