//! The minimum hold: a lock that stays closed after its holder is done.

use std::time::{Duration, Instant};

use tasklock::store::{Acquire, Ask, Claim, End, Slot, Store, Unlock};

use super::Place;
use crate::support::store::{
    FAILED, TIMEOUT, claim, end, grant, grant_in_line, held, inspect, queue, release, status,
    succeeded, unlock, wait_for_bell, wait_in_line,
};
use crate::support::{wait_for_some, wait_until};

const MIN_HOLD: Duration = Duration::from_secs(600);

/// A claim with a minimum hold that outlasts every test.
fn closing(who: &str) -> Claim {
    Claim {
        min_hold: MIN_HOLD,
        ..claim("job", who)
    }
}

fn closing_of(slots: u32, who: &str) -> Claim {
    Claim {
        slots,
        ..closing(who)
    }
}

/// Tries to take the lock, which cools down.
#[track_caller]
fn cools_down(store: &mut dyn Store, claim: &Claim) -> Duration {
    match store.acquire(claim, Ask::default(), TIMEOUT).unwrap() {
        Acquire::CoolingDown { remaining } => remaining,
        other => panic!("{} does not cool down: {other:?}", claim.name),
    }
}

/// A store on a lock that cools down after a hold of `claim`.
#[track_caller]
fn cooled(place: &Place, claim: &Claim) -> Box<dyn Store> {
    let mut store = place.open();
    grant(&mut *store, claim);
    end(&mut *store, claim, FAILED);
    store
}

pub(super) fn a_minimum_hold_outlives_the_release(place: &Place) {
    for (number, how) in [FAILED, succeeded(Duration::ZERO)].into_iter().enumerate() {
        let name = format!("job {number}");
        let mut store = place.open();
        let mine = Claim {
            min_hold: MIN_HOLD,
            ..claim(&name, "a")
        };
        grant(&mut *store, &mine);
        end(&mut *store, &mine, how);
        let mut others = place.open();
        for store in [&mut others, &mut store] {
            let left = cools_down(&mut **store, &claim(&name, "b"));
            assert!(left <= MIN_HOLD && left > MIN_HOLD / 2, "{left:?}");
            let slot = inspect(&mut **store, &name);
            assert_eq!(slot.held, None);
            let left = slot.cooling_down.unwrap();
            assert!(left <= MIN_HOLD && left > MIN_HOLD / 2, "{left:?}");
        }
    }
}

pub(super) fn a_minimum_hold_outlives_a_crash(place: &Place) {
    let mut store = place.open();
    let crashing = Claim {
        ttl: Duration::from_millis(40),
        ..closing("a")
    };
    grant(&mut *store, &crashing);
    drop(store);
    let mut others = place.open();
    let other = claim("job", "b");
    let left = wait_for_some(
        || match others.acquire(&other, Ask::default(), TIMEOUT).unwrap() {
            Acquire::CoolingDown { remaining } => Some(remaining),
            Acquire::Held(_) => None,
            answer => panic!("{answer:?}"),
        },
    );
    assert!(left <= MIN_HOLD && left > MIN_HOLD / 2, "{left:?}");
}

pub(super) fn a_lock_in_its_minimum_hold_is_held_while_it_is(place: &Place) {
    let (mut store, mut others) = place.open_two();
    let mine = closing("a");
    let first = grant(&mut *store, &mine);
    let seen = held(&mut *others, &claim("job", "b"));
    assert_eq!(seen.holder, Some(mine.holder.clone()));
    assert_eq!(grant(&mut *store, &mine).fence, first.fence);
    assert!(inspect(&mut *others, "job").held.is_some());
}

pub(super) fn a_minimum_hold_ends_by_itself(place: &Place) {
    let brief = Claim {
        min_hold: Duration::from_secs(1),
        ..claim("job", "a")
    };
    let mut store = cooled(place, &brief);
    cools_down(&mut *store, &claim("job", "b"));
    let other = claim("job", "c");
    wait_until(|| {
        let answer = store.acquire(&other, Ask::default(), TIMEOUT).unwrap();
        matches!(answer, Acquire::Granted(_))
    });
    assert_eq!(inspect(&mut *store, "job").cooling_down, None);
    // Nothing of it is left to the next hold.
    end(&mut *store, &other, FAILED);
    grant(&mut *store, &claim("job", "d"));
}

pub(super) fn a_minimum_hold_runs_from_the_grant(place: &Place) {
    let mut store = place.open();
    let brief = Claim {
        min_hold: Duration::from_millis(100),
        ..claim("job", "a")
    };
    grant(&mut *store, &brief);
    let granted = Instant::now();
    // No store says when it ends while the lock is held.
    wait_until(|| granted.elapsed() > brief.min_hold + Duration::from_millis(20));
    end(&mut *store, &brief, FAILED);
    grant(&mut *store, &claim("job", "b"));
}

pub(super) fn a_run_that_was_not_started_leaves_no_cooldown(place: &Place) {
    let mut store = place.open();
    let mine = closing("a");
    grant(&mut *store, &mine);
    end(&mut *store, &mine, End::Unstarted);
    assert_eq!(inspect(&mut *store, "job").cooling_down, None);
    grant(&mut *store, &claim("job", "b"));
}

pub(super) fn nobody_else_ends_a_cooldown(place: &Place) {
    let mine = closing("a");
    let mut store = cooled(place, &mine);
    let mut others = place.open();
    for store in [&mut others, &mut store] {
        let stranger = claim("job", "b");
        store.release(&stranger, End::Unstarted, TIMEOUT).unwrap();
        // Not even its own holder, once it is over.
        store.release(&mine, End::Unstarted, TIMEOUT).unwrap();
        cools_down(&mut **store, &claim("job", "c"));
    }
}

pub(super) fn force_ends_a_cooldown_and_asking_does_not(place: &Place) {
    let mut store = cooled(place, &closing("a"));
    assert_eq!(unlock(&mut *store, "job", Unlock::Ask), None);
    cools_down(&mut *store, &claim("job", "b"));
    assert_eq!(unlock(&mut *store, "job", Unlock::Force), None);
    assert_eq!(inspect(&mut *store, "job").cooling_down, None);
    grant(&mut *store, &claim("job", "b"));
    // Also that of a hold which is ended by force.
    let mut store = place.open();
    unlock(&mut *store, "job", Unlock::Force);
    grant(&mut *store, &closing("c"));
    unlock(&mut *store, "job", Unlock::Force);
    let slot = inspect(&mut *store, "job");
    assert_eq!((slot.held, slot.cooling_down), (None, None));
    grant(&mut *store, &claim("job", "d"));
}

pub(super) fn waiters_are_skipped_by_a_cooldown(place: &Place) {
    let mut holder = place.open();
    let mine = closing("a");
    grant(&mut *holder, &mine);
    let mut waiters: Vec<_> = ["b", "c"]
        .map(|who| (place.open(), claim("job", who)))
        .into_iter()
        .collect();
    for (store, claim) in &mut waiters {
        queue(&mut **store, claim);
    }
    end(&mut *holder, &mine, FAILED);
    for (store, claim) in &mut waiters {
        wait_for_bell(&**store);
        let answer = wait_in_line(&mut **store, claim);
        assert!(
            matches!(answer, Acquire::CoolingDown { .. }),
            "{}: {answer:?}",
            claim.holder.who
        );
    }
    let waiting = status(&mut *holder, "job").waiting;
    assert!(waiting.is_none_or(|count| count == 0), "{waiting:?}");
    // Who comes later does not wait for it either.
    let mut late = place.open();
    let answer = wait_in_line(&mut *late, &claim("job", "d"));
    assert!(matches!(answer, Acquire::CoolingDown { .. }), "{answer:?}");
}

pub(super) fn a_place_that_cools_down_is_passed_over(place: &Place) {
    let mut stores = [place.open(), place.open(), place.open()];
    let [one, two, three] = &mut stores;
    let mine = closing_of(2, "a");
    grant(&mut **one, &mine);
    end(&mut **one, &mine, FAILED);
    let other = closing_of(2, "b");
    assert_eq!(grant(&mut **two, &other).slot, 1);
    // One is held, one cools down: a matter of waiting.
    let late = closing_of(2, "c");
    let seen = held(&mut **three, &late);
    assert_eq!(seen.holder, Some(other.holder.clone()));
    queue(&mut **three, &late);
    end(&mut **two, &other, End::Unstarted);
    assert_eq!(grant_in_line(&mut **three, &late).slot, 1);
}

pub(super) fn places_that_all_cool_down_tell_the_shortest(place: &Place) {
    let (mut one, mut two) = place.open_two();
    let long = closing_of(2, "a");
    let short = Claim {
        min_hold: MIN_HOLD / 4,
        ..closing_of(2, "b")
    };
    grant(&mut *one, &long);
    grant(&mut *two, &short);
    end(&mut *one, &long, FAILED);
    release(&mut *two, &short);
    let left = cools_down(&mut *one, &closing_of(2, "c"));
    assert!(left <= MIN_HOLD / 4, "{left:?}");
    let left = cools_down(&mut *one, &closing_of(1, "d"));
    assert!(left > MIN_HOLD / 4, "{left:?}");
    let slots: Vec<Slot> = status(&mut *one, "job").slots;
    assert!(slots.iter().all(|slot| slot.cooling_down.is_some()));
}
