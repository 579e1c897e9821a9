//! What a grant writes, whom it meets, and what it never does.

use std::time::Duration;

use tasklock::store::{Acquire, Ask, Claim, Fence, Slot, StoreErrorKind, Unlock, Unlocked};

use super::{KEY, STATE, claim, short_claim, start, wait_until_free};
use crate::support::store::{FAILED, TIMEOUT, TTL, grant, held, inspect, keep, release, unlock};

#[test]
fn the_key_is_the_token_and_lives_as_long_as_the_lease() {
    let (server, mut store) = start();
    let mine = claim("a");
    grant(&mut *store, &mine);
    assert_eq!(server.text(&["GET", KEY]).unwrap(), mine.token.as_str());
    let lasts = server.number(&["PTTL", KEY]);
    assert!((1..=60_000).contains(&lasts), "{lasts}");
    let remaining = held(&mut *store, &claim("b")).remaining.unwrap();
    assert!(remaining <= TTL && remaining > TTL / 2, "{remaining:?}");
}

#[test]
fn no_part_of_a_second_is_cut_from_a_lease() {
    let (server, mut store) = start();
    let mine = Claim {
        ttl: Duration::from_millis(59_900),
        ..claim("a")
    };
    grant(&mut *store, &mine);
    let lasts = server.number(&["PTTL", KEY]);
    assert!(lasts > 59_000, "{lasts}");
}

#[test]
fn a_lock_that_was_never_taken_stays_without_a_trace() {
    let (server, mut store) = start();
    assert_eq!(inspect(&mut *store, "job"), Slot::default());
    for how in [Unlock::Ask, Unlock::Force] {
        assert_eq!(unlock(&mut *store, "job", how), None);
    }
    assert_eq!(server.number(&["DBSIZE"]), 0);
}

#[test]
fn a_repeated_acquire_lets_the_lease_run_from_now() {
    let (server, mut store) = start();
    let mine = claim("a");
    let first = grant(&mut *store, &mine);
    server.command(&["PEXPIRE", KEY, "1000"]);
    let again = grant(&mut *store, &mine);
    assert_eq!(again.fence, first.fence);
    assert!(again.end_ms >= first.end_ms);
    assert!(server.number(&["PTTL", KEY]) > 1000);
    // Also when the key was deleted in between.
    server.command(&["DEL", KEY]);
    assert_eq!(grant(&mut *store, &mine).fence, first.fence);
    assert_eq!(server.text(&["GET", KEY]).unwrap(), mine.token.as_str());
}

#[test]
fn the_fence_grows_after_lost_data_and_beyond_the_clock() {
    let (server, mut store) = start();
    let mut last = Fence(0);
    for _ in 0..3 {
        let fence = grant(&mut *store, &claim("a")).fence;
        assert!(fence > last);
        last = fence;
        server.command(&["FLUSHALL"]);
    }
    // A fence ahead of the clock goes on by one.
    server.command(&["HSET", STATE, "f0", "8000000000000000"]);
    let fence = grant(&mut *store, &claim("a")).fence;
    assert_eq!(fence, Fence(8_000_000_000_000_001));
}

#[test]
fn a_lease_that_ended_can_be_taken() {
    let (_server, mut store) = start();
    let first = grant(&mut *store, &short_claim("a"));
    wait_until_free(&mut *store);
    assert!(grant(&mut *store, &claim("b")).fence > first.fence);
}

#[test]
fn a_job_on_the_recipe_excludes_and_is_excluded() {
    let (server, mut store) = start();
    let recipe = ["SET", KEY, "1", "NX", "EX", "60"];
    assert_eq!(server.command(&recipe), redis::Value::Okay);
    let mine = claim("a");
    let seen = held(&mut *store, &mine);
    assert_eq!((seen.holder, seen.age), (None, None));
    assert!(seen.remaining.unwrap() > TTL / 2);
    let fields = server.number(&["HLEN", STATE]);
    assert_eq!(fields, 1, "a skip is counted, no more");
    assert!(server.number(&["TTL", STATE]) > 0, "and not for ever");
    assert_eq!(inspect(&mut *store, "job").held.unwrap().holder, None);

    server.command(&["DEL", KEY]);
    grant(&mut *store, &mine);
    assert_eq!(server.command(&recipe), redis::Value::Nil);
}

#[test]
fn a_job_on_the_recipe_cannot_be_asked_but_forced() {
    let (server, mut store) = start();
    server.command(&["SET", KEY, "1", "EX", "60"]);
    let asked = unlock(&mut *store, "job", Unlock::Ask);
    assert!(matches!(asked, Some(Unlocked::CannotAsk(held)) if held.holder.is_none()));
    let forced = unlock(&mut *store, "job", Unlock::Force);
    assert!(matches!(forced, Some(Unlocked::Freed(_))));
    assert_eq!(server.number(&["EXISTS", KEY]), 0);
}

#[test]
fn a_key_without_time_to_live_has_no_end() {
    let (server, mut store) = start();
    server.command(&["SET", KEY, "1"]);
    assert_eq!(held(&mut *store, &claim("a")).remaining, None);
}

#[test]
fn a_lease_whose_key_was_deleted_still_excludes() {
    let (server, mut store) = start();
    let mine = claim("a");
    grant(&mut *store, &mine);
    server.command(&["DEL", KEY]);
    let seen = held(&mut *store, &claim("b"));
    assert_eq!(seen.holder, Some(mine.holder));
    assert!(seen.remaining.unwrap() > TTL / 2);
}

#[test]
fn more_time_left_than_was_granted_is_cut_to_one_ttl() {
    let (server, mut store) = start();
    grant(&mut *store, &claim("a"));
    // As after a step back of the server's clock by a day.
    server.command(&["PEXPIRE", KEY, "86400000"]);
    let end = server.text(&["HGET", STATE, "e0"]).unwrap();
    let end = end.parse::<u64>().unwrap();
    let ahead = (end + 86_400_000).to_string();
    server.command(&["HSET", STATE, "e0", &ahead]);
    assert!(held(&mut *store, &claim("b")).remaining.unwrap() <= TTL);
    assert!(server.number(&["PTTL", KEY]) <= 60_000);
    let cut = server.text(&["HGET", STATE, "e0"]).unwrap();
    assert!(cut.parse::<u64>().unwrap() <= end + 60_000);
}

#[test]
fn a_cooldown_is_honoured() {
    let (server, mut store) = start();
    let mine = claim("a");
    let granted = grant(&mut *store, &mine);
    release(&mut *store, &mine);
    server.command(&["HSET", STATE, "c0", &granted.end_ms.to_string()]);
    let answer = store.acquire(&claim("b"), Ask::default(), TIMEOUT).unwrap();
    assert!(
        matches!(answer, Acquire::CoolingDown { remaining } if remaining <= TTL),
        "{answer:?}"
    );
    assert!(inspect(&mut *store, "job").cooling_down.unwrap() <= TTL);
    // An administrator can end it.
    assert_eq!(unlock(&mut *store, "job", Unlock::Force), None);
    grant(&mut *store, &claim("b"));
}

#[test]
fn a_forced_unlock_withdraws_the_token_of_its_holder() {
    let (server, mut store) = start();
    let mine = claim("a");
    grant(&mut *store, &mine);
    unlock(&mut *store, "job", Unlock::Force);
    assert!(server.number(&["TTL", STATE]) > 0);
    assert_eq!(
        store.acquire(&mine, Ask::default(), TIMEOUT),
        Ok(Acquire::Withdrawn)
    );
}

#[test]
fn unreadable_details_of_a_holder_are_no_error() {
    let (server, mut store) = start();
    grant(&mut *store, &claim("a"));
    for details in ["{".to_owned(), "x".repeat(500_000)] {
        server.command(&["HSET", STATE, "h0", &details]);
        let seen = held(&mut *store, &claim("b"));
        assert_eq!(seen.holder.unwrap().who, "unknown");
    }
}

#[test]
fn a_state_of_a_newer_version_is_refused_not_guessed_at() {
    let (server, mut store) = start();
    server.command(&["HSET", STATE, "v", "2"]);
    let error = store
        .acquire(&claim("a"), Ask::default(), TIMEOUT)
        .unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Misconfigured);
    let named = format!("the key {STATE:?} on {} was written", server.unix_url());
    assert!(error.text.starts_with(&named), "{error}");
    assert!(error.text.ends_with("by a newer tasklock"), "{error}");
    assert_eq!(server.number(&["DBSIZE"]), 1);
}

#[test]
fn a_key_of_another_type_is_named_and_left_alone() {
    let (server, mut store) = start();
    let mine = claim("a");
    let granted = grant(&mut *store, &mine);
    keep(&mut *store, &mine, &granted);
    for key in [KEY, STATE] {
        server.command(&["FLUSHALL"]);
        server.command(&["LPUSH", key, "x"]);
        for error in [
            store.acquire(&mine, Ask::default(), TIMEOUT).unwrap_err(),
            store.refresh(&mine, &granted, TIMEOUT).unwrap_err(),
            store.release(&mine, FAILED, TIMEOUT).unwrap_err(),
            store.inspect(&mine.name, TIMEOUT).unwrap_err(),
        ] {
            assert_eq!(error.kind, StoreErrorKind::Misconfigured, "{error}");
            let named = format!("the key {key:?} on {}", server.unix_url());
            assert!(error.text.starts_with(&named), "{error}");
        }
        assert_eq!(server.number(&["LLEN", key]), 1);
        assert_eq!(server.number(&["DBSIZE"]), 1);
    }
}
