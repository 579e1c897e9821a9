//! What happened in a round: one file, one line of JSON per event, each appended in one write.
//!
//! All who write live on one machine and read one clock, so that the lines of all of them can
//! be put in order: nanoseconds since boot, suspend included.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use tasklock::clock;

use super::fault::Fault;

/// Nanoseconds since boot.
pub(crate) type Nanos = u64;

/// Now.
pub(crate) fn now() -> Nanos {
    nanos(clock::now().since_boot())
}

/// So many of them.
pub(crate) fn nanos(duration: Duration) -> Nanos {
    Nanos::try_from(duration.as_nanos()).unwrap()
}

/// A time by the clock on the wall, in nanoseconds since boot. Asked soon after it.
pub(crate) fn since_boot(wall: SystemTime) -> Nanos {
    let ago = SystemTime::now().duration_since(wall).unwrap_or_default();
    now().saturating_sub(nanos(ago))
}

/// Returns at this moment.
pub(crate) fn sleep_until(at: Nanos) {
    let left = at.saturating_sub(now());
    thread::sleep(Duration::from_nanos(left));
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Record {
    /// A run is about to be started.
    Asked {
        at: Nanos,
        run: u32,
        name: String,
        /// It may use the places below this number.
        slots: u32,
        /// That of its lease, if it has one.
        ttl: Nanos,
        /// Its job exits with this.
        code: i32,
        /// A job on the plain recipe: no tasklock at all.
        recipe: bool,
    },
    /// The job of a run says that it has begun.
    Start {
        at: Nanos,
        run: u32,
        name: String,
        slot: u32,
        /// None: a job on the plain recipe.
        fence: Option<u64>,
        pid: i32,
        /// By the kernel's account, another job of this place lived at this moment: its pid
        /// (0: it was gone when it was asked for).
        beside: Option<i32>,
        /// What the register held. None: it refused, for it knows a larger fence.
        read: Option<u64>,
    },
    /// The job says that it is about to exit.
    End {
        at: Nanos,
        run: u32,
        code: i32,
        /// What it made of the register. None: it refused.
        wrote: Option<u64>,
    },
    /// The run has ended, by its exit status.
    Exit {
        at: Nanos,
        run: u32,
        code: Option<i32>,
        signal: Option<i32>,
    },
    /// Tasklock said that it stands in line, or tries again and again.
    Waits { at: Nanos, run: u32 },
    /// Tasklock said that its lease was granted or refreshed.
    Confirmed { at: Nanos, run: u32 },
    /// Tasklock said that its lock is lost, and that it kills the job after this time.
    Stops { at: Nanos, run: u32, kill_in: Nanos },
    /// Something was done to a run, to a name, or to all.
    Fault {
        from: Nanos,
        /// When it was undone, or had certainly been done.
        to: Nanos,
        fault: Fault,
        run: Option<u32>,
        name: Option<String>,
    },
    /// A witness was not given the CPU. One of no length: it has begun to look.
    Gap { from: Nanos, to: Nanos },
    /// The server noted a run in line: it has joined, has asked again, or has been told.
    Joined {
        at: Nanos,
        name: String,
        run: u32,
        ticket: u64,
        slots: u32,
        /// It has been told that there is a place for it.
        told: bool,
    },
    /// The server took a ticket out of the line.
    Left {
        at: Nanos,
        name: String,
        ticket: u64,
    },
    /// The server granted a place.
    Granted {
        at: Nanos,
        name: String,
        run: u32,
        slot: u32,
        fence: u64,
    },
    /// All replicas knew this holder of the place at the beginning of a fail-over.
    Seen {
        at: Nanos,
        name: String,
        slot: u32,
        fence: u64,
        /// The end of its lease.
        until: Nanos,
    },
    /// After all runs had ended, something was left of them.
    Leftover { at: Nanos, what: String },
}

impl Record {
    /// When it happened, or began.
    pub(crate) fn at(&self) -> Nanos {
        match self {
            Record::Asked { at, .. }
            | Record::Start { at, .. }
            | Record::End { at, .. }
            | Record::Exit { at, .. }
            | Record::Waits { at, .. }
            | Record::Confirmed { at, .. }
            | Record::Stops { at, .. }
            | Record::Joined { at, .. }
            | Record::Left { at, .. }
            | Record::Granted { at, .. }
            | Record::Seen { at, .. }
            | Record::Leftover { at, .. } => *at,
            Record::Fault { from, .. } | Record::Gap { from, .. } => *from,
        }
    }
}

/// The file that everybody appends to.
#[derive(Debug)]
pub(crate) struct History {
    path: PathBuf,
    file: File,
}

impl History {
    /// Opens it, and makes it if need be.
    pub(crate) fn open(path: &Path) -> History {
        let mut options = OpenOptions::new();
        let file = options.create(true).append(true).open(path).unwrap();
        let path = path.to_owned();
        History { path, file }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends one event, in one write: lines of several processes do not mix, and one that
    /// is killed leaves a whole line or none.
    pub(crate) fn add(&self, record: &Record) {
        let line = serde_json::to_string(record).unwrap() + "\n";
        let written = (&self.file).write(line.as_bytes()).unwrap();
        assert_eq!(written, line.len(), "{}", self.path.display());
    }

    /// All events, in order of time; those of the same moment as they were written.
    pub(crate) fn read(&self) -> Vec<Record> {
        let text = fs::read_to_string(&self.path).unwrap();
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        let mut records: Vec<Record> = text.lines().map(parse).collect();
        records.sort_by_key(Record::at);
        records
    }
}
