//! Reads a history and says what in it breaks a promise. Pure.
//!
//! A breach has to be proved by the history: where it leaves room for a story without one, there is none.
//! So a job lives from its start to its end; one that was killed and left no end, from its start to the
//! last moment in which another job met it, by the kernel's account ([`super::resource::Resource::occupy`]).

use std::fmt;

use super::fault::Topology;
use super::history::{Nanos, Record};
use view::View;

mod deadline;
mod exit;
mod idle;
mod line;
mod majority;
mod place;
mod view;

#[cfg(test)]
mod tests;

/// What a lease keeps in hand for the kernel to end a process tree, for a ttl of up to 6 s
/// (`Terms::margin`). A supervisor that has had the CPU for this long has done what it had to.
const MARGIN: Nanos = 100_000_000;

/// The promise that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Rule {
    /// One job at a time in a place, N in a lock of N places.
    Overlap,
    /// Fences grow from start to start and from grant to grant, and none is given twice.
    Fence,
    /// What the fence guards never goes back, and loses no update.
    Register,
    /// First come, first served; who lives is not dropped.
    Order,
    /// Nobody waits for a place that nobody is in.
    Idle,
    /// Without a majority of a quorum nothing is granted.
    Majority,
    /// The exit code tells what happened.
    Exit,
    /// A job ends with its tasklock.
    Outlives,
    /// A job is dead by the moment that tasklock gave for it.
    Deadline,
    /// Nothing is left in the store.
    Leftover,
}

/// A promise broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Breach {
    pub(crate) rule: Rule,
    pub(crate) at: Nanos,
    pub(crate) story: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.at / 1_000_000_000;
        let nanos = self.at % 1_000_000_000;
        write!(f, "{:?} at {seconds}.{nanos:09}: {}", self.rule, self.story)
    }
}

/// What a history says.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// What nothing excuses.
    pub(crate) breaches: Vec<Breach>,
    /// What the table of faults allows.
    pub(crate) allowed: Vec<Breach>,
    /// What was found while a witness, too, was not given the CPU.
    pub(crate) starved: Vec<Breach>,
    /// Jobs that started under a lock.
    pub(crate) grants: usize,
    /// Runs that were refused.
    pub(crate) skipped: usize,
    /// Grants by the server's account; 0 where nobody recorded it.
    pub(crate) granted: usize,
    /// Fences that were compared with one before them.
    pub(crate) fences: usize,
    /// Writes to what the fences guard.
    pub(crate) writes: usize,
    /// Runs that said that they wait.
    pub(crate) waits: usize,
    /// Runs whose job was to be dead by a moment that tasklock gave.
    pub(crate) deadlines: usize,
    /// How often a run joined a line, by the same account.
    pub(crate) joined: usize,
}

/// What explains what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Excuse {
    /// The table of faults allows it.
    Fault,
    /// The machine withheld the CPU.
    Machine,
    /// Nothing, unless the machine withheld the CPU for longer than a margin.
    None,
}

impl Findings {
    /// Files what was found where it belongs.
    fn found(&mut self, view: &View<'_>, excuse: Excuse, breach: Breach) {
        match excuse {
            Excuse::Fault => self.allowed.push(breach),
            Excuse::Machine => self.starved.push(breach),
            Excuse::None if view.starved(breach.at) => self.starved.push(breach),
            Excuse::None => self.breaches.push(breach),
        }
    }

    /// Files what nothing excuses, not even a machine without CPU.
    fn found_for_certain(&mut self, rule: Rule, at: Nanos, story: String) {
        self.breaches.push(Breach { rule, at, story });
    }
}

/// Checks a history, which is in order of time.
pub(crate) fn check(history: &[Record], topology: Topology) -> Findings {
    let view = View::of(history, topology);
    let mut findings = Findings::default();
    place::check(&view, &mut findings);
    line::check(history, &view, &mut findings);
    exit::check(&view, &mut findings);
    deadline::check(&view, &mut findings);
    idle::check(&view, &mut findings);
    majority::check(&view, &mut findings);
    for record in history {
        if let Record::Leftover { at, what } = record {
            findings.found_for_certain(Rule::Leftover, *at, what.clone());
        }
    }
    findings
}
