//! A run that waits, as people and scripts see it: on both stores.

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{NOBODY, Site, TASKLOCK, events};
use crate::support::redis::Server;
use crate::support::running::Finished;
use crate::support::tasklock::Tasklock;

/// Does the same at the local store and at a server: `at(site, run)` with a run for the lock `job`.
fn on_both_stores(at: impl Fn(&Site, &dyn Fn() -> Tasklock)) {
    let site = Site::new();
    at(&site, &|| site.job());
    let (site, server) = (Site::new(), Server::start());
    at(&site, &|| Tasklock::named("job", &server.url()));
}

/// Both lines of a wait that was in vain, for a lock that pod-7 held.
#[track_caller]
fn expect_in_vain(finished: &Finished) {
    finished.expect_code(75).expect_stdout("");
    let lines: Vec<&str> = finished.stderr.lines().collect();
    let [begin, end] = lines[..] else {
        panic!("{finished}")
    };
    let held = "next in line; held by pod-7 pid ";
    let parts = begin.split_once(&format!("ms: {held}"));
    let (waiting, _) = parts.unwrap_or_else(|| panic!("{finished}"));
    assert!(waiting.starts_with("tasklock: waiting for \"job\" for at most "));
    let parts = end.split_once(&format!(" for \"job\" in vain: {held}"));
    let (skipped, _) = parts.unwrap_or_else(|| panic!("{finished}"));
    assert!(skipped.starts_with("tasklock: skipped: waited "));
}

#[test]
fn a_wait_is_told_when_it_begins_and_when_it_was_in_vain() {
    on_both_stores(|site, job| {
        let (_running, _gate) = site.hold(job().args(["--holder", "pod-7"]));
        let run = || job().args(["--wait", "300ms"]);
        expect_in_vain(&run().arg("true").run());
        let quiet = run().args(["-q", "-E", "9", "true"]).run();
        quiet.expect_code(9).expect_silent();
        let quiet = run().env("TASKLOCK_QUIET", "1").arg("true").run();
        quiet.expect_code(75).expect_silent();
    });
}

#[test]
fn of_wait_and_nonblock_the_last_counts() {
    on_both_stores(|site, job| {
        let (_running, _gate) = site.hold(job().args(["--holder", "pod-7"]));
        for words in [
            &["--wait", "forever", "-n"][..],
            &["-w", "forever", "--nonblock"],
            &["--wait", "forever", "--wait", "0"],
        ] {
            let once = job().args(words.iter().copied()).arg("true").run();
            once.expect_code(75);
            assert_eq!(once.stderr.lines().count(), 1, "{once}");
            once.expect_stderr("skipped: \"job\" is held by pod-7 ");
        }
        let waits = job().args(["-n", "--wait", "300ms", "true"]).run();
        expect_in_vain(&waits);
    });
}

#[test]
fn a_waiter_runs_when_the_holder_has_ended() {
    on_both_stores(|site, job| {
        let (running, mut gate) = site.hold(job());
        let mut waiter = job().args(["-w", "forever", "echo", "mine"]).start();
        waiter.wait_for_stderr("waiting for \"job\": next in line; held by ");
        gate.open();
        running.wait().expect_code(0);
        let waiter = waiter.wait();
        waiter.expect_code(0).expect_stdout("mine\n");
        assert_eq!(waiter.stderr.lines().count(), 1, "{waiter}");
    });
}

#[test]
fn a_signal_ends_a_wait_and_leaves_no_one_in_line() {
    on_both_stores(|site, job| {
        let (running, mut gate) = site.hold(job());
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            let mut waiter = job().args(["-w", "1h", "echo", "ran"]).start();
            waiter.wait_for_stderr("waiting for \"job\"");
            waiter.signal(signal);
            waiter.wait().expect_signal(signal).expect_stdout("");
        }
        gate.open();
        running.wait().expect_code(0);
        job().args(["-n", "true"]).run().expect_code(0);
    });
}

#[test]
fn a_delay_ends_with_a_signal_and_nothing_is_run() {
    let site = Site::new();
    let run = site.job().args(["--jitter", "36500d", "echo", "ran"]);
    let run = run.start();
    run.signal(Signal::SIGTERM);
    run.wait()
        .expect_signal(Signal::SIGTERM)
        .expect_stdout("")
        .expect_silent();
}

#[test]
fn json_tells_of_a_wait_and_of_its_end() {
    on_both_stores(|site, job| {
        let (_running, _gate) = site.hold(job().args(["--holder", "pod-7"]));
        let json = || job().args(["--log-format", "json"]);
        let finished = json().args(["-w", "300ms", "true"]).run();
        let [waiting, skipped] = &events(&finished)[..] else {
            panic!("{finished}")
        };
        assert_eq!(waiting["event"], "waiting");
        assert_eq!(waiting["place"], 1);
        assert!(waiting["left_ms"].as_u64().unwrap() <= 300, "{finished}");
        assert_eq!(skipped["event"], "skipped");
        assert_eq!(skipped["cause"], "wait_over");
        assert!(skipped["waited_ms"].as_u64().unwrap() >= 300, "{finished}");
        for event in [waiting, skipped] {
            assert_eq!(event["holder"]["who"], "pod-7", "{finished}");
            assert!(event["age_ms"].is_u64(), "{finished}");
        }
        let mut endless = json().args(["-w", "forever", "true"]).start();
        endless.wait_for_stderr("\n");
        endless.signal(Signal::SIGTERM);
        let told = events(&endless.wait());
        assert_eq!(told[0]["left_ms"], Value::Null);
    });
}

#[test]
fn a_store_that_is_out_of_reach_is_tried_for_as_long_as_the_wait() {
    let run = || Tasklock::named("job", NOBODY).args(["--wait", "700ms"]);
    let finished = run().arg("true").run();
    finished.expect_code(69);
    finished.expect_stderr("cannot reach redis://127.0.0.1:1: connection refused");
    assert!(finished.elapsed.as_millis() >= 300, "{finished}");
    let skipped = run().args(["--on-unavailable", "skip", "true"]).run();
    skipped.expect_code(75);
    let unlocked = run().args(["--on-unavailable", "run", "echo", "ran"]).run();
    unlocked.expect_code(0).expect_stdout("ran\n");
}

#[test]
fn what_was_done_is_not_done_again_and_the_reason_is_told() {
    on_both_stores(|_, job| {
        let expect = |run: Tasklock, cause: &str, text: &str| {
            let json = run.clone().args(["--log-format", "json", "true"]).run();
            json.expect_code(75);
            assert_eq!(events(&json)[0]["cause"], cause, "{json}");
            run.arg("true").run().expect_code(75).expect_stderr(text);
        };
        let keyed = |key: &str| job().args(["--once-key", key]);
        keyed("v1").arg("true").run().expect_code(0).expect_silent();
        let done = "\"job\" is done: its last success had the same key (--once-key)";
        expect(keyed("v1"), "done_same_key", done);
        // A failure is no success, and the key of one takes the place of the last.
        keyed("v2").arg("false").run().expect_code(1);
        keyed("v2").arg("true").run().expect_code(0).expect_silent();
        expect(keyed("v2").args(["-w", "1h"]), "done_same_key", done);
        keyed("v1").arg("true").run().expect_code(0).expect_silent();

        let daily = || job().args(["--once-per", "1d"]);
        daily().arg("false").run().expect_code(1).expect_silent();
        daily().arg("true").run().expect_code(0).expect_silent();
        let done = "\"job\" is done: a run that was asked for ";
        expect(daily(), "done_recently", done);
        // Who does not ask for it is not bound by it.
        job().arg("true").run().expect_code(0).expect_silent();

        let cooling = || job().args(["--min-hold", "1h"]);
        cooling().arg("true").run().expect_code(0).expect_silent();
        let cools = "\"job\" is cooling down for another ";
        expect(job(), "cooling_down", cools);
        expect(job().args(["-w", "1h"]), "cooling_down", cools);
    });
}

#[test]
fn what_failed_is_tried_twice_in_a_tick_or_as_often_as_is_asked() {
    on_both_stores(|_, job| {
        let daily = || job().args(["--once-per", "1d"]);
        // What could not be started is no attempt.
        daily().arg("/no/such").run().expect_code(127);
        for _ in 0..2 {
            daily().arg("false").run().expect_code(1).expect_silent();
        }
        let third = daily().arg("false").run();
        third.expect_code(75);
        third.expect_stderr("\"job\" has had 2 attempts in this period without success");
        let more = daily().args(["--once-attempts", "3", "true"]).run();
        more.expect_code(0).expect_silent();
    });
}

#[test]
fn a_place_has_its_number_in_the_environment_and_in_the_report() {
    on_both_stores(|site, job| {
        let report = site.work.file("report");
        let show = "echo ${TASKLOCK_SLOT-none}";
        let two = || job().args(["--slots", "2"]).env("TASKLOCK_SLOT", "bogus");
        let (_first, _gate) = site.hold(two());
        let second = two().arg("--report").arg(&report).sh(show).run();
        second.expect_code(0).expect_stdout("1\n").expect_silent();
        let report: Value = serde_json::from_str(&site.work.read("report")).unwrap();
        assert_eq!(report["slot"], 1);
        // Without the option there is no number, also where one would be inherited.
        let inside = format!("{TASKLOCK} --name other --url local: sh -c '{show}'");
        let nested = two().sh(&inside).run();
        nested.expect_code(0).expect_stdout("none\n");
        let one = job().sh(show).run();
        one.expect_code(75)
            .expect_stderr("skipped: \"job\" is held by ");
    });
}

#[test]
fn whoever_finds_all_places_taken_is_told_how_many_there_are() {
    on_both_stores(|site, job| {
        let two = || job().args(["--slots", "2"]);
        let (_first, _gate) = site.hold(two());
        let other = Site::new();
        let (_second, _other_gate) = other.hold(two());
        let tried = two().arg("true").run();
        tried.expect_code(75);
        tried.expect_stderr("skipped: all 2 places of \"job\" are taken, one is held by ");
        let waited = two().args(["--wait", "100ms", "true"]).run();
        waited.expect_code(75);
        for line in waited.stderr.lines() {
            assert!(
                line.contains("next in line; one of 2 places is held by "),
                "{waited}"
            );
        }
        // Who wants the first place alone meets one holder.
        let one = job().arg("true").run();
        one.expect_code(75)
            .expect_stderr("skipped: \"job\" is held by ");
    });
}
