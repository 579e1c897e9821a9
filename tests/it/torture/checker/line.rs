//! The line as the server kept it: who joined, who left, who was granted a place.

use std::collections::{BTreeMap, BTreeSet};

use super::super::history::{Nanos, Record};
use super::view::View;
use super::{Breach, Findings, Rule};

/// A waiter's heartbeat lives this long (6 s), and it asks again within 2.5 s: what happened
/// to it before that explains nothing any more.
const HEARTBEAT: Nanos = 9_000_000_000;

/// One in line.
#[derive(Clone, Copy, Debug)]
struct Waiter {
    run: u32,
    slots: u32,
    /// There is a place for it, which it has not taken yet.
    told: bool,
}

/// The line of one lock, and of each of its places the last run and its fence.
#[derive(Debug, Default)]
struct Lock {
    line: BTreeMap<u64, Waiter>,
    /// The ticket of each run, also while it is passed over: it comes back with the same one.
    tickets: BTreeMap<u32, u64>,
    grants: BTreeMap<u32, (u32, u64)>,
}

pub(super) fn check(history: &[Record], view: &View<'_>, findings: &mut Findings) {
    let mut locks: BTreeMap<&str, Lock> = BTreeMap::new();
    let mut granted = BTreeSet::new();
    for record in history {
        match record {
            Record::Joined {
                name,
                run,
                ticket,
                slots,
                told,
                ..
            } => {
                let waiter = Waiter {
                    run: *run,
                    slots: *slots,
                    told: *told,
                };
                let lock = locks.entry(name).or_default();
                lock.tickets.insert(*run, *ticket);
                findings.joined += usize::from(lock.line.insert(*ticket, waiter).is_none());
            }
            Record::Left { at, name, ticket } => {
                let lock = locks.entry(name).or_default();
                if let Some(waiter) = lock.line.remove(ticket) {
                    check_left(view, findings, *at, *ticket, waiter);
                }
            }
            Record::Granted {
                at,
                name,
                run,
                slot,
                fence,
            } => {
                granted.insert((*run, *slot, *fence));
                let lock = locks.entry(name).or_default();
                check_grant(lock, findings, *at, (*run, *slot, *fence));
                lock.line.retain(|_, waiter| waiter.run != *run);
            }
            _ => {}
        }
    }
    let starts = view.runs.values().flat_map(|run| &run.starts);
    for start in starts.filter(|_| !granted.is_empty()) {
        let grant = start.fence.map(|fence| (start.run, start.slot, fence));
        if grant.is_some_and(|grant| !granted.contains(&grant)) {
            let story = format!("the server granted run {} nothing of the kind", start.run);
            findings.found_for_certain(Rule::Fence, start.at, story);
        }
    }
    findings.granted = granted.len();
}

/// Whoever is granted a place is the first in line who may use it, but for those who have been
/// told of another place: of the places that they may use, there is one for each of them.
fn check_grant(lock: &mut Lock, findings: &mut Findings, at: Nanos, grant: (u32, u32, u64)) {
    let (run, slot, fence) = grant;
    let last = lock.grants.insert(slot, (run, fence));
    if last == Some((run, fence)) {
        // Its own place, which the server had forgotten.
        return;
    }
    let mine = lock.tickets.get(&run).copied().unwrap_or(u64::MAX);
    let mut provided = 0;
    for (ticket, waiter) in lock.line.range(..mine) {
        if waiter.slots <= slot {
            continue;
        }
        provided += u32::from(waiter.told);
        if !waiter.told || provided >= waiter.slots {
            let story = format!(
                "run {run} was granted place {slot} before run {}, which has ticket {ticket}",
                waiter.run
            );
            findings.found_for_certain(Rule::Order, at, story);
        }
    }
    if let Some((_, last)) = last
        && fence <= last
    {
        let story = format!("run {run} was granted place {slot} with fence {fence} after {last}");
        findings.found_for_certain(Rule::Fence, at, story);
    }
}

/// Whoever leaves the line has ended or was about to, or could not be reached.
fn check_left(view: &View<'_>, findings: &mut Findings, at: Nanos, ticket: u64, waiter: Waiter) {
    let run = &view.runs[&waiter.run];
    // Skipped, interrupted or killed: it wanted no place any more.
    let ran_later = run.starts.first().is_some_and(|start| start.at > at);
    if !ran_later {
        return;
    }
    let recently = (at.saturating_sub(HEARTBEAT), at);
    let excuse = view.excuse(recently, &[waiter.run], |it| it.turn);
    let story = format!(
        "run {} with ticket {ticket} was dropped, and lived",
        waiter.run
    );
    let breach = Breach {
        rule: Rule::Order,
        at,
        story,
    };
    findings.found(view, excuse, breach);
}
