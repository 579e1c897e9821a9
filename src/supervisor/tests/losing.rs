//! The lock is lost, or cannot be kept, while the child runs.

use super::*;

const LOST: Result<Refresh, StoreError> = Ok(Refresh::Lost(Loss::FenceMoved));

fn lost_after(held_ms: u64, cause: LossCause, reaction: Reaction) -> Action {
    Action::Say(Message::Lost {
        held_for: ms(held_ms),
        cause,
        reaction,
        pid: Some(77),
    })
}

fn stops(kill_in_ms: u64) -> Reaction {
    Reaction::Stops {
        signal: Signal::TERM,
        kill_in: ms(kill_in_ms),
    }
}

const STOP: Action = Action::StopTree(Signal::TERM);

#[test]
fn a_lease_without_room_stops_the_child_in_time_for_the_kill() {
    let mut run = running(plan());
    assert_eq!(run.next_wake(), Some(at(STOP_MS)));
    assert_eq!(run.handle(at(STOP_MS - 1), Event::Wake), []);
    let said = lost_after(STOP_MS, LossCause::NoRoom, stops(10_000));
    assert_eq!(run.handle(at(STOP_MS), Event::Wake), [STOP, said]);
    assert_eq!(run.next_wake(), Some(at(KILL_MS)));
    assert_eq!(run.handle(at(KILL_MS), Event::Wake), [Action::KillTree]);
}

/// Woken late: what is past its lease is killed, not asked.
#[test]
fn whoever_slept_past_the_end_of_the_lease_is_told_so() {
    let (no_room, overslept) = (LossCause::NoRoom, LossCause::Overslept);
    for (now, failed_before, cause, first, reaction) in [
        (50_000, false, no_room.clone(), STOP, stops(7650)),
        (
            KILL_MS,
            false,
            no_room.clone(),
            Action::KillTree,
            Reaction::Kills,
        ),
        (
            END_MS - 1,
            false,
            no_room.clone(),
            Action::KillTree,
            Reaction::Kills,
        ),
        (
            END_MS,
            false,
            overslept.clone(),
            Action::KillTree,
            Reaction::Kills,
        ),
        (90_000, false, overslept, Action::KillTree, Reaction::Kills),
        (END_MS, true, no_room, Action::KillTree, Reaction::Kills),
    ] {
        let mut run = running(plan());
        if failed_before {
            run.handle(at(2000), refreshed(1000, Err(unavailable())));
            run.handle(at(2100), Event::Wake);
        }
        let actions = run.handle(at(now), Event::Wake);
        assert_eq!(actions, [first, lost_after(now, cause, reaction)], "{now}");
    }
}

#[test]
fn a_request_to_stop_gives_the_child_its_time() {
    let mut run = running(plan());
    let cause = LossCause::Revoked {
        by: "root@web3".to_owned(),
    };
    assert_eq!(
        run.handle(at(2000), refreshed(1000, revoked())),
        [STOP, lost_after(2000, cause, stops(10_000))]
    );
    let status = ChildStatus::Exited(0);
    assert_eq!(run.handle(at(3000), Event::ChildEnded(status)), []);
    let (outcome, waited) = (PastOutcome::Lost, ms(3001));
    assert_eq!(
        run.handle(at(3001), Event::TreeGone),
        [Action::Release(End::Ran { outcome, waited })],
        "it is still ours"
    );
    let actions = run.handle(at(3010), released(Ok(Release::Released)));
    let outcome = Outcome::Lost(Some(status));
    assert_eq!(actions.last(), Some(&Action::Finish(outcome)));
}

#[test]
fn a_definite_loss_leaves_two_seconds_and_nothing_to_release() {
    let other = || Held::default();
    for (loss, cause) in [
        (Loss::FenceMoved, LossCause::FenceMoved),
        (Loss::Expired, LossCause::Expired),
        (Loss::TakenOver(other()), LossCause::TakenOver(other())),
    ] {
        let mut run = running(plan());
        assert_eq!(
            run.handle(at(2000), refreshed(1000, Ok(Refresh::Lost(loss)))),
            [STOP, lost_after(2000, cause, stops(2000))]
        );
        assert_eq!(run.next_wake(), Some(at(4000)), "no refresh, but KILL");
        assert_eq!(run.handle(at(4000), Event::Wake), [Action::KillTree]);
        let killed = ChildStatus::Killed(Signal::KILL);
        assert_eq!(run.handle(at(4010), Event::ChildEnded(killed)), []);
        let end = Action::Finish(Outcome::Lost(Some(killed)));
        assert_eq!(run.handle(at(4020), Event::TreeGone), [end]);
    }
}

#[test]
fn a_definite_loss_leaves_no_more_than_was_left_of_the_lease() {
    for (now, first, reaction) in [
        (KILL_MS - 2000, STOP, stops(2000)),
        (KILL_MS - 500, STOP, stops(500)),
        (KILL_MS, Action::KillTree, Reaction::Kills),
    ] {
        let actions = running(plan()).handle(at(now), refreshed(1000, LOST));
        let said = lost_after(now, LossCause::FenceMoved, reaction);
        assert_eq!(actions, [first, said], "{now}");
    }
}

#[test]
fn a_definite_loss_hastens_a_stop_but_puts_none_off() {
    for (lost_ms, kill_ms) in [(3000, 5000), (11_000, 12_000)] {
        let mut run = running(plan());
        run.handle(at(2000), refreshed(1000, revoked()));
        let actions = run.handle(at(lost_ms), refreshed(1000, LOST));
        assert_eq!(actions, [], "it was told, and is being stopped");
        assert_eq!(run.next_wake(), Some(at(kill_ms)));
    }
}

#[test]
fn a_loss_after_the_kill_is_no_reason_to_wait_for_the_next() {
    let mut run = running(plan());
    run.handle(at(2000), refreshed(1000, revoked()));
    assert_eq!(run.handle(at(12_000), Event::Wake), [Action::KillTree]);
    assert_eq!(run.handle(at(12_010), refreshed(1000, LOST)), []);
    assert_eq!(run.next_wake(), Some(at(12_100)));
}

/// What is left of a tree whose first process has ended may still be at work.
#[test]
fn a_loss_is_told_when_only_descendants_are_left() {
    let revoked = || LossCause::Revoked {
        by: "root@web3".to_owned(),
    };
    for (event, cause, kill_in_ms) in [
        (refreshed(1000, LOST), LossCause::FenceMoved, 2000),
        (refreshed(1000, self::revoked()), revoked(), 8000),
        (Event::KeeperGone, LossCause::KeeperGone, 8000),
    ] {
        let mut run = running(Plan {
            max_runtime: Some(ms(5000)),
            ..plan()
        });
        run.handle(at(5000), Event::Wake);
        run.handle(at(6000), Event::ChildEnded(ChildStatus::Exited(0)));
        let said = Message::Lost {
            held_for: ms(7000),
            cause,
            reaction: stops(kill_in_ms),
            pid: None,
        };
        assert_eq!(run.handle(at(7000), event), [Action::Say(said)]);
    }
}

#[test]
fn a_loss_during_a_stop_is_told_with_the_kill_that_is_to_come() {
    let fence_moved = LossCause::FenceMoved;
    for (now, reaction) in [
        (6000, stops(2000)),
        (14_000, stops(1000)),
        (15_050, Reaction::Kills),
    ] {
        let mut run = running(Plan {
            max_runtime: Some(ms(5000)),
            ..plan()
        });
        run.handle(at(5000), Event::Wake);
        run.handle(at(15_000.min(now)), Event::Wake);
        let said = lost_after(now, fence_moved.clone(), reaction);
        assert_eq!(run.handle(at(now), refreshed(1000, LOST)), [said], "{now}");
    }
}

/// Somebody else may run already: nothing is kept by waiting.
#[test]
fn a_run_that_has_lost_its_lock_does_not_wait_for_what_cannot_be_killed() {
    let mut run = running(plan());
    run.handle(at(2000), refreshed(1000, LOST));
    assert_eq!(run.handle(at(4000), Event::Wake), [Action::KillTree]);
    assert_eq!(run.handle(at(5999), Event::Wake), [Action::KillTree]);
    assert_eq!(
        run.handle(at(6099), Event::Wake),
        [
            Action::KillTree,
            Action::Say(Message::Unkillable { pid: Some(77) }),
            Action::Finish(Outcome::Lost(None))
        ]
    );
}

#[test]
fn a_stop_for_time_that_meets_the_end_of_the_lease_is_a_loss() {
    let mut run = running(Plan {
        max_runtime: Some(ms(47_000)),
        ..plan()
    });
    run.handle(at(47_000), Event::Wake);
    assert_eq!(run.handle(at(57_000), Event::Wake), [Action::KillTree]);
    assert_eq!(run.handle(at(57_649), Event::Wake), [Action::KillTree]);
    let said = lost_after(57_749, LossCause::NoRoom, Reaction::Kills);
    assert_eq!(
        run.handle(at(57_749), Event::Wake),
        [Action::KillTree, said]
    );
    let status = ChildStatus::Killed(Signal::KILL);
    run.handle(at(57_760), Event::ChildEnded(status));
    run.handle(at(57_770), Event::TreeGone);
    let actions = run.handle(at(57_780), released(Ok(Release::Released)));
    let outcome = Outcome::Lost(Some(status));
    assert_eq!(actions.last(), Some(&Action::Finish(outcome)));
}

#[test]
fn a_command_that_is_to_go_on_does_and_the_loss_is_told_at_the_end_of_the_lease() {
    let mut run = running(continues());
    assert_eq!(run.next_wake(), Some(at(END_MS)));
    assert_eq!(run.handle(at(END_MS - 1), Event::Wake), []);
    let said = lost_after(END_MS, LossCause::Overslept, Reaction::Continues);
    assert_eq!(run.handle(at(END_MS), Event::Wake), [said]);
    assert_eq!(run.next_wake(), None, "it is told once");
    assert_eq!(
        run.handle(at(END_MS + 1), sent(Signal::CONT)),
        [Action::Forward(Signal::CONT)],
        "it may be woken: it is not to be killed"
    );
}

#[test]
fn a_command_that_is_to_go_on_does_so_after_a_definite_loss() {
    let mut run = running(continues());
    let said = lost_after(2000, LossCause::FenceMoved, Reaction::Continues);
    assert_eq!(run.handle(at(2000), refreshed(1000, LOST)), [said]);
    let status = ChildStatus::Exited(0);
    assert_eq!(
        run.handle(at(99_000), Event::ChildEnded(status)),
        [Action::Finish(Outcome::Lost(Some(status)))]
    );
}

#[test]
fn without_a_keeper_the_child_is_stopped_and_nothing_is_asked() {
    let mut run = running(plan());
    run.handle(at(1010), refreshed(1000, Ok(Refresh::Held(GRANT))));
    assert_eq!(
        run.handle(at(2000), Event::KeeperGone),
        [STOP, lost_after(2000, LossCause::KeeperGone, stops(10_000))]
    );
    assert_eq!(run.next_wake(), Some(at(12_000)), "no refresh, but KILL");
}

#[test]
fn without_a_keeper_a_run_that_holds_nothing_ends() {
    let defect = Some(Action::Finish(Outcome::Defect));
    let mut idle = Supervisor::new(plan());
    assert_eq!(idle.handle(at(0), Event::KeeperGone).pop(), defect);
    let mut run = asking(plan());
    assert_eq!(run.handle(at(10), Event::KeeperGone).pop(), defect);

    let mut withdrawing = asking(plan());
    withdrawing.handle(at(10), sent(Signal::INT));
    let actions = withdrawing.handle(at(20), Event::KeeperGone);
    let end = Action::Finish(Outcome::Interrupted(Signal::INT));
    assert_eq!(actions, [end]);
    assert_eq!(withdrawing.handle(at(30), Event::KeeperGone), []);
}
