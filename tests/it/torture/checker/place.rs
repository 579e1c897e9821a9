//! Who was in a place, when, and with which fence.

use std::collections::BTreeMap;

use super::super::history::Nanos;
use super::view::{Run, Start, View};
use super::{Breach, Excuse, Findings, MARGIN, Rule};

pub(super) fn check(view: &View<'_>, findings: &mut Findings) {
    let mut places: BTreeMap<(&str, u32), Vec<Start>> = BTreeMap::new();
    for run in view.runs.values() {
        for start in &run.starts {
            places
                .entry((run.name, start.slot))
                .or_default()
                .push(*start);
            findings.grants += usize::from(start.fence.is_some());
            if start.slot >= run.slots {
                let story = format!("{} may not be there", who(start));
                findings.found_for_certain(Rule::Overlap, start.at, story);
            }
        }
    }
    for ((name, slot), starts) in &mut places {
        starts.sort_by_key(|start| start.at);
        let place = Place {
            name,
            slot: *slot,
            starts,
            view,
        };
        place.check_overlap(findings);
        place.check_fences(findings);
        place.check_register(findings);
    }
    check_count(view, findings);
}

/// One place of one lock.
struct Place<'a> {
    name: &'a str,
    slot: u32,
    /// In order of time.
    starts: &'a [Start],
    view: &'a View<'a>,
}

impl Place<'_> {
    fn check_overlap(&self, findings: &mut Findings) {
        for (index, later) in self.starts.iter().enumerate() {
            let before = &self.starts[..index];
            let met = later
                .beside
                .map(|pid| before.iter().rev().find(|it| it.pid == pid));
            let alive = before.iter().filter(|elder| {
                let run = &self.view.runs[&elder.run];
                run.end.is_some_and(|end| end.at > later.at)
            });
            let mut elders: Vec<Option<&Start>> = alive.map(Some).collect();
            match met {
                Some(Some(elder)) if elders.iter().flatten().all(|it| it.pid != elder.pid) => {
                    elders.push(Some(elder));
                }
                // It was killed before it could tell of its start.
                Some(None) => elders.push(None),
                Some(Some(_)) | None => {}
            }
            for elder in elders {
                let excuse = self.excuse_overlap(elder, later);
                let story = format!(
                    "{} of {:?} place {} while {} lived",
                    who(later),
                    self.name,
                    self.slot,
                    elder.map_or("one that did not tell of itself".to_owned(), who),
                );
                let breach = Breach {
                    rule: Rule::Overlap,
                    at: later.at,
                    story,
                };
                findings.found(self.view, excuse, breach);
            }
        }
    }

    /// Of two jobs at a time, one is past its lease. That is allowed where its tasklock did not
    /// have the CPU at the end of the lease, which was just before the other was granted it; and
    /// between tasklock and the recipe after a DEL.
    fn excuse_overlap(&self, elder: Option<&Start>, later: &Start) -> Excuse {
        let runs: Vec<u32> = elder.iter().map(|it| it.run).chain([later.run]).collect();
        let just_before = (later.at.saturating_sub(MARGIN), later.at);
        if let Excuse::Fault = self.view.excuse(just_before, &runs, |it| it.overlap) {
            return Excuse::Fault;
        }
        if self.view.may_be_forgotten(self.name, elder, later) {
            return Excuse::Fault;
        }
        let recipe = later.fence.is_none() || elder.is_some_and(|it| it.fence.is_none());
        // Of the two, tasklock may have had the lock first, and its job have begun later.
        let granted = later.at.saturating_sub(self.view.runs[&later.run].ttl);
        let granted = later.fence.map_or(later.at, |_| granted);
        let since = elder.map_or(0, |it| self.view.runs[&it.run].asked.min(granted));
        if recipe && self.view.was_deleted(self.name, (since, later.at)) {
            return Excuse::Fault;
        }
        Excuse::None
    }

    fn check_fences(&self, findings: &mut Findings) {
        let mut largest: Option<(u64, Start)> = None;
        for start in self.starts {
            let Some(fence) = start.fence else { continue };
            if let Some((before, elder)) = largest
                && fence <= before
            {
                findings.fences += 1;
                let story = format!(
                    "{} of {:?} place {} after {}",
                    who(start),
                    self.name,
                    self.slot,
                    who(&elder)
                );
                let at = start.at;
                if fence == before {
                    findings.found_for_certain(Rule::Fence, at, story);
                    continue;
                }
                // Frozen between the grant and the job: the register is there for it.
                let just_before = (at.saturating_sub(MARGIN), at);
                let mut excuse = self.view.excuse(just_before, &[start.run], |it| it.overlap);
                // Two masters granted them at about the same time: one of them had been frozen.
                // The job of the earlier one took a moment longer to begin.
                if at <= elder.at + MARGIN
                    && self.view.may_be_forgotten(self.name, Some(start), &elder)
                {
                    excuse = Excuse::Fault;
                }
                let breach = Breach {
                    rule: Rule::Fence,
                    at,
                    story,
                };
                findings.found(self.view, excuse, breach);
                continue;
            }
            findings.fences += usize::from(largest.is_some());
            largest = Some((fence, *start));
        }
    }

    /// A number that was written twice is a lost update; one that was written with a smaller
    /// fence than the number before it, by a holder of the past.
    fn check_register(&self, findings: &mut Findings) {
        let mut written: Vec<(u64, u64, Nanos, Start)> = Vec::new();
        for start in self.starts {
            let run = &self.view.runs[&start.run];
            if let (Some(end), Some(fence)) = (run.end, start.fence)
                && let Some(value) = end.wrote
                && run.starts.len() == 1
            {
                written.push((value, fence, end.at, *start));
            }
        }
        findings.writes += written.len();
        written.sort_by_key(|(value, fence, ..)| (*value, *fence));
        for pair in written.windows(2) {
            let [(value, fence, _, first), (next, larger, at, second)] = pair else {
                continue;
            };
            if value == next || fence >= larger {
                let story = format!(
                    "{:?} place {}: {} wrote {value}, then {} wrote {next}",
                    self.name,
                    self.slot,
                    who(first),
                    who(second)
                );
                findings.found_for_certain(Rule::Register, *at, story);
            }
        }
    }
}

/// How many lived at a time in all the places of a lock, by those that told of their end. A job
/// on the recipe is in place 0, whoever else is there.
fn check_count(view: &View<'_>, findings: &mut Findings) {
    let mut names: BTreeMap<&str, Vec<&Run>> = BTreeMap::new();
    for run in view.runs.values().filter(|run| !run.recipe) {
        names.entry(run.name).or_default().push(run);
    }
    for (name, runs) in names {
        let most = runs.iter().map(|run| run.slots).max().unwrap_or(1);
        let mut lives: Vec<(Start, Nanos)> = Vec::new();
        for run in runs {
            let end = run.end.map(|end| end.at);
            lives.extend(run.starts.first().copied().zip(end));
        }
        for (start, _) in &lives {
            let there = lives
                .iter()
                .filter(|(it, end)| it.at <= start.at && *end > start.at);
            let there: Vec<Start> = there.map(|(it, _)| *it).collect();
            if there.len() > usize::try_from(most).unwrap() {
                let just_before = (start.at.saturating_sub(MARGIN), start.at);
                let runs: Vec<u32> = there.iter().map(|it| it.run).collect();
                let mut excuse = view.excuse(just_before, &runs, |it| it.overlap);
                let mut pairs = there.iter().flat_map(|elder| {
                    let later = there.iter().filter(|it| it.at > elder.at);
                    let beside = later.filter(|it| it.slot == elder.slot);
                    beside.map(move |later| (elder, later))
                });
                if pairs.any(|(elder, later)| view.may_be_forgotten(name, Some(elder), later)) {
                    excuse = Excuse::Fault;
                }
                let story = format!("{name:?} has {most} places, and in it were runs {runs:?}");
                let breach = Breach {
                    rule: Rule::Overlap,
                    at: start.at,
                    story,
                };
                findings.found(view, excuse, breach);
            }
        }
    }
}

fn who(start: &Start) -> String {
    let fence = start
        .fence
        .map_or("on the recipe".to_owned(), |fence| format!("fence {fence}"));
    format!("run {} ({fence}, pid {})", start.run, start.pid)
}
