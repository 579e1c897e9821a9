//! A quorum: several independent servers, of which a majority decides.
//!
//! Promises what one server does, and goes on while a minority of the nodes is
//! down, cut off or without memory. Each run has its own connection to each node;
//! they are asked at the same time, and no node is waited for once enough have
//! answered. The fence is agreed on in two phases: see [`tally::fencing`] and the
//! model in `tests/it/protocol/fence.rs`, which also shows what is wrong with less.
//!
//! # Rounds
//! Every attempt to be granted the lock is a round, whose number goes with each
//! request: the run's token and the round are together what a fresh token would be.
//! Taking back what one round was granted never takes back what a later one was, in
//! whatever order the requests arrive, and the token alone takes back everything.
//!
//! When several runs compete, the first node that can be reached decides: whom it
//! grants a place goes on asking the others for it, whom it refuses gives back what
//! it has. Safety does not rest on that, only progress.
//!
//! # Waiting
//! A run stands in line at the first node that refused it, like at a single server.
//! Once granted the lock there, it asks the other nodes.

mod contest;
mod nodes;
mod panel;
mod past;
mod tally;
mod token;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use self::contest::Contest;
pub use self::nodes::Nodes;
use self::panel::{Bounds, Enough, Panel};
use super::past::History;
use super::pattern::Pattern;
use super::redis::node::{Bid, Keep, Kept, Node, Vote};
use super::{
    Acquire, Ask, Checked, Claim, End, Fence, Grant, LockName, Queued, Refresh, Release, Status,
    Store, StoreError, Token, Unlock, Unlocked,
};
use crate::clock::{self, Tick};

/// The longest ttl: as long does a node that lost its memory have no vote.
pub const TTL_MAX: Duration = Duration::from_secs(5 * 60);
/// More than any request needs, and little enough to be added to an `Instant`.
const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// How often a free lock is contended for in one request by a run in line.
const CONTESTS: usize = 3;
/// When the first in line looks at all nodes again.
const LOOK_AFTER: Duration = Duration::from_secs(1);
/// How many locks of a list the nodes are asked for at a time.
const PAGE: usize = 500;
/// A waiter that lost a contest asks again after a random part of this.
const AGAIN_MAX: Duration = Duration::from_millis(200);

/// The locks of a quorum. Connects at the first request.
pub struct QuorumStore {
    panel: Panel,
    /// The last round's number.
    round: u64,
    /// The last fence that was agreed on here.
    fence: Fence,
    hold: Option<Hold>,
    stand: Option<Stand>,
}

/// The lock as we hold it.
struct Hold {
    token: Token,
    fence: Fence,
    round: u64,
    granted_at: Tick,
    /// When the request was sent that was confirmed last.
    kept_at: Tick,
    /// What each node granted or confirmed last; None: it does not know us.
    grants: Vec<Option<Grant>>,
}

/// Where a run stands in line, with a connection of its own.
struct Stand {
    token: Token,
    at: usize,
    node: Node,
}

impl QuorumStore {
    /// The locks on `nodes` whose keys begin with `key_prefix`.
    #[must_use]
    pub fn new(nodes: &Nodes, key_prefix: &str) -> QuorumStore {
        QuorumStore {
            panel: Panel::new(&nodes.servers, key_prefix, &nodes.set),
            round: 0,
            fence: Fence(0),
            hold: None,
            stand: None,
        }
    }

    /// A bid of a new round. By the clock, so that all nodes are likely to take the
    /// fence that is proposed, and another store of the same run does not repeat a number.
    fn bid(&mut self) -> Bid {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let micros = now.map_or(0, |now| u64::try_from(now.as_micros()).unwrap_or(0));
        self.round = micros.max(self.round + 1);
        Bid {
            round: self.round,
            proposal: micros.max(self.fence.0 + 1),
            only: None,
            founding: false,
        }
    }

    /// The names that any node knows; a majority of them has to answer.
    fn names(&self, pattern: &Pattern, timeout: Duration) -> Result<Vec<LockName>, StoreError> {
        let mut names = BTreeSet::new();
        let mut replies = no_replies(self.panel.len());
        for (at, reply) in replies.iter_mut().enumerate() {
            *reply = Some(self.panel.node(at).names(pattern, &mut names, timeout));
        }
        decided(tally::answered(&replies))?;
        Ok(names.into_iter().collect())
    }

    /// Asks where we stand in line, or at the node `at` from now on.
    fn ask_in_line(
        &mut self,
        claim: &Claim,
        ask: Ask,
        at: usize,
        deadline: Instant,
    ) -> Result<Vote, StoreError> {
        let bid = self.bid();
        let ours = |stand: &Stand| stand.at == at && stand.token == claim.token;
        let stand = match self.stand.take().filter(ours) {
            Some(stand) => stand,
            None => Stand {
                token: claim.token.clone(),
                at,
                node: self.panel.node(at),
            },
        };
        let stand = self.stand.insert(stand);
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = self.panel.timeout(at, claim.ttl).min(left);
        stand.node.vote_in_line(claim, ask, &bid, timeout)
    }

    /// What to answer in line. The first one looks at the other nodes as well: who held the lock
    /// may have released it there and died, or not have reached the one where we stand.
    fn queued(
        &mut self,
        (claim, ask): (&Claim, Ask),
        queued: Queued,
        deadline: Instant,
    ) -> Result<Acquire, StoreError> {
        if queued.place.is_some_and(|place| place > 1) {
            return Ok(Acquire::Queued(queued));
        }
        if let Ok(Contest::Won(grant)) = self.contend(claim, ask, deadline, None) {
            self.stand = None;
            return Ok(Acquire::Granted(grant));
        }
        Ok(Acquire::Queued(Queued {
            ask_in: queued.ask_in.min(LOOK_AFTER),
            ..queued
        }))
    }

    fn acquire_in_line(
        &mut self,
        claim: &Claim,
        ask: Ask,
        deadline: Instant,
    ) -> Result<Acquire, StoreError> {
        let stands = |stand: &&Stand| stand.token == claim.token;
        // A free lock costs one round, in line or not.
        let mut gate = self.stand.as_ref().filter(stands).map(|stand| stand.at);
        let mut refused = None;
        for _ in 0..CONTESTS {
            let mut start = None;
            if let Some(at) = gate {
                match self.ask_in_line(claim, ask, at, deadline) {
                    Ok(Vote::Answer(Acquire::Queued(queued))) if refused.is_some() => {
                        return Ok(Acquire::Queued(queued));
                    }
                    Ok(Vote::Answer(Acquire::Queued(queued))) => {
                        return self.queued((claim, ask), queued, deadline);
                    }
                    Ok(Vote::Answer(Acquire::Granted(grant))) => start = Some((at, grant)),
                    // What it says is for all nodes to decide, and so is where to stand next.
                    _ => self.stand = None,
                }
            }
            match self.contend(claim, ask, deadline, start)? {
                Contest::Won(grant) => {
                    self.stand = None;
                    return Ok(Acquire::Granted(grant));
                }
                Contest::Lost { answer, at } => match answer {
                    Acquire::Held(_) | Acquire::Reserved { .. } => {
                        gate = Some(at);
                        refused = Some(answer);
                    }
                    other => {
                        self.stand = None;
                        return Ok(other);
                    }
                },
            }
        }
        // Free and contended for: all of us ask again, at different times.
        if let Some(at) = gate
            && let Ok(Vote::Answer(Acquire::Queued(queued))) =
                self.ask_in_line(claim, ask, at, deadline)
        {
            return Ok(Acquire::Queued(Queued {
                ask_in: random_below(AGAIN_MAX).min(queued.ask_in),
                ..queued
            }));
        }
        Ok(Acquire::Queued(Queued {
            held: refused.and_then(|answer| match answer {
                Acquire::Held(held) => Some(held),
                _ => None,
            }),
            place: None,
            ask_in: random_below(AGAIN_MAX),
        }))
    }
}

/// A random duration below `limit`: who competes must not do so in step.
fn random_below(limit: Duration) -> Duration {
    // Without random bits the time has to do.
    let random = getrandom::u32().unwrap_or_else(|_| {
        clock::now()
            .since(Tick::from_boot(Duration::ZERO))
            .subsec_nanos()
    });
    limit.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

fn until(timeout: Duration) -> Instant {
    Instant::now() + timeout.min(TIMEOUT_MAX)
}

fn no_replies<T>(count: usize) -> Vec<Option<Result<T, StoreError>>> {
    (0..count).map(|_| None).collect()
}

impl Store for QuorumStore {
    fn acquire(
        &mut self,
        claim: &Claim,
        ask: Ask,
        timeout: Duration,
    ) -> Result<Acquire, StoreError> {
        let deadline = until(timeout);
        if ask.in_line {
            return self.acquire_in_line(claim, ask, deadline);
        }
        self.stand = None;
        Ok(match self.contend(claim, ask, deadline, None)? {
            Contest::Won(grant) => Acquire::Granted(grant),
            Contest::Lost { answer, .. } => answer,
        })
    }

    fn bell(&self) -> Option<BorrowedFd<'_>> {
        self.stand.as_ref()?.node.bell()
    }

    fn refresh(
        &mut self,
        claim: &Claim,
        grant: &Grant,
        timeout: Duration,
    ) -> Result<Refresh, StoreError> {
        let hold = self.hold.as_ref();
        let hold = hold.filter(|hold| hold.token == claim.token && hold.fence == grant.fence);
        let asked_at = clock::now();
        // Who lets the lease end, or never had it, is not to take a node anew.
        let heals = hold.is_some_and(|hold| asked_at.since(hold.kept_at) < claim.ttl);
        let rest = hold.map_or(Duration::ZERO, |hold| {
            let held = asked_at.since(hold.granted_at);
            claim.min_hold.saturating_sub(held)
        });
        let round = hold.map_or(0, |hold| hold.round);
        let known = |at: usize| match hold {
            None => *grant,
            Some(hold) => hold.grants[at].unwrap_or(Grant {
                end_ms: 0,
                ..*grant
            }),
        };
        let keeps: Vec<Keep> = (0..self.panel.len())
            .map(|at| Keep {
                grant: known(at),
                agreed: grant.fence,
                rest: heals.then_some(rest),
                round,
            })
            .collect();
        let mut replies = no_replies(keeps.len());
        let question = |at: usize| {
            let (claim, keep) = (claim.clone(), keeps[at]);
            move |node: &mut Node, timeout| node.refresh(&claim, &keep, timeout)
        };
        let bounds = Bounds {
            deadline: until(timeout),
            ttl: claim.ttl,
        };
        self.panel.ask(
            bounds,
            &mut replies,
            question,
            |replies| match tally::keeping(replies, grant) {
                None => Enough::No,
                Some(_) => Enough::ButForLate,
            },
        );
        let answer = decided(tally::keeping(&replies, grant));
        if let Some(hold) = self.hold.as_mut().filter(|hold| hold.token == claim.token) {
            if let Ok(Refresh::Held(_) | Refresh::Retaken(_)) = answer {
                hold.kept_at = asked_at;
            }
            for (at, reply) in replies.iter().enumerate() {
                match reply {
                    Some(Ok(
                        Kept::Healed(grant)
                        | Kept::Answer(Refresh::Held(grant) | Refresh::Retaken(grant)),
                    )) => hold.grants[at] = Some(*grant),
                    Some(Ok(Kept::Answer(Refresh::Lost(_)))) => hold.grants[at] = None,
                    _ => {}
                }
            }
        }
        answer
    }

    fn release(
        &mut self,
        claim: &Claim,
        end: End,
        timeout: Duration,
    ) -> Result<Release, StoreError> {
        self.stand = None;
        let mut replies = no_replies(self.panel.len());
        let question = |_| {
            let claim = claim.clone();
            move |node: &mut Node, timeout| node.release(&claim, end, timeout)
        };
        let bounds = Bounds {
            deadline: until(timeout),
            ttl: claim.ttl,
        };
        self.panel.ask(
            bounds,
            &mut replies,
            question,
            |replies| match tally::releasing(replies) {
                None => Enough::No,
                Some(_) => Enough::ButForKnown,
            },
        );
        let end_of_lease = until(claim.ttl);
        for (at, reply) in replies.iter().enumerate() {
            if !matches!(reply, Some(Ok(_))) {
                let question = question(at);
                self.panel.owe(at, end_of_lease, move |node, timeout| {
                    question(node, timeout).map(drop)
                });
            }
        }
        self.hold.take_if(|hold| hold.token == claim.token);
        decided(tally::releasing(&replies))
    }

    fn check(
        &mut self,
        name: &LockName,
        token: &Token,
        timeout: Duration,
    ) -> Result<Checked, StoreError> {
        let question = |_| {
            let (name, token) = (name.clone(), token.clone());
            move |node: &mut Node, timeout| node.check(&name, &token, timeout)
        };
        self.ask_of_token(question, timeout)
    }

    fn extend(
        &mut self,
        name: &LockName,
        token: &Token,
        ttl: Option<Duration>,
        timeout: Duration,
    ) -> Result<Checked, StoreError> {
        let question = |_| {
            let (name, token) = (name.clone(), token.clone());
            move |node: &mut Node, timeout| node.extend(&name, &token, ttl, timeout)
        };
        self.ask_of_token(question, timeout)
    }

    fn give_back(
        &mut self,
        name: &LockName,
        token: &Token,
        timeout: Duration,
    ) -> Result<Release, StoreError> {
        self.give_back_everywhere(name, token, timeout)
    }

    fn inspect(&mut self, name: &LockName, timeout: Duration) -> Result<Status, StoreError> {
        let mut replies = no_replies(self.panel.len());
        let question = |_| {
            let name = name.clone();
            move |node: &mut Node, timeout| node.inspect(&name, timeout)
        };
        self.panel
            .ask(of_admin(timeout), &mut replies, question, |_| Enough::No);
        decided(tally::looking(&replies))
    }

    fn history(&mut self, name: &LockName, timeout: Duration) -> Result<History, StoreError> {
        let mut replies = no_replies(self.panel.len());
        let question = |_| {
            let name = name.clone();
            move |node: &mut Node, timeout| node.history(&name, timeout)
        };
        self.panel
            .ask(of_admin(timeout), &mut replies, question, |_| Enough::No);
        decided(past::remembering(&replies))
    }

    fn list(
        &mut self,
        pattern: &Pattern,
        tell: &mut dyn FnMut(&LockName, &Status) -> ControlFlow<()>,
        timeout: Duration,
    ) -> Result<(), StoreError> {
        let names = self.names(pattern, timeout)?;
        for page in names.chunks(PAGE) {
            let mut replies = no_replies(self.panel.len());
            let question = |_| {
                let page = page.to_vec();
                move |node: &mut Node, timeout| node.look_at(&page, timeout)
            };
            self.panel
                .ask(of_admin(timeout), &mut replies, question, |_| Enough::No);
            for (at, name) in page.iter().enumerate() {
                let seen: Vec<_> = replies
                    .iter()
                    .map(|reply| {
                        reply.as_ref().map(|reply| match reply {
                            Ok(seen) => Ok(seen.get(at).cloned().unwrap_or_default()),
                            Err(error) => Err(error.clone()),
                        })
                    })
                    .collect();
                let status = decided(tally::looking(&seen))?;
                if tally::is_known(&status) && tell(name, &status).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn unlock(
        &mut self,
        name: &LockName,
        how: Unlock,
        by: &str,
        timeout: Duration,
    ) -> Result<Vec<Unlocked>, StoreError> {
        let mut replies = no_replies(self.panel.len());
        let question = |_| {
            let (name, by) = (name.clone(), by.to_owned());
            move |node: &mut Node, timeout| node.unlock(&name, how, &by, timeout)
        };
        self.panel
            .ask(of_admin(timeout), &mut replies, question, |_| Enough::No);
        decided(tally::unlocking(&replies))
    }
}

/// An administrator's requests go to all nodes, and have no lease to lose.
fn of_admin(timeout: Duration) -> Bounds {
    Bounds {
        deadline: until(timeout),
        ttl: TTL_MAX,
    }
}

/// Once all have answered or had their time, something is decided.
fn decided<T>(answer: Option<Result<T, StoreError>>) -> Result<T, StoreError> {
    answer.unwrap_or_else(|| Err(contest::undecided()))
}

#[cfg(test)]
mod tests;
