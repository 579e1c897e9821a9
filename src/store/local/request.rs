//! One request for a lock: is there a need to run, and which place is free?

use std::time::Duration;

use super::directory::Directory;
use super::line::Waiter;
use super::lock_file::{Found, Hold, LockFile};
use super::once::OnceFile;
use super::patience::Patience;
use super::record::Moment;
use crate::clock::{self, Tick};
use crate::store::{Claim, Done, End, Fence, Held, Once, StoreError};

/// How long the first in line may leave a place alone that is free, before others
/// take it: it is stopped, or does not get the processor.
pub(super) const TURN_MAX: Duration = Duration::from_secs(1);

/// The same for those behind so many others. Each of these gets its turn first,
/// and takes as long again to see that it is its turn ([`super::wait`]).
fn turns_of(before: usize) -> Duration {
    let turns = before.saturating_mul(2).saturating_sub(1);
    TURN_MAX.saturating_mul(u32::try_from(turns).unwrap_or(u32::MAX))
}

/// Somebody's request, in the directory as it is now.
pub(super) struct Request<'a> {
    pub(super) directory: &'a Directory,
    pub(super) claim: &'a Claim,
    /// When the run was asked for. None: that does not matter, as it is bound by nothing done.
    asked: Option<Moment>,
}

/// How a place is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// As soon as can be.
    Plain,
    /// So that a refusal rings no bell, not even our own.
    Quiet,
}

/// The outcome of one try.
pub(super) enum Outcome {
    Ours(Box<Hold>),
    Done(Done),
    Refused(Refusal),
}

/// Why no place was taken.
#[derive(Default)]
pub(super) struct Refusal {
    /// The holder of the first place that is held.
    pub(super) held: Option<Held>,
    /// A holder has not written its name yet.
    unnamed: bool,
    /// A holder was killed, and its command is about to die.
    orphaned: bool,
    /// Somebody only looks.
    pub(super) onlooker: bool,
    /// A place is free for those before us in line: for so long still.
    pub(super) reserved: Option<Duration>,
    /// The first lease of a hold without a process ends in this time.
    pub(super) lease: Option<Duration>,
    /// The place that has cooled down first has done so in this time.
    pub(super) cooling_down: Option<Duration>,
}

impl Refusal {
    /// Whether it is to be believed; else it is worth another try right now.
    pub(super) fn is_settled(&self, patience: &Patience) -> bool {
        let held = self.held.is_none() || patience.settles(!self.unnamed);
        let onlooker = !self.onlooker || patience.is_over_with_onlookers();
        let orphaned = !self.orphaned || patience.is_over_with_orphans();
        let reserved = self.reserved.is_none() || patience.is_over();
        held && onlooker && orphaned && reserved
    }

    /// What is left of a minimum hold, if nothing else is in the way.
    pub(super) fn only_cooling_down(&self) -> Option<Duration> {
        let else_nothing = self.held.is_none() && self.reserved.is_none() && !self.onlooker;
        self.cooling_down.filter(|_| else_nothing)
    }
}

/// A place that was seen free while others came first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unclaimed {
    slot: u32,
    /// As long as it does not change, nobody was granted the place.
    fence: Option<Fence>,
    since: Tick,
}

impl<'a> Request<'a> {
    /// A request for a run that was asked for so long ago.
    pub(super) fn new(directory: &'a Directory, claim: &'a Claim, waited: Duration) -> Request<'a> {
        let bound = claim.once != Once::default();
        Request {
            directory,
            claim,
            asked: bound.then(|| Moment::now().before(waited)),
        }
    }

    /// Tries each place of the claim once, but leaves to those who stand `before`
    /// us in line what they can use, unless they do not take it: `unclaimed` is
    /// what the last try saw of that.
    pub(super) fn attempt(
        &self,
        before: &[Waiter],
        manner: Manner,
        unclaimed: &mut Option<Unclaimed>,
    ) -> Result<Outcome, StoreError> {
        let Some(asked) = &self.asked else {
            return Ok(match self.places(before, manner, unclaimed)? {
                Ok(hold) => Outcome::Ours(hold),
                Err(refusal) => Outcome::Refused(refusal),
            });
        };
        let mut once = OnceFile::lock(self.directory, &self.claim.name)?;
        if let Some(done) = once.done(&self.claim.once, asked) {
            return Ok(Outcome::Done(done));
        }
        let mut hold = match self.places(before, manner, unclaimed)? {
            Ok(hold) => hold,
            Err(refusal) => return Ok(Outcome::Refused(refusal)),
        };
        if let Some(period) = self.claim.once.per {
            match once.count(period, asked) {
                Ok(tick) => hold.attempt = Some(tick),
                Err(error) => {
                    // Not counted, hence not granted.
                    self.file(hold.slot).release(&hold, End::Withdrawn);
                    hold.free();
                    return Err(error);
                }
            }
        }
        Ok(Outcome::Ours(hold))
    }

    fn places(
        &self,
        before: &[Waiter],
        manner: Manner,
        unclaimed: &mut Option<Unclaimed>,
    ) -> Result<Result<Box<Hold>, Refusal>, StoreError> {
        let seen_before = unclaimed.take();
        let mut refusal = Refusal::default();
        for slot in 0..self.claim.slots.max(1) {
            let file = self.file(slot);
            let before = before.iter().filter(|waiter| waiter.slots > slot).count();
            let mut found = match manner {
                _ if before > 0 => file.find()?,
                Manner::Plain => file.take(self.claim)?,
                Manner::Quiet => file.take_quietly(self.claim)?,
            };
            if let Found::Free { fence } = found {
                let since = match seen_before {
                    Some(before) if (before.slot, before.fence) == (slot, fence) => before.since,
                    _ => clock::now(),
                };
                let left = turns_of(before).saturating_sub(clock::now().since(since));
                if left.is_zero() {
                    found = file.take(self.claim)?;
                } else {
                    unclaimed.get_or_insert(Unclaimed { slot, fence, since });
                    refusal.reserved.get_or_insert(left);
                }
            }
            match found {
                Found::Ours(hold) => return Ok(Ok(hold)),
                Found::Free { .. } => {}
                Found::Onlooker => refusal.onlooker = true,
                Found::CoolingDown(remaining) => {
                    let least = refusal.cooling_down.map_or(remaining, |r| r.min(remaining));
                    refusal.cooling_down = Some(least);
                }
                Found::Orphaned(held) => {
                    refusal.orphaned = true;
                    refusal.held.get_or_insert(held);
                }
                Found::Held { held, named } => {
                    refusal.unnamed |= !named;
                    refusal.lease = [refusal.lease, held.remaining].into_iter().flatten().min();
                    refusal.held.get_or_insert(held);
                }
            }
        }
        Ok(Err(refusal))
    }

    fn file(&self, slot: u32) -> LockFile<'_> {
        LockFile::new(self.directory, &self.claim.name, slot)
    }
}
