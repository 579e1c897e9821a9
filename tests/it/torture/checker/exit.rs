//! Whether the exit code of each run tells what its history tells.

use super::super::fault::Verdict;
use super::super::history::Nanos;
use super::view::{Exit, Run, Start, View};
use super::{Breach, Excuse, Findings, MARGIN, Rule};

const SKIPPED: i32 = 75;
const LOST: i32 = 79;
const UNAVAILABLE: i32 = 69;

pub(super) fn check(view: &View<'_>, findings: &mut Findings) {
    for run in view.runs.values() {
        let Some(exit) = run.exit else {
            let story = format!("run {} never ended", run.number);
            findings.found_for_certain(Rule::Exit, run.asked, story);
            continue;
        };
        findings.skipped += usize::from(exit.code == Some(SKIPPED));
        if run.starts.len() > 1 {
            let story = format!("run {} ran its job {} times", run.number, run.starts.len());
            findings.found_for_certain(Rule::Exit, exit.at, story);
        }
        if let Err((excuse, what)) = judge(view, run, exit) {
            let story = format!("run {} exited {}: {what}", run.number, how(exit));
            let at = exit.at;
            findings.found(
                view,
                excuse,
                Breach {
                    rule: Rule::Exit,
                    at,
                    story,
                },
            );
        }
        check_outlives(view, run, exit, findings);
    }
}

/// An exit that does not fit, and whether that is allowed.
fn judge(view: &View<'_>, run: &Run<'_>, exit: Exit) -> Result<(), (Excuse, &'static str)> {
    let ran = !run.starts.is_empty();
    let certain = |what| Err((Excuse::None, what));
    match (exit.code, exit.signal) {
        (Some(code), _) if code == run.code => match (run.starts.first(), run.end) {
            (None, _) => certain("its job never started"),
            (_, None) => certain("its job never ended"),
            (Some(start), Some(_)) if overtaken(view, run) => {
                // It ended before tasklock could know.
                // Or began a moment after one that was granted it later, by another master.
                let since = start.at.saturating_sub(MARGIN);
                let mut others = later(view, run, since).peekable();
                let excused = others.peek().is_some()
                    && others.all(|other| view.may_be_forgotten(run.name, Some(start), other));
                let excuse = match excused {
                    true => Excuse::Fault,
                    false => Excuse::None,
                };
                Err((excuse, "another was granted its place meanwhile"))
            }
            _ => Ok(()),
        },
        (Some(SKIPPED), _) if ran => certain("its job ran"),
        (Some(SKIPPED), _) => Ok(()),
        (Some(UNAVAILABLE), _) if ran => certain("its job ran"),
        (Some(LOST | UNAVAILABLE), _) => {
            let refused = exit.code == Some(UNAVAILABLE);
            let may_be = |it: &Verdict| it.loss || it.refusal && refused;
            match view.excuse((run.asked, exit.at), &[run.number], may_be) {
                Excuse::Fault => Ok(()),
                _ if !refused && view.may_lack_votes(run, exit.at) => Ok(()),
                // A job on the recipe may have the lock after a DEL.
                Excuse::None | Excuse::Machine
                    if has_recipes(view) && view.was_deleted(run.name, (run.asked, exit.at)) =>
                {
                    Ok(())
                }
                Excuse::None | Excuse::Machine => {
                    let excuse = match view.was_short_of_cpu(exit.at) {
                        true => Excuse::Machine,
                        false => Excuse::None,
                    };
                    Err((excuse, "nothing was done that costs a lock"))
                }
            }
        }
        (Some(_), _) => certain("there is no reason for this code"),
        (None, Some(signal)) if view.was_sent(run.number, signal, exit.at) => Ok(()),
        (None, _) => certain("nobody sent this signal"),
    }
}

/// Was another granted the run's place while its job lived?
fn overtaken(view: &View<'_>, run: &Run<'_>) -> bool {
    let (Some(start), Some(end)) = (run.starts.first(), run.end) else {
        return false;
    };
    start.fence.is_some()
        && (start.read.is_none()
            || end.wrote.is_none()
            || later(view, run, start.at).next().is_some())
}

/// Those who were granted the run's place later and told of their start, after `since` and before
/// the end of its job.
fn later<'a>(
    view: &'a View<'_>,
    run: &'a Run<'_>,
    since: Nanos,
) -> impl Iterator<Item = &'a Start> {
    let life = run.starts.first().zip(run.end);
    let others = view.runs.values().filter(|other| other.name == run.name);
    let theirs = others.flat_map(|other| other.starts.iter());
    theirs.filter(move |it| {
        life.is_some_and(|(start, end)| {
            it.slot == start.slot && it.fence > start.fence && it.at > since && it.at < end.at
        })
    })
}

fn has_recipes(view: &View<'_>) -> bool {
    view.runs.values().any(|run| run.recipe)
}

/// The job of a tasklock that is gone may not go on.
fn check_outlives(view: &View<'_>, run: &Run<'_>, exit: Exit, findings: &mut Findings) {
    let started = run.starts.last().map(|start| start.at);
    let last = run.end.map(|end| end.at).max(started);
    if let Some(at) = last.filter(|at| *at > exit.at + MARGIN) {
        let story = format!(
            "the job of run {} told of itself after the run had exited",
            run.number
        );
        let breach = Breach {
            rule: Rule::Outlives,
            at,
            story,
        };
        findings.found(view, Excuse::None, breach);
    }
}

fn how(exit: Exit) -> String {
    match (exit.code, exit.signal) {
        (Some(code), _) => code.to_string(),
        (None, signal) => format!("of signal {}", signal.unwrap_or(0)),
    }
}
