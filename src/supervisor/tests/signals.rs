//! Which signal does what, and when.

use super::*;

const ENDING: [Signal; 4] = [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM];
const OTHERS: [Signal; 4] = [Signal::USR1, Signal::USR2, Signal::ALRM, Signal::CONT];

#[test]
fn before_the_first_request_a_signal_ends_the_run_at_once() {
    let jitter = Plan {
        delay: ms(3000),
        ..plan()
    };
    for signal in ENDING {
        let end = [Action::Finish(Outcome::Interrupted(signal))];
        let mut idle = Supervisor::new(plan());
        assert_eq!(idle.handle(at(0), sent(signal)), end);
        let mut delayed = Supervisor::new(jitter.clone());
        assert_eq!(delayed.handle(at(0), Event::Start), []);
        assert_eq!(delayed.handle(at(1), sent(signal)), end);
    }
}

#[test]
fn a_signal_ends_the_wait_and_takes_the_request_back() {
    for signal in ENDING {
        let mut run = asking(plan());
        let actions = run.handle(at(10), sent(signal));
        assert_eq!(actions, [Action::Withdraw(End::Withdrawn)]);
        assert_eq!(
            run.handle(at(20), Event::Answer(Answer::Withdrawn)),
            [Action::Finish(Outcome::Interrupted(signal))]
        );
    }
}

#[test]
fn a_signal_that_does_not_ask_to_end_ends_no_wait() {
    for signal in OTHERS {
        let mut idle = Supervisor::new(plan());
        assert_eq!(idle.handle(at(0), sent(signal)), [], "{signal}");
        let mut run = asking(plan());
        assert_eq!(run.handle(at(10), sent(signal)), [], "{signal}");
        let actions = run.handle(at(20), acquired(0, Ok(Acquire::Granted(GRANT))));
        assert!(actions.contains(&Action::Spawn { grant: Some(GRANT) }));
    }
}

#[test]
fn the_first_signal_decides_of_what_a_wait_dies() {
    let mut run = asking(plan());
    run.handle(at(10), sent(Signal::INT));
    assert_eq!(run.handle(at(11), sent(Signal::TERM)), []);
    assert_eq!(
        run.handle(at(20), Event::Answer(Answer::Withdrawn)),
        [Action::Finish(Outcome::Interrupted(Signal::INT))]
    );
    assert_eq!(run.handle(at(21), sent(Signal::TERM)), [], "it is over");
}

/// At a terminal the kernel gives ^C to the child itself: twice would be wrong.
/// A hang-up it may give to the leader of the session alone.
#[test]
fn the_child_gets_every_signal_once() {
    let (kernel, process) = (Origin::Kernel, Origin::Process);
    for (shares_terminal, origin, signal, forwarded) in [
        (false, kernel, Signal::INT, true),
        (false, process, Signal::TERM, true),
        (false, process, Signal::USR1, true),
        (true, kernel, Signal::INT, false),
        (true, kernel, Signal::QUIT, false),
        (true, kernel, Signal::HUP, true),
        (true, process, Signal::INT, true),
        (true, process, Signal::HUP, true),
        (true, process, Signal::USR2, true),
    ] {
        let mut run = running(Plan {
            shares_terminal,
            ..plan()
        });
        let expected: &[Action] = match forwarded {
            true => &[Action::Forward(signal)],
            false => &[],
        };
        let signal = Event::Signal(Received { signal, origin });
        let event = format!("{signal:?}, terminal: {shares_terminal}");
        assert_eq!(run.handle(at(2000), signal.clone()), expected, "{event}");
        run.handle(at(3000), refreshed(1000, revoked()));
        let stopping = run.handle(at(3001), signal);
        assert_eq!(stopping, expected, "while it is being stopped: {event}");
    }
}

#[test]
fn a_second_signal_ends_the_wait_for_the_release() {
    let (hup, int, term, usr1) = (Signal::HUP, Signal::INT, Signal::TERM, Signal::USR1);
    for (signals, ends) in [
        (vec![term], false),
        (vec![term, term], true),
        (vec![int, term], true),
        // A hang-up often comes twice, and with a TERM.
        (vec![hup, hup, term], false),
        (vec![usr1, term], false),
        (vec![term, usr1], false),
        (vec![term, hup], false),
        (vec![term, usr1, hup, int], true),
    ] {
        let mut run = releasing(plan());
        let (last, before) = signals.split_last().unwrap();
        for signal in before {
            assert_eq!(run.handle(at(2100), sent(*signal)), [], "{signals:?}");
        }
        let frees_in = Some(ms(60_000 - 2200));
        let error = None;
        let end = [
            Action::Say(Message::ReleaseFailed { error, frees_in }),
            Action::Finish(Outcome::Ran(ChildStatus::Exited(3))),
        ];
        let expected = if ends { &end[..] } else { &[] };
        assert_eq!(run.handle(at(2200), sent(*last)), expected, "{signals:?}");
    }
}

fn continued(run: &mut Supervisor, ms: u64) -> Vec<Action> {
    run.handle(at(ms), sent(Signal::CONT))
}

#[test]
fn a_child_in_a_group_of_its_own_is_continued_with_us_but_does_not_stop_us() {
    let mut run = running(plan());
    assert_eq!(run.handle(at(1500), Event::ChildStopped), []);
    for ms in [2000, 3000] {
        let actions = continued(&mut run, ms);
        assert_eq!(actions, [Action::Forward(Signal::CONT)]);
    }
}

#[test]
fn a_child_at_our_terminal_stops_us_and_is_continued_once() {
    let mut run = running(Plan {
        shares_terminal: true,
        ..plan()
    });
    assert_eq!(continued(&mut run, 1500), [], "it was not stopped");
    for ms in [2000, 3000] {
        let actions = run.handle(at(ms), Event::ChildStopped);
        assert_eq!(actions, [Action::StopSelf]);
        let actions = continued(&mut run, ms + 1);
        assert_eq!(actions, [Action::Forward(Signal::CONT)]);
        assert_eq!(continued(&mut run, ms + 2), []);
    }
}

#[test]
fn a_child_that_is_being_stopped_does_not_stop_us() {
    let mut run = running(Plan {
        shares_terminal: true,
        ..plan()
    });
    run.handle(at(2000), refreshed(1000, revoked()));
    assert_eq!(run.handle(at(2001), Event::ChildStopped), []);
}

#[test]
fn whoever_was_stopped_refreshes_at_once() {
    let mut run = running(plan());
    let actions = run.handle(at(1010), refreshed(1000, Ok(Refresh::Held(GRANT))));
    assert_eq!(actions, [Action::Say(Message::Refreshed)]);
    assert_eq!(run.next_wake(), Some(at(11_000)));
    let expected = [Action::Forward(Signal::CONT), Action::Refresh];
    assert_eq!(continued(&mut run, 4000), expected);
}

#[test]
fn what_is_to_be_killed_is_not_woken_first() {
    for (ms, wakes) in [(KILL_MS - 1, true), (KILL_MS, false), (END_MS, false)] {
        let actions = continued(&mut running(plan()), ms);
        let woken = actions.contains(&Action::Forward(Signal::CONT));
        assert_eq!(woken, wakes, "at the end of the lease, {ms}: {actions:?}");
    }
    for (ms, wakes) in [(11_999, true), (12_000, false), (13_000, false)] {
        let mut run = running(plan());
        // Ten seconds of --kill-after from 2 s on.
        run.handle(at(2000), refreshed(1000, revoked()));
        let actions = continued(&mut run, ms);
        let woken = actions.contains(&Action::Forward(Signal::CONT));
        assert_eq!(woken, wakes, "at the end of a stop, {ms}: {actions:?}");
    }
}
