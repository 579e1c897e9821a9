//! The decisions of a run, as a pure state machine: an event and the time come
//! in, actions go out. No clock is read here, nothing is sent, nobody is killed.
//!
//! Promised, and held by property tests on random event sequences:
//! - KILL is ordered before the deadline of the lease, if we are woken in time;
//! - the release is ordered at most once, after the child is gone, and never
//!   after a definite loss;
//! - no refresh is ordered after a definite loss;
//! - exactly one [`Action::Finish`] is given, and it is the last action.

mod acquiring;
mod event;
mod holding;
mod plan;
mod releasing;
#[cfg(test)]
mod tests;

pub use event::{Action, Answer, Event};
pub use plan::{OnLost, OnUnavailable, Plan};

use std::time::Duration;

use self::acquiring::Attempt;
use crate::clock::Tick;
use crate::exit::{ChildStatus, Outcome, StartError};
use crate::lease::Lease;
use crate::message::{LossCause, Message};
use crate::signals::{Origin, Received, Signal};
use crate::store::{Fence, Grant, Loss};

/// The state of one run.
#[derive(Debug)]
pub struct Supervisor {
    plan: Plan,
    phase: Phase,
    asked_at: Tick,
    /// None while not held, and after a definite loss.
    lease: Option<Lease>,
    grant: Option<Grant>,
    granted_at: Option<Tick>,
    started_at: Option<Tick>,
    child: Child,
    /// The child's end came after the lock was lost or could not be kept.
    lost: bool,
    timed_out: bool,
    not_started: Option<StartError>,
    /// A request to acquire failed: it may have been granted all the same.
    uncertain: bool,
    outage: Outage,
}

#[derive(Debug)]
enum Phase {
    /// Nothing has been asked for yet.
    Idle,
    /// Asking for the lock, or waiting for it.
    Acquiring(Attempt),
    /// Taking back what may have been granted, then ending with `outcome`.
    Withdrawing { until: Tick, outcome: Outcome },
    /// The child runs.
    Running,
    /// The child is being stopped, by us.
    Stopping {
        kill_at: Tick,
        killed_at: Option<Tick>,
        reported: bool,
    },
    /// The child is gone, the release is under way.
    Releasing { until: Tick, signalled: bool },
    /// Finished.
    Done,
}

/// Refreshes have failed since the last that was confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outage {
    None,
    /// Some, with plenty of time left.
    Quiet,
    /// It had become urgent, and the user was told.
    Told,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Child {
    None,
    Running { pid: u32, stopped: bool },
    Gone(ChildStatus),
}

impl Supervisor {
    /// A run by this plan. It begins with [`Event::Start`].
    #[must_use]
    pub fn new(plan: Plan) -> Supervisor {
        Supervisor {
            plan,
            phase: Phase::Idle,
            asked_at: Tick::from_boot(Duration::ZERO),
            lease: None,
            grant: None,
            granted_at: None,
            started_at: None,
            child: Child::None,
            lost: false,
            timed_out: false,
            not_started: None,
            uncertain: false,
            outage: Outage::None,
        }
    }

    /// The fencing number of the grant, once there is one.
    #[must_use]
    pub fn fence(&self) -> Option<Fence> {
        self.grant.map(|grant| grant.fence)
    }

    /// The place of the grant, once there is one.
    #[must_use]
    pub fn slot(&self) -> Option<u32> {
        self.grant.map(|grant| grant.slot)
    }

    /// When the request that was granted was sent.
    #[must_use]
    pub fn granted_at(&self) -> Option<Tick> {
        self.granted_at
    }

    /// Whether we stand in line, and would hear the store's bell.
    #[must_use]
    pub fn listens(&self) -> bool {
        matches!(&self.phase, Phase::Acquiring(attempt) if attempt.listens())
    }

    /// Whether the child is still there.
    #[must_use]
    pub fn child_alive(&self) -> bool {
        matches!(self.child, Child::Running { .. })
    }

    /// Takes note of `event` and says what to do. The timers are looked at after
    /// every event, so that a late wake-up is never taken for a timely one.
    pub fn handle(&mut self, now: Tick, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Start => self.start(now, &mut actions),
            Event::Wake => {}
            Event::Signal(received) => self.signal(now, received, &mut actions),
            Event::Answer(answer) => self.answer(now, answer, &mut actions),
            Event::Rung => self.rung(now, &mut actions),
            Event::KeeperGone => self.keeper_gone(now, &mut actions),
            Event::Started { pid } => {
                self.child = Child::Running {
                    pid,
                    stopped: false,
                };
                self.started_at = Some(now);
                self.phase = Phase::Running;
            }
            Event::StartFailed(error) => self.start_failed(now, error, &mut actions),
            Event::ChildStopped => self.child_stopped(&mut actions),
            Event::ChildEnded(status) => self.child_ended(now, status, &mut actions),
            Event::TreeGone => self.tree_gone(now, &mut actions),
        }
        self.timers(now, &mut actions);
        actions
    }

    /// When [`Event::Wake`] is due, if nothing else happens before.
    #[must_use]
    pub fn next_wake(&self) -> Option<Tick> {
        let lease = self.lease.as_ref();
        let refresh = lease.and_then(Lease::refresh_at);
        let wakes = match &self.phase {
            Phase::Idle | Phase::Done => [None; 3],
            Phase::Acquiring(attempt) => [attempt.next_wake(), None, None],
            Phase::Withdrawing { until, .. } | Phase::Releasing { until, .. } => {
                [Some(*until), None, None]
            }
            Phase::Running => [refresh, self.no_room_at(), self.max_runtime_at()],
            Phase::Stopping { kill_at, .. } => [refresh, Some(*kill_at), None],
        };
        wakes
            .into_iter()
            .flatten()
            .min()
            .filter(|at| *at != Tick::NEVER)
    }

    fn answer(&mut self, now: Tick, answer: Answer, actions: &mut Vec<Action>) {
        match answer {
            Answer::Acquired { sent_at, result } => self.acquired(now, sent_at, result, actions),
            Answer::Refreshed { sent_at, result } => self.refreshed(now, sent_at, result, actions),
            Answer::Released(result) => self.released(now, result, actions),
            Answer::Withdrawn => self.withdrawn(actions),
        }
    }

    fn signal(&mut self, now: Tick, received: Received, actions: &mut Vec<Action>) {
        let Received { signal, origin } = received;
        match &mut self.phase {
            Phase::Idle if signal.asks_to_end() => {
                self.finish(Outcome::Interrupted(signal), actions);
            }
            Phase::Acquiring(attempt) if signal.asks_to_end() => {
                let outcome = Outcome::Interrupted(signal);
                if attempt.is_asking() {
                    self.withdraw(now, outcome, actions);
                } else {
                    self.give_up(now, outcome, actions);
                }
            }
            Phase::Running | Phase::Stopping { .. } => {
                if signal == Signal::CONT {
                    self.continued(now, actions);
                } else if !self.plan.shares_terminal
                    || origin == Origin::Process
                    || signal == Signal::HUP
                {
                    // At a terminal the kernel tells the child of ^C itself; at
                    // a hang-up it may tell the session leader alone.
                    actions.push(Action::Forward(signal));
                }
            }
            // A hang-up often comes twice, and with a TERM.
            Phase::Releasing { .. } if signal == Signal::HUP => {}
            Phase::Releasing {
                signalled: noted @ false,
                ..
            } if signal.asks_to_end() => *noted = true,
            Phase::Releasing { .. } if signal.asks_to_end() => {
                self.release_failed(now, None, actions);
                self.finish_ended(actions);
            }
            // Nobody is there to give it to, and a stray one must not end a run.
            _ => {}
        }
    }

    /// We were stopped and go on: nothing was refreshed in between.
    fn continued(&mut self, now: Tick, actions: &mut Vec<Action>) {
        if let Some(lease) = &mut self.lease {
            lease.refresh_now(now);
        }
        // What is to be killed must not be woken first.
        let too_late = self.lease_kill_at().is_some_and(|at| now >= at)
            || matches!(self.phase, Phase::Stopping { kill_at, .. } if now >= kill_at);
        if let Child::Running { stopped, .. } = &mut self.child
            && (*stopped || !self.plan.shares_terminal)
            && !too_late
        {
            *stopped = false;
            actions.push(Action::Forward(Signal::CONT));
        }
    }

    fn child_stopped(&mut self, actions: &mut Vec<Action>) {
        if let Child::Running { stopped, .. } = &mut self.child
            && matches!(self.phase, Phase::Running)
            && self.plan.shares_terminal
        {
            // The shell that started us has to see that the job stopped.
            *stopped = true;
            actions.push(Action::StopSelf);
        }
    }

    fn child_ended(&mut self, now: Tick, status: ChildStatus, actions: &mut Vec<Action>) {
        self.child = Child::Gone(status);
        // On a forced stop the rest of the tree has to go, too: TreeGone ends it.
        if matches!(self.phase, Phase::Running) {
            self.release(now, actions);
        }
    }

    fn tree_gone(&mut self, now: Tick, actions: &mut Vec<Action>) {
        if matches!(self.phase, Phase::Stopping { .. }) {
            self.release(now, actions);
        }
    }

    fn timers(&mut self, now: Tick, actions: &mut Vec<Action>) {
        match self.phase {
            Phase::Acquiring(_) => self.ask_if_due(now, actions),
            Phase::Withdrawing { until, .. } if now >= until => self.withdrawn(actions),
            Phase::Releasing { until, .. } if now >= until => {
                self.release_failed(now, None, actions);
                self.finish_ended(actions);
            }
            Phase::Running => {
                if self.no_room_at().is_some_and(|at| now >= at) {
                    let ended = self.lease.as_ref().is_some_and(|it| now >= it.deadline());
                    let cause = if ended && self.outage == Outage::None {
                        LossCause::Overslept
                    } else {
                        LossCause::NoRoom
                    };
                    self.lose(now, cause, self.plan.terms.kill_after, actions);
                } else if self.max_runtime_at().is_some_and(|at| now >= at) {
                    self.timed_out = true;
                    let kill_in = self.stop(now, self.plan.terms.kill_after, actions);
                    if let (Some(limit), Child::Running { pid, .. }) =
                        (self.plan.max_runtime, self.child)
                    {
                        let signal = self.plan.stop_signal;
                        actions.push(Action::Say(Message::MaxRuntime {
                            limit,
                            pid,
                            signal,
                            kill_in,
                        }));
                    }
                }
                self.kill_if_due(now, actions);
                self.refresh_if_due(now, actions);
            }
            Phase::Stopping { .. } => {
                self.kill_if_due(now, actions);
                self.refresh_if_due(now, actions);
            }
            _ => {}
        }
    }

    /// Ends a run whose child ran. Losing the lock outranks a time-out, and that
    /// the child's own status.
    fn finish_ended(&mut self, actions: &mut Vec<Action>) {
        let status = match self.child {
            Child::Gone(status) => Some(status),
            Child::None | Child::Running { .. } => None,
        };
        let outcome = match (&self.not_started, self.lost, self.timed_out, status) {
            (Some(error), ..) => Outcome::NotStarted(error.clone()),
            (None, true, _, status) => Outcome::Lost(status),
            (None, false, true, status) => Outcome::TimedOut(status),
            (None, false, false, Some(status)) => Outcome::Ran(status),
            (None, false, false, None) => Outcome::Defect,
        };
        self.finish(outcome, actions);
    }

    fn finish(&mut self, outcome: Outcome, actions: &mut Vec<Action>) {
        self.phase = Phase::Done;
        if let Some(message) = Message::of(&outcome, self.plan.places) {
            actions.push(Action::Say(message));
        }
        actions.push(Action::Finish(outcome));
    }
}

impl From<Loss> for LossCause {
    fn from(loss: Loss) -> LossCause {
        match loss {
            Loss::TakenOver(held) => LossCause::TakenOver(held),
            Loss::FenceMoved => LossCause::FenceMoved,
            Loss::Expired => LossCause::Expired,
        }
    }
}
