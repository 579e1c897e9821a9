//! tasklock itself dies, or two reasons to end meet.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::{
    DONE, Job, KEY, NAME, expect_free, expect_skipped, lease_end, tasklock, wait_for_refresh,
};
use crate::support::process::{alive, freeze, thaw, wait_for_end};
use crate::support::redis::Server;
use crate::support::tasklock::Tasklock;
use crate::support::{wait_for_some, wait_until};

fn short(server: &Server) -> Tasklock {
    Tasklock::named(NAME, &server.url()).args(["--ttl", "2s"])
}

#[test]
fn after_kill_9_the_lease_ends_by_itself_and_the_next_fence_is_larger() {
    let server = Server::start();
    let job = Job::start(short(&server));
    let (child, fence) = (job.child, job.fence);
    job.running.signal(Signal::SIGKILL);
    wait_for_end(child);
    expect_skipped(short(&server));
    job.end().expect_signal(Signal::SIGKILL);
    let left = lease_end(&server);
    wait_until(|| server.number(&["EXISTS", KEY]) == 0);
    assert_eq!(lease_end(&server), left);
    // The hash may speak for the lease a millisecond longer than the key.
    let mut next = None;
    wait_until(|| {
        let finished = short(&server).sh("echo $TASKLOCK_FENCE").run();
        next = finished.stdout.trim().parse::<u64>().ok();
        finished.code == Some(0)
    });
    assert!(next > Some(fence));
    expect_free(&server);
}

#[test]
fn a_lost_lease_wins_over_max_runtime() {
    let server = Server::start();
    // 1.3 s after the grant there is no room any more, 1.7 s after it KILL is due.
    let run = short(&server)
        .args(["--max-runtime", "1500ms"])
        .ignoring(Signal::SIGTERM);
    let job = Job::start(run);
    server.freeze();
    let finished = job.end();
    finished
        .expect_code(79)
        .expect_stderr("lost \"job\" after ")
        .expect_stderr("it cannot be refreshed");
    server.thaw();
}

#[test]
fn max_runtime_ends_a_job_while_the_server_is_down() {
    let server = Server::start();
    let job = Job::start(tasklock(&server.url()).args(["--max-runtime", "500ms"]));
    let child = job.child;
    server.freeze();
    let finished = job.end();
    finished
        .expect_code(124)
        .expect_stderr("ran longer than --max-runtime 500ms");
    finished.expect_stderr("could not release");
    wait_for_end(child);
    server.thaw();
}

#[test]
fn a_run_of_the_same_job_inside_itself_is_refused() {
    let server = Server::start();
    let inner = format!(
        "{} --name {NAME} --url {} -- true; echo inner $?; exit {DONE}",
        env!("CARGO_BIN_EXE_tasklock"),
        server.url()
    );
    let finished = tasklock(&server.url()).sh(&inner).run();
    finished
        .expect_code(DONE)
        .expect_stdout("inner 64\n")
        .expect_stderr("already held by this job");
}

#[test]
fn the_end_is_not_held_up_by_a_server_that_does_not_answer() {
    let server = Server::start();
    // The bound of one request is five seconds here.
    let job = Job::start(Tasklock::named(NAME, &server.url()).args(["--ttl", "60s"]));
    server.freeze();
    let released = Instant::now();
    let finished = job.finish();
    assert!(released.elapsed() < Duration::from_secs(4), "{finished}");
    finished
        .expect_code(DONE)
        .expect_stderr("could not release \"job\": no answer in time");
    server.thaw();
}

#[test]
fn a_holder_that_was_stopped_past_its_lease_leaves_its_successor_alone() {
    let server = Server::start();
    let old = Job::start(short(&server));
    freeze(old.running.pid());
    wait_until(|| server.number(&["EXISTS", KEY]) == 0);
    let new = wait_for_some(|| {
        let free = short(&server).sh("exit 0").run().code == Some(0);
        free.then(|| Job::start(tasklock(&server.url())))
    });
    let token = server.text(&["GET", KEY]);
    let child = old.child;
    thaw(old.running.pid());
    let finished = old.end();
    finished
        .expect_code(79)
        .expect_stderr("lost \"job\" after ");
    assert!(!alive(child));
    assert_eq!(server.text(&["GET", KEY]), token);
    new.finish().expect_code(DONE).expect_silent();
}

#[test]
fn a_holder_that_was_stopped_for_less_than_its_lease_goes_on() {
    let server = Server::start();
    let job = Job::start(tasklock(&server.url()));
    freeze(job.running.pid());
    let left = server.number(&["PTTL", KEY]);
    wait_until(|| server.number(&["PTTL", KEY]) < left - 1500);
    thaw(job.running.pid());
    wait_for_refresh(&server);
    job.finish().expect_code(DONE).expect_silent();
    expect_free(&server);
}
