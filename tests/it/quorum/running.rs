//! The program on a quorum.

use std::thread;
use std::time::Duration;

use super::Quorum;
use crate::support::process;
use crate::support::proxy::Mode;
use crate::support::scratch::Scratch;
use crate::support::store::{claim, grant};
use crate::support::tasklock::Tasklock;
use crate::support::wait_until;

pub(super) fn job(quorum: &Quorum) -> Tasklock {
    let job = Tasklock::new().args(["--name", "job"]);
    quorum.urls().iter().fold(job, |job, url| job.url(url))
}

/// What each run writes: one line at its start and one at its end.
pub(super) fn logging(log: &str, seconds: &str) -> String {
    format!(
        "echo start $TASKLOCK_FENCE >> {log}; sleep {seconds}; echo end $TASKLOCK_FENCE >> {log}"
    )
}

/// That no two runs overlapped, and that their fences grew; how many there were.
#[track_caller]
pub(super) fn check(log: &str) -> usize {
    let mut last = 0;
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines.len() % 2, 0, "{log}");
    for pair in lines.chunks(2) {
        let fence: u64 = pair[0].strip_prefix("start ").unwrap().parse().unwrap();
        assert_eq!(pair[1], format!("end {fence}"), "{log}");
        assert!(fence > last, "{log}");
        last = fence;
    }
    lines.len() / 2
}

#[test]
fn a_run_holds_the_lock_through_the_loss_of_a_node() {
    let quorum = Quorum::of(3);
    let scratch = Scratch::new();
    let mut gate = scratch.gate("go");
    let script = format!(
        "echo $TASKLOCK_HELD $TASKLOCK_FENCE > {}; read x < {}",
        scratch.file("env").display(),
        gate.path().display(),
    );
    let running = job(&quorum).args(["--ttl", "3s"]).sh(&script).start();
    let line = scratch.wait_for_line("env");
    assert!(line.starts_with("1 1"), "{line}");
    quorum.servers[0].freeze();
    let skipped = job(&quorum).sh("echo run").run();
    skipped
        .expect_code(75)
        .expect_stderr("skipped: \"job\" is held by");
    // Longer than the ttl: it is refreshed on the others.
    thread::sleep(Duration::from_secs(4));
    let skipped = job(&quorum).sh("echo run").run();
    skipped.expect_code(75);
    quorum.servers[0].thaw();
    gate.open();
    running.wait().expect_code(0).expect_silent();
    job(&quorum)
        .sh("echo run")
        .run()
        .expect_code(0)
        .expect_stdout("run\n");
}

#[test]
fn a_run_is_stopped_before_its_lease_ends_when_a_majority_is_gone() {
    let quorum = Quorum::of(3);
    let scratch = Scratch::new();
    let script = format!(
        "echo $$ > {}; exec sleep 1000",
        scratch.file("pid").display()
    );
    let running = job(&quorum).args(["--ttl", "3s"]).sh(&script).start();
    let pid = scratch.wait_for_pid("pid");
    quorum.proxies[0].set(Mode::BlackHole);
    quorum.servers[2].freeze();
    running.wait().expect_code(79).expect_stderr("lost \"job\"");
    assert!(!process::alive(pid));
    // By then the lease still runs where it can be looked at.
    assert!(quorum.owner(1, "job").is_some() || quorum.owner(0, "job").is_some());
}

#[test]
fn a_run_that_finds_no_majority_is_not_started() {
    let quorum = Quorum::of(3);
    quorum.cut_off(1);
    quorum.cut_off(2);
    let run = job(&quorum)
        .args(["--store-timeout", "500ms"])
        .sh("echo run")
        .run();
    run.expect_code(69)
        .expect_stdout("")
        .expect_stderr("2 of the 3 nodes do not serve: cannot reach");
}

#[test]
fn those_who_wait_are_served_while_nodes_come_and_go() {
    let quorum = Quorum::of(3);
    let scratch = Scratch::new();
    let log = scratch.file("log");
    let script = logging(&log.display().to_string(), "0.05");
    let runs: Vec<_> = (0..8)
        .map(|_| job(&quorum).args(["--wait", "50s"]).sh(&script).start())
        .collect();
    for node in [0, 1, 2, 0] {
        quorum.proxies[node].set(Mode::BlackHole);
        thread::sleep(Duration::from_millis(300));
        quorum.proxies[node].set(Mode::Pass);
        quorum.proxies[node].cut();
    }
    for run in runs {
        run.wait().expect_code(0);
    }
    assert_eq!(check(&scratch.read("log")), 8);
}

#[test]
fn a_waiter_hears_of_the_release() {
    let quorum = Quorum::of(3);
    let mut store = quorum.open();
    let mine = claim("job", "root@holder");
    grant(&mut *store, &mine);
    let mut waiting = job(&quorum).args(["--wait", "50s"]).sh("echo run").start();
    waiting.wait_for_stderr("root@holder");
    crate::support::store::release(&mut *store, &mine);
    waiting.wait().expect_code(0).expect_stdout("run\n");
}

#[test]
fn a_signal_ends_a_wait_and_leaves_nothing_behind() {
    let quorum = Quorum::of(3);
    let mut store = quorum.open();
    let mine = claim("job", "root@holder");
    grant(&mut *store, &mine);
    let mut waiting = job(&quorum).args(["--wait", "50s"]).sh("echo run").start();
    waiting.wait_for_stderr("root@holder");
    waiting.signal(nix::sys::signal::Signal::SIGTERM);
    waiting
        .wait()
        .expect_signal(nix::sys::signal::Signal::SIGTERM);
    crate::support::store::release(&mut *store, &mine);
    job(&quorum)
        .sh("echo run")
        .run()
        .expect_code(0)
        .expect_stdout("run\n");
}

/// How many scripts a node has run.
fn scripts(quorum: &Quorum, node: usize) -> u64 {
    let stats = quorum.servers[node].info("commandstats");
    let calls = stats.get("cmdstat_eval").and_then(|stat| {
        let calls = stat.strip_prefix("calls=")?;
        calls.split(',').next()?.parse().ok()
    });
    calls.unwrap_or(0)
}

#[test]
fn runs_that_ended_while_a_node_stood_still_do_not_hold_it_afterwards() {
    let quorum = Quorum::of(3);
    let before = scripts(&quorum, 0);
    quorum.servers[0].freeze();
    for _ in 0..3 {
        job(&quorum).sh("true").run().expect_code(0);
    }
    let mut store = quorum.open();
    let mine = claim("job", "root@holder");
    grant(&mut *store, &mine);
    job(&quorum).sh("true").run().expect_code(75);
    crate::support::store::release(&mut *store, &mine);
    quorum.servers[0].thaw();
    // It does all that it was sent: for each of the four runs at least one request, and what took it back.
    wait_until(|| scripts(&quorum, 0) >= before + 8);
    wait_until(|| quorum.owner(0, "job").is_none());
    assert_eq!(
        quorum.servers[0]
            .text(&["HGET", "{task_lock:job}:st", "o0"])
            .as_deref(),
        Some("")
    );
}
