//! Waiting for a lock, in line.
//!
//! Nobody blocks here. Each time the waiter asks, it looks who stands before it,
//! tries the places that none of these can use, and sees to it that the bell
//! rings when that may have changed. A hand-off costs the same however long the
//! line is: a release rings for the first alone, and who leaves the line rings
//! for the one behind it.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::bell::Bell;
use super::line::{Line, Ticket, Waiter};
use super::lock_file::{Hold, LockFile};
use super::patience::Patience;
use super::request::{Manner, Outcome, Request, TURN_MAX, Unclaimed};
use crate::store::{Done, Queued, StoreError, Token};

/// When the first in line asks again after the bell rang: the bell of a crashed
/// holder rings a moment before the kernel frees its lock. It doubles.
const AGAIN_MIN: Duration = Duration::from_millis(1);

/// Where it ends: what no bell rings for (a directory that was renamed, another
/// program that lets go of the file) is noticed within a second.
const AGAIN_MAX: Duration = Duration::from_secs(1);

/// Without a bell: often enough for a job, and rare enough for the machine.
const AGAIN_WITHOUT_BELL: Duration = Duration::from_millis(50);

/// Behind others there is nothing to see but a line whose file was deleted, and
/// a line that stands still. The second looks after the first.
const AGAIN_AS_SECOND: Duration = TURN_MAX;
const AGAIN_BEHIND: Duration = Duration::from_secs(5);

/// A place in line of ours. Dropping it leaves the line.
#[derive(Debug)]
pub(super) struct Wait {
    pub(super) token: Token,
    ticket: Ticket,
    /// None: the system refuses.
    bell: Option<Bell>,
    again: Duration,
    unclaimed: Option<Unclaimed>,
}

/// The outcome of asking in line.
pub(super) enum Turn {
    Ours(Box<Hold>),
    Done(Done),
    CoolingDown(Duration),
    Queued(Queued),
}

impl Wait {
    /// Joins the line as its last.
    pub(super) fn join(request: &Request<'_>) -> Result<Wait, StoreError> {
        let line = Line::new(request.directory, &request.claim.name);
        Ok(Wait {
            token: request.claim.token.clone(),
            ticket: join(request, &line)?,
            bell: Bell::new().ok(),
            again: AGAIN_MIN,
            unclaimed: None,
        })
    }

    pub(super) fn bell(&self) -> Option<BorrowedFd<'_>> {
        self.bell.as_ref().map(Bell::fd)
    }

    /// Leaves the line at once, and the bell to whoever has the time to close it.
    pub(super) fn leave(self) -> Option<Bell> {
        drop(self.ticket);
        self.bell
    }

    /// Asks, and tries again for as long as `patience` says that a refusal may
    /// not be what it seems. None: at once.
    pub(super) fn ask(
        &mut self,
        request: &Request<'_>,
        mut patience: Option<Patience>,
    ) -> Result<Turn, StoreError> {
        let rang = self.bell.as_ref().is_some_and(Bell::silence);
        let line = Line::new(request.directory, &request.claim.name);
        if !line.has(&self.ticket)? {
            // Somebody deleted the file: those who come find another one.
            self.ticket = join(request, &line)?;
            // Those with the same numbers are others now.
            self.bell.iter_mut().for_each(Bell::forget_line);
        }
        loop {
            let before = line.before(&self.ticket)?;
            let is_first = reserved(&before) < request.claim.slots;
            // Before the try, so that nothing is missed after it.
            let has_bell = self.hang_bell(request, &line, &before);
            let refusal = match request.attempt(&before, Manner::Quiet, &mut self.unclaimed)? {
                Outcome::Ours(hold) => return Ok(Turn::Ours(hold)),
                Outcome::Done(done) => return Ok(Turn::Done(done)),
                Outcome::Refused(refusal) => refusal,
            };
            if let Some(remaining) = refusal.only_cooling_down() {
                return Ok(Turn::CoolingDown(remaining));
            }
            if let Some(patience) = &mut patience
                && !patience.is_over()
                && is_first
                && !refusal.is_settled(patience)
            {
                patience.pause();
                continue;
            }
            self.again = match rang {
                true => AGAIN_MIN,
                false => (self.again * 2).min(AGAIN_MAX),
            };
            let at_latest = match before.len() {
                _ if !has_bell => AGAIN_WITHOUT_BELL.min(self.again),
                _ if is_first => self.again,
                1 => AGAIN_AS_SECOND,
                _ => AGAIN_BEHIND,
            };
            let until_cool = refusal.cooling_down.map(|remaining| remaining + AGAIN_MIN);
            let until_passed_over = refusal.reserved.map(|left| left + AGAIN_MIN);
            let until_ended = refusal.lease.map(|left| left + AGAIN_MIN);
            let ask_in = [until_cool, until_passed_over, until_ended];
            let ask_in = ask_in.into_iter().flatten();
            return Ok(Turn::Queued(Queued {
                held: refusal.held,
                place: u32::try_from(before.len() + 1).ok(),
                ask_in: ask_in.fold(at_latest, Duration::min),
            }));
        }
    }

    /// Sees to it that the bell rings when it is worth asking again. False: it may not.
    fn hang_bell(&mut self, request: &Request<'_>, line: &Line<'_>, before: &[Waiter]) -> bool {
        let Some(bell) = &mut self.bell else {
            return false;
        };
        let slots = request.claim.slots;
        let blocker = blocker(before, slots).map(|waiter| waiter.ticket);
        let rings_for_line = bell.ring_without(blocker, &self.ticket);
        let ours = reserved(before)..slots;
        if ours.is_empty() {
            return rings_for_line;
        }
        let path = |file_name: &str| request.directory.path_of(file_name);
        let places = ours.map(|slot| {
            let file = LockFile::new(request.directory, &request.claim.name, slot);
            path(&file.file_name)
        });
        bell.watch(places, path(&line.file_name)) && rings_for_line
    }
}

/// Joins the line as its last, and says who we are.
fn join(request: &Request<'_>, line: &Line<'_>) -> Result<Ticket, StoreError> {
    let ticket = line.join(request.claim.slots)?;
    ticket.announce(&request.claim.holder);
    Ok(ticket)
}

/// The places below this one are for those who stand `before` us.
pub(super) fn reserved(before: &[Waiter]) -> u32 {
    before.iter().map(|waiter| waiter.slots).max().unwrap_or(0)
}

/// Whose end has to be waited for. With somebody before us who can use all of
/// our places, the last of these; else the last of those who use the most.
fn blocker(before: &[Waiter], slots: u32) -> Option<&Waiter> {
    let most = reserved(before).min(slots);
    before.iter().rfind(|waiter| waiter.slots >= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn before(slots: &[u32]) -> Vec<Waiter> {
        let numbered = (0..).zip(slots);
        numbered
            .map(|(ticket, slots)| Waiter {
                ticket,
                slots: *slots,
            })
            .collect()
    }

    #[test]
    fn one_waits_for_the_last_who_bars_all_ones_places_or_else_for_the_last_who_bars_the_most() {
        let awaited = |slots: &[u32], own| blocker(&before(slots), own).map(|waiter| waiter.ticket);
        assert_eq!(awaited(&[], 1), None);
        assert_eq!(awaited(&[1, 1, 1], 1), Some(2));
        assert_eq!(awaited(&[5, 4, 4], 4), Some(2), "no crowd behind the first");
        assert_eq!(awaited(&[5, 4, 4], 5), Some(0));
        assert_eq!(awaited(&[4, 3, 4, 3], 5), Some(2));
        assert_eq!(reserved(&before(&[4, 3, 4, 3])), 4);
    }
}
