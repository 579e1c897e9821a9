//! From the child's end to the run's.

use super::*;
use crate::exit::StartError;

const RAN: Action = Action::Finish(Outcome::Ran(ChildStatus::Exited(3)));
const LOST: Action = Action::Finish(Outcome::Lost(Some(ChildStatus::Exited(3))));

fn lost_at_end(held_ms: u64, cause: LossCause) -> Action {
    Action::Say(Message::Lost {
        held_for: ms(held_ms),
        cause,
        reaction: Reaction::Ended,
        pid: None,
    })
}

fn not_released(error: Option<StoreError>, frees_in_ms: u64) -> Action {
    let frees_in = Some(ms(frees_in_ms));
    Action::Say(Message::ReleaseFailed { error, frees_in })
}

#[test]
fn the_store_is_told_how_the_command_ended() {
    for (status, outcome) in [
        (ChildStatus::Exited(0), PastOutcome::Exit(0)),
        (ChildStatus::Exited(3), PastOutcome::Exit(3)),
        (ChildStatus::Killed(Signal::TERM), PastOutcome::Signal(15)),
    ] {
        let mut run = running(plan());
        let waited = ms(2000);
        let end = End::Ran { outcome, waited };
        let actions = run.handle(at(2000), Event::ChildEnded(status));
        assert_eq!(actions, [Action::Release(end)]);
        let held_for = ms(2010);
        assert_eq!(
            run.handle(at(2010), released(Ok(Release::Released))),
            [
                Action::Say(Message::Released { held_for }),
                Action::Finish(Outcome::Ran(status))
            ]
        );
    }
}

#[test]
fn each_answer_to_the_release_is_told_and_only_not_yours_is_a_loss() {
    let held_for = ms(2100);
    let other = Held {
        revoked: true,
        ..Held::default()
    };
    for (answer, said, end) in [
        (
            Ok(Release::Released),
            Action::Say(Message::Released { held_for }),
            RAN,
        ),
        (Ok(Release::Forgotten), Action::Say(Message::Forgotten), RAN),
        (
            Err(unavailable()),
            not_released(Some(unavailable()), 57_900),
            RAN,
        ),
        (
            Ok(Release::NotOurs(None)),
            lost_at_end(2100, LossCause::FenceMoved),
            LOST,
        ),
        (
            Ok(Release::NotOurs(Some(other.clone()))),
            lost_at_end(2100, LossCause::TakenOver(other)),
            LOST,
        ),
    ] {
        let mut run = releasing(plan());
        assert_eq!(run.handle(at(2100), released(answer)), [said, end]);
        assert_eq!(run.handle(at(2200), released(Ok(Release::Released))), []);
    }
}

#[test]
fn a_release_without_an_answer_is_waited_for_two_seconds() {
    let mut run = releasing(plan());
    assert_eq!(run.next_wake(), Some(at(4000)));
    assert_eq!(run.handle(at(3999), Event::Wake), []);
    let said = not_released(None, 56_000);
    assert_eq!(run.handle(at(4000), Event::Wake), [said, RAN]);
}

/// After that somebody else may run: nobody is to believe that it was ours.
#[test]
fn a_release_is_waited_for_no_longer_than_the_lease() {
    // Just before its end by our clock; the store's may be a drift behind.
    let mut run = running(continues());
    run.handle(at(END_MS - 500), Event::ChildEnded(ChildStatus::Exited(3)));
    assert_eq!(run.next_wake(), Some(at(END_MS)));
    let said = not_released(None, 1350);
    assert_eq!(run.handle(at(END_MS), Event::Wake), [said, RAN]);
}

#[test]
fn a_child_that_ends_after_its_lease_had_lost_it() {
    let ended = || Event::ChildEnded(ChildStatus::Exited(3));
    for (now, late) in [(END_MS - 1, false), (END_MS, true), (90_000, true)] {
        let mut run = running(plan());
        let waited = ms(now);
        let mut expected = Vec::new();
        let mut outcome = PastOutcome::Exit(3);
        if late {
            expected.push(lost_at_end(now, LossCause::Overslept));
            outcome = PastOutcome::Lost;
        }
        expected.push(Action::Release(End::Ran { outcome, waited }));
        assert_eq!(run.handle(at(now), ended()), expected, "{now}");
    }
}

#[test]
fn a_command_that_never_started_has_lost_nothing_however_late() {
    let mut run = asking(plan());
    run.handle(at(10), acquired(0, Ok(Acquire::Granted(GRANT))));
    let error = StartError::ForkRefused("no more processes".to_owned());
    let actions = run.handle(at(90_000), Event::StartFailed(error));
    assert_eq!(actions, [Action::Release(End::Unstarted)]);
}

#[test]
fn a_lock_without_end_frees_itself_at_no_known_time() {
    let mut run = releasing(Plan {
        unending: true,
        ..plan()
    });
    let (error, frees_in) = (None, None);
    let said = Action::Say(Message::ReleaseFailed { error, frees_in });
    assert_eq!(run.handle(at(4000), Event::Wake), [said, RAN]);
}

/// It was sent while the child ran, and its answer is of that time.
#[test]
fn a_late_answer_to_a_refresh_can_still_tell_of_a_loss() {
    for answer in [Ok(Refresh::Held(GRANT)), Err(unavailable())] {
        let mut run = releasing(plan());
        assert_eq!(run.handle(at(2010), refreshed(1000, answer)), []);
        let actions = run.handle(at(2020), released(Ok(Release::Released)));
        assert_eq!(actions.last(), Some(&RAN));
    }
    let mut run = releasing(plan());
    let lost = refreshed(1000, Ok(Refresh::Lost(Loss::FenceMoved)));
    let said = lost_at_end(2010, LossCause::FenceMoved);
    assert_eq!(run.handle(at(2010), lost), [said]);
    let actions = run.handle(at(2020), released(Err(unavailable())));
    assert_eq!(actions, [LOST], "the failure is no news");
}

#[test]
fn without_a_keeper_the_release_is_not_waited_for() {
    let actions = releasing(plan()).handle(at(2100), Event::KeeperGone);
    assert_eq!(actions, [not_released(None, 57_900), RAN]);
}

#[test]
fn descendants_that_outlive_the_child_do_not_hold_the_lock() {
    let mut run = releasing(plan());
    assert_eq!(run.handle(at(2010), Event::TreeGone), []);
    let mut run = running(plan());
    assert_eq!(run.handle(at(2010), Event::TreeGone), [], "the child runs");
}
