//! A store that gives no usable answer before the start.

use super::*;
use crate::exit::StartError;

fn failed(kind: StoreErrorKind) -> Event {
    acquired(0, Err(error(kind)))
}

/// Lets the store fail again and again: the times at which the run asked, and
/// what it said and did beside.
fn asked_at(run: &mut Supervisor, first_ms: u64) -> (Vec<u128>, Vec<Action>) {
    let mut actions = run.handle(at(first_ms), failed(StoreErrorKind::Unavailable));
    let mut times = Vec::new();
    while let Some(wake) = run.next_wake()
        && !matches!(actions.last(), Some(Action::Withdraw(_)))
    {
        times.push(wake.since(at(0)).as_millis());
        assert!(matches!(
            run.handle(wake, Event::Wake)[..],
            [Action::Acquire(_)]
        ));
        actions.extend(run.handle(wake, failed(StoreErrorKind::Unavailable)));
    }
    (times, actions)
}

#[test]
fn a_single_try_goes_on_trying_for_one_store_timeout_in_silence() {
    let (times, actions) = asked_at(&mut asking(plan()), 0);
    let expected = [100, 300, 700, 1500, 2500, 3500, 4500, 5000];
    assert_eq!(times, expected, "the last time when the time is over");
    assert_eq!(actions, [Action::Withdraw(End::Withdrawn)]);
}

#[test]
fn a_run_that_waits_goes_on_trying_for_its_wait_and_says_so_once() {
    for (wait_ms, expected) in [
        (1000, vec![120, 320, 720, 1000]),
        (
            7000,
            vec![120, 320, 720, 1520, 2520, 3520, 4520, 5520, 6520, 7000],
        ),
    ] {
        let (times, actions) = asked_at(&mut asking(waiting(ms(wait_ms))), 20);
        assert_eq!(times, expected);
        let error = unavailable();
        let left = Some(ms(wait_ms - 20));
        let said = Action::Say(Message::WaitsForStore { error, left });
        assert_eq!(actions, [said, Action::Withdraw(End::Withdrawn)]);
    }
}

#[test]
fn a_delay_is_not_part_of_the_time_for_trying() {
    let mut run = Supervisor::new(Plan {
        delay: ms(3000),
        ..plan()
    });
    run.handle(at(0), Event::Start);
    run.handle(at(3000), Event::Wake);
    let (times, _) = asked_at(&mut run, 3000);
    assert_eq!((times.first(), times.last()), (Some(&3100), Some(&8000)));
}

#[test]
fn a_wait_without_limit_names_none() {
    let mut run = asking(waiting(Duration::MAX));
    let actions = run.handle(at(10), failed(StoreErrorKind::Unavailable));
    let (error, left) = (unavailable(), None);
    assert_eq!(
        actions,
        [Action::Say(Message::WaitsForStore { error, left })]
    );
}

#[test]
fn an_answer_in_between_begins_the_patience_anew() {
    let mut run = asking(waiting(ms(60_000)));
    for round in 0..2 {
        let now = round * 10_000;
        for (failure, pause_ms, says) in [(0, 100, 1), (1, 200, 0), (2, 400, 0)] {
            let actions = run.handle(at(now), failed(StoreErrorKind::Unavailable));
            assert_eq!(actions.len(), says, "failure {failure}: {actions:?}");
            assert_eq!(run.next_wake(), Some(at(now + pause_ms)));
        }
        let queued = Acquire::Queued(Queued::default());
        run.handle(at(now), acquired(0, Ok(queued)));
    }
}

#[test]
fn only_a_store_that_is_away_is_tried_again() {
    for (kind, again) in [
        (StoreErrorKind::Unavailable, true),
        (StoreErrorKind::Unreplicated, false),
        (StoreErrorKind::Denied, false),
        (StoreErrorKind::Misconfigured, false),
        (StoreErrorKind::Defect, false),
    ] {
        let mut run = asking(plan());
        let actions = run.handle(at(10), failed(kind));
        if again {
            assert_eq!(actions, [], "{kind:?}");
            assert_eq!(run.next_wake(), Some(at(110)), "{kind:?}");
        } else {
            assert_eq!(actions, [Action::Withdraw(End::Withdrawn)], "{kind:?}");
            let actions = run.handle(at(20), Event::Answer(Answer::Withdrawn));
            let outcome = Outcome::Unavailable(error(kind));
            assert_eq!(actions.last(), Some(&Action::Finish(outcome)));
        }
    }
}

/// What the user said about a store that is away is not about a wrong password.
#[test]
fn a_run_without_the_store_is_for_a_store_that_is_away() {
    let (away, alone) = (StoreErrorKind::Unavailable, StoreErrorKind::Unreplicated);
    for (on_unavailable, kind, runs, outcome) in [
        (OnUnavailable::Run, away, true, None),
        (OnUnavailable::Run, alone, true, None),
        (OnUnavailable::Run, StoreErrorKind::Denied, false, None),
        (
            OnUnavailable::Skip,
            away,
            false,
            Some(Skip::Unavailable(error(away))),
        ),
        (
            OnUnavailable::Skip,
            StoreErrorKind::Misconfigured,
            false,
            None,
        ),
    ] {
        let case = format!("{on_unavailable:?}, {kind:?}");
        let mut run = asking(Plan {
            on_unavailable,
            ..plan()
        });
        // When the time for trying is over.
        let actions = run.handle(at(5000), failed(kind));
        assert_eq!(actions[0], Action::Withdraw(End::Withdrawn), "{case}");
        let error = error(kind);
        if runs {
            let said = Action::Say(Message::RunsUnlocked { error });
            assert_eq!(
                actions[1..],
                [said, Action::Spawn { grant: None }],
                "{case}"
            );
        } else {
            assert_eq!(actions.len(), 1, "{case}");
            let outcome = outcome.map_or(Outcome::Unavailable(error), Outcome::Skipped);
            let actions = run.handle(at(5010), Event::Answer(Answer::Withdrawn));
            assert_eq!(actions.last(), Some(&Action::Finish(outcome)), "{case}");
        }
    }
}

fn running_unlocked() -> Supervisor {
    let mut run = asking(Plan {
        on_unavailable: OnUnavailable::Run,
        max_runtime: Some(ms(60_000)),
        ..plan()
    });
    run.handle(at(5000), failed(StoreErrorKind::Unavailable));
    run.handle(at(5000), Event::Started { pid: 77 });
    run
}

#[test]
fn a_run_without_the_lock_has_nothing_to_lose_or_to_give_back() {
    let mut run = running_unlocked();
    assert_eq!(run.fence(), None);
    assert_eq!(run.handle(at(5010), Event::KeeperGone), []);
    let status = ChildStatus::Exited(3);
    assert_eq!(
        run.handle(at(64_999), Event::ChildEnded(status)),
        [Action::Finish(Outcome::Ran(status))]
    );
}

/// Nobody would refresh or release it.
#[test]
fn a_request_that_may_have_been_granted_is_taken_back() {
    let mut run = asking(plan());
    run.handle(at(10), failed(StoreErrorKind::Unavailable));
    run.handle(at(110), Event::Wake);
    let held = Held::default();
    let actions = run.handle(at(120), acquired(110, Ok(Acquire::Held(held))));
    assert_eq!(actions, [Action::Withdraw(End::Withdrawn)]);
}

/// The withdrawal may not get through: the connection that brought this does.
#[test]
fn what_is_granted_after_all_is_given_back() {
    let queued = Acquire::Queued(Queued::default());
    let held = Acquire::Held(Held::default());
    for (answer, given_back) in [
        (Ok(Acquire::Granted(GRANT)), true),
        (Ok(queued), true),
        (Ok(held), false),
        (Err(unavailable()), false),
    ] {
        let mut run = asking(plan());
        run.handle(at(10), sent(Signal::TERM));
        let expected: &[Action] = match given_back {
            true => &[Action::Release(End::Withdrawn)],
            false => &[],
        };
        assert_eq!(run.handle(at(20), acquired(0, answer)), expected);
        let actions = run.handle(at(30), released(Ok(Release::Released)));
        let interrupted = Action::Finish(Outcome::Interrupted(Signal::TERM));
        assert_eq!(actions, [interrupted]);
    }
}

/// 200 ms for whoever sent a signal, a second for a link that is slow.
#[test]
fn a_withdrawal_without_an_answer_does_not_hold_the_end_up() {
    for (event, at_most_ms) in [
        (sent(Signal::TERM), 200),
        (failed(StoreErrorKind::Denied), 1000),
    ] {
        let mut run = asking(plan());
        run.handle(at(10), event);
        assert_eq!(run.next_wake(), Some(at(10 + at_most_ms)));
        assert_eq!(run.handle(at(9 + at_most_ms), Event::Wake), []);
        let actions = run.handle(at(10 + at_most_ms), Event::Wake);
        assert!(
            matches!(actions.last(), Some(Action::Finish(_))),
            "{actions:?}"
        );
    }
}

#[test]
fn a_command_that_cannot_be_started_frees_the_lock_and_leaves_no_hold() {
    let mut run = asking(plan());
    run.handle(at(10), acquired(0, Ok(Acquire::Granted(GRANT))));
    let missing = StartError::NotFound("backup".to_owned());
    let actions = run.handle(at(20), Event::StartFailed(missing.clone()));
    assert_eq!(actions, [Action::Release(End::Unstarted)]);
    let actions = run.handle(at(30), released(Ok(Release::Released)));
    let outcome = Outcome::NotStarted(missing);
    assert_eq!(actions.last(), Some(&Action::Finish(outcome)));
}
