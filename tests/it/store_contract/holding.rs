//! Who gets the lock, who keeps it, how it is given back.

use std::sync::{Arc, Barrier};
use std::thread;

use tasklock::store::{Acquire, Ask, Fence, Loss, Refresh, Release, Store};

use super::Place;
use crate::support::store::{TIMEOUT, claim, grant, held, inspect, keep, refresh, release};

pub(super) fn a_free_lock_is_granted(place: &Place) {
    let mut store = place.open();
    let mine = claim("job", "root@web1");
    let granted = grant(&mut *store, &mine);
    assert!(granted.fence > Fence(0));
    let status = inspect(&mut *store, "job");
    assert_eq!(status.fence, Some(granted.fence));
    assert_eq!(status.cooling_down, None);
    assert_eq!(status.held.unwrap().holder, Some(mine.holder));
}

pub(super) fn a_held_lock_is_refused_to_others_and_its_holder_named(place: &Place) {
    let (mut store, mut others) = place.open_two();
    let mine = claim("job", "root@web1");
    let granted = grant(&mut *store, &mine);
    for store in [&mut others, &mut store] {
        let seen = held(&mut **store, &claim("job", "root@web2"));
        assert_eq!(seen.holder, Some(mine.holder.clone()));
        assert!(seen.age.unwrap() < TIMEOUT);
        assert!(seen.remaining.is_none_or(|left| left <= mine.ttl));
        assert!(!seen.revoked);
    }
    keep(&mut *store, &mine, &granted);
}

pub(super) fn the_same_claim_is_granted_again_with_the_same_fence(place: &Place) {
    let mut store = place.open();
    let mine = claim("job", "a");
    let granted = grant(&mut *store, &mine);
    let again = grant(&mut *store, &mine);
    assert_eq!(again.fence, granted.fence);
    keep(&mut *store, &mine, &granted);
}

pub(super) fn a_refresh_keeps_the_lock_and_its_fence(place: &Place) {
    let (mut store, mut others) = place.open_two();
    let mine = claim("job", "a");
    let first = grant(&mut *store, &mine);
    let mut last = first;
    for _ in 0..3 {
        let next = keep(&mut *store, &mine, &last);
        assert_eq!(next.fence, first.fence);
        assert!(next.end_ms >= last.end_ms);
        last = next;
    }
    held(&mut *others, &claim("job", "b"));
}

pub(super) fn a_lock_that_is_released_goes_to_the_next_with_a_larger_fence(place: &Place) {
    let (mut store, mut others) = place.open_two();
    let (mine, other) = (claim("job", "a"), claim("job", "b"));
    let first = grant(&mut *store, &mine);
    held(&mut *others, &other);
    assert_eq!(release(&mut *store, &mine), Release::Released);
    assert_eq!(inspect(&mut *others, "job").held, None);
    assert!(grant(&mut *others, &other).fence > first.fence);
}

pub(super) fn a_released_token_is_withdrawn(place: &Place) {
    let mut store = place.open();
    let mine = claim("job", "a");
    grant(&mut *store, &mine);
    release(&mut *store, &mine);
    assert_eq!(
        store.acquire(&mine, Ask::default(), TIMEOUT),
        Ok(Acquire::Withdrawn)
    );
    assert_eq!(inspect(&mut *store, "job").held, None);
}

pub(super) fn a_token_released_before_it_was_granted_is_withdrawn(place: &Place) {
    let (mut store, mut others) = place.open_two();
    let (late, other) = (claim("job", "a"), claim("job", "b"));
    let granted = grant(&mut *others, &other);
    release(&mut *store, &late);
    assert_eq!(
        store.acquire(&late, Ask::default(), TIMEOUT),
        Ok(Acquire::Withdrawn)
    );
    keep(&mut *others, &other, &granted);
    release(&mut *others, &other);
    assert_eq!(
        store.acquire(&late, Ask::default(), TIMEOUT),
        Ok(Acquire::Withdrawn)
    );
}

pub(super) fn a_release_can_be_repeated_and_leaves_the_next_holder_alone(place: &Place) {
    let (mut store, mut others) = place.open_two();
    let (mine, other) = (claim("job", "a"), claim("job", "b"));
    grant(&mut *store, &mine);
    assert_eq!(release(&mut *store, &mine), Release::Released);
    assert_eq!(release(&mut *store, &mine), Release::Released);
    let granted = grant(&mut *others, &other);
    assert_eq!(release(&mut *store, &mine), Release::Released);
    keep(&mut *others, &other, &granted);
}

pub(super) fn a_release_by_a_stranger_changes_nothing(place: &Place) {
    let (mut store, mut others) = place.open_two();
    let mine = claim("job", "a");
    let granted = grant(&mut *store, &mine);
    match release(&mut *others, &claim("job", "b")) {
        Release::NotOurs(Some(seen)) => assert_eq!(seen.holder, Some(mine.holder.clone())),
        other => panic!("{other:?}"),
    }
    held(&mut *others, &claim("job", "c"));
    keep(&mut *store, &mine, &granted);
    assert_eq!(release(&mut *store, &mine), Release::Released);
}

pub(super) fn a_refresh_by_a_stranger_is_lost_and_changes_nothing(place: &Place) {
    let (mut store, mut others) = place.open_two();
    let mine = claim("job", "a");
    let granted = grant(&mut *store, &mine);
    match refresh(&mut *others, &claim("job", "b"), &granted) {
        Refresh::Lost(Loss::TakenOver(seen)) => assert_eq!(seen.holder, Some(mine.holder.clone())),
        other => panic!("{other:?}"),
    }
    keep(&mut *store, &mine, &granted);
}

pub(super) fn of_fifty_racing_claims_one_is_granted(place: &Place) {
    let start = Arc::new(Barrier::new(50));
    let race = |mut store: Box<dyn Store>| {
        let start = Arc::clone(&start);
        thread::spawn(move || {
            let mine = claim("job", "a");
            start.wait();
            let answer = store.acquire(&mine, Ask::default(), TIMEOUT).unwrap();
            (answer, store)
        })
    };
    let racing: Vec<_> = (0..50).map(|_| race(place.open())).collect();
    // Collected with its store: a winner keeps the lock until all have tried.
    let answers: Vec<_> = racing.into_iter().map(|one| one.join().unwrap()).collect();
    let count = |wanted: fn(&Acquire) -> bool| {
        let chosen = answers.iter().filter(|(answer, _)| wanted(answer));
        chosen.count()
    };
    assert_eq!(count(|answer| matches!(answer, Acquire::Granted(_))), 1);
    assert_eq!(count(|answer| matches!(answer, Acquire::Held(_))), 49);
}

pub(super) fn fences_grow_over_a_hundred_grants(place: &Place) {
    let (mut one, mut two) = place.open_two();
    let mut last = Fence(0);
    for round in 0..100 {
        let store = if round % 2 == 0 { &mut one } else { &mut two };
        let mine = claim("job", "a");
        let fence = grant(&mut **store, &mine).fence;
        assert!(fence > last, "round {round}");
        last = fence;
        assert_eq!(release(&mut **store, &mine), Release::Released);
    }
}
