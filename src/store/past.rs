//! What a store remembers of the runs of a lock.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{Fence, Holder};

/// How many runs are remembered unless something else is asked for.
pub const HISTORY_DEFAULT: u32 = 100;
/// The most that can be asked for: with the longest texts they stay below 64 KiB.
pub const HISTORY_MAX: u32 = 200;

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

impl PastRun {
    /// When it ended, by the store's clock, in milliseconds since 1970; of one that was
    /// never released, when it began.
    #[must_use]
    pub fn ended_ms(&self) -> u64 {
        let lasted = self.lasted.unwrap_or_default().as_millis();
        let lasted = u64::try_from(lasted).unwrap_or(u64::MAX);
        self.started_ms.saturating_add(lasted)
    }
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

/// As it is stored: `exit:3`, `signal:15`, `vanished`…
impl fmt::Display for PastOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PastOutcome::Exit(code) => write!(f, "exit:{code}"),
            PastOutcome::Signal(number) => write!(f, "signal:{number}"),
            PastOutcome::Timeout => f.write_str("timeout"),
            PastOutcome::Lost => f.write_str("lost"),
            PastOutcome::Unstarted => f.write_str("unstarted"),
            PastOutcome::Released => f.write_str("released"),
            PastOutcome::Vanished => f.write_str("vanished"),
        }
    }
}

/// From what [`fmt::Display`] writes.
impl FromStr for PastOutcome {
    type Err = ();

    fn from_str(text: &str) -> Result<PastOutcome, ()> {
        let number = |prefix| text.strip_prefix(prefix);
        if let Some(code) = number("exit:") {
            return code.parse().map(PastOutcome::Exit).map_err(drop);
        }
        if let Some(signal) = number("signal:") {
            return signal.parse().map(PastOutcome::Signal).map_err(drop);
        }
        Ok(match text {
            "timeout" => PastOutcome::Timeout,
            "lost" => PastOutcome::Lost,
            "unstarted" => PastOutcome::Unstarted,
            "released" => PastOutcome::Released,
            "vanished" => PastOutcome::Vanished,
            _ => return Err(()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_read_as_it_was_written_and_nothing_else_is_one() {
        for outcome in [
            PastOutcome::Exit(255),
            PastOutcome::Signal(15),
            PastOutcome::Timeout,
            PastOutcome::Lost,
            PastOutcome::Unstarted,
            PastOutcome::Released,
            PastOutcome::Vanished,
        ] {
            assert_eq!(outcome.to_string().parse(), Ok(outcome));
        }
        for text in ["", "exit", "exit:", "exit:256", "signal:x", "Lost"] {
            assert_eq!(text.parse::<PastOutcome>(), Err(()), "{text}");
        }
    }
}
