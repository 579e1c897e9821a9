//! The checker on histories made by hand: clean ones, and one planted breach of each kind.

use super::super::fault::{Fault, Topology};
use super::super::history::{Nanos, Record};
use super::{Findings, Rule, check};

mod deadline;
mod fail_over;
mod quorum;

const MS: Nanos = 1_000_000;
/// What the jobs of these histories exit with.
const CODE: i32 = 7;

/// A history under way. Times are in milliseconds.
#[derive(Clone, Default)]
struct Story {
    records: Vec<Record>,
}

impl Story {
    /// Run 1 and then run 2 in the only place of "a", each for 50 ms, and run 3 was refused.
    fn clean() -> Story {
        Story::default()
            .ran(1, 0, (100, 150), 1)
            .ran(2, 0, (200, 250), 2)
            .asked(3, 1, 120)
            .exit(3, 130, 75)
    }

    fn add(mut self, record: Record) -> Story {
        self.records.push(record);
        self
    }

    fn asked(self, run: u32, slots: u32, at: Nanos) -> Story {
        self.add(Record::Asked {
            at: at * MS,
            run,
            name: "a".to_owned(),
            slots,
            ttl: 1000 * MS,
            code: CODE,
            recipe: false,
        })
    }

    /// A start with its run's number as the pid and 10 times that as the fence.
    fn start(self, run: u32, slot: u32, at: Nanos, value: u64) -> Story {
        self.add(Record::Start {
            at: at * MS,
            run,
            name: "a".to_owned(),
            slot,
            fence: Some(u64::from(run) * 10),
            pid: run.cast_signed(),
            beside: None,
            read: Some(value),
        })
    }

    fn end(self, run: u32, at: Nanos, value: u64) -> Story {
        self.add(Record::End {
            at: at * MS,
            run,
            code: CODE,
            wrote: Some(value),
        })
    }

    fn waits(self, run: u32, at: Nanos) -> Story {
        let at = at * MS;
        self.add(Record::Waits { at, run })
    }

    fn exit(self, run: u32, at: Nanos, code: i32) -> Story {
        self.add(Record::Exit {
            at: at * MS,
            run,
            code: Some(code),
            signal: None,
        })
    }

    fn died(self, run: u32, at: Nanos, signal: i32) -> Story {
        self.add(Record::Exit {
            at: at * MS,
            run,
            code: None,
            signal: Some(signal),
        })
    }

    /// A run of one that may use as many places as it takes to be there, from start to end,
    /// which wrote `value` in the end.
    fn ran(self, run: u32, slot: u32, (from, to): (Nanos, Nanos), value: u64) -> Story {
        self.asked(run, slot + 1, from - 10)
            .start(run, slot, from, value - 1)
            .end(run, to, value)
            .exit(run, to + 5, CODE)
    }

    fn fault(self, fault: Fault, run: Option<u32>, (from, to): (Nanos, Nanos)) -> Story {
        let (from, to) = (from * MS, to * MS);
        let name = (fault == Fault::DeleteKey).then(|| "a".to_owned());
        self.add(Record::Fault {
            from,
            to,
            fault,
            run,
            name,
        })
    }

    fn gap(self, from: Nanos, to: Nanos) -> Story {
        let (from, to) = (from * MS, to * MS);
        self.add(Record::Gap { from, to })
    }

    fn joined(self, run: u32, ticket: u64, slots: u32, at: Nanos) -> Story {
        self.noted((run, ticket, slots), at, false)
    }

    fn told(self, run: u32, ticket: u64, slots: u32, at: Nanos) -> Story {
        self.noted((run, ticket, slots), at, true)
    }

    fn noted(self, (run, ticket, slots): (u32, u64, u32), at: Nanos, told: bool) -> Story {
        self.add(Record::Joined {
            at: at * MS,
            name: "a".to_owned(),
            run,
            ticket,
            slots,
            told,
        })
    }

    fn left(self, ticket: u64, at: Nanos) -> Story {
        self.add(Record::Left {
            at: at * MS,
            name: "a".to_owned(),
            ticket,
        })
    }

    fn granted(self, run: u32, slot: u32, at: Nanos, fence: u64) -> Story {
        self.add(Record::Granted {
            at: at * MS,
            name: "a".to_owned(),
            run,
            slot,
            fence,
        })
    }

    /// Changes what is told of one run.
    fn change(mut self, number: u32, change: impl Fn(&mut Record)) -> Story {
        for record in &mut self.records {
            let of = match record {
                Record::Asked { run, .. }
                | Record::Start { run, .. }
                | Record::End { run, .. }
                | Record::Exit { run, .. }
                | Record::Confirmed { run, .. }
                | Record::Stops { run, .. } => Some(*run),
                _ => None,
            };
            if of == Some(number) {
                change(record);
            }
        }
        self
    }

    /// Leaves out what `out` says.
    fn without(mut self, out: impl Fn(&Record) -> bool) -> Story {
        self.records.retain(|record| !out(record));
        self
    }

    fn check(&self, topology: Topology) -> Findings {
        let mut records = self.records.clone();
        records.sort_by_key(Record::at);
        check(&records, topology)
    }

    /// One Redis: nothing is broken.
    #[track_caller]
    fn expect_clean(&self) -> Findings {
        let findings = self.check(Topology::Single);
        assert_eq!(findings.breaches, []);
        findings
    }

    /// One Redis: this is broken, and nothing else.
    #[track_caller]
    fn expect_broken(&self, rules: &[Rule]) {
        let findings = self.check(Topology::Single);
        let mut broken: Vec<Rule> = findings.breaches.iter().map(|it| it.rule).collect();
        broken.sort_unstable();
        broken.dedup();
        assert_eq!(broken, rules, "{:?}", findings.breaches);
        assert_eq!(findings.starved, []);
    }
}

fn is_end_of(number: u32) -> impl Fn(&Record) -> bool {
    move |record| matches!(record, Record::End { run, .. } if *run == number)
}

#[test]
fn one_job_after_the_other_is_clean() {
    let findings = Story::clean().expect_clean();
    assert_eq!((findings.grants, findings.skipped), (2, 1));
    assert_eq!((findings.allowed, findings.starved), (vec![], vec![]));
}

#[test]
fn two_jobs_in_one_place_are_a_breach() {
    let story = Story::default().ran(1, 0, (100, 200), 1);
    // It wrote what it could: the register alone shows nothing.
    let story = story
        .asked(2, 1, 140)
        .start(2, 0, 150, 1)
        .end(2, 250, 2)
        .exit(2, 260, CODE);
    story.expect_broken(&[Rule::Overlap, Rule::Exit]);
    // Told to the first one at its end: that is honest, and an overlap all the same.
    let told = |record: &mut Record| {
        if let Record::Exit { code, .. } = record {
            *code = Some(79);
        }
    };
    let honest = story.clone().change(1, told);
    honest
        .clone()
        .fault(Fault::FreezeServer, None, (0, 10))
        .fault(Fault::FreezeServer, None, (100, 300))
        .expect_broken(&[Rule::Overlap]);
    // One that was frozen at the end of its lease may do it, and has to say so.
    let frozen = (Fault::FreezeTasklock, Some(1), (110, 190));
    let allowed = honest.clone().fault(frozen.0, frozen.1, frozen.2);
    // Two in a place, and two in a lock of one place.
    assert_eq!(allowed.expect_clean().allowed.len(), 2);
    story
        .fault(frozen.0, frozen.1, frozen.2)
        .expect_broken(&[Rule::Exit]);
    // Not where the kernel keeps the lock for it.
    let local = allowed.check(Topology::Local);
    assert!(local.breaches.iter().any(|it| it.rule == Rule::Overlap));
}

#[test]
fn a_freeze_of_another_or_long_before_excuses_no_overlap() {
    let story = Story::default().ran(1, 0, (1000, 1200), 1);
    let story = story
        .asked(2, 1, 1140)
        .start(2, 0, 1150, 1)
        .end(2, 1250, 2)
        .exit(2, 1260, 79);
    let story = story.asked(3, 1, 0).exit(3, 1300, 75);
    for (run, from, to) in [(3, 1100, 1200), (1, 100, 1040), (1, 1160, 1200)] {
        let frozen = story
            .clone()
            .fault(Fault::FreezeTasklock, Some(run), (from, to));
        let broken = frozen.check(Topology::Single).breaches;
        assert!(
            broken.iter().any(|it| it.rule == Rule::Overlap),
            "{run} {from}"
        );
    }
}

#[test]
fn a_job_that_was_killed_lives_as_long_as_another_meets_it_and_no_longer() {
    // KILL to run 1 at 120: nobody knows when it was dead, but the next met nobody.
    let killed = Story::default()
        .ran(1, 0, (100, 150), 1)
        .without(is_end_of(1))
        .without(|record| matches!(record, Record::Exit { run: 1, .. }))
        .died(1, 130, 9)
        .fault(Fault::KillTasklock, Some(1), (120, 121))
        .asked(2, 1, 125)
        .start(2, 0, 126, 0)
        .end(2, 140, 1)
        .exit(2, 150, CODE);
    killed.expect_clean();
    let met = killed.change(2, |record| {
        if let Record::Start { beside, .. } = record {
            *beside = Some(1);
        }
    });
    met.expect_broken(&[Rule::Overlap]);
    // One that was killed before it could tell of itself is met as well.
    let unknown = met.without(|record| matches!(record, Record::Start { run: 1, .. }));
    unknown.expect_broken(&[Rule::Overlap]);
}

#[test]
fn a_breach_on_a_machine_that_withheld_the_cpu_is_counted_apart() {
    let story = Story::default().ran(1, 0, (10_000, 10_200), 1);
    let story = story
        .asked(2, 1, 10_140)
        .start(2, 0, 10_150, 1)
        .end(2, 10_250, 2);
    let story = story.exit(2, 10_260, CODE);
    let starved = story.clone().gap(9_900, 10_020).check(Topology::Single);
    assert_eq!(starved.breaches, []);
    assert_eq!(starved.starved.len(), 3, "{:?}", starved.starved);
    for (from, to) in [(9_900, 9_990), (6_000, 6_900), (10_300, 10_500)] {
        story
            .clone()
            .gap(from, to)
            .expect_broken(&[Rule::Overlap, Rule::Exit]);
    }
}

#[test]
fn places_are_apart_and_no_more_than_there_are() {
    let two = Story::default().ran(1, 0, (100, 200), 1);
    let two = two.ran(2, 1, (150, 250), 1);
    two.expect_clean();
    // Both of three places that a run of two may use: one of them is not among these.
    let beyond = two.change(2, |record| {
        if let Record::Asked { slots, .. } = record {
            *slots = 1;
        }
    });
    beyond.expect_broken(&[Rule::Overlap]);
}

#[test]
fn tasklock_and_the_recipe_exclude_each_other_unless_somebody_deleted_the_key() {
    let by_recipe = |record: &mut Record| match record {
        Record::Asked { recipe, .. } => *recipe = true,
        Record::Start { fence, read, .. } => (*fence, *read) = (None, None),
        Record::End { wrote, .. } => *wrote = None,
        _ => {}
    };
    for elder in [1, 2] {
        let both = Story::default()
            .ran(1, 0, (2100, 2200), 1)
            .ran(2, 0, (2150, 2250), 2)
            .change(elder, by_recipe);
        both.expect_broken(&[Rule::Overlap]);
        let deleted = |at| both.clone().fault(Fault::DeleteKey, None, (at, at + 1));
        assert_eq!(deleted(2120).expect_clean().allowed.len(), 1);
        deleted(1100).expect_broken(&[Rule::Overlap]);
        // Tasklock had the lock before the recipe got in, and was slow to start its job.
        match elder {
            1 => assert_eq!(deleted(2080).expect_clean().allowed.len(), 1),
            _ => deleted(2080).expect_broken(&[Rule::Overlap]),
        }
    }
}

#[test]
fn a_fence_that_does_not_grow_is_a_breach() {
    let set = |number: u64| {
        move |record: &mut Record| {
            if let Record::Start { fence, .. } = record {
                *fence = Some(number);
            }
        }
    };
    Story::clean().change(2, set(11)).expect_clean();
    // What the register wrote after it went back with it.
    Story::clean()
        .change(2, set(9))
        .expect_broken(&[Rule::Fence, Rule::Register]);
    Story::clean()
        .change(2, set(10))
        .expect_broken(&[Rule::Fence, Rule::Register]);
    // Frozen between the grant and the job, and refused by the register: allowed.
    let late = |record: &mut Record| match record {
        Record::Start { fence, read, .. } => (*fence, *read) = (Some(9), None),
        Record::End { wrote, .. } => *wrote = None,
        Record::Exit { code, .. } => *code = Some(79),
        _ => {}
    };
    let late = Story::clean().change(2, late);
    late.clone()
        .fault(Fault::FreezeTasklock, Some(2), (50, 195))
        .expect_clean();
    late.fault(Fault::FreezeServer, None, (50, 195))
        .expect_broken(&[Rule::Fence]);
}

#[test]
fn a_lost_update_is_a_breach_whatever_was_done() {
    let twice = |record: &mut Record| match record {
        Record::Start { read, .. } => *read = Some(0),
        Record::End { wrote, .. } => *wrote = Some(1),
        _ => {}
    };
    let lost = Story::clean().change(2, twice);
    lost.clone().expect_broken(&[Rule::Register]);
    let faults = lost
        .fault(Fault::FreezeTasklock, Some(1), (0, 300))
        .fault(Fault::FreezeTasklock, Some(2), (0, 300))
        .gap(0, 300);
    faults.expect_broken(&[Rule::Register]);
}

#[test]
fn a_code_that_does_not_tell_what_happened_is_a_breach() {
    let exit = |number| {
        move |record: &mut Record| {
            if let Record::Exit { code, .. } = record {
                *code = Some(number);
            }
        }
    };
    // The job ran, and it says skipped; or that the store was gone, or that something else was.
    for code in [75, 69, 70, 0] {
        Story::clean()
            .change(1, exit(code))
            .expect_broken(&[Rule::Exit]);
    }
    // It never ran, and it says that it did.
    Story::clean()
        .change(3, exit(CODE))
        .expect_broken(&[Rule::Exit]);
    // Killed without an end, and it says that it ended.
    Story::clean()
        .without(is_end_of(2))
        .expect_broken(&[Rule::Exit]);
    // Lost, or no store: only if something was done that can cost that.
    for code in [79, 69] {
        let run = if code == 79 { 1 } else { 3 };
        let story = Story::clean().change(run, exit(code));
        story.expect_broken(&[Rule::Exit]);
        story
            .clone()
            .fault(Fault::DeleteKey, None, (90, 91))
            .expect_broken(&[Rule::Exit]);
        story
            .fault(Fault::FreezeServer, None, (90, 125))
            .expect_clean();
    }
    // A machine that is short of CPU may cost a lock, and no more than that.
    let short = |code| Story::clean().change(1, exit(code)).gap(90, 130);
    assert_eq!(short(79).expect_clean().starved.len(), 1);
    short(75).expect_broken(&[Rule::Exit]);
    // It ran twice.
    let again = Story::clean().start(2, 0, 251, 2);
    again.expect_broken(&[Rule::Fence, Rule::Exit]);
    // It is still there.
    let missing = |record: &Record| matches!(record, Record::Exit { run: 3, .. });
    Story::clean().without(missing).expect_broken(&[Rule::Exit]);
}

#[test]
fn a_signal_that_nobody_sent_is_a_breach() {
    let story = Story::clean()
        .without(|record| matches!(record, Record::Exit { run: 3, .. }))
        .died(3, 130, 15);
    story.expect_broken(&[Rule::Exit]);
    story
        .clone()
        .fault(Fault::KillTasklock, Some(3), (125, 126))
        .expect_broken(&[Rule::Exit]);
    story
        .clone()
        .fault(Fault::TermTasklock, Some(1), (125, 126))
        .expect_broken(&[Rule::Exit]);
    story
        .fault(Fault::TermTasklock, Some(3), (125, 126))
        .expect_clean();
}

#[test]
fn a_job_that_goes_on_after_its_tasklock_is_a_breach() {
    let early = |at: Nanos| {
        Story::clean()
            .without(|record| matches!(record, Record::Exit { run: 2, .. }))
            .died(2, at, 9)
            .fault(Fault::KillTasklock, Some(2), (at - 1, at))
    };
    early(205).expect_clean();
    early(140).expect_broken(&[Rule::Outlives]);
}

#[test]
fn whoever_comes_first_is_served_first_and_is_not_forgotten() {
    let line = Story::clean()
        .joined(1, 1, 1, 80)
        .joined(2, 2, 1, 81)
        .granted(1, 0, 99, 10)
        .granted(2, 0, 199, 20);
    line.expect_clean();
    // The second before the first.
    let overtaken = Story::clean()
        .joined(2, 1, 1, 80)
        .granted(1, 0, 99, 10)
        .granted(2, 0, 199, 20);
    overtaken.expect_broken(&[Rule::Order]);
    // One who cannot use the place that is free is not overtaken.
    let elsewhere = Story::default()
        .ran(1, 1, (100, 150), 1)
        .ran(2, 0, (200, 250), 1)
        .joined(2, 1, 1, 80)
        .joined(1, 2, 2, 81)
        .granted(1, 1, 99, 10)
        .granted(2, 0, 199, 20);
    elsewhere.expect_clean();
    // Nor is one who has been told of another place; there is none where there is only one.
    let both = Story::default()
        .ran(1, 1, (100, 150), 1)
        .ran(2, 0, (100, 150), 1)
        .told(2, 1, 2, 80)
        .granted(1, 1, 98, 10)
        .granted(2, 0, 99, 20);
    both.expect_clean();
    let one = Story::clean()
        .told(2, 1, 1, 80)
        .granted(1, 0, 99, 10)
        .granted(2, 0, 199, 20);
    one.expect_broken(&[Rule::Order]);
    // Passed over, and back with the ticket that it had.
    let back = Story::clean()
        .joined(1, 1, 1, 80)
        .left(1, 85)
        .joined(2, 2, 1, 86)
        .granted(1, 0, 99, 10)
        .granted(2, 0, 199, 20)
        .fault(Fault::CutConnections, None, (81, 82));
    back.expect_clean();
    // Dropped while it lived: only one that could not be reached may be.
    let dropped = Story::clean()
        .joined(2, 1, 1, 80)
        .left(1, 90)
        .granted(1, 0, 99, 10)
        .joined(2, 1, 1, 120)
        .granted(2, 0, 199, 20);
    dropped.expect_broken(&[Rule::Order]);
    dropped
        .clone()
        .fault(Fault::DeleteKey, None, (85, 86))
        .expect_broken(&[Rule::Order]);
    dropped
        .clone()
        .fault(Fault::FreezeTasklock, Some(1), (85, 86))
        .expect_broken(&[Rule::Order]);
    dropped
        .fault(Fault::CutConnections, None, (85, 86))
        .expect_clean();
    // Left because it had waited long enough.
    Story::clean()
        .granted(1, 0, 99, 10)
        .joined(3, 1, 1, 121)
        .left(1, 129)
        .granted(2, 0, 199, 20)
        .expect_clean();
}

#[test]
fn a_grant_with_an_old_fence_is_a_breach_even_if_its_job_never_ran() {
    let story = Story::clean().granted(1, 0, 99, 10).granted(2, 0, 199, 20);
    story
        .clone()
        .granted(3, 0, 299, 19)
        .expect_broken(&[Rule::Fence]);
    story
        .clone()
        .granted(3, 0, 299, 20)
        .expect_broken(&[Rule::Fence]);
    story.clone().granted(3, 1, 299, 5).expect_clean();
    story.granted(3, 0, 299, 21).expect_clean();
}

#[test]
fn a_wait_for_a_place_that_nobody_is_in_is_a_breach() {
    let waited = |until: Nanos| {
        Story::clean()
            .asked(4, 1, 40)
            .waits(4, 240)
            .start(4, 0, until, 2)
            .end(4, until + 10, 3)
            .exit(4, until + 15, CODE)
    };
    waited(1700).expect_clean();
    waited(1900).expect_broken(&[Rule::Idle]);
    // The same for one that gave up.
    let gave_up = |until| {
        Story::clean()
            .asked(4, 1, 240)
            .waits(4, 240)
            .exit(4, until, 75)
    };
    gave_up(1700).expect_clean();
    gave_up(1900).expect_broken(&[Rule::Idle]);
    // One that did not say that it waits was perhaps not there yet.
    let slow = |record: &Record| matches!(record, Record::Waits { .. });
    gave_up(1900).without(slow).expect_clean();
    // A job that runs all the time is a reason, and so is the lease of one that was killed.
    let after_5 = |story: Story| {
        story.change(4, |record| match record {
            Record::Start { fence, read, .. } => (*fence, *read) = (Some(60), Some(3)),
            Record::End { wrote, .. } => *wrote = Some(4),
            _ => {}
        })
    };
    after_5(waited(5000).ran(5, 0, (260, 4990), 3)).expect_clean();
    // So is one that was stopped before it could tell of its start.
    let stopped = waited(5000).ran(5, 0, (4980, 4990), 3);
    let confirmed = |at: Nanos| Record::Confirmed {
        at: at * MS,
        run: 5,
    };
    after_5(stopped.clone()).expect_broken(&[Rule::Idle]);
    let kept = stopped.add(confirmed(260)).add(confirmed(4900));
    after_5(kept).expect_clean();
    let killed = waited(4000).asked(5, 1, 250).died(5, 255, 9).fault(
        Fault::KillTasklock,
        Some(5),
        (254, 254),
    );
    killed.expect_clean();
    let local = killed.check(Topology::Local).breaches;
    assert!(local.iter().all(|it| it.rule == Rule::Idle) && !local.is_empty());
    // A job that was stopped before it told of its start is there all the same.
    let silent = |story: Story| {
        let hit = story.fault(Fault::FreezeJob, Some(5), (260, 3990));
        hit.fault(Fault::KillJob, Some(5), (3991, 3991))
    };
    silent(waited(4000).asked(5, 1, 250).died(5, 3995, 9)).expect_clean();
    let its_own = Story::clean()
        .asked(5, 1, 40)
        .waits(5, 240)
        .add(Record::Confirmed {
            at: 259 * MS,
            run: 5,
        })
        .died(5, 3995, 9);
    silent(its_own).expect_clean();
    // Whoever was stopped in line may hold up those behind.
    let stopped = waited(4000).fault(Fault::FreezeTasklock, Some(3), (1000, 3000));
    stopped.expect_clean();
}

#[test]
fn nobody_meets_the_job_of_a_tasklock_that_was_killed_a_moment_ago() {
    let met = Story::clean()
        .without(is_end_of(1))
        .without(|record| matches!(record, Record::Exit { run: 1, .. }))
        .died(1, 195, 9)
        .fault(Fault::KillTasklock, Some(1), (190, 190))
        .change(2, |record| {
            if let Record::Start { beside, .. } = record {
                *beside = Some(1);
            }
        });
    let local = met.check(Topology::Local).breaches;
    assert_eq!(local.len(), 1, "{local:?}");
    met.expect_broken(&[Rule::Overlap]);
}

#[test]
fn a_fence_that_the_server_never_gave_is_a_breach() {
    let story = Story::clean().granted(1, 0, 99, 10);
    story.expect_broken(&[Rule::Fence]);
    story
        .clone()
        .granted(2, 0, 199, 19)
        .expect_broken(&[Rule::Fence]);
    story
        .clone()
        .granted(2, 1, 199, 20)
        .expect_broken(&[Rule::Fence]);
    story.granted(2, 0, 199, 20).expect_clean();
}

#[test]
fn what_is_left_in_the_store_is_a_breach() {
    let what = "the key of \"a\"".to_owned();
    let story = Story::clean().add(Record::Leftover { at: 900 * MS, what });
    story.expect_broken(&[Rule::Leftover]);
}
