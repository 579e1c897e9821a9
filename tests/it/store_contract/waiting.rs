//! Standing in line: who is served when, and who is passed over.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use tasklock::store::{Acquire, Ask, Claim, End, Fence, Release, Store, Unlock, Unlocked};

use super::Place;
use crate::support::store::{
    FAILED, IN_LINE, TIMEOUT, claim, end, grant, grant_in_line, held, inspect, keep, queue,
    release, rings_within, status, unlock, wait_for_bell,
};
use crate::support::wait_until;

/// A run in line.
struct Waiter {
    store: Box<dyn Store>,
    claim: Claim,
}

impl Waiter {
    #[track_caller]
    fn join(place: &Place, who: &str) -> Waiter {
        let mut waiter = Waiter {
            store: place.open(),
            claim: claim("job", who),
        };
        queue(&mut *waiter.store, &waiter.claim);
        waiter
    }

    #[track_caller]
    fn is_granted(&mut self) -> Fence {
        grant_in_line(&mut *self.store, &self.claim).fence
    }

    #[track_caller]
    fn still_waits(&mut self) {
        queue(&mut *self.store, &self.claim);
    }

    #[track_caller]
    fn release(&mut self) {
        end(&mut *self.store, &self.claim, FAILED);
    }
}

/// A holder of the lock.
#[track_caller]
fn hold(place: &Place) -> Waiter {
    let mut holder = Waiter {
        store: place.open(),
        claim: claim("job", "holder"),
    };
    grant(&mut *holder.store, &holder.claim);
    holder
}

pub(super) fn a_free_lock_is_granted_in_line_at_once(place: &Place) {
    let mut store = place.open();
    let mine = claim("job", "a");
    let answer = store.acquire(&mine, IN_LINE, TIMEOUT).unwrap();
    let Acquire::Granted(granted) = answer else {
        panic!("{answer:?}");
    };
    keep(&mut *store, &mine, &granted);
    assert_eq!(release(&mut *store, &mine), Release::Released);
}

pub(super) fn who_comes_first_is_served_first(place: &Place) {
    let mut holder = hold(place);
    let mut waiters: Vec<Waiter> = ["a", "b", "c"]
        .map(|who| Waiter::join(place, who))
        .into_iter()
        .collect();
    let mut last = Fence(0);
    while !waiters.is_empty() {
        holder.release();
        for later in &mut waiters[1..] {
            later.still_waits();
        }
        let mut first = waiters.remove(0);
        let fence = first.is_granted();
        assert!(fence > last);
        last = fence;
        for later in &mut waiters {
            later.still_waits();
        }
        holder = first;
    }
}

pub(super) fn a_release_rings_the_bell_of_the_first(place: &Place) {
    let mut holder = hold(place);
    let mut waiter = Waiter::join(place, "a");
    holder.release();
    wait_for_bell(&*waiter.store);
    waiter.is_granted();
}

pub(super) fn asking_silences_the_bell(place: &Place) {
    let mut holder = hold(place);
    let mut first = Waiter::join(place, "a");
    let mut second = Waiter::join(place, "b");
    holder.release();
    wait_for_bell(&*first.store);
    first.is_granted();
    for _ in 0..2 {
        second.still_waits();
        assert!(!rings_within(&*second.store, Duration::ZERO));
    }
    first.release();
    wait_for_bell(&*second.store);
    second.is_granted();
}

pub(super) fn a_waiter_is_told_who_has_the_lock_and_how_many_are_before_it(place: &Place) {
    let holder = hold(place);
    let mut stores = Vec::new();
    for number in 1..=3 {
        let mut store = place.open();
        let queued = queue(&mut *store, &claim("job", "a"));
        assert!(queued.place.is_none_or(|told| told == number), "{queued:?}");
        assert!(queued.ask_in > Duration::ZERO && queued.ask_in < TIMEOUT);
        let seen = queued.held.unwrap();
        assert_eq!(seen.holder, Some(holder.claim.holder.clone()));
        assert!(seen.age.unwrap() < TIMEOUT);
        stores.push(store);
    }
}

pub(super) fn asking_again_keeps_the_place_in_line(place: &Place) {
    let mut holder = hold(place);
    let mut first = Waiter::join(place, "a");
    let mut second = Waiter::join(place, "b");
    for _ in 0..3 {
        first.still_waits();
    }
    second.still_waits();
    first.still_waits();
    let waiting = status(&mut *holder.store, "job").waiting;
    assert!(waiting.is_none_or(|count| count == 2), "{waiting:?}");
    holder.release();
    second.still_waits();
    first.is_granted();
}

pub(super) fn a_waiter_that_leaves_is_passed_over(place: &Place) {
    let mut holder = hold(place);
    let mut leaving = Waiter::join(place, "a");
    let mut next = Waiter::join(place, "b");
    let left = leaving
        .store
        .release(&leaving.claim, End::Unstarted, TIMEOUT);
    assert!(matches!(left, Ok(Release::NotOurs(Some(_)))), "{left:?}");
    let again = leaving.store.acquire(&leaving.claim, IN_LINE, TIMEOUT);
    assert_eq!(again, Ok(Acquire::Withdrawn));
    next.still_waits();
    holder.release();
    wait_for_bell(&*next.store);
    next.is_granted();
    // Also one that leaves when it is its turn.
    let mut leaving = Waiter::join(place, "c");
    let mut last = Waiter::join(place, "d");
    next.release();
    wait_for_bell(&*leaving.store);
    release(&mut *leaving.store, &leaving.claim);
    wait_for_bell(&*last.store);
    last.is_granted();
}

pub(super) fn a_waiter_that_crashed_is_passed_over(place: &Place) {
    let mut holder = hold(place);
    let crashed = Waiter::join(place, "a");
    let mut next = Waiter::join(place, "b");
    drop(crashed);
    holder.release();
    next.is_granted();
}

pub(super) fn a_crash_of_the_holder_lets_the_first_in(place: &Place) {
    let mut store = place.open();
    let crashing = Claim {
        ttl: Duration::from_secs(1),
        ..claim("job", "holder")
    };
    let lost = grant(&mut *store, &crashing);
    let mut first = Waiter::join(place, "a");
    let mut second = Waiter::join(place, "b");
    drop(store);
    assert!(first.is_granted() > lost.fence);
    second.still_waits();
}

pub(super) fn a_lock_freed_by_force_goes_to_the_first(place: &Place) {
    let mut holder = hold(place);
    let mut first = Waiter::join(place, "a");
    let mut second = Waiter::join(place, "b");
    let freed = unlock(&mut *holder.store, "job", Unlock::Force);
    assert!(matches!(freed, Some(Unlocked::Freed(_))), "{freed:?}");
    wait_for_bell(&*first.store);
    second.still_waits();
    first.is_granted();
}

pub(super) fn a_single_try_does_not_overtake_a_waiter(place: &Place) {
    let mut holder = hold(place);
    let mut waiter = Waiter::join(place, "a");
    let mut others = place.open();
    holder.release();
    let answer = others.acquire(&claim("job", "b"), Ask::default(), TIMEOUT);
    match answer.unwrap() {
        Acquire::Held(_) | Acquire::Reserved { first: None } => {}
        Acquire::Reserved { first } => assert_eq!(first, Some(waiter.claim.holder.clone())),
        other => panic!("{other:?}"),
    }
    waiter.is_granted();
}

pub(super) fn a_single_try_is_told_who_has_the_lock_while_others_wait(place: &Place) {
    let holder = hold(place);
    let mut waiter = Waiter::join(place, "a");
    let mut others = place.open();
    let seen = held(&mut *others, &claim("job", "b"));
    assert_eq!(seen.holder, Some(holder.claim.holder.clone()));
    waiter.still_waits();
}

pub(super) fn a_run_that_waited_holds_like_any_other(place: &Place) {
    let mut holder = hold(place);
    let mut store = place.open();
    let mine = claim("job", "a");
    queue(&mut *store, &mine);
    holder.release();
    let granted = grant_in_line(&mut *store, &mine);
    let kept = keep(&mut *store, &mine, &granted);
    assert_eq!(kept.fence, granted.fence);
    let seen = held(&mut *holder.store, &claim("job", "b"));
    assert_eq!(seen.holder, Some(mine.holder.clone()));
    // Asked once more, because the first answer was lost.
    let again = grant_in_line(&mut *store, &mine);
    assert_eq!(again.fence, granted.fence);
    assert_eq!(release(&mut *store, &mine), Release::Released);
    assert_eq!(inspect(&mut *store, "job").held, None);
}

pub(super) fn those_who_wait_are_counted(place: &Place) {
    let mut looking = place.open();
    let mut count = |expected: u32| {
        let waiting = status(&mut *looking, "job").waiting;
        assert!(waiting.is_none_or(|told| told == expected), "{waiting:?}");
    };
    count(0);
    let mut holder = hold(place);
    count(0);
    let mut first = Waiter::join(place, "a");
    let mut second = Waiter::join(place, "b");
    count(2);
    release(&mut *second.store, &second.claim);
    count(1);
    holder.release();
    first.is_granted();
    count(0);
}

pub(super) fn twenty_waiters_get_the_lock_one_at_a_time(place: &Place) {
    let mut holder = hold(place);
    let inside = Arc::new(AtomicU32::new(0));
    let waiters: Vec<_> = (0..20)
        .map(|number| {
            let mut waiter = Waiter::join(place, &format!("w{number}"));
            let inside = Arc::clone(&inside);
            thread::spawn(move || {
                let fence = waiter.is_granted();
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                thread::yield_now();
                inside.fetch_sub(1, Ordering::SeqCst);
                waiter.release();
                fence
            })
        })
        .collect();
    holder.release();
    let fences: Vec<Fence> = waiters.into_iter().map(|one| one.join().unwrap()).collect();
    assert!(fences.is_sorted(), "not in the order they came: {fences:?}");
    let mut looking = place.open();
    wait_until(|| {
        status(&mut *looking, "job")
            .waiting
            .is_none_or(|count| count == 0)
    });
    assert_eq!(inspect(&mut *looking, "job").held, None);
}
