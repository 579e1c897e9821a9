//! From the nodes that the URL names to the one that has the lock.

use std::time::{Duration, Instant};

use tasklock::store::{Acquire, Ask, Release};

use super::{KEY, SLACK, claim, owner, requests_to};
use crate::support::cluster::{self, Cluster, url_of};
use crate::support::port::free_port;
use crate::support::proxy::{Mode, Proxy};
use crate::support::redis::Server;
use crate::support::store::{self, answer, fake, grant, keep, open, release};
use crate::support::tasklock::Tasklock;

#[test]
fn every_node_leads_to_the_one_that_has_the_lock() {
    let cluster = Cluster::start();
    for node in &cluster.nodes {
        let mut store = open(&url_of([node]));
        let mine = claim("a");
        let granted = grant(&mut *store, &mine);
        let owner = owner(cluster.master_of(KEY));
        assert_eq!(owner.as_deref(), Some(mine.token.as_str()));
        keep(&mut *store, &mine, &granted);
        assert_eq!(release(&mut *store, &mine), Release::Released);
    }
}

/// Requests and connections of one run of the program.
fn cost_of_a_run(nodes: &[Server], url: &str) -> (u64, u64) {
    for node in nodes {
        // On a connection that is there, so that it is in no count.
        node.command(&["CONFIG", "RESETSTAT"]);
    }
    let run = Tasklock::named("job", url).sh("exit 7").run();
    run.expect_code(7).expect_silent();
    let connections = nodes.iter().map(|node| {
        let stats = node.info("stats");
        stats["total_connections_received"].parse::<u64>().unwrap()
    });
    (requests_to(nodes), connections.sum())
}

#[test]
fn a_run_costs_at_most_one_redirection_and_one_login_more_than_on_one_server() {
    let password = format!("s3cret-{}", std::process::id());
    for with_password in [false, true] {
        let secure = |node: crate::support::redis::Builder| match with_password {
            true => node.password(&password).config("masterauth", &password),
            false => node,
        };
        let login = if with_password {
            format!(":{password}@")
        } else {
            String::new()
        };
        let one = secure(Server::with()).start();
        let url = one.url().replace("//", &format!("//{login}"));
        let (requests, connections) = cost_of_a_run(std::slice::from_ref(&one), &url);
        assert_eq!((requests, connections), (2 + u64::from(with_password), 1));

        let cluster = Cluster::with(secure);
        for node in &cluster.nodes {
            let url = url_of([node]).replace("//", &format!("//{login}"));
            let (more, further) = cost_of_a_run(&cluster.nodes, &url);
            let at_home = std::ptr::eq(node, cluster.master_of(KEY));
            let expected = if at_home { 0 } else { 1 };
            assert_eq!(more, requests + expected * (1 + u64::from(with_password)));
            assert_eq!(further, connections + expected);
        }
        // The masters in the order of their slots: the first guess is right.
        let url = url_of(cluster.masters()).replace("//", &format!("//{login}"));
        assert_eq!(cost_of_a_run(&cluster.nodes, &url), (requests, connections));
    }
}

#[test]
fn a_seed_that_is_dead_or_silent_leaves_time_for_the_others() {
    let cluster = cluster::shared();
    let proxy = Proxy::start(cluster.nodes[0].address());
    proxy.set(Mode::BlackHole);
    let dead = format!("127.0.0.1:{}", free_port());
    let silent = proxy.address().to_string();
    let live = cluster.nodes[0].address().to_string();
    for (number, hosts) in [
        [&dead, &silent, &live],
        [&silent, &live, &dead],
        [&live, &dead, &silent],
        [&silent, &silent, &live],
    ]
    .iter()
    .enumerate()
    {
        let hosts: Vec<&str> = hosts.iter().map(|host| host.as_str()).collect();
        let mut store = open(&format!("redis+cluster://{}", hosts.join(",")));
        // Names of different slots, which begin with different seeds.
        for letter in ["a", "b", "c", "d"] {
            let mine = store::claim(&format!("seeds-{number}-{letter}"), "a");
            let answer = store.acquire(&mine, Ask::default(), SLACK);
            assert!(answer.is_ok(), "{hosts:?}: {answer:?}");
            release(&mut *store, &mine);
        }
    }
    assert!(proxy.connections() > 0);
}

#[test]
fn a_seed_that_answered_is_asked_first_from_then_on() {
    let cluster = cluster::shared();
    let silent = Proxy::start(cluster.nodes[0].address());
    silent.set(Mode::BlackHole);
    let good = Proxy::start(cluster.nodes[0].address());
    let mut store = open(&format!(
        "redis+cluster://{},{}",
        silent.address(),
        good.address()
    ));
    let mine = store::claim("asked-first", "a");
    let granted = grant(&mut *store, &mine);
    let before = silent.connections();
    for _ in 0..3 {
        // The owner is asked anew, should it be known by the name of the proxy.
        good.cut();
        match store.acquire(&mine, Ask::default(), SLACK).unwrap() {
            Acquire::Granted(again) => assert_eq!(again.fence, granted.fence),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(silent.connections(), before);
}

/// A node that sends everybody to `place`.
fn pointing_to(place: &str) -> String {
    let line = format!("-MOVED 15747 {place}\r\n");
    fake(move |stream| answer(stream, line.as_bytes()))
}

fn port_of(url: &str) -> u16 {
    url.rsplit(':').next().unwrap().parse().unwrap()
}

fn cluster_url(urls: &[&str]) -> String {
    let hosts: Vec<&str> = urls
        .iter()
        .map(|url| url.trim_start_matches("redis://"))
        .collect();
    format!("redis+cluster://{}", hosts.join(","))
}

#[test]
fn a_node_is_found_by_its_address_by_its_name_and_by_its_port_alone() {
    let node = fake(|stream| answer(stream, b"*1\r\n$9\r\nwithdrawn\r\n"));
    let port = port_of(&node);
    for place in [
        format!("127.0.0.1:{port}"),
        format!("localhost:{port}"),
        format!(":{port}"),
    ] {
        let mut store = open(&cluster_url(&[&pointing_to(&place)]));
        let answer = store.acquire(&claim("a"), Ask::default(), SLACK);
        assert_eq!(answer, Ok(Acquire::Withdrawn), "{place}");
    }
}

#[test]
fn an_address_that_leads_nowhere_is_shown_with_the_node_that_gave_it() {
    let nowhere = format!("127.0.0.1:{}", free_port());
    let seed = pointing_to(&nowhere);
    let error = super::failure_of(&mut *open(&cluster_url(&[&seed])));
    assert_eq!(
        error.text,
        format!("cannot reach redis://{nowhere} (named by {seed}): connection refused")
    );
    let seed = pointing_to("no-such-host.invalid:6379");
    let error = super::failure_of(&mut *open(&cluster_url(&[&seed])));
    let what = format!("cannot reach redis://no-such-host.invalid:6379 (named by {seed}): ");
    assert!(error.text.starts_with(&what), "{error}");
}

#[test]
fn nodes_that_point_at_each_other_are_given_up_in_time() {
    let port = free_port();
    let there = pointing_to(&format!("127.0.0.1:{port}"));
    let back = format!("-MOVED 15747 {}\r\n", there.trim_start_matches("redis://"));
    let listener = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            answer(stream.unwrap(), back.as_bytes());
        }
    });
    let error = super::failure_of(&mut *open(&cluster_url(&[&there])));
    assert!(error.text.contains("point at each other"), "{error}");
}

#[test]
fn seeds_that_are_all_dead_are_an_error_at_once() {
    let dead = || format!("redis://127.0.0.1:{}", free_port());
    let (one, two) = (dead(), dead());
    let mut store = open(&cluster_url(&[&one, &two]));
    let start = Instant::now();
    let error = store.acquire(&claim("a"), Ask::default(), Duration::from_secs(60));
    assert!(start.elapsed() < SLACK);
    let text = error.unwrap_err().text;
    assert!(text.contains("connection refused"), "{text}");
    assert!(text.contains(&one) || text.contains(&two), "{text}");
}
