//! `tasklock unlock`

use nix::sys::signal::Signal;

use super::Site;
use crate::support::proxy::Proxy;
use crate::support::running::{Finished, Running};
use crate::support::scratch::Gate;
use crate::support::tasklock::Tasklock;
use crate::support::wait_until;

/// Refreshed soon.
const QUICK: [&str; 2] = ["--ttl", "1s"];

/// A holder that hears of nothing for the rest of a test: its first refresh, which comes early,
/// is over, and the next one is minutes away.
#[track_caller]
fn hold_deaf(site: &Site) -> (Running, Gate) {
    let (mut running, gate) = site.hold(site.job("job").args(["-vv", "--ttl", "1h"]));
    running.wait_for_stderr("refreshed \"job\"");
    (running, gate)
}

#[track_caller]
fn lines(finished: &Finished) -> Vec<&str> {
    finished.stdout.lines().collect()
}

/// Starts `unlock`, which waits.
#[track_caller]
fn waiting(unlock: Tasklock) -> Running {
    let running = unlock.start();
    wait_until(|| running.stdout().contains("asked to stop; waiting"));
    running
}

#[test]
fn unlock_waits_until_the_holder_has_released_the_lock() {
    Site::each(|site| {
        let (running, _gate) = site.hold(site.job("job").args(QUICK));
        let unlock = site.ask(&["unlock", "job"]);
        unlock.expect_code(0).expect_silent();
        let lines = lines(&unlock);
        assert_eq!(lines.len(), 2, "{unlock}");
        assert!(
            lines[0].starts_with("job: held by ") && lines[0].contains("asked to stop; waiting")
        );
        assert!(
            lines[1].starts_with("job: it has released the lock, after "),
            "{unlock}"
        );
        assert!(lines[1].ends_with("; free"), "{unlock}");
        site.ask(&["status", "job"]).expect_code(0);
        running.wait().expect_code(79);
    });
}

#[test]
fn unlock_waits_for_the_end_of_a_dead_holder_s_lease() {
    let site = Site::redis();
    let (running, _gate) = site.hold(site.job("job").args(["--ttl", "3s"]));
    running.signal(Signal::SIGKILL);
    let unlock = site.ask(&["unlock", "job"]);
    unlock.expect_code(0).expect_silent();
    assert!(
        unlock.stdout.contains("\njob: its lease has ended, after "),
        "{unlock}"
    );
}

#[test]
fn whoever_is_next_in_line_is_told_of_and_not_waited_for() {
    Site::each(|site| {
        let (_running, _gate) = site.hold(site.job("job").args(QUICK));
        let next = site.job("job").args(["--wait", "1m", "--holder", "pod-7"]);
        let mut next = next.sh("exec sleep 600").start();
        next.wait_for_stderr("waiting for");
        let unlock = site.ask(&["unlock", "job"]);
        unlock.expect_code(0);
        let last = unlock.stdout.lines().last().unwrap();
        assert!(
            last.starts_with("job: it has released the lock, after "),
            "{unlock}"
        );
        // Between the two nobody has it for a moment.
        assert!(
            last.contains("; now held by pod-7 ") || last.ends_with("; free"),
            "{unlock}"
        );
        assert!(next.is_running());
    });
}

#[test]
fn interrupted_it_leaves_the_request_and_says_so() {
    Site::each(|site| {
        let (_running, _gate) = hold_deaf(site);
        let unlock = waiting(site.asking(&["unlock", "job"]));
        unlock.signal(Signal::SIGINT);
        let unlock = unlock.wait();
        unlock.expect_signal(Signal::SIGINT).expect_silent();
        let last =
            "job: still held; the request to stop stands, and is followed at the next refresh\n";
        assert!(unlock.stdout.ends_with(last), "{unlock}");
        let status = site.ask(&["status", "job"]);
        assert!(status.stdout.contains(", asked to stop"), "{status}");
    });
}

#[test]
fn with_no_wait_it_only_asks() {
    Site::each(|site| {
        let (mut running, _gate) = hold_deaf(site);
        let unlock = site.ask(&["unlock", "--no-wait", "job"]);
        unlock.expect_code(0).expect_silent();
        assert_eq!(lines(&unlock).len(), 1, "{unlock}");
        assert!(
            unlock
                .stdout
                .ends_with("releases the lock at its next refresh\n"),
            "{unlock}"
        );
        assert!(running.is_running());
    });
}

#[test]
fn of_several_places_each_is_named_and_waited_for() {
    Site::each(|site| {
        let run = || site.job("job").args(["--slots", "2"]).args(QUICK);
        let (one, _gate) = site.hold(run());
        let (two, _other_gate) = site.hold(run());
        let unlock = site.ask(&["unlock", "job"]);
        unlock.expect_code(0);
        for slot in ["slot 0", "slot 1"] {
            for said in ["held by ", "it has released the lock, after "] {
                let line = format!("job {slot}: {said}");
                assert!(unlock.stdout.contains(&line), "{line}: {unlock}");
            }
        }
        one.wait().expect_code(79);
        two.wait().expect_code(79);
    });
}

#[test]
fn a_store_that_goes_away_meanwhile_is_told_once_and_asked_again() {
    let site = Site::redis();
    let proxy = Proxy::start(site.server().address());
    let (running, mut gate) = hold_deaf(&site);
    let unlock = Tasklock::new().args(["unlock", "job", "--store-timeout", "200ms"]);
    let mut unlock = waiting(unlock.url(&proxy.url()));
    proxy.refuse();
    proxy.cut();
    unlock.wait_for_stderr("the request to stop stands, trying again");
    proxy.accept();
    gate.open();
    running.wait();
    let unlock = unlock.wait();
    unlock.expect_code(0);
    assert_eq!(unlock.stderr.lines().count(), 1, "{unlock}");
    assert!(
        unlock.stdout.contains("\njob: it has released the lock"),
        "{unlock}"
    );
}

#[test]
fn a_store_that_is_away_when_the_lease_has_ended_is_given_up() {
    let site = Site::redis();
    let (running, _gate) = site.hold(site.job("job").args(["--ttl", "2s"]));
    running.signal(Signal::SIGKILL);
    let unlock = site.asking(&["unlock", "job", "--store-timeout", "200ms"]);
    let unlock = waiting(unlock);
    site.server().kill();
    let unlock = unlock.wait();
    unlock
        .expect_code(69)
        .expect_stderr("tasklock: cannot reach ");
}

#[test]
fn at_a_terminal_force_asks_first_and_no_answer_is_no() {
    Site::each(|site| {
        let (mut running, _gate) = hold_deaf(site);
        for keys in ["\n", "n\n", "\x04"] {
            let mut terminal = site.at_terminal(&["unlock", "--force", "job"]);
            let shown = terminal.wait_for("Free it now? [y/N] ");
            assert!(shown.contains("job: held by "), "{shown}");
            terminal.type_keys(keys);
            terminal.wait_for("job: nothing was freed");
            assert_eq!(terminal.wait().code(), Some(75));
        }
        site.ask(&["status", "job"]).expect_code(75);
        let mut terminal = site.at_terminal(&["unlock", "--force", "job"]);
        terminal.wait_for("Free it now? [y/N] ");
        terminal.type_line("y");
        let shown = terminal.wait_for("may run on until its next refresh");
        assert!(shown.contains("job: freed; it was held by "), "{shown}");
        assert_eq!(terminal.wait().code(), Some(0));
        site.ask(&["status", "job"]).expect_code(0);
        assert!(running.is_running());
    });
}

#[test]
fn whoever_came_after_the_question_is_shown_before_it_is_freed() {
    Site::each(|site| {
        let (old, mut gate) = hold_deaf(site);
        let mut terminal = site.at_terminal(&["unlock", "--force", "job"]);
        terminal.wait_for("[y/N] ");
        gate.open();
        old.wait().expect_code(0);
        let (mut new, _gate) = site.hold(site.job("job").args(["--holder", "pod-7"]));
        terminal.type_line("y");
        let shown = terminal.wait_for("[y/N] ");
        assert!(shown.contains("job: held by pod-7 "), "{shown}");
        terminal.type_line("n");
        assert_eq!(terminal.wait().code(), Some(75));
        assert!(new.is_running());
        site.ask(&["status", "job"]).expect_code(75);
    });
}

#[test]
fn nobody_is_asked_with_yes_or_when_nobody_holds_the_lock() {
    Site::each(|site| {
        let (_running, _gate) = hold_deaf(site);
        for said in ["job: freed; it was held by ", "job: already free"] {
            let mut terminal = site.at_terminal(&["unlock", "--force", "--yes", "job"]);
            terminal.wait_for(said);
            assert_eq!(terminal.wait().code(), Some(0));
            assert!(
                !terminal.screen().contains("[y/N]"),
                "{}",
                terminal.screen()
            );
        }
        let mut terminal = site.at_terminal(&["unlock", "--force", "job"]);
        terminal.wait_for("job: already free");
        assert_eq!(terminal.wait().code(), Some(0));
    });
    for words in [
        &["unlock", "--yes", "job"][..],
        &["unlock", "--force", "--no-wait", "job"],
    ] {
        let refused = Tasklock::new().args(words.iter().copied()).run();
        refused.expect_code(64).expect_stdout("");
    }
}

#[test]
fn after_a_forced_unlock_the_next_holder_has_a_larger_fence() {
    Site::each(|site| {
        let fence = |run: Tasklock| -> u64 {
            let run = run.sh("echo $TASKLOCK_FENCE").run();
            run.expect_code(0);
            run.stdout.trim().parse().unwrap()
        };
        let fences = site.work.file("fence");
        let script = format!(
            "echo $TASKLOCK_FENCE > {}; exec sleep 600",
            fences.display()
        );
        let old = site.job("job").args(QUICK).sh(&script).start();
        let old_fence: u64 = site.work.wait_for_line("fence").parse().unwrap();
        site.ask(&["unlock", "--force", "job"]).expect_code(0);
        assert!(fence(site.job("job")) > old_fence);
        old.wait().expect_code(79);
    });
}
