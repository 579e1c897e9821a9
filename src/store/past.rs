//! What a store remembers of the runs of a lock.

use std::time::Duration;

use super::{Fence, Holder};

/// The answer to a question for the history of a lock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The last runs that ended, the oldest first.
    pub runs: Vec<PastRun>,
    /// Since the last of them began: how many were skipped.
    pub skips: u32,
    /// The store's clock when it answered, in milliseconds since 1970.
    pub now_ms: u64,
}

/// A run that ended, or of which nothing was heard any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastRun {
    /// Who it was, as far as it is remembered: [`Holder::who`] and [`Holder::command`] at least.
    pub holder: Holder,
    /// Its fence.
    pub fence: Option<Fence>,
    /// Its place.
    pub slot: u32,
    /// When it was granted the lock, by the store's clock, in milliseconds since 1970.
    pub started_ms: u64,
    /// From the grant to the release. None: it was never released.
    pub lasted: Option<Duration>,
    /// What became of it.
    pub outcome: PastOutcome,
    /// How many were skipped since the run before it began.
    pub skips: u32,
}

/// What became of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PastOutcome {
    /// The command exited with this code.
    Exit(u8),
    /// The command died of this signal.
    Signal(i32),
    /// `--max-runtime` ended it.
    Timeout,
    /// The lock was lost, or taken back by force.
    Lost,
    /// It was never started: not executable, not found, no process to be had.
    Unstarted,
    /// A hold across steps (`tasklock acquire`), given back.
    Released,
    /// It ended without a word: its lease ran out.
    Vanished,
}

impl PastOutcome {
    /// Whether the run did what it was started for.
    #[must_use]
    pub fn is_success(self) -> bool {
        matches!(self, PastOutcome::Exit(0) | PastOutcome::Released)
    }
}
