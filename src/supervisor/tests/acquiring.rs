//! The answers to a request for the lock, and the wait in line.

use super::*;
use crate::store::{Done, Holder};

fn told_to_wait(sent_ms: u64, queued: Queued) -> Event {
    acquired(sent_ms, Ok(Acquire::Queued(queued)))
}

/// Second in line; ask again in 5 s.
fn in_line() -> Queued {
    Queued {
        held: Some(Held::default()),
        place: Some(2),
        ask_in: ms(5000),
    }
}

fn held_by(id: &str) -> Held {
    let id = id.to_owned();
    let holder = Some(Holder {
        id,
        ..Holder::default()
    });
    Held {
        holder,
        ..Held::default()
    }
}

/// Asked at 0, in line since 100 ms, waits for ten seconds in all.
fn standing_in_line() -> Supervisor {
    let mut run = asking(waiting(ms(10_000)));
    let queued = in_line();
    let until = at(10_000);
    assert_eq!(
        run.handle(at(100), told_to_wait(0, in_line())),
        [Action::Wait { queued, until }]
    );
    run
}

fn ask_in_line(waited_ms: u64) -> Action {
    Action::Acquire(Ask {
        in_line: true,
        waited: ms(waited_ms),
    })
}

#[test]
fn a_delayed_run_asks_when_the_delay_is_over() {
    let mut run = Supervisor::new(Plan {
        delay: ms(3000),
        ..plan()
    });
    assert_eq!(run.next_wake(), None);
    assert_eq!(run.handle(at(0), Event::Start), []);
    assert_eq!(run.next_wake(), Some(at(3000)));
    assert_eq!(run.handle(at(2999), Event::Wake), []);
    let ask = Ask {
        in_line: false,
        waited: ms(3000),
    };
    assert_eq!(run.handle(at(3000), Event::Wake), [Action::Acquire(ask)]);
    assert_eq!(run.next_wake(), None, "the answer is waited for");
}

#[test]
fn a_grant_tells_its_fence_its_place_and_when_it_was_asked_for() {
    let mut run = asking(plan());
    assert_eq!(
        (run.fence(), run.slot(), run.granted_at()),
        (None, None, None)
    );
    let actions = run.handle(at(40), acquired(10, Ok(Acquire::Granted(GRANT))));
    let fence = Fence(7);
    let waited = ms(40);
    assert_eq!(
        actions,
        [
            Action::Say(Message::Acquired { fence, waited }),
            Action::Spawn { grant: Some(GRANT) }
        ]
    );
    assert_eq!(run.fence(), Some(fence));
    assert_eq!(run.slot(), Some(3));
    assert_eq!(run.granted_at(), Some(at(10)));
    assert!(!run.child_alive());
    run.handle(at(50), Event::Started { pid: 77 });
    assert!(run.child_alive());
    run.handle(at(60), Event::ChildEnded(ChildStatus::Exited(0)));
    assert!(!run.child_alive());
}

/// There would be no time left to stop the child in.
#[test]
fn a_grant_that_comes_too_late_is_not_used() {
    for (answered_ms, used) in [(STOP_MS - 1, true), (STOP_MS, false), (END_MS, false)] {
        let mut run = asking(plan());
        let granted = acquired(0, Ok(Acquire::Granted(GRANT)));
        let actions = run.handle(at(answered_ms), granted);
        let spawned = actions.contains(&Action::Spawn { grant: Some(GRANT) });
        assert_eq!(spawned, used, "{answered_ms}: {actions:?}");
        let taken_back = actions == [Action::Withdraw(End::Withdrawn)];
        assert_eq!(taken_back, !used, "{answered_ms}: {actions:?}");
    }
}

#[test]
fn a_lock_without_end_is_looked_at_but_never_stopped_for() {
    let mut run = running(Plan {
        unending: true,
        ..plan()
    });
    assert_eq!(run.next_wake(), None, "the answer is waited for");
    assert_eq!(run.handle(at(3_600_000), Event::Wake), []);
}

#[test]
fn a_single_try_ends_with_the_answer() {
    let cooling = ms(5000);
    for (answer, skip) in [
        (
            Acquire::Held(held_by("other")),
            Skip::Held(held_by("other")),
        ),
        (
            Acquire::CoolingDown { remaining: cooling },
            Skip::CoolingDown(cooling),
        ),
        (
            Acquire::Done(Done::SameKey),
            Skip::AlreadyDone(Done::SameKey),
        ),
    ] {
        let outcome = Outcome::Skipped(skip.clone());
        let places = 1;
        let mut run = asking(plan());
        assert_eq!(
            run.handle(at(10), acquired(0, Ok(answer))),
            [
                Action::Say(Message::Skipped { skip, places }),
                Action::Finish(outcome)
            ]
        );
    }
}

/// Waiting for it would be waiting for ourselves.
#[test]
fn a_lock_that_our_own_ancestor_holds_is_not_waited_for() {
    let held = || held_by("ours");
    let refused = [
        Action::Say(Message::AlreadyHeld),
        Action::Finish(Outcome::AlreadyHeld),
    ];
    let mut run = asking(plan());
    let actions = run.handle(at(10), acquired(0, Ok(Acquire::Held(held()))));
    assert_eq!(actions, refused);

    let mut run = asking(waiting(ms(10_000)));
    let queued = Queued {
        held: Some(held()),
        ..in_line()
    };
    let actions = run.handle(at(10), told_to_wait(0, queued));
    assert_eq!(actions, [Action::Withdraw(End::Withdrawn)]);
    assert_eq!(
        run.handle(at(20), Event::Answer(Answer::Withdrawn)),
        refused
    );
}

#[test]
fn a_run_in_line_asks_when_told_to_or_when_the_bell_rings() {
    let mut run = standing_in_line();
    assert!(run.listens());
    assert_eq!(run.next_wake(), Some(at(5100)));
    assert_eq!(run.handle(at(700), Event::Rung), [ask_in_line(700)]);
    assert!(!run.listens(), "it is asking");
    assert_eq!(run.handle(at(701), Event::Rung), [], "one at a time");
    let actions = run.handle(at(800), told_to_wait(700, in_line()));
    assert!(matches!(actions[..], [Action::Wait { .. }]), "{actions:?}");
    assert_eq!(run.handle(at(5799), Event::Wake), []);
    assert_eq!(run.handle(at(5800), Event::Wake), [ask_in_line(5800)]);
}

#[test]
fn nobody_hears_the_bell_who_does_not_stand_in_line() {
    let mut run = asking(waiting(ms(10_000)));
    run.handle(at(10), acquired(0, Err(unavailable())));
    assert!(!run.listens());
    assert_eq!(run.handle(at(20), Event::Rung), []);
}

#[test]
fn a_wait_is_over_after_as_long_as_was_asked_for_and_counts_as_skipped() {
    let mut run = Supervisor::new(Plan {
        delay: ms(3000),
        ..waiting(ms(10_000))
    });
    run.handle(at(0), Event::Start);
    run.handle(at(3000), Event::Wake);
    let held = Held {
        age: Some(ms(60_000)),
        ..Held::default()
    };
    let queued = Queued {
        held: Some(held),
        place: None,
        ask_in: ms(60_000),
    };
    let until = at(13_000);
    assert_eq!(
        run.handle(at(4000), told_to_wait(3000, queued.clone())),
        [Action::Wait {
            queued: queued.clone(),
            until
        }]
    );
    assert_eq!(run.next_wake(), Some(until));
    assert_eq!(run.handle(at(12_999), Event::Wake), []);
    let actions = run.handle(until, Event::Wake);
    assert_eq!(actions, [Action::Withdraw(End::Skipped)]);
    let over = Skip::WaitOver {
        queued: queued.after(ms(9000)),
        waited: ms(13_000),
    };
    let actions = run.handle(at(13_010), Event::Answer(Answer::Withdrawn));
    assert_eq!(
        actions.last(),
        Some(&Action::Finish(Outcome::Skipped(over)))
    );
}

#[test]
fn an_answer_after_the_wait_does_not_begin_another() {
    for answered_ms in [10_000, 11_000] {
        let mut run = asking(waiting(ms(10_000)));
        let queued = told_to_wait(0, in_line());
        let actions = run.handle(at(answered_ms), queued);
        assert_eq!(actions, [Action::Withdraw(End::Skipped)], "{answered_ms}");
    }
}

#[test]
fn a_place_in_line_is_given_back_on_a_signal() {
    let mut run = standing_in_line();
    let actions = run.handle(at(200), sent(Signal::TERM));
    assert_eq!(actions, [Action::Withdraw(End::Withdrawn)]);
}

/// The store takes everybody out of line with these answers.
#[test]
fn an_answer_that_dissolves_the_line_leaves_nothing_to_give_back() {
    for answer in [
        Acquire::CoolingDown { remaining: ms(1) },
        Acquire::Done(Done::SameKey),
    ] {
        let mut run = standing_in_line();
        run.handle(at(700), Event::Rung);
        let actions = run.handle(at(800), acquired(700, Ok(answer)));
        assert!(
            matches!(actions.last(), Some(Action::Finish(Outcome::Skipped(_)))),
            "{actions:?}"
        );
    }
}

/// Whoever is first in line has a second to take it: a single try outlasts that,
/// but not by much, and asks less and less often.
#[test]
fn a_lock_that_is_free_for_another_is_asked_for_again_for_a_moment() {
    let mut run = asking(plan());
    let mut now = 100;
    let mut pauses = Vec::new();
    let last = loop {
        let actions = run.handle(
            at(now),
            acquired(now, Ok(Acquire::Reserved { first: None })),
        );
        let Some(wake) = run.next_wake() else {
            break actions;
        };
        assert_eq!(actions, [], "{now}");
        let pause = wake.since(at(now)).as_millis() as u64;
        pauses.push(pause);
        now += pause;
        let ask = Ask {
            in_line: false,
            waited: ms(now),
        };
        assert_eq!(run.handle(wake, Event::Wake), [Action::Acquire(ask)]);
    };
    let expected = [5, 10, 20, 40, 80, 160, 250, 250, 250, 250];
    assert_eq!(pauses, expected);
    let outcome = Outcome::Skipped(Skip::Reserved(None));
    assert_eq!(last.last(), Some(&Action::Finish(outcome)));
}

#[test]
fn a_lock_that_was_free_for_another_at_the_last_moment_is_not_asked_for_again() {
    // The first pause is 5 ms, the moment 1500 ms.
    for (answered_ms, again) in [(1589, true), (1590, false)] {
        let mut run = asking(plan());
        let reserved = || acquired(0, Ok(Acquire::Reserved { first: None }));
        run.handle(at(100), reserved());
        run.handle(at(105), Event::Wake);
        let actions = run.handle(at(answered_ms), reserved());
        let asks = actions.is_empty() && run.next_wake() == Some(at(answered_ms + 10));
        assert_eq!(asks, again, "{answered_ms}: {actions:?}");
    }
}

/// Its token is fresh: no store can know it as one that was given back.
#[test]
fn a_fresh_token_that_was_given_back_is_a_defect() {
    let actions = asking(plan()).handle(at(10), acquired(0, Ok(Acquire::Withdrawn)));
    assert_eq!(actions.last(), Some(&Action::Finish(Outcome::Defect)));
}
