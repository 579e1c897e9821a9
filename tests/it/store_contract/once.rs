//! Runs that are not needed, because one before them succeeded or was tried often enough.

use std::time::Duration;

use tasklock::store::{Acquire, Ask, Claim, Done, End, Once, Period, Store};

use super::Place;
use crate::support::store::{
    FAILED, TIMEOUT, claim, end, grant, grant_in_line, inspect, queue, status, succeeded,
    wait_in_line,
};
use crate::support::{wait_for_some, wait_until};

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);

/// A claim of a schedule that ticks every hour.
fn hourly(who: &str) -> Claim {
    hourly_with(2, who)
}

fn hourly_with(attempts: u32, who: &str) -> Claim {
    Claim {
        once: Once {
            per: Some(Period {
                length: HOUR,
                attempts,
            }),
            key: None,
        },
        ..claim("job", who)
    }
}

/// A claim that is needed once for `key`.
fn keyed(key: &str, who: &str) -> Claim {
    Claim {
        once: Once {
            per: None,
            key: Some(key.to_owned()),
        },
        ..claim("job", who)
    }
}

/// A whole run that succeeds, asked for `waited` before it ends.
#[track_caller]
fn succeed(store: &mut dyn Store, claim: &Claim, waited: Duration) {
    grant(store, claim);
    end(store, claim, succeeded(waited));
}

/// A whole run that ends like `how`.
#[track_caller]
fn run(store: &mut dyn Store, claim: &Claim, how: End) {
    grant(store, claim);
    end(store, claim, how);
}

/// Tries once, for a run that was asked for `waited` ago.
#[track_caller]
fn ask(store: &mut dyn Store, claim: &Claim, waited: Duration) -> Acquire {
    let ask = Ask {
        in_line: false,
        waited,
    };
    store.acquire(claim, ask, TIMEOUT).unwrap()
}

/// Tries once, in vain, because there is no need to run.
#[track_caller]
fn done(store: &mut dyn Store, claim: &Claim) -> Done {
    match ask(store, claim, Duration::ZERO) {
        Acquire::Done(done) => done,
        other => panic!("{} is not done: {other:?}", claim.holder.who),
    }
}

/// How long ago a run was asked for that makes this one unnecessary.
#[track_caller]
fn recently(answer: Acquire) -> Duration {
    match answer {
        Acquire::Done(Done::Recently { ago }) => ago,
        other => panic!("{other:?}"),
    }
}

/// Needed at this moment, and not run.
#[track_caller]
fn is_needed(store: &mut dyn Store, claim: &Claim, waited: Duration) {
    let answer = ask(store, claim, waited);
    assert!(matches!(answer, Acquire::Granted(_)), "{answer:?}");
    end(store, claim, End::Unstarted);
}

pub(super) fn a_run_soon_after_a_success_is_not_needed(place: &Place) {
    let (mut store, mut others) = place.open_two();
    succeed(&mut *store, &hourly("a"), Duration::ZERO);
    for store in [&mut others, &mut store] {
        let ago = recently(ask(&mut **store, &hourly("b"), Duration::ZERO));
        assert!(ago < TIMEOUT, "{ago:?}");
    }
    assert_eq!(inspect(&mut *store, "job").held, None);
    // A shorter period may have begun its next tick by now.
    let mut often = hourly("c");
    often.once.per = Some(Period {
        length: Duration::from_secs(1),
        attempts: 2,
    });
    wait_until(|| {
        let answer = ask(&mut *others, &often, Duration::ZERO);
        matches!(answer, Acquire::Granted(_))
    });
}

pub(super) fn a_run_half_a_period_after_a_success_is_needed(place: &Place) {
    let (mut store, mut others) = place.open_two();
    succeed(&mut *store, &hourly("a"), 29 * MINUTE);
    let ago = recently(ask(&mut *others, &hourly("b"), Duration::ZERO));
    assert!(ago >= 29 * MINUTE && ago < 30 * MINUTE, "{ago:?}");
    let mut soon = hourly("c");
    soon.once.per = Some(Period {
        length: 58 * MINUTE,
        attempts: 2,
    });
    is_needed(&mut *others, &soon, Duration::ZERO);
}

pub(super) fn a_tick_counts_from_when_its_run_was_asked_for(place: &Place) {
    let (mut store, mut others) = place.open_two();
    succeed(&mut *store, &hourly("a"), 40 * MINUTE);
    is_needed(&mut *others, &hourly("b"), Duration::ZERO);
    is_needed(&mut *others, &hourly("c"), 5 * MINUTE);
    // This one waited, too: both belong to one tick.
    let ago = recently(ask(&mut *others, &hourly("d"), 20 * MINUTE));
    assert!(ago >= 40 * MINUTE, "{ago:?}");
}

pub(super) fn a_run_that_was_asked_for_before_the_success_is_not_needed(place: &Place) {
    let mut store = place.open();
    succeed(&mut *store, &hourly("a"), Duration::ZERO);
    for waited in [10 * MINUTE, 3 * HOUR] {
        recently(ask(&mut *store, &hourly("b"), waited));
    }
}

pub(super) fn a_later_success_that_was_asked_for_earlier_takes_nothing_back(place: &Place) {
    let (mut one, mut two) = place.open_two();
    let slow = Claim {
        slots: 2,
        ..hourly("slow")
    };
    let quick = Claim {
        slots: 2,
        ..hourly("quick")
    };
    grant(&mut *one, &slow);
    grant(&mut *two, &quick);
    end(&mut *two, &quick, succeeded(Duration::ZERO));
    end(&mut *one, &slow, succeeded(50 * MINUTE));
    let ago = recently(ask(&mut *one, &hourly("late"), Duration::ZERO));
    assert!(ago < MINUTE, "{ago:?}");
}

pub(super) fn a_failure_is_no_success(place: &Place) {
    let mut store = place.open();
    run(&mut *store, &hourly("a"), FAILED);
    run(&mut *store, &hourly("b"), FAILED);
    let other = keyed("monday", "c");
    run(&mut *store, &other, FAILED);
    is_needed(&mut *store, &keyed("monday", "d"), Duration::ZERO);
}

pub(super) fn runs_without_once_neither_record_nor_are_bound(place: &Place) {
    let mut store = place.open();
    succeed(&mut *store, &claim("job", "a"), Duration::ZERO);
    is_needed(&mut *store, &hourly("b"), Duration::ZERO);
    is_needed(&mut *store, &keyed("monday", "c"), Duration::ZERO);
    for _ in 0..3 {
        run(&mut *store, &claim("job", "d"), FAILED);
    }
    succeed(&mut *store, &hourly_with(1, "e"), Duration::ZERO);
    is_needed(&mut *store, &claim("job", "f"), Duration::ZERO);
}

pub(super) fn a_success_by_a_stranger_is_not_recorded(place: &Place) {
    let (mut store, mut others) = place.open_two();
    let mine = hourly("a");
    grant(&mut *store, &mine);
    let mut stranger = hourly("b");
    stranger.once.key = Some("monday".to_owned());
    others
        .release(&stranger, succeeded(Duration::ZERO), TIMEOUT)
        .unwrap();
    end(&mut *store, &mine, FAILED);
    let mut next = hourly("c");
    next.once.key = Some("monday".to_owned());
    is_needed(&mut *others, &next, Duration::ZERO);
}

pub(super) fn attempts_are_limited_within_a_tick(place: &Place) {
    let (mut store, mut others) = place.open_two();
    run(&mut *store, &hourly("a"), FAILED);
    run(&mut *others, &hourly("b"), FAILED);
    for store in [&mut store, &mut others] {
        assert_eq!(
            done(&mut **store, &hourly("c")),
            Done::Attempts { count: 2 }
        );
    }
    // Each run says for itself how many are too many; and those without are not bound.
    run(&mut *store, &hourly_with(3, "d"), FAILED);
    assert_eq!(
        done(&mut *store, &hourly_with(3, "e")),
        Done::Attempts { count: 3 }
    );
    is_needed(&mut *store, &claim("job", "f"), Duration::ZERO);
}

pub(super) fn a_crash_is_an_attempt(place: &Place) {
    let mut store = place.open();
    let crashing = Claim {
        ttl: Duration::from_millis(40),
        ..hourly_with(1, "a")
    };
    grant(&mut *store, &crashing);
    drop(store);
    let mut others = place.open();
    assert_eq!(
        done(&mut *others, &hourly_with(1, "b")),
        Done::Attempts { count: 1 }
    );
    wait_until(|| inspect(&mut *others, "job").held.is_none());
    run(&mut *others, &hourly_with(2, "c"), FAILED);
    assert_eq!(
        done(&mut *others, &hourly_with(2, "d")),
        Done::Attempts { count: 2 }
    );
}

pub(super) fn a_run_that_was_not_started_is_no_attempt(place: &Place) {
    let mut store = place.open();
    for _ in 0..3 {
        run(&mut *store, &hourly_with(1, "a"), End::Unstarted);
    }
    run(&mut *store, &hourly("b"), FAILED);
    run(&mut *store, &hourly("c"), End::Unstarted);
    run(&mut *store, &hourly("d"), FAILED);
    assert_eq!(done(&mut *store, &hourly("e")), Done::Attempts { count: 2 });
}

pub(super) fn a_repeated_acquire_is_one_attempt(place: &Place) {
    let mut store = place.open();
    let mine = hourly("a");
    for _ in 0..3 {
        grant(&mut *store, &mine);
    }
    end(&mut *store, &mine, FAILED);
    let last = hourly("b");
    for _ in 0..2 {
        grant_in_line(&mut *store, &last);
    }
    end(&mut *store, &last, FAILED);
    assert_eq!(done(&mut *store, &hourly("c")), Done::Attempts { count: 2 });
}

pub(super) fn the_next_tick_has_attempts_of_its_own(place: &Place) {
    let mut store = place.open();
    let per = Some(Period {
        length: Duration::from_secs(6),
        attempts: 1,
    });
    let mut mine = hourly("a");
    mine.once.per = per;
    run(&mut *store, &mine, FAILED);
    let mut next = hourly("b");
    next.once.per = per;
    assert_eq!(done(&mut *store, &next), Done::Attempts { count: 1 });
    wait_for_some(|| match ask(&mut *store, &next, Duration::ZERO) {
        Acquire::Granted(granted) => Some(granted),
        Acquire::Done(Done::Attempts { count: 1 }) => None,
        other => panic!("{other:?}"),
    });
    end(&mut *store, &next, FAILED);
    let mut late = hourly("c");
    late.once.per = per;
    assert_eq!(done(&mut *store, &late), Done::Attempts { count: 1 });
}

pub(super) fn a_key_is_needed_once(place: &Place) {
    let (mut store, mut others) = place.open_two();
    let nasty = "monday ünd\t\"more\", 100%";
    succeed(&mut *store, &keyed(nasty, "a"), Duration::ZERO);
    for store in [&mut others, &mut store] {
        assert_eq!(done(&mut **store, &keyed(nasty, "b")), Done::SameKey);
    }
    is_needed(&mut *others, &keyed("monday", "c"), Duration::ZERO);
    // Only the last one counts.
    succeed(&mut *others, &keyed("tuesday", "d"), Duration::ZERO);
    assert_eq!(done(&mut *store, &keyed("tuesday", "e")), Done::SameKey);
    is_needed(&mut *store, &keyed(nasty, "f"), Duration::ZERO);
}

pub(super) fn a_success_without_key_leaves_the_key_alone(place: &Place) {
    let mut store = place.open();
    succeed(&mut *store, &keyed("monday", "a"), Duration::ZERO);
    succeed(&mut *store, &hourly("b"), Duration::ZERO);
    succeed(&mut *store, &claim("job", "c"), Duration::ZERO);
    assert_eq!(done(&mut *store, &keyed("monday", "d")), Done::SameKey);
}

pub(super) fn a_success_with_a_key_leaves_the_time_alone(place: &Place) {
    let mut store = place.open();
    succeed(&mut *store, &keyed("monday", "a"), Duration::ZERO);
    is_needed(&mut *store, &hourly("b"), Duration::ZERO);
    // A run may ask for both, and each of them does.
    let mut both = hourly("c");
    both.once.key = Some("tuesday".to_owned());
    succeed(&mut *store, &both, Duration::ZERO);
    assert_eq!(done(&mut *store, &keyed("tuesday", "d")), Done::SameKey);
    recently(ask(&mut *store, &hourly("e"), Duration::ZERO));
}

pub(super) fn what_is_done_is_told_while_the_lock_is_held(place: &Place) {
    let (mut store, mut others) = place.open_two();
    succeed(&mut *store, &hourly("a"), Duration::ZERO);
    succeed(&mut *store, &keyed("monday", "b"), Duration::ZERO);
    grant(&mut *store, &claim("job", "c"));
    recently(ask(&mut *others, &hourly("d"), Duration::ZERO));
    assert_eq!(done(&mut *others, &keyed("monday", "e")), Done::SameKey);
}

pub(super) fn a_waiter_that_is_not_needed_any_more_lets_the_next_in(place: &Place) {
    let mut holder = place.open();
    let mine = hourly("a");
    grant(&mut *holder, &mine);
    let mut stores = [place.open(), place.open(), place.open()];
    let claims = [hourly("b"), hourly("c"), claim("job", "d")];
    for (store, claim) in stores.iter_mut().zip(&claims) {
        queue(&mut **store, claim);
    }
    end(&mut *holder, &mine, succeeded(Duration::ZERO));
    for (store, claim) in stores.iter_mut().zip(&claims).take(2) {
        recently(wait_in_line(&mut **store, claim));
    }
    grant_in_line(&mut *stores[2], &claims[2]);
    let waiting = status(&mut *holder, "job").waiting;
    assert!(waiting.is_none_or(|count| count == 0), "{waiting:?}");
}
