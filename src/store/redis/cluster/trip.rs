//! One request on its way through a Cluster: how long it may go on, and what it ends with if it fails.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use redis::Value;

use crate::store::redis::wire::Fault;
use crate::store::redis::{Address, Server};

/// The first and the longest pause before a request is repeated: a key is on the
/// move for less than a millisecond, a fail-over takes seconds.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_millis(250);

/// More redirections in a row than this are no way but a circle: nodes that do not
/// know of a change yet point at each other. The owner is one away, or two.
const HOPS_MAX: u32 = 5;

/// One request under way.
pub(super) struct Trip {
    deadline: Instant,
    pause: Duration,
    /// How many guides were asked since the last pause.
    pub(super) guides_asked: usize,
    /// Whether any node has answered since the last pause.
    pub(super) answered: bool,
    /// Redirections since the last pause.
    hops: u32,
    /// The nodes that failed since the request began.
    failed: Vec<Address>,
    failure: Option<(Weight, Failure)>,
}

/// What went wrong, and with whom.
pub(super) type Failure = (Arc<Server>, Result<Value, Fault>);

/// Which of several failures is told: the last of the heaviest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Weight {
    /// Of a guide: there are others.
    Guide,
    /// Of a guide, and asking it again would not help.
    DefiniteGuide,
    /// Of the node that is said to have the slot.
    Owner,
}

impl Weight {
    pub(super) fn of(owner: bool) -> Weight {
        if owner { Weight::Owner } else { Weight::Guide }
    }
}

impl Trip {
    pub(super) fn until(deadline: Instant) -> Trip {
        Trip {
            deadline,
            pause: PAUSE_MIN,
            guides_asked: 0,
            answered: false,
            hops: 0,
            failed: Vec::new(),
            failure: None,
        }
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    pub(super) fn is_over(&self) -> bool {
        self.left().is_zero()
    }

    /// The end of the first of so many parts of the time that is left.
    pub(super) fn part_of(&self, parts: usize) -> Instant {
        let parts = u32::try_from(parts.max(1)).unwrap_or(u32::MAX);
        Instant::now() + self.left() / parts
    }

    /// Goes on to `server`. False: it should not be asked before a pause.
    pub(super) fn hop(&mut self, server: &Arc<Server>) -> bool {
        self.hops += 1;
        if self.hops > HOPS_MAX {
            self.fail(server, Weight::Guide, Err(astray()));
        }
        !self.failed.contains(&server.address)
    }

    /// Takes note of what went wrong with `server`.
    pub(super) fn fail(
        &mut self,
        server: &Arc<Server>,
        weight: Weight,
        what: Result<Value, Fault>,
    ) {
        self.failed.push(server.address.clone());
        let known = self.failure.as_ref().map(|(known, _)| *known);
        if known.is_none_or(|known| known <= weight) {
            self.failure = Some((weight, (Arc::clone(server), what)));
        }
    }

    /// Waits a little for what passes by itself. False: the time is over with it.
    /// Never ends before its time, else whoever asked would take that for an answer.
    pub(super) fn rest(&mut self) -> bool {
        let left = self.left();
        thread::sleep(self.pause.min(left));
        let goes_on = left > self.pause;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        self.guides_asked = 0;
        self.answered = false;
        self.hops = 0;
        goes_on
    }

    /// What the request ends with if it has not succeeded.
    pub(super) fn into_failure(self) -> Option<Failure> {
        self.failure.map(|(_, failure)| failure)
    }
}

pub(super) fn astray() -> Fault {
    Fault::Unreachable("the nodes of the Cluster point at each other".to_owned())
}
