//! One decision at a time: at this moment, this event, these actions. What no
//! order of events may break is held by the property test `model`.

mod acquiring;
mod holding;
mod losing;
mod reaching;
mod releasing;
mod signals;

use super::*;
use crate::exit::Skip;
use crate::lease::Terms;
use crate::message::Reaction;
use crate::store::past::PastOutcome;
use crate::store::{Acquire, Ask, End, Held, Queued, Refresh, Release, StoreError, StoreErrorKind};

/// `ms` milliseconds after the run was asked for; the host has been up for longer.
const fn at(ms: u64) -> Tick {
    Tick::from_boot(Duration::from_millis(1_000_000 + ms))
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

// What comes when to a lease of 60 s that was asked for at 0 and never refreshed.
const STOP_MS: u64 = 47_650;
const KILL_MS: u64 = 57_650;
const END_MS: u64 = 58_650;

/// A single try for a lease of 60 s, by default in all the rest.
fn plan() -> Plan {
    Plan {
        terms: Terms::new(Duration::from_secs(60), None, None),
        unending: false,
        wait: Duration::ZERO,
        reach_for: Duration::from_secs(5),
        delay: Duration::ZERO,
        on_unavailable: OnUnavailable::Fail,
        on_lost: OnLost::Stop,
        stop_signal: Signal::TERM,
        max_runtime: None,
        shares_terminal: false,
        places: 1,
        ancestors: vec!["ours".to_owned()],
    }
}

/// It may wait this long.
fn waiting(wait: Duration) -> Plan {
    Plan { wait, ..plan() }
}

/// Its command goes on when the lock is lost.
fn continues() -> Plan {
    Plan {
        on_lost: OnLost::Continue,
        ..plan()
    }
}

const GRANT: Grant = Grant {
    fence: Fence(7),
    end_ms: 1,
    slot: 3,
};

fn error(kind: StoreErrorKind) -> StoreError {
    StoreError::new(kind, "trouble")
}

fn unavailable() -> StoreError {
    error(StoreErrorKind::Unavailable)
}

fn acquired(sent_ms: u64, result: Result<Acquire, StoreError>) -> Event {
    let sent_at = at(sent_ms);
    Event::Answer(Answer::Acquired { sent_at, result })
}

fn refreshed(sent_ms: u64, result: Result<Refresh, StoreError>) -> Event {
    let sent_at = at(sent_ms);
    Event::Answer(Answer::Refreshed { sent_at, result })
}

fn released(result: Result<Release, StoreError>) -> Event {
    Event::Answer(Answer::Released(result))
}

/// An administrator asks for the lock.
fn revoked() -> Result<Refresh, StoreError> {
    let by = "root@web3".to_owned();
    Ok(Refresh::Revoked { by })
}

/// A process sent `signal`.
fn sent(signal: Signal) -> Event {
    let origin = Origin::Process;
    Event::Signal(Received { signal, origin })
}

/// A run that has asked at 0 and has no answer yet.
fn asking(plan: Plan) -> Supervisor {
    let mut supervisor = Supervisor::new(plan);
    let in_line = !supervisor.plan.wait.is_zero();
    let ask = Ask {
        in_line,
        waited: Duration::ZERO,
    };
    let actions = supervisor.handle(at(0), Event::Start);
    assert_eq!(actions, [Action::Acquire(ask)]);
    supervisor
}

/// A run whose child, pid 77, was started at 0 on a lease from 0, and whose
/// first refresh has been under way since 1 s.
fn running(plan: Plan) -> Supervisor {
    let mut supervisor = asking(plan);
    let actions = supervisor.handle(at(0), acquired(0, Ok(Acquire::Granted(GRANT))));
    let grant = Some(GRANT);
    assert_eq!(actions.last(), Some(&Action::Spawn { grant }));
    assert_eq!(supervisor.handle(at(0), Event::Started { pid: 77 }), []);
    assert_eq!(
        supervisor.handle(at(1000), Event::Wake),
        [Action::Refresh],
        "the first refresh"
    );
    supervisor
}

/// A run whose child has exited with 3 at 2 s, and which waits for the release's answer.
fn releasing(plan: Plan) -> Supervisor {
    let mut supervisor = running(plan);
    let ended = Event::ChildEnded(ChildStatus::Exited(3));
    let actions = supervisor.handle(at(2000), ended);
    assert!(matches!(actions[..], [Action::Release(_)]), "{actions:?}");
    supervisor
}
