//! The decisions of a run, as a pure state machine: an event and the time come
//! in, actions go out. No clock is read here, nothing is sent, nobody is killed.
//!
//! Promised, and held by property tests on random event sequences:
//! - KILL is ordered before the deadline of the lease, if we are woken in time;
//! - the release is ordered at most once, after the child is gone, and never
//!   after a definite loss;
//! - no refresh is ordered after a definite loss;
//! - exactly one [`Action::Finish`] is given, and it is the last action.

mod event;
mod plan;

pub use event::{Action, Answer, Event};
pub use plan::{OnLost, OnUnavailable, Plan};

use std::time::Duration;

use crate::clock::Tick;
use crate::exit::{ChildStatus, Outcome, Skip, StartError};
use crate::lease::Lease;
use crate::message::{LossCause, Message, Reaction};
use crate::signals::{Origin, Received, Signal};
use crate::store::{Acquire, Fence, Loss, Refresh, Release, StoreError, StoreErrorKind};

/// After a definite loss somebody else may run already: no more than this from
/// the stop signal to KILL.
const KILL_AFTER_LOSS_MAX: Duration = Duration::from_secs(2);
/// From the child's end tasklock is gone within this, answer or not.
const RELEASE_MAX: Duration = Duration::from_secs(2);
/// How long the death of tasklock may be held up to withdraw a request.
const WITHDRAW_MAX: Duration = Duration::from_millis(200);
/// Pauses between attempts to acquire while the store cannot be reached.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(1);
/// KILL is sent again this often, to what was forked in the meantime.
const KILL_AGAIN: Duration = Duration::from_millis(100);
/// What has not died this long after KILL cannot be killed by us.
const KILL_FAILED: Duration = Duration::from_secs(2);

/// The state of one run.
#[derive(Debug)]
pub struct Supervisor {
    plan: Plan,
    phase: Phase,
    started: Tick,
    /// None while not held, and after a definite loss.
    lease: Option<Lease>,
    fence: Option<Fence>,
    granted_at: Option<Tick>,
    child: Child,
    /// The child's end came after the lock was lost or could not be kept.
    lost: bool,
    timed_out: bool,
    not_started: Option<StartError>,
    /// A request failed, and none has been confirmed since.
    troubled: bool,
}

#[derive(Debug)]
enum Phase {
    /// Nothing has been asked for yet.
    Idle,
    /// Asking for the lock. `retry_at` is None while a request is under way.
    Acquiring {
        until: Tick,
        retry_at: Option<Tick>,
        backoff: Duration,
    },
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
            started: Tick::from_boot(Duration::ZERO),
            lease: None,
            fence: None,
            granted_at: None,
            child: Child::None,
            lost: false,
            timed_out: false,
            not_started: None,
            troubled: false,
        }
    }

    /// The fencing number of the grant, once there is one.
    #[must_use]
    pub fn fence(&self) -> Option<Fence> {
        self.fence
    }

    /// When the request that was granted was sent.
    #[must_use]
    pub fn granted_at(&self) -> Option<Tick> {
        self.granted_at
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
            Event::KeeperGone => self.keeper_gone(now, &mut actions),
            Event::Started { pid } => {
                self.child = Child::Running {
                    pid,
                    stopped: false,
                };
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
            Phase::Acquiring { retry_at, .. } => [*retry_at, None, None],
            Phase::Withdrawing { until, .. } | Phase::Releasing { until, .. } => {
                [Some(*until), None, None]
            }
            Phase::Running => [refresh, self.no_room_at(), self.max_runtime_at()],
            Phase::Stopping {
                kill_at,
                killed_at: None,
                ..
            } => [refresh, Some(*kill_at), self.lease_kill_at()],
            Phase::Stopping {
                kill_at,
                killed_at: Some(killed_at),
                reported,
            } => {
                let report = (!reported).then_some(*killed_at + KILL_FAILED);
                [refresh, Some(*kill_at), report]
            }
        };
        wakes
            .into_iter()
            .flatten()
            .min()
            .filter(|at| *at != Tick::NEVER)
    }

    fn start(&mut self, now: Tick, actions: &mut Vec<Action>) {
        self.started = now;
        self.phase = Phase::Acquiring {
            until: now + self.plan.acquire_for,
            retry_at: None,
            backoff: RETRY_MIN,
        };
        actions.push(Action::Acquire);
    }

    // ---- acquiring ----------------------------------------------------------

    fn answer(&mut self, now: Tick, answer: Answer, actions: &mut Vec<Action>) {
        match answer {
            Answer::Acquired { sent_at, result } => self.acquired(now, sent_at, result, actions),
            Answer::Refreshed { sent_at, result } => self.refreshed(now, sent_at, result, actions),
            Answer::Released(result) => self.released(now, result, actions),
            Answer::Withdrawn => self.withdrawn(actions),
        }
    }

    fn acquired(
        &mut self,
        now: Tick,
        sent_at: Tick,
        result: Result<Acquire, StoreError>,
        actions: &mut Vec<Action>,
    ) {
        let Phase::Acquiring { until, backoff, .. } = self.phase else {
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
                    return self.withdraw(now, Outcome::Unavailable(error), actions);
                }
                self.troubled = false;
                self.granted_at = Some(sent_at);
                self.fence = Some(grant.fence);
                self.lease = Some(lease);
                let waited = now.since(self.started);
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
            // Our token is fresh: nobody can have released it.
            Ok(Acquire::Withdrawn) => self.finish(Outcome::Defect, actions),
            Err(error) if error.kind == StoreErrorKind::Unavailable && now + backoff < until => {
                self.troubled = true;
                self.phase = Phase::Acquiring {
                    until,
                    retry_at: Some(now + backoff),
                    backoff: (backoff * 2).min(RETRY_MAX),
                };
            }
            Err(error) => {
                self.troubled = true;
                self.unavailable(now, error, actions);
            }
        }
    }

    fn unavailable(&mut self, now: Tick, error: StoreError, actions: &mut Vec<Action>) {
        if error.kind != StoreErrorKind::Unavailable {
            return self.withdraw(now, Outcome::Unavailable(error), actions);
        }
        match self.plan.on_unavailable {
            OnUnavailable::Fail => self.withdraw(now, Outcome::Unavailable(error), actions),
            OnUnavailable::Skip => {
                self.withdraw(now, Outcome::Skipped(Skip::Unavailable(error)), actions);
            }
            OnUnavailable::Run => {
                self.granted_at = Some(now);
                actions.push(Action::Say(Message::RunsUnlocked { error }));
                actions.push(Action::Spawn { fence: None });
            }
        }
    }

    /// Ends without the lock. A request that failed before may still arrive at
    /// the store, and must not become a holder that nobody knows of.
    fn give_up(&mut self, now: Tick, outcome: Outcome, actions: &mut Vec<Action>) {
        if self.troubled {
            self.withdraw(now, outcome, actions);
        } else {
            self.finish(outcome, actions);
        }
    }

    fn withdraw(&mut self, now: Tick, outcome: Outcome, actions: &mut Vec<Action>) {
        self.phase = Phase::Withdrawing {
            until: now + WITHDRAW_MAX,
            outcome,
        };
        actions.push(Action::Withdraw);
    }

    fn withdrawn(&mut self, actions: &mut Vec<Action>) {
        if let Phase::Withdrawing { outcome, .. } = &self.phase {
            let outcome = outcome.clone();
            self.finish(outcome, actions);
        }
    }

    fn start_failed(&mut self, now: Tick, error: StartError, actions: &mut Vec<Action>) {
        self.not_started = Some(error);
        self.release(now, actions);
    }

    // ---- signals ------------------------------------------------------------

    fn signal(&mut self, now: Tick, received: Received, actions: &mut Vec<Action>) {
        let Received { signal, origin } = received;
        match &mut self.phase {
            Phase::Idle if signal.asks_to_end() => {
                self.finish(Outcome::Interrupted(signal), actions);
            }
            Phase::Acquiring { .. } if signal.asks_to_end() => {
                self.withdraw(now, Outcome::Interrupted(signal), actions);
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
            Phase::Releasing { signalled, .. } if signal.asks_to_end() => {
                if *signalled {
                    self.finish_ended(actions);
                } else {
                    *signalled = true;
                }
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
        if let Child::Running { stopped, .. } = &mut self.child
            && (*stopped || !self.plan.shares_terminal)
        {
            *stopped = false;
            actions.push(Action::Forward(Signal::CONT));
        }
    }

    // ---- holding ------------------------------------------------------------

    fn refreshed(
        &mut self,
        now: Tick,
        sent_at: Tick,
        result: Result<Refresh, StoreError>,
        actions: &mut Vec<Action>,
    ) {
        if let Phase::Releasing { .. } = self.phase {
            // Sent while the child ran: what it says is of that time.
            if let Ok(Refresh::Lost(loss)) = result {
                self.lost_at_end(now, loss.into(), actions);
            }
            return;
        }
        let Some(lease) = &mut self.lease else { return };
        match result {
            Ok(answer @ (Refresh::Held(_) | Refresh::Retaken(_))) => {
                lease.confirmed(sent_at);
                if let Refresh::Retaken(_) = answer {
                    actions.push(Action::Say(Message::Retaken));
                } else if self.troubled {
                    actions.push(Action::Say(Message::RefreshedAgain));
                } else {
                    actions.push(Action::Say(Message::Refreshed));
                }
                self.troubled = false;
            }
            // Still ours until the lease ends, and to be released by us; but the
            // store extends it no more.
            Ok(Refresh::Revoked { by }) => {
                self.lose(
                    now,
                    LossCause::Revoked { by },
                    self.plan.terms.kill_after,
                    actions,
                );
            }
            Ok(Refresh::Lost(loss)) => {
                let kill_after = self.plan.terms.kill_after.min(KILL_AFTER_LOSS_MAX);
                let kill_after = kill_after.min(lease.kill_at().since(now));
                self.lease = None;
                self.lose(now, loss.into(), kill_after, actions);
            }
            Err(error) => {
                lease.failed(now);
                let left = lease.stop_at().since(now);
                if matches!(self.phase, Phase::Running) {
                    let urgent =
                        error.kind != StoreErrorKind::Unavailable || left < self.plan.terms.ttl / 3;
                    let first = urgent && !self.troubled;
                    self.troubled |= urgent;
                    actions.push(Action::Say(Message::RefreshFailed { error, left, first }));
                }
            }
        }
    }

    /// The lock is lost, or cannot be kept: says so once, and stops the child.
    fn lose(
        &mut self,
        now: Tick,
        cause: LossCause,
        kill_after: Duration,
        actions: &mut Vec<Action>,
    ) {
        let known = std::mem::replace(&mut self.lost, true);
        let reaction = match self.plan.on_lost {
            OnLost::Continue => Reaction::Continues,
            OnLost::Stop => {
                let kill_in = self.stop(now, kill_after, actions);
                Reaction::Stops {
                    signal: self.plan.stop_signal,
                    kill_in,
                }
            }
        };
        if let (false, Child::Running { pid, .. }) = (known, self.child) {
            let held_for = self.held_for(now);
            actions.push(Action::Say(Message::Lost {
                held_for,
                cause,
                reaction,
                pid: Some(pid),
            }));
        }
    }

    /// Orders the child's stop, and KILL after `kill_after` or when the lease
    /// has no more room, whichever is first. Says in how long that is.
    fn stop(&mut self, now: Tick, kill_after: Duration, actions: &mut Vec<Action>) -> Duration {
        let latest = (now + kill_after).min(self.lease_kill_at().unwrap_or(Tick::NEVER));
        match &mut self.phase {
            Phase::Stopping {
                kill_at,
                killed_at: None,
                ..
            } => *kill_at = latest.min(*kill_at),
            Phase::Stopping { .. } => {}
            _ => {
                self.phase = Phase::Stopping {
                    kill_at: latest,
                    killed_at: None,
                    reported: false,
                };
                actions.push(Action::StopTree(self.plan.stop_signal));
            }
        }
        latest.since(now)
    }

    fn held_for(&self, now: Tick) -> Duration {
        now.since(self.granted_at.unwrap_or(now))
    }

    fn keeper_gone(&mut self, now: Tick, actions: &mut Vec<Action>) {
        match self.phase {
            Phase::Idle | Phase::Acquiring { .. } => self.finish(Outcome::Defect, actions),
            Phase::Withdrawing { .. } => self.withdrawn(actions),
            Phase::Releasing { .. } => {
                self.release_failed(now, None, actions);
                self.finish_ended(actions);
            }
            Phase::Running | Phase::Stopping { .. } => {
                if let Some(lease) = &mut self.lease {
                    // Nobody is left to refresh it. It is still ours until it ends.
                    lease.refreshing();
                    self.lose(
                        now,
                        LossCause::KeeperGone,
                        self.plan.terms.kill_after,
                        actions,
                    );
                }
            }
            Phase::Done => {}
        }
    }

    // ---- the child ----------------------------------------------------------

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
        if matches!(self.phase, Phase::Stopping { .. }) && matches!(self.child, Child::Gone(_)) {
            self.release(now, actions);
        }
    }

    fn release(&mut self, now: Tick, actions: &mut Vec<Action>) {
        let deadline = self.lease.as_ref().map(Lease::deadline);
        match deadline {
            Some(deadline) if now < deadline => {
                let until = (now + RELEASE_MAX).min(deadline);
                self.phase = Phase::Releasing {
                    until,
                    signalled: false,
                };
                actions.push(Action::Release);
            }
            // Lost, run unlocked, or ended so late that there is nothing left to give back.
            _ => self.finish_ended(actions),
        }
    }

    fn released(
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
    fn lost_at_end(&mut self, now: Tick, cause: LossCause, actions: &mut Vec<Action>) {
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

    fn release_failed(&self, now: Tick, error: Option<StoreError>, actions: &mut Vec<Action>) {
        // After a loss that was told, this is no news.
        if !self.lost {
            let frees_in = self.frees_in(now);
            actions.push(Action::Say(Message::ReleaseFailed { error, frees_in }));
        }
    }

    fn frees_in(&self, now: Tick) -> Option<Duration> {
        let deadline = self.lease.as_ref().map(Lease::deadline)?;
        (deadline != Tick::NEVER).then(|| (deadline + self.plan.terms.drift).since(now))
    }

    // ---- time ---------------------------------------------------------------

    fn timers(&mut self, now: Tick, actions: &mut Vec<Action>) {
        match self.phase {
            Phase::Acquiring {
                until,
                retry_at: Some(at),
                backoff,
            } if now >= at => {
                self.phase = Phase::Acquiring {
                    until,
                    retry_at: None,
                    backoff,
                };
                actions.push(Action::Acquire);
            }
            Phase::Withdrawing { until, .. } if now >= until => self.withdrawn(actions),
            Phase::Releasing { until, .. } if now >= until => {
                self.release_failed(now, None, actions);
                self.finish_ended(actions);
            }
            Phase::Running => {
                if self.no_room_at().is_some_and(|at| now >= at) {
                    self.lose(now, LossCause::NoRoom, self.plan.terms.kill_after, actions);
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

    fn refresh_if_due(&mut self, now: Tick, actions: &mut Vec<Action>) {
        if let Some(lease) = &mut self.lease
            && lease.refresh_at().is_some_and(|at| now >= at)
        {
            lease.refreshing();
            actions.push(Action::Refresh);
        }
    }

    fn kill_if_due(&mut self, now: Tick, actions: &mut Vec<Action>) {
        let lease_kill_at = self.lease_kill_at().unwrap_or(Tick::NEVER);
        let Phase::Stopping {
            kill_at,
            killed_at,
            reported,
        } = &mut self.phase
        else {
            return;
        };
        let due = if killed_at.is_none() {
            lease_kill_at.min(*kill_at)
        } else {
            *kill_at
        };
        if now < due {
            return;
        }
        *kill_at = now + KILL_AGAIN;
        let first = *killed_at.get_or_insert(now);
        let failed = now >= first + KILL_FAILED;
        let report = failed && !std::mem::replace(reported, failed);
        actions.push(Action::KillTree);
        let pid = match self.child {
            Child::Running { pid, .. } => Some(pid),
            Child::None | Child::Gone(_) => None,
        };
        if now >= lease_kill_at && !std::mem::replace(&mut self.lost, true) {
            // A stop for another reason ran into the end of the lease.
            let (cause, reaction) = (LossCause::NoRoom, Reaction::Kills);
            let held_for = self.held_for(now);
            actions.push(Action::Say(Message::Lost {
                held_for,
                cause,
                reaction,
                pid,
            }));
        }
        if report {
            actions.push(Action::Say(Message::Unkillable { pid }));
        }
        // Without a lease there is nothing left to keep for it.
        if failed && self.lease.is_none() {
            self.finish_ended(actions);
        }
    }

    /// When a running child has to be stopped, or with `--on-lost continue` the
    /// lock counts as lost.
    fn no_room_at(&self) -> Option<Tick> {
        let lease = self.lease.as_ref().filter(|_| !self.lost)?;
        Some(match self.plan.on_lost {
            OnLost::Stop => lease.stop_at(),
            OnLost::Continue => lease.deadline(),
        })
    }

    /// When a stop has to end by KILL because of the lease.
    fn lease_kill_at(&self) -> Option<Tick> {
        let lease = self
            .lease
            .as_ref()
            .filter(|_| self.plan.on_lost == OnLost::Stop)?;
        Some(lease.kill_at())
    }

    fn max_runtime_at(&self) -> Option<Tick> {
        Some(self.granted_at? + self.plan.max_runtime?)
    }

    // ---- the end ------------------------------------------------------------

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
        if let Some(message) = Message::of(&outcome) {
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
