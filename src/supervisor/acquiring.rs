//! From the first request to the child's start.

use std::time::Duration;

use super::{Action, OnUnavailable, Phase, Supervisor};
use crate::clock::Tick;
use crate::exit::{Outcome, Skip, StartError};
use crate::lease::Lease;
use crate::message::Message;
use crate::store::{Acquire, Ask, End, Held, Holder, Queued, StoreError, StoreErrorKind};

/// How long our death of a signal may be held up to withdraw a request.
const WITHDRAW_MAX: Duration = Duration::from_millis(200);
/// The same for an end that nobody is in a hurry for: a late request would
/// close the lock for a whole ttl, and a slow link needs more than a moment.
const WITHDRAW_CALMLY_MAX: Duration = Duration::from_secs(1);
/// Pauses between attempts to acquire while the store cannot be reached.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(1);
/// A lock that is free, but for somebody in line, is asked for again this often …
const RESERVED_RETRY_MIN: Duration = Duration::from_millis(5);
const RESERVED_RETRY_MAX: Duration = Duration::from_millis(250);
/// … until whoever is first has let its second pass, and a little longer.
const RESERVED_MAX: Duration = Duration::from_millis(1500);

/// An attempt to get the lock.
#[derive(Debug)]
pub(super) struct Attempt {
    /// When to ask, or ask again. None while a request is under way.
    ask_at: Option<Tick>,
    /// When a busy lock is waited for no longer.
    wait_until: Tick,
    /// When a store that cannot be reached is tried no longer.
    reach_until: Tick,
    /// The pause after the next failure.
    backoff: Duration,
    /// The user was told that the store cannot be reached.
    told: bool,
    /// We stand in line: the last answer, and when it came.
    queued: Option<(Tick, Queued)>,
    /// The lock was free, but for another: until when, and the next pause.
    reserved: Option<(Tick, Duration)>,
}

impl Attempt {
    /// Whether a request is under way.
    pub(super) fn is_asking(&self) -> bool {
        self.ask_at.is_none()
    }

    /// Whether we stand in line and are not asking.
    pub(super) fn listens(&self) -> bool {
        self.ask_at.is_some() && self.queued.is_some()
    }

    pub(super) fn next_wake(&self) -> Option<Tick> {
        match (self.ask_at, &self.queued) {
            (Some(at), Some(_)) => Some(at.min(self.wait_until)),
            (at, _) => at,
        }
    }
}

impl Supervisor {
    pub(super) fn start(&mut self, now: Tick, actions: &mut Vec<Action>) {
        self.asked_at = now;
        let first = now + self.plan.delay;
        let waits = !self.plan.wait.is_zero();
        let reach_for = if waits {
            self.plan.wait
        } else {
            self.plan.reach_for
        };
        self.phase = Phase::Acquiring(Attempt {
            ask_at: Some(first),
            wait_until: first + self.plan.wait,
            reach_until: first + reach_for,
            backoff: RETRY_MIN,
            told: false,
            queued: None,
            reserved: None,
        });
        self.ask_if_due(now, actions);
    }

    /// Asks if it is time to, or gives up if the wait is over.
    pub(super) fn ask_if_due(&mut self, now: Tick, actions: &mut Vec<Action>) {
        let Phase::Acquiring(attempt) = &mut self.phase else {
            return;
        };
        let Some(at) = attempt.ask_at else { return };
        if now >= attempt.wait_until
            && let Some((heard_at, queued)) = attempt.queued.take()
        {
            let queued = queued.after(now.since(heard_at));
            let waited = now.since(self.asked_at);
            let outcome = Outcome::Skipped(Skip::WaitOver { queued, waited });
            return self.withdraw(now, outcome, actions);
        }
        if now >= at {
            attempt.ask_at = None;
            actions.push(Action::Acquire(Ask {
                in_line: !self.plan.wait.is_zero(),
                waited: now.since(self.asked_at),
            }));
        }
    }

    /// It is worth asking again, if we are not doing so.
    pub(super) fn rung(&mut self, now: Tick, actions: &mut Vec<Action>) {
        if let Phase::Acquiring(Attempt {
            ask_at: Some(at),
            queued: Some(_),
            ..
        }) = &mut self.phase
        {
            *at = now;
            self.ask_if_due(now, actions);
        }
    }

    pub(super) fn acquired(
        &mut self,
        now: Tick,
        sent_at: Tick,
        result: Result<Acquire, StoreError>,
        actions: &mut Vec<Action>,
    ) {
        let Phase::Acquiring(attempt) = &mut self.phase else {
            let answers = (&self.phase, result);
            if let (Phase::Withdrawing { .. }, Ok(Acquire::Granted(_) | Acquire::Queued(_))) =
                answers
            {
                // The withdrawal may not get through: the connection that brought this does.
                actions.push(Action::Release(End::Withdrawn));
            }
            return;
        };
        if result.is_ok() {
            attempt.backoff = RETRY_MIN;
            attempt.told = false;
        }
        match result {
            Ok(Acquire::Granted(grant)) => {
                let lease = if self.plan.unending {
                    Lease::unending(self.plan.terms, sent_at)
                } else {
                    Lease::granted(self.plan.terms, sent_at)
                };
                if now >= lease.stop_at() {
                    let error = StoreError::new(
                        StoreErrorKind::Unavailable,
                        "the lock was granted, but the answer came too late to use it",
                    );
                    return self.not_acquired(now, error, actions);
                }
                self.granted_at = Some(sent_at);
                self.grant = Some(grant);
                self.lease = Some(lease);
                let waited = now.since(self.asked_at);
                actions.push(Action::Say(Message::Acquired {
                    fence: grant.fence,
                    waited,
                }));
                actions.push(Action::Spawn { grant: Some(grant) });
            }
            Ok(Acquire::Held(held)) => {
                let outcome = if self.is_ours(Some(&held)) {
                    Outcome::AlreadyHeld
                } else {
                    Outcome::Skipped(Skip::Held(held))
                };
                self.give_up(now, outcome, actions);
            }
            Ok(Acquire::Queued(queued)) => self.queued(now, queued, actions),
            Ok(Acquire::Reserved { first }) => self.reserved(now, first, actions),
            Ok(Acquire::CoolingDown { remaining }) => {
                attempt.queued = None;
                self.give_up(now, Outcome::Skipped(Skip::CoolingDown(remaining)), actions);
            }
            Ok(Acquire::Done(done)) => {
                attempt.queued = None;
                self.give_up(now, Outcome::Skipped(Skip::AlreadyDone(done)), actions);
            }
            // Our token is fresh: nobody can have released it.
            Ok(Acquire::Withdrawn) => self.finish(Outcome::Defect, actions),
            Err(error) => self.not_acquired(now, error, actions),
        }
    }

    /// Whether the holder is a run that this one descends from: waiting for it
    /// would be waiting for ourselves.
    fn is_ours(&self, held: Option<&Held>) -> bool {
        held.and_then(|held| held.holder.as_ref())
            .is_some_and(|holder| self.plan.ancestors.contains(&holder.id))
    }

    fn queued(&mut self, now: Tick, queued: Queued, actions: &mut Vec<Action>) {
        if self.is_ours(queued.held.as_ref()) {
            return self.withdraw(now, Outcome::AlreadyHeld, actions);
        }
        let Phase::Acquiring(attempt) = &mut self.phase else {
            return;
        };
        attempt.ask_at = Some(now + queued.ask_in);
        attempt.queued = Some((now, queued.clone()));
        if now < attempt.wait_until {
            let until = attempt.wait_until;
            actions.push(Action::Wait { queued, until });
        }
        // If the wait is over, the timers see to it.
    }

    fn reserved(&mut self, now: Tick, first: Option<Holder>, actions: &mut Vec<Action>) {
        let Phase::Acquiring(attempt) = &mut self.phase else {
            return;
        };
        let (until, pause) = attempt
            .reserved
            .unwrap_or((now + RESERVED_MAX, RESERVED_RETRY_MIN));
        attempt.reserved = Some((until, (pause * 2).min(RESERVED_RETRY_MAX)));
        if now + pause < until {
            attempt.ask_at = Some(now + pause);
        } else {
            self.give_up(now, Outcome::Skipped(Skip::Reserved(first)), actions);
        }
    }

    /// No usable answer: tries again while there is time. The token makes that
    /// mean the same, should the request have been granted.
    fn not_acquired(&mut self, now: Tick, error: StoreError, actions: &mut Vec<Action>) {
        self.uncertain = true;
        if let Phase::Acquiring(attempt) = &mut self.phase {
            // Whether we still stand in line is unknown, too.
            attempt.queued = None;
        }
        match &mut self.phase {
            Phase::Acquiring(attempt)
                if error.kind == StoreErrorKind::Unavailable && now < attempt.reach_until =>
            {
                // The last time when the time is over, not before.
                attempt.ask_at = Some((now + attempt.backoff).min(attempt.reach_until));
                attempt.backoff = (attempt.backoff * 2).min(RETRY_MAX);
                // Who waits long has to know what for; a single try ends soon.
                if !self.plan.wait.is_zero() && !std::mem::replace(&mut attempt.told, true) {
                    let until = attempt.reach_until;
                    let left = (until != Tick::NEVER).then(|| until.since(now));
                    actions.push(Action::Say(Message::WaitsForStore { error, left }));
                }
            }
            _ => self.unavailable(now, error, actions),
        }
    }

    fn unavailable(&mut self, now: Tick, error: StoreError, actions: &mut Vec<Action>) {
        let unavailable = [StoreErrorKind::Unavailable, StoreErrorKind::Unreplicated];
        if !unavailable.contains(&error.kind) {
            return self.withdraw(now, Outcome::Unavailable(error), actions);
        }
        match self.plan.on_unavailable {
            OnUnavailable::Fail => self.withdraw(now, Outcome::Unavailable(error), actions),
            OnUnavailable::Skip => {
                self.withdraw(now, Outcome::Skipped(Skip::Unavailable(error)), actions);
            }
            OnUnavailable::Run => {
                // It may have been granted after all: nobody would refresh or release it.
                actions.push(Action::Withdraw(End::Withdrawn));
                actions.push(Action::Say(Message::RunsUnlocked { error }));
                actions.push(Action::Spawn { grant: None });
            }
        }
    }

    /// Ends without the lock. A request that failed before may still arrive at
    /// the store, and must not become a holder that nobody knows of; nor may a
    /// place in line be left behind.
    pub(super) fn give_up(&mut self, now: Tick, outcome: Outcome, actions: &mut Vec<Action>) {
        let in_line = matches!(&self.phase, Phase::Acquiring(it) if it.queued.is_some());
        if self.uncertain || in_line {
            self.withdraw(now, outcome, actions);
        } else {
            self.finish(outcome, actions);
        }
    }

    pub(super) fn withdraw(&mut self, now: Tick, outcome: Outcome, actions: &mut Vec<Action>) {
        let at_most = match outcome {
            Outcome::Interrupted(_) => WITHDRAW_MAX,
            _ => WITHDRAW_CALMLY_MAX,
        };
        // Any other skip was the store's answer, which has counted it.
        let end = match outcome {
            Outcome::Skipped(Skip::WaitOver { .. }) => End::Skipped,
            _ => End::Withdrawn,
        };
        self.phase = Phase::Withdrawing {
            until: now + at_most,
            outcome,
        };
        actions.push(Action::Withdraw(end));
    }

    pub(super) fn withdrawn(&mut self, actions: &mut Vec<Action>) {
        if let Phase::Withdrawing { outcome, .. } = &self.phase {
            let outcome = outcome.clone();
            self.finish(outcome, actions);
        }
    }

    pub(super) fn start_failed(&mut self, now: Tick, error: StartError, actions: &mut Vec<Action>) {
        self.not_started = Some(error);
        self.release(now, actions);
    }
}
