//! The lock is lost while the job runs: the job is stopped, 79, and the thief is left alone.

use super::{DONE, Job, KEY, STATE, expect_skipped, tasklock, wait_for_refresh};
use crate::support::process::{alive, wait_for_end};
use crate::support::redis::Server;
use crate::support::running::Finished;
use crate::support::tasklock::Tasklock;

/// Somebody else writes over the key.
fn steal(server: &Server) {
    server.command(&["SET", KEY, "thief", "PX", "60000"]);
}

#[track_caller]
fn expect_stolen(server: &Server) {
    assert_eq!(server.text(&["GET", KEY]).as_deref(), Some("thief"));
    assert!(server.number(&["PTTL", KEY]) > 20_000);
}

/// A job meets `theft` and is stopped because of it.
#[track_caller]
fn is_stopped(tasklock: Tasklock, theft: impl FnOnce()) -> Finished {
    let job = Job::start(tasklock);
    let child = job.child;
    theft();
    let finished = job.end();
    assert!(!alive(child));
    finished.expect_stderr("tasklock: lost \"job\" after ");
    finished.expect_stderr(&format!("stopping pid {child} (TERM, KILL in "));
    assert_eq!(finished.stderr.lines().count(), 1, "{finished}");
    finished
}

#[test]
fn a_key_taken_by_another_stops_the_job_and_stays_the_other_s() {
    for late in [false, true] {
        let server = Server::start();
        let finished = is_stopped(tasklock(&server.url()), || {
            if late {
                wait_for_refresh(&server);
            }
            steal(&server);
        });
        finished
            .expect_code(79)
            .expect_stderr("taken over by a job that leaves no details");
        expect_stolen(&server);
    }
}

#[test]
fn a_recipe_job_that_came_in_after_a_stray_del_is_a_loss() {
    let server = Server::start();
    let finished = is_stopped(tasklock(&server.url()), || {
        server.command(&["DEL", KEY]);
        server.command(&["SET", KEY, "1", "NX", "EX", "60"]);
    });
    finished
        .expect_code(79)
        .expect_stderr("taken over by a job that leaves no details");
    assert_eq!(server.text(&["GET", KEY]).as_deref(), Some("1"));
}

#[test]
fn a_fence_that_moved_on_is_a_loss_though_nobody_has_the_key() {
    let server = Server::start();
    let finished = is_stopped(tasklock(&server.url()), || {
        server.command(&["MULTI"]);
        server.command(&["HINCRBY", STATE, "f0", "1"]);
        server.command(&["DEL", KEY]);
        server.command(&["EXEC"]);
    });
    finished
        .expect_code(79)
        .expect_stderr("it was granted to another, or freed by force");
    assert_eq!(server.text(&["GET", KEY]), None);
}

#[test]
fn another_exit_code_for_a_loss() {
    let server = Server::start();
    let own = tasklock(&server.url()).args(["--lost-exit-code", "3"]);
    is_stopped(own, || steal(&server)).expect_code(3);
}

#[test]
fn on_lost_continue_leaves_the_job_alone_and_still_exits_79() {
    let server = Server::start();
    let mut job = Job::start(tasklock(&server.url()).args(["--on-lost", "continue"]));
    steal(&server);
    job.running.wait_for_stderr("goes on, as --on-lost asks");
    assert!(alive(job.child));
    let finished = job.finish();
    finished.expect_code(79);
    assert_eq!(finished.stderr.lines().count(), 1, "{finished}");
    expect_stolen(&server);
}

#[test]
fn a_release_answered_not_yours_is_a_loss() {
    let server = Server::start();
    let job = Job::start(tasklock(&server.url()));
    steal(&server);
    let finished = job.finish();
    finished
        .expect_code(79)
        .expect_stderr("found when the command had ended");
    assert_eq!(finished.stderr.lines().count(), 1, "{finished}");
    expect_stolen(&server);
    expect_skipped(tasklock(&server.url()));
}

#[test]
fn a_job_that_ignores_term_is_killed_within_two_seconds_of_a_loss() {
    let server = Server::start();
    let stubborn = Tasklock::named(super::NAME, &server.url()).args(["--ttl", "60s"]);
    // The signals that are ignored at the start stay so in the job.
    let job = Job::start(stubborn.ignoring(nix::sys::signal::Signal::SIGTERM));
    let child = job.child;
    steal(&server);
    let finished = job.end();
    wait_for_end(child);
    finished.expect_code(79).expect_stderr("KILL in 2s");
    assert_ne!(finished.code, Some(DONE));
    expect_stolen(&server);
}
