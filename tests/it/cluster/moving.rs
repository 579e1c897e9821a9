//! The lock's slot moves to another node while the lock is held, free, or being given back.

use std::thread;

use tasklock::store::{Acquire, Ask, Release, StoreErrorKind};

use super::{BRIEF, KEY, Migration, RUNS, STATE, claim, failure_of, owner};
use crate::holding::{DONE, Job, tasklock};
use crate::support::cluster::Cluster;
use crate::support::redis::Server;
use crate::support::store::{TIMEOUT, grant, held, inspect, keep, open, release};
use crate::support::wait_until;

#[test]
fn a_slot_that_moves_costs_its_holder_redirections_only() {
    let cluster = Cluster::start();
    let (mut store, mut other) = (open(&cluster.url()), open(&cluster.url()));
    let mine = claim("a");
    let granted = grant(&mut *store, &mine);
    let mut still_ours = || {
        assert_eq!(keep(&mut *store, &mine, &granted).fence, granted.fence);
        assert_eq!(held(&mut *other, &claim("b")).holder.unwrap().who, "a");
        assert_eq!(inspect(&mut *other, "job").fence, Some(granted.fence));
    };
    still_ours();
    let migration = Migration::begin(&cluster);
    still_ours();
    migration.carry(&[KEY, STATE]);
    still_ours();
    still_ours();
    let target = migration.target;
    migration.finish();
    still_ours();
    assert_eq!(owner(target).as_deref(), Some(mine.token.as_str()));
    assert_eq!(release(&mut *store, &mine), Release::Released);
    let next = grant(&mut *other, &claim("b"));
    assert!(next.fence > granted.fence);
}

#[test]
fn a_lock_is_given_back_and_taken_again_wherever_its_slot_is() {
    let cluster = Cluster::start();
    let (mut store, mut other) = (open(&cluster.url()), open(&cluster.url()));
    let mine = claim("a");
    let first = grant(&mut *store, &mine);
    let migration = Migration::begin(&cluster);
    migration.carry(&[KEY, STATE]);
    // What is left is its state, on the node that the slot is on its way to.
    assert_eq!(release(&mut *store, &mine), Release::Released);
    let next = claim("b");
    let second = grant(&mut *other, &next);
    assert!(second.fence > first.fence);
    assert_eq!(held(&mut *store, &claim("c")).holder.unwrap().who, "b");
    keep(&mut *other, &next, &second);
    assert_eq!(release(&mut *other, &next), Release::Released);
    // A release whose answer was lost is repeated.
    assert_eq!(release(&mut *other, &next), Release::Released);
    migration.finish();
    assert!(grant(&mut *store, &claim("c")).fence > second.fence);
}

#[test]
fn a_lock_that_never_was_is_granted_while_its_slot_moves() {
    let cluster = Cluster::start();
    let (mut store, mut other) = (open(&cluster.url()), open(&cluster.url()));
    let migration = Migration::begin(&cluster);
    let mine = claim("a");
    let granted = grant(&mut *store, &mine);
    assert_eq!(held(&mut *other, &claim("b")).holder.unwrap().who, "a");
    keep(&mut *store, &mine, &granted);
    let target = migration.target;
    migration.finish();
    keep(&mut *store, &mine, &granted);
    assert_eq!(owner(target).as_deref(), Some(mine.token.as_str()));
    assert_eq!(release(&mut *store, &mine), Release::Released);
}

#[test]
fn a_lock_of_which_one_key_has_moved_is_waited_for() {
    for (first, second) in [(KEY, STATE), (STATE, KEY)] {
        let cluster = Cluster::start();
        let (mut store, mut other) = (open(&cluster.url()), open(&cluster.url()));
        let mine = claim("a");
        let granted = grant(&mut *store, &mine);
        let migration = Migration::begin(&cluster);
        migration.carry(&[first]);
        let error = store.refresh(&mine, &granted, BRIEF).unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error}");
        assert!(error.text.contains("TRYAGAIN"), "{error}");
        assert!(failure_of(&mut *other).text.contains("TRYAGAIN"));
        thread::scope(|scope| {
            let refresh = scope.spawn(|| keep(&mut *store, &mine, &granted));
            let acquire = scope.spawn(|| held(&mut *other, &claim("b")));
            migration.carry(&[second]);
            assert_eq!(refresh.join().unwrap().fence, granted.fence);
            assert_eq!(acquire.join().unwrap().holder.unwrap().who, "a");
        });
        migration.finish();
        assert_eq!(release(&mut *store, &mine), Release::Released);
    }
}

#[test]
fn a_free_lock_whose_state_has_not_moved_yet_is_granted_when_it_has() {
    let cluster = Cluster::start();
    let mut store = open(&cluster.url());
    let mine = claim("a");
    let first = grant(&mut *store, &mine);
    release(&mut *store, &mine);
    let migration = Migration::begin(&cluster);
    assert!(failure_of(&mut *store).text.contains("TRYAGAIN"));
    thread::scope(|scope| {
        let acquire = scope.spawn(|| store.acquire(&claim("b"), Ask::default(), TIMEOUT));
        migration.carry(&[STATE]);
        match acquire.join().unwrap() {
            Ok(Acquire::Granted(second)) => assert!(second.fence > first.fence),
            other => panic!("{other:?}"),
        }
    });
    migration.carry(&[RUNS]);
    migration.finish();
}

#[test]
fn a_recipe_job_that_holds_the_lock_while_its_slot_moves_is_seen() {
    let cluster = Cluster::start();
    let mut store = open(&cluster.url());
    let mine = claim("a");
    grant(&mut *store, &mine);
    release(&mut *store, &mine);
    cluster
        .master_of(KEY)
        .command(&["SET", KEY, "1", "NX", "EX", "60"]);
    let migration = Migration::begin(&cluster);
    assert_eq!(held(&mut *store, &claim("b")).holder, None);
    // Its state alone on the other side must not be taken for a free lock.
    migration.carry(&[STATE]);
    assert!(failure_of(&mut *store).text.contains("TRYAGAIN"));
    migration.carry(&[KEY, RUNS]);
    assert_eq!(held(&mut *store, &claim("b")).holder, None);
    migration.finish();
    assert_eq!(held(&mut *store, &claim("b")).holder, None);
}

#[test]
fn a_job_that_ends_while_one_of_its_keys_has_moved_gives_the_lock_back_all_the_same() {
    let cluster = Cluster::start();
    let job = Job::start(tasklock(&cluster.url()));
    let migration = Migration::begin(&cluster);
    migration.carry(&[STATE]);
    let refused = || rejections(migration.source);
    let before = refused();
    let finished = thread::scope(|scope| {
        let end = scope.spawn(|| job.finish());
        // Longer than a request that is made in passing.
        wait_until(|| refused() > before + 6);
        migration.carry(&[KEY]);
        end.join().unwrap()
    });
    finished.expect_code(DONE).expect_silent();
    migration.finish();
    assert_eq!(inspect(&mut *open(&cluster.url()), "job").held, None);
}

/// How many scripts a node has refused to run.
#[track_caller]
fn rejections(node: &Server) -> u64 {
    let stats = node.info("commandstats");
    let line = stats.get("cmdstat_eval").map_or("", String::as_str);
    let mut fields = line.split(',').filter_map(|field| field.split_once('='));
    let count = fields.find(|(what, _)| *what == "rejected_calls");
    count.map_or(0, |(_, count)| count.parse().unwrap())
}
