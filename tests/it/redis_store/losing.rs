//! What a refresh says when the key, the state or the server's data are gone.

use tasklock::store::{Ask, Grant, Held, Loss, Refresh, Release, StoreErrorKind, Unlock};

use super::{KEY, STATE, claim, short_claim, start, wait_until_free};
use crate::support::redis::Server;
use crate::support::store::{TIMEOUT, grant, held, keep, open, refresh, release, unlock};

/// As heard by a holder whose lease has ended since.
fn ended(grant: Grant) -> Grant {
    Grant { end_ms: 1, ..grant }
}

fn taken_over(answer: Refresh) -> Held {
    match answer {
        Refresh::Lost(Loss::TakenOver(held)) => held,
        other => panic!("not taken over: {other:?}"),
    }
}

fn retaken(answer: Refresh) -> Grant {
    match answer {
        Refresh::Retaken(grant) => grant,
        other => panic!("not retaken: {other:?}"),
    }
}

#[test]
fn a_refresh_moves_the_end_and_keeps_the_fence() {
    let (server, mut store) = start();
    let mine = claim("a");
    let granted = grant(&mut *store, &mine);
    server.command(&["PEXPIRE", KEY, "1000"]);
    match refresh(&mut *store, &mine, &granted) {
        Refresh::Held(again) => {
            assert_eq!(again.fence, granted.fence);
            assert!(again.end_ms >= granted.end_ms);
        }
        other => panic!("{other:?}"),
    }
    assert!(server.number(&["PTTL", KEY]) > 1000);
}

#[test]
fn a_deleted_key_is_taken_again_with_the_same_fence() {
    let (server, mut store) = start();
    let mine = claim("a");
    let granted = grant(&mut *store, &mine);
    server.command(&["DEL", KEY]);
    let again = retaken(refresh(&mut *store, &mine, &granted));
    assert_eq!(again.fence, granted.fence);
    assert_eq!(server.text(&["GET", KEY]).unwrap(), mine.token.as_str());
    keep(&mut *store, &mine, &again);
}

#[test]
fn a_lost_hash_is_written_whole() {
    let (server, mut store) = start();
    let mine = claim("a");
    let granted = grant(&mut *store, &mine);
    server.command(&["DEL", STATE]);
    keep(&mut *store, &mine, &granted);
    assert_eq!(
        server.text(&["HGET", STATE, "f0"]).unwrap(),
        granted.fence.to_string()
    );
    assert_eq!(
        held(&mut *store, &claim("b")).holder,
        Some(mine.holder.clone())
    );
    assert_eq!(server.number(&["TTL", STATE]), -1);
    assert_eq!(release(&mut *store, &mine), Release::Released);
}

#[test]
fn lost_data_is_written_again_while_the_lease_runs() {
    let (server, mut store) = start();
    let mine = claim("a");
    let granted = grant(&mut *store, &mine);
    server.command(&["FLUSHALL"]);
    // The record of somebody's withdrawal is no grant.
    assert_eq!(release(&mut *store, &claim("b")), Release::Forgotten);
    assert_eq!(
        retaken(refresh(&mut *store, &mine, &granted)).fence,
        granted.fence
    );
    assert_eq!(server.number(&["TTL", STATE]), -1);
    assert_eq!(
        held(&mut *store, &claim("c")).holder,
        Some(mine.holder.clone())
    );
    assert_eq!(release(&mut *store, &mine), Release::Released);
}

#[test]
fn lost_data_is_a_loss_once_the_lease_has_ended() {
    let (server, mut store) = start();
    let mine = claim("a");
    let granted = grant(&mut *store, &mine);
    server.command(&["FLUSHALL"]);
    assert_eq!(
        refresh(&mut *store, &mine, &ended(granted)),
        Refresh::Lost(Loss::Expired)
    );
    assert_eq!(server.number(&["DBSIZE"]), 0);
}

#[test]
fn a_restart_without_data_is_survived_by_the_holder() {
    let (server, mut store) = start();
    let mine = claim("a");
    let granted = grant(&mut *store, &mine);
    server.restart();
    // On the connection of before, which is broken now.
    assert_eq!(
        retaken(refresh(&mut *store, &mine, &granted)).fence,
        granted.fence
    );
    server.restart();
    assert_eq!(release(&mut *store, &mine), Release::Forgotten);
}

#[test]
fn a_lease_that_ended_is_not_taken_again() {
    let (server, mut store) = start();
    let mine = claim("a");
    let granted = grant(&mut *store, &mine);
    server.command(&["DEL", KEY]);
    assert_eq!(
        refresh(&mut *store, &mine, &ended(granted)),
        Refresh::Lost(Loss::Expired)
    );

    let mine = short_claim("b");
    server.command(&["FLUSHALL"]);
    let granted = grant(&mut *store, &mine);
    wait_until_free(&mut *store);
    assert_eq!(
        refresh(&mut *store, &mine, &granted),
        Refresh::Lost(Loss::Expired)
    );
}

#[test]
fn a_lock_that_another_was_granted_is_lost_to_it() {
    let (server, mut store) = start();
    let (mine, other) = (short_claim("a"), claim("b"));
    let granted = grant(&mut *store, &mine);
    wait_until_free(&mut *store);
    let next = grant(&mut *store, &other);
    let taken = taken_over(refresh(&mut *store, &mine, &granted));
    assert_eq!(taken.holder, Some(other.holder.clone()));
    assert!(taken.age.is_some() && taken.remaining.is_some());
    // Also while the other's key is gone.
    server.command(&["DEL", KEY]);
    let taken = taken_over(refresh(&mut *store, &mine, &granted));
    assert_eq!(taken.holder, Some(other.holder.clone()));
    retaken(refresh(&mut *store, &other, &next));
}

#[test]
fn a_lock_that_a_recipe_job_took_is_lost_to_it() {
    let (server, mut store) = start();
    let mine = claim("a");
    let granted = grant(&mut *store, &mine);
    server.command(&["DEL", KEY]);
    server.command(&["SET", KEY, "1", "NX", "EX", "60"]);
    assert_eq!(
        taken_over(refresh(&mut *store, &mine, &granted)).holder,
        None
    );
    assert_eq!(server.text(&["GET", KEY]).unwrap(), "1");
    // With the state gone as well.
    server.command(&["DEL", STATE]);
    assert_eq!(
        taken_over(refresh(&mut *store, &mine, &granted)).holder,
        None
    );
}

#[test]
fn a_lock_that_came_and_went_is_lost() {
    let (_server, mut store) = start();
    let (mine, other) = (short_claim("a"), claim("b"));
    let granted = grant(&mut *store, &mine);
    wait_until_free(&mut *store);
    grant(&mut *store, &other);
    release(&mut *store, &other);
    assert_eq!(
        refresh(&mut *store, &mine, &granted),
        Refresh::Lost(Loss::FenceMoved)
    );
}

#[test]
fn a_revocation_is_told_even_when_the_key_is_gone() {
    let (server, mut store) = start();
    let mine = claim("a");
    let granted = grant(&mut *store, &mine);
    unlock(&mut *store, "job", Unlock::Ask);
    server.command(&["DEL", KEY]);
    let answer = refresh(&mut *store, &mine, &granted);
    assert_eq!(
        answer,
        Refresh::Revoked {
            by: "root@adm".to_owned()
        }
    );
    assert_eq!(server.number(&["EXISTS", KEY]), 0);
}

#[test]
fn a_holder_that_is_asked_is_not_given_more_time() {
    let (server, mut store) = start();
    let mine = claim("a");
    let granted = grant(&mut *store, &mine);
    unlock(&mut *store, "job", Unlock::Ask);
    server.command(&["PEXPIRE", KEY, "30000"]);
    let answer = refresh(&mut *store, &mine, &granted);
    assert!(matches!(answer, Refresh::Revoked { .. }), "{answer:?}");
    assert!(server.number(&["PTTL", KEY]) <= 30_000);
}

#[test]
fn a_replica_decides_nothing() {
    let server = Server::start();
    let mut store = open(&server.unix_url());
    let named = crate::support::store::claim;
    let (mine, lost) = (named("job", "a"), named("other", "a"));
    let granted = grant(&mut *store, &mine);
    let gone = grant(&mut *store, &lost);
    // It has never seen the grant of the one, and not yet the end of the other.
    server.command(&["DEL", "task_lock:other", "{task_lock:other}:st"]);
    server.command(&["REPLICAOF", "127.0.0.1", "1"]);
    for (claim, grant) in [(&mine, &granted), (&lost, &gone)] {
        let error = store.refresh(claim, grant, TIMEOUT).unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error}");
    }
    for name in ["job", "other"] {
        let error = store
            .acquire(&named(name, "b"), Ask::default(), TIMEOUT)
            .unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error}");
    }
}

#[test]
fn a_replica_that_lags_behind_ends_no_lease_and_confirms_none() {
    let (server, mut store) = start();
    let former = claim("a");
    grant(&mut *store, &former);
    let copies = [(KEY, "key"), (STATE, "state")];
    for (key, copy) in copies {
        server.command(&["COPY", key, copy]);
    }
    assert_eq!(release(&mut *store, &former), Release::Released);
    let mine = claim("b");
    let granted = grant(&mut *store, &mine);
    // As a replica knows it that has not heard of the change.
    for (key, copy) in copies {
        server.command(&["COPY", copy, key, "REPLACE"]);
    }
    server.command(&["REPLICAOF", "127.0.0.1", "1"]);
    let error = store.refresh(&mine, &granted, TIMEOUT).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error}");
    let error = store.check(&mine.name, &former.token, TIMEOUT).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error}");
}
