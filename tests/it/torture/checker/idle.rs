//! Whether somebody waited for a place that nobody had.

use super::super::fault::Topology;
use super::super::history::Nanos;
use super::view::{Run, View};
use super::{Breach, Excuse, Findings, Rule};

/// From the end of one job to the start of the next, with everything that may be in between: a
/// waiter that was told and was killed then (1 s), and a busy machine. Shorter than the 2.5 s
/// after which a waiter asks by itself, so that a wake that is lost shows.
const HAND_OVER_MAX: Nanos = 1_500_000_000;

pub(super) fn check(view: &View<'_>, findings: &mut Findings) {
    for run in view.runs.values() {
        // One that did not say so may have been slow to start.
        let Some(from) = run.waits else { continue };
        // A job may be stopped before it can tell of its start.
        let until = run.starts.first().map(|start| start.at);
        let until = until.into_iter().chain(run.acquired).min();
        let Some(until) = until.or(run.exit.map(|exit| exit.at)) else {
            continue;
        };
        // Most do not wait that long.
        findings.waits += 1;
        if until < from + HAND_OVER_MAX {
            continue;
        }
        for slot in 0..run.slots {
            check_place(view, findings, run, slot, (from, until));
        }
    }
}

/// Looks for a time in which nobody was in this place of the run's lock.
fn check_place(
    view: &View<'_>,
    findings: &mut Findings,
    run: &Run<'_>,
    slot: u32,
    (from, until): (Nanos, Nanos),
) {
    let others = view
        .runs
        .values()
        .filter(|it| it.name == run.name && it.number != run.number);
    let mut busy: Vec<(Nanos, Nanos)> = others.filter_map(|it| held(view, it, slot)).collect();
    busy.push((until, until));
    busy.sort_unstable();
    let mut free_from = from;
    for (from, to) in busy {
        if from.min(until) > free_from + HAND_OVER_MAX {
            let (from, to) = (free_from, from.min(until));
            let excuse = view.excuse_all(
                (from.saturating_sub(view.ttl_max), to),
                |other| view.runs[&other].name == run.name,
                |it| it.turn || it.loss,
            );
            let story = format!(
                "run {} waited for {:?}, and nobody was in place {slot} for {} ms",
                run.number,
                run.name,
                (to - from) / 1_000_000
            );
            let breach = Breach {
                rule: Rule::Idle,
                at: to,
                story,
            };
            if excuse == Excuse::None {
                findings.found(view, excuse, breach);
            }
        }
        free_from = free_from.max(to);
    }
}

/// From when to when the place was a run's, or nobody else's because of it.
fn held(view: &View<'_>, run: &Run<'_>, slot: u32) -> Option<(Nanos, Nanos)> {
    let exit = run.exit.map_or(Nanos::MAX, |exit| exit.at);
    // A run that was killed may have held any place before its job could tell of it.
    let killed = run.exit.is_some_and(|exit| exit.code.is_none());
    let from = match run.starts.first() {
        // A job may be stopped before it can tell of its start.
        Some(start) if start.slot == slot => run.acquired.unwrap_or(start.at).min(start.at),
        None if killed => view.hit_job(run.number).unwrap_or(exit),
        _ => return None,
    };
    let lease = match view.topology {
        Topology::Local => 0,
        _ if killed => view.ttl_max,
        _ => 0,
    };
    Some((from, exit.saturating_add(lease)))
}
