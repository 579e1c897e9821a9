//! What a release removes, and what it leaves behind and for how long.

use tasklock::store::{Claim, Release};

use super::{KEY, STATE, claim, short_claim, start, wait_until_free};
use crate::support::store::{grant, keep, release};

const REST_SECS: i64 = 30 * 24 * 60 * 60;

#[test]
fn a_release_removes_the_key() {
    let (server, mut store) = start();
    let mine = claim("a");
    grant(&mut *store, &mine);
    assert_eq!(release(&mut *store, &mine), Release::Released);
    assert_eq!(server.number(&["EXISTS", KEY]), 0);
}

#[test]
fn the_last_eight_tokens_are_remembered() {
    let (server, mut store) = start();
    let claims: Vec<Claim> = (0..9).map(|_| claim("a")).collect();
    for claim in &claims {
        grant(&mut *store, claim);
        release(&mut *store, claim);
    }
    let newest_first: Vec<&str> = claims[1..].iter().rev().map(|c| c.token.as_str()).collect();
    let remembered = server.text(&["HGET", STATE, "rel"]).unwrap();
    assert_eq!(remembered, newest_first.join(","));
}

#[test]
fn a_release_under_the_key_of_a_recipe_job_leaves_that_key() {
    let (server, mut store) = start();
    let mine = claim("a");
    grant(&mut *store, &mine);
    server.command(&["DEL", KEY]);
    server.command(&["SET", KEY, "1", "NX", "EX", "60"]);
    let answer = release(&mut *store, &mine);
    assert!(
        matches!(&answer, Release::NotOurs(Some(held)) if held.holder.is_none()),
        "{answer:?}"
    );
    assert_eq!(server.text(&["GET", KEY]).unwrap(), "1");
    // Ours is over all the same: once the key is gone, the lock is free.
    server.command(&["DEL", KEY]);
    grant(&mut *store, &claim("b"));
}

#[test]
fn a_release_after_the_lease_ended_says_whose_the_lock_is() {
    let (_server, mut store) = start();
    let (mine, other) = (short_claim("a"), claim("b"));
    grant(&mut *store, &mine);
    wait_until_free(&mut *store);
    grant(&mut *store, &other);
    match release(&mut *store, &mine) {
        Release::NotOurs(Some(held)) => assert_eq!(held.holder, Some(other.holder.clone())),
        unexpected => panic!("{unexpected:?}"),
    }
    release(&mut *store, &other);
    assert_eq!(release(&mut *store, &claim("c")), Release::NotOurs(None));
}

#[test]
fn a_release_finds_only_the_hash_when_the_key_was_deleted() {
    let (server, mut store) = start();
    let mine = claim("a");
    grant(&mut *store, &mine);
    server.command(&["DEL", KEY]);
    assert_eq!(release(&mut *store, &mine), Release::Released);
    grant(&mut *store, &claim("b"));
}

#[test]
fn the_state_lives_as_long_as_the_lock_is_held_and_thirty_days_more() {
    let (server, mut store) = start();
    for _ in 0..2 {
        let mine = claim("a");
        let granted = grant(&mut *store, &mine);
        assert_eq!(server.number(&["TTL", STATE]), -1);
        keep(&mut *store, &mine, &granted);
        assert_eq!(server.number(&["TTL", STATE]), -1);
        release(&mut *store, &mine);
        let rests = server.number(&["TTL", STATE]);
        assert!((REST_SECS - 60..=REST_SECS).contains(&rests), "{rests}");
    }
    let mine = claim("a");
    grant(&mut *store, &mine);
    release(&mut *store, &claim("b"));
    assert_eq!(
        server.number(&["TTL", STATE]),
        -1,
        "the holder's state has no end"
    );
    // Nor has a once record, which a later version writes.
    server.command(&["HSET", STATE, "os", "1"]);
    release(&mut *store, &mine);
    assert_eq!(server.number(&["TTL", STATE]), -1);
}
