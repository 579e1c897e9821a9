//! What of a lock is done already: the last success, and a tick's attempts.
//!
//! One file per lock, made by the first run that asks for it. It is read and
//! changed under its own `flock`, and a run that it binds keeps that from the
//! check to the grant: of two runs at the same moment the second sees the
//! attempt of the first. A success is on record before the place is free.
//! It lasts as long as the file: one on a tmpfs (`/run/lock`) ends with the boot.

use std::fs::{File, TryLockError};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::directory::{Directory, Entry, errno_of};
use super::file_name::once_file;
use super::record::{self, Moment, millis};
use crate::clock;
use crate::store::{Done, LockName, Once, Period, StoreError, StoreErrorKind};

/// How long we wait for others to be done with the file, which takes them some
/// 100 µs: a crowd of the same cron minute is through by then.
const PATIENCE: Duration = Duration::from_secs(1);

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(1);

/// The content of the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Record {
    v: u64,
    /// When the last success was asked for.
    #[serde(default)]
    success: Option<Moment>,
    /// The last key that a success carried.
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    attempts: Option<Attempts>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// The runs of one tick.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Attempts {
    /// When the first of them was asked for.
    first: Moment,
    count: u32,
}

/// The file, locked until it is dropped.
pub(super) struct OnceFile<'a> {
    directory: &'a Directory,
    file_name: String,
    file: File,
    record: Record,
}

impl<'a> OnceFile<'a> {
    /// Opens and locks the file, made if it is missing.
    pub(super) fn lock(
        directory: &'a Directory,
        name: &LockName,
    ) -> Result<OnceFile<'a>, StoreError> {
        let file_name = once_file(name);
        let start = clock::now();
        loop {
            let file = directory.open_or_create(&file_name)?;
            match file.try_lock() {
                // Else deleted or replaced between our opening and locking it.
                Ok(()) if directory.entry(&file, &file_name)? == Entry::Same => {
                    let record = record::read_in(directory, &file_name, &file)?;
                    return Ok(OnceFile {
                        directory,
                        file_name,
                        file,
                        record: record.unwrap_or_else(Record::new),
                    });
                }
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => {
                    return Err(directory.failure("lock", &file_name, errno_of(&error)));
                }
            }
            if clock::now().since(start) >= PATIENCE {
                return Err(StoreError::new(
                    StoreErrorKind::Unavailable,
                    format!(
                        "cannot lock {}: something else uses it",
                        directory.path_of(&file_name).display()
                    ),
                ));
            }
            thread::sleep(PAUSE);
        }
    }

    /// Why a run that was asked for then need not run.
    pub(super) fn done(&self, once: &Once, asked: &Moment) -> Option<Done> {
        self.record.done(once, asked)
    }

    /// Counts a run of the tick in which it was asked for, and names that tick.
    pub(super) fn count(&mut self, period: Period, asked: &Moment) -> Result<Moment, StoreError> {
        self.change(|record| record.count(period, asked))
    }

    /// Takes a run of that tick back.
    pub(super) fn take_back(&mut self, tick: &Moment) -> Result<(), StoreError> {
        self.change(|record| record.take_back(tick))
    }

    /// Notes the success of a run that was asked for then.
    pub(super) fn succeed(&mut self, once: &Once, asked: Moment) -> Result<(), StoreError> {
        self.change(|record| record.succeed(once, asked))
    }

    fn change<T>(&mut self, change: impl FnOnce(&mut Record) -> T) -> Result<T, StoreError> {
        let mut record = self.record.clone();
        let changed = change(&mut record);
        let written = record::write_in(self.directory, (&self.file_name, &self.file), &record);
        written.inspect_err(|_| {
            // Half a line would hide what is done.
            let _ = record::write(&self.file, &self.record);
        })?;
        self.record = record;
        Ok(changed)
    }
}

impl Drop for OnceFile<'_> {
    fn drop(&mut self) {
        // A child that another thread has just forked may keep it open.
        let _ = self.file.unlock();
    }
}

impl Record {
    fn new() -> Record {
        Record {
            v: record::VERSION,
            success: None,
            key: None,
            attempts: None,
            rest: Map::new(),
        }
    }

    fn done(&self, once: &Once, asked: &Moment) -> Option<Done> {
        let recent = |period: &Period| {
            let success = self.success.as_ref()?;
            // From now, which is not before `asked`.
            let ago = || Moment::now().since(success);
            is_of_tick(asked, success, period.length).then(|| Done::Recently { ago: ago() })
        };
        let same_key = |key: &String| (self.key.as_ref() == Some(key)).then_some(Done::SameKey);
        let used_up = |period: &Period| {
            let attempts = self.attempts.as_ref()?;
            let count = attempts.count;
            let same = is_of_tick(asked, &attempts.first, period.length);
            (same && count >= period.attempts).then_some(Done::Attempts { count })
        };
        once.per
            .as_ref()
            .and_then(recent)
            .or_else(|| once.key.as_ref().and_then(same_key))
            .or_else(|| once.per.as_ref().and_then(used_up))
    }

    fn count(&mut self, period: Period, asked: &Moment) -> Moment {
        let this_tick = self
            .attempts
            .take()
            .filter(|attempts| is_of_tick(asked, &attempts.first, period.length));
        let attempts = self.attempts.insert(match this_tick {
            Some(Attempts { first, count }) => Attempts {
                first,
                count: count.saturating_add(1),
            },
            None => Attempts {
                first: asked.clone(),
                count: 1,
            },
        });
        attempts.first.clone()
    }

    fn take_back(&mut self, tick: &Moment) {
        if let Some(attempts) = &mut self.attempts
            && attempts.first == *tick
        {
            attempts.count = attempts.count.saturating_sub(1);
        }
    }

    fn succeed(&mut self, once: &Once, asked: Moment) {
        if let Some(key) = &once.key {
            self.key = Some(key.clone());
        }
        if once.per.is_none() {
            return;
        }
        // Of an earlier boot: before, whatever the wall clock says.
        let later = self
            .success
            .as_ref()
            .is_none_or(|success| !asked.is_of_the_boot_of(success) || asked.ms_after(success) > 0);
        if later {
            self.success = Some(asked);
        }
    }
}

/// Whether a run that was asked for at `asked` belongs to the same tick as one
/// of `other`, or to an earlier one (it has stood in line since then).
///
/// What is on record of an earlier boot cannot lie ahead: by half a period and
/// more it does only if a clock was wrong, and that must not close the schedule
/// until it comes true.
fn is_of_tick(asked: &Moment, other: &Moment, length: Duration) -> bool {
    let after = asked.ms_after(other).saturating_mul(2);
    let length = i128::from(millis(length));
    after < length && (asked.is_of_the_boot_of(other) || after > -length)
}
