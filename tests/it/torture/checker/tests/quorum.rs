//! What a quorum goes on through, and what it does not.

use super::super::super::fault::{Fault, Topology};
use super::super::super::history::{Nanos, Record};
use super::super::Rule;
use super::{CODE, MS, Story};

/// All that is done to a minority of the nodes.
const TO_A_MINORITY: [Fault; 11] = [
    Fault::FreezeNode,
    Fault::Partition,
    Fault::SlowNetwork,
    Fault::SplitNetwork,
    Fault::KillClients,
    Fault::CutConnections,
    Fault::FlushScripts,
    Fault::FlushAll,
    Fault::RestartEmpty,
    Fault::RestartRdb,
    Fault::RestartAof,
];

/// And to more of them.
const TO_MORE: [Fault; 3] = [Fault::MajorityAway, Fault::VoteAway, Fault::TwoBehind];

fn rules(story: &Story, topology: Topology) -> Vec<Rule> {
    let broken = story.check(topology).breaches;
    let mut rules: Vec<Rule> = broken.iter().map(|it| it.rule).collect();
    rules.sort_unstable();
    rules.dedup();
    rules
}

#[test]
fn nothing_that_is_done_to_nodes_excuses_two_jobs_at_a_time() {
    for fault in TO_A_MINORITY.into_iter().chain(TO_MORE) {
        let story = Story::default()
            .fault(fault, None, (900, 1150))
            .ran(1, 0, (1000, 1200), 1)
            .ran(2, 0, (1100, 1300), 2);
        let broken = rules(&story, Topology::Quorum);
        assert!(broken.contains(&Rule::Overlap), "{fault:?}: {broken:?}");
    }
    // One server alone has nobody who remembers.
    let story = Story::default()
        .fault(Fault::FlushAll, None, (900, 1150))
        .ran(1, 0, (1000, 1200), 1)
        .ran(2, 0, (1100, 1300), 2);
    assert_eq!(rules(&story, Topology::Single), []);
}

#[test]
fn nothing_that_is_done_to_nodes_excuses_a_smaller_fence() {
    for fault in TO_A_MINORITY.into_iter().chain(TO_MORE) {
        let story = Story::default()
            .ran(2, 0, (1000, 1100), 1)
            .fault(fault, None, (1000, 1150))
            .ran(1, 0, (1200, 1300), 2);
        let broken = rules(&story, Topology::Quorum);
        assert!(broken.contains(&Rule::Fence), "{fault:?}: {broken:?}");
    }
}

#[test]
fn a_lock_is_lost_when_a_majority_is_away_and_for_nothing_less() {
    let lost = |fault, code| {
        let story = Story::default().fault(fault, None, (100, 1500));
        rules(&story.asked(1, 1, 90).exit(1, 1200, code), Topology::Quorum)
    };
    for code in [79, 69] {
        assert_eq!(lost(Fault::MajorityAway, code), []);
        assert_eq!(lost(Fault::TwoBehind, code), []);
        for fault in TO_A_MINORITY {
            assert_eq!(lost(fault, code), [Rule::Exit], "{fault:?}");
        }
    }
    // Who has no vote keeps what is held.
    assert_eq!(lost(Fault::VoteAway, 69), []);
    assert_eq!(lost(Fault::VoteAway, 79), [Rule::Exit]);
}

#[test]
fn a_lock_is_lost_by_the_vote_for_a_dead_competitor_and_a_node_that_is_away() {
    let lost = |hit, name: &str, at, away| {
        let competitor = Record::Asked {
            at: 80 * MS,
            run: 2,
            name: name.to_owned(),
            slots: 1,
            ttl: 1000 * MS,
            code: CODE,
            recipe: false,
        };
        let story = Story::default()
            .add(competitor)
            .fault(hit, Some(2), (at, at))
            .exit(2, 1300, 75)
            .fault(away, None, (700, 1150));
        rules(&story.asked(1, 1, 90).exit(1, 1200, 79), Topology::Quorum)
    };
    for hit in [Fault::KillTasklock, Fault::FreezeTasklock] {
        assert_eq!(lost(hit, "a", 500, Fault::Partition), []);
        assert_eq!(lost(hit, "a", 750, Fault::FreezeNode), []);
    }
    for (hit, name, at, away) in [
        (Fault::TermTasklock, "a", 500, Fault::Partition),
        (Fault::KillTasklock, "b", 500, Fault::Partition),
        (Fault::KillTasklock, "a", 1160, Fault::Partition),
        (Fault::KillTasklock, "a", 500, Fault::FlushScripts),
    ] {
        assert_eq!(lost(hit, name, at, away), [Rule::Exit], "{hit:?}");
    }
}

#[test]
fn a_grant_or_a_refresh_while_a_majority_is_away_is_a_breach() {
    let away = |story: Story| {
        let story = story.fault(Fault::MajorityAway, None, (1000, 4000));
        rules(&story, Topology::Quorum)
    };
    // One that was on its way, one after it, and one in between.
    assert_eq!(away(Story::default().ran(1, 0, (1400, 1450), 1)), []);
    assert_eq!(away(Story::default().ran(1, 0, (4010, 4050), 1)), []);
    let granted = Story::default().ran(1, 0, (1600, 1650), 1);
    assert_eq!(away(granted.clone()), [Rule::Majority]);
    let one = granted.clone().fault(Fault::FreezeNode, None, (1000, 4000));
    assert_eq!(rules(&one, Topology::Quorum), []);
    // It was told in time, or it could not tell.
    let told = |at: Nanos| {
        let at = at * MS;
        granted.clone().add(Record::Confirmed { at, run: 1 })
    };
    assert_eq!(away(told(1100)), []);
    let stopped = |fault| granted.clone().fault(fault, Some(1), (1050, 1550));
    assert_eq!(away(stopped(Fault::FreezeTasklock)), []);
    assert_eq!(away(stopped(Fault::FreezeJob)), []);
    assert_eq!(away(stopped(Fault::TermTasklock)), [Rule::Majority]);
    // Granted before, and refreshed.
    let refreshed = |at: Nanos| {
        Story::default()
            .asked(1, 1, 790)
            .start(1, 0, 800, 0)
            .end(1, 2000, 1)
            .exit(1, 2010, CODE)
            .add(Record::Confirmed {
                at: 795 * MS,
                run: 1,
            })
            .add(Record::Confirmed {
                at: at * MS,
                run: 1,
            })
    };
    assert_eq!(away(refreshed(1450)), []);
    assert_eq!(away(refreshed(1800)), [Rule::Majority]);
    // By one that has no vote, and is there.
    let voteless = |story: Story| {
        let story = story.fault(Fault::VoteAway, None, (1000, 4000));
        rules(&story, Topology::Quorum)
    };
    assert_eq!(voteless(refreshed(1800)), []);
    assert_eq!(voteless(granted), [Rule::Majority]);
}
