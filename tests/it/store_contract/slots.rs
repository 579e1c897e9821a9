//! Locks of several places.

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use tasklock::store::{
    Acquire, Ask, Claim, Fence, Grant, Refresh, Release, Store, Unlock, Unlocked,
};

use super::Place;
use crate::support::store::{
    FAILED, TIMEOUT, claim, end, grant, grant_in_line, held, keep, name, queue, refresh, release,
    status,
};
use crate::support::wait_for_some;

/// A claim of `who` on one of `slots` places.
fn claim_of(slots: u32, who: &str) -> Claim {
    Claim {
        slots,
        ..claim("job", who)
    }
}

/// Takes a place of `slots`.
#[track_caller]
fn take(store: &mut dyn Store, slots: u32, who: &str) -> (Claim, Grant) {
    let mine = claim_of(slots, who);
    let granted = grant(store, &mine);
    (mine, granted)
}

pub(super) fn places_are_distinct_and_taken_lowest_first(place: &Place) {
    let mut stores = [place.open(), place.open(), place.open()];
    let mut holds = Vec::new();
    for (number, store) in stores.iter_mut().enumerate() {
        let (mine, granted) = take(&mut **store, 3, &format!("h{number}"));
        assert_eq!(granted.slot as usize, number);
        holds.push((mine, granted));
    }
    let mut others = place.open();
    let seen = held(&mut *others, &claim_of(3, "late"));
    let holder = seen.holder.unwrap();
    assert!(holds.iter().any(|(mine, _)| mine.holder == holder));
    // The lowest that is free is taken again.
    for number in [2, 0] {
        assert_eq!(
            release(&mut *stores[number], &holds[number].0),
            Release::Released
        );
    }
    assert_eq!(take(&mut *stores[0], 3, "again").1.slot, 0);
    assert_eq!(take(&mut *stores[2], 3, "again").1.slot, 2);
    held(&mut *others, &claim_of(3, "late"));
}

pub(super) fn the_same_claim_is_granted_the_same_place_again(place: &Place) {
    let (mut one, mut two) = place.open_two();
    let (low, _) = take(&mut *one, 2, "a");
    let (mine, granted) = take(&mut *two, 2, "b");
    release(&mut *one, &low);
    let again = grant(&mut *two, &mine);
    assert_eq!((again.slot, again.fence), (1, granted.fence));
    assert_eq!(take(&mut *one, 2, "c").1.slot, 0);
}

pub(super) fn each_place_is_kept_and_released_by_itself(place: &Place) {
    let (mut one, mut two) = place.open_two();
    let (first, granted) = take(&mut *one, 2, "a");
    let (second, other) = take(&mut *two, 2, "b");
    let kept = keep(&mut *one, &first, &granted);
    assert_eq!((kept.slot, kept.fence), (0, granted.fence));
    let kept = keep(&mut *two, &second, &other);
    assert_eq!((kept.slot, kept.fence), (1, other.fence));
    assert_eq!(release(&mut *two, &second), Release::Released);
    assert_eq!(release(&mut *two, &second), Release::Released);
    keep(&mut *one, &first, &granted);
    let lost = refresh(&mut *two, &second, &other);
    assert!(matches!(lost, Refresh::Lost(_)), "{lost:?}");
    assert_eq!(release(&mut *one, &first), Release::Released);
    let slots = status(&mut *one, "job").slots;
    assert!(slots.iter().all(|slot| slot.held.is_none()), "{slots:?}");
}

pub(super) fn fences_grow_for_each_place(place: &Place) {
    let (mut one, mut two) = place.open_two();
    let mut last = [Fence(0); 2];
    for _ in 0..10 {
        let (first, low) = take(&mut *one, 2, "a");
        let (second, high) = take(&mut *two, 2, "b");
        assert_eq!((low.slot, high.slot), (0, 1));
        assert!(low.fence > last[0] && high.fence > last[1]);
        last = [low.fence, high.fence];
        release(&mut *one, &first);
        release(&mut *two, &second);
    }
}

pub(super) fn runs_of_different_counts_use_the_places_below_their_own(place: &Place) {
    let mut stores = [place.open(), place.open(), place.open()];
    let [one, two, three] = &mut stores;
    let (first, _) = take(&mut **one, 1, "one of one");
    let (_, granted) = take(&mut **two, 2, "one of two");
    assert_eq!(granted.slot, 1);
    held(&mut **three, &claim_of(1, "late"));
    held(&mut **three, &claim_of(2, "late"));
    let (third, granted) = take(&mut **three, 3, "one of three");
    assert_eq!(granted.slot, 2);
    release(&mut **three, &third);
    release(&mut **one, &first);
    assert_eq!(take(&mut **one, 1, "again").1.slot, 0);
    held(&mut **three, &claim_of(2, "late"));
}

pub(super) fn a_waiter_of_few_places_does_not_block_one_of_many(place: &Place) {
    let mut stores = [place.open(), place.open(), place.open(), place.open()];
    let [one, two, few, many] = &mut stores;
    take(&mut **one, 2, "low");
    let (high, _) = take(&mut **two, 2, "high");
    let of_one = claim_of(1, "few");
    queue(&mut **few, &of_one);
    let of_two = claim_of(2, "many");
    queue(&mut **many, &of_two);
    release(&mut **two, &high);
    assert_eq!(grant_in_line(&mut **many, &of_two).slot, 1);
    queue(&mut **few, &of_one);
}

pub(super) fn waiters_share_the_places_that_become_free(place: &Place) {
    let mut stores = [place.open(), place.open()];
    let [one, two] = &mut stores;
    let (low, _) = take(&mut **one, 2, "low");
    let (high, _) = take(&mut **two, 2, "high");
    let mut waiters: Vec<_> = ["a", "b", "c"]
        .map(|who| (place.open(), claim_of(2, who)))
        .into_iter()
        .collect();
    for (store, mine) in &mut waiters {
        queue(&mut **store, mine);
    }
    end(&mut **one, &low, FAILED);
    end(&mut **two, &high, FAILED);
    let last = &mut waiters[2];
    queue(&mut *last.0, &last.1);
    let mut taken = [1, 0].map(|number| {
        let (store, mine) = &mut waiters[number];
        grant_in_line(&mut **store, mine).slot
    });
    taken.sort_unstable();
    assert_eq!(taken, [0, 1]);
    let last = &mut waiters[2];
    queue(&mut *last.0, &last.1);
}

pub(super) fn of_fifty_racing_claims_each_place_is_granted_once(place: &Place) {
    let start = Arc::new(Barrier::new(50));
    let race = |mut store: Box<dyn Store>| {
        let start = Arc::clone(&start);
        thread::spawn(move || {
            let mine = claim_of(5, "a");
            start.wait();
            let answer = store.acquire(&mine, Ask::default(), TIMEOUT).unwrap();
            (answer, store)
        })
    };
    let racing: Vec<_> = (0..50).map(|_| race(place.open())).collect();
    // Collected with its store: a winner keeps its place until all have tried.
    let answers: Vec<_> = racing.into_iter().map(|one| one.join().unwrap()).collect();
    let slot = |answer: &Acquire| match answer {
        Acquire::Granted(grant) => Some(grant.slot),
        Acquire::Held(_) => None,
        other => panic!("{other:?}"),
    };
    let mut taken: Vec<u32> = answers
        .iter()
        .filter_map(|(answer, _)| slot(answer))
        .collect();
    taken.sort_unstable();
    assert_eq!(taken, [0, 1, 2, 3, 4]);
}

pub(super) fn a_place_of_a_crashed_holder_is_taken_again(place: &Place) {
    let (mut one, mut two) = place.open_two();
    take(&mut *one, 2, "a");
    let crashing = Claim {
        ttl: Duration::from_millis(40),
        ..claim_of(2, "b")
    };
    let lost = grant(&mut *two, &crashing);
    assert_eq!(lost.slot, 1);
    drop(two);
    let mut others = place.open();
    let mine = claim_of(2, "c");
    let granted = wait_for_some(|| {
        let answer = others.acquire(&mine, Ask::default(), TIMEOUT).unwrap();
        match answer {
            Acquire::Granted(granted) => Some(granted),
            Acquire::Held(_) => None,
            other => panic!("{other:?}"),
        }
    });
    assert_eq!(granted.slot, 1);
    assert!(granted.fence > lost.fence);
}

pub(super) fn another_store_can_release_any_place(place: &Place) {
    let (mut one, mut two) = place.open_two();
    take(&mut *one, 2, "a");
    let (mine, granted) = take(&mut *two, 2, "b");
    // By a store that never heard of the place: refused, or done, but never half.
    let mut third = place.open();
    match release(&mut *third, &mine) {
        Release::Released => {
            let lost = refresh(&mut *two, &mine, &granted);
            assert!(matches!(lost, Refresh::Lost(_)), "{lost:?}");
            assert_eq!(take(&mut *third, 2, "c").1.slot, 1);
        }
        Release::NotOurs(_) => {
            keep(&mut *two, &mine, &granted);
        }
        Release::Forgotten => panic!("the place is known"),
    }
}

pub(super) fn all_places_are_told_of(place: &Place) {
    let (mut one, mut two) = place.open_two();
    let (first, low) = take(&mut *one, 2, "a");
    let (second, high) = take(&mut *two, 2, "b");
    for _ in 0..2 {
        let slots = status(&mut *one, "job").slots;
        assert_eq!(slots.len(), 2);
        for (slot, (mine, granted)) in slots.iter().zip([(&first, low), (&second, high)]) {
            assert_eq!(slot.fence, Some(granted.fence));
            assert_eq!(slot.cooling_down, None);
            let seen = slot.held.as_ref().unwrap();
            assert_eq!(seen.holder, Some(mine.holder.clone()));
        }
    }
    release(&mut *one, &first);
    let slots = status(&mut *one, "job").slots;
    assert_eq!(slots.len(), 2);
    assert!(slots[0].held.is_none() && slots[1].held.is_some());
}

pub(super) fn every_holder_is_asked_to_free_its_place(place: &Place) {
    let (mut one, mut two) = place.open_two();
    let (first, low) = take(&mut *one, 2, "a");
    let (second, high) = take(&mut *two, 2, "b");
    let mut admin = place.open();
    let asked = admin
        .unlock(&name("job"), Unlock::Ask, "root@adm", TIMEOUT)
        .unwrap();
    let holders: Vec<_> = asked
        .iter()
        .map(|one| match one {
            Unlocked::Asked(seen) => seen.holder.clone().unwrap(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(holders, [first.holder.clone(), second.holder.clone()]);
    for (store, mine, granted) in [(&mut one, &first, low), (&mut two, &second, high)] {
        let answer = refresh(&mut **store, mine, &granted);
        assert!(matches!(answer, Refresh::Revoked { .. }), "{answer:?}");
        assert_eq!(release(&mut **store, mine), Release::Released);
    }
}

pub(super) fn every_place_is_freed_by_force(place: &Place) {
    let (mut one, mut two) = place.open_two();
    let (first, low) = take(&mut *one, 3, "a");
    let (second, high) = take(&mut *two, 3, "b");
    let mut admin = place.open();
    let freed = admin
        .unlock(&name("job"), Unlock::Force, "root@adm", TIMEOUT)
        .unwrap();
    assert_eq!(freed.len(), 2);
    assert!(freed.iter().all(|one| matches!(one, Unlocked::Freed(_))));
    for (store, mine, granted) in [(&mut one, &first, low), (&mut two, &second, high)] {
        let answer = refresh(&mut **store, mine, &granted);
        assert!(matches!(answer, Refresh::Lost(_)), "{answer:?}");
    }
    let mut stores = [place.open(), place.open()];
    for ((slot, last), store) in [(0, low), (1, high)].into_iter().zip(&mut stores) {
        let (_, granted) = take(&mut **store, 3, "next");
        assert_eq!(granted.slot, slot);
        assert!(granted.fence > last.fence);
    }
}
