//! What is remembered of the runs of a lock, and of those that were skipped.

use std::thread;
use std::time::Duration;

use tasklock::store::past::{History, PastOutcome};
use tasklock::store::{Acquire, Ask, Claim, End, Holder, Release, Store, Unlock};

use super::Place;
use crate::support::store::{
    FAILED, IN_LINE, TIMEOUT, claim, end, grant, held, name, queue, release, status, succeeded,
    unlock,
};
use crate::support::wait_for_some;

fn history(store: &mut dyn Store) -> History {
    store.history(&name("job"), TIMEOUT).unwrap()
}

/// What became of the runs, the oldest first.
fn outcomes(store: &mut dyn Store) -> Vec<PastOutcome> {
    let runs = history(store).runs;
    runs.iter().map(|run| run.outcome).collect()
}

fn ran(outcome: PastOutcome) -> End {
    let waited = Duration::ZERO;
    End::Ran { outcome, waited }
}

/// A whole run.
#[track_caller]
fn run(store: &mut dyn Store, claim: &Claim, how: End) {
    grant(store, claim);
    end(store, claim, how);
}

pub(super) fn a_lock_that_was_never_held_has_no_past(place: &Place) {
    let mut store = place.open();
    let past = history(&mut *store);
    assert_eq!((past.runs, past.skips), (Vec::new(), 0));
    let status = status(&mut *store, "job");
    assert_eq!((status.last, status.last_success), (None, None));
    assert_eq!((status.skips, status.waiters), (0, Vec::new()));
}

pub(super) fn a_run_is_remembered_with_its_holder_its_times_and_its_outcome(place: &Place) {
    let mut store = place.open();
    let mine = claim("job", "me@here");
    let granted = grant(&mut *store, &mine);
    assert_eq!(history(&mut *store).runs, [], "it has not ended");
    end(&mut *store, &mine, ran(PastOutcome::Exit(3)));
    let past = history(&mut *store);
    let [run] = past.runs.as_slice() else {
        panic!("{past:?}")
    };
    assert_eq!(run.outcome, PastOutcome::Exit(3));
    assert_eq!(run.holder.who, "me@here");
    assert_eq!(run.holder.command, "./job.sh");
    assert_eq!((run.holder.pid, &run.holder.id), (42, &mine.holder.id));
    assert_eq!((run.fence, run.slot), (Some(granted.fence), 0));
    assert!(run.started_ms <= past.now_ms && run.started_ms + 60_000 > past.now_ms);
    assert!(run.lasted.is_some_and(|lasted| lasted < TIMEOUT));
    assert_eq!(status(&mut *store, "job").last.as_ref(), Some(run));
}

pub(super) fn every_outcome_is_remembered_in_order(place: &Place) {
    let mut store = place.open();
    let all = [
        PastOutcome::Exit(0),
        PastOutcome::Exit(255),
        PastOutcome::Signal(9),
        PastOutcome::Timeout,
        PastOutcome::Lost,
        PastOutcome::Released,
        PastOutcome::Unstarted,
    ];
    for outcome in all {
        let how = match outcome {
            PastOutcome::Unstarted => End::Unstarted,
            outcome => ran(outcome),
        };
        run(&mut *store, &claim("job", "a"), how);
        let last = status(&mut *store, "job").last;
        assert_eq!(last.map(|last| last.outcome), Some(outcome));
    }
    assert_eq!(outcomes(&mut *store), all);
}

pub(super) fn a_repeated_release_is_one_run(place: &Place) {
    let (mut store, mut others) = place.open_two();
    let mine = claim("job", "a");
    run(&mut *store, &mine, FAILED);
    assert_eq!(release(&mut *store, &mine), Release::Released);
    release(&mut *others, &mine);
    assert_eq!(outcomes(&mut *store), [PastOutcome::Exit(1)]);
}

pub(super) fn a_release_by_a_stranger_is_no_run(place: &Place) {
    let (mut store, mut others) = place.open_two();
    let mine = claim("job", "a");
    grant(&mut *store, &mine);
    release(&mut *others, &claim("job", "stranger"));
    assert_eq!(outcomes(&mut *store), []);
    end(&mut *store, &mine, FAILED);
    assert_eq!(outcomes(&mut *store), [PastOutcome::Exit(1)]);
}

pub(super) fn what_is_withdrawn_is_no_run(place: &Place) {
    let (mut store, mut others) = place.open_two();
    let mine = claim("job", "a");
    grant(&mut *store, &mine);
    held(&mut *others, &claim("job", "b"));
    store.release(&mine, End::Withdrawn, TIMEOUT).unwrap();
    let past = history(&mut *store);
    assert_eq!((past.runs, past.skips), (Vec::new(), 1));
    assert_eq!(status(&mut *store, "job").last, None);
}

/// Of a store in which leases end. Lock files know of a crash at once.
pub(super) fn a_run_that_ended_without_a_word_has_vanished(place: &Place) {
    let (mut store, mut others) = place.open_two();
    let crashing = Claim {
        ttl: Duration::from_millis(200),
        ..claim("job", "gone")
    };
    run(&mut *others, &claim("job", "before"), FAILED);
    let granted = grant(&mut *store, &crashing);
    drop(store);
    let vanished = [PastOutcome::Exit(1), PastOutcome::Vanished];
    let past = wait_for_some(|| {
        let past = history(&mut *others);
        (past.runs.len() == 2).then_some(past)
    });
    let gone = past.runs.last().unwrap();
    assert_eq!(gone.holder.who, "gone");
    assert_eq!((gone.lasted, gone.fence), (None, Some(granted.fence)));
    assert_eq!(outcomes(&mut *others), vanished);
    let last = status(&mut *others, "job").last.unwrap();
    assert_eq!(last.outcome, PastOutcome::Vanished);
    // The next grant writes it down, once.
    let next = claim("job", "next");
    grant(&mut *others, &next);
    assert_eq!(outcomes(&mut *others), vanished);
    end(&mut *others, &next, succeeded(Duration::ZERO));
    let all = [&vanished[..], &[PastOutcome::Exit(0)]].concat();
    assert_eq!(outcomes(&mut *others), all);
}

pub(super) fn a_run_whose_lock_was_freed_by_force_has_lost_it(place: &Place) {
    let (mut store, mut others) = place.open_two();
    let mine = claim("job", "a");
    grant(&mut *store, &mine);
    unlock(&mut *others, "job", Unlock::Force);
    assert_eq!(outcomes(&mut *others), [PastOutcome::Lost]);
    release(&mut *store, &mine);
    assert_eq!(outcomes(&mut *others), [PastOutcome::Lost]);
}

pub(super) fn the_last_runs_are_kept_and_no_more(place: &Place) {
    let mut store = place.open();
    let of = |code, history| {
        let run = Claim {
            history,
            ..claim("job", "a")
        };
        (run, ran(PastOutcome::Exit(code)))
    };
    for code in 0..7 {
        let (claim, how) = of(code, 3);
        run(&mut *store, &claim, how);
    }
    assert_eq!(outcomes(&mut *store), [4, 5, 6].map(PastOutcome::Exit));
    let (claim, how) = of(7, 200);
    run(&mut *store, &claim, how);
    assert_eq!(outcomes(&mut *store), [4, 5, 6, 7].map(PastOutcome::Exit));
    let (claim, how) = of(8, 1);
    run(&mut *store, &claim, how);
    assert_eq!(outcomes(&mut *store), [PastOutcome::Exit(8)]);
}

pub(super) fn without_history_the_last_run_is_known_all_the_same(place: &Place) {
    let mut store = place.open();
    let silent = |who| Claim {
        history: 0,
        ..claim("job", who)
    };
    run(&mut *store, &claim("job", "kept"), FAILED);
    run(&mut *store, &silent("a"), succeeded(Duration::ZERO));
    run(&mut *store, &silent("b"), FAILED);
    assert_eq!(history(&mut *store).runs, []);
    let status = status(&mut *store, "job");
    assert_eq!(status.last.unwrap().holder.who, "b");
    assert!(status.last_success.is_some_and(|ago| ago < TIMEOUT));
}

pub(super) fn the_last_success_stays_known_through_failures(place: &Place) {
    let mut store = place.open();
    let ago = |store: &mut dyn Store| status(store, "job").last_success;
    run(&mut *store, &claim("job", "a"), FAILED);
    run(&mut *store, &claim("job", "b"), End::Unstarted);
    assert_eq!(ago(&mut *store), None);
    run(&mut *store, &claim("job", "c"), succeeded(Duration::ZERO));
    run(&mut *store, &claim("job", "d"), FAILED);
    assert!(ago(&mut *store).is_some_and(|ago| ago < TIMEOUT));
}

pub(super) fn who_is_refused_is_skipped_once(place: &Place) {
    let (mut store, mut others) = place.open_two();
    let mine = claim("job", "a");
    grant(&mut *store, &mine);
    thread::sleep(Duration::from_millis(2));
    let refused = claim("job", "b");
    for _ in 0..3 {
        held(&mut *others, &refused);
    }
    held(&mut *place.open(), &claim("job", "c"));
    assert_eq!(status(&mut *store, "job").skips, 2);
    assert_eq!(history(&mut *store).skips, 2);
    end(&mut *store, &mine, FAILED);
    // Lock files order skips and grants by the millisecond.
    thread::sleep(Duration::from_millis(2));
    run(&mut *store, &claim("job", "next"), FAILED);
    let past = history(&mut *store);
    let skips: Vec<u32> = past.runs.iter().map(|run| run.skips).collect();
    assert_eq!((skips, past.skips), (vec![0, 2], 0));
    assert_eq!(status(&mut *store, "job").skips, 0);
}

pub(super) fn a_cooldown_skips(place: &Place) {
    let mut store = place.open();
    let mine = Claim {
        min_hold: Duration::from_secs(60),
        ..claim("job", "a")
    };
    run(&mut *store, &mine, FAILED);
    for who in ["b", "c"] {
        let answer = store.acquire(&claim("job", who), Ask::default(), TIMEOUT);
        assert!(matches!(answer, Ok(Acquire::CoolingDown { .. })));
    }
    let waiting = store.acquire(&claim("job", "d"), IN_LINE, TIMEOUT);
    assert!(matches!(waiting, Ok(Acquire::CoolingDown { .. })));
    assert_eq!(status(&mut *store, "job").skips, 3);
}

pub(super) fn a_waiter_is_skipped_when_its_wait_runs_out(place: &Place) {
    let (mut store, mut others) = place.open_two();
    let mine = claim("job", "a");
    grant(&mut *store, &mine);
    let (patient, interrupted) = (claim("job", "b"), claim("job", "c"));
    let mut third = place.open();
    for _ in 0..3 {
        queue(&mut *others, &patient);
        queue(&mut *third, &interrupted);
    }
    assert_eq!(status(&mut *store, "job").skips, 0);
    third
        .release(&interrupted, End::Withdrawn, TIMEOUT)
        .unwrap();
    assert_eq!(status(&mut *store, "job").skips, 0);
    for _ in 0..2 {
        others.release(&patient, End::Skipped, TIMEOUT).unwrap();
    }
    assert_eq!(status(&mut *store, "job").skips, 1);
    assert_eq!(history(&mut *store).runs, []);
}

pub(super) fn what_is_done_already_is_not_skipped(place: &Place) {
    let mut store = place.open();
    let once = |who| {
        let mut claim = claim("job", who);
        claim.once.key = Some("today".to_owned());
        claim
    };
    run(&mut *store, &once("a"), succeeded(Duration::ZERO));
    let answer = store.acquire(&once("b"), Ask::default(), TIMEOUT);
    assert!(matches!(answer, Ok(Acquire::Done(_))), "{answer:?}");
    assert_eq!(status(&mut *store, "job").skips, 0);
}

pub(super) fn those_who_wait_are_told_of_in_order(place: &Place) {
    let mut store = place.open();
    grant(&mut *store, &claim("job", "a"));
    let waiting = ["b", "c", "d"].map(|who| (place.open(), claim("job", who)));
    let mut waiting = waiting.into_iter().collect::<Vec<_>>();
    for (store, claim) in &mut waiting {
        queue(&mut **store, claim);
    }
    let told = status(&mut *store, "job");
    assert_eq!(told.waiting, Some(3));
    let places: Vec<u32> = told.waiters.iter().map(|waiter| waiter.place).collect();
    assert_eq!(places, [1, 2, 3]);
    for (waiter, (_, claim)) in told.waiters.iter().zip(&waiting) {
        assert_eq!(waiter.holder.as_ref(), Some(&claim.holder));
        assert!(waiter.age.is_some_and(|age| age < TIMEOUT));
    }
}

pub(super) fn whatever_stands_in_a_name_comes_back(place: &Place) {
    let mut store = place.open();
    let hostile = Claim {
        holder: Holder {
            who: "a\n\u{1b}[2J \"ü\\ 9 exit:0\u{7f}".to_owned(),
            command: " -c\t'x' \u{0}\u{202e}".to_owned(),
            ..claim("job", "").holder
        },
        ..claim("job", "")
    };
    run(&mut *store, &hostile, FAILED);
    let long = Claim {
        holder: Holder {
            who: "ü".repeat(200),
            command: "\u{1F600}".repeat(120),
            ..claim("job", "").holder
        },
        ..claim("job", "")
    };
    run(&mut *store, &long, FAILED);
    let runs = history(&mut *store).runs;
    assert_eq!(runs[0].holder.who, hostile.holder.who);
    assert_eq!(runs[0].holder.command, hostile.holder.command);
    // Cut, but between two characters.
    let (who, command) = (&runs[1].holder.who, &runs[1].holder.command);
    assert!(!who.is_empty() && long.holder.who.starts_with(who));
    assert!(!command.is_empty() && long.holder.command.starts_with(command));
}
