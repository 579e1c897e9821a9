//! The file of one lock: taking it, looking at it, and finding out what became of it.

use std::fs::{File, TryLockError};
use std::io;
use std::thread;
use std::time::Duration;

use super::directory::{Access, Directory, Entry, errno_of};
use super::file_name::{lock_file, marker_file};
use super::record::{self, Content, Marker, Record};
use crate::clock::{self, Tick};
use crate::store::{
    Claim, Fence, Grant, Held, LockName, Loss, Refresh, Release, StoreError, StoreErrorKind, Token,
};

/// How long a refusal that nobody stands behind is tried again: a holder is a
/// few system calls away from writing its name, or somebody looks at the lock
/// (50 µs). 20 ms are hundreds of such moments, and too short for a person to notice.
const PATIENCE: Duration = Duration::from_millis(20);

/// How long we wait for an onlooker to finish. It is not a holder, so that
/// skipping a run because of it would be wrong; a loaded machine may keep it off
/// the processor for a while. After a second it is another program that shares
/// the lock on purpose (`flock -s`).
const ONLOOKER_PATIENCE: Duration = Duration::from_secs(1);

/// Between two tries. Even a refusal by a named holder is tried once more after
/// it: in the first moments of a run the file still names its predecessor, and
/// jobs of the same cron minute meet exactly there.
const PAUSE: Duration = Duration::from_millis(1);

/// A lock of ours. Dropping it frees the lock and leaves the record of a crash.
#[derive(Debug)]
pub(super) struct Hold {
    pub(super) token: Token,
    /// Open and locked; closed on exec.
    file: File,
    record: Record,
}

impl Hold {
    pub(super) fn grant(&self) -> Grant {
        Grant {
            fence: self.record.fence,
            end_ms: 0,
            slot: 0,
        }
    }

    /// Gives the lock back. Closing the file alone would leave it with a child
    /// that another thread has just forked, until that child executes its program.
    pub(super) fn free(self) {
        // Cannot fail on an open file; the lock ends with it in any case.
        let _ = self.file.unlock();
    }
}

/// How long a refusal is tried again.
struct Patience {
    start: Tick,
    tried_before: bool,
}

impl Patience {
    fn new() -> Patience {
        Patience {
            start: clock::now(),
            tried_before: false,
        }
    }

    fn is_over(&self) -> bool {
        self.waited() >= PATIENCE
    }

    fn waited(&self) -> Duration {
        clock::now().since(self.start)
    }

    fn pause(&mut self) {
        self.tried_before = true;
        thread::sleep(PAUSE);
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
}

/// The outcome of [`LockFile::take`].
pub(super) enum Taken {
    Ours(Hold),
    Theirs(Held),
}

/// The file of one lock, in the directory as it is for one request.
pub(super) struct LockFile {
    directory: Directory,
    file_name: String,
    marker_name: String,
}

impl LockFile {
    pub(super) fn new(directory: Directory, name: &LockName) -> LockFile {
        LockFile {
            directory,
            file_name: lock_file(name),
            marker_name: marker_file(name),
        }
    }

    /// Takes the lock for `claim` if nobody has it.
    pub(super) fn take(&self, claim: &Claim) -> Result<Taken, StoreError> {
        let mut patience = Patience::new();
        loop {
            let file = self.directory.open_or_create(&self.file_name)?;
            let in_the_way = match self.try_lock(&file)? {
                // Deleted or replaced between our opening and locking it: not the lock any more.
                InTheWay::Nobody if self.entry(&file)? != Entry::Same => InTheWay::Onlooker,
                InTheWay::Nobody => return self.grant(file, claim).map(Taken::Ours),
                in_the_way => in_the_way,
            };
            if let Some(held) = self.holder_of(&file, in_the_way, &patience)? {
                return Ok(Taken::Theirs(held));
            }
            patience.pause();
        }
    }

    fn entry(&self, file: &File) -> Result<Entry, StoreError> {
        self.directory.entry(file, &self.file_name)
    }

    /// Takes the kernel's lock on `file`, or says what stands in the way.
    ///
    /// Holders lock a file for themselves, onlookers share it. If we are refused
    /// it alone but get it shared, there was no holder, whatever the record says.
    fn try_lock(&self, file: &File) -> Result<InTheWay, StoreError> {
        let failure = |error: &io::Error| {
            let errno = errno_of(error);
            self.directory.failure("lock", &self.file_name, errno)
        };
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

    /// Who it is that stands in the way. None: it may be nobody, try again.
    fn holder_of(
        &self,
        file: &File,
        in_the_way: InTheWay,
        patience: &Patience,
    ) -> Result<Option<Held>, StoreError> {
        if in_the_way != InTheWay::Holder {
            return Ok((patience.waited() >= ONLOOKER_PATIENCE).then(Held::default));
        }
        let record = self.read(file)?;
        let named = record
            .as_ref()
            .is_some_and(|record| record.holder.is_some());
        let settled = (named && patience.tried_before) || patience.is_over();
        Ok(settled.then(|| self.held(record.as_ref())))
    }

    /// What the file says. None: nothing that can be understood.
    fn read(&self, file: &File) -> Result<Option<Record>, StoreError> {
        match record::read(file) {
            Ok(Content::Known(record)) => Ok(Some(record)),
            Ok(Content::Unknown) => Ok(None),
            Ok(Content::Newer(version)) => Err(StoreError::new(
                StoreErrorKind::Misconfigured,
                format!(
                    "{} was written by a newer tasklock (format {version}); update this one",
                    self.directory.path_of(&self.file_name).display()
                ),
            )),
            Err(error) => Err(self
                .directory
                .failure("read", &self.file_name, errno_of(&error))),
        }
    }

    fn write(&self, file: &File, record: &Record) -> Result<(), StoreError> {
        record::write(file, record).map_err(|error| {
            let attempt = self
                .directory
                .failure("write", &self.file_name, errno_of(&error));
            // Whatever the reason is, the file was opened for it before.
            StoreError {
                kind: StoreErrorKind::Unavailable,
                ..attempt
            }
        })
    }

    /// Records the grant in `file`, which we have locked. Without a fence in the
    /// file the next holder's might not be larger: then there is no grant.
    pub(super) fn grant(&self, file: File, claim: &Claim) -> Result<Hold, StoreError> {
        let recorded = self.read(&file).and_then(|previous| {
            let record = Record::granted(previous.clone(), claim).ok_or_else(|| {
                StoreError::new(
                    StoreErrorKind::Misconfigured,
                    format!(
                        "{} holds the largest fence there is; remove it",
                        self.directory.path_of(&self.file_name).display()
                    ),
                )
            })?;
            // Before the new fence can be read: what comes after is meant for us.
            self.directory.remove(&self.marker_name);
            self.write(&file, &record).inspect_err(|_| {
                // Half a line would hide the last fence.
                if let Some(previous) = previous {
                    let _ = record::write(&file, &previous);
                }
            })?;
            Ok(record)
        });
        match recorded {
            Ok(record) => Ok(Hold {
                token: claim.token.clone(),
                file,
                record,
            }),
            Err(error) => {
                let _ = file.unlock();
                Err(error)
            }
        }
    }

    /// Looks without disturbing: a shared lock for an instant, which no other
    /// look minds and a contender tells from a holder's. `/proc/locks` would not
    /// even need that, but shows no holder of another pid namespace.
    pub(super) fn look(&self) -> Result<Option<Look>, StoreError> {
        let Some(file) = self.directory.open_file(&self.file_name, Access::Look)? else {
            return Ok(None);
        };
        let failure = |error| {
            self.directory
                .failure("lock", &self.file_name, errno_of(&error))
        };
        let free = match file.try_lock_shared() {
            Ok(()) => {
                file.unlock().map_err(failure)?;
                true
            }
            Err(TryLockError::WouldBlock) => false,
            Err(TryLockError::Error(error)) => return Err(failure(error)),
        };
        let record = self.read(&file)?;
        let held = (!free).then(|| self.held(record.as_ref()));
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
            remaining: None,
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
                        let held = self.holder_of(&file, InTheWay::Holder, &patience)?;
                        if let Some(held) = held {
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
            let _ = record::write(&hold.file, &hold.record);
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
        self.write(&file, &hold.record)?;
        hold.file = file;
        Ok(Refresh::Retaken(hold.grant()))
    }

    /// Marks the lock free in our own file, or says what became of that file.
    pub(super) fn release(&self, hold: &Hold) -> Result<Release, StoreError> {
        match self.entry(&hold.file)? {
            Entry::Same => {
                // A record that still names us is that of a crash: it does no harm.
                let _ = record::write(&hold.file, &hold.record.released());
                self.directory.remove(&self.marker_name);
                Ok(Release::Released)
            }
            Entry::Absent => Ok(Release::Forgotten),
            Entry::Other => Ok(match self.look()? {
                Some(look) if look.held.is_some() || look.fence() > Some(hold.record.fence) => {
                    Release::NotOurs(look.held)
                }
                _ => Release::Forgotten,
            }),
        }
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

    /// Puts a fresh file, free and with a larger fence, in the place of the held one.
    pub(super) fn replace(&self, record: Option<Record>) -> Result<(), StoreError> {
        let record = Record::next(record).ok_or_else(|| {
            StoreError::new(StoreErrorKind::Misconfigured, "the largest fence is in use")
        })?;
        let (temporary, file) = self.directory.create_temporary()?;
        self.write(&file, &record)
            .and_then(|()| self.directory.rename(&temporary, &self.file_name))
            .inspect_err(|_| self.directory.remove(&temporary))?;
        self.directory.remove(&self.marker_name);
        Ok(())
    }
}
