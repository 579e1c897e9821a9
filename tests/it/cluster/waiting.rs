//! Standing in line while the lock's slot moves or its node fails.

use std::time::Duration;

use tasklock::store::{Claim, Grant, Store};

use super::{KEY, Migration, STATE, claim, requests_to};
use crate::holding::{DONE, Job, expect_done, tasklock};
use crate::support::cluster::{Cluster, is_master, url_of};
use crate::support::redis::Server;
use crate::support::store::{
    FAILED, end, grant, grant_in_line, keep, open, queue, rings_within, wait_for_bell,
};
use crate::support::wait_until;

/// A run that holds the lock or stands in line for it.
struct Run {
    store: Box<dyn Store>,
    claim: Claim,
}

impl Run {
    fn on(url: &str, who: &str) -> Run {
        Run {
            store: open(url),
            claim: claim(who),
        }
    }

    /// Its place in line.
    #[track_caller]
    fn place(&mut self) -> u32 {
        queue(&mut *self.store, &self.claim).place.unwrap()
    }

    #[track_caller]
    fn hold(&mut self) -> Grant {
        grant(&mut *self.store, &self.claim)
    }

    /// Is told that the lock is free, and takes it.
    #[track_caller]
    fn is_served(&mut self) {
        wait_for_bell(&*self.store);
        grant_in_line(&mut *self.store, &self.claim);
    }

    #[track_caller]
    fn leave(&mut self) {
        end(&mut *self.store, &self.claim, FAILED);
    }
}

/// A holder and two in line.
fn line_on(url: &str) -> (Run, Run, Run) {
    let mut holder = Run::on(url, "holder");
    let (mut first, mut second) = (Run::on(url, "a"), Run::on(url, "b"));
    holder.hold();
    assert_eq!(first.place(), 1);
    assert_eq!(second.place(), 2);
    (holder, first, second)
}

#[test]
fn a_line_goes_on_wherever_its_slot_is() {
    // How far the slot has moved when the lock is given back.
    for moved in ["not yet", "the keys", "all of it"] {
        let cluster = Cluster::start();
        let (mut holder, mut first, mut second) = line_on(&cluster.url());
        let mut migration = Some(Migration::begin(&cluster));
        if moved != "not yet" {
            migration.as_ref().unwrap().carry(&[KEY, STATE]);
        }
        if moved == "all of it" {
            migration.take().unwrap().finish();
        }
        for _ in 0..2 {
            assert_eq!(first.place(), 1, "{moved}");
            assert_eq!(second.place(), 2, "{moved}");
        }
        assert!(!rings_within(&*first.store, Duration::ZERO), "{moved}");
        holder.leave();
        if moved == "not yet" {
            // The key is gone, and cannot be made again where the slot is leaving from.
            migration.as_ref().unwrap().carry(&[STATE]);
        }
        first.is_served();
        assert_eq!(second.place(), 1, "{moved}");
        assert!(!rings_within(&*second.store, Duration::ZERO), "{moved}");
        first.leave();
        second.is_served();
        second.leave();
    }
}

#[test]
fn a_waiter_that_has_not_asked_since_the_slot_moved_is_told_all_the_same() {
    let cluster = Cluster::start();
    let (mut holder, first, second) = line_on(&cluster.url());
    let migration = Migration::begin(&cluster);
    migration.carry(&[KEY, STATE]);
    migration.finish();
    holder.leave();
    let mut runs = [first, second];
    for run in &mut runs {
        // Both are, as nobody listens where it is told: one is served, one is in line again.
        wait_for_bell(&*run.store);
    }
    let [first, second] = &mut runs;
    grant_in_line(&mut *first.store, &first.claim);
    assert_eq!(second.place(), 1);
    first.leave();
    second.is_served();
}

#[test]
fn a_line_outlives_the_node_that_has_it() {
    let cluster = Cluster::start();
    let (master, replica) = (cluster.master_of(KEY), cluster.replica_of(KEY));
    let (mut holder, mut first, mut second) = line_on(&url_of(cluster.masters()));
    // Means the same, as it is ours already.
    let granted = holder.hold();
    wait_until(|| master.number(&["WAIT", "1", "0"]) == 1);
    master.kill();
    for run in [&mut first, &mut second] {
        wait_for_bell(&*run.store);
    }
    assert_eq!(first.place(), 1);
    assert_eq!(second.place(), 2);
    assert!(is_master(replica));
    assert_eq!(
        keep(&mut *holder.store, &holder.claim, &granted).fence,
        granted.fence
    );
    assert!(!rings_within(&*first.store, Duration::ZERO));
    holder.leave();
    first.is_served();
    first.leave();
    second.is_served();
}

/// What the nodes are asked in five hand-offs from one waiter to the next.
#[track_caller]
fn cost_of_hand_offs(url: &str, nodes: &[Server]) -> u64 {
    let mut runs: Vec<Run> = (0..6).map(|_| Run::on(url, "a")).collect();
    runs[0].hold();
    for (before, run) in runs[1..].iter_mut().enumerate() {
        assert_eq!(run.place() as usize, before + 1);
    }
    for node in nodes {
        node.command(&["CONFIG", "RESETSTAT"]);
    }
    for run in 0..5 {
        runs[run].leave();
        runs[run + 1].is_served();
    }
    requests_to(nodes)
}

#[test]
fn a_hand_off_costs_what_it_costs_on_one_server() {
    let server = Server::start();
    let on_one = cost_of_hand_offs(&server.url(), std::slice::from_ref(&server));
    assert_eq!(on_one, 10);
    let cluster = Cluster::start();
    assert_eq!(cost_of_hand_offs(&cluster.url(), &cluster.nodes), on_one);
}

#[test]
fn a_job_that_waits_runs_when_the_slot_has_moved() {
    let cluster = Cluster::start();
    let job = Job::start(tasklock(&cluster.url()));
    let mut waiter = tasklock(&cluster.url())
        .args(["--wait", "forever"])
        .sh(&format!("exit {DONE}"))
        .start();
    waiter.wait_for_stderr("waiting");
    let migration = Migration::begin(&cluster);
    migration.carry(&[KEY, STATE]);
    migration.finish();
    assert!(waiter.is_running());
    expect_done(&job.finish());
    waiter.wait().expect_code(DONE);
}
