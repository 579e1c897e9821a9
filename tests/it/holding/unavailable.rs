//! The server cannot be reached before the start.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use super::{DONE, Job, expect_free, expect_untouched, tasklock, wait_for_error};
use crate::support::port::free_port;
use crate::support::proxy::{Mode, Proxy};
use crate::support::redis::Server;
use crate::support::tasklock::Tasklock;
use crate::support::{wait_for_some, wait_until};

/// A run that gives up soon; what it leaves behind would stay longer than a test waits.
fn hasty(url: &str) -> Tasklock {
    Tasklock::named(super::NAME, url).args(["--ttl", "60s", "--store-timeout", "300ms"])
}

/// A run that goes on trying.
fn patient(url: &str) -> Tasklock {
    Tasklock::named(super::NAME, url).args(["--ttl", "10m", "--store-timeout", "30s"])
}

fn nobody() -> String {
    format!("redis://127.0.0.1:{}", free_port())
}

#[test]
fn a_server_that_refuses_connections_is_tried_again_and_nothing_is_run() {
    let url = nobody();
    let finished = hasty(&url).sh("echo ran").run();
    finished.expect_code(69).expect_stdout("");
    let line = format!("tasklock: cannot reach {url}: connection refused (nothing was run)\n");
    assert_eq!(finished.stderr, line);
    assert!(finished.elapsed >= Duration::from_millis(100), "{finished}");
    let quiet = hasty(&url).args(["-q"]).sh("echo ran").run();
    assert_eq!(quiet.stderr, line);
}

/// The server comes up after a first request met something else at its port.
#[track_caller]
fn comes_up_after(answer: &str) {
    let server = Server::start();
    server.stop();
    let listener = wait_for_some(|| TcpListener::bind(server.address()).ok());
    let run = patient(&server.url()).sh("echo ran").start();
    let (mut client, _) = listener.accept().unwrap();
    if !answer.is_empty() {
        let mut request = [0; 64];
        assert!(client.read(&mut request).unwrap() > 0);
        client.write_all(answer.as_bytes()).unwrap();
        // What is left unread would make the close a reset that overtakes the answer.
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = client.read_to_end(&mut Vec::new());
    }
    drop((client, listener));
    server.restart();
    run.wait()
        .expect_code(0)
        .expect_stdout("ran\n")
        .expect_silent();
    expect_free(&server);
}

#[test]
fn a_server_that_comes_up_in_time_is_used() {
    comes_up_after("");
}

#[test]
fn errors_that_pass_by_themselves_are_waited_out() {
    for code in [
        "LOADING",
        "MASTERDOWN",
        "OOM",
        "BUSY",
        "MISCONF",
        "NOREPLICAS",
        "TRYAGAIN",
    ] {
        comes_up_after(&format!("-{code} not just now\r\n"));
    }
}

#[test]
fn a_replica_that_becomes_the_master_is_waited_for() {
    let server = Server::start();
    server.command(&["REPLICAOF", "127.0.0.1", "1"]);
    let run = patient(&server.url()).sh("echo ran").start();
    wait_for_error(&server, "READONLY");
    server.command(&["REPLICAOF", "NO", "ONE"]);
    run.wait()
        .expect_code(0)
        .expect_stdout("ran\n")
        .expect_silent();
}

#[test]
fn a_replica_that_stays_one_is_refused_by_its_own_words() {
    let server = Server::start();
    server.command(&["REPLICAOF", "127.0.0.1", "1"]);
    let finished = hasty(&server.url()).sh("echo ran").run();
    finished
        .expect_code(69)
        .expect_stdout("")
        .expect_stderr("READONLY")
        .expect_stderr("(nothing was run)");
    expect_untouched(&server);
}

#[test]
fn a_black_hole_costs_one_store_timeout() {
    let server = Server::start();
    let proxy = Proxy::start(server.address());
    proxy.set(Mode::BlackHole);
    let finished = hasty(&proxy.url()).sh("echo ran").run();
    let line = format!(
        "tasklock: no reply from {} within 300ms (nothing was run)\n",
        proxy.url()
    );
    finished.expect_code(69).expect_stdout("");
    assert_eq!(finished.stderr, line);
    assert!(finished.elapsed >= Duration::from_millis(300), "{finished}");
    assert!(finished.elapsed < Duration::from_secs(4), "{finished}");
    expect_untouched(&server);
}

#[test]
fn a_host_without_an_address_cannot_be_reached() {
    let finished = hasty("redis://no-such-host.invalid").sh("echo ran").run();
    finished.expect_code(69).expect_stdout("");
    finished.expect_stderr("tasklock: cannot reach redis://no-such-host.invalid:6379: ");
    assert!(finished.elapsed < Duration::from_secs(4), "{finished}");
}

#[test]
fn on_unavailable_run_goes_without_the_lock_and_says_so() {
    let url = nobody();
    let finished = hasty(&url)
        .args(["--on-unavailable", "run"])
        .env("TASKLOCK_FENCE", "5")
        .env("TASKLOCK_TOKEN", "inherited")
        .env("TASKLOCK_SLOT", "1")
        .env("TASKLOCK_NAME", "inherited")
        .sh("env | grep ^TASKLOCK_ | sort; exit 9")
        .run();
    finished.expect_code(9).expect_stdout(&format!(
        "TASKLOCK_HELD=0\nTASKLOCK_NAME=job\nTASKLOCK_URL={url}\n"
    ));
    let line = format!(
        "tasklock: cannot reach {url}: connection refused; running without the lock, as --on-unavailable asks\n"
    );
    assert_eq!(finished.stderr, line);
}

#[test]
fn a_run_without_the_lock_releases_nothing() {
    let server = Server::start();
    let proxy = Proxy::start(server.address());
    let job = Job::start(tasklock(&server.url()));
    proxy.set(Mode::BlackHole);
    let unlocked = Job::start(hasty(&proxy.url()).args(["--on-unavailable", "run"]));
    assert_eq!(unlocked.fence, 0);
    proxy.set(Mode::Pass);
    unlocked.finish().expect_code(DONE);
    job.finish().expect_code(DONE).expect_silent();
}

#[test]
fn on_unavailable_skip_ends_as_if_another_had_the_lock() {
    let url = nobody();
    let skip = || hasty(&url).args(["--on-unavailable", "skip"]);
    let finished = skip().sh("echo ran").run();
    finished.expect_code(75).expect_stdout("");
    finished.expect_stderr("tasklock: skipped: cannot reach ");
    skip()
        .args(["-E", "9"])
        .sh("echo ran")
        .run()
        .expect_code(9)
        .expect_stdout("");
}

#[test]
fn on_unavailable_speaks_of_69_only() {
    let server = Server::with().password(&super::secret()).start();
    for word in ["run", "skip"] {
        let finished = hasty(&server.url())
            .args(["--on-unavailable", word])
            .sh("echo ran")
            .run();
        finished.expect_code(77).expect_stdout("");
    }
}

#[test]
fn a_run_that_goes_without_the_lock_does_not_hold_it_unknowingly() {
    let server = Server::start();
    let proxy = Proxy::start(server.address());
    proxy.set(Mode::SwallowReplies);
    let unlocked = Job::start(hasty(&proxy.url()).args(["--on-unavailable", "run"]));
    assert_eq!(unlocked.fence, 0);
    wait_until(|| server.text(&["GET", super::KEY]).is_none());
    let job = Job::start(tasklock(&server.url()));
    unlocked.finish().expect_code(DONE);
    job.finish().expect_code(DONE).expect_silent();
}
