//! Holding a lock without a process: acquired by one, refreshed and released by others, who
//! know nothing but the token.

use std::time::Duration;

use tasklock::store::{
    Acquire, Ask, Checked, Claim, Lasts, Release, Store, Token, Unlock, Unlocked,
};

use super::Place;
use crate::support::store::{
    TIMEOUT, TTL, claim, grant, grant_in_line, held, inspect, name, queue, release, unlock,
};
use crate::support::wait_until;

/// A claim that is to outlive its store.
fn lasting(who: &str) -> Claim {
    Claim {
        lasts: Lasts::Lease,
        ..claim("job", who)
    }
}

/// The same, but not for long.
fn brief(who: &str) -> Claim {
    Claim {
        ttl: Duration::from_millis(400),
        ..lasting(who)
    }
}

/// Takes the lock as a process does that ends at once.
#[track_caller]
fn take(place: &Place, claim: &Claim) -> tasklock::store::Grant {
    grant(&mut *place.open(), claim)
}

#[track_caller]
fn check(place: &Place, token: &Token) -> Checked {
    let mut store = place.open();
    store.check(&name("job"), token, TIMEOUT).unwrap()
}

#[track_caller]
fn extend(place: &Place, token: &Token, ttl: Option<Duration>) -> Checked {
    let mut store = place.open();
    store.extend(&name("job"), token, ttl, TIMEOUT).unwrap()
}

#[track_caller]
fn give_back(place: &Place, token: &Token) -> Release {
    let mut store = place.open();
    store.give_back(&name("job"), token, TIMEOUT).unwrap()
}

#[track_caller]
fn expect_held(answer: Checked, slot: u32, ttl: Duration) {
    let Checked::Held(tenure) = answer else {
        panic!("not held: {answer:?}");
    };
    assert_eq!((tenure.slot, tenure.ttl), (slot, ttl));
    let left = tenure.remaining.expect("a lease ends");
    assert!(left <= ttl && left + TIMEOUT > ttl, "{left:?} of {ttl:?}");
}

/// Who is named to a token that holds nothing.
#[track_caller]
fn expect_other(answer: Checked, who: Option<&Claim>) {
    let Checked::NotHeld(other) = answer else {
        panic!("held: {answer:?}");
    };
    let other = other.map(|held| held.holder);
    assert_eq!(other, who.map(|claim| Some(claim.holder.clone())));
}

#[track_caller]
fn wait_for_end(place: &Place, claim: &Claim) {
    wait_until(|| check(place, &claim.token) == Checked::NotHeld(None));
}

pub(super) fn a_hold_outlives_whoever_took_it(place: &Place) {
    let mine = lasting("a");
    take(place, &mine);
    let seen = held(&mut *place.open(), &claim("job", "b"));
    assert_eq!(seen.holder, Some(mine.holder.clone()));
    assert!(seen.remaining.is_some_and(|left| left <= TTL));
    let slot = inspect(&mut *place.open(), "job");
    assert_eq!(slot.held.and_then(|held| held.holder), Some(mine.holder));
}

pub(super) fn whoever_has_the_token_checks_extends_and_gives_back(place: &Place) {
    let mine = lasting("a");
    let granted = take(place, &mine);
    expect_held(check(place, &mine.token), 0, TTL);
    expect_held(extend(place, &mine.token, None), 0, TTL);
    expect_held(extend(place, &mine.token, Some(TTL * 2)), 0, TTL * 2);
    expect_held(check(place, &mine.token), 0, TTL * 2);
    assert_eq!(
        inspect(&mut *place.open(), "job").fence,
        Some(granted.fence)
    );
    assert_eq!(give_back(place, &mine.token), Release::Released);
    assert_eq!(inspect(&mut *place.open(), "job").held, None);
    let next = take(place, &lasting("b"));
    assert!(next.fence > granted.fence);
}

pub(super) fn a_wrong_token_changes_nothing_and_hears_who_has_the_lock(place: &Place) {
    let (mine, other) = (lasting("a"), lasting("b"));
    take(place, &mine);
    for _ in 0..2 {
        expect_other(check(place, &other.token), Some(&mine));
        expect_other(extend(place, &other.token, Some(TTL)), Some(&mine));
        let answer = give_back(place, &other.token);
        let Release::NotOurs(Some(seen)) = answer else {
            panic!("{answer:?}");
        };
        assert_eq!(seen.holder, Some(mine.holder.clone()));
    }
    expect_held(check(place, &mine.token), 0, TTL);
}

pub(super) fn a_free_lock_is_held_by_no_token(place: &Place) {
    let mine = lasting("a");
    for _ in 0..2 {
        expect_other(check(place, &mine.token), None);
        expect_other(extend(place, &mine.token, None), None);
        let answer = give_back(place, &mine.token);
        assert_ne!(answer, Release::Released);
    }
}

pub(super) fn the_same_token_is_granted_again_with_the_same_fence(place: &Place) {
    let mine = lasting("a");
    let granted = take(place, &mine);
    let again = take(place, &mine);
    assert_eq!((again.fence, again.slot), (granted.fence, granted.slot));
    expect_held(check(place, &mine.token), 0, TTL);
}

pub(super) fn giving_back_twice_is_giving_back_once(place: &Place) {
    let (mine, next) = (lasting("a"), lasting("b"));
    take(place, &mine);
    assert_eq!(give_back(place, &mine.token), Release::Released);
    take(place, &next);
    assert_eq!(give_back(place, &mine.token), Release::Released);
    expect_held(check(place, &next.token), 0, TTL);
}

pub(super) fn a_token_that_was_given_back_is_never_granted_again(place: &Place) {
    let mine = lasting("a");
    take(place, &mine);
    give_back(place, &mine.token);
    let answer = place.open().acquire(&mine, Ask::default(), TIMEOUT);
    assert_eq!(answer, Ok(Acquire::Withdrawn));
    expect_other(check(place, &mine.token), None);
    expect_other(extend(place, &mine.token, Some(TTL)), None);
}

pub(super) fn a_lease_that_has_ended_is_lost_though_nobody_took_the_lock(place: &Place) {
    let mine = brief("a");
    take(place, &mine);
    wait_for_end(place, &mine);
    expect_other(extend(place, &mine.token, Some(TTL)), None);
    expect_other(check(place, &mine.token), None);
    assert_eq!(inspect(&mut *place.open(), "job").held, None);
    for _ in 0..2 {
        let answer = give_back(place, &mine.token);
        assert_eq!(answer, Release::NotOurs(None));
    }
    take(place, &lasting("b"));
}

pub(super) fn a_lease_that_is_extended_does_not_end(place: &Place) {
    let mine = Claim {
        ttl: Duration::from_secs(2),
        ..lasting("a")
    };
    take(place, &mine);
    expect_held(extend(place, &mine.token, Some(TTL)), 0, TTL);
    // Another of the same length ends as late as the first would have.
    let clock = Claim {
        name: name("clock"),
        ttl: mine.ttl,
        ..lasting("b")
    };
    take(place, &clock);
    wait_until(|| inspect(&mut *place.open(), "clock").held.is_none());
    expect_held(check(place, &mine.token), 0, TTL);
}

pub(super) fn a_lock_that_was_taken_over_is_left_alone_by_its_old_token(place: &Place) {
    let (mine, next) = (brief("a"), lasting("b"));
    take(place, &mine);
    wait_for_end(place, &mine);
    take(place, &next);
    expect_other(check(place, &mine.token), Some(&next));
    expect_other(extend(place, &mine.token, Some(TTL)), Some(&next));
    assert!(matches!(
        give_back(place, &mine.token),
        Release::NotOurs(Some(_))
    ));
    expect_held(check(place, &next.token), 0, TTL);
}

pub(super) fn an_administrator_who_asks_is_heard_and_the_lease_not_extended(place: &Place) {
    let mine = lasting("a");
    take(place, &mine);
    let asked = unlock(&mut *place.open(), "job", Unlock::Ask);
    assert!(matches!(asked, Some(Unlocked::Asked(_))), "{asked:?}");
    let revoked = Checked::Revoked {
        by: "root@adm".to_owned(),
    };
    assert_eq!(check(place, &mine.token), revoked);
    assert_eq!(extend(place, &mine.token, Some(TTL * 3)), revoked);
    let seen = held(&mut *place.open(), &claim("job", "b"));
    assert!(seen.revoked && seen.remaining.is_some_and(|left| left <= TTL));
    assert_eq!(give_back(place, &mine.token), Release::Released);
    take(place, &lasting("b"));
}

pub(super) fn force_frees_it_and_its_token_holds_nothing_any_more(place: &Place) {
    let mine = lasting("a");
    let granted = take(place, &mine);
    let freed = unlock(&mut *place.open(), "job", Unlock::Force);
    assert!(matches!(freed, Some(Unlocked::Freed(_))), "{freed:?}");
    expect_other(check(place, &mine.token), None);
    expect_other(extend(place, &mine.token, Some(TTL)), None);
    assert_eq!(give_back(place, &mine.token), Release::NotOurs(None));
    let answer = place.open().acquire(&mine, Ask::default(), TIMEOUT);
    assert_eq!(answer, Ok(Acquire::Withdrawn));
    assert!(take(place, &lasting("b")).fence > granted.fence);
}

pub(super) fn places_are_found_by_their_tokens(place: &Place) {
    let of_two = |who| Claim {
        slots: 2,
        ..lasting(who)
    };
    let (low, high) = (of_two("a"), of_two("b"));
    assert_eq!((take(place, &low).slot, take(place, &high).slot), (0, 1));
    held(&mut *place.open(), &of_two("c"));
    let again = take(place, &high);
    assert_eq!(again.slot, 1);
    assert_eq!(give_back(place, &low.token), Release::Released);
    // The lower place is free now, and still it has one.
    assert_eq!(take(place, &high).slot, 1);
    expect_held(check(place, &high.token), 1, TTL);
    expect_held(extend(place, &high.token, None), 1, TTL);
    assert_eq!(give_back(place, &high.token), Release::Released);
}

pub(super) fn the_lock_of_a_run_is_known_by_its_token_and_can_be_taken_from_it(place: &Place) {
    let mut running = place.open();
    let mine = claim("job", "a");
    let granted = grant(&mut *running, &mine);
    assert!(matches!(check(place, &mine.token), Checked::Held(_)));
    assert!(matches!(extend(place, &mine.token, None), Checked::Held(_)));
    assert_eq!(give_back(place, &mine.token), Release::Released);
    expect_other(check(place, &mine.token), None);
    let lost = running.refresh(&mine, &granted, TIMEOUT).unwrap();
    assert!(
        matches!(lost, tasklock::store::Refresh::Lost(_)),
        "{lost:?}"
    );
    take(place, &lasting("b"));
    release(&mut *running, &mine);
}

pub(super) fn who_waits_gets_it_when_it_is_given_back(place: &Place) {
    let (mine, waiter) = (lasting("a"), lasting("b"));
    take(place, &mine);
    let mut store = place.open();
    let queued = queue(&mut *store, &waiter);
    let holder = queued.held.and_then(|held| held.holder);
    assert_eq!(holder, Some(mine.holder));
    assert_eq!(give_back(place, &mine.token), Release::Released);
    grant_in_line(&mut *store, &waiter);
    drop(store);
    expect_held(check(place, &waiter.token), 0, TTL);
}

pub(super) fn who_waits_gets_it_when_its_lease_ends(place: &Place) {
    let (mine, waiter) = (brief("a"), claim("job", "b"));
    take(place, &mine);
    let mut store: Box<dyn Store> = place.open();
    grant_in_line(&mut *store, &waiter);
    expect_other(check(place, &mine.token), Some(&waiter));
}
