//! What a run costs the server: the commands it is sent, and when.

use std::time::Duration;

use tasklock::clock;

use super::{DONE, Job, NAME, REFRESH, secret, tasklock, wait_for_refresh};
use crate::support::proxy::Proxy;
use crate::support::redis::Server;
use crate::support::tasklock::Tasklock;
use crate::support::wait_for_some;

fn names(requests: &[Vec<String>]) -> Vec<&str> {
    requests.iter().map(|words| words[0].as_str()).collect()
}

#[test]
fn a_run_is_one_eval_to_acquire_and_one_to_release() {
    let server = Server::start();
    let proxy = Proxy::start(server.address());
    let monitor = server.monitor();
    tasklock(&proxy.url())
        .sh("exit 0")
        .run()
        .expect_code(0)
        .expect_silent();
    assert_eq!(monitor.names(), ["EVAL", "EVAL"]);
    assert_eq!(names(&proxy.requests()), ["EVAL", "EVAL"]);
    assert_eq!(proxy.connections(), 1);

    tasklock(&proxy.url()).sh("exit 0").run().expect_code(0);
    assert_eq!(monitor.names().len(), 4);
    let job = Job::start(tasklock(&proxy.url()));
    wait_for_refresh(&server);
    wait_for_refresh(&server);
    job.finish().expect_code(DONE).expect_silent();
    assert!(monitor.names().iter().all(|name| name == "EVAL"));
    assert!(monitor.names().len() >= 8);
    assert_eq!(proxy.connections(), 3);
}

#[test]
fn a_skipped_run_is_one_eval() {
    let server = Server::start();
    let job = Job::start(tasklock(&server.url()));
    let proxy = Proxy::start(server.address());
    tasklock(&proxy.url()).sh("exit 0").run().expect_code(75);
    assert_eq!(names(&proxy.requests()), ["EVAL"]);
    job.finish().expect_code(DONE);
}

#[test]
fn password_and_database_go_in_front_once() {
    let password = secret();
    let server = Server::with().password(&password).start();
    let proxy = Proxy::start(server.address());
    let url = format!("redis://:{password}@{}/2", proxy.address());
    tasklock(&url)
        .sh("exit 0")
        .run()
        .expect_code(0)
        .expect_silent();
    let requests = proxy.requests();
    assert_eq!(names(&requests), ["AUTH", "SELECT", "EVAL", "EVAL"]);
    assert_eq!(requests[0], ["AUTH", &password]);
    assert_eq!(requests[1], ["SELECT", "2"]);
    assert_eq!(proxy.connections(), 1);
}

/// How long after its start, at the least, and after its grant, at the most, a run sends its first refresh.
fn first_refresh(ttl: &str) -> (Duration, Duration) {
    let server = Server::start();
    let proxy = Proxy::start(server.address());
    let before = clock::now();
    let job = Job::start(Tasklock::named(NAME, &proxy.url()).args(["--ttl", ttl]));
    let granted = proxy.last_reply().unwrap();
    let refreshed = wait_for_some(|| {
        let now = clock::now();
        let seen = proxy.requests();
        let refresh = seen.iter().any(|words| words[1].contains(REFRESH));
        refresh.then_some(now)
    });
    job.finish().expect_code(DONE);
    (refreshed.since(before), refreshed.since(granted))
}

#[test]
fn the_first_refresh_comes_after_a_second_or_a_sixth_of_the_ttl() {
    for (ttl, first, latest) in [("60s", 1000, 9000), ("2400ms", 400, 900)] {
        // Never early; late only where the machine is too busy.
        let in_time = (0..10).any(|_| {
            let (least, most) = first_refresh(ttl);
            assert!(least >= Duration::from_millis(first), "{ttl}: {least:?}");
            most <= Duration::from_millis(latest)
        });
        assert!(in_time, "{ttl}: too late, ten times");
    }
}
