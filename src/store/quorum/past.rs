//! What the nodes remember, taken together. Pure, like [`super::tally`].
//!
//! Each node has its own memory of those runs that it took part in, and none has
//! all: one that was down knows nothing of that time.

use super::tally::{Replies, majority, no_majority};
use crate::store::past::{History, PastOutcome, PastRun};
use crate::store::{StoreError, Waiter};

/// The longest of the lines: each node has those who wait there.
pub(super) fn most_of<'a>(lines: impl Iterator<Item = &'a Vec<Waiter>>) -> Vec<Waiter> {
    lines
        .max_by_key(|line| line.len())
        .cloned()
        .unwrap_or_default()
}

/// The largest number that so many of these reach: a node that did not hear of a
/// grant counts on.
pub(super) fn known_to(nodes: usize, numbers: impl Iterator<Item = u32>) -> u32 {
    let mut numbers: Vec<u32> = numbers.collect();
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    numbers.get(nodes.max(1) - 1).copied().unwrap_or(0)
}

/// The run that ended last, of those that the nodes name.
pub(super) fn last<'a>(runs: impl Iterator<Item = &'a PastRun>, needed: usize) -> Option<PastRun> {
    merged(runs, needed)
        .into_iter()
        .max_by_key(PastRun::ended_ms)
}

/// What is remembered of the runs. None: more answers are needed.
pub(super) fn remembering(replies: &Replies<History>) -> Option<Result<History, StoreError>> {
    let needed = majority(replies.len());
    if replies.iter().any(Option::is_none) {
        return None;
    }
    let told: Vec<&History> = replies.iter().flatten().flatten().collect();
    if told.len() < needed {
        return Some(Err(no_majority(replies)));
    }
    let enough = needed - (replies.len() - told.len());
    Some(Ok(History {
        runs: merged(told.iter().flat_map(|history| &history.runs), enough),
        skips: known_to(enough, told.iter().map(|history| history.skips)),
        now_ms: told.iter().map(|history| history.now_ms).max().unwrap_or(0),
    }))
}

/// The runs that the nodes name, each once, by their beginning. A node that heard
/// of no release says that the run vanished, as does one that was asked in vain
/// and could not be told so: that has to be said by `needed` of them.
fn merged<'a>(runs: impl Iterator<Item = &'a PastRun>, needed: usize) -> Vec<PastRun> {
    let mut merged: Vec<(PastRun, usize)> = Vec::new();
    for run in runs {
        let known = merged.iter_mut().find(|(other, _)| is_same_run(run, other));
        match known {
            Some((other, named)) => {
                *named += 1;
                let start = other.started_ms.min(run.started_ms);
                if other.outcome == PastOutcome::Vanished {
                    *other = run.clone();
                }
                other.started_ms = start;
            }
            None => merged.push((run.clone(), 1)),
        }
    }
    merged.retain(|(run, named)| run.outcome != PastOutcome::Vanished || *named >= needed);
    merged.sort_by_key(|(run, _)| run.started_ms);
    merged.into_iter().map(|(run, _)| run).collect()
}

/// The public name of a run is its own. What has none is told apart by its beginning.
fn is_same_run(one: &PastRun, other: &PastRun) -> bool {
    let (id, start) = (&one.holder.id, one.started_ms);
    *id == other.holder.id && (!id.is_empty() || start == other.started_ms)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::{Holder, StoreErrorKind};

    fn run(id: &str, started_ms: u64, outcome: PastOutcome) -> PastRun {
        PastRun {
            holder: Holder {
                id: id.to_owned(),
                ..Holder::default()
            },
            fence: None,
            slot: 0,
            started_ms,
            lasted: None,
            outcome,
            skips: 0,
        }
    }

    fn node(runs: &[PastRun], skips: u32) -> Option<Result<History, StoreError>> {
        Some(Ok(History {
            runs: runs.to_vec(),
            skips,
            now_ms: 9,
        }))
    }

    fn told(replies: &Replies<History>) -> Vec<(String, u64, PastOutcome)> {
        let history = remembering(replies).unwrap().unwrap();
        let told = |run: PastRun| (run.holder.id, run.started_ms, run.outcome);
        history.runs.into_iter().map(told).collect()
    }

    #[test]
    fn runs_are_told_once_in_order_however_few_nodes_know_them() {
        let done = PastOutcome::Exit(0);
        let replies = [
            node(&[run("a", 1, done), run("b", 5, done)], 0),
            node(&[run("b", 4, PastOutcome::Vanished), run("c", 7, done)], 0),
            node(&[run("a", 2, done)], 0),
        ];
        let expected = [("a", 1), ("b", 4), ("c", 7)];
        let expected = expected.map(|(id, start)| (id.to_owned(), start, done));
        assert_eq!(told(&replies), expected);
    }

    #[test]
    fn runs_without_a_name_are_told_apart_by_their_beginning() {
        let done = PastOutcome::Exit(0);
        let both = [run("", 1, done), run("", 2, done)];
        let expected = [1, 2].map(|start| (String::new(), start, done));
        assert_eq!(told(&[node(&both, 0), node(&both, 0)]), expected);
    }

    #[test]
    fn the_last_run_is_the_one_that_ended_last() {
        let ended = |id, start, millis| PastRun {
            lasted: Some(Duration::from_millis(millis)),
            ..run(id, start, PastOutcome::Exit(0))
        };
        let runs = [ended("a", 1, 9), ended("b", 2, 3)];
        assert_eq!(last(runs.iter(), 2).as_ref(), Some(&runs[0]));
        assert_eq!(last([].iter(), 2), None);
    }

    #[test]
    fn a_line_is_as_long_as_at_the_node_that_knows_most_of_it() {
        let lines = [vec![], vec![Waiter::default(); 2], vec![Waiter::default()]];
        assert_eq!(most_of(lines.iter()), lines[1]);
        assert_eq!(most_of([].iter()), []);
    }

    #[test]
    fn that_a_run_vanished_has_to_be_said_by_a_majority_of_those_who_may_know() {
        let gone = || [run("a", 1, PastOutcome::Vanished)];
        let silent = || Some(Err(StoreError::new(StoreErrorKind::Unavailable, "x")));
        assert_eq!(told(&[node(&gone(), 0), node(&[], 0), node(&[], 0)]), []);
        let both = [node(&gone(), 0), node(&[], 0), node(&gone(), 0)];
        assert_eq!(told(&both).len(), 1);
        assert_eq!(told(&[node(&gone(), 0), node(&[], 0), silent()]).len(), 1);
        assert!(
            remembering(&[node(&[], 0), silent(), silent()])
                .unwrap()
                .is_err()
        );
    }

    #[test]
    fn as_many_were_skipped_as_a_majority_has_counted() {
        let skips = |counts: [u32; 3]| {
            let replies = counts.map(|count| node(&[], count));
            remembering(&replies).unwrap().unwrap().skips
        };
        assert_eq!(skips([7, 2, 2]), 2);
        assert_eq!(skips([0, 3, 3]), 3);
        assert_eq!(skips([0, 0, 5]), 0);
    }
}
