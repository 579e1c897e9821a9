//! Another master in the middle of a hold: what the next request does about it.

use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tasklock::store::{Fence, Loss, Refresh, Release};

use super::{KEY, STATE, claim, demote, open, pair, promote};
use crate::support::redis::Server;
use crate::support::sentinel::{Fake, Watched, wait_for_copy};
use crate::support::store::{self, TIMEOUT, grant, held, inspect, keep, refresh, release};
use crate::support::wait_until;

#[test]
fn a_hold_goes_on_with_its_fence_through_a_planned_fail_over() {
    let watched = Watched::start();
    let (mut store, mut others) = (store::open(&watched.url()), store::open(&watched.url()));
    let mine = claim("a");
    let mut granted = grant(&mut *store, &mine);
    for _ in 0..2 {
        watched.wait_for_copies();
        let old = watched.master();
        assert_ne!(watched.fail_over().address(), old.address());
        held(&mut *others, &claim("b"));
        granted = keep(&mut *store, &mine, &granted);
        watched.wait_until_whole();
    }
    let fence = granted.fence;
    assert_eq!(release(&mut *store, &mine), Release::Released);
    assert!(grant(&mut *others, &claim("b")).fence > fence);
}

#[test]
fn a_master_that_is_demoted_while_our_connection_stays_open_is_left_in_the_same_request() {
    let (old, new) = pair();
    let fake = Fake::naming(&old, 1);
    let mut store = open(&[&fake]);
    let mine = claim("a");
    let granted = grant(&mut *store, &mine);
    wait_for_copy(&old, &new);
    promote(&new);
    demote(&old, &new);
    // In the same epoch: else Sentinel would be believed before the old master is asked.
    fake.name(&new, 1);
    let monitor = old.monitor();
    let granted = keep(&mut *store, &mine, &granted);
    // Asked on the connection that was open, not on a new one. The rest it copies from its master.
    let names = monitor.names();
    let count = |wanted| names.iter().filter(|name| *name == wanted).count();
    assert_eq!((count("EVAL"), count("ROLE")), (1, 0), "{names:?}");
    assert_eq!(
        new.text(&["HGET", STATE, "e0"]),
        Some(granted.end_ms.to_string())
    );
}

#[test]
fn a_look_at_a_lock_is_not_answered_by_a_server_that_was_demoted() {
    let (old, new) = pair();
    let fake = Fake::naming(&old, 1);
    promote(&new);
    demote(&old, &new);
    thread::scope(|scope| {
        let look = scope.spawn(|| inspect(&mut *open(&[&fake]), "job"));
        let mut others = store::open(&new.url());
        grant(&mut *others, &claim("a"));
        fake.name(&new, 2);
        assert!(look.join().unwrap().held.is_some());
    });
}

#[test]
fn a_frozen_master_is_left_for_its_successor_within_one_request() {
    let (old, new) = pair();
    let fake = Fake::naming(&old, 1);
    let mut store = open(&[&fake]);
    let mine = claim("a");
    let granted = grant(&mut *store, &mine);
    wait_for_copy(&old, &new);
    old.freeze();
    promote(&new);
    fake.name(&new, 2);
    match store.refresh(&mine, &granted, Duration::from_secs(6)) {
        Ok(Refresh::Held(kept)) => assert_eq!(kept.fence, granted.fence),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_dead_master_is_left_for_its_successor_as_soon_as_that_is_named() {
    let (old, new) = pair();
    let fake = Fake::naming(&old, 1);
    let mut store = open(&[&fake]);
    let mine = claim("a");
    let granted = grant(&mut *store, &mine);
    wait_for_copy(&old, &new);
    old.kill();
    promote(&new);
    thread::scope(|scope| {
        let kept = scope.spawn(|| keep(&mut *store, &mine, &granted));
        fake.name(&new, 2);
        assert_eq!(kept.join().unwrap().fence, granted.fence);
    });
}

/// A lock on one server, and a store that the next request leads to another, which has never heard of it.
fn led_astray(prepare: impl FnOnce(&Server)) -> (Refresh, Fence, Server) {
    let (old, new) = (Server::start(), Server::start());
    let fake = Fake::naming(&old, 1);
    let mut store = open(&[&fake]);
    let mine = claim("a");
    prepare(&new);
    let granted = grant(&mut *store, &mine);
    old.kill();
    fake.name(&new, 2);
    let answer = refresh(&mut *store, &mine, &granted);
    (answer, granted.fence, new)
}

#[test]
fn a_grant_that_its_successor_never_saw_is_taken_again_with_its_fence() {
    let (answer, fence, new) = led_astray(|_| {});
    assert!(
        matches!(answer, Refresh::Retaken(grant) if grant.fence == fence),
        "{answer:?}"
    );
    held(&mut *store::open(&new.url()), &claim("b"));
    assert_eq!(new.text(&["HGET", STATE, "f0"]), Some(fence.to_string()));
}

#[test]
fn a_grant_that_its_successor_never_saw_is_lost_if_another_has_the_lock() {
    let (answer, fence, new) = led_astray(|new| {
        grant(&mut *store::open(&new.url()), &claim("b"));
    });
    match answer {
        Refresh::Lost(Loss::TakenOver(seen)) => assert_eq!(seen.holder.unwrap().who, "b"),
        other => panic!("{other:?}"),
    }
    // Fences grow all the same, by the clock.
    let mut others = store::open(&new.url());
    new.command(&["DEL", KEY, STATE]);
    assert!(grant(&mut *others, &claim("c")).fence > fence);
}

#[test]
fn a_lease_that_ended_on_the_way_to_the_successor_is_not_taken_again() {
    let (old, new) = (Server::start(), Server::start());
    let fake = Fake::naming(&old, 1);
    let mut store = open(&[&fake]);
    let mut mine = claim("a");
    mine.ttl = Duration::from_millis(40);
    let granted = grant(&mut *store, &mine);
    old.kill();
    fake.name(&new, 2);
    // Server and test have the same clock.
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    wait_until(|| now().as_millis() > u128::from(granted.end_ms));
    let answer = store.refresh(&mine, &granted, TIMEOUT).unwrap();
    assert_eq!(answer, Refresh::Lost(Loss::Expired));
}

#[test]
fn a_grant_of_a_master_that_was_frozen_and_has_a_successor_by_then_does_not_count() {
    let (old, new) = pair();
    let fake = Fake::naming(&old, 1);
    old.freeze();
    let mut store = open(&[&fake]);
    let mine = claim("a");
    let granted = thread::scope(|scope| {
        let granting = scope.spawn(|| grant(&mut *store, &mine));
        // Long before Sentinel would be asked again for its age.
        thread::sleep(Duration::from_millis(200));
        promote(&new);
        fake.name(&new, 2);
        old.thaw();
        granting.join().unwrap()
    });
    let fence = |server: &Server| server.text(&["HGET", STATE, "f0"]);
    assert_eq!(fence(&new), Some(granted.fence.to_string()));
    // Nobody can take back what it did before it knew.
    assert_ne!(fence(&old), fence(&new));
    assert_eq!(release(&mut *store, &mine), Release::Released);
}
