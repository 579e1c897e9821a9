//! Lock files of this host.
//!
//! One file per lock. Its holder keeps it open under the kernel's `flock`, which
//! ends with the process: a crashed holder is gone at once, nothing expires, and
//! the timeouts of the requests are ignored because none of them waits for
//! anybody. The file's one line of JSON says who holds the lock and which fence
//! came last; a holder named there that has no kernel lock is a crashed one. Its
//! command, in a second line while it runs, is dead before the next is granted the
//! lock. The file is never removed, or two runs could lock two files of the same name.
//!
//! A lock of several places has a file for each. Who waits stands in line in
//! one more file ([`line`]), made by the first who has to; what is done already
//! stands in another ([`once`]), made by the first run that asks for it, and what
//! is remembered of the runs in one more ([`history`]).
//!
//! Promised: one holder at a time, fences that grow, and that nothing outside
//! the directory is touched. Where somebody *deletes* the lock file of a holder,
//! the next run cannot see it and is admitted, until the holder's next refresh:
//! that puts the file back, or finds the other run there and answers "lost".
//! Where somebody deletes the file of a line, those in it and those who come
//! later do not know the order between them, until each has asked again.
//! A waiter that is stopped (SIGSTOP) keeps its place in line; a lock that is
//! free for it, and that it does not take for a second, goes to the one behind it.
//! Not promised: anything on network file systems, or against users who may
//! write to the same directory.

mod bell;
mod directory;
mod file_name;
mod history;
mod lease;
mod line;
mod listing;
mod lock_file;
mod once;
mod patience;
mod record;
mod request;
mod token;
mod wait;

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::footprint::Track;
use crate::store::past::{HISTORY_MAX, History, PastOutcome};
use crate::store::pattern::Pattern;
use crate::store::{
    Acquire, Ask, Checked, Claim, End, Grant, Held, Lasts, LockName, Loss, Once, Refresh, Release,
    Slot, Status, Store, StoreError, Token, Unlock, Unlocked,
};
use bell::Bell;
use directory::{Directory, Place};
use history::{Past, RunsFile};
use line::Line;
use lock_file::{FreedBy, Hold, LockFile, Look};
use once::OnceFile;
use patience::Patience;
use record::Moment;
use request::{Manner, Outcome, Request, Unclaimed};
use wait::{Turn, Wait};

/// Locks as files of this host.
#[derive(Debug)]
pub struct LocalStore {
    place: Place,
    holds: Vec<Hold>,
    /// The one that asked last is the last.
    waits: Vec<Wait>,
    /// Of the waits that ended well. To close a bell takes the kernel up to 20 ms
    /// (it waits for all who may be ringing it), and the job is to start now.
    silent: Vec<Bell>,
    /// What single tries saw free, and reserved for those in line.
    unclaimed: HashMap<LockName, Unclaimed>,
    /// Released or withdrawn here. Of a hold that outlives its process, which
    /// others may release, its file remembers that.
    spent: Vec<Token>,
}

impl LocalStore {
    /// Locks in `directory`, shared by whoever may write there, or in this
    /// user's own: `/run/lock/tasklock-UID`, and where this user cannot create
    /// that, `/tmp/tasklock-UID` (a service with `PrivateTmp=` then has one of
    /// its own: choose a directory to share locks with it).
    ///
    /// Opens nothing yet: what is wrong with the directory is the answer to the
    /// first request.
    #[must_use]
    pub fn open(directory: Option<PathBuf>) -> LocalStore {
        LocalStore::at(directory.map_or_else(Place::of_this_user, Place::Shared))
    }

    fn at(place: Place) -> LocalStore {
        LocalStore {
            place,
            holds: Vec::new(),
            waits: Vec::new(),
            silent: Vec::new(),
            unclaimed: HashMap::new(),
            spent: Vec::new(),
        }
    }

    /// Where the lock files are.
    pub(crate) fn path(&self) -> &Path {
        self.place.path()
    }

    /// Our hold for `claim`.
    fn hold(&mut self, claim: &Claim) -> Option<&mut Hold> {
        self.holds.iter_mut().find(|hold| hold.token == claim.token)
    }

    fn find(&self) -> Result<Option<Directory>, StoreError> {
        Directory::find(&self.place)
    }

    /// Keeps the place that was granted, or leaves it to its lease.
    fn keep(&mut self, hold: Box<Hold>) -> Acquire {
        let grant = hold.grant();
        if hold.is_leased() {
            hold.free();
        } else {
            self.holds.push(*hold);
        }
        Acquire::Granted(grant)
    }

    /// Tries until the answer is to be believed.
    fn try_once(&mut self, request: &Request<'_>) -> Result<Acquire, StoreError> {
        let name = &request.claim.name;
        let line = Line::new(request.directory, name);
        let mut patience = Patience::new();
        loop {
            let refusal = match self.attempt(request, &line.waiters()?)? {
                Outcome::Ours(hold) => return Ok(self.keep(hold)),
                Outcome::Done(done) => return Ok(Acquire::Done(done)),
                Outcome::Refused(refusal) => refusal,
            };
            if refusal.is_settled(&patience) {
                let runs = RunsFile::new(request.directory, name);
                runs.skipped(&request.claim.holder);
                return Ok(match refusal.only_cooling_down() {
                    Some(remaining) => Acquire::CoolingDown { remaining },
                    None if refusal.reserved.is_some() => Acquire::Reserved {
                        first: line.first(),
                    },
                    None => Acquire::Held(refusal.held.unwrap_or_default()),
                });
            }
            patience.pause();
        }
    }

    /// One try that remembers what it saw of those in line.
    fn attempt(
        &mut self,
        request: &Request<'_>,
        before: &[line::Waiter],
    ) -> Result<Outcome, StoreError> {
        let name = &request.claim.name;
        let mut unclaimed = self.unclaimed.remove(name);
        let outcome = request.attempt(before, Manner::Plain, &mut unclaimed);
        if let Some(unclaimed) = unclaimed {
            self.unclaimed.insert(name.clone(), unclaimed);
        }
        outcome
    }

    /// Tries, and joins the line if nothing came of it.
    fn try_in_line(&mut self, request: &Request<'_>) -> Result<Acquire, StoreError> {
        let line = Line::new(request.directory, &request.claim.name);
        let before = line.waiters()?;
        if wait::reserved(&before) < request.claim.slots {
            match self.attempt(request, &before)? {
                Outcome::Ours(hold) => return Ok(self.keep(hold)),
                Outcome::Done(done) => return Ok(Acquire::Done(done)),
                Outcome::Refused(_) => {}
            }
        }
        let wait = Wait::join(request)?;
        self.ask_in_line(request, wait, Some(Patience::new()))
    }

    /// Asks for somebody who stands in line, and stays there unless that settles it.
    fn ask_in_line(
        &mut self,
        request: &Request<'_>,
        mut wait: Wait,
        patience: Option<Patience>,
    ) -> Result<Acquire, StoreError> {
        match wait.ask(request, patience) {
            // Every way out but the last two leaves the line.
            Ok(Turn::Ours(hold)) => {
                self.silent.extend(wait.leave());
                Ok(self.keep(hold))
            }
            Ok(Turn::Done(done)) => Ok(Acquire::Done(done)),
            Ok(Turn::CoolingDown(remaining)) => {
                let runs = RunsFile::new(request.directory, &request.claim.name);
                runs.skipped(&request.claim.holder);
                Ok(Acquire::CoolingDown { remaining })
            }
            Ok(Turn::Queued(queued)) => {
                self.waits.push(wait);
                Ok(Acquire::Queued(queued))
            }
            Err(error) => {
                self.waits.push(wait);
                Err(error)
            }
        }
    }

    /// Notes what is to outlive the hold and marks its place free, if it is still ours.
    fn settle(
        directory: &Directory,
        hold: &Hold,
        claim: &Claim,
        end: End,
    ) -> Result<Release, StoreError> {
        let file = LockFile::new(directory, &hold.name, hold.slot);
        let fate = file.fate(hold)?;
        // Before the place is free: the next run has to find it.
        let noted = match fate {
            Release::NotOurs(_) => Ok(()),
            Release::Released | Release::Forgotten => {
                let runs = RunsFile::new(directory, &hold.name);
                let ended = (hold.record(), hold.slot);
                match end {
                    End::Ran { outcome, .. } => runs.ended(ended, outcome, claim.history),
                    End::Unstarted => runs.ended(ended, PastOutcome::Unstarted, claim.history),
                    End::Withdrawn | End::Skipped => {}
                }
                note(directory, hold, claim, end)
            }
        };
        if fate == Release::Released {
            file.release(hold, end);
        }
        noted.map(|()| fate)
    }
}

/// Records what the end of a run means for those to come.
fn note(directory: &Directory, hold: &Hold, claim: &Claim, end: End) -> Result<(), StoreError> {
    match (end, &hold.attempt) {
        (End::Ran { outcome, waited }, _)
            if outcome.is_success() && claim.once != Once::default() =>
        {
            let asked = Moment::now().before(waited);
            OnceFile::lock(directory, &hold.name)?.succeed(&claim.once, asked)
        }
        (End::Unstarted | End::Withdrawn | End::Skipped, Some(tick)) => {
            OnceFile::lock(directory, &hold.name)?.take_back(tick)
        }
        _ => Ok(()),
    }
}

impl Store for LocalStore {
    fn acquire(
        &mut self,
        claim: &Claim,
        ask: Ask,
        _timeout: Duration,
    ) -> Result<Acquire, StoreError> {
        if self.spent.contains(&claim.token) {
            return Ok(Acquire::Withdrawn);
        }
        if let Some(hold) = self.hold(claim) {
            return Ok(Acquire::Granted(hold.grant()));
        }
        let directory = Directory::open(&self.place)?;
        if claim.lasts == Lasts::Lease
            && let Some(answer) = token::granted_before(&directory, claim)?
        {
            return Ok(answer);
        }
        let request = Request::new(&directory, claim, ask.waited);
        let mut waits = self.waits.iter();
        match waits.position(|wait| wait.token == claim.token) {
            Some(place) => {
                let wait = self.waits.remove(place);
                self.ask_in_line(&request, wait, None)
            }
            None if ask.in_line => self.try_in_line(&request),
            None => self.try_once(&request),
        }
    }

    fn bell(&self) -> Option<BorrowedFd<'_>> {
        self.waits.last().and_then(Wait::bell)
    }

    fn track(&mut self, claim: &Claim) -> Option<Track<'_>> {
        self.hold(claim)?.track()
    }

    fn refresh(
        &mut self,
        claim: &Claim,
        grant: &Grant,
        _timeout: Duration,
    ) -> Result<Refresh, StoreError> {
        self.silent.clear();
        let directory = Directory::open(&self.place)?;
        let answer = match self.hold(claim) {
            Some(hold) => LockFile::new(&directory, &claim.name, hold.slot).refresh(hold)?,
            None => {
                let look = LockFile::new(&directory, &claim.name, grant.slot).look()?;
                let held = look.and_then(|look| look.held);
                Refresh::Lost(held.map_or(Loss::FenceMoved, Loss::TakenOver))
            }
        };
        if let Refresh::Lost(_) = answer {
            self.holds.retain(|hold| hold.token != claim.token);
        }
        Ok(answer)
    }

    fn release(
        &mut self,
        claim: &Claim,
        end: End,
        timeout: Duration,
    ) -> Result<Release, StoreError> {
        let repeated = self.spent.contains(&claim.token);
        if !repeated {
            self.spent.push(claim.token.clone());
        }
        self.waits.retain(|wait| wait.token != claim.token);
        if end == End::Skipped
            && let Ok(Some(directory)) = self.find()
        {
            RunsFile::new(&directory, &claim.name).skipped(&claim.holder);
        }
        if claim.lasts == Lasts::Lease {
            return self.give_back(&claim.name, &claim.token, timeout);
        }
        let mut holds = self.holds.iter();
        let ours = holds.position(|hold| hold.token == claim.token);
        let hold = ours.map(|place| self.holds.swap_remove(place));
        if hold.is_none() && repeated {
            return Ok(Release::Released);
        }
        // From here on every way out drops the hold, and the lock with it.
        let answer = match (self.find(), &hold) {
            (Ok(Some(directory)), Some(hold)) => Self::settle(&directory, hold, claim, end),
            (Ok(Some(directory)), None) => (0..claim.slots.max(1))
                .map(|slot| LockFile::new(&directory, &claim.name, slot).look())
                .find_map(|look| look.map(|look| look?.held).transpose())
                .transpose()
                .map(Release::NotOurs),
            (Ok(None), Some(_)) => Ok(Release::Forgotten),
            (Ok(None), None) => Ok(Release::NotOurs(None)),
            (Err(error), _) => Err(error),
        };
        if let Some(hold) = hold {
            hold.free();
        }
        self.silent.clear();
        answer
    }

    fn check(
        &mut self,
        name: &LockName,
        token: &Token,
        _timeout: Duration,
    ) -> Result<Checked, StoreError> {
        let directory = self.find()?;
        directory.map_or(Ok(Checked::NotHeld(None)), |it| {
            token::check(&it, name, token)
        })
    }

    fn extend(
        &mut self,
        name: &LockName,
        token: &Token,
        ttl: Option<Duration>,
        _timeout: Duration,
    ) -> Result<Checked, StoreError> {
        let directory = self.find()?;
        directory.map_or(Ok(Checked::NotHeld(None)), |it| {
            token::extend(&it, (name, token), ttl)
        })
    }

    fn give_back(
        &mut self,
        name: &LockName,
        token: &Token,
        _timeout: Duration,
    ) -> Result<Release, StoreError> {
        let directory = self.find()?;
        directory.map_or(Ok(Release::NotOurs(None)), |it| {
            token::give_back(&it, name, token)
        })
    }

    fn inspect(&mut self, name: &LockName, _timeout: Duration) -> Result<Status, StoreError> {
        match self.find()? {
            Some(directory) => {
                listing::status(&directory, name, listing::last_slot(&directory, name)?)
            }
            None => Ok(Status {
                slots: vec![Slot::default()],
                waiting: Some(0),
                ..Status::default()
            }),
        }
    }

    fn history(&mut self, name: &LockName, _timeout: Duration) -> Result<History, StoreError> {
        let Some(directory) = self.find()? else {
            return Ok(Past::default().history());
        };
        let looks = listing::places(&directory, name, listing::last_slot(&directory, name)?)?;
        Ok(listing::past(&directory, name, &looks).history())
    }

    fn list(
        &mut self,
        pattern: &Pattern,
        tell: &mut dyn FnMut(&LockName, &Status) -> ControlFlow<()>,
        _timeout: Duration,
    ) -> Result<(), StoreError> {
        match self.find()? {
            Some(directory) => listing::list(&directory, pattern, tell),
            None => Ok(()),
        }
    }

    fn unlock(
        &mut self,
        name: &LockName,
        how: Unlock,
        by: &str,
        _timeout: Duration,
    ) -> Result<Vec<Unlocked>, StoreError> {
        let Some(directory) = self.find()? else {
            return Ok(Vec::new());
        };
        let mut unlocked = Vec::new();
        let last = listing::last_slot(&directory, name)?;
        for (slot, look) in (0..).zip(listing::places(&directory, name, last)?) {
            let file = LockFile::new(&directory, name, slot);
            match (how, look) {
                (
                    Unlock::Force,
                    Some(Look {
                        record,
                        held: Some(held),
                    }),
                ) => {
                    let lost = record.clone();
                    file.replace(record, FreedBy::Force)?;
                    if let Some(lost) = &lost {
                        let runs = RunsFile::new(&directory, name);
                        runs.ended((lost, slot), PastOutcome::Lost, HISTORY_MAX);
                    }
                    unlocked.push(Unlocked::Freed(held));
                }
                (Unlock::Force, Some(look)) if look.cooling_down().is_some() => file.warm()?,
                (
                    Unlock::Ask,
                    Some(Look {
                        record: Some(record),
                        held: Some(held),
                    }),
                ) if record.holder.is_some() => {
                    file.mark(record.fence, by)?;
                    unlocked.push(Unlocked::Asked(Held {
                        revoked: true,
                        ..held
                    }));
                }
                // Locked by something else than tasklock, which reads no markers.
                (
                    Unlock::Ask,
                    Some(Look {
                        held: Some(held), ..
                    }),
                ) => unlocked.push(Unlocked::CannotAsk(held)),
                (_, _) => {}
            }
        }
        Ok(unlocked)
    }
}

#[cfg(test)]
mod tests;
