//! The node that has the lock fails, or hands over.

use std::thread;

use tasklock::store::{Loss, Refresh, Release};

use super::{KEY, STATE, claim, owner};
use crate::holding::{DONE, Job, expect_done, tasklock, warnings};
use crate::support::cluster::{Cluster, is_master, is_ok, url_of};
use crate::support::redis::Server;
use crate::support::store::{grant, held, inspect, keep, open, refresh, release};
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

#[test]
fn a_lock_outlives_the_node_that_has_it() {
    for change in [
        Change::Kill,
        Change::Freeze,
        Change::Failover,
        Change::Takeover,
    ] {
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

#[test]
fn a_job_runs_on_through_every_change_of_its_node() {
    for change in [
        Change::Kill,
        Change::Freeze,
        Change::Failover,
        Change::Takeover,
    ] {
        let cluster = Cluster::start();
        let (master, replica) = (cluster.master_of(KEY), cluster.replica_of(KEY));
        let warnings = rides_out("30s", &cluster, || {
            change.begin(master, replica);
            wait_until(|| is_master(replica));
        });
        assert!(warnings.is_empty(), "{change:?}: {warnings:?}");
    }
}

#[test]
fn a_node_that_lost_its_data_gets_the_lock_back_with_its_old_fence() {
    for restarts in [true, false] {
        let cluster = Cluster::start();
        let master = cluster.master_of(KEY);
        let job = Job::start(tasklock(&cluster.url()));
        if restarts {
            master.kill();
            master.restart();
        } else {
            master.command(&["FLUSHALL"]);
        }
        wait_until(|| owner(master).is_some());
        let fence = master.text(&["HGET", STATE, "f0"]).unwrap();
        assert_eq!(fence, job.fence.to_string());
        let finished = job.finish();
        finished.expect_code(DONE).expect_stderr("had vanished");
        expect_done(&finished);
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
    let error = super::failure_of(&mut *open(&url_of([cluster.other_than(KEY)])));
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
    let mut store = open(&url_of([master]));
    let mine = claim("a");
    let mut granted = grant(&mut *store, &mine);
    let monitor = master.monitor();
    wait_until(|| {
        granted = keep(&mut *store, &mine, &granted);
        monitor.names().iter().any(|name| name == "CLUSTER")
    });
    drop(monitor);
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
fn a_cluster_of_thousands_of_pieces_is_no_trouble() {
    let server = Server::with()
        .config("cluster-enabled", "yes")
        .config("cluster-require-full-coverage", "no")
        .start();
    let slots: Vec<String> = (0..8192).map(|half| (2 * half + 1).to_string()).collect();
    let mut words = vec!["CLUSTER", "ADDSLOTS"];
    words.extend(slots.iter().map(String::as_str));
    server.command(&words);
    wait_until(|| is_ok(&server));
    let mut store = open(&url_of([&server]));
    let mine = claim("a");
    let mut granted = grant(&mut *store, &mine);
    let monitor = server.monitor();
    wait_until(|| {
        granted = keep(&mut *store, &mine, &granted);
        monitor.names().iter().any(|name| name == "CLUSTER")
    });
    keep(&mut *store, &mine, &granted);
    let asked = monitor.names();
    assert_eq!(asked.iter().filter(|name| *name == "CLUSTER").count(), 1);
    assert_eq!(release(&mut *store, &mine), Release::Released);
}
