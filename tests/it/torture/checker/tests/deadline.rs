//! Jobs that live longer than their tasklock said.

use super::super::super::fault::{Fault, Topology};
use super::super::super::history::{Nanos, Record};
use super::super::Rule;
use super::{CODE, MS, Story, is_end_of};

#[test]
fn a_job_that_lives_when_its_lease_can_end_is_a_breach() {
    // A ttl of a second: 20 ms and 150 ms are kept in hand.
    let until = |end: Nanos, code| {
        Story::default()
            .asked(1, 1, 90)
            .start(1, 0, 110, 0)
            .end(1, end, 1)
            .exit(1, end + 5, code)
            .add(Record::Confirmed {
                at: 100 * MS,
                run: 1,
            })
            .add(Record::Confirmed {
                at: 400 * MS,
                run: 1,
            })
    };
    assert_eq!(until(1230, CODE).expect_clean().deadlines, 1);
    let late = until(1240, CODE);
    late.expect_broken(&[Rule::Deadline]);
    // A file lock has no end.
    assert_eq!(late.check(Topology::Local).breaches, []);
    // It could not kill while it was stopped; and it could, before and after.
    late.clone()
        .fault(Fault::FreezeTasklock, Some(1), (1000, 1200))
        .expect_clean();
    late.clone()
        .fault(Fault::FreezeTasklock, Some(1), (1000, 1100))
        .expect_broken(&[Rule::Deadline]);
    late.fault(Fault::FreezeServer, None, (1000, 1200))
        .expect_broken(&[Rule::Deadline]);
    // Another met it, whatever it told of itself.
    let met = until(1230, CODE)
        .without(is_end_of(1))
        .change(1, |record| {
            if let Record::Exit { code, .. } = record {
                *code = Some(79);
            }
        })
        .fault(Fault::FreezeServer, None, (500, 1200))
        .ran(2, 0, (1240, 1250), 1)
        .change(2, |record| {
            if let Record::Start { beside, .. } = record {
                *beside = Some(1);
            }
        });
    met.expect_broken(&[Rule::Overlap, Rule::Deadline]);
}

#[test]
fn a_job_that_lives_when_tasklock_said_that_it_is_killed_is_a_breach() {
    let lost = |end| {
        Story::default()
            .asked(1, 1, 90)
            .start(1, 0, 110, 0)
            .end(1, end, 1)
            .exit(1, end + 5, 79)
            .fault(Fault::FreezeServer, None, (100, 200))
            .add(Record::Stops {
                at: 300 * MS,
                run: 1,
                kill_in: 200 * MS,
            })
    };
    lost(600).expect_clean();
    lost(601).expect_broken(&[Rule::Deadline]);
    let local = lost(601).check(Topology::Local).breaches;
    assert!(local.iter().any(|it| it.rule == Rule::Deadline));
}
