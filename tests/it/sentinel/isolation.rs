//! A master that was cut off from its replicas and its Sentinels, but not from its clients.

use std::thread;
use std::time::Duration;

use tasklock::store::StoreErrorKind;

use super::{STATE, claim};
use crate::support::redis::Server;
use crate::support::sentinel::{Watched, role};
use crate::support::store::{self, FAILED, TIMEOUT, grant, held, inspect, keep, release};

/// A set-up in which the first master was cut off, and its successor.
fn cut_off(watched: &Watched) -> (&Server, &Server) {
    let old = watched.master();
    watched.cut_off(old);
    let new = watched.wait_for_successor_of(old);
    assert_eq!(role(old), "master");
    (old, new)
}

#[test]
fn a_holder_moves_to_the_new_master_while_the_old_one_still_answers() {
    let watched = Watched::start();
    let mut store = store::open(&watched.url());
    let mine = claim("a");
    let granted = grant(&mut *store, &mine);
    watched.wait_for_copies();
    let (old, new) = cut_off(&watched);
    // Whoever comes now is led to the new master, which has the lock.
    held(&mut *store::open(&watched.url()), &claim("b"));
    // Time alone brings doubt in a connection that answers.
    thread::sleep(Duration::from_secs(1));
    let before = old.text(&["HGET", STATE, "e0"]);
    let kept = keep(&mut *store, &mine, &granted);
    assert_eq!(kept.fence, granted.fence);
    assert_eq!(old.text(&["HGET", STATE, "e0"]), before);
    assert_eq!(
        new.text(&["HGET", STATE, "e0"]),
        Some(kept.end_ms.to_string())
    );

    // Once it is back, it is a replica like others.
    watched.connect_again(old);
    watched.wait_until_whole();
    assert_eq!(role(old), "slave");
    assert_eq!(
        release(&mut *store, &mine),
        tasklock::store::Release::Released
    );
    assert_eq!(inspect(&mut *store::open(&watched.url()), "job").held, None);
}

#[test]
fn a_master_that_must_have_a_replica_is_left_as_soon_as_it_has_none() {
    let with_replica = |server: crate::support::redis::Builder| {
        server
            .config("min-replicas-to-write", "1")
            .config("min-replicas-max-lag", "2")
    };
    let watched = Watched::with(with_replica, |sentinel| sentinel);
    let mut store = store::open(&watched.url());
    let mine = claim("a");
    let granted = grant(&mut *store, &mine);
    watched.wait_for_copies();
    let (old, new) = cut_off(&watched);
    let kept = keep(&mut *store, &mine, &granted);
    assert_eq!(
        new.text(&["HGET", STATE, "e0"]),
        Some(kept.end_ms.to_string())
    );
    let error = old.try_command(&["SET", "any", "key"]).unwrap_err();
    assert!(error.starts_with("NOREPLICAS"), "{error}");
}

#[test]
fn a_refresh_that_replicas_must_have_is_not_counted_on_the_old_master() {
    let watched = Watched::start();
    let mut store = store::open(&watched.url());
    let mut mine = claim("a");
    mine.replicas = 1;
    let granted = grant(&mut *store, &mine);
    watched.wait_for_copies();
    // Nobody has taken over yet.
    watched.cut_off_replicas_of(watched.master());
    let brief = Duration::from_secs(1);
    let error = store.refresh(&mine, &granted, brief).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    let what = format!("0 of 1 replicas of {} ", watched.master().url());
    assert!(error.text.starts_with(&what), "{error}");
    let (_, new) = cut_off(&watched);
    let kept = keep(&mut *store, &mine, &granted);
    assert_eq!(
        new.text(&["HGET", STATE, "e0"]),
        Some(kept.end_ms.to_string())
    );
    drop(store.release(&mine, FAILED, TIMEOUT));
}
