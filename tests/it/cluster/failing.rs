//! The node that has the lock fails, or hands over.

use std::io::{Read, Write};
use std::sync::mpsc;
use std::thread;

use tasklock::store::{Acquire, Ask, Loss, Refresh, Release, StoreErrorKind};

use super::{BRIEF, KEY, STATE, claim, failure_of, owner};
use crate::holding::{Job, expect_done, tasklock, warnings};
use crate::support::cluster::{Cluster, is_master, is_ok, url_of};
use crate::support::proxy::Proxy;
use crate::support::redis::Server;
use crate::support::store::{TIMEOUT, fake, grant, held, inspect, keep, open, refresh, release};
use crate::support::wait_until;

/// How a replica gets the place of its master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// The master dies.
    Kill,
    /// The master stands still.
    Freeze,
    /// The master hands over.
    Failover,
    /// The replica does not ask the others.
    Takeover,
}

impl Change {
    /// Begins it; what the master has is with its replica.
    #[track_caller]
    fn begin(self, master: &Server, replica: &Server) {
        wait_until(|| replica_has_caught_up(master));
        match self {
            Change::Kill => master.kill(),
            Change::Freeze => master.freeze(),
            Change::Failover => drop(replica.command(&["CLUSTER", "FAILOVER"])),
            Change::Takeover => drop(replica.command(&["CLUSTER", "FAILOVER", "TAKEOVER"])),
        }
    }
}

#[track_caller]
fn replica_has_caught_up(master: &Server) -> bool {
    master.number(&["WAIT", "1", "0"]) == 1
}

#[track_caller]
fn outlives(change: Change) {
    let cluster = Cluster::start();
    let (master, replica) = (cluster.master_of(KEY), cluster.replica_of(KEY));
    let (mut store, mut other) = (open(&cluster.url()), open(&cluster.url()));
    let mine = claim("a");
    let granted = grant(&mut *store, &mine);
    held(&mut *other, &claim("b"));
    change.begin(master, replica);
    let again = keep(&mut *store, &mine, &granted);
    assert_eq!(again.fence, granted.fence, "{change:?}");
    assert_eq!(held(&mut *other, &claim("b")).holder.unwrap().who, "a");
    wait_until(|| is_master(replica));
    keep(&mut *store, &mine, &again);
    if change == Change::Freeze {
        master.thaw();
        wait_until(|| !is_master(master));
        // Also by way of the one that was master.
        let mut third = open(&url_of([master]));
        assert_eq!(held(&mut *third, &claim("c")).holder.unwrap().who, "a");
    }
    assert_eq!(release(&mut *store, &mine), Release::Released);
    assert!(grant(&mut *other, &claim("b")).fence > granted.fence);
}

#[test]
fn a_lock_outlives_the_node_that_has_it() {
    outlives(Change::Kill);
}

#[test]
fn a_lock_outlives_a_node_that_stands_still() {
    outlives(Change::Freeze);
}

#[test]
fn a_lock_goes_along_when_a_node_hands_over() {
    outlives(Change::Failover);
}

#[test]
fn a_lock_goes_along_when_a_replica_takes_over() {
    outlives(Change::Takeover);
}

/// A job runs on while `trouble` comes and goes.
#[track_caller]
fn rides_out(ttl: &str, cluster: &Cluster, trouble: impl FnOnce()) -> Vec<String> {
    let job = Job::start(tasklock(&cluster.url()).args(["--ttl", ttl]));
    trouble();
    let mut store = open(&cluster.url());
    // A refresh that was confirmed after the trouble: the lease is longer than what was left of it.
    let end = inspect(&mut *store, "job").held.unwrap().remaining;
    wait_until(|| inspect(&mut *store, "job").held.unwrap().remaining > end);
    let holder = held(&mut *store, &claim("b")).holder.unwrap();
    assert_eq!(holder.pid, u32::try_from(job.running.pid()).unwrap());
    let finished = job.finish();
    expect_done(&finished);
    assert_eq!(inspect(&mut *store, "job").held, None);
    warnings(&finished).into_iter().map(str::to_owned).collect()
}

#[track_caller]
fn runs_on(change: Change) {
    let cluster = Cluster::start();
    let (master, replica) = (cluster.master_of(KEY), cluster.replica_of(KEY));
    let warnings = rides_out("30s", &cluster, || {
        change.begin(master, replica);
        wait_until(|| is_master(replica));
    });
    assert!(warnings.is_empty(), "{change:?}: {warnings:?}");
}

#[test]
fn a_job_runs_on_when_its_node_dies() {
    runs_on(Change::Kill);
}

#[test]
fn a_job_runs_on_when_its_node_hands_over() {
    runs_on(Change::Failover);
}

#[test]
fn a_node_that_lost_its_data_gets_the_lock_back_with_its_old_fence() {
    for restarts in [true, false] {
        let cluster = Cluster::start();
        let master = cluster.master_of(KEY);
        let mut job = Job::start(tasklock(&cluster.url()));
        if restarts {
            master.kill();
            master.restart();
        } else {
            master.command(&["FLUSHALL"]);
        }
        job.running.wait_for_stderr("had vanished");
        let fence = master.text(&["HGET", STATE, "f0"]).unwrap();
        assert_eq!(fence, job.fence.to_string());
        expect_done(&job.finish());
    }
}

/// A fail-over to a replica that has never seen the lock.
fn forget(cluster: &Cluster, take: impl FnOnce()) {
    let (master, replica) = (cluster.master_of(KEY), cluster.replica_of(KEY));
    replica.freeze();
    // Otherwise what it was sent would wait for it in the kernel.
    assert_eq!(master.number(&["CLIENT", "KILL", "TYPE", "replica"]), 1);
    take();
    master.kill();
    replica.thaw();
    wait_until(|| {
        // Refused until it has noticed that its master is gone.
        let _ = replica.try_command(&["CLUSTER", "FAILOVER", "TAKEOVER"]);
        is_master(replica)
    });
    assert_eq!(owner(replica), None);
}

#[test]
fn a_grant_that_was_not_replicated_is_taken_again_unless_somebody_came_first() {
    for somebody_came in [false, true] {
        let cluster = Cluster::start();
        // Not the replica: a request that it finds when it wakes up would be a late one of ours.
        let url = url_of(cluster.masters());
        let (mut store, mut other) = (open(&url), open(&url));
        let (mine, theirs) = (claim("a"), claim("b"));
        let mut granted = None;
        forget(&cluster, || granted = Some(grant(&mut *store, &mine)));
        let granted = granted.unwrap();
        if somebody_came {
            // Two believe that they have the lock: only the fence tells them apart.
            let next = grant(&mut *other, &theirs);
            assert!(next.fence > granted.fence);
            match refresh(&mut *store, &mine, &granted) {
                Refresh::Lost(Loss::TakenOver(held)) => assert_eq!(held.holder.unwrap().who, "b"),
                other => panic!("{other:?}"),
            }
            keep(&mut *other, &theirs, &next);
        } else {
            match refresh(&mut *store, &mine, &granted) {
                Refresh::Retaken(again) => assert_eq!(again.fence, granted.fence),
                other => panic!("{other:?}"),
            }
            assert_eq!(held(&mut *other, &theirs).holder.unwrap().who, "a");
            assert_eq!(release(&mut *store, &mine), Release::Released);
        }
    }
}

#[test]
fn a_shard_without_a_replica_closes_its_locks_until_it_is_back() {
    let cluster = Cluster::start();
    let (master, replica) = (cluster.master_of(KEY), cluster.replica_of(KEY));
    let mut store = open(&cluster.url());
    let mine = claim("a");
    let granted = grant(&mut *store, &mine);
    replica.kill();
    master.freeze();
    // The others notice, and answer that the Cluster is down.
    wait_until(|| !is_ok(cluster.other_than(KEY)));
    let error = failure_of(&mut *open(&url_of([cluster.other_than(KEY)])));
    assert!(error.text.contains("CLUSTERDOWN"), "{error}");
    thread::scope(|scope| {
        let keeps = scope.spawn(|| keep(&mut *store, &mine, &granted));
        let mut other = open(&cluster.url());
        let asks = scope.spawn(move || held(&mut *other, &claim("b")));
        master.thaw();
        assert_eq!(keeps.join().unwrap().fence, granted.fence);
        assert_eq!(asks.join().unwrap().holder.unwrap().who, "a");
    });
    assert_eq!(release(&mut *store, &mine), Release::Released);
}

#[test]
fn the_only_seed_may_fail_once_its_replica_is_known() {
    let cluster = Cluster::start();
    let (master, replica) = (cluster.master_of(KEY), cluster.replica_of(KEY));
    wait_until(|| names(master, replica));
    let proxy = Proxy::start(master.address());
    let mut store = open(&proxy.url().replace("redis:", "redis+cluster:"));
    let mine = claim("a");
    let mut granted = grant(&mut *store, &mine);
    wait_until(|| {
        granted = keep(&mut *store, &mine, &granted);
        proxy.requests().iter().any(|words| words[0] == "CLUSTER")
    });
    Change::Kill.begin(master, replica);
    let again = keep(&mut *store, &mine, &granted);
    assert_eq!(again.fence, granted.fence);
    assert_eq!(release(&mut *store, &mine), Release::Released);
}

/// Does a node tell of its replica when it is asked for the slots?
#[track_caller]
fn names(master: &Server, replica: &Server) -> bool {
    let slots = format!("{:?}", master.command(&["CLUSTER", "SLOTS"]));
    slots.contains(&format!("int({})", replica.address().port()))
}

#[test]
fn a_cluster_in_too_many_pieces_to_be_told_of_is_no_trouble() {
    let (asked, told) = mpsc::channel();
    // A node that has all slots, and says so at great length.
    let url = fake(move |mut stream| {
        let mut request = [0; 65536];
        while let Ok(1..) = stream.read(&mut request) {
            let length = request.iter().position(|&byte| byte == 0).unwrap_or(0);
            let text = String::from_utf8_lossy(&request[..length]).into_owned();
            request.fill(0);
            let mut answer = String::new();
            if text.contains("SLOTS") {
                asked.send(()).unwrap();
                answer = "*2000000\r\n".to_owned() + &":1000\r\n".repeat(2_000_000);
            }
            answer += "*1\r\n$9\r\nwithdrawn\r\n";
            if stream.write_all(answer.as_bytes()).is_err() {
                break;
            }
        }
    });
    let mut store = open(&url.replace("redis:", "redis+cluster:"));
    let mine = claim("a");
    wait_until(|| {
        let answer = store.acquire(&mine, Ask::default(), TIMEOUT);
        assert_eq!(answer, Ok(Acquire::Withdrawn));
        told.try_recv().is_ok()
    });
    // Once is enough.
    let answer = store.acquire(&mine, Ask::default(), TIMEOUT);
    assert_eq!(answer, Ok(Acquire::Withdrawn));
    assert!(told.try_recv().is_err());
}

#[test]
fn a_master_that_is_cut_off_from_the_others_stops_serving_by_itself() {
    let cluster = Cluster::start();
    let master = cluster.master_of(KEY);
    let mut store = open(&url_of([master]));
    let mine = claim("a");
    let granted = grant(&mut *store, &mine);
    let others = || {
        cluster
            .nodes
            .iter()
            .filter(|node| node.pid() != master.pid())
    };
    others().for_each(Server::freeze);
    wait_until(|| !is_ok(master));
    let error = store.refresh(&mine, &granted, BRIEF).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error}");
    assert!(error.text.contains("CLUSTERDOWN"), "{error}");
    let error = failure_of(&mut *open(&url_of([master])));
    assert!(error.text.contains("CLUSTERDOWN"), "{error}");
    others().for_each(Server::thaw);
    assert_eq!(keep(&mut *store, &mine, &granted).fence, granted.fence);
}
