//! Sentinel, Cluster, quorum.

use super::{Report, doctor};
use crate::support::cluster;
use crate::support::redis::Server;
use crate::support::sentinel::Watched;
use crate::support::tasklock::Tasklock;

/// What a node of a quorum remembers of itself.
const MARK: &str = "{task_lock:}:node";

#[test]
fn with_sentinel_the_fail_over_is_held_against_the_ttl() {
    let watched = Watched::start();
    let report = Report::of(doctor(&watched.url()));
    report
        .expect_code(1)
        .expect_only(&["persistence", "min-replicas"]);
    report
        .expect("sentinels", "ok", "3 watch the master, 2 have to agree")
        .expect("failover", "ok", "noticed after 2s")
        .expect("topology", "ok", "the master")
        .expect("replicas", "ok", "2 connected");
    let short = Report::of(doctor(&watched.url()).args(["--ttl", "10s"]));
    let failover = short.find("failover", "warning", "a run with a ttl of 10s");
    assert!(failover["advice"].as_str().unwrap().contains("--ttl 14s"));
    let master = watched.master();
    master.command(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    watched.sentinels[0].kill();
    let report = Report::of(doctor(&watched.url()));
    report.expect_only(&["sentinels", "persistence"]);
    report.expect("sentinels", "warning", "connection refused");
}

#[test]
fn in_a_cluster_every_master_is_looked_at() {
    let cluster = cluster::shared();
    let report = Report::of(doctor(&cluster.url()));
    report.expect_code(1);
    report
        .expect(
            "topology",
            "ok",
            "a Cluster of 3 masters, each with a replica",
        )
        .expect("slots", "ok", "16384 of 16384 slots are served, state ok")
        .expect("failover", "ok", "noticed after 2s (cluster-node-timeout)");
    for master in cluster.masters() {
        let port = master.address().port().to_string();
        let about = |it: &&serde_json::Value| {
            let server = it["server"].as_str().unwrap_or_default();
            it["check"] == "rights" && it["level"] == "ok" && server.contains(&port)
        };
        assert_eq!(
            report.checks.iter().filter(about).count(),
            1,
            "{}",
            report.run
        );
    }
    // Whether or not it has the slot that is asked for.
    let wrong = Report::of(doctor(&cluster.nodes[0].url()));
    wrong
        .expect_code(78)
        .expect("topology", "error", "a node of a Cluster");
}

#[test]
fn a_quorum_is_counted_and_a_node_that_is_down_is_named() {
    let nodes: Vec<Server> = (0..4).map(|_| Server::start()).collect();
    let urls = |nodes: &[Server]| {
        let urls: Vec<String> = nodes.iter().map(Server::url).collect();
        urls.join(" ")
    };
    let three = Report::of(doctor(&urls(&nodes[..3])));
    three
        .expect_code(0)
        .expect("quorum", "ok", "3 nodes, of which 2 have to answer");
    three.expect("persistence", "ok", "no vote for five minutes");
    three.expect("clocks", "ok", "apart");
    // It changes nothing: no node is told that it has served.
    assert_eq!(nodes[0].number(&["DBSIZE"]), 0);

    let four = Report::of(doctor(&urls(&nodes)));
    four.expect_code(1).expect_only(&["quorum"]);
    four.expect("quorum", "warning", "4 nodes");

    nodes[1].kill();
    let one_down = Report::of(doctor(&urls(&nodes[..3])));
    one_down.expect_code(1).expect_only(&["reach"]);
    one_down.expect("reach", "warning", &nodes[1].url());
    one_down.expect("reach", "ok", "2 of the 3 nodes answer");
    nodes[2].kill();
    let two_down = Report::of(doctor(&urls(&nodes[..3])));
    two_down.expect_code(69);
    two_down.expect("quorum", "error", "1 of 3 nodes can vote");
    nodes[0].kill();
    let all_down = Report::of(doctor(&urls(&nodes[..3])));
    all_down.expect_code(69);
    all_down.expect(
        "quorum",
        "error",
        "0 of 3 nodes can vote, 2 have to: 3 down",
    );
    let hopeful =
        |it: &serde_json::Value| it["level"] == "ok" || it.to_string().contains("others serve");
    assert!(!all_down.checks.iter().any(hopeful), "{}", all_down.run);
}

#[test]
fn a_node_of_a_quorum_without_a_vote_is_named() {
    let nodes: Vec<Server> = (0..3).map(|_| Server::start()).collect();
    let urls: Vec<String> = nodes.iter().map(Server::url).collect();
    nodes[0].command(&["SET", MARK, "another 0 0"]);
    let seconds = jiff::Timestamp::now().as_millisecond() + 200_000;
    let id = nodes[1].info("server")["run_id"].clone();
    nodes[1].command(&["SET", MARK, &format!("{id} 0 {seconds}")]);
    let report = Report::of(doctor(&urls.join(" ")));
    report
        .expect_code(69)
        .expect("quorum", "warning", "it was restarted");
    report.expect("quorum", "warning", "has no vote for another 3m");
}

#[test]
fn nodes_that_came_back_empty_have_no_vote_and_doctor_and_runs_agree_on_it() {
    let nodes: Vec<Server> = (0..3).map(|_| Server::start()).collect();
    let urls: Vec<String> = nodes.iter().map(Server::url).collect();
    let urls = urls.join(" ");
    let run = || Tasklock::named("job", &urls).arg("true").run();
    run().expect_code(0);
    let healthy = Report::of(doctor(&urls));
    healthy.expect_code(0);
    healthy.expect("leftovers", "ok", "up to 1 locks have a state on a node");

    let is_empty = |node: &Server| {
        node.kill();
        node.start_again(&[]);
        assert_eq!(node.number(&["DBSIZE"]), 0);
    };
    is_empty(&nodes[1]);
    let one = Report::of(doctor(&urls));
    one.expect_code(1).expect_only(&["quorum"]);
    let found = one.find(
        "quorum",
        "warning",
        "no vote until 5m after a run has noticed",
    );
    assert_eq!(found["server"], nodes[1].url());
    one.expect("quorum", "ok", "3 nodes");
    run().expect_code(0);

    // As of a quorum that has served for longer than its first minute.
    let id = nodes[0].info("server")["run_id"].clone();
    nodes[0].command(&["SET", MARK, &format!("{id} 0 0")]);
    is_empty(&nodes[2]);
    let two = Report::of(doctor(&urls));
    two.expect_code(69)
        .expect("quorum", "error", "1 of 3 nodes can vote");
    run().expect_code(69);
    let noticed = Report::of(doctor(&urls));
    noticed
        .expect_code(69)
        .expect("quorum", "warning", "no vote for another 4m");
}
