//! What is told of a lock that nobody here wants.

use super::*;
use crate::store::past::{PastOutcome, PastRun};

#[test]
fn a_lock_looks_held_when_a_majority_may_know_its_holder() {
    let status = |held: Option<Held>, waiting| {
        Some(Ok(Status {
            slots: vec![Slot {
                held,
                fence: Some(Fence(3)),
                cooling_down: None,
            }],
            waiting: Some(waiting),
            ..Status::default()
        }))
    };
    let look = |replies: &Replies<Status>| looking(replies).unwrap().unwrap();
    let seen = look(&[
        status(Some(by(7)), 0),
        status(Some(by(7)), 2),
        status(None, 1),
    ]);
    assert_eq!(
        (seen.slots[0].held.clone(), seen.waiting),
        (Some(by(7)), Some(2))
    );
    // What only a minority knows is left over from somebody who was refused.
    let seen = look(&[status(Some(by(7)), 0), status(None, 0), status(None, 0)]);
    assert_eq!(
        (seen.slots[0].held.clone(), seen.slots[0].fence),
        (None, Some(Fence(3)))
    );
    // The one that does not answer may know it, too.
    let seen = look(&[status(Some(by(7)), 0), status(None, 0), Some(Err(error()))]);
    assert_eq!(seen.slots[0].held, Some(by(7)));
    let dark: &Replies<Status> = &[status(None, 0), Some(Err(error())), Some(Err(error()))];
    assert!(matches!(looking(dark), Some(Err(_))));
}

#[test]
fn what_a_node_that_does_not_answer_may_know_counts_as_known() {
    let status = |cooling_down, skips| {
        Some(Ok(Status {
            slots: vec![Slot {
                cooling_down,
                ..Slot::default()
            }],
            skips,
            ..Status::default()
        }))
    };
    let seen = |replies: &Replies<Status>| {
        let status = looking(replies).unwrap().unwrap();
        (status.slots[0].cooling_down, status.skips)
    };
    let rest = Some(Duration::from_secs(3));
    let both = [status(rest, 2), status(rest, 2), status(None, 0)];
    assert_eq!(seen(&both), (rest, 2));
    let one = [status(rest, 2), status(None, 0), status(None, 0)];
    assert_eq!(seen(&one), (None, 0));
    let silent = [status(rest, 2), status(None, 0), Some(Err(error()))];
    assert_eq!(seen(&silent), (rest, 2));
}

#[test]
fn a_lock_is_known_by_any_trace_of_it() {
    let nothing = || Status {
        slots: vec![Slot::default()],
        waiting: Some(0),
        ..Status::default()
    };
    assert!(!is_known(&nothing()));
    let fence = Some(Fence(1));
    let slot = Slot {
        fence,
        ..Slot::default()
    };
    for traces in [
        Status {
            slots: vec![slot],
            ..nothing()
        },
        Status {
            waiting: Some(2),
            ..nothing()
        },
        // It cannot tell.
        Status {
            waiting: None,
            ..nothing()
        },
        Status {
            last: Some(past_run()),
            ..nothing()
        },
        Status {
            skips: 2,
            ..nothing()
        },
    ] {
        assert!(is_known(&traces), "{traces:?}");
    }
}

fn past_run() -> PastRun {
    PastRun {
        holder: Holder::default(),
        fence: None,
        slot: 0,
        started_ms: 1,
        lasted: None,
        outcome: PastOutcome::Vanished,
        skips: 0,
    }
}

#[test]
fn a_majority_has_to_answer() {
    let replies = |letters: &str| -> Vec<Option<Result<(), StoreError>>> {
        let reply = |letter| match letter {
            'a' => Some(Ok(())),
            'e' => Some(Err(error())),
            _ => None,
        };
        letters.chars().map(reply).collect()
    };
    for letters in ["aa.", "aae", "aaa"] {
        assert_eq!(answered(&replies(letters)), Some(Ok(())), "{letters}");
    }
    for letters in ["...", "a..", "ae.", "ee."] {
        assert_eq!(answered(&replies(letters)), None, "{letters}");
    }
    assert!(matches!(answered(&replies("aee")), Some(Err(_))));
}

#[test]
fn an_administrator_hears_of_each_holder_once() {
    let asked = |id| Unlocked::Asked(by(id));
    let replies = [
        Some(Ok(vec![asked(1), asked(2)])),
        Some(Ok(vec![asked(2), asked(1)])),
        Some(Ok(vec![asked(3)])),
    ];
    assert_eq!(unlocking(&replies), Some(Ok(vec![asked(1), asked(2)])));
    // Who does not answer may have it, too.
    let replies = [
        Some(Ok(vec![asked(1)])),
        Some(Err(error())),
        Some(Ok(vec![])),
    ];
    assert_eq!(unlocking(&replies), Some(Ok(vec![asked(1)])));
    let dark = [
        Some(Ok(vec![asked(1)])),
        Some(Err(error())),
        Some(Err(error())),
    ];
    assert!(matches!(unlocking(&dark), Some(Err(_))));
}
