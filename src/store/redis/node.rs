//! One node of a quorum: a server that is asked for its vote.
//!
//! The steps are those of a single server, each with a piece of script before it:
//! a grant carries the round and the hash of the set of nodes that it is of, the
//! fence is taken from what all nodes are offered, and a node that lost its memory
//! does not vote until every lease that it may have forgotten has ended.

use std::collections::BTreeSet;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use super::answer::{self, Words};
use super::script::{QUORUM_ACQUIRE, QUORUM_CONFIRM, QUORUM_MARK, QUORUM_REFRESH, QUORUM_UNDO};
use super::walk::Walk;
use super::{Limit, RedisStore, Script, Server, details, millis, once_key, per_millis};
use crate::store::past::History;
use crate::store::pattern::Pattern;
use crate::store::{
    Acquire, Ask, Checked, Claim, End, Fence, Grant, Held, LockName, Refresh, Release, Status,
    Store, StoreError, Token, Unlock, Unlocked,
};

/// What a round says to every node, besides the claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bid {
    /// Larger for every later round of a run.
    pub(crate) round: u64,
    /// The fence that all nodes are offered, so that they agree.
    pub(crate) proposal: u64,
    /// The place that it is for. None: the node chooses.
    pub(crate) only: Option<u32>,
    /// No node of the quorum has served before: this is the first use.
    pub(crate) founding: bool,
}

/// A node's answer to a bid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Vote {
    /// As a single server would answer.
    Answer(Acquire),
    /// This node has never served; or it lost its memory.
    New,
    /// It lost its memory, and has no vote for so long.
    Away(Duration),
    /// Somebody holds the lock through another set of nodes.
    OtherSet(Held),
    /// It has been asked already, under another name.
    Twin,
}

/// A node's answer to a refresh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// As a single server would answer.
    Answer(Refresh),
    /// It did not know of our hold any more and does so again: it counts from the next time on.
    Healed(Grant),
}

/// Whether a node has served before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// No, or it lost its memory.
    New,
    /// Yes; the quorum was first used this long ago (if it is known).
    Marked(Duration),
}

/// A hold as a node is asked to go on with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keep {
    /// What this node granted or confirmed last.
    pub(crate) grant: Grant,
    /// The fence of the hold.
    pub(crate) agreed: Fence,
    /// The rest of the minimum hold, to heal a node with. None: it is not to be healed.
    pub(crate) rest: Option<Duration>,
    /// The round that it was granted in.
    pub(crate) round: u64,
}

/// One node, with a connection of its own.
pub(crate) struct Node {
    store: RedisStore,
    mark: String,
    set: String,
}

impl Node {
    /// The locks on `server` whose keys begin with `key_prefix`, as those of a node of
    /// the set with this hash: the one of this number.
    pub(crate) fn new(server: Arc<Server>, key_prefix: &str, (set, number): (&str, usize)) -> Node {
        Node {
            store: RedisStore::new(server, key_prefix.to_owned()),
            mark: format!("{{{key_prefix}}}:node"),
            set: format!("{set}/{number}"),
        }
    }

    /// What is asked of this one is sent behind what `self` waits for at that time, and nobody
    /// waits for an answer. None: there is no way to do that.
    pub(crate) fn behind(&self) -> Option<Node> {
        Some(Node {
            store: self.store.behind()?,
            mark: self.mark.clone(),
            set: self.set.clone(),
        })
    }

    fn step<T>(
        &mut self,
        (text, name): (&str, &LockName),
        args: &[&str],
        limit: Limit,
        read: impl FnOnce(Words) -> Option<T>,
    ) -> Result<T, StoreError> {
        let args = [args, &[&self.set]].concat();
        let script = Script {
            text,
            name,
            mark: Some(&self.mark),
            args: &args,
        };
        self.store.step(&script, limit, read)
    }

    fn ask(
        &mut self,
        claim: &Claim,
        ask: Ask,
        bid: &Bid,
        limit: Limit,
    ) -> Result<Vote, StoreError> {
        let mut args = self.store.acquire_args(claim, ask);
        args.push(bid.proposal.to_string());
        args.push(bid.only.map_or_else(String::new, |place| place.to_string()));
        args.push(if bid.founding { "found" } else { "" }.to_owned());
        args.push(bid.round.to_string());
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let step = (QUORUM_ACQUIRE, &claim.name);
        let (vote, ticket) = self.step(step, &args, limit, |words| vote(words, claim.slots))?;
        Ok(match vote {
            Vote::Answer(answer) => Vote::Answer(self.store.acquired(claim, answer, ticket)),
            other => other,
        })
    }

    /// A single try.
    pub(crate) fn vote(
        &mut self,
        claim: &Claim,
        ask: Ask,
        bid: &Bid,
        timeout: Duration,
    ) -> Result<Vote, StoreError> {
        self.store.line = None;
        self.ask(claim, ask, bid, Limit::new(timeout))
    }

    /// Stands in line here, or asks again there.
    pub(crate) fn vote_in_line(
        &mut self,
        claim: &Claim,
        ask: Ask,
        bid: &Bid,
        timeout: Duration,
    ) -> Result<Vote, StoreError> {
        let limit = Limit::new(timeout);
        // Listening comes first: what changes after the answer is told.
        self.store.listen(claim, limit)?;
        self.ask(claim, ask, bid, limit)
    }

    /// Readable when it is worth asking again.
    pub(crate) fn bell(&self) -> Option<BorrowedFd<'_>> {
        self.store.bell()
    }

    /// The second phase of the fence: whether this node took note of `agreed`, and still shows us
    /// with the grant that we have seen.
    pub(crate) fn confirm(
        &mut self,
        claim: &Claim,
        seen: &Grant,
        agreed: Fence,
        timeout: Duration,
    ) -> Result<bool, StoreError> {
        let args = [
            claim.token.as_str(),
            &seen.slot.to_string(),
            &seen.fence.to_string(),
            &agreed.to_string(),
            "0",
        ];
        let step = (QUORUM_CONFIRM, &claim.name);
        self.step(step, &args, Limit::new(timeout), |mut words| {
            match words.text()?.as_str() {
                "noted" => Some(true),
                "refused" => Some(false),
                _ => None,
            }
        })
    }

    /// Lets the lease run from now; heals the node if it does not know of the hold.
    pub(crate) fn refresh(
        &mut self,
        claim: &Claim,
        keep: &Keep,
        timeout: Duration,
    ) -> Result<Kept, StoreError> {
        let args = [
            claim.token.as_str(),
            &millis(claim.ttl),
            &keep.grant.fence.to_string(),
            &keep.grant.end_ms.to_string(),
            &details(claim),
            &keep.grant.slot.to_string(),
            &keep.agreed.to_string(),
            &keep
                .rest
                .map_or_else(String::new, |rest| rest.as_millis().to_string()),
            &keep.round.to_string(),
        ];
        let step = (QUORUM_REFRESH, &claim.name);
        let granted = Grant {
            // What it has noted by now if it answers "held".
            fence: keep.grant.fence.max(keep.agreed),
            ..keep.grant
        };
        self.step(step, &args, Limit::new(timeout), |words| {
            let mut first = words.clone();
            if first.text()? != "healed" {
                return answer::refresh(words, &granted).map(Kept::Answer);
            }
            Some(Kept::Healed(Grant {
                end_ms: first.number()?,
                fence: first.fence()?,
                ..granted
            }))
        })
    }

    /// Takes back what rounds up to this one were granted here, but not what a later one was.
    pub(crate) fn undo(
        &mut self,
        claim: &Claim,
        round: u64,
        timeout: Duration,
    ) -> Result<Release, StoreError> {
        let args = [
            claim.token.as_str(),
            "",
            "withdrawn",
            "0",
            "", // a place in line stays
            &per_millis(claim),
            &once_key(claim),
            "",
            &round.to_string(),
        ];
        let step = (QUORUM_UNDO, &claim.name);
        self.step(step, &args, Limit::new(timeout), answer::release)
    }

    /// Looks whether it has served before; `note` that it should have.
    pub(crate) fn mark(
        &mut self,
        name: &LockName,
        note: bool,
        timeout: Duration,
    ) -> Result<Mark, StoreError> {
        let args = [if note { "note" } else { "look" }, "0"];
        self.step(
            (QUORUM_MARK, name),
            &args,
            Limit::new(timeout),
            |mut words| match words.text()?.as_str() {
                "new" => Some(Mark::New),
                "marked" => Some(Mark::Marked(words.millis()?)),
                _ => None,
            },
        )
    }

    /// See [`Store::release`].
    pub(crate) fn release(
        &mut self,
        claim: &Claim,
        end: End,
        timeout: Duration,
    ) -> Result<Release, StoreError> {
        self.store.release(claim, end, timeout)
    }

    /// See [`Store::check`].
    pub(crate) fn check(
        &mut self,
        name: &LockName,
        token: &Token,
        timeout: Duration,
    ) -> Result<Checked, StoreError> {
        self.store.check(name, token, timeout)
    }

    /// See [`Store::extend`]. A node that does not know the token is not healed: what
    /// it would have to be told of the hold only the process knows that was granted it.
    pub(crate) fn extend(
        &mut self,
        name: &LockName,
        token: &Token,
        ttl: Option<Duration>,
        timeout: Duration,
    ) -> Result<Checked, StoreError> {
        self.store.extend(name, token, ttl, timeout)
    }

    /// See [`Store::give_back`].
    pub(crate) fn give_back(
        &mut self,
        name: &LockName,
        token: &Token,
        timeout: Duration,
    ) -> Result<Release, StoreError> {
        self.store.give_back(name, token, timeout)
    }

    /// See [`Store::inspect`].
    pub(crate) fn inspect(
        &mut self,
        name: &LockName,
        timeout: Duration,
    ) -> Result<Status, StoreError> {
        self.store.inspect(name, timeout)
    }

    /// See [`Store::history`].
    pub(crate) fn history(
        &mut self,
        name: &LockName,
        timeout: Duration,
    ) -> Result<History, StoreError> {
        self.store.history(name, timeout)
    }

    /// The names of all locks here that `pattern` matches, added to `names`. Each
    /// request on the way takes at most `timeout`.
    pub(crate) fn names(
        &mut self,
        pattern: &Pattern,
        names: &mut BTreeSet<LockName>,
        timeout: Duration,
    ) -> Result<(), StoreError> {
        for mut line in self.store.lines(timeout)? {
            let mut walk = Walk::new();
            loop {
                let (found, on) = self.store.page(&mut line, &mut walk, pattern, timeout)?;
                names.extend(found.into_iter().map(|found| found.name));
                if on.is_break() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// What there is to be seen of each of these.
    pub(crate) fn look_at(
        &mut self,
        names: &[LockName],
        timeout: Duration,
    ) -> Result<Vec<Status>, StoreError> {
        let mut statuses = Vec::new();
        for mut line in self.store.lines(timeout)? {
            let asked: Vec<_> = names.iter().map(|name| (name, None)).collect();
            let mut asked = &asked[..];
            while !asked.is_empty() {
                let seen = self.store.look_at(&mut line, asked, timeout)?;
                asked = &asked[seen.len()..];
                statuses.extend(seen.into_iter().map(Option::unwrap_or_default));
            }
        }
        Ok(statuses)
    }

    /// See [`Store::unlock`].
    pub(crate) fn unlock(
        &mut self,
        name: &LockName,
        how: Unlock,
        by: &str,
        timeout: Duration,
    ) -> Result<Vec<Unlocked>, StoreError> {
        self.store.unlock(name, how, by, timeout)
    }
}

fn vote(words: Words, slots: u32) -> Option<(Vote, Option<u64>)> {
    let mut first = words.clone();
    let vote = match first.text()?.as_str() {
        "new" => Vote::New,
        "twin" => Vote::Twin,
        "away" => Vote::Away(first.millis()?),
        "otherset" => Vote::OtherSet(first.held_if_any()?.unwrap_or_default()),
        // Of a place that the bid is not for there may be nothing to tell.
        "held" => Vote::Answer(Acquire::Held(first.held_if_any()?.unwrap_or_default())),
        _ => {
            let (answer, ticket) = answer::acquire(words, slots)?;
            return Some((Vote::Answer(answer), ticket));
        }
    };
    Some((vote, None))
}
