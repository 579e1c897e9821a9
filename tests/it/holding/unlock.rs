//! An administrator frees a lock that somebody holds.

use super::{DONE, Job, KEY, expect_free, expect_skipped, tasklock, wait_for_refresh};
use crate::support::process::alive;
use crate::support::redis::Server;
use crate::support::running::Finished;
use crate::support::tasklock::Tasklock;

fn unlock(server: &Server, flags: &[&str]) -> Finished {
    let words = ["unlock", super::NAME].iter().chain(flags);
    Tasklock::new().args(words).url(&server.url()).run()
}

#[test]
fn a_holder_that_is_asked_to_unlock_stops_its_job_and_releases() {
    let server = Server::start();
    let job = Job::start(tasklock(&server.url()));
    let child = job.child;
    unlock(&server, &[]).expect_code(0).expect_stderr("");
    // Until the holder is gone nobody else gets in.
    if server.text(&["GET", KEY]).is_some() {
        let other = tasklock(&server.url()).sh("exit 0").run();
        assert!(other.code == Some(75) || !alive(child), "{other}");
    }
    let finished = job.end();
    finished
        .expect_code(79)
        .expect_stderr("lost \"job\" after ")
        .expect_stderr("asked for it to be unlocked");
    assert_eq!(finished.stderr.lines().count(), 1, "{finished}");
    assert!(!alive(child));
    expect_free(&server);
    tasklock(&server.url())
        .sh("exit 0")
        .run()
        .expect_code(0)
        .expect_silent();
}

#[test]
fn a_forced_unlock_frees_at_once_and_the_old_holder_leaves_the_new_one_alone() {
    let server = Server::start();
    let old = Job::start(tasklock(&server.url()));
    unlock(&server, &["--force"]).expect_code(0);
    let new = Job::start(tasklock(&server.url()));
    assert!(new.fence > old.fence);
    let token = server.text(&["GET", KEY]);
    let finished = old.end();
    finished.expect_code(79).expect_stderr("taken over by ");
    finished.expect_stderr(&format!("pid {}", new.running.pid()));
    assert_eq!(server.text(&["GET", KEY]), token);
    wait_for_refresh(&server);
    expect_skipped(tasklock(&server.url()));
    new.finish().expect_code(DONE).expect_silent();
    expect_free(&server);
}

#[test]
fn a_forced_unlock_without_a_successor_stops_the_old_holder() {
    let server = Server::start();
    let job = Job::start(tasklock(&server.url()));
    unlock(&server, &["--force"]).expect_code(0);
    expect_free(&server);
    let finished = job.end();
    finished.expect_code(79).expect_stderr("freed by force");
    expect_free(&server);
}

#[test]
fn a_job_on_the_recipe_cannot_be_asked_but_forced() {
    let server = Server::start();
    server.command(&["SET", KEY, "1", "EX", "60"]);
    unlock(&server, &[]).expect_code(75);
    assert_eq!(server.text(&["GET", KEY]).as_deref(), Some("1"));
    unlock(&server, &["--force"]).expect_code(0);
    expect_free(&server);
    unlock(&server, &[])
        .expect_code(0)
        .expect_stdout("job: already free\n");
}
