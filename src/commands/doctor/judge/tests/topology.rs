//! Sentinel, Cluster, quorum.

use super::*;

#[test]
fn sentinels_that_cannot_promote_in_time_are_told() {
    for (pairs, check, level, fragment) in [
        (
            &[("down-after-milliseconds", "25000")],
            "failover",
            Level::Ok,
            "25s",
        ),
        (
            &[("down-after-milliseconds", "30000")],
            "failover",
            Level::Warning,
            "rides out 38s",
        ),
        (
            &[("num-other-sentinels", "1")],
            "sentinels",
            Level::Warning,
            "2 watch",
        ),
        (
            &[("quorum", "4")],
            "sentinels",
            Level::Warning,
            "4 have to agree",
        ),
    ] {
        expect(
            &judged(sentinel(pairs), vec![healthy()]),
            check,
            level,
            fragment,
        );
    }
    let findings = judged(
        sentinel(&[("down-after-milliseconds", "30000")]),
        vec![healthy()],
    );
    let advice = worst(&findings, "failover").advice.clone().unwrap();
    assert!(advice.contains("--ttl 1m10s"), "{advice}");
    let silent = StoreError::new(StoreErrorKind::Unavailable, "cannot reach s2");
    let shape = match sentinel(&[]) {
        Shape::Sentinel(mut all) => {
            all.push(Err(silent));
            Shape::Sentinel(all)
        }
        other => other,
    };
    expect(
        &judged(shape, vec![healthy()]),
        "sentinels",
        Level::Warning,
        "s2",
    );
}

#[test]
fn a_master_under_sentinel_wants_replicas_and_a_minimum_of_them() {
    type Change = fn(&mut Server);
    let cases: [(Change, &str, &str); 3] = [
        (
            |s| info(s, "connected_slaves", "0"),
            "replicas",
            "no replica",
        ),
        (
            |s| set(s, "min-replicas-to-write", "0"),
            "min-replicas",
            "goes on granting",
        ),
        (
            |s| set(s, "min-replicas-max-lag", "60"),
            "min-replicas",
            "as long as a ttl",
        ),
    ];
    for (change, check, fragment) in cases {
        expect(
            &judged(sentinel(&[]), vec![with(change)]),
            check,
            Level::Warning,
            fragment,
        );
        let alone = judged(Shape::One, vec![with(change)]);
        assert!(alone.iter().all(|it| it.level == Level::Ok), "{alone:#?}");
    }
}

#[test]
fn a_cluster_with_gaps_or_without_replicas_is_told() {
    for (shape, check, level, fragment) in [
        (
            cluster("fail", "16384", 1),
            "slots",
            UNAVAILABLE,
            "state fail",
        ),
        (
            cluster("ok", "16000", 1),
            "slots",
            Level::Warning,
            "16000 of",
        ),
        (
            cluster("ok", "16384", 0),
            "topology",
            Level::Warning,
            "without a replica: redis://a",
        ),
    ] {
        expect(&judged(shape, vec![healthy()]), check, level, fragment);
    }
    let member = || with(|s| info(s, "cluster_enabled", "1"));
    expect(
        &judged(Shape::One, vec![member()]),
        "topology",
        CONFIG,
        "a node of",
    );
    let alright = judged(cluster("ok", "16384", 1), vec![member()]);
    expect(&alright, "topology", Level::Ok, "1 masters");
    let slow = with(|s| set(s, "cluster-node-timeout", "30000"));
    let findings = judged(cluster("ok", "16384", 1), vec![slow]);
    expect(&findings, "failover", Level::Warning, "30s");
}

#[test]
fn a_quorum_wants_an_odd_number_of_different_nodes_with_memory_and_right_clocks() {
    let node = |name: &str, ahead| {
        with(|s| {
            s.name = name.to_owned();
            info(s, "run_id", name);
            s.clock = Ok(clock(ahead, 0.0));
        })
    };
    let three = || vec![node("a", 0), node("b", 0), node("c", 0)];
    expect(
        &judged(Shape::Quorum(3), three()),
        "quorum",
        Level::Ok,
        "2 have to answer",
    );
    expect(
        &judged(Shape::Quorum(4), three()),
        "quorum",
        Level::Warning,
        "4 nodes",
    );
    let mut twins = three();
    info(&mut twins[2], "run_id", "a");
    expect(
        &judged(Shape::Quorum(3), twins),
        "quorum",
        CONFIG,
        "a and c are the same",
    );
    let mut apart = three();
    apart[1].clock = Ok(clock(-6_000_000, 0.0));
    expect(
        &judged(Shape::Quorum(3), apart),
        "clocks",
        Level::Warning,
        "6s apart",
    );
    for (run_id, votes_in, fragment) in [("b", 9, "for another 9s"), ("old", 0, "was restarted")] {
        let mut away = three();
        away[1].mark = Some(Mark {
            run_id: run_id.to_owned(),
            votes_in: Duration::from_secs(votes_in),
        });
        expect(
            &judged(Shape::Quorum(3), away),
            "quorum",
            Level::Warning,
            fragment,
        );
    }
    let mut voting = three();
    voting[1].mark = Some(Mark {
        run_id: "b".to_owned(),
        votes_in: Duration::ZERO,
    });
    expect(&judged(Shape::Quorum(3), voting), "quorum", Level::Ok, "");
    let mut forgetful = three();
    for node in &mut forgetful {
        info(node, "aof_enabled", "0");
        set(node, "save", "");
    }
    let findings = judged(Shape::Quorum(3), forgetful);
    expect(&findings, "persistence", Level::Ok, "five minutes");
}
