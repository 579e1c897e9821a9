//! Lock files of this host.
//!
//! One file per lock. Its holder keeps it open under the kernel's `flock`, which
//! ends with the process: a crashed holder is gone at once, nothing expires, and
//! the timeouts of the requests are ignored because none of them waits for
//! anybody. The file's one line of JSON says who holds the lock and which fence
//! came last; a holder named there that has no kernel lock is a crashed one. The
//! file is never removed, or two runs could lock two files of the same name.
//!
//! Promised: one holder at a time, fences that grow, and that nothing outside
//! the directory is touched. Where somebody *deletes* the lock file of a holder,
//! the next run cannot see it and is admitted, until the holder's next refresh:
//! that puts the file back, or finds the other run there and answers "lost".
//! Not promised: anything on network file systems, or against users who may
//! write to the same directory.

mod directory;
mod file_name;
mod lock_file;
mod record;

use std::collections::HashMap;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::time::Duration;

use crate::store::{
    Acquire, Ask, Claim, End, Grant, Held, LockName, Loss, Refresh, Release, Slot, Status, Store,
    StoreError, Token, Unlock, Unlocked,
};
use directory::{Directory, Place};
use lock_file::{Hold, LockFile, Look, Taken};

/// Locks as files of this host.
#[derive(Debug)]
pub struct LocalStore {
    place: Place,
    holds: HashMap<LockName, Hold>,
    /// Released or withdrawn here. A token never leaves its process while it
    /// holds a lock, so that memory is enough.
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
            holds: HashMap::new(),
            spent: Vec::new(),
        }
    }

    /// Our hold of the lock that `claim` means.
    fn hold(&mut self, claim: &Claim) -> Option<&mut Hold> {
        self.holds
            .get_mut(&claim.name)
            .filter(|hold| hold.token == claim.token)
    }

    fn find(&self) -> Result<Option<Directory>, StoreError> {
        Directory::find(&self.place)
    }
}

impl Store for LocalStore {
    fn acquire(
        &mut self,
        claim: &Claim,
        _ask: Ask,
        _timeout: Duration,
    ) -> Result<Acquire, StoreError> {
        if self.spent.contains(&claim.token) {
            return Ok(Acquire::Withdrawn);
        }
        if let Some(hold) = self.hold(claim) {
            return Ok(Acquire::Granted(hold.grant()));
        }
        let lock = LockFile::new(Directory::open(&self.place)?, &claim.name);
        Ok(match lock.take(claim)? {
            Taken::Ours(hold) => {
                let grant = hold.grant();
                self.holds.insert(claim.name.clone(), hold);
                Acquire::Granted(grant)
            }
            Taken::Theirs(held) => Acquire::Held(held),
        })
    }

    fn bell(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn refresh(
        &mut self,
        claim: &Claim,
        _grant: &Grant,
        _timeout: Duration,
    ) -> Result<Refresh, StoreError> {
        let lock = LockFile::new(Directory::open(&self.place)?, &claim.name);
        let answer = match self.hold(claim) {
            Some(hold) => lock.refresh(hold)?,
            None => Refresh::Lost(match lock.look()? {
                Some(Look {
                    held: Some(held), ..
                }) => Loss::TakenOver(held),
                _ => Loss::FenceMoved,
            }),
        };
        if let Refresh::Lost(_) = answer
            && self.hold(claim).is_some()
        {
            self.holds.remove(&claim.name);
        }
        Ok(answer)
    }

    fn release(
        &mut self,
        claim: &Claim,
        _end: End,
        _timeout: Duration,
    ) -> Result<Release, StoreError> {
        let repeated = self.spent.contains(&claim.token);
        if !repeated {
            self.spent.push(claim.token.clone());
        }
        let hold = match self.hold(claim) {
            Some(_) => self.holds.remove(&claim.name),
            None if repeated => return Ok(Release::Released),
            None => None,
        };
        // From here on every way out drops the hold, and the lock with it.
        let directory = self.find();
        let answer = match (directory, &hold) {
            (Ok(Some(directory)), Some(hold)) => {
                LockFile::new(directory, &claim.name).release(hold)
            }
            (Ok(Some(directory)), None) => LockFile::new(directory, &claim.name)
                .look()
                .map(|look| Release::NotOurs(look.and_then(|look| look.held))),
            (Ok(None), Some(_)) => Ok(Release::Forgotten),
            (Ok(None), None) => Ok(Release::NotOurs(None)),
            (Err(error), _) => Err(error),
        };
        if let Some(hold) = hold {
            hold.free();
        }
        answer
    }

    fn inspect(&mut self, name: &LockName, _timeout: Duration) -> Result<Status, StoreError> {
        let look = match self.find()? {
            Some(directory) => LockFile::new(directory, name).look()?,
            None => None,
        };
        let slot = look.map_or_else(Default::default, |look| Slot {
            fence: look.fence(),
            held: look.held,
            cooling_down: None,
        });
        Ok(Status {
            slots: vec![slot],
            waiting: None,
        })
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
        let lock = LockFile::new(directory, name);
        let Some(Look {
            record,
            held: Some(held),
        }) = lock.look()?
        else {
            return Ok(Vec::new());
        };
        let unlocked = match (how, record) {
            (Unlock::Force, record) => {
                lock.replace(record)?;
                Unlocked::Freed(held)
            }
            (Unlock::Ask, Some(record)) if record.holder.is_some() => {
                lock.mark(record.fence, by)?;
                Unlocked::Asked(Held {
                    revoked: true,
                    ..held
                })
            }
            // Locked by something else than tasklock, which reads no markers.
            (Unlock::Ask, _) => Unlocked::CannotAsk(held),
        };
        Ok(vec![unlocked])
    }
}

#[cfg(test)]
mod tests;
