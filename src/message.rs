//! What tasklock tells people: every line it writes while it works. Here is what
//! there is to tell, and when; `text` has the words, `json` the data.

mod json;
mod quote;
mod text;

pub use json::skip_word;
pub use quote::{
    escape, has_password, hide_quoted_urls, hide_urls, json_line, mask_url, plain, show_path,
};
pub use text::{held_text, held_text_at, waiting_line, who_and_what};

use std::time::Duration;

use crate::exit::{Outcome, Skip, StartError};
use crate::signals::Signal;
use crate::store::{Fence, Held, Queued, StoreError};

/// Something to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// No URL was configured.
    LocalOnly,
    /// We stand in line for the lock.
    Waiting {
        /// Where in line, and for whom.
        queued: Queued,
        /// How long we will wait at the most. None: for ever.
        left: Option<Duration>,
        /// How many places we may choose from.
        places: u32,
    },
    /// The store cannot be reached by a run that waits; it goes on trying.
    WaitsForStore {
        /// Why.
        error: StoreError,
        /// For how long, at the most. None: for ever.
        left: Option<Duration>,
    },
    /// The lock is ours.
    Acquired {
        /// Its fencing number.
        fence: Fence,
        /// From the first request to the grant.
        waited: Duration,
    },
    /// The lease runs anew.
    Refreshed,
    /// The lease runs anew, after trouble.
    RefreshedAgain {
        /// The trouble was told.
        told: bool,
    },
    /// The key had vanished, and was taken again.
    Retaken,
    /// A refresh failed; it is tried again while there is room.
    RefreshFailed {
        /// Why.
        error: StoreError,
        /// Until the command has to be stopped, if it ever has to.
        left: Option<Duration>,
        /// It has become urgent, and has not been told in this outage.
        first: bool,
    },
    /// The lock is lost, or cannot be kept.
    Lost {
        /// From the grant to now.
        held_for: Duration,
        /// How.
        cause: LossCause,
        /// What is done about it.
        reaction: Reaction,
        /// The command, if it still runs.
        pid: Option<u32>,
    },
    /// The command ran too long.
    MaxRuntime {
        /// How long it was allowed.
        limit: Duration,
        /// The command.
        pid: u32,
        /// The signal it is stopped with.
        signal: Signal,
        /// Until KILL.
        kill_in: Duration,
    },
    /// KILL has no effect.
    Unkillable {
        /// The command; None: one of its descendants.
        pid: Option<u32>,
    },
    /// The lock is free.
    Released {
        /// From the grant to now.
        held_for: Duration,
    },
    /// The store knew nothing of the lock at the release.
    Forgotten,
    /// The release was not answered.
    ReleaseFailed {
        /// Why, if anything came back.
        error: Option<StoreError>,
        /// Until the lease ends by itself.
        frees_in: Option<Duration>,
    },
    /// The store cannot be reached; the command runs without the lock.
    RunsUnlocked {
        /// Why.
        error: StoreError,
    },
    /// Nothing was run, somebody else sees to it.
    Skipped {
        /// Why.
        skip: Skip,
        /// How many places we might have chosen from.
        places: u32,
    },
    /// Nothing was run, for want of an answer.
    Unavailable(StoreError),
    /// The command could not be started.
    NotStarted(StartError),
    /// An ancestor of ours holds the lock.
    AlreadyHeld,
    /// A defect.
    Defect,
    /// Nothing was run: wrong usage, wrong configuration, or the system refused something.
    Failed(String),
    /// `--report` could not be written when the run was over.
    NotReported {
        /// The path, as it was given.
        path: String,
        /// Why.
        error: String,
    },
}

/// How a lock was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LossCause {
    /// Somebody else holds it.
    TakenOver(Held),
    /// It was granted to somebody else since, or freed by force.
    FenceMoved,
    /// The lease had ended before it could be refreshed.
    Expired,
    /// An administrator asked us to stop.
    Revoked {
        /// Who.
        by: String,
    },
    /// We, or the whole machine, were stopped past the end of the lease.
    Overslept,
    /// The lease cannot be refreshed, and would end before the command could be stopped.
    NoRoom,
    /// Our own thread died.
    KeeperGone,
}

/// What is done about a lost lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// The command is being stopped.
    Stops {
        /// With this signal.
        signal: Signal,
        /// Until KILL.
        kill_in: Duration,
    },
    /// The command is killed now.
    Kills,
    /// The command goes on, as asked.
    Continues,
    /// The command had ended already.
    Ended,
}

/// When a message is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Always, also with `-q`.
    Error,
    /// Not with `-q`.
    Notice,
    /// With `-v`.
    Info,
    /// With `-vv`.
    Debug,
}

impl Message {
    /// What an outcome has to say for itself, of a lock with this many places. None:
    /// nothing, or it was said before.
    #[must_use]
    pub fn of(outcome: &Outcome, places: u32) -> Option<Message> {
        match outcome {
            Outcome::Ran(_) | Outcome::Lost(_) | Outcome::TimedOut(_) | Outcome::Interrupted(_) => {
                None
            }
            Outcome::Skipped(skip) => {
                let skip = skip.clone();
                Some(Message::Skipped { skip, places })
            }
            Outcome::Unavailable(error) => Some(Message::Unavailable(error.clone())),
            Outcome::NotStarted(error) => Some(Message::NotStarted(error.clone())),
            Outcome::AlreadyHeld => Some(Message::AlreadyHeld),
            Outcome::Defect => Some(Message::Defect),
        }
    }

    /// When to show it.
    #[must_use]
    pub fn level(&self) -> Level {
        match self {
            Message::LocalOnly => Level::Error,
            // That a store is out of reach is no everyday skip.
            Message::Skipped {
                skip: Skip::Unavailable(_),
                ..
            } => Level::Error,
            Message::Skipped { .. } | Message::Waiting { .. } | Message::WaitsForStore { .. } => {
                Level::Notice
            }
            Message::RefreshedAgain { told: false } => Level::Info,
            Message::Acquired { .. } | Message::Released { .. } => Level::Info,
            Message::RefreshFailed { first: false, .. } => Level::Info,
            Message::Refreshed => Level::Debug,
            _ => Level::Error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Done;

    #[test]
    fn quiet_hides_that_a_run_waits_or_was_skipped() {
        let queued = Queued::default();
        let (left, places) = (None, 1);
        let skipped = |skip| Message::Skipped { skip, places };
        for message in [
            Message::Waiting {
                queued,
                left,
                places,
            },
            skipped(Skip::Reserved(None)),
            skipped(Skip::CoolingDown(Duration::ZERO)),
            skipped(Skip::AlreadyDone(Done::SameKey)),
        ] {
            assert_eq!(message.level(), Level::Notice, "{message:?}");
        }
    }
}
