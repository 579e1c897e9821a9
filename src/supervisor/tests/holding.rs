//! Keeping the lease while the child runs, and the stops that are not for its sake.

use super::*;

fn stopped_for_time(run: &mut Supervisor, at_ms: u64) {
    let stop = Action::StopTree(Signal::TERM);
    assert_eq!(run.handle(at(at_ms), Event::Wake).first(), Some(&stop));
}

fn at_most(max_runtime_ms: u64) -> Plan {
    Plan {
        max_runtime: Some(ms(max_runtime_ms)),
        ..plan()
    }
}

#[test]
fn a_lease_is_refreshed_for_as_long_as_the_store_confirms_it() {
    let mut run = running(plan());
    for sent_ms in (1000..200_000).step_by(10_000) {
        let refreshed = refreshed(sent_ms, Ok(Refresh::Held(GRANT)));
        let said = Action::Say(Message::Refreshed);
        assert_eq!(run.handle(at(sent_ms + 10), refreshed), [said]);
        assert_eq!(run.next_wake(), Some(at(sent_ms + 10_000)));
        assert_eq!(run.handle(at(sent_ms + 9999), Event::Wake), []);
        let due = run.handle(at(sent_ms + 10_000), Event::Wake);
        assert_eq!(due, [Action::Refresh]);
    }
}

#[test]
fn a_lock_that_was_taken_again_is_told_of() {
    let mut run = running(plan());
    let actions = run.handle(at(1010), refreshed(1000, Ok(Refresh::Retaken(GRANT))));
    assert_eq!(actions, [Action::Say(Message::Retaken)]);
}

/// One outage of the store, from the first failure to the next success.
#[test]
fn an_outage_is_told_once_it_is_urgent_and_its_end_says_whether_it_was() {
    let (away, denied) = (StoreErrorKind::Unavailable, StoreErrorKind::Denied);
    // A third of the ttl is left before the stop.
    let urgent_ms = STOP_MS - 20_000;
    for (failures, told) in [
        (vec![(2000, away, false), (3000, away, false)], false),
        (vec![(urgent_ms, away, false)], false),
        (vec![(urgent_ms + 1, away, true)], true),
        (
            vec![
                (2000, away, false),
                (40_000, away, true),
                (41_000, away, false),
            ],
            true,
        ),
        (
            vec![
                (2000, denied, true),
                (3000, denied, false),
                (4000, away, false),
            ],
            true,
        ),
    ] {
        let mut run = running(plan());
        for (now, kind, first) in &failures {
            let actions = run.handle(at(*now), refreshed(1000, Err(error(*kind))));
            let left = Some(ms(STOP_MS - now));
            let (error, first) = (error(*kind), *first);
            let said = Message::RefreshFailed { error, left, first };
            assert_eq!(actions, [Action::Say(said)], "{failures:?}");
        }
        for (sent_ms, said) in [
            (42_000, Message::RefreshedAgain { told }),
            (43_000, Message::Refreshed),
        ] {
            let actions = run.handle(at(43_000), refreshed(sent_ms, Ok(Refresh::Held(GRANT))));
            assert_eq!(actions[0], Action::Say(said), "{failures:?}");
        }
    }
}

#[test]
fn a_failed_refresh_is_tried_again_soon() {
    let mut run = running(plan());
    run.handle(at(2000), refreshed(1000, Err(unavailable())));
    assert_eq!(run.next_wake(), Some(at(2100)));
    assert_eq!(run.handle(at(2100), Event::Wake), [Action::Refresh]);
}

#[test]
fn a_command_that_is_never_stopped_is_not_threatened_with_it() {
    let unending = Plan {
        unending: true,
        ..plan()
    };
    for plan in [unending, continues()] {
        let actions = running(plan).handle(at(2000), refreshed(1000, Err(unavailable())));
        let (error, left, first) = (unavailable(), None, false);
        let said = Message::RefreshFailed { error, left, first };
        assert_eq!(actions, [Action::Say(said)]);
    }
}

#[test]
fn the_time_of_a_command_counts_from_its_start() {
    let mut run = asking(at_most(5000));
    run.handle(at(500), acquired(0, Ok(Acquire::Granted(GRANT))));
    run.handle(at(600), Event::Started { pid: 77 });
    run.handle(at(1000), Event::Wake);
    assert_eq!(run.next_wake(), Some(at(5600)));
    assert_eq!(run.handle(at(5599), Event::Wake), []);
    let said = Message::MaxRuntime {
        limit: ms(5000),
        pid: 77,
        signal: Signal::TERM,
        kill_in: ms(10_000),
    };
    assert_eq!(
        run.handle(at(5600), Event::Wake),
        [Action::StopTree(Signal::TERM), Action::Say(said)]
    );
    assert_eq!(run.next_wake(), Some(at(15_600)));
}

#[test]
fn a_stop_for_time_goes_on_refreshing_and_ends_when_the_tree_is_gone() {
    let mut run = running(at_most(5000));
    stopped_for_time(&mut run, 5000);
    run.handle(at(5500), refreshed(1000, Ok(Refresh::Held(GRANT))));
    assert_eq!(run.handle(at(11_000), Event::Wake), [Action::Refresh]);
    let killed = ChildStatus::Killed(Signal::TERM);
    assert_eq!(run.handle(at(12_000), Event::ChildEnded(killed)), []);
    let (outcome, waited) = (PastOutcome::Timeout, ms(12_010));
    assert_eq!(
        run.handle(at(12_010), Event::TreeGone),
        [Action::Release(End::Ran { outcome, waited })]
    );
    let actions = run.handle(at(12_020), released(Ok(Release::Released)));
    let outcome = Outcome::TimedOut(Some(killed));
    assert_eq!(actions.last(), Some(&Action::Finish(outcome)));
}

#[test]
fn a_refresh_that_fails_while_the_child_is_stopped_for_time_is_no_news() {
    let mut run = running(at_most(5000));
    stopped_for_time(&mut run, 5000);
    assert_eq!(
        run.handle(at(5500), refreshed(1000, Err(unavailable()))),
        []
    );
    assert_eq!(run.next_wake(), Some(at(5600)), "but it is tried again");
}

/// What was forked in the meantime has to go, too.
#[test]
fn kill_is_sent_again_until_the_tree_is_gone_and_its_failure_is_told_once() {
    let mut run = running(at_most(5000));
    stopped_for_time(&mut run, 5000);
    assert_eq!(run.handle(at(14_999), Event::Wake), []);
    let mut told = Vec::new();
    for now in (15_000..19_000).step_by(100) {
        assert_eq!(run.next_wake(), Some(at(now)));
        let actions = run.handle(at(now), Event::Wake);
        assert_eq!(actions[0], Action::KillTree);
        told.extend(actions[1..].iter().map(|action| (now, action.clone())));
    }
    let unkillable = Action::Say(Message::Unkillable { pid: Some(77) });
    assert_eq!(told, [(17_000, unkillable)]);
}

#[test]
fn a_descendant_that_cannot_be_killed_has_no_known_pid() {
    let mut run = running(at_most(5000));
    stopped_for_time(&mut run, 5000);
    run.handle(at(5500), Event::ChildEnded(ChildStatus::Exited(0)));
    run.handle(at(15_000), Event::Wake);
    let unkillable = Action::Say(Message::Unkillable { pid: None });
    let actions = run.handle(at(17_000), Event::Wake);
    assert_eq!(actions, [Action::KillTree, unkillable]);
}

/// The lock was never held: there is nothing to keep for what does not die.
#[test]
fn without_a_lock_the_run_does_not_wait_for_what_cannot_be_killed() {
    let mut run = asking(Plan {
        on_unavailable: OnUnavailable::Run,
        ..at_most(10_000)
    });
    run.handle(at(5000), acquired(0, Err(unavailable())));
    run.handle(at(5000), Event::Started { pid: 77 });
    stopped_for_time(&mut run, 15_000);
    assert_eq!(run.handle(at(25_000), Event::Wake), [Action::KillTree]);
    let actions = run.handle(at(26_999), Event::Wake);
    assert_eq!(actions, [Action::KillTree]);
    let actions = run.handle(at(27_099), Event::Wake);
    let end = Action::Finish(Outcome::TimedOut(None));
    assert_eq!(actions.last(), Some(&end), "{actions:?}");
}
