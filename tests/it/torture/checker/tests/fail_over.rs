//! What a fail-over may forget.

use super::super::super::fault::{Fault, Topology};
use super::super::super::history::{Nanos, Record};
use super::super::{Breach, Rule};
use super::{CODE, MS, Story};

/// Run 2 was granted the place of run 1, which told of it in the end, around a fail-over.
fn after_a_fail_over(fault: Fault, fence: u64, until: Nanos) -> Story {
    Story::default()
        .asked(1, 1, 90)
        .start(1, 0, 100, 0)
        .end(1, 2300, 1)
        .exit(1, 2310, 79)
        .fault(fault, None, (200, 2100))
        .add(Record::Seen {
            at: 201 * MS,
            name: "a".to_owned(),
            slot: 0,
            fence,
            until: until * MS,
        })
        .asked(2, 1, 2190)
        .start(2, 0, 2200, 1)
        .end(2, 2400, 2)
        .exit(2, 2410, CODE)
}

#[test]
fn a_fail_over_may_forget_what_no_replica_had_seen_and_nothing_else() {
    let overlaps = |story: &Story, topology| {
        let findings = story.check(topology);
        let count = |list: &[Breach]| list.iter().filter(|it| it.rule == Rule::Overlap).count();
        assert!(findings.breaches.iter().all(|it| it.rule == Rule::Overlap));
        (count(&findings.breaches), count(&findings.allowed))
    };
    for topology in [Topology::Sentinel, Topology::Cluster] {
        for fault in [Fault::KillMaster, Fault::FreezeMaster] {
            // They knew an earlier holder, or a lease that was over; or the lease of run 1.
            let forgotten = [(5, 5000), (10, 2150)];
            for (fence, until) in forgotten {
                let story = after_a_fail_over(fault, fence, until);
                assert_eq!(overlaps(&story, topology), (0, 2), "{fault:?}");
            }
            let known = after_a_fail_over(fault, 10, 2250);
            assert_eq!(overlaps(&known, topology), (2, 0), "{fault:?}");
        }
    }
    // Granted by the new master.
    let later = Story::default()
        .fault(Fault::FreezeMaster, None, (200, 2100))
        .ran(1, 0, (2500, 2700), 1)
        .ran(2, 0, (2600, 2800), 2)
        .change(1, |record| {
            if let Record::Exit { code, .. } = record {
                *code = Some(79);
            }
        });
    let rules = later.check(Topology::Cluster).breaches;
    assert!(rules.iter().any(|it| it.rule == Rule::Overlap), "{rules:?}");
    // The master of a shard hands everything over.
    let handed = after_a_fail_over(Fault::FailOver, 5, 5000);
    assert_eq!(overlaps(&handed, Topology::Sentinel), (0, 2));
    assert_eq!(overlaps(&handed, Topology::Cluster), (2, 0));
}

#[test]
fn a_job_that_ends_before_its_tasklock_hears_of_a_fail_over_keeps_its_code() {
    let own = |record: &mut Record| {
        if let Record::Exit { code, .. } = record {
            *code = Some(CODE);
        }
    };
    let broken = |until| {
        let story = after_a_fail_over(Fault::KillMaster, 10, until).change(1, own);
        let findings = story.check(Topology::Sentinel);
        findings
            .breaches
            .iter()
            .filter(|it| it.rule == Rule::Exit)
            .count()
    };
    assert_eq!((broken(2150), broken(2250)), (0, 1));
}

#[test]
fn of_two_masters_grants_at_a_time_the_earlier_job_may_begin_a_moment_later() {
    let broken = |began, seen| {
        let story = Story::default()
            .fault(Fault::FreezeMaster, None, (900, 2000))
            .ran(2, 0, (1000, 1050), 1)
            // The register refused it.
            .asked(1, 1, 990)
            .start(1, 0, began, 0)
            .end(1, began + 30, 0)
            .exit(1, began + 40, CODE)
            .add(Record::Seen {
                at: 901 * MS,
                name: "a".to_owned(),
                slot: 0,
                fence: seen,
                until: 3000 * MS,
            });
        let refused = story.change(1, |record| match record {
            Record::Start { read, .. } => *read = None,
            Record::End { wrote, .. } => *wrote = None,
            _ => {}
        });
        let findings = refused.check(Topology::Sentinel);
        let rules = findings.breaches.iter().map(|it| it.rule);
        rules.collect::<Vec<_>>()
    };
    assert_eq!(broken(1060, 5), []);
    // Its lease was known, or it is too late for that.
    assert_eq!(broken(1060, 10), [Rule::Fence, Rule::Exit]);
    assert_eq!(broken(1160, 5), [Rule::Fence, Rule::Exit]);
}

#[test]
fn no_fail_over_excuses_a_smaller_fence() {
    let story = Story::default().ran(2, 0, (1000, 1100), 1);
    let story = story.fault(Fault::FailOver, None, (900, 2000));
    let story = story.ran(1, 0, (1200, 1300), 2);
    for topology in [Topology::Sentinel, Topology::Cluster] {
        let broken = story.check(topology).breaches;
        assert!(broken.iter().any(|it| it.rule == Rule::Fence), "{broken:?}");
    }
}
