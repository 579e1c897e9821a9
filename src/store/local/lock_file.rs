//! The file of one place of a lock: taking it, looking at it, and finding out what became of it.

mod orphan;
mod token;

use std::fs::{File, TryLockError};
use std::io;
use std::time::Duration;

use super::directory::{Access, Directory, Entry, errno_of};
use super::file_name::{lock_file, marker_file};
use super::history::RunsFile;
use super::patience::Patience;
use super::record::{self, Content, Marker, Moment, Record};
use crate::footprint::Footprint;
use crate::store::past::PastOutcome;
use crate::store::{
    Claim, End, Fence, Grant, Held, LockName, Loss, Refresh, Release, StoreError, StoreErrorKind,
    Token,
};

/// A place of ours. Dropping it frees the place and leaves the record of a crash.
#[derive(Debug)]
pub(super) struct Hold {
    pub(super) token: Token,
    pub(super) name: LockName,
    pub(super) slot: u32,
    /// The tick of a schedule that it counts as an attempt of.
    pub(super) attempt: Option<Moment>,
    /// Open and locked; closed on exec.
    file: File,
    record: Record,
    /// What the command has left there, once it was started.
    footprint: Option<Footprint>,
}

impl Hold {
    /// Whether the hold needs no process.
    pub(super) fn is_leased(&self) -> bool {
        self.record.lease.is_some()
    }

    pub(super) fn grant(&self) -> Grant {
        Grant {
            fence: self.record.fence,
            end_ms: 0,
            slot: self.slot,
        }
    }

    /// What stands in its file.
    pub(super) fn record(&self) -> &Record {
        &self.record
    }

    /// Gives the place back. Closing the file alone would leave it with a child
    /// that another thread has just forked, until that child executes its program.
    pub(super) fn free(self) {
        // Cannot fail on an open file; the lock ends with it in any case.
        let _ = self.file.unlock();
    }
}

/// What keeps us from locking a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InTheWay {
    Nobody,
    /// Somebody who looks for an instant, or who just replaced the file.
    Onlooker,
    /// Somebody who has it for himself: a holder, or nearly one.
    Holder,
}

/// What a look at a lock file shows.
pub(super) struct Look {
    pub(super) record: Option<Record>,
    pub(super) held: Option<Held>,
}

impl Look {
    pub(super) fn fence(&self) -> Option<Fence> {
        self.record.as_ref().map(|record| record.fence)
    }

    pub(super) fn cooling_down(&self) -> Option<Duration> {
        self.record.as_ref().and_then(Record::cooling_down)
    }
}

/// What somebody finds who wants the place.
pub(super) enum Found {
    /// It is ours now.
    Ours(Box<Hold>),
    /// Nobody has it.
    Free {
        /// The fence of the last grant.
        fence: Option<Fence>,
    },
    /// A holder has it, or nearly: in the first moments of a run the file does
    /// not name it yet, or still names a predecessor.
    Held { held: Held, named: bool },
    /// Nobody has it, but its holder was killed, and the command lives on, mostly for an instant.
    Orphaned(Held),
    /// Somebody looks at it for an instant, or shares it on purpose (`flock -s`).
    Onlooker,
    /// Nobody has it, but a minimum hold still runs.
    CoolingDown(Duration),
}

/// On whose behalf a held place is freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FreedBy {
    /// Whoever has the token.
    Owner,
    /// An administrator.
    Force,
}

/// The file of one place of a lock, in the directory as it is for one request.
pub(super) struct LockFile<'a> {
    directory: &'a Directory,
    pub(super) file_name: String,
    marker_name: String,
    slot: u32,
}

impl<'a> LockFile<'a> {
    pub(super) fn new(directory: &'a Directory, name: &LockName, slot: u32) -> LockFile<'a> {
        LockFile {
            directory,
            file_name: lock_file(name, slot),
            marker_name: marker_file(name, slot),
            slot,
        }
    }

    /// Takes the place for `claim` if nobody has it.
    pub(super) fn take(&self, claim: &Claim) -> Result<Found, StoreError> {
        let file = self.directory.open_or_create(&self.file_name)?;
        match self.try_lock(&file)? {
            // Deleted or replaced between our opening and locking it: not the lock any more.
            InTheWay::Nobody if self.entry(&file)? != Entry::Same => Ok(Found::Onlooker),
            InTheWay::Nobody => self.grant(file, claim),
            in_the_way => self.refusal(&file, in_the_way),
        }
    }

    /// The same, but a refusal is unheard by those who watch the file: they are
    /// told when it is closed by somebody who might have written to it.
    pub(super) fn take_quietly(&self, claim: &Claim) -> Result<Found, StoreError> {
        let Some(file) = self.directory.open_file(&self.file_name, Access::Look)? else {
            return self.take(claim);
        };
        match self.try_lock(&file)? {
            InTheWay::Nobody => {
                let closed = self
                    .read(&file)
                    .map(|record| self.closed(&file, record.as_ref()));
                file.unlock()
                    .map_err(|error| self.failure("lock", &error))?;
                match closed? {
                    Some(found) => Ok(found),
                    None => self.take(claim),
                }
            }
            in_the_way => self.refusal(&file, in_the_way),
        }
    }

    /// What keeps a file closed that nobody else has locked.
    fn closed(&self, file: &File, record: Option<&Record>) -> Option<Found> {
        let record = record?;
        if record.leased().is_some() {
            let held = self.held(Some(record));
            return Some(Found::Held { held, named: true });
        }
        if let Some(remaining) = record.cooling_down() {
            return Some(Found::CoolingDown(remaining));
        }
        orphan::lives(file, record).then(|| Found::Orphaned(self.held(Some(record))))
    }

    /// What somebody else's lock on `file` means.
    fn refusal(&self, file: &File, in_the_way: InTheWay) -> Result<Found, StoreError> {
        if in_the_way != InTheWay::Holder {
            return Ok(Found::Onlooker);
        }
        let record = self.read(file)?;
        Ok(Found::Held {
            named: record
                .as_ref()
                .is_some_and(|record| record.holder.is_some()),
            held: self.held(record.as_ref()),
        })
    }

    /// What somebody finds who may not take the place, as others come first.
    pub(super) fn find(&self) -> Result<Found, StoreError> {
        Ok(match self.look()? {
            None => Found::Free { fence: None },
            Some(Look {
                held: Some(held), ..
            }) => Found::Held {
                named: held.holder.is_some(),
                held,
            },
            Some(look) => match look.cooling_down() {
                Some(remaining) => Found::CoolingDown(remaining),
                None => Found::Free {
                    fence: look.fence(),
                },
            },
        })
    }

    fn entry(&self, file: &File) -> Result<Entry, StoreError> {
        self.directory.entry(file, &self.file_name)
    }

    /// Takes the kernel's lock on `file`, or says what stands in the way.
    ///
    /// Holders lock a file for themselves, onlookers share it. If we are refused
    /// it alone but get it shared, there was no holder, whatever the record says.
    fn try_lock(&self, file: &File) -> Result<InTheWay, StoreError> {
        let failure = |error: &io::Error| self.failure("lock", error);
        match file.try_lock() {
            Ok(()) => return Ok(InTheWay::Nobody),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(failure(&error)),
        }
        match file.try_lock_shared() {
            Ok(()) => file
                .unlock()
                .map(|()| InTheWay::Onlooker)
                .map_err(|error| failure(&error)),
            Err(TryLockError::WouldBlock) => Ok(InTheWay::Holder),
            Err(TryLockError::Error(error)) => Err(failure(&error)),
        }
    }

    fn failure(&self, attempt: &str, error: &io::Error) -> StoreError {
        self.directory
            .failure(attempt, &self.file_name, errno_of(error))
    }

    /// What the file says. None: nothing that can be understood.
    fn read(&self, file: &File) -> Result<Option<Record>, StoreError> {
        record::read_in(self.directory, &self.file_name, file)
    }

    fn write(&self, file: &File, record: &Record) -> Result<(), StoreError> {
        record::write_in(self.directory, (&self.file_name, file), record)
    }

    /// Records the grant in `file`, which we have locked, unless it is closed. Without a fence in the file the next holder's might not be larger:
    /// then there is no grant.
    pub(super) fn grant(&self, file: File, claim: &Claim) -> Result<Found, StoreError> {
        match self.record_grant(&file, claim) {
            Ok(Ok(record)) => Ok(Found::Ours(Box::new(Hold {
                token: claim.token.clone(),
                name: claim.name.clone(),
                slot: self.slot,
                attempt: None,
                file,
                record,
                footprint: None,
            }))),
            Ok(Err(closed)) => {
                let _ = file.unlock();
                Ok(closed)
            }
            Err(error) => {
                let _ = file.unlock();
                Err(error)
            }
        }
    }

    /// The record of the grant, or what keeps the place closed.
    fn record_grant(
        &self,
        file: &File,
        claim: &Claim,
    ) -> Result<Result<Record, Found>, StoreError> {
        let previous = self.read(file)?;
        if let Some(closed) = self.closed(file, previous.as_ref()) {
            return Ok(Err(closed));
        }
        let record = Record::granted(previous.clone(), claim).ok_or_else(|| {
            StoreError::new(
                StoreErrorKind::Misconfigured,
                format!(
                    "{} holds the largest fence there is; remove it",
                    self.directory.path_of(&self.file_name).display()
                ),
            )
        })?;
        if let Some(crashed) = previous.as_ref().filter(|record| record.holder.is_some()) {
            let runs = RunsFile::new(self.directory, &claim.name);
            runs.ended((crashed, self.slot), PastOutcome::Vanished, claim.history);
        }
        // Before the new fence can be read: what comes after is meant for us.
        self.directory.remove(&self.marker_name);
        self.write(file, &record).inspect_err(|_| {
            // Half a line would hide the last fence.
            if let Some(previous) = previous {
                let _ = record::write(file, &previous);
            }
        })?;
        Ok(Ok(record))
    }

    /// Looks without disturbing: a shared lock for an instant, which no other
    /// look minds and a contender tells from a holder's. `/proc/locks` would not
    /// even need that, but shows no holder of another pid namespace.
    pub(super) fn look(&self) -> Result<Option<Look>, StoreError> {
        let Some(file) = self.directory.open_file(&self.file_name, Access::Look)? else {
            return Ok(None);
        };
        let failure = |error: io::Error| self.failure("lock", &error);
        let free = match file.try_lock_shared() {
            Ok(()) => {
                file.unlock().map_err(failure)?;
                true
            }
            Err(TryLockError::WouldBlock) => false,
            Err(TryLockError::Error(error)) => return Err(failure(error)),
        };
        let record = self.read(&file)?;
        let outlived = |record: &Record| record.leased().is_some() || orphan::lives(&file, record);
        let held =
            (!free || record.as_ref().is_some_and(outlived)).then(|| self.held(record.as_ref()));
        Ok(Some(Look { record, held }))
    }

    /// The details of a holder that stands in `record`.
    fn held(&self, record: Option<&Record>) -> Held {
        let Some(record) = record.filter(|record| record.holder.is_some()) else {
            return Held::default();
        };
        Held {
            holder: record.holder.clone(),
            age: Some(record.age()),
            remaining: record.leased(),
            revoked: self.marker(record.fence).is_some(),
        }
    }

    /// Brings a hold of ours up to date with what stands in the directory.
    pub(super) fn refresh(&self, hold: &mut Hold) -> Result<Refresh, StoreError> {
        let mut patience = Patience::new();
        loop {
            let candidate = match self.entry(&hold.file)? {
                Entry::Same => return Ok(self.confirm(hold)),
                Entry::Absent => self.directory.create_file(&self.file_name)?,
                Entry::Other => self.directory.open_file(&self.file_name, Access::Change)?,
            };
            if let Some(file) = candidate {
                match self.try_lock(&file)? {
                    InTheWay::Nobody if self.entry(&file)? == Entry::Same => {
                        return self.retake(hold, file);
                    }
                    InTheWay::Holder => {
                        let record = self.read(&file)?;
                        let held = self.held(record.as_ref());
                        if patience.settles(held.holder.is_some()) {
                            return Ok(Refresh::Lost(Loss::TakenOver(held)));
                        }
                    }
                    // An onlooker is no holder: nothing definite can be said yet.
                    InTheWay::Nobody | InTheWay::Onlooker => {}
                }
            }
            if patience.is_over() {
                return Err(StoreError::new(
                    StoreErrorKind::Unavailable,
                    format!(
                        "cannot lock {} again: something else uses it",
                        self.directory.path_of(&self.file_name).display()
                    ),
                ));
            }
            patience.pause();
        }
    }

    /// Our file is in its place, and so is our lock.
    fn confirm(&self, hold: &Hold) -> Refresh {
        let ours = Some(hold.record.fence);
        if self
            .read(&hold.file)
            .is_ok_and(|found| found.map(|record| record.fence) != ours)
        {
            // Emptied or overwritten by somebody. The lock is ours regardless; if
            // this fails, the next refresh comes soon.
            let _ = hold.write(&hold.file);
        }
        match self.marker(hold.record.fence) {
            Some(marker) => Refresh::Revoked { by: marker.by },
            None => Refresh::Held(hold.grant()),
        }
    }

    /// Moves our hold to `file`, which stands in the place of ours and is locked
    /// by us, unless somebody was granted the lock there.
    fn retake(&self, hold: &mut Hold, file: File) -> Result<Refresh, StoreError> {
        // A file without a record says nothing of a grant: every grant leaves one.
        if self
            .read(&file)?
            .is_some_and(|record| record.fence > hold.record.fence)
        {
            return Ok(Refresh::Lost(Loss::FenceMoved));
        }
        hold.write(&file).map_err(|error| StoreError {
            kind: StoreErrorKind::Unavailable,
            ..self.failure("write", &error)
        })?;
        hold.file = file;
        Ok(Refresh::Retaken(hold.grant()))
    }

    /// What became of the file of our hold: to be released, or not ours any more.
    pub(super) fn fate(&self, hold: &Hold) -> Result<Release, StoreError> {
        match self.entry(&hold.file)? {
            Entry::Same => Ok(Release::Released),
            Entry::Absent => Ok(Release::Forgotten),
            Entry::Other => Ok(match self.look()? {
                Some(look) if look.held.is_some() || look.fence() > Some(hold.record.fence) => {
                    Release::NotOurs(look.held)
                }
                _ => Release::Forgotten,
            }),
        }
    }

    /// Marks the place free in our own file, which is still locked.
    pub(super) fn release(&self, hold: &Hold, end: End) {
        let released = hold.record.released();
        let record = match end {
            End::Ran { .. } => released,
            End::Unstarted | End::Withdrawn | End::Skipped => released.warm(),
        };
        // A record that still names us is that of a crash: it does no harm.
        let _ = record::write(&hold.file, &record);
        self.directory.remove(&self.marker_name);
    }

    /// The marker that asks the holder of `fence` to stop. One that cannot be
    /// read, or that was planted, asks nothing.
    fn marker(&self, fence: Fence) -> Option<Marker> {
        let file = self
            .directory
            .open_file(&self.marker_name, Access::Look)
            .ok()??;
        match record::read::<Marker>(&file) {
            Ok(Content::Known(marker)) if marker.fence == fence => Some(marker),
            _ => None,
        }
    }

    /// Asks the holder of `fence` to stop.
    pub(super) fn mark(&self, fence: Fence, by: &str) -> Result<(), StoreError> {
        let file = self.directory.open_or_create(&self.marker_name)?;
        record::write(&file, &Marker::new(fence, by)).map_err(|error| {
            self.directory
                .failure("write", &self.marker_name, errno_of(&error))
        })
    }

    /// Ends the minimum hold of a place that nobody has.
    pub(super) fn warm(&self) -> Result<(), StoreError> {
        let Some(file) = self.directory.open_file(&self.file_name, Access::Change)? else {
            return Ok(());
        };
        // Who has it by now has found it warm, or knows of its end in any case.
        if self.try_lock(&file)? != InTheWay::Nobody {
            return Ok(());
        }
        let warmed = match self.read(&file) {
            Ok(Some(record)) => self.write(&file, &record.warm()),
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        let _ = file.unlock();
        warmed
    }

    /// Puts a fresh file, free and with a larger fence, in the place of the held one.
    pub(super) fn replace(&self, record: Option<Record>, by: FreedBy) -> Result<(), StoreError> {
        let proof = record.as_ref().and_then(|record| record.proof.clone());
        let mut record = Record::next(record).ok_or_else(|| {
            StoreError::new(StoreErrorKind::Misconfigured, "the largest fence is in use")
        })?;
        if let Some(proof) = proof {
            record.spent = record.spent.with(&proof, by == FreedBy::Owner);
        }
        let (temporary, file) = self.directory.create_temporary()?;
        self.write(&file, &record)
            .and_then(|()| self.directory.rename(&temporary, &self.file_name))
            .inspect_err(|_| self.directory.remove(&temporary))?;
        self.directory.remove(&self.marker_name);
        Ok(())
    }
}
