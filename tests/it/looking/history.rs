//! `tasklock history`

use serde_json::Value;

use super::{Site, expect_harmless};
use crate::support::tasklock::Tasklock;

#[test]
fn what_nobody_knows_has_never_run_and_that_is_no_failure() {
    Site::each(|site| {
        let never = site.ask(&["history", "job"]);
        never
            .expect_code(0)
            .expect_stdout("job: never run\n")
            .expect_silent();
        let object = site.ask(&["history", "--json", "--name", "job"]);
        object
            .expect_code(0)
            .expect_stdout("{\"name\":\"job\",\"runs\":[],\"skips\":0}\n");
    });
}

#[test]
fn in_a_pipe_each_run_is_a_row_of_columns() {
    Site::each(|site| {
        site.ran("job", 0);
        site.ran("job", 3);
        let told = site.ask(&["history", "job"]);
        told.expect_code(0).expect_silent();
        let rows: Vec<Vec<&str>> = told
            .stdout
            .lines()
            .map(|line| line.split('\t').collect())
            .collect();
        assert_eq!(
            rows[0][..5],
            ["STARTED", "TOOK", "OUTCOME", "EXIT", "SKIPPED"]
        );
        assert_eq!(rows.len(), 3, "{told}");
        assert!(rows.iter().all(|row| row.len() == 9), "{told}");
        assert_eq!(rows[1][2..5], ["ok", "0", "0"]);
        assert_eq!(rows[2][2..5], ["failed", "3", "0"]);
        assert!(rows[1][0].parse::<jiff::Timestamp>().is_ok(), "{told}");
        let last = site.ask(&["history", "--limit", "1", "job"]);
        assert_eq!(last.stdout.lines().count(), 2, "{last}");
        assert!(last.stdout.contains("\tfailed\t"), "{last}");
    });
}

#[test]
fn skips_stand_before_the_run_that_followed_them() {
    Site::each(|site| {
        let (running, mut gate) = site.hold(site.job("job"));
        for _ in 0..2 {
            site.job("job").args(["-q", "true"]).run().expect_code(75);
        }
        gate.open();
        running.wait().expect_code(0);
        site.ran("job", 0);
        let told = site.ask(&["history", "--json", "job"]);
        let told: Value = serde_json::from_str(&told.stdout).unwrap();
        assert_eq!(told["runs"][0]["skips_before"], 0, "{told}");
        assert_eq!(told["runs"][1]["skips_before"], 2, "{told}");
        assert_eq!(told["skips"], 0, "{told}");
    });
}

#[test]
fn at_a_terminal_each_run_has_a_bar() {
    Site::each(|site| {
        site.ran("job", 0);
        site.ran("job", 3);
        site.job("job").sh("kill -TERM $$").run();
        let shown = site.shown("history job", 100, "export NO_COLOR=1");
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[0], "job: 3 runs, 2 failed");
        assert!(lines[1].starts_with("STARTED  "), "{shown}");
        assert!(lines[2].contains("  ok  "), "{shown}");
        assert!(
            lines[3].contains("▒") && lines[3].contains("  exit 3  "),
            "{shown}"
        );
        assert!(
            lines[4].contains("▒") && lines[4].contains("  killed by TERM  "),
            "{shown}"
        );
        assert!(
            lines.iter().all(|line| line.chars().count() <= 100),
            "{shown}"
        );
        expect_harmless(&shown);
        let coloured = site.shown("history job", 100, "");
        assert!(coloured.contains("\x1b[31mexit 3\x1b[0m"), "{coloured}");
        assert!(coloured.contains("\x1b[32mok\x1b[0m"), "{coloured}");
    });
}

#[test]
fn a_run_whose_host_died_has_vanished() {
    let site = Site::redis();
    let (running, _gate) = site.hold(site.job("job").args(["--ttl", "1s"]));
    running.signal(nix::sys::signal::Signal::SIGKILL);
    running.wait();
    site.job("job")
        .args(["-q", "-w", "1m", "true"])
        .run()
        .expect_code(0);
    let told = site.ask(&["history", "job"]);
    let outcomes: Vec<_> = told
        .stdout
        .lines()
        .skip(1)
        .filter_map(|line| line.split('\t').nth(2))
        .collect();
    assert_eq!(outcomes, ["vanished", "ok"], "{told}");
}

#[test]
fn no_runs_at_all_are_no_limit() {
    let refused = Tasklock::new()
        .args(["history", "--limit", "0", "job"])
        .run();
    refused
        .expect_code(64)
        .expect_stderr("tasklock: --limit: \"0\" is not a number from 1 ");
}
