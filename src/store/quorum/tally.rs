//! What the answers of several nodes mean together. Pure: nothing is asked here.
//!
//! A lock is ours when a majority of the nodes granted the same place of it. Any
//! two majorities have a node in common, and a node grants a place to one run at a
//! time: that is all that exclusion rests on.

use std::time::Duration;

use super::past::{known_to, last, most_of};
use crate::store::past::History;
use crate::store::redis::node::{Kept, Vote};
use crate::store::{
    Acquire, Done, Fence, Grant, Held, Loss, Refresh, Release, Slot, Status, StoreError,
    StoreErrorKind, Unlocked,
};

/// What each node answered; None: nothing so far.
pub(super) type Replies<T> = [Option<Result<T, StoreError>>];

/// How many of `nodes` are more than half.
pub(super) fn majority(nodes: usize) -> usize {
    nodes / 2 + 1
}

/// How a round stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// More answers are needed.
    Open,
    /// A majority granted this place.
    Won(u32),
    /// Others have some of the nodes, but the first one that can be reached
    /// granted us this place: whoever it refused is to give way.
    Split {
        place: u32,
        /// What to say if nobody gives way.
        refusal: Acquire,
        /// One other run has a majority: it holds the lock.
        is_held: bool,
    },
    /// Not to be had now.
    Refused(Acquire),
    /// A majority needs nodes that have never served, or have lost their memory.
    Census,
    /// No majority answers.
    Failed(StoreError),
}

/// How a round stands after these votes, of nodes in their fixed order.
pub(super) fn standing(replies: &Replies<Vote>) -> Standing {
    let needed = majority(replies.len());
    let answers: Vec<&Acquire> = replies.iter().filter_map(answer).collect();
    if let Some(error) = replies.iter().find_map(|reply| match reply {
        Some(Ok(Vote::OtherSet(held))) => Some(other_set(held)),
        Some(Ok(Vote::Twin)) => Some(twin()),
        _ => None,
    }) {
        return Standing::Failed(error);
    }
    // Each of these is true, whichever node knows it.
    let certain = |answer: &&&Acquire| {
        let done = Acquire::Done(Done::SameKey);
        matches!(**answer, Acquire::Withdrawn | Acquire::Done(_)) && ***answer != done
    };
    if let Some(answer) = answers.iter().find(certain) {
        return Standing::Refused((*answer).clone());
    }
    let first = answers.first().copied();
    if let Some(Acquire::Reserved { .. }) = first {
        return Standing::Refused(first.cloned().unwrap_or(Acquire::Withdrawn));
    }
    let granted = |place| {
        let is_it = |answer: &&&Acquire| matches!(answer, Acquire::Granted(it) if it.slot == place);
        answers.iter().filter(is_it).count()
    };
    let ours = match first {
        Some(Acquire::Granted(grant)) => Some(grant.slot),
        _ => None,
    };
    let places = answers.iter().filter_map(|answer| match answer {
        Acquire::Granted(grant) => Some(grant.slot),
        _ => None,
    });
    let best = ours.or_else(|| places.max_by_key(|&place| granted(place)));
    let votes = best.map_or(0, granted);
    if let Some(place) = best
        && votes >= needed
    {
        return Standing::Won(place);
    }
    let pending = replies.iter().filter(|reply| reply.is_none()).count();
    if votes + pending >= needed {
        return Standing::Open;
    }
    let is_new = |reply: &&Option<_>| matches!(reply, Some(Ok(Vote::New)));
    let new = replies.iter().filter(is_new).count();
    let without_vote = replies.len() - pending - answers.len();
    if replies.len() - without_vote < needed {
        let others = without_vote - new;
        return if replies.len() - others >= needed {
            Standing::Census
        } else {
            Standing::Failed(no_majority(replies))
        };
    }
    let (refusal, is_held) = refusal(&answers, needed);
    match ours {
        Some(place) => Standing::Split {
            place,
            refusal,
            is_held,
        },
        None => Standing::Refused(refusal),
    }
}

/// The place to try after those that turned out to be taken: the one that most
/// nodes granted, else the lowest. None: enough were tried, or all.
pub(super) fn next_place(replies: &Replies<Vote>, tried: &[u32], slots: u32) -> Option<u32> {
    /// As many as are likely to be free for one run, and taken by others, in the same moment.
    const TRIED_MAX: usize = 8;
    let granted = |place: u32| {
        let is_it = |it: &&Acquire| matches!(it, Acquire::Granted(grant) if grant.slot == place);
        replies.iter().filter_map(answer).filter(is_it).count()
    };
    let left = (0..slots).filter(|place| !tried.contains(place)).rev();
    left.max_by_key(|&place| granted(place))
        .filter(|_| tried.len() < TRIED_MAX)
}

fn answer(reply: &Option<Result<Vote, StoreError>>) -> Option<&Acquire> {
    match reply {
        Some(Ok(Vote::Answer(answer))) => Some(answer),
        _ => None,
    }
}

/// What to say of a lock that is not to be had, and whether one run has a majority of it.
fn refusal(answers: &[&Acquire], needed: usize) -> (Acquire, bool) {
    let held = answers.iter().filter_map(|answer| match answer {
        Acquire::Held(held) => Some(held),
        _ => None,
    });
    let by = most_named(held);
    let mut cooling: Vec<Duration> = answers
        .iter()
        .filter_map(|answer| match answer {
            Acquire::CoolingDown { remaining } => Some(*remaining),
            _ => None,
        })
        .collect();
    cooling.sort_unstable();
    let count = |of: fn(&Acquire) -> bool| answers.iter().filter(|answer| of(answer)).count();
    let granted = count(|answer| matches!(answer, Acquire::Granted(_)));
    let reserved = answers
        .iter()
        .find(|answer| matches!(answer, Acquire::Reserved { .. }));
    if answers.len() == granted {
        // To us, but different places.
        return (Acquire::Held(Held::default()), false);
    }
    if let Some((held, named)) = by
        && cooling.len() < needed
    {
        return (Acquire::Held(held.clone()), named >= needed);
    }
    if let Some(reserved) = reserved {
        return ((*reserved).clone(), false);
    }
    if count(|answer| matches!(answer, Acquire::Done(_))) > 0 {
        return (Acquire::Done(Done::SameKey), true);
    }
    // When enough of them are through with it.
    let until = needed
        .saturating_sub(granted + 1)
        .min(cooling.len().saturating_sub(1));
    let remaining = cooling.get(until).copied().unwrap_or_default();
    (Acquire::CoolingDown { remaining }, true)
}

/// The holder that most of these name, and how many do.
pub(super) fn most_named<'a>(held: impl Iterator<Item = &'a Held>) -> Option<(&'a Held, usize)> {
    let all: Vec<&Held> = held.collect();
    let named = |one: &Held| all.iter().filter(|other| is_same(one, other)).count();
    all.iter()
        .map(|held| (*held, named(held)))
        .rev()
        .max_by_key(|(_, named)| *named)
}

fn is_same(one: &Held, other: &Held) -> bool {
    let id = |held: &Held| held.holder.as_ref().map(|holder| holder.id.clone());
    id(one) == id(other)
}

fn other_set(held: &Held) -> StoreError {
    let by = held
        .holder
        .as_ref()
        .map_or_else(|| "another run".to_owned(), |holder| holder.who.clone());
    let text = format!(
        "the lock is held by {by} through other nodes than these: every run has to name the same ones"
    );
    StoreError::new(StoreErrorKind::Misconfigured, text)
}

fn twin() -> StoreError {
    let text =
        "two of the URLs lead to the same server: the nodes of a quorum are different servers";
    StoreError::new(StoreErrorKind::Misconfigured, text)
}

/// Why there is no majority: what one of those says that do not serve.
pub(super) fn no_majority<T>(replies: &Replies<T>) -> StoreError
where
    T: Absent,
{
    let errors: Vec<StoreError> = replies
        .iter()
        .filter_map(|reply| match reply {
            Some(Err(error)) => Some(error.clone()),
            Some(Ok(vote)) => vote.why_not(),
            None => None,
        })
        .collect();
    let lasting = |error: &&StoreError| error.kind != StoreErrorKind::Unavailable;
    let kind = errors
        .iter()
        .find(lasting)
        .map_or(StoreErrorKind::Unavailable, |error| error.kind);
    let mut reasons: Vec<&str> = Vec::new();
    for error in errors.iter().filter(|error| error.kind == kind) {
        if !reasons.contains(&error.text.as_str()) {
            reasons.push(&error.text);
        }
    }
    let (count, all, why) = (errors.len(), replies.len(), reasons.join("; "));
    StoreError::new(
        kind,
        format!("{count} of the {all} nodes do not serve: {why}"),
    )
}

/// An answer that may say that the node does not serve.
pub(super) trait Absent {
    /// Why it does not.
    fn why_not(&self) -> Option<StoreError> {
        None
    }
}

impl Absent for Vote {
    fn why_not(&self) -> Option<StoreError> {
        let text = match self {
            Vote::Away(rest) => format!(
                "one came back without its memory and may not vote for another {}s, until all that it \
                 may have forgotten is over",
                rest.as_millis().div_ceil(1000)
            ),
            Vote::New => "one has never served".to_owned(),
            Vote::Answer(_) | Vote::OtherSet(_) | Vote::Twin => return None,
        };
        Some(StoreError::new(StoreErrorKind::Unavailable, text))
    }
}

impl Absent for Kept {
    fn why_not(&self) -> Option<StoreError> {
        let text = match self {
            Kept::Answer(Refresh::Held(_) | Refresh::Retaken(_)) => return None,
            Kept::Answer(_) => "one does not know of us",
            Kept::Healed(_) => "one had forgotten us",
        };
        Some(StoreError::new(StoreErrorKind::Unavailable, text))
    }
}

impl Absent for Release {}
impl Absent for Status {}
impl Absent for History {}
impl Absent for () {}
impl Absent for Vec<Unlocked> {}

/// The fence of a round, after the first phase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fencing {
    /// The highest number that was seen.
    pub(super) agreed: Fence,
    /// The nodes that gave it themselves: they need not be told.
    pub(super) gave: usize,
    /// The nodes that gave less.
    pub(super) behind: Vec<usize>,
}

/// The fence of these grants, of those nodes whose answer was seen.
pub(super) fn fencing(seen: &[Option<Grant>]) -> Fencing {
    let fences = || seen.iter().flatten().map(|grant| grant.fence);
    let agreed = fences().max().unwrap_or(Fence(0));
    let is_behind = |grant: &Option<Grant>| grant.is_some_and(|grant| grant.fence < agreed);
    Fencing {
        agreed,
        gave: fences().filter(|fence| *fence == agreed).count(),
        behind: (0..seen.len()).filter(|&at| is_behind(&seen[at])).collect(),
    }
}

/// Whether the lock is still ours. None: more answers are needed.
pub(super) fn keeping(
    replies: &Replies<Kept>,
    last: &Grant,
) -> Option<Result<Refresh, StoreError>> {
    let needed = majority(replies.len());
    let answers = || {
        replies.iter().filter_map(|reply| match reply {
            Some(Ok(Kept::Answer(answer))) => Some(answer),
            _ => None,
        })
    };
    if let Some(revoked) = answers().find(|answer| matches!(answer, Refresh::Revoked { .. })) {
        return Some(Ok(revoked.clone()));
    }
    let ends: Vec<u64> = answers()
        .filter_map(|answer| match answer {
            Refresh::Held(grant) | Refresh::Retaken(grant) => Some(grant.end_ms),
            _ => None,
        })
        .collect();
    if ends.len() >= needed {
        let grant = Grant {
            end_ms: ends.iter().copied().min().unwrap_or(0).max(last.end_ms),
            ..*last
        };
        let held = answers().filter(|answer| matches!(answer, Refresh::Held(_)));
        let intact = held.count() >= needed;
        return Some(Ok(if intact {
            Refresh::Held(grant)
        } else {
            Refresh::Retaken(grant)
        }));
    }
    let losses: Vec<&Loss> = answers()
        .filter_map(|answer| match answer {
            Refresh::Lost(loss) => Some(loss),
            _ => None,
        })
        .collect();
    if replies.len() - losses.len() < needed {
        let held = losses.iter().filter_map(|loss| match loss {
            Loss::TakenOver(held) => Some(held),
            _ => None,
        });
        let by = most_named(held).map(|(held, _)| Loss::TakenOver(held.clone()));
        let loss = by.or_else(|| losses.first().map(|loss| (*loss).clone()));
        return Some(Ok(Refresh::Lost(loss.unwrap_or(Loss::FenceMoved))));
    }
    let pending = replies.iter().any(Option::is_none);
    (!pending).then(|| Err(no_majority(replies)))
}

/// Whether the lock is free. None: more answers are needed.
pub(super) fn releasing(replies: &Replies<Release>) -> Option<Result<Release, StoreError>> {
    let needed = majority(replies.len());
    let answers = || replies.iter().flatten().flatten();
    let count = |of: fn(&Release) -> bool| answers().filter(|answer| of(answer)).count();
    let released = count(|answer| *answer == Release::Released);
    if released >= needed {
        return Some(Ok(Release::Released));
    }
    let strangers = count(|answer| matches!(answer, Release::NotOurs(_)));
    if replies.len() - strangers < needed {
        let held = answers().filter_map(|answer| match answer {
            Release::NotOurs(held) => held.as_ref(),
            _ => None,
        });
        let by = most_named(held).map(|(held, _)| held.clone());
        return Some(Ok(Release::NotOurs(by)));
    }
    if replies.iter().any(Option::is_none) {
        return None;
    }
    let forgotten = count(|answer| *answer == Release::Forgotten);
    Some(if released + forgotten >= needed {
        Ok(Release::Forgotten)
    } else {
        Err(no_majority(replies))
    })
}

/// What the lock looks like. None: more answers are needed.
pub(super) fn looking(replies: &Replies<Status>) -> Option<Result<Status, StoreError>> {
    let needed = majority(replies.len());
    if replies.iter().any(Option::is_none) {
        return None;
    }
    let told: Vec<&Status> = replies.iter().flatten().flatten().collect();
    if told.len() < needed {
        return Some(Err(no_majority(replies)));
    }
    // What does not answer may know of it, too.
    let unheard = replies.len() - told.len();
    let enough = needed - unheard;
    let places = told.iter().map(|status| status.slots.len()).max();
    let slots = (0..places.unwrap_or(1)).map(|place| {
        let seen = || {
            told.iter()
                .filter_map(move |status| status.slots.get(place))
        };
        let held = most_named(seen().filter_map(|slot| slot.held.as_ref()));
        let cooling: Vec<Duration> = seen().filter_map(|slot| slot.cooling_down).collect();
        let cools = cooling.len() + unheard >= needed;
        Slot {
            held: held
                .filter(|(_, named)| named + unheard >= needed)
                .map(|(held, _)| held.clone()),
            fence: seen().filter_map(|slot| slot.fence).max(),
            cooling_down: cooling.into_iter().max().filter(|_| cools),
        }
    });
    Some(Ok(Status {
        slots: slots.collect(),
        waiting: told.iter().filter_map(|status| status.waiting).max(),
        waiters: most_of(told.iter().map(|status| &status.waiters)),
        last: last(
            told.iter().filter_map(|status| status.last.as_ref()),
            enough,
        ),
        last_success: told.iter().filter_map(|status| status.last_success).min(),
        skips: known_to(enough, told.iter().map(|status| status.skips)),
    }))
}

/// Whether anything is known of the lock that looks like this.
pub(super) fn is_known(status: &Status) -> bool {
    let has_slot = status.slots.iter().any(|slot| *slot != Slot::default());
    let has_line = status.waiting.is_none_or(|waiting| waiting > 0);
    has_slot || has_line || status.last.is_some() || status.skips > 0
}

/// Whether a majority has answered. None: more answers are needed.
pub(super) fn answered(replies: &Replies<()>) -> Option<Result<(), StoreError>> {
    let count = replies.iter().flatten().flatten().count();
    if count >= majority(replies.len()) {
        return Some(Ok(()));
    }
    let pending = replies.iter().any(Option::is_none);
    (!pending).then(|| Err(no_majority(replies)))
}

/// What became of the places that were held. None: more answers are needed.
pub(super) fn unlocking(
    replies: &Replies<Vec<Unlocked>>,
) -> Option<Result<Vec<Unlocked>, StoreError>> {
    let needed = majority(replies.len());
    if replies.iter().any(Option::is_none) {
        return None;
    }
    let told: Vec<&Vec<Unlocked>> = replies.iter().flatten().flatten().collect();
    if told.len() < needed {
        return Some(Err(no_majority(replies)));
    }
    let unheard = replies.len() - told.len();
    let held = |unlocked: &Unlocked| match unlocked {
        Unlocked::Asked(held) | Unlocked::Freed(held) | Unlocked::CannotAsk(held) => held.clone(),
    };
    let named = |one: &Held| {
        let names = |list: &&&Vec<Unlocked>| list.iter().any(|it| is_same(&held(it), one));
        told.iter().filter(names).count()
    };
    let mut merged: Vec<Unlocked> = Vec::new();
    for unlocked in told.iter().copied().flatten() {
        let one = held(unlocked);
        let known = merged.iter().any(|other| is_same(&held(other), &one));
        if !known && named(&one) + unheard >= needed {
            merged.push(unlocked.clone());
        }
    }
    Some(Ok(merged))
}

#[cfg(test)]
mod tests;
