//! Replicas that must acknowledge: `--replicas`.

use std::time::{Duration, Instant};

use tasklock::store::{Acquire, Ask, Claim, StoreErrorKind};

use super::{KEY, NAME, SLACK, STATE, claim, pair, replica_of};
use crate::holding::{DONE, Job};
use crate::support::cluster;
use crate::support::redis::Server;
use crate::support::sentinel::Watched;
use crate::support::store::{self, TIMEOUT, grant, inspect, keep};
use crate::support::tasklock::Tasklock;
use crate::support::wait_until;

fn tasklock(url: &str, replicas: &str) -> Tasklock {
    Tasklock::named(NAME, url).args(["--replicas", replicas])
}

fn replicated(who: &str, replicas: u32) -> Claim {
    Claim {
        replicas,
        ..claim(who)
    }
}

/// Nothing was run, one line says why, and the lock is free again.
#[track_caller]
fn expect_given_back(server: &Server, run: Tasklock, words: &str) {
    let finished = run.sh("echo ran").run();
    finished.expect_code(69).expect_stdout("");
    assert_eq!(finished.stderr.lines().count(), 1, "{finished}");
    finished
        .expect_stderr(words)
        .expect_stderr("acknowledged the lock, so it was given back (nothing was run)");
    assert_eq!(server.text(&["GET", KEY]), None);
    assert_eq!(server.text(&["HGET", STATE, "o0"]).unwrap_or_default(), "");
}

#[test]
fn a_run_needs_as_many_replicas_as_it_was_told() {
    let (master, replica) = pair();
    let url = master.url();
    let more = || tasklock(&url, "2").args(["--store-timeout", "2s"]);
    tasklock(&url, "1")
        .sh("true")
        .run()
        .expect_code(0)
        .expect_silent();
    expect_given_back(&master, more(), "1 of 2 replicas of redis://");
    replica.kill();
    wait_until(|| master.info("replication")["connected_slaves"] == "0");
    let one = tasklock(&url, "1").args(["--store-timeout", "2s"]);
    expect_given_back(&master, one, "0 of 1 replicas of redis://");
    // Whoever asks for none is served.
    tasklock(&url, "0")
        .sh("true")
        .run()
        .expect_code(0)
        .expect_silent();
}

#[test]
fn sentinel_s_master_has_its_replicas_wherever_it_is() {
    let watched = Watched::start();
    for _ in 0..2 {
        let url = watched.url();
        tasklock(&url, "2")
            .sh("true")
            .run()
            .expect_code(0)
            .expect_silent();
        let more = tasklock(&url, "3").args(["--store-timeout", "2s"]);
        expect_given_back(watched.master(), more, "2 of 3 replicas of redis://");
        watched.fail_over();
        watched.wait_until_whole();
    }
}

#[test]
fn a_grant_is_given_back_at_once_and_its_token_is_of_no_use_any_more() {
    let (master, replica) = pair();
    replica.freeze();
    let mut store = store::open(&master.url());
    let mine = replicated("a", 1);
    let start = Instant::now();
    let limit = Duration::from_millis(600);
    let error = store.acquire(&mine, Ask::default(), limit).unwrap_err();
    let took = start.elapsed();
    assert!(took < limit + SLACK, "{took:?}");
    assert_eq!(error.kind, StoreErrorKind::Unreplicated);
    assert_eq!(inspect(&mut *store, NAME).held, None);
    replica.thaw();
    let again = store.acquire(&mine, Ask::default(), TIMEOUT);
    assert_eq!(again, Ok(Acquire::Withdrawn));
    grant(&mut *store, &replicated("b", 1));
}

#[test]
fn a_refresh_counts_when_the_replicas_have_it() {
    let (master, replica) = pair();
    let mut store = store::open(&master.url());
    let mine = replicated("a", 1);
    let granted = grant(&mut *store, &mine);
    let granted = keep(&mut *store, &mine, &granted);
    replica.freeze();
    let limit = Duration::from_millis(600);
    let start = Instant::now();
    let error = store.refresh(&mine, &granted, limit).unwrap_err();
    let took = start.elapsed();
    assert!(took < limit + SLACK, "{took:?}");
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    let text = format!(
        "0 of 1 replicas of {} acknowledged the refresh",
        master.url()
    );
    assert_eq!(error.text, text);
    replica.thaw();
    keep(&mut *store, &mine, &granted);
}

#[test]
fn a_job_whose_refreshes_no_replica_has_is_stopped_before_its_lease_can_end() {
    let (master, replica) = pair();
    let run = tasklock(&master.url(), "1").args(["--ttl", "4s"]);
    let job = Job::start(run);
    replica.freeze();
    let finished = job.end();
    finished.expect_code(79).expect_stderr("lost \"job\" after");
    assert!(
        finished.elapsed < Duration::from_secs(4) + SLACK,
        "{finished}"
    );
}

#[test]
fn replicas_that_are_away_for_a_moment_are_waited_for() {
    let (master, replica) = pair();
    let run = tasklock(&master.url(), "1").args(["--ttl", "30s"]);
    let mut job = Job::start(run.clone().arg("-vv"));
    replica.freeze();
    job.running.wait_for_stderr("0 of 1 replicas");
    replica.thaw();
    job.running.wait_for_stderr("the trouble is over");
    job.finish().expect_code(DONE);
    // A second replica that is late to the first does not count against it.
    let late = replica_of(&master).start();
    late.freeze();
    run.sh("true").run().expect_code(0);
}

#[test]
fn the_node_of_a_cluster_that_has_the_lock_has_its_replicas() {
    let cluster = cluster::shared();
    let mut store = store::open(&cluster.url());
    let of = |replicas| Claim {
        name: store::name("replicated"),
        ..replicated("a", replicas)
    };
    let mine = of(1);
    let granted = grant(&mut *store, &mine);
    keep(&mut *store, &mine, &granted);
    store::release(&mut *store, &mine);
    let limit = Duration::from_millis(600);
    let error = store.acquire(&of(2), Ask::default(), limit).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unreplicated, "{error}");
    assert!(
        error.text.starts_with("1 of 2 replicas of redis://"),
        "{error}"
    );
    assert_eq!(inspect(&mut *store, "replicated").held, None);
}
