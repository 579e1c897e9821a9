//! Whether anything was granted while a majority of a quorum was away, or refreshed by less.

use super::super::history::Nanos;
use super::view::{Run, View};
use super::{Breach, Excuse, Findings, MARGIN, Rule};

/// From an answer that came just in time to the line or the job that tells of it.
const UNDER_WAY: Nanos = 500_000_000;

pub(super) fn check(view: &View<'_>, findings: &mut Findings) {
    for (from, to, keeps) in view.without_majority() {
        for run in view.runs.values() {
            let refreshed = run.confirmed.filter(|_| !keeps);
            let told = granted(view, run).into_iter().chain(refreshed);
            // It comes back a moment before it is known to be there.
            let mut told = told.filter(|at| *at > from + UNDER_WAY && *at + MARGIN < to);
            let Some(at) = told.next() else { continue };
            // Stopped with the answer in its hands.
            let excuse = match view.excuse((from, at), &[run.number], |it| it.overlap) {
                Excuse::Fault => Excuse::Fault,
                _ => Excuse::None,
            };
            let story = format!(
                "run {} was granted {:?}, or refreshed it, {} ms after a majority had gone",
                run.number,
                run.name,
                (at - from) / 1_000_000
            );
            let rule = Rule::Majority;
            findings.found(view, excuse, Breach { rule, at, story });
        }
    }
}

/// When the run was granted its lock at the latest.
fn granted(view: &View<'_>, run: &Run<'_>) -> Option<Nanos> {
    // A job may be stopped before it can tell of its start.
    let hit = view.hit_job(run.number);
    let start = run.starts.first().map(|start| start.at);
    let start = start.filter(|at| hit.is_none_or(|hit| hit > *at));
    run.acquired.or(start)
}
