//! Locks of several places.

use super::*;

fn claim_of(slots: u32) -> Claim {
    Claim {
        slots,
        ..claim("gpu")
    }
}

fn places(store: &mut LocalStore) -> Vec<Slot> {
    let name = LockName::new("gpu").unwrap();
    store.inspect(&name, NO_TIMEOUT).unwrap().slots
}

fn path(scratch: &Scratch, slot: u32) -> PathBuf {
    let name = LockName::new("gpu").unwrap();
    scratch.locks().join(lock_file(&name, slot))
}

#[test]
fn a_store_may_hold_several_places_and_gives_back_the_one_that_is_meant() {
    let scratch = Scratch::new();
    let mut store = scratch.store();
    let claims = [3, 3, 3].map(claim_of);
    for (slot, claim) in (0..).zip(&claims) {
        assert_eq!(granted(&mut store, claim).slot, slot);
    }
    assert_eq!(release(&mut store, &claims[1]), Release::Released);
    let held = places(&mut store)
        .iter()
        .map(|s| s.held.is_some())
        .collect::<Vec<_>>();
    assert_eq!(held, [true, false, true]);
    assert_eq!(granted(&mut store, &claim_of(3)).slot, 1);
}

#[test]
fn the_first_place_is_the_lock_of_runs_without_slots() {
    let scratch = Scratch::new();
    let (mut one, mut two) = (scratch.store(), scratch.store());
    let first = claim("gpu");
    granted(&mut one, &first);
    assert!(path(&scratch, 0).exists() && !path(&scratch, 1).exists());
    assert_eq!(granted(&mut two, &claim_of(2)).slot, 1);
    refused(&mut two, &claim("gpu"));
}

#[test]
fn one_holder_is_asked_by_its_own_marker() {
    let scratch = Scratch::new();
    let (mut one, mut two) = (scratch.store(), scratch.store());
    let (low, high) = (claim_of(2), claim_of(2));
    granted(&mut one, &low);
    release(&mut one, &low);
    let low = claim_of(2);
    let low_grant = granted(&mut one, &low);
    let high_grant = granted(&mut two, &high);
    let name = &high.name;
    let marker = |slot| scratch.locks().join(marker_file(name, slot));
    one.unlock(name, Unlock::Ask, "me", NO_TIMEOUT).unwrap();
    assert!(marker(0).exists() && marker(1).exists());
    fs::remove_file(marker(0)).unwrap();
    assert_eq!(
        refresh(&mut one, &low, &low_grant),
        Refresh::Held(low_grant)
    );
    assert!(matches!(
        refresh(&mut two, &high, &high_grant),
        Refresh::Revoked { .. }
    ));
    release(&mut two, &high);
    assert!(!marker(1).exists());
}

#[test]
fn a_deleted_file_hides_neither_the_places_after_it_nor_its_holder() {
    let scratch = Scratch::new();
    let mut store = scratch.store();
    let claims = [3, 3, 3].map(claim_of);
    let grants = [0, 1, 2].map(|slot: usize| granted(&mut store, &claims[slot]));
    fs::remove_file(path(&scratch, 1)).unwrap();
    let seen = places(&mut store);
    assert_eq!((seen.len(), seen[1].clone()), (3, Slot::default()));
    assert!(seen[2].held.is_some());
    let retaken = refresh(&mut store, &claims[1], &grants[1]);
    assert_eq!(retaken, Refresh::Retaken(grants[1]));
    refused(&mut scratch.store(), &claim_of(3));
    let freed = store.unlock(&claims[0].name, Unlock::Force, "me", NO_TIMEOUT);
    assert_eq!(freed.unwrap().len(), 3);
}

#[test]
fn of_waiters_with_different_counts_the_first_that_can_use_a_place_gets_it() {
    let scratch = Scratch::new();
    let mut holders = scratch.store();
    let holds = [5, 5, 5].map(claim_of);
    holds.iter().for_each(|hold| {
        granted(&mut holders, hold);
    });
    let counts = [2, 3, 1, 3];
    let mut waiters = counts.map(|slots| (scratch.store(), claim_of(slots)));
    for (number, (store, claim)) in (1..).zip(&mut waiters) {
        assert_eq!(queued(store, claim).place, Some(number));
    }
    let [(first, two), (second, three), (third, one), (fourth, late)] = &mut waiters;
    // Only the second and the fourth can use it, and the second came first.
    release(&mut holders, &holds[2]);
    assert!(rings_within(second, PATIENCE));
    queued(fourth, late);
    assert_eq!(granted_in_line(second, three).slot, 2);
    // The first can use it, and so could the two behind it.
    release(&mut holders, &holds[0]);
    queued(third, one);
    queued(fourth, late);
    assert_eq!(granted_in_line(first, two).slot, 0);
    release(&mut holders, &holds[1]);
    assert_eq!(granted_in_line(fourth, late).slot, 1);
    assert_eq!(queued(third, one).place, Some(1));
}

#[test]
fn a_lock_of_a_thousand_places_is_taken_from_below() {
    let scratch = Scratch::new();
    let mut store = scratch.store();
    for slot in 0..30 {
        assert_eq!(granted(&mut store, &claim_of(1000)).slot, slot);
    }
    assert_eq!(places(&mut scratch.store()).len(), 30);
}
