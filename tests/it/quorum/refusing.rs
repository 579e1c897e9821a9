//! What no quorum is: one clear line, and nothing is run.

use super::Quorum;
use crate::support::store::{claim, grant, open};
use crate::support::tasklock::Tasklock;

fn job(urls: &[&str]) -> Tasklock {
    let job = Tasklock::new().args(["--name", "job"]);
    urls.iter().fold(job, |job, url| job.url(url))
}

#[track_caller]
fn refuses(job: Tasklock, code: i32, fragment: &str) {
    let run = job.sh("echo run").run();
    assert_eq!(run.code, Some(code), "{}", run.stderr);
    assert_eq!(run.stdout, "");
    let said = &run.stderr;
    assert!(said.contains(fragment), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(!said.contains("secret"), "{said}");
}

#[test]
fn two_urls_the_same_node_twice_and_mixed_schemes_are_refused() {
    let (a, b, c) = ("redis://:secret@a", "redis://b", "redis://c");
    refuses(job(&[a, b]), 78, "two nodes are no quorum");
    refuses(
        job(&[a, b, "redis://a:6379/1"]),
        78,
        "redis://a:6379/1 is given twice",
    );
    refuses(
        job(&[a, b, "rediss://c"]),
        78,
        "must all have the same scheme",
    );
    refuses(job(&[a, b, "local:"]), 78, "a quorum is of plain servers");
    refuses(
        Tasklock::new()
            .args(["--name", "job"])
            .env("TASKLOCK_URL", format!("{a} {b}")),
        78,
        "TASKLOCK_URL: two nodes are no quorum",
    );
    let long = "on a quorum a ttl is at most 5m";
    refuses(
        job(&[a, b, c]).args(["--ttl", "301s"]),
        64,
        &format!("--ttl: {long}"),
    );
    refuses(
        job(&[a, b, c]).env("TASKLOCK_TTL", "6m"),
        78,
        &format!("TASKLOCK_TTL: {long}"),
    );
}

#[test]
fn another_list_of_nodes_is_a_wrong_configuration() {
    let quorum = Quorum::of(5);
    let urls = quorum.urls();
    let mut store = open(&urls[..3].join(" "));
    grant(&mut *store, &claim("job", "root@one"));
    let other: Vec<&str> = urls[2..].iter().map(String::as_str).collect();
    refuses(
        job(&other),
        78,
        "is held by root@one through other nodes than these",
    );
}

#[test]
fn one_server_under_two_names_is_found_out() {
    let quorum = Quorum::of(3);
    let [a, b, _] = &quorum.servers[..] else {
        panic!("three nodes");
    };
    let alias = a.url().replace("127.0.0.1", "localhost");
    let (one, other) = (a.url(), b.url());
    refuses(
        job(&[&one, &alias, &other]),
        78,
        "two of the URLs lead to the same server",
    );
    assert_eq!(quorum.owner(0, "job"), None);
    assert_eq!(quorum.owner(1, "job"), None);
}
