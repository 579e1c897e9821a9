//! `status` and `unlock`, on the local store.

use super::{NOBODY, Site, refused};
use crate::support::scratch::Scratch;
use crate::support::tasklock::Tasklock;

#[test]
fn status_says_whether_a_run_would_get_the_lock() {
    let site = Site::new();
    site.ask(&["status"])
        .expect_code(0)
        .expect_stdout("job: free\n")
        .expect_silent();
    assert_eq!(std::fs::read_dir(site.locks.path()).unwrap().count(), 0);

    let run = site
        .job()
        .args(["--holder", "pod-7", "--reason", "nightly"]);
    let (running, mut gate) = site.hold(run);
    let held = site.ask(&["status"]);
    held.expect_code(75).expect_silent();
    assert_eq!(held.stdout.lines().count(), 1, "{held}");
    let start = format!("job: held by pod-7 pid {} (/bin/sh)", running.pid());
    assert!(held.stdout.starts_with(&start), "{held}");
    assert!(held.stdout.contains(", reason: nightly, fence "), "{held}");

    gate.open();
    running.wait().expect_code(0);
    let free = site.ask(&["status"]);
    free.expect_code(0);
    assert!(free.stdout.starts_with("job: free, last fence "), "{free}");
}

#[test]
fn status_and_unlock_fail_in_one_line_where_nothing_answers() {
    for word in ["status", "unlock"] {
        let ask = |url: &str| Tasklock::new().args([word, "job", "--url", url]);
        let nobody = ask(NOBODY).args(["--store-timeout", "200ms"]).run();
        refused(
            &nobody,
            69,
            &["cannot reach redis://127.0.0.1:1: connection refused"],
        );
        let missing = Scratch::new().file("missing");
        let missing = ask(&format!("local:{}", missing.display())).run();
        refused(&missing, 78, &["it does not exist; create it first"]);
        refused(
            &ask("http://:secret@h").run(),
            78,
            &["--url: unknown store \"http\""],
        );
    }
}

#[test]
fn unlock_asks_the_holder_who_stops_at_its_next_refresh() {
    let site = Site::new();
    let (running, _gate) = site.hold(site.job().args(["--ttl", "1s", "-q"]));
    let asked = site.ask(&["unlock"]);
    asked.expect_code(0).expect_silent();
    assert_eq!(asked.stdout.lines().count(), 2, "{asked}");
    assert_eq!(asked.stdout.matches("asked to stop").count(), 1, "{asked}");
    let lost = running.wait();
    lost.expect_code(79);
    assert_eq!(lost.stderr.lines().count(), 1, "{lost}");
    lost.expect_stderr("tasklock: lost \"job\" after ");
    lost.expect_stderr(" asked for it to be unlocked; stopping pid ");
    site.job().arg("true").run().expect_code(0).expect_silent();
}

#[test]
fn a_holder_that_was_asked_is_shown_so() {
    let site = Site::new();
    // The first refresh comes early, the next one is minutes away.
    let (mut running, _gate) = site.hold(site.job().args(["-vv", "--ttl", "1h"]));
    running.wait_for_stderr("refreshed \"job\"");
    site.ask(&["unlock", "--no-wait"]).expect_code(0);
    let status = site.ask(&["status"]);
    status.expect_code(75);
    assert!(status.stdout.contains(", asked to stop"), "{status}");
}

#[test]
fn unlock_by_force_frees_at_once() {
    let site = Site::new();
    let (running, _gate) = site.hold(site.job().args(["--ttl", "3s"]));
    let freed = site.ask(&["unlock", "--force"]);
    freed.expect_code(0);
    assert!(
        freed.stdout.starts_with("job: freed; it was held by "),
        "{freed}"
    );
    assert!(freed.stdout.contains("may run on"), "{freed}");
    site.job().arg("true").run().expect_code(0).expect_silent();
    running.wait().expect_code(79).expect_stderr("lost \"job\"");
}

#[test]
fn unlocking_what_nobody_holds_is_no_failure() {
    let site = Site::new();
    for words in [&["unlock"][..], &["unlock", "--force"]] {
        site.ask(words)
            .expect_code(0)
            .expect_stdout("job: already free\n");
    }
    assert_eq!(std::fs::read_dir(site.locks.path()).unwrap().count(), 0);
}

#[test]
fn a_cooldown_is_shown_and_force_alone_ends_it() {
    let site = Site::new();
    let run = site.job().args(["--min-hold", "1h", "true"]).run();
    run.expect_code(0).expect_silent();
    let said = |words: &[&str], code: i32, start: &str, end: &str| {
        let finished = site.ask(words);
        finished.expect_code(code).expect_silent();
        let line = finished.stdout.trim_end();
        assert!(line.starts_with(start) && line.ends_with(end), "{line}");
    };
    let status = site.ask(&["status"]);
    status.expect_code(75).expect_silent();
    assert!(status.stdout.starts_with("job: cooling down for another "));
    let start = "job: held by nobody, but cooling down for another ";
    said(&["unlock"], 0, start, "; --force ends that");
    site.job().arg("true").run().expect_code(75);
    let start = "job: freed; it was cooling down for another ";
    said(&["unlock", "--force"], 0, start, "");
    site.job().arg("true").run().expect_code(0).expect_silent();
}

#[test]
fn the_places_of_a_lock_are_shown_each_in_a_line_and_so_is_who_waits() {
    let site = Site::new();
    let two = || site.job().args(["--slots", "2"]);
    let (first, _gate) = site.hold(two().args(["--holder", "pod-7"]));
    two().arg("true").run().expect_code(0).expect_silent();
    let status = site.ask(&["status"]);
    status.expect_code(0);
    let lines: Vec<&str> = status.stdout.lines().collect();
    let [places, held, free, last] = lines[..] else {
        panic!("{status}")
    };
    assert!(last.starts_with("  last run: ok in "), "{status}");
    assert_eq!(places, "job: 1 of 2 places taken");
    let start = format!("job slot 0: held by pod-7 pid {}", first.pid());
    assert!(held.starts_with(&start), "{status}");
    assert!(
        free.starts_with("job slot 1: free, last fence "),
        "{status}"
    );
    let mut waiter = site.job().args(["--wait", "forever", "true"]).start();
    waiter.wait_for_stderr("waiting");
    let status = site.ask(&["status"]);
    status.expect_code(75);
    let first = "job: 1 of 2 places taken, 1 waiting\n";
    assert!(status.stdout.starts_with(first), "{status}");
}
