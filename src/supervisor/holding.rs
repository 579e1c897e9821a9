//! While the child runs: keeping the lease, and stopping the child when it cannot be kept.

use std::time::Duration;

use super::{Action, Child, OnLost, Outage, Phase, Supervisor};
use crate::clock::Tick;
use crate::exit::Outcome;
use crate::message::{LossCause, Message, Reaction};
use crate::store::{Refresh, StoreError, StoreErrorKind};

/// After a definite loss somebody else may run already: no more than this from
/// the stop signal to KILL.
const KILL_AFTER_LOSS_MAX: Duration = Duration::from_secs(2);
/// KILL is sent again this often, to what was forked in the meantime.
const KILL_AGAIN: Duration = Duration::from_millis(100);
/// What has not died this long after KILL cannot be killed by us.
const KILL_FAILED: Duration = Duration::from_secs(2);

impl Supervisor {
    pub(super) fn refreshed(
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
                actions.push(Action::Say(match (answer, self.outage) {
                    (Refresh::Retaken(_), _) => Message::Retaken,
                    (_, Outage::None) => Message::Refreshed,
                    (_, outage) => Message::RefreshedAgain {
                        told: outage == Outage::Told,
                    },
                }));
                self.outage = Outage::None;
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
                    let first = urgent && self.outage != Outage::Told;
                    if first {
                        self.outage = Outage::Told;
                    } else if self.outage == Outage::None {
                        self.outage = Outage::Quiet;
                    }
                    // A lock without end is not stopped for; nor is a command
                    // that is to go on.
                    let stops = self.plan.on_lost == OnLost::Stop && !self.plan.unending;
                    let left = stops.then_some(left);
                    actions.push(Action::Say(Message::RefreshFailed { error, left, first }));
                }
            }
        }
    }

    /// The lock is lost, or cannot be kept: says so once, and stops the child.
    pub(super) fn lose(
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
                if kill_in.is_zero() {
                    Reaction::Kills
                } else {
                    Reaction::Stops {
                        signal: self.plan.stop_signal,
                        kill_in,
                    }
                }
            }
        };
        if !known {
            let (held_for, pid) = (self.held_for(now), self.pid());
            actions.push(Action::Say(Message::Lost {
                held_for,
                cause,
                reaction,
                pid,
            }));
        }
    }

    /// Orders the child's stop, and KILL after `kill_after` or when the lease
    /// has no more room, whichever is first. Says in how long that is; zero: it
    /// is being killed.
    pub(super) fn stop(
        &mut self,
        now: Tick,
        kill_after: Duration,
        actions: &mut Vec<Action>,
    ) -> Duration {
        let latest = (now + kill_after).min(self.lease_kill_at().unwrap_or(Tick::NEVER));
        match &mut self.phase {
            Phase::Stopping {
                kill_at,
                killed_at: None,
                ..
            } => {
                *kill_at = latest.min(*kill_at);
                kill_at.since(now)
            }
            Phase::Stopping { .. } => Duration::ZERO,
            _ => {
                self.phase = Phase::Stopping {
                    kill_at: latest,
                    killed_at: None,
                    reported: false,
                };
                if now < latest {
                    actions.push(Action::StopTree(self.plan.stop_signal));
                } else {
                    // Too late for that: it would also wake what is stopped.
                    self.kill_if_due(now, actions);
                }
                latest.since(now)
            }
        }
    }

    pub(super) fn keeper_gone(&mut self, now: Tick, actions: &mut Vec<Action>) {
        match self.phase {
            Phase::Idle | Phase::Acquiring(_) => self.finish(Outcome::Defect, actions),
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

    /// The child's, while it is there.
    fn pid(&self) -> Option<u32> {
        match self.child {
            Child::Running { pid, .. } => Some(pid),
            Child::None | Child::Gone(_) => None,
        }
    }

    pub(super) fn held_for(&self, now: Tick) -> Duration {
        now.since(self.granted_at.unwrap_or(now))
    }

    pub(super) fn refresh_if_due(&mut self, now: Tick, actions: &mut Vec<Action>) {
        if let Some(lease) = &mut self.lease
            && lease.refresh_at().is_some_and(|at| now >= at)
        {
            lease.refreshing();
            actions.push(Action::Refresh);
        }
    }

    pub(super) fn kill_if_due(&mut self, now: Tick, actions: &mut Vec<Action>) {
        let lease_kill_at = self.lease_kill_at().unwrap_or(Tick::NEVER);
        let Phase::Stopping {
            kill_at,
            killed_at,
            reported,
        } = &mut self.phase
        else {
            return;
        };
        if now < *kill_at {
            return;
        }
        *kill_at = now + KILL_AGAIN;
        let first = *killed_at.get_or_insert(now);
        let failed = now >= first + KILL_FAILED;
        let report = failed && !std::mem::replace(reported, failed);
        actions.push(Action::KillTree);
        let pid = self.pid();
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
    pub(super) fn no_room_at(&self) -> Option<Tick> {
        let lease = self.lease.as_ref().filter(|_| !self.lost)?;
        Some(match self.plan.on_lost {
            OnLost::Stop => lease.stop_at(),
            OnLost::Continue => lease.deadline(),
        })
    }

    /// When a stop has to end by KILL because of the lease.
    pub(super) fn lease_kill_at(&self) -> Option<Tick> {
        let lease = self
            .lease
            .as_ref()
            .filter(|_| self.plan.on_lost == OnLost::Stop)?;
        Some(lease.kill_at())
    }

    pub(super) fn max_runtime_at(&self) -> Option<Tick> {
        Some(self.started_at? + self.plan.max_runtime?)
    }
}
