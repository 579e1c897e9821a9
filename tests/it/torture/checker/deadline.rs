//! Whether each job was dead by the moment that its tasklock gave: the end of its lease after the
//! last refresh, and the KILL that the line about a loss announces.

use super::super::fault::Topology;
use super::super::history::Nanos;
use super::view::{Run, View};
use super::{Breach, Excuse, Findings, MARGIN, Rule};

/// Kept in hand of a lease for clocks of different speed: a fiftieth of the ttl, and this
/// (`Terms::drift`).
const DRIFT: Nanos = 150_000_000;

pub(super) fn check(view: &View<'_>, findings: &mut Findings) {
    for run in view.runs.values() {
        let Some((until, why)) = deadline(view, run) else {
            continue;
        };
        findings.deadlines += 1;
        let Some(sign) = last_sign(view, run).filter(|sign| *sign > until) else {
            continue;
        };
        // Who was stopped then could kill nobody.
        let then = (until.saturating_sub(MARGIN), sign);
        let excuse = match view.excuse(then, &[run.number], |it| it.overlap) {
            Excuse::Fault => Excuse::Fault,
            _ => Excuse::None,
        };
        let story = format!(
            "the job of run {} lived {} ms after {why}",
            run.number,
            (sign - until) / 1_000_000
        );
        let breach = Breach {
            rule: Rule::Deadline,
            at: sign,
            story,
        };
        findings.found(view, excuse, breach);
    }
}

/// By when the job is dead. A line is written after the answer came, and the lease counts from
/// before the request was sent: this is the latest that it can be.
fn deadline(view: &View<'_>, run: &Run<'_>) -> Option<(Nanos, &'static str)> {
    let lease = run.confirmed.filter(|_| view.topology != Topology::Local);
    let lease = lease.map(|at| at + run.ttl - run.ttl / 50 - DRIFT);
    let kill = run.kill_at.map(|at| at + MARGIN);
    let lease = lease.map(|at| (at, "the end of its lease"));
    let kill = kill.map(|at| (at, "the KILL that was announced"));
    lease.into_iter().chain(kill).min()
}

/// When the job was last known to live, by its own account or that of one who met it.
fn last_sign(view: &View<'_>, run: &Run<'_>) -> Option<Nanos> {
    let start = run.starts.last()?;
    let others = view.runs.values().filter(|other| other.name == run.name);
    let theirs = others.flat_map(|other| &other.starts);
    let met = theirs
        .filter(|it| it.slot == start.slot && it.at > start.at && it.beside == Some(start.pid));
    let met = met.map(|it| it.at);
    let own = run.end.map(|end| end.at);
    met.chain(own).chain([start.at]).max()
}
