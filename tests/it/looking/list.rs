//! `tasklock list`

use std::collections::BTreeSet;

use serde_json::Value;

use super::Site;
use crate::support::tasklock::Tasklock;

/// The rows in a pipe, by name.
fn rows(stdout: &str) -> Vec<Vec<&str>> {
    let mut rows: Vec<Vec<&str>> = stdout
        .lines()
        .skip(1)
        .map(|line| line.split('\t').collect())
        .collect();
    rows.sort_unstable();
    rows
}

#[test]
fn in_a_pipe_nothing_is_cut_and_no_column_is_missing() {
    Site::each(|site| {
        let long = "n".repeat(200);
        site.ran(&long, 0);
        site.ran("a b", 3);
        let (running, _gate) = site.hold(site.job("job").args(["--holder", "pod-7"]));
        let _waiter = site.wait_in_line(site.job("job"));
        site.job("job").args(["-q", "true"]).run().expect_code(75);
        let listed = site.ask(&["list"]);
        listed.expect_code(0).expect_silent();
        let header = "NAME\tSTATE\tHOLDER\tSINCE\tLEASE\tWAITING\tLAST RUN\tSKIPS\n";
        assert!(listed.stdout.starts_with(header), "{listed}");
        let rows = rows(&listed.stdout);
        assert_eq!(rows.len(), 3, "{listed}");
        assert!(rows.iter().all(|row| row.len() == 8), "{listed}");
        assert_eq!(rows[0][..3], ["a b", "free", "-"]);
        assert!(rows[0][6].starts_with("exit 3 "), "{listed}");
        assert_eq!(rows[1][..2], ["job", "held"]);
        assert_eq!(rows[1][2], format!("pod-7 pid {} (/bin/sh)", running.pid()));
        assert_eq!((rows[1][5], rows[1][7]), ("1", "1"), "{listed}");
        assert_eq!(rows[2][..2], [long.as_str(), "free"]);
        assert!(!listed.stdout.contains('\x1b'), "{listed}");
    });
}

#[test]
fn a_pattern_is_a_shell_s_and_a_name_is_itself() {
    Site::each(|site| {
        for name in ["db-1", "db-2", "db-*", "web"] {
            site.ran(name, 0);
        }
        let listed = |words: &[&str]| -> BTreeSet<String> {
            let words: Vec<_> = ["list"].iter().chain(words).copied().collect();
            let listed = site.ask(&words);
            listed.expect_code(0).expect_silent();
            rows(&listed.stdout)
                .iter()
                .map(|row| row[0].to_owned())
                .collect()
        };
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(listed(&["db-[12]"]), set(&["db-1", "db-2"]));
        assert_eq!(listed(&["*b"]), set(&["web"]));
        assert_eq!(listed(&["--name", "db-*"]), set(&["db-*"]));
        assert_eq!(listed(&["nothing"]), set(&[]));
    });
}

#[test]
fn at_a_terminal_the_table_is_sorted_and_as_wide_as_the_terminal() {
    Site::each(|site| {
        for name in ["c", "a", "深夜"] {
            site.ran(name, 0);
        }
        let (_running, _gate) = site.hold(site.job("b").args(["--holder", &"h".repeat(80)]));
        let shown = site.shown("list", 70, "export NO_COLOR=1");
        let lines: Vec<&str> = shown.lines().collect();
        let names: Vec<_> = lines
            .iter()
            .filter_map(|line| line.split(' ').next())
            .collect();
        assert_eq!(names, ["NAME", "a", "b", "c", "深夜"], "{shown}");
        assert!(lines[2].contains("hhh…"), "{shown}");
        assert!(
            lines.iter().all(|line| line.chars().count() <= 70),
            "{shown}"
        );
        let wide = site.shown("list", 250, "export NO_COLOR=1");
        assert!(
            wide.contains(&"h".repeat(80)) && !wide.contains('…'),
            "{wide}"
        );
        assert!(site.shown("list", 70, "").contains("\x1b[32mheld\x1b[0m"));
    });
}

#[test]
fn for_programs_each_lock_is_the_object_that_status_tells() {
    Site::each(|site| {
        site.ran("a", 0);
        site.ran("b", 1);
        for words in [&["list", "--json"][..], &["list", "--format", "json"]] {
            let listed = site.ask(words);
            listed.expect_code(0).expect_silent();
            let mut names = BTreeSet::new();
            for line in listed.stdout.lines() {
                let object: Value = serde_json::from_str(line).unwrap();
                let name = object["name"].as_str().unwrap().to_owned();
                let told = site.ask(&["status", "--json", &name]);
                let told: Value = serde_json::from_str(&told.stdout).unwrap();
                for field in ["state", "slots", "waiters", "last_run", "skips"] {
                    assert_eq!(object[field], told[field], "{name} {field}");
                }
                names.insert(name);
            }
            assert_eq!(names.len(), 2, "{listed}");
        }
    });
}

#[test]
fn metrics_stand_together_each_below_its_type() {
    Site::each(|site| {
        site.ran("quo\"te\\", 3);
        site.ran("a", 0);
        let (_running, _gate) = site.hold(site.job("a"));
        let listed = site.ask(&["list", "--format", "prometheus"]);
        listed.expect_code(0).expect_silent();
        let mut seen = BTreeSet::new();
        let mut family = String::new();
        for line in listed.stdout.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                family = rest.split(' ').next().unwrap().to_owned();
                assert!(
                    seen.insert(family.clone()),
                    "{family} comes twice: {listed}"
                );
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                assert_eq!(rest, format!("{family} gauge"));
            } else {
                assert!(line.starts_with(&format!("{family}{{name=\"")), "{line}");
                let value = line.rsplit(' ').next().unwrap();
                assert!(value.parse::<f64>().is_ok(), "{line}");
            }
        }
        for sample in [
            "tasklock_lock_held{name=\"a\"} 1",
            "tasklock_lock_held{name=\"quo\\\"te\\\\\"} 0",
            "tasklock_lock_last_run_success{name=\"a\"} 1",
            "tasklock_lock_last_run_exit_code{name=\"quo\\\"te\\\\\"} 3",
            "tasklock_lock_skips{name=\"a\"} 0",
        ] {
            assert!(
                listed.stdout.contains(&format!("{sample}\n")),
                "{sample}: {listed}"
            );
        }
        assert!(
            !listed
                .stdout
                .contains("last_success_timestamp_seconds{name=\"quo"),
            "{listed}"
        );
    });
}

#[test]
fn a_store_that_does_not_answer_leaves_no_half_of_the_metrics() {
    for words in [
        &["list", "--format", "prometheus"][..],
        &["list", "--watch"],
    ] {
        let run = Tasklock::new().args(words.iter().copied());
        let run = run.args(["--url", "redis://127.0.0.1:1"]).run();
        run.expect_stdout("");
        assert!(run.code == Some(69) || words[1] == "--watch", "{run}");
    }
}

#[test]
fn a_format_that_does_not_exist_is_refused() {
    let run = Tasklock::new()
        .args(["list", "--format", "xml", "--url", "local:"])
        .run();
    run.expect_code(64);
    run.expect_stderr("tasklock: --format: \"xml\" is not one of table, json, prometheus");
}
