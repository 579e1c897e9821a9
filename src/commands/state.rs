//! How a lock stands, in one word.

use super::table::Look;
use crate::store::{Slot, Status};

/// How a lock, or one place of it, stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nobody has it.
    Free,
    /// Somebody has it.
    Held,
    /// Somebody has it, and has been asked to stop.
    Revoked,
    /// Nobody has it, but a minimum hold still runs.
    CoolingDown,
}

impl State {
    pub(super) fn of_slot(slot: &Slot) -> State {
        match (&slot.held, slot.cooling_down) {
            (Some(held), _) if held.revoked => State::Revoked,
            (Some(_), _) => State::Held,
            (None, Some(_)) => State::CoolingDown,
            (None, None) => State::Free,
        }
    }

    /// Of several places it is that of the most accessible one: a lock with a
    /// free place is free.
    pub(super) fn of(status: &Status) -> State {
        let mut states: Vec<State> = status.slots.iter().map(State::of_slot).collect();
        states.sort_by_key(|state| state.rank());
        states.first().copied().unwrap_or(State::Free)
    }

    fn rank(self) -> u8 {
        match self {
            State::Free => 0,
            State::Held => 1,
            State::Revoked => 2,
            State::CoolingDown => 3,
        }
    }

    /// The word for programs.
    pub(super) fn word(self) -> &'static str {
        match self {
            State::Free => "free",
            State::Held => "held",
            State::Revoked => "revoked",
            State::CoolingDown => "cooling_down",
        }
    }

    /// The words for people.
    pub(super) fn text(self) -> &'static str {
        match self {
            State::CoolingDown => "cooling down",
            other => other.word(),
        }
    }

    pub(super) fn look(self) -> Look {
        match self {
            State::Free => Look::Plain,
            State::Held => Look::Good,
            State::Revoked | State::CoolingDown => Look::Notable,
        }
    }
}

/// Whether a run that tried once would start. With somebody in line, a free
/// place is not for whoever comes now.
pub(super) fn would_run(status: &Status) -> bool {
    State::of(status) == State::Free && status.waiting.unwrap_or(0) == 0
}

/// How many places are held or cooling down.
pub(super) fn taken(status: &Status) -> usize {
    let slots = status.slots.iter();
    slots
        .filter(|slot| State::of_slot(slot) != State::Free)
        .count()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::Held;

    fn status(slots: Vec<Slot>, waiting: Option<u32>) -> Status {
        Status {
            slots,
            waiting,
            ..Status::default()
        }
    }

    fn held(revoked: bool) -> Slot {
        Slot {
            held: Some(Held {
                revoked,
                ..Held::default()
            }),
            ..Slot::default()
        }
    }

    fn cooling() -> Slot {
        Slot {
            cooling_down: Some(Duration::from_secs(1)),
            ..Slot::default()
        }
    }

    #[test]
    fn a_lock_is_as_free_as_its_freest_place() {
        let free = Slot::default;
        for (slots, expected) in [
            (vec![free()], State::Free),
            (vec![held(false), free()], State::Free),
            (vec![cooling(), held(true), held(false)], State::Held),
            (vec![cooling(), held(true)], State::Revoked),
            (vec![cooling()], State::CoolingDown),
        ] {
            assert_eq!(State::of(&status(slots, None)), expected);
        }
        assert_eq!(taken(&status(vec![cooling(), free(), held(true)], None)), 2);
    }

    #[test]
    fn a_free_place_with_somebody_in_line_is_not_for_a_new_run() {
        let free = || vec![Slot::default()];
        assert!(would_run(&status(free(), None)));
        assert!(would_run(&status(free(), Some(0))));
        assert!(!would_run(&status(free(), Some(1))));
        assert!(!would_run(&status(vec![held(false)], Some(0))));
        assert!(!would_run(&status(vec![cooling()], Some(0))));
    }
}
