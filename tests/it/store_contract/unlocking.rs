//! How an administrator frees a lock.

use tasklock::store::{Loss, Refresh, Release, Slot, Unlock, Unlocked};

use super::Place;
use crate::support::store::{claim, grant, held, inspect, keep, refresh, release, unlock};

fn asked() -> Refresh {
    Refresh::Revoked {
        by: "root@adm".to_owned(),
    }
}

pub(super) fn a_holder_that_is_asked_learns_it_from_its_refresh_and_keeps_the_lock(place: &Place) {
    let (mut store, mut others) = place.open_two();
    let (mine, other) = (claim("job", "a"), claim("job", "b"));
    let granted = grant(&mut *store, &mine);
    match unlock(&mut *others, "job", Unlock::Ask) {
        Some(Unlocked::Asked(seen)) => assert_eq!(seen.holder, Some(mine.holder.clone())),
        other => panic!("{other:?}"),
    }
    for _ in 0..2 {
        assert_eq!(refresh(&mut *store, &mine, &granted), asked());
        assert!(held(&mut *others, &other).revoked);
        assert!(inspect(&mut *others, "job").held.unwrap().revoked);
    }
    assert_eq!(release(&mut *store, &mine), Release::Released);
    grant(&mut *others, &other);
}

pub(super) fn the_next_holder_has_not_been_asked(place: &Place) {
    let (mut store, mut others) = place.open_two();
    let (mine, other) = (claim("job", "a"), claim("job", "b"));
    grant(&mut *store, &mine);
    unlock(&mut *others, "job", Unlock::Ask);
    release(&mut *store, &mine);
    let granted = grant(&mut *others, &other);
    keep(&mut *others, &other, &granted);
    assert!(!held(&mut *store, &claim("job", "c")).revoked);
}

pub(super) fn a_lock_freed_by_force_is_lost_to_its_holder(place: &Place) {
    let (mut store, mut others) = place.open_two();
    let mine = claim("job", "a");
    let granted = grant(&mut *store, &mine);
    match unlock(&mut *others, "job", Unlock::Force) {
        Some(Unlocked::Freed(seen)) => assert_eq!(seen.holder, Some(mine.holder.clone())),
        other => panic!("{other:?}"),
    }
    assert_eq!(inspect(&mut *others, "job").held, None);
    let answer = refresh(&mut *store, &mine, &granted);
    assert_eq!(answer, Refresh::Lost(Loss::FenceMoved));
    assert_eq!(inspect(&mut *others, "job").held, None);
}

pub(super) fn a_lock_freed_by_force_and_taken_by_another_is_left_alone_by_its_old_holder(
    place: &Place,
) {
    let (mut store, mut others) = place.open_two();
    let (mine, other) = (claim("job", "a"), claim("job", "b"));
    let first = grant(&mut *store, &mine);
    unlock(&mut *others, "job", Unlock::Force);
    let second = grant(&mut *others, &other);
    assert!(second.fence > first.fence);
    match refresh(&mut *store, &mine, &first) {
        Refresh::Lost(Loss::TakenOver(seen)) => {
            assert_eq!(seen.holder, Some(other.holder.clone()));
        }
        other => panic!("{other:?}"),
    }
    match release(&mut *store, &mine) {
        Release::NotOurs(Some(seen)) => assert_eq!(seen.holder, Some(other.holder.clone())),
        answer => panic!("{answer:?}"),
    }
    held(&mut *store, &claim("job", "c"));
    keep(&mut *others, &other, &second);
}

pub(super) fn nobody_is_asked_to_free_a_free_lock(place: &Place) {
    let mut store = place.open();
    for how in [Unlock::Ask, Unlock::Force] {
        assert_eq!(unlock(&mut *store, "job", how), None);
    }
    assert_eq!(inspect(&mut *store, "job"), Slot::default());
    let mine = claim("job", "a");
    let granted = grant(&mut *store, &mine);
    keep(&mut *store, &mine, &granted);
    release(&mut *store, &mine);
    assert_eq!(unlock(&mut *store, "job", Unlock::Force), None);
}
