//! From the child's end to ours.

use std::time::Duration;

use super::{Action, Child, Phase, Supervisor};
use crate::clock::Tick;
use crate::exit::ChildStatus;
use crate::lease::Lease;
use crate::message::{LossCause, Message, Reaction};
use crate::store::past::PastOutcome;
use crate::store::{End, Release, StoreError};

/// From the child's end tasklock is gone within this, answer or not.
const RELEASE_MAX: Duration = Duration::from_secs(2);

impl Supervisor {
    pub(super) fn release(&mut self, now: Tick, actions: &mut Vec<Action>) {
        // Lost, or never held: there is nothing to give back.
        let Some(deadline) = self.lease.as_ref().map(Lease::deadline) else {
            return self.finish_ended(actions);
        };
        let mut until = now + RELEASE_MAX;
        if now < deadline {
            until = until.min(deadline);
        } else if self.not_started.is_none() {
            // It outlived its lease, whatever the store says now.
            self.lost_at_end(now, LossCause::Overslept, actions);
        }
        self.phase = Phase::Releasing {
            until,
            signalled: false,
        };
        let end = self.end(now);
        actions.push(Action::Release(end));
    }

    /// What the store is told of the run.
    fn end(&self, now: Tick) -> End {
        let outcome = match self.child {
            _ if self.not_started.is_some() => return End::Unstarted,
            _ if self.lost => PastOutcome::Lost,
            _ if self.timed_out => PastOutcome::Timeout,
            Child::Gone(ChildStatus::Exited(code)) => PastOutcome::Exit(code),
            Child::Gone(ChildStatus::Killed(signal)) => PastOutcome::Signal(signal.number()),
            // Nothing is released while it may be alive.
            Child::None | Child::Running { .. } => PastOutcome::Lost,
        };
        let waited = now.since(self.asked_at);
        End::Ran { outcome, waited }
    }

    pub(super) fn released(
        &mut self,
        now: Tick,
        result: Result<Release, StoreError>,
        actions: &mut Vec<Action>,
    ) {
        match self.phase {
            Phase::Releasing { .. } => {}
            Phase::Withdrawing { .. } => return self.withdrawn(actions),
            _ => return,
        }
        let held_for = self.held_for(now);
        match result {
            Ok(Release::Released) => actions.push(Action::Say(Message::Released { held_for })),
            Ok(Release::Forgotten) => actions.push(Action::Say(Message::Forgotten)),
            Ok(Release::NotOurs(held)) => {
                let cause = held.map_or(LossCause::FenceMoved, LossCause::TakenOver);
                self.lost_at_end(now, cause, actions);
            }
            Err(error) => self.release_failed(now, Some(error), actions),
        }
        self.finish_ended(actions);
    }

    /// The loss is found when the child has ended already.
    pub(super) fn lost_at_end(&mut self, now: Tick, cause: LossCause, actions: &mut Vec<Action>) {
        if !std::mem::replace(&mut self.lost, true) {
            let (held_for, reaction) = (self.held_for(now), Reaction::Ended);
            actions.push(Action::Say(Message::Lost {
                held_for,
                cause,
                reaction,
                pid: None,
            }));
        }
    }

    pub(super) fn release_failed(
        &self,
        now: Tick,
        error: Option<StoreError>,
        actions: &mut Vec<Action>,
    ) {
        // After a loss that was told, this is no news.
        if !self.lost {
            let frees_in = self.frees_in(now);
            actions.push(Action::Say(Message::ReleaseFailed { error, frees_in }));
        }
    }

    pub(super) fn frees_in(&self, now: Tick) -> Option<Duration> {
        let deadline = self.lease.as_ref().map(Lease::deadline)?;
        (deadline != Tick::NEVER).then(|| (deadline + self.plan.terms.drift).since(now))
    }
}
