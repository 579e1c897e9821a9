//! One contest for the lock: the rounds until it is ours, or somebody else's.

use std::thread;
use std::time::{Duration, Instant};

use super::panel::{Bounds, Enough};
use super::tally::{self, Fencing, Replies, Standing};
use super::{Hold, QuorumStore, TTL_MAX, no_replies, random_below, until};
use crate::clock::{self, Tick};
use crate::store::redis::node::{Bid, Mark, Node, Vote};
use crate::store::{Acquire, Ask, Claim, Grant, StoreError, StoreErrorKind};

/// Runs that were refused by the first node give way within a few round trips;
/// a busy machine takes longer.
const SPLIT_MAX: Duration = Duration::from_secs(1);
/// A release comes to the nodes at slightly different times.
const RELEASE_MAX: Duration = Duration::from_millis(60);
/// Pauses before the others are asked again double from one to the next.
const PAUSE_MIN: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(16);
/// How many times a number that no majority confirmed is followed by a new round.
const ROUNDS_MAX: u32 = 5;
/// A node that has served for no longer than this may be one of a quorum whose first
/// use is just under way.
const FOUNDING_MAX: Duration = Duration::from_secs(60);
/// How long a run that has the lock may be held up by noting that a node has lost its memory:
/// once, while the others answer.
const NOTING_MAX: Duration = Duration::from_millis(200);

/// How a contest ended.
pub(super) enum Contest {
    Won(Grant),
    Lost {
        answer: Acquire,
        /// The first node that refused us: where to stand in line.
        at: usize,
    },
}

/// How long to go on while others have some of the nodes.
struct Patience {
    split_until: Instant,
    released_by: Instant,
}

impl Patience {
    fn new(claim: &Claim) -> Patience {
        let now = Instant::now();
        Patience {
            split_until: now + SPLIT_MAX.min(claim.ttl / 4),
            released_by: now + RELEASE_MAX,
        }
    }

    /// Whether to give in. Another run may have a majority, because it holds the
    /// lock; or, as we were granted it in line, because its release is under way.
    fn is_over(&self, is_held: bool, was_in_line: bool) -> bool {
        let until = match (is_held, was_in_line) {
            (true, false) => return true,
            (true, true) => self.released_by,
            (false, _) => self.split_until,
        };
        Instant::now() >= until
    }
}

type Votes = Vec<Option<Result<Vote, StoreError>>>;

impl QuorumStore {
    /// Contends for the lock. `start` is what a node has granted us in line already.
    /// What is not won is given back.
    pub(super) fn contend(
        &mut self,
        claim: &Claim,
        ask: Ask,
        deadline: Instant,
        start: Option<(usize, Grant)>,
    ) -> Result<Contest, StoreError> {
        let bounds = Bounds {
            deadline,
            ttl: claim.ttl,
        };
        let began = clock::now();
        let mut bid = self.bid();
        let mut votes: Votes = no_replies(self.panel.len());
        if let Some((at, grant)) = start {
            votes[at] = Some(Ok(Vote::Answer(Acquire::Granted(grant))));
            bid.only = (claim.slots > 1).then_some(grant.slot);
            bid.proposal = grant.fence.0;
        }
        let (mut pause, mut is_counted, mut rounds) = (PAUSE_MIN, false, 0);
        let mut patience = Patience::new(claim);
        let mut tried = Vec::new();
        loop {
            self.vote((claim, ask), bid, bounds, &mut votes);
            match standing_now(&votes) {
                Standing::Won(place) => {
                    self.give_back_others(claim, bid.round, place, &mut votes);
                    if let Some(grant) = self.agree((claim, began), bid, bounds, &votes) {
                        self.note_loss(claim, bounds, &votes);
                        return Ok(Contest::Won(grant));
                    }
                    self.give_back(claim, bounds, &votes);
                    rounds += 1;
                    if rounds == ROUNDS_MAX || Instant::now() >= deadline {
                        return Err(unavailable("no majority of the nodes confirmed the fence"));
                    }
                    (bid, votes) = (self.bid(), no_replies(votes.len()));
                }
                Standing::Split { place, is_held, .. }
                    if Instant::now() < deadline
                        && !patience.is_over(is_held, start.is_some() || claim.slots > 1) =>
                {
                    self.insist(claim, place, &mut bid, &mut votes);
                    thread::sleep(pause / 2 + random_below(pause / 2));
                    pause = (pause * 2).min(PAUSE_MAX);
                }
                Standing::Split {
                    refusal: answer, ..
                }
                | Standing::Refused(answer) => {
                    let here = granted_place(&votes).or(bid.only);
                    tried.extend(here);
                    let next = tally::next_place(&votes, &tried, claim.slots);
                    let may_be_free = matches!(answer, Acquire::Held(_)) && here.is_some();
                    match next.filter(|_| may_be_free && start.is_none()) {
                        Some(next) if Instant::now() < deadline => {
                            patience = Patience::new(claim);
                            self.insist(claim, next, &mut bid, &mut votes);
                        }
                        _ => return Ok(self.lose(claim, bounds, &votes, answer)),
                    }
                }
                Standing::Census if !is_counted => {
                    is_counted = true;
                    match self.census(claim, bounds) {
                        Ok(founding) => bid.founding = founding,
                        Err(error) => {
                            self.give_back(claim, bounds, &votes);
                            return Err(error);
                        }
                    }
                    clear_refusals(&mut votes);
                }
                Standing::Failed(error) => {
                    self.give_back(claim, bounds, &votes);
                    return Err(error);
                }
                Standing::Census | Standing::Open => {
                    self.give_back(claim, bounds, &votes);
                    return Err(undecided());
                }
            }
        }
    }

    /// Makes the next round one for this place alone.
    fn insist(&mut self, claim: &Claim, place: u32, bid: &mut Bid, votes: &mut Votes) {
        // What is given back is of the rounds up to now: in the next it may be granted again.
        self.give_back_others(claim, bid.round, place, votes);
        *bid = Bid {
            only: (claim.slots > 1).then_some(place),
            round: self.bid().round,
            ..*bid
        };
        clear_refusals(votes);
    }

    fn lose(&mut self, claim: &Claim, bounds: Bounds, votes: &Votes, answer: Acquire) -> Contest {
        let at = self.gate(votes);
        self.give_back(claim, bounds, votes);
        Contest::Lost { answer, at }
    }

    /// Where to stand in line: at the first node that refused us, or is a little late.
    fn gate(&self, votes: &Votes) -> usize {
        let may_refuse = |&at: &usize| match &votes[at] {
            Some(Ok(Vote::Answer(answer))) => !matches!(answer, Acquire::Granted(_)),
            Some(_) => false,
            None => !self.panel.is_silent(at),
        };
        let answers = |vote: &Option<_>| matches!(vote, Some(Ok(Vote::Answer(_))));
        (0..votes.len())
            .find(may_refuse)
            .or_else(|| votes.iter().position(answers))
            .unwrap_or(0)
    }

    /// Asks those nodes that have not voted yet.
    fn vote(&mut self, (claim, ask): (&Claim, Ask), bid: Bid, bounds: Bounds, votes: &mut Votes) {
        let question = |_| {
            let claim = claim.clone();
            move |node: &mut Node, timeout| node.vote(&claim, ask, &bid, timeout)
        };
        self.panel.ask(bounds, votes, question, |votes| {
            if bid.founding {
                return Enough::No; // all are to know that they serve
            }
            if tally::standing(votes) != Standing::Open {
                return Enough::ButForLate;
            }
            match standing_now(votes) {
                // Others have it, whatever the silent ones would say.
                Standing::Refused(_) | Standing::Split { .. } => Enough::ButForSilent,
                _ => Enough::No,
            }
        });
    }

    /// Agrees on a fence with a majority of the nodes that granted us the place; None: it did not.
    fn agree(
        &mut self,
        (claim, began): (&Claim, Tick),
        bid: Bid,
        bounds: Bounds,
        votes: &Votes,
    ) -> Option<Grant> {
        let mut grants: Vec<Option<Grant>> = votes.iter().map(granted).collect();
        let Fencing {
            agreed,
            gave,
            behind,
        } = tally::fencing(&grants);
        let needed = tally::majority(grants.len());
        let confirm = |at: usize| {
            let (claim, seen) = (claim.clone(), grants[at]);
            move |node: &mut Node, timeout| match seen {
                Some(seen) => node.confirm(&claim, &seen, agreed, timeout),
                None => Ok(false),
            }
        };
        // Those that gave it have noted it; nobody asks those whose vote was not seen.
        let mut noted: Vec<Option<Result<bool, StoreError>>> = (0..grants.len())
            .map(|at| (!behind.contains(&at)).then_some(Ok(false)))
            .collect();
        let is_noted = |noted: &Option<Result<bool, StoreError>>| matches!(noted, Some(Ok(true)));
        self.panel.ask(bounds, &mut noted, confirm, |noted| {
            if gave >= needed {
                return Enough::Yes; // the others may take their time
            }
            let count = gave + noted.iter().filter(|it| is_noted(it)).count();
            let pending = noted.iter().filter(|it| it.is_none()).count();
            if count >= needed || count + pending < needed {
                Enough::ButForLate
            } else {
                Enough::No
            }
        });
        let mut count = gave;
        for (at, _) in noted.iter().enumerate().filter(|(_, it)| is_noted(it)) {
            count += 1;
            grants[at] = grants[at].map(|grant| Grant {
                fence: agreed,
                ..grant
            });
        }
        if count < needed {
            return None;
        }
        let slot = grants.iter().flatten().map(|grant| grant.slot).next()?;
        let end_ms = grants.iter().flatten().map(|grant| grant.end_ms).min()?;
        self.fence = agreed;
        self.hold = Some(Hold {
            token: claim.token.clone(),
            fence: agreed,
            round: bid.round,
            granted_at: clock::now(),
            kept_at: began,
            grants,
        });
        Some(Grant {
            fence: agreed,
            end_ms,
            slot,
        })
    }

    /// Is this the first use of the quorum? Then all its nodes have to be there. If it is not, those
    /// that do not know of it have lost their memory, and are told to be silent for a while.
    fn census(&mut self, claim: &Claim, bounds: Bounds) -> Result<bool, StoreError> {
        // No lease is at stake.
        let bounds = Bounds {
            ttl: TTL_MAX,
            ..bounds
        };
        let ask = |store: &mut QuorumStore, note: bool| {
            let mut marks = no_replies(store.panel.len());
            let question = |_| {
                let name = claim.name.clone();
                move |node: &mut Node, timeout| node.mark(&name, note, timeout)
            };
            store
                .panel
                .ask(bounds, &mut marks, question, |_| Enough::No);
            marks
        };
        let marks = ask(self, false);
        let served = |mark: &Option<Result<Mark, StoreError>>| matches!(mark, Some(Ok(Mark::Marked(since))) if *since > FOUNDING_MAX);
        if marks.iter().any(served) {
            ask(self, true);
            return Ok(false);
        }
        for mark in &marks {
            if let Some(Err(error)) = mark {
                let text = format!(
                    "the first use of a quorum needs all of its nodes: {}",
                    error.text
                );
                return Err(StoreError::new(error.kind, text));
            }
        }
        Ok(true)
    }

    /// A node that has lost its memory while the others had a majority is to be silent for a while
    /// from now on, and not from when its vote is needed.
    fn note_loss(&mut self, claim: &Claim, bounds: Bounds, votes: &Votes) {
        if votes.iter().any(|vote| matches!(vote, Some(Ok(Vote::New)))) {
            let deadline = bounds.deadline.min(until(NOTING_MAX));
            // The lock is ours in any case.
            let _ = self.census(claim, Bounds { deadline, ..bounds });
        }
    }

    /// Gives back what nodes granted of other places than `place` in rounds up to this one.
    fn give_back_others(&mut self, claim: &Claim, round: u64, place: u32, votes: &mut Votes) {
        let is_other = |vote: &Option<_>| granted(vote).is_some_and(|grant| grant.slot != place);
        let end_of_lease = until(claim.ttl);
        for (at, vote) in votes
            .iter_mut()
            .enumerate()
            .filter(|(_, vote)| is_other(vote))
        {
            let claim = claim.clone();
            self.panel.owe(at, end_of_lease, move |node, timeout| {
                node.undo(&claim, round, timeout).map(drop)
            });
            *vote = Some(Ok(Vote::Answer(Acquire::Held(Default::default()))));
        }
    }

    /// Gives back what any node may have granted up to now, and waits for those that did.
    fn give_back(&mut self, claim: &Claim, bounds: Bounds, votes: &Votes) {
        let round = self.round;
        let may_have = |vote: &Option<Result<Vote, StoreError>>| match vote {
            Some(Ok(Vote::Answer(answer))) => matches!(answer, Acquire::Granted(_)),
            Some(Ok(_)) => false,
            Some(Err(_)) | None => true,
        };
        let mut undone: Vec<Option<Result<(), StoreError>>> = votes
            .iter()
            .map(|vote| (!may_have(vote)).then_some(Ok(())))
            .collect();
        let question = |_| {
            let claim = claim.clone();
            move |node: &mut Node, timeout| node.undo(&claim, round, timeout).map(drop)
        };
        // Also past the deadline: what is left behind keeps others out.
        let bounds = Bounds {
            deadline: bounds.deadline.max(until(RELEASE_MAX)),
            ..bounds
        };
        self.panel
            .ask(bounds, &mut undone, question, |_| Enough::ButForKnown);
        let end_of_lease = until(claim.ttl);
        for (at, reply) in undone.iter().enumerate() {
            if !matches!(reply, Some(Ok(()))) {
                self.panel.owe(at, end_of_lease, question(at));
            }
        }
    }
}

fn granted(vote: &Option<Result<Vote, StoreError>>) -> Option<Grant> {
    match vote {
        Some(Ok(Vote::Answer(Acquire::Granted(grant)))) => Some(*grant),
        _ => None,
    }
}

/// The place that the first of the nodes granted that granted any.
fn granted_place(votes: &Votes) -> Option<u32> {
    votes.iter().find_map(granted).map(|grant| grant.slot)
}

/// To be asked again are those that refused; not those that do not answer.
fn clear_refusals(votes: &mut Votes) {
    for vote in votes.iter_mut() {
        if granted(vote).is_none() && matches!(vote, Some(Ok(_))) {
            *vote = None;
        }
    }
}

/// How a round stands if those that have not answered yet never do.
fn standing_now(votes: &Replies<Vote>) -> Standing {
    let standing = tally::standing(votes);
    if standing != Standing::Open {
        return standing;
    }
    let heard = |vote: &Option<Result<Vote, StoreError>>| {
        Some(vote.clone().unwrap_or_else(|| Err(undecided())))
    };
    let votes: Votes = votes.iter().map(heard).collect();
    tally::standing(&votes)
}

fn unavailable(text: &str) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, text)
}

/// Too few answers to say anything.
pub(super) fn undecided() -> StoreError {
    unavailable("no majority of the nodes answered in time")
}
