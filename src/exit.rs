//! What a run came to, and the code that says so: the only mapping in the program.

use crate::signals::Signal;
use crate::store::{Done, Held, Holder, Queued, StoreError, StoreErrorKind};

use std::time::Duration;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildStatus {
    /// It exited with this code.
    Exited(u8),
    /// It died of this signal.
    Killed(Signal),
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The command ran and the lock was held throughout (or was never taken,
    /// with `--on-unavailable run`).
    Ran(ChildStatus),
    /// The lock was lost while the command ran. None: the command could not be
    /// killed and is still there.
    Lost(Option<ChildStatus>),
    /// Nothing was run, because somebody else sees to it.
    Skipped(Skip),
    /// Nothing was run, because the store did not give a usable answer.
    Unavailable(StoreError),
    /// `--max-runtime` ended the command. None: it could not be killed.
    TimedOut(Option<ChildStatus>),
    /// A signal ended the wait for the lock; nothing was run.
    Interrupted(Signal),
    /// The command could not be started.
    NotStarted(StartError),
    /// One of our own ancestors holds the lock.
    AlreadyHeld,
    /// A defect in tasklock.
    Defect,
}

/// Why a run was skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Skip {
    /// Somebody else holds the lock.
    Held(Held),
    /// We waited for it this long, and this is how it stood last.
    WaitOver {
        /// Who had it, and our place in line.
        queued: Queued,
        /// From the first request to giving up.
        waited: Duration,
    },
    /// It is free, but for this one, who is first in line and has not taken it yet.
    Reserved(Option<Holder>),
    /// The last holder's minimum hold still runs, for this long.
    CoolingDown(Duration),
    /// An earlier run has made this one unnecessary.
    AlreadyDone(Done),
    /// The store cannot be reached, and `--on-unavailable skip` was given.
    Unavailable(StoreError),
}

/// Why a command could not be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartError {
    /// There is no such command.
    NotFound(String),
    /// It is there but cannot be executed.
    CannotExecute(String),
    /// The system refused a new process.
    ForkRefused(String),
}

/// How tasklock itself ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Exit with this code.
    Code(u8),
    /// Die of this signal, as the command did.
    Signal(Signal),
}

/// Codes that flags can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Codes {
    /// `-E`: skipped.
    pub conflict: u8,
    /// `--lost-exit-code`.
    pub lost: u8,
}

impl Default for Codes {
    fn default() -> Codes {
        Codes {
            conflict: Code::Skipped as u8,
            lost: Code::Lost as u8,
        }
    }
}

/// The exit codes that are not the command's own, most of them from sysexits.h
/// and timeout(1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// Done.
    Ok = 0,
    /// A check found something that a person should look at.
    Warning = 1,
    /// Wrong usage (EX_USAGE).
    Usage = 64,
    /// The store could not be reached, nothing was run (EX_UNAVAILABLE).
    Unavailable = 69,
    /// A defect in tasklock (EX_SOFTWARE).
    Defect = 70,
    /// The system refused a fork (EX_OSERR).
    System = 71,
    /// Skipped (EX_TEMPFAIL).
    Skipped = 75,
    /// The store refused the credentials or a permission (EX_NOPERM).
    Denied = 77,
    /// Wrong configuration, URL, certificate, or a key of the wrong type (EX_CONFIG).
    Config = 78,
    /// The lock was lost while the command ran.
    Lost = 79,
    /// `--max-runtime` ended the command.
    TimedOut = 124,
    /// The command cannot be executed.
    CannotExecute = 126,
    /// The command was not found.
    NotFound = 127,
}

impl Code {
    /// All of them. The documents are held to this list.
    pub const ALL: [Code; 13] = [
        Code::Ok,
        Code::Warning,
        Code::Usage,
        Code::Unavailable,
        Code::Defect,
        Code::System,
        Code::Skipped,
        Code::Denied,
        Code::Config,
        Code::Lost,
        Code::TimedOut,
        Code::CannotExecute,
        Code::NotFound,
    ];
}

impl From<Code> for Ending {
    fn from(code: Code) -> Ending {
        Ending::Code(code as u8)
    }
}

impl StoreErrorKind {
    /// The exit code of a run that ends with this error.
    #[must_use]
    pub fn code(self) -> Code {
        match self {
            StoreErrorKind::Unavailable | StoreErrorKind::Unreplicated => Code::Unavailable,
            StoreErrorKind::Denied => Code::Denied,
            StoreErrorKind::Misconfigured => Code::Config,
            StoreErrorKind::Defect => Code::Defect,
        }
    }
}

impl Outcome {
    /// How tasklock ends after this outcome.
    #[must_use]
    pub fn ending(&self, codes: Codes) -> Ending {
        match self {
            Outcome::Ran(ChildStatus::Exited(code)) => Ending::Code(*code),
            Outcome::Ran(ChildStatus::Killed(signal)) => Ending::Signal(*signal),
            Outcome::Lost(_) => Ending::Code(codes.lost),
            Outcome::Skipped(_) => Ending::Code(codes.conflict),
            Outcome::Unavailable(error) => error.kind.code().into(),
            Outcome::TimedOut(_) => Code::TimedOut.into(),
            Outcome::Interrupted(signal) => Ending::Signal(*signal),
            Outcome::NotStarted(StartError::NotFound(_)) => Code::NotFound.into(),
            Outcome::NotStarted(StartError::CannotExecute(_)) => Code::CannotExecute.into(),
            Outcome::NotStarted(StartError::ForkRefused(_)) => Code::System.into(),
            Outcome::AlreadyHeld => Code::Usage.into(),
            Outcome::Defect => Code::Defect.into(),
        }
    }

    /// The word for it in `--report`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::Ran(_) => "ran",
            Outcome::Lost(_) => "lost",
            Outcome::Skipped(_) => "skipped",
            Outcome::Unavailable(_) => "unavailable",
            Outcome::TimedOut(_) => "timeout",
            Outcome::Interrupted(_) => "interrupted",
            Outcome::NotStarted(_) | Outcome::AlreadyHeld | Outcome::Defect => "failed",
        }
    }

    /// How the command ended, if it ran and ended.
    #[must_use]
    pub fn status(&self) -> Option<ChildStatus> {
        match self {
            Outcome::Ran(status) => Some(*status),
            Outcome::Lost(status) | Outcome::TimedOut(status) => *status,
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(outcome: &Outcome) -> Ending {
        outcome.ending(Codes::default())
    }

    fn store_error(kind: StoreErrorKind) -> Outcome {
        Outcome::Unavailable(StoreError::new(kind, "x"))
    }

    #[test]
    fn every_outcome_has_the_code_of_the_contract() {
        let start = |error| Outcome::NotStarted(error);
        let text = String::new;
        for (outcome, expected) in [
            (Outcome::Ran(ChildStatus::Exited(3)), 3),
            (Outcome::Skipped(Skip::Held(Held::default())), 75),
            (Outcome::Lost(Some(ChildStatus::Exited(0))), 79),
            (store_error(StoreErrorKind::Unavailable), 69),
            (store_error(StoreErrorKind::Unreplicated), 69),
            (store_error(StoreErrorKind::Denied), 77),
            (store_error(StoreErrorKind::Misconfigured), 78),
            (store_error(StoreErrorKind::Defect), 70),
            (Outcome::TimedOut(None), 124),
            (start(StartError::NotFound(text())), 127),
            (start(StartError::CannotExecute(text())), 126),
            (start(StartError::ForkRefused(text())), 71),
            (Outcome::AlreadyHeld, 64),
            (Outcome::Defect, 70),
        ] {
            assert_eq!(code(&outcome), Ending::Code(expected), "{outcome:?}");
        }
    }

    #[test]
    fn death_by_signal_is_passed_on_as_death_by_signal() {
        let killed = Outcome::Ran(ChildStatus::Killed(Signal::TERM));
        assert_eq!(code(&killed), Ending::Signal(Signal::TERM));
        assert_eq!(
            code(&Outcome::Interrupted(Signal::INT)),
            Ending::Signal(Signal::INT)
        );
    }

    #[test]
    fn flags_change_the_codes_of_skipped_and_lost_alone() {
        let codes = Codes {
            conflict: 0,
            lost: 1,
        };
        assert_eq!(
            Outcome::Skipped(Skip::CoolingDown(Duration::ZERO)).ending(codes),
            Ending::Code(0)
        );
        assert_eq!(Outcome::Lost(None).ending(codes), Ending::Code(1));
        assert_eq!(Outcome::TimedOut(None).ending(codes), Ending::Code(124));
    }
}
