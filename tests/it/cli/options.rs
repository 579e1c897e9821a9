//! Each option of a run in each of its forms.

use super::{Site, refused};
use crate::support::redis::Server;
use crate::support::tasklock::Tasklock;
use crate::support::tls::Certificates;

#[test]
fn options_take_their_values_in_every_usual_form() {
    let site = Site::new();
    for words in [
        &["--ttl", "30"][..],
        &["--ttl=1m30s"],
        &["-n"],
        &["--nonblock"],
        &["-k", "1"],
        &["-k1.5s"],
        &["--kill-after=500ms"],
        &["--signal", "int"],
        &["--signal=SIGUSR1"],
        &["--signal", "9"],
        &["--on-lost", "stop"],
        &["--on-unavailable", "fail"],
        &["--store-timeout", "1"],
        &["--key-prefix", "p:"],
        &["--log-format", "text"],
        &["--foreground"],
        &["-q"],
        &["-nq"],
    ] {
        let finished = site.job().args(words.iter().copied()).arg("true").run();
        finished.expect_code(0).expect_silent();
    }
    for (verbose, words) in [("-v", 2), ("--verbose", 2)] {
        let finished = site.job().args([verbose, "true"]).run();
        assert_eq!(finished.stderr.lines().count(), words, "{finished}");
    }
    let short = Tasklock::new().args(["-u", &site.url(), "--name=job", "true"]);
    short.run().expect_code(0).expect_silent();
}

#[test]
fn options_of_waiting_places_and_schedules_take_their_values_in_every_usual_form() {
    for words in [
        &["-w", "10"][..],
        &["-w10m"],
        &["--wait=1h30m"],
        &["--wait", "forever"],
        &["--wait=infinity"],
        &["--wait", "0"],
        &["-nw", "10"],
        &["--wait", "10", "-n"],
        &["--slots", "1"],
        &["--slots=1000"],
        &["--min-hold", "0"],
        &["--min-hold=90s"],
        &["--once-per", "1"],
        &["--once-per=1d", "--once-attempts", "1"],
        &["--once-key", "2026-11-23"],
        &["--once-key=release 1.4"],
        &["--replicas", "0"],
        &["--history", "0"],
        &["--history=200"],
        &["--jitter", "0"],
        &["--jitter=10ms"],
    ] {
        let site = Site::new();
        let finished = site.job().args(words.iter().copied()).arg("true").run();
        finished.expect_code(0).expect_silent();
    }
}

#[test]
fn the_child_is_stopped_with_the_signal_and_killed_after_the_time_of_the_user_s_choice() {
    let site = Site::new();
    let run = || site.job().args(["--max-runtime", "300ms"]);
    let script = "trap 'echo INT; exit 3' INT; trap '' TERM; while :; do sleep 0.02; done";
    let finished = run().args(["--signal", "INT"]).sh(script).run();
    finished.expect_code(124).expect_stdout("INT\n");
    finished.expect_stderr("ran longer than --max-runtime 300ms: stopping pid ");
    finished.expect_stderr("(INT, KILL in 10s)");
    let finished = run().args(["-k", "200ms"]).sh(script).run();
    finished.expect_code(124).expect_stdout("");
    finished.expect_stderr("(TERM, KILL in 200ms)");
}

#[test]
fn the_child_has_a_process_group_of_its_own_unless_told_otherwise() {
    let site = Site::new();
    let script = "cut -d ' ' -f 5 /proc/$$/stat /proc/$PPID/stat";
    let own = |run: Tasklock| {
        let finished = run.sh(script).run();
        let (child, parent) = finished.stdout.trim().split_once('\n').unwrap();
        child != parent
    };
    assert!(own(site.job()));
    assert!(!own(site.job().arg("--foreground")));
}

#[test]
fn holder_and_reason_are_shown_to_whoever_is_skipped() {
    let site = Site::new();
    let run = site
        .job()
        .args(["--holder", "pod-7", "--reason", "nightly"]);
    let (running, _gate) = site.hold(run);
    let finished = site.job().arg("true").run();
    let start = format!(
        "tasklock: skipped: \"job\" is held by pod-7 pid {} (/bin/sh)",
        running.pid()
    );
    assert!(finished.stderr.starts_with(&start), "{finished}");
    assert!(
        finished.stderr.ends_with(", reason: nightly\n"),
        "{finished}"
    );
}

#[test]
fn the_texts_of_others_are_cut_and_cannot_steer_a_terminal() {
    let site = Site::new();
    let evil = "\x1b[2J\r\n\u{9b}31m\x07";
    for (holder, reason) in [
        ("x".repeat(5000), "y".repeat(5000)),
        (evil.into(), evil.into()),
    ] {
        let run = site.job().args(["--holder", &holder, "--reason", &reason]);
        let (_running, _gate) = site.hold(run);
        let skipped = site.job().arg("true").run();
        let status = site.ask(&["status"]);
        assert_eq!(skipped.stderr.lines().count(), 1, "{skipped}");
        for line in skipped.stderr.lines().chain(status.stdout.lines()) {
            assert!(line.chars().count() < 700, "{line:?}");
            assert!(!line.contains(char::is_control), "{line:?}");
        }
        std::fs::remove_file(site.work.file("gate")).unwrap();
        std::fs::remove_file(site.work.file("up")).unwrap();
    }
}

#[test]
fn an_empty_holder_or_reason_is_none() {
    let site = Site::new();
    let (_running, _gate) = site.hold(site.job().args(["--holder", "", "--reason", ""]));
    let finished = site.job().arg("true").run();
    assert!(!finished.stderr.contains("reason"), "{finished}");
    assert!(finished.stderr.contains('@'), "{finished}");
}

#[test]
fn a_key_prefix_stands_before_the_name() {
    let server = Server::start();
    let key = |run: Tasklock| {
        let site = Site::new();
        let (_running, _gate) = site.hold(run);
        let keys = ["a:job", "b:job", "task_lock:job", "job"];
        let set = keys
            .iter()
            .filter(|key| server.number(&["EXISTS", key]) == 1);
        set.copied().collect::<Vec<_>>()
    };
    let run = || Tasklock::named("job", &server.url());
    let variable = |value: &str| run().env("TASKLOCK_KEY_PREFIX", value);
    let clear = || server.command(&["FLUSHALL"]);
    for (run, expected) in [
        (run(), "task_lock:job"),
        (run().args(["--key-prefix", "a:"]), "a:job"),
        (variable("b:"), "b:job"),
        (variable("b:").args(["--key-prefix", "a:"]), "a:job"),
        (variable(""), "task_lock:job"),
    ] {
        assert_eq!(key(run), [expected]);
        clear();
    }
}

#[test]
fn certificates_come_from_flags_and_from_variables() {
    let certificates = Certificates::new();
    let server = Server::with().tls(&certificates, "yes").start();
    let client = certificates.client();
    let files = [
        ("ca", certificates.ca().to_owned()),
        ("cert", client.cert.clone()),
        ("key", client.key.clone()),
    ];
    let run = || Tasklock::named("job", &server.tls_url());
    let flags = files.iter().fold(run(), |run, (name, path)| {
        run.arg(format!("--tls-{name}")).arg(path)
    });
    flags.arg("true").run().expect_code(0).expect_silent();
    let variables = files.iter().fold(run(), |run, (name, path)| {
        run.env(&format!("TASKLOCK_TLS_{}", name.to_uppercase()), path)
    });
    variables.arg("true").run().expect_code(0).expect_silent();
}

#[test]
fn of_a_repeated_option_the_last_counts() {
    let site = Site::new();
    let run = site
        .job()
        .args(["-E", "9", "-E", "8", "-n", "-n", "-q", "-q"]);
    let (_running, _gate) = site.hold(site.job());
    run.arg("true").run().expect_code(8).expect_silent();
}

/// A hundred years are the limit, in each option and at each store.
#[test]
fn the_longest_durations_overflow_nowhere() {
    const LONGEST: &str = "36600d";
    let (site, server) = (Site::new(), Server::start());
    for url in [site.url(), server.url()] {
        let job = || Tasklock::named("job", &url);
        let options = [
            "--ttl",
            "--wait",
            "--min-hold",
            "--once-per",
            "--max-runtime",
        ];
        let run = options
            .iter()
            .fold(job(), |run, option| run.args([option, LONGEST]));
        // A second round of refreshes comes with it.
        let run = run.args(["--kill-after", "300d", "--store-timeout", "300d", "-vv"]);
        let (mut running, mut gate) = site.hold(run);
        running.wait_for_stderr("refreshed");
        let held = Tasklock::new().args(["status", "job"]).url(&url).run();
        held.expect_code(75);
        gate.open();
        let finished = running.wait();
        finished
            .expect_code(0)
            .expect_stderr("released \"job\" after ");
        let skipped = job().arg("true").run();
        skipped.expect_code(75);
        skipped.expect_stderr("is cooling down for another 36599d23h");
        let again = job().args(["--once-per", LONGEST, "true"]).run();
        again.expect_code(75).expect_stderr("(--once-per)");
        let acquire = Tasklock::new().args(["acquire", "other", "--ttl", LONGEST]);
        let acquired = acquire.url(&url).run();
        acquired.expect_code(0).expect_silent();
        for option in options {
            let beyond = job().args([option, "36601d", "true"]).run();
            refused(&beyond, 64, &[option, "too long: the limit is 100 years"]);
        }
        for file in ["gate", "up"] {
            std::fs::remove_file(site.work.file(file)).unwrap();
        }
    }
}
