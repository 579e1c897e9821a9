//! From the first request to the child's start.

use std::time::Duration;

use super::{Action, OnUnavailable, Phase, Supervisor};
use crate::clock::Tick;
use crate::exit::{Outcome, Skip, StartError};
use crate::lease::Lease;
use crate::message::Message;
use crate::store::{Acquire, StoreError, StoreErrorKind};

/// How long our death of a signal may be held up to withdraw a request.
const WITHDRAW_MAX: Duration = Duration::from_millis(200);
/// The same for an end that nobody is in a hurry for: a late request would
/// close the lock for a whole ttl, and a slow link needs more than a moment.
const WITHDRAW_CALMLY_MAX: Duration = Duration::from_secs(1);
/// Pauses between attempts to acquire while the store cannot be reached.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(1);

impl Supervisor {
    pub(super) fn start(&mut self, now: Tick, actions: &mut Vec<Action>) {
        self.asked_at = now;
        self.phase = Phase::Acquiring {
            until: now + self.plan.acquire_for,
            retry_at: None,
            backoff: RETRY_MIN,
        };
        actions.push(Action::Acquire);
    }

    pub(super) fn acquired(
        &mut self,
        now: Tick,
        sent_at: Tick,
        result: Result<Acquire, StoreError>,
        actions: &mut Vec<Action>,
    ) {
        let Phase::Acquiring { .. } = self.phase else {
            if let (Phase::Withdrawing { .. }, Ok(Acquire::Granted(_))) = (&self.phase, result) {
                // The withdrawal may not get through: the connection that brought this does.
                actions.push(Action::Release);
            }
            return;
        };
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
                self.fence = Some(grant.fence);
                self.lease = Some(lease);
                let waited = now.since(self.asked_at);
                actions.push(Action::Say(Message::Acquired {
                    fence: grant.fence,
                    waited,
                }));
                actions.push(Action::Spawn {
                    fence: Some(grant.fence),
                });
            }
            Ok(Acquire::Held(held)) => {
                let ours = held
                    .holder
                    .as_ref()
                    .is_some_and(|h| self.plan.ancestors.contains(&h.id));
                let outcome = if ours {
                    Outcome::AlreadyHeld
                } else {
                    Outcome::Skipped(Skip::Held(held))
                };
                self.give_up(now, outcome, actions);
            }
            Ok(Acquire::CoolingDown { remaining }) => {
                self.give_up(now, Outcome::Skipped(Skip::CoolingDown(remaining)), actions);
            }
            Ok(Acquire::Reserved { first }) => {
                self.give_up(now, Outcome::Skipped(Skip::Reserved(first)), actions);
            }
            Ok(Acquire::Done(done)) => {
                self.give_up(now, Outcome::Skipped(Skip::AlreadyDone(done)), actions);
            }
            Ok(Acquire::Queued(_)) => self.finish(Outcome::Defect, actions),
            // Our token is fresh: nobody can have released it.
            Ok(Acquire::Withdrawn) => self.finish(Outcome::Defect, actions),
            Err(error) => self.not_acquired(now, error, actions),
        }
    }

    /// No usable answer: tries again while there is time. The token makes that
    /// mean the same, should the request have been granted.
    fn not_acquired(&mut self, now: Tick, error: StoreError, actions: &mut Vec<Action>) {
        self.uncertain = true;
        match self.phase {
            Phase::Acquiring { until, backoff, .. }
                if error.kind == StoreErrorKind::Unavailable && now + backoff < until =>
            {
                self.phase = Phase::Acquiring {
                    until,
                    retry_at: Some(now + backoff),
                    backoff: (backoff * 2).min(RETRY_MAX),
                };
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
                actions.push(Action::Withdraw);
                actions.push(Action::Say(Message::RunsUnlocked { error }));
                actions.push(Action::Spawn { fence: None });
            }
        }
    }

    /// Ends without the lock. A request that failed before may still arrive at
    /// the store, and must not become a holder that nobody knows of.
    pub(super) fn give_up(&mut self, now: Tick, outcome: Outcome, actions: &mut Vec<Action>) {
        if self.uncertain {
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
        self.phase = Phase::Withdrawing {
            until: now + at_most,
            outcome,
        };
        actions.push(Action::Withdraw);
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
