//! The history by runs, and what excuses what.

use std::collections::BTreeMap;

use super::super::fault::{Fault, Topology, Verdict};
use super::super::history::{Nanos, Record, nanos};
use super::{Excuse, MARGIN};

/// All that is known of one run.
#[derive(Debug)]
pub(super) struct Run<'a> {
    pub(super) number: u32,
    pub(super) name: &'a str,
    pub(super) slots: u32,
    pub(super) ttl: Nanos,
    pub(super) code: i32,
    pub(super) recipe: bool,
    pub(super) asked: Nanos,
    pub(super) starts: Vec<Start>,
    pub(super) end: Option<End>,
    pub(super) exit: Option<Exit>,
    /// When tasklock said that it waits.
    pub(super) waits: Option<Nanos>,
    /// When tasklock first said that its lease was granted.
    pub(super) acquired: Option<Nanos>,
    /// When tasklock last said that its lease was granted or refreshed.
    pub(super) confirmed: Option<Nanos>,
    /// When it was to kill its job, after a loss.
    pub(super) kill_at: Option<Nanos>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    pub(super) at: Nanos,
    pub(super) run: u32,
    pub(super) slot: u32,
    pub(super) fence: Option<u64>,
    pub(super) pid: i32,
    pub(super) beside: Option<i32>,
    pub(super) read: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) at: Nanos,
    pub(super) wrote: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Exit {
    pub(super) at: Nanos,
    pub(super) code: Option<i32>,
    pub(super) signal: Option<i32>,
}

/// Something that was done.
#[derive(Debug)]
struct Done<'a> {
    from: Nanos,
    to: Nanos,
    fault: Fault,
    run: Option<u32>,
    name: Option<&'a str>,
}

/// A lease that all replicas knew.
#[derive(Debug)]
struct Seen<'a> {
    name: &'a str,
    slot: u32,
    fence: u64,
    until: Nanos,
}

/// The whole history.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) topology: Topology,
    /// From the last sign of life that a lease was refreshed on to its end there is about a ttl:
    /// what happened to the machine that long ago may be the cause of something now.
    pub(super) ttl_max: Nanos,
    pub(super) runs: BTreeMap<u32, Run<'a>>,
    faults: Vec<Done<'a>>,
    gaps: Vec<(Nanos, Nanos)>,
    seen: Vec<Seen<'a>>,
}

impl<'a> View<'a> {
    pub(super) fn of(history: &'a [Record], topology: Topology) -> View<'a> {
        let mut view = View {
            topology,
            ttl_max: nanos(topology.longest_ttl()),
            runs: BTreeMap::new(),
            faults: Vec::new(),
            gaps: Vec::new(),
            seen: Vec::new(),
        };
        for record in history {
            if let Record::Asked { .. } = record {
                view.add(record);
            }
        }
        for record in history {
            view.add(record);
        }
        view
    }

    fn add(&mut self, record: &'a Record) {
        match record {
            Record::Asked {
                at,
                run: number,
                name,
                slots,
                ttl,
                code,
                recipe,
            } => {
                self.runs.entry(*number).or_insert(Run {
                    number: *number,
                    name,
                    slots: *slots,
                    ttl: *ttl,
                    code: *code,
                    recipe: *recipe,
                    asked: *at,
                    starts: Vec::new(),
                    end: None,
                    exit: None,
                    waits: None,
                    acquired: None,
                    confirmed: None,
                    kill_at: None,
                });
            }
            &Record::Start {
                at,
                run,
                slot,
                fence,
                pid,
                beside,
                read,
                ..
            } => self.run(run).starts.push(Start {
                at,
                run,
                slot,
                fence,
                pid,
                beside,
                read,
            }),
            &Record::End { at, run, wrote, .. } => self.run(run).end = Some(End { at, wrote }),
            &Record::Exit {
                at,
                run,
                code,
                signal,
            } => self.run(run).exit = Some(Exit { at, code, signal }),
            &Record::Waits { at, run } => self.run(run).waits = Some(at),
            &Record::Confirmed { at, run } => {
                let run = self.run(run);
                run.acquired.get_or_insert(at);
                run.confirmed = Some(at);
            }
            &Record::Stops { at, run, kill_in } => {
                self.run(run).kill_at.get_or_insert(at + kill_in);
            }
            Record::Fault {
                from,
                to,
                fault,
                run,
                name,
            } => self.faults.push(Done {
                from: *from,
                to: *to,
                fault: *fault,
                run: *run,
                name: name.as_deref(),
            }),
            &Record::Gap { from, to } => self.gaps.push((from, to)),
            Record::Seen {
                name,
                slot,
                fence,
                until,
                ..
            } => self.seen.push(Seen {
                name,
                slot: *slot,
                fence: *fence,
                until: *until,
            }),
            Record::Joined { .. }
            | Record::Left { .. }
            | Record::Granted { .. }
            | Record::Leftover { .. } => {}
        }
    }

    /// Who tells of a run tells after it was asked for.
    fn run(&mut self, number: u32) -> &mut Run<'a> {
        self.runs
            .get_mut(&number)
            .expect("a run that nobody asked for")
    }

    /// Is there a fault whose verdict has `column`, that began before `to` and was over no
    /// earlier than `from`? Aimed at one of `runs`, or at nobody in particular.
    pub(super) fn excuse(
        &self,
        when: (Nanos, Nanos),
        runs: &[u32],
        column: impl Fn(&Verdict) -> bool,
    ) -> Excuse {
        self.excuse_all(when, |run| runs.contains(&run), column)
    }

    /// [`View::excuse`] for faults at any of the runs that `at` knows.
    pub(super) fn excuse_all(
        &self,
        (from, to): (Nanos, Nanos),
        at: impl Fn(u32) -> bool,
        column: impl Fn(&Verdict) -> bool,
    ) -> Excuse {
        let covers = |done: &&Done<'_>| {
            done.from <= to
                && done.to >= from
                && done.run.is_none_or(&at)
                && column(&done.fault.verdict(self.topology))
        };
        match self.faults.iter().find(covers) {
            Some(_) => Excuse::Fault,
            None => Excuse::None,
        }
    }

    /// May two of three nodes have been of no use to a run: one was away, and another one had granted
    /// the lock to a competitor that could not take this back, being killed or stopped? That counts
    /// until such a lease ends, which may begin with the end of what keeps a request from a node.
    pub(super) fn may_lack_votes(&self, run: &Run<'_>, until: Nanos) -> bool {
        let away = |from: Nanos, to: Nanos| {
            let covers = move |it: &&Done<'_>| {
                it.fault.takes_a_node_away() && it.from <= to && it.to >= from
            };
            self.faults.iter().filter(covers)
        };
        let competed = |hit: &&Done<'_>| {
            matches!(hit.fault, Fault::KillTasklock | Fault::FreezeTasklock)
                && hit.run.is_some_and(|it| self.runs[&it].name == run.name)
        };
        self.topology == Topology::Quorum
            && self.faults.iter().filter(competed).any(|hit| {
                let arrives = away(hit.from, hit.to).map(|it| it.to).max();
                let ends = arrives.unwrap_or(hit.to).max(hit.to) + self.ttl_max;
                away(hit.from.max(run.asked), ends.min(until))
                    .next()
                    .is_some()
            })
    }

    /// May what was granted or refreshed for the elder have been forgotten in a fail-over by the
    /// time that the later one, in the same place of `name`, was granted it? Not if it was granted
    /// when the old master was none any more, nor if all replicas knew a lease that had not ended
    /// by then.
    pub(super) fn may_be_forgotten(
        &self,
        name: &str,
        elder: Option<&Start>,
        later: &Start,
    ) -> bool {
        let at = later.at;
        let mut forgetting = self.faults.iter().filter(|done| {
            let last = match done.fault {
                Fault::KillMaster => done.from,
                _ => done.to,
            };
            done.fault.verdict(self.topology).forgotten
                && (done.from..=done.to + self.ttl_max).contains(&at)
                && elder.is_none_or(|elder| elder.at <= last + MARGIN)
        });
        let known = |seen: &Seen<'_>| {
            seen.name == name
                && seen.slot == later.slot
                && elder.is_some_and(|elder| elder.fence == Some(seen.fence))
                && seen.until > at
        };
        forgetting.next().is_some() && !self.seen.iter().any(known)
    }

    /// Was a signal sent to this run or its job before `to`?
    pub(super) fn was_sent(&self, run: u32, signal: i32, to: Nanos) -> bool {
        self.faults.iter().any(|done| {
            done.run == Some(run)
                && done.from <= to
                && done.fault.verdict(self.topology).signal == Some(signal)
        })
    }

    /// When something was first done to the job of this run, which was there then.
    pub(super) fn hit_job(&self, run: u32) -> Option<Nanos> {
        let of_job = |done: &&Done<'_>| {
            let to_job = [Fault::FreezeJob, Fault::KillJob, Fault::TermJob];
            done.run == Some(run) && to_job.contains(&done.fault)
        };
        self.faults.iter().filter(of_job).map(|it| it.from).min()
    }

    /// The times in which a quorum could grant nothing, and whether it could keep what is held.
    pub(super) fn without_majority(&self) -> impl Iterator<Item = (Nanos, Nanos, bool)> {
        self.faults.iter().filter_map(|done| {
            let keeps = match done.fault {
                Fault::MajorityAway => false,
                Fault::VoteAway => true,
                _ => return None,
            };
            Some((done.from, done.to, keeps))
        })
    }

    /// Was the key of `name` deleted in this time?
    pub(super) fn was_deleted(&self, name: &str, (from, to): (Nanos, Nanos)) -> bool {
        self.faults.iter().any(|done| {
            done.fault == Fault::DeleteKey
                && done.name == Some(name)
                && done.from <= to
                && done.to >= from
        })
    }

    /// Had a witness been without the CPU for longer than a margin, not longer ago than a ttl?
    pub(super) fn starved(&self, at: Nanos) -> bool {
        self.had_gap(at, MARGIN)
    }

    /// Had a witness been without the CPU for so long that it tells of it? With a ttl of a second
    /// a request has 83 ms, in which tasklock, the network and the server need it in turn.
    pub(super) fn was_short_of_cpu(&self, at: Nanos) -> bool {
        self.had_gap(at, 0)
    }

    fn had_gap(&self, at: Nanos, longer_than: Nanos) -> bool {
        self.gaps
            .iter()
            .any(|(from, to)| to - from > longer_than && *from <= at && *to + self.ttl_max >= at)
    }
}
