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
    let mut forgetful = three();
    for node in &mut forgetful {
        info(node, "aof_enabled", "0");
        set(node, "save", "");
    }
    let findings = judged(Shape::Quorum(3), forgetful);
    expect(&findings, "persistence", Level::Ok, "five minutes");
}

/// Of three nodes, each with its mark.
fn marked(marks: [Option<(&str, u64)>; 3]) -> Vec<Server> {
    let node = |(name, mark): (&str, Option<(&str, u64)>)| {
        with(|s| {
            s.name = name.to_owned();
            info(s, "run_id", name);
            s.mark = Ok(mark.map(|(run_id, secs)| Mark {
                run_id: run_id.to_owned(),
                votes_in: Duration::from_secs(secs),
            }));
        })
    };
    ["a", "b", "c"].into_iter().zip(marks).map(node).collect()
}

#[test]
fn a_node_without_a_vote_is_told_and_too_many_of_them_are_an_error() {
    let (a, c) = (Some(("a", 0)), Some(("c", 0)));
    for (b, fragment) in [
        (Some(("b", 9)), "no vote for another 9s"),
        (Some(("b", 3600)), "its clock has stepped back"),
        (Some(("old", 0)), "was restarted, and has no vote for 5m"),
        (Some(("old", 200)), "was restarted, and has no vote for 5m"),
        (None, "no vote until 5m after"),
    ] {
        let findings = judged(Shape::Quorum(3), marked([a, b, c]));
        expect(&findings, "quorum", Level::Warning, fragment);
        assert_eq!(worst(&findings, "quorum").server.as_deref(), Some("b"));
        let findings = judged(Shape::Quorum(3), marked([a, b, None]));
        let text = "1 of 3 nodes can vote, 2 have to: 0 down, 2 without a vote";
        expect(&findings, "quorum", UNAVAILABLE, text);
    }
    for marks in [[a, Some(("b", 0)), c], [a, Some(("-", 0)), c], [None; 3]] {
        let findings = judged(Shape::Quorum(3), marked(marks));
        expect(&findings, "quorum", Level::Ok, "2 have to answer");
    }
    // What may not be seen is not held against a node.
    let mut hidden = marked([a, None, c]);
    hidden[1].mark = Err("NOPERM".to_owned());
    expect(&judged(Shape::Quorum(3), hidden), "quorum", Level::Ok, "");
}

#[test]
fn nodes_that_are_down_and_those_without_a_vote_count_together() {
    let down = || StoreError::new(StoreErrorKind::Unavailable, "cannot reach c");
    let with_down = |marks, look| {
        let mut servers: Vec<_> = marked(marks).into_iter().map(Ok).collect();
        servers[2] = Err(down());
        let place = Place::Servers {
            shape: Shape::Quorum(3),
            servers,
            leftovers: Vec::new(),
            own_certificate: None,
        };
        let facts = Facts {
            look,
            ..facts(place)
        };
        judge(&facts, how(&terms(60), false))
    };
    let (a, b) = (Some(("a", 0)), Some(("b", 0)));
    let findings = with_down([a, b, None], Ok(Status::default()));
    assert_eq!(findings[0], Finding::ok("reach", "2 of the 3 nodes answer"));
    expect(&findings, "reach", Level::Warning, "cannot reach c");
    expect(&findings, "quorum", Level::Ok, "3 nodes");

    let findings = with_down([a, None, None], Ok(Status::default()));
    expect(&findings, "reach", UNAVAILABLE, "cannot reach c");
    expect(
        &findings,
        "quorum",
        UNAVAILABLE,
        "1 of 3 nodes can vote, 2 have to: 1 down, 1 without a vote",
    );
}
