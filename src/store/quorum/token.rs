//! Holds that are known by their token alone (`tasklock acquire`): what each node says of
//! it, and what that means together.
//!
//! Rounds and fences are for competing; whoever holds the lock already needs neither.
//! What is less than for a run: a node that lost its memory is not healed.

use std::time::Duration;

use super::panel::{Bounds, Enough};
use super::tally::{Absent, Replies, majority, most_named, no_majority, releasing};
use super::{Node, QuorumStore, TTL_MAX, decided, no_replies, until};
use crate::store::{Checked, LockName, Release, StoreError, StoreErrorKind, Tenure, Token};

impl QuorumStore {
    /// Asks every node what it says of a token, with what `question` makes for it.
    pub(super) fn ask_of_token<F>(
        &mut self,
        question: impl Fn(usize) -> F,
        timeout: Duration,
    ) -> Result<Checked, StoreError>
    where
        F: FnMut(&mut Node, Duration) -> Result<Checked, StoreError> + Send + 'static,
    {
        let mut replies = no_replies(self.panel.len());
        let bounds = of_token(timeout);
        self.panel.ask(bounds, &mut replies, question, |replies| {
            match checking(replies) {
                None => Enough::No,
                Some(_) => Enough::ButForLate,
            }
        });
        decided(checking(&replies))
    }

    /// Gives back what any node has of a token.
    pub(super) fn give_back_everywhere(
        &mut self,
        name: &LockName,
        token: &Token,
        timeout: Duration,
    ) -> Result<Release, StoreError> {
        let mut replies = no_replies(self.panel.len());
        let question = |_| {
            let (name, token) = (name.clone(), token.clone());
            move |node: &mut Node, timeout| node.give_back(&name, &token, timeout)
        };
        let bounds = of_token(timeout);
        self.panel.ask(bounds, &mut replies, question, |replies| {
            match releasing(replies) {
                None => Enough::No,
                Some(_) => Enough::ButForLate,
            }
        });
        decided(releasing(&replies))
    }
}

/// Nobody here judges how much of the lease is left.
fn of_token(timeout: Duration) -> Bounds {
    Bounds {
        deadline: until(timeout),
        ttl: TTL_MAX,
    }
}

/// Whether a token holds the lock. None: more answers are needed.
fn checking(replies: &Replies<Checked>) -> Option<Result<Checked, StoreError>> {
    let needed = majority(replies.len());
    let answers = || replies.iter().flatten().flatten();
    if let Some(revoked) = answers().find(|answer| matches!(answer, Checked::Revoked { .. })) {
        return Some(Ok(revoked.clone()));
    }
    let tenures: Vec<Tenure> = answers()
        .filter_map(|answer| match answer {
            Checked::Held(tenure) => Some(*tenure),
            _ => None,
        })
        .collect();
    // A grant is of one place; another may be left over on a node that was slow to give it back.
    let of = |slot: u32| tenures.iter().filter(move |tenure| tenure.slot == slot);
    if let Some(slot) = tenures
        .iter()
        .map(|it| it.slot)
        .find(|&it| of(it).count() >= needed)
    {
        let mut lefts: Vec<Duration> = of(slot).filter_map(|tenure| tenure.remaining).collect();
        lefts.sort_unstable_by(|one, other| other.cmp(one));
        return Some(Ok(Checked::Held(Tenure {
            slot,
            ttl: of(slot).map(|tenure| tenure.ttl).min().unwrap_or_default(),
            // As long does a majority know of it.
            remaining: lefts.get(needed - 1).copied(),
        })));
    }
    let strangers = answers().filter_map(|answer| match answer {
        Checked::NotHeld(held) => Some(held.as_ref()),
        _ => None,
    });
    if replies.len() - strangers.clone().count() < needed {
        let by = most_named(strangers.flatten()).map(|(held, _)| held.clone());
        return Some(Ok(Checked::NotHeld(by)));
    }
    let pending = replies.iter().any(Option::is_none);
    (!pending).then(|| Err(no_majority(replies)))
}

impl Absent for Checked {
    fn why_not(&self) -> Option<StoreError> {
        let text = match self {
            Checked::Held(_) => return None,
            _ => "one does not know of the token",
        };
        Some(StoreError::new(StoreErrorKind::Unavailable, text))
    }
}
