//! What became of a run, in words.

use super::table::Look;
use crate::signals::Signal;
use crate::store::past::PastOutcome;

/// For people: `ok`, `exit 3`, `killed by TERM`.
pub(super) fn text(outcome: PastOutcome) -> String {
    match outcome {
        PastOutcome::Exit(0) => "ok".to_owned(),
        PastOutcome::Exit(code) => format!("exit {code}"),
        PastOutcome::Signal(number) => format!("killed by {}", Signal::from_number(number)),
        PastOutcome::Timeout => "timeout".to_owned(),
        PastOutcome::Lost => "lost".to_owned(),
        PastOutcome::Unstarted => "not started".to_owned(),
        PastOutcome::Released => "released".to_owned(),
        PastOutcome::Vanished => "vanished".to_owned(),
    }
}

/// For programs: one word.
pub(super) fn word(outcome: PastOutcome) -> &'static str {
    match outcome {
        PastOutcome::Exit(0) => "ok",
        PastOutcome::Exit(_) => "failed",
        PastOutcome::Signal(_) => "killed",
        PastOutcome::Timeout => "timeout",
        PastOutcome::Lost => "lost",
        PastOutcome::Unstarted => "not_started",
        PastOutcome::Released => "released",
        PastOutcome::Vanished => "vanished",
    }
}

/// The exit code of the command, if it had one.
pub(super) fn exit_code(outcome: PastOutcome) -> Option<u8> {
    match outcome {
        PastOutcome::Exit(code) => Some(code),
        _ => None,
    }
}

/// The signal that the command died of, by its name.
pub(super) fn signal(outcome: PastOutcome) -> Option<String> {
    match outcome {
        PastOutcome::Signal(number) => Some(Signal::from_number(number).to_string()),
        _ => None,
    }
}

pub(super) fn look(outcome: PastOutcome) -> Look {
    if outcome.is_success() {
        Look::Good
    } else {
        Look::Bad
    }
}
