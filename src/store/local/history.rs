//! What is remembered of the runs of a lock: one file of lines, appended to.
//!
//! A line is a run that ended, or one that was skipped. It is written by whoever
//! ends or is skipped, under the file's own `flock`, which nobody keeps for longer
//! than that. A file that has grown long is replaced by a short one, so that a line
//! costs the same however many came before. What cannot be written is forgotten:
//! history is never worth a run.
//!
//! It lasts as long as the file: one on a tmpfs (`/run/lock`) ends with the boot.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::directory::{Access, Directory};
use super::file_name::runs_file;
use super::patience::Patience;
use super::record::{self, Record};
use crate::store::past::{HISTORY_MAX, History, PastOutcome, PastRun};
use crate::store::{Fence, Holder, LockName};

/// A file this long, in bytes, is written anew: 100 runs take about 25 KiB.
const LONG: u64 = 48 * 1024;
/// How much of a text is remembered, in bytes; as on a server.
const WHO_MAX: usize = 96;
const COMMAND_MAX: usize = 80;
/// A file longer than this, in bytes, is not ours.
const READ_MAX: u64 = 16 * 1024 * 1024;

/// One line of the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    /// A run that ended.
    Run(Run),
    /// Runs that were skipped.
    Skip(Skip),
    /// The first line of a file that was written anew: what is remembered besides.
    Base(Base),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Run {
    id: String,
    who: String,
    pid: u32,
    #[serde(default)]
    command: String,
    fence: Option<Fence>,
    slot: u32,
    /// On the wall clock, in ms.
    start: u64,
    /// In ms; None: it was never released.
    ms: Option<u64>,
    outcome: String,
    /// How many runs are kept after this one.
    keep: u32,
    /// How many were skipped before it, where their lines are gone.
    #[serde(default)]
    skips: u32,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Skip {
    /// On the wall clock, in ms.
    at: u64,
    /// Who was skipped, so that it counts once; empty: several.
    id: String,
    count: u32,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Base {
    /// The length of the file when it was written, in bytes; not exact.
    bytes: u64,
    last: Option<Run>,
    /// When a success last ended, on the wall clock in ms.
    success: Option<u64>,
}

/// What the file says.
#[derive(Clone, Debug, Default)]
pub(super) struct Past {
    runs: Vec<Run>,
    last: Option<Run>,
    success: Option<u64>,
    /// Those that were skipped since the last run of `runs` began, as far as is known.
    skips: Vec<Skip>,
}

/// The file of one lock, in the directory as it is for one request.
pub(super) struct RunsFile<'a> {
    directory: &'a Directory,
    file_name: String,
}

impl<'a> RunsFile<'a> {
    pub(super) fn new(directory: &'a Directory, name: &LockName) -> RunsFile<'a> {
        RunsFile {
            directory,
            file_name: runs_file(name),
        }
    }

    /// Notes that the run of `record`, in the place `slot`, has ended.
    pub(super) fn ended(&self, (record, slot): (&Record, u32), outcome: PastOutcome, keep: u32) {
        if let Some(run) = Run::of((record, slot), outcome, keep) {
            self.note(&Line::Run(run));
        }
    }

    /// Notes that a run was skipped. The same one counts once.
    pub(super) fn skipped(&self, holder: &Holder) {
        self.note(&Line::Skip(Skip {
            at: record::wall_ms(),
            id: holder.id.clone(),
            count: 1,
        }));
    }

    fn note(&self, line: &Line) {
        if let Ok(mut text) = serde_json::to_vec(line) {
            text.push(b'\n');
            // Nothing is told of a failure: the run is what matters.
            let _ = self.append(&text);
        }
    }

    /// None: it could not be written.
    fn append(&self, line: &[u8]) -> Option<()> {
        let mut patience = Patience::new();
        let (mut file, length) = loop {
            let file = self.directory.open_or_create(&self.file_name).ok()?;
            if file.try_lock().is_ok() {
                let metadata = file.metadata().ok()?;
                // Else replaced between our opening and locking it.
                if metadata.nlink() > 0 {
                    break (file, metadata.len());
                }
            }
            if patience.is_over() {
                return None;
            }
            patience.pause();
        };
        file.seek(SeekFrom::Start(length)).ok()?;
        if file.write_all(line).is_err() {
            // Half a line would spoil the next one.
            file.set_len(length).ok()?;
            return None;
        }
        if length > LONG {
            self.shorten(&mut file, length);
        }
        Some(())
    }

    /// Puts a short file in the place of `file`, which we have locked, unless it was
    /// as long from the start.
    fn shorten(&self, file: &mut File, length: u64) -> Option<()> {
        let (past, base) = read(file)?;
        if length < 2 * base {
            return None;
        }
        let mut text = past.text()?;
        let bytes = text.len() as u64;
        let base = Line::Base(Base {
            bytes,
            last: past.last,
            success: past.success,
        });
        let mut whole = serde_json::to_vec(&base).ok()?;
        whole.push(b'\n');
        whole.append(&mut text);
        let (temporary, mut short) = self.directory.create_temporary().ok()?;
        let replaced = short.write_all(&whole).is_ok()
            && self.directory.rename(&temporary, &self.file_name).is_ok();
        if !replaced {
            self.directory.remove(&temporary);
        }
        Some(())
    }

    /// What is remembered; nothing where the file is missing or cannot be read.
    pub(super) fn read(&self) -> Past {
        let file = self.directory.open_file(&self.file_name, Access::Look);
        let past = file.ok().flatten().and_then(|mut file| read(&mut file));
        past.map(|(past, _)| past).unwrap_or_default()
    }
}

/// What stands in `file`, and how long it was when it was written.
fn read(file: &mut File) -> Option<(Past, u64)> {
    let mut text = Vec::new();
    file.seek(SeekFrom::Start(0)).ok()?;
    file.take(READ_MAX).read_to_end(&mut text).ok()?;
    let (mut past, mut bytes) = (Past::default(), 0);
    for line in text.split(|byte| *byte == b'\n') {
        match serde_json::from_slice(line) {
            Ok(Line::Run(run)) => past.add(run),
            Ok(Line::Skip(skip)) => past.skips.push(skip),
            Ok(Line::Base(base)) => {
                bytes = base.bytes;
                past.last = base.last;
                past.success = base.success;
            }
            // Half written, or not ours.
            Err(_) => {}
        }
    }
    Some((past, bytes))
}

impl Past {
    fn add(&mut self, mut run: Run) {
        let (before, after) = self.skips.drain(..).partition(|skip| skip.at < run.start);
        self.skips = after;
        run.skips = run.skips.saturating_add(count(&before));
        if run.is_success() {
            self.success = Some(run.end());
        }
        self.last = Some(run.clone());
        let keep = run.keep.min(HISTORY_MAX) as usize;
        self.runs.push(run);
        self.runs.drain(..self.runs.len().saturating_sub(keep));
    }

    /// The lines of a file that says the same.
    fn text(&self) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        let skips = Skip {
            at: self.skips.last().map_or(0, |skip| skip.at),
            id: String::new(),
            count: count(&self.skips),
        };
        let runs = self.runs.iter().cloned().map(Line::Run);
        let skips = Some(Line::Skip(skips)).filter(|_| !self.skips.is_empty());
        for line in runs.chain(skips) {
            serde_json::to_writer(&mut text, &line).ok()?;
            text.push(b'\n');
        }
        Some(text)
    }

    /// Adds those that hold a place, or that crashed there.
    pub(super) fn and_now(&mut self, slot: u32, record: &Record, is_held: bool) {
        let Some(run) = Run::of((record, slot), PastOutcome::Vanished, HISTORY_MAX) else {
            return;
        };
        if is_held {
            // What came before it is not of the time since the last grant.
            self.skips.retain(|skip| skip.at >= run.start);
        } else {
            self.add(run);
        }
    }

    pub(super) fn skips(&self) -> u32 {
        count(&self.skips)
    }

    pub(super) fn last(&self) -> Option<PastRun> {
        self.last.as_ref().and_then(Run::told)
    }

    pub(super) fn last_success(&self) -> Option<Duration> {
        let ended = self.success?;
        Some(Duration::from_millis(
            record::wall_ms().saturating_sub(ended),
        ))
    }

    pub(super) fn history(&self) -> History {
        History {
            runs: self.runs.iter().filter_map(Run::told).collect(),
            skips: self.skips(),
            now_ms: record::wall_ms(),
        }
    }
}

/// How many runs were skipped.
fn count(skips: &[Skip]) -> u32 {
    let mut seen = HashSet::new();
    let counted = skips
        .iter()
        .filter(|skip| skip.id.is_empty() || seen.insert(&skip.id));
    counted.fold(0, |sum, skip| sum.saturating_add(skip.count))
}

impl Run {
    /// The run that was granted the place `slot` last. None: nobody is known there.
    fn of((record, slot): (&Record, u32), outcome: PastOutcome, keep: u32) -> Option<Run> {
        let holder = record.holder.as_ref()?;
        Some(Run {
            id: cut(&holder.id, 16).to_owned(),
            who: cut(&holder.who, WHO_MAX).to_owned(),
            pid: holder.pid,
            command: cut(&holder.command, COMMAND_MAX).to_owned(),
            fence: Some(record.fence),
            slot,
            start: record.since.wall_ms,
            ms: (outcome != PastOutcome::Vanished).then(|| record.held_ms()),
            outcome: outcome.to_string(),
            keep,
            skips: 0,
        })
    }

    fn is_success(&self) -> bool {
        self.outcome.parse().is_ok_and(PastOutcome::is_success)
    }

    /// When it ended, on the wall clock in ms.
    fn end(&self) -> u64 {
        self.start.saturating_add(self.ms.unwrap_or(0))
    }

    fn told(&self) -> Option<PastRun> {
        Some(PastRun {
            holder: Holder {
                id: self.id.clone(),
                who: self.who.clone(),
                pid: self.pid,
                command: self.command.clone(),
                reason: None,
            },
            fence: self.fence,
            slot: self.slot,
            started_ms: self.start,
            lasted: self.ms.map(Duration::from_millis),
            outcome: self.outcome.parse().ok()?,
            skips: self.skips,
        })
    }
}

/// The first bytes of a text, and no half of a character.
fn cut(text: &str, most: usize) -> &str {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
