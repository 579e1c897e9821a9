//! The ways to name a server and to log in.

use std::fs;

use super::{DONE, Job, NAME, expect_skipped, secret, tasklock};
use crate::support::redis::Server;
use crate::support::tasklock::Tasklock;

#[test]
fn a_unix_socket_leads_to_the_same_locks() {
    let server = Server::start();
    let job = Job::start(tasklock(&server.unix_url()));
    expect_skipped(tasklock(&server.url()));
    job.finish().expect_code(DONE).expect_silent();
    let missing = format!("{}-not", server.unix_url());
    let finished = tasklock(&missing)
        .args(["--store-timeout", "200ms"])
        .sh("echo ran")
        .run();
    finished
        .expect_code(69)
        .expect_stdout("")
        .expect_stderr("cannot reach unix://");
}

#[test]
fn a_url_file_keeps_the_password_out_of_argv_and_of_every_line() {
    let password = secret();
    let server = Server::with().password(&password).start();
    let scratch = crate::support::scratch::Scratch::new();
    let url = format!("redis://:{password}@{}\n", server.address());
    let file = scratch.write("url", url);
    let run = || {
        Tasklock::new()
            .args(["--name", NAME, "-vv", "--url-file"])
            .arg(&file)
    };
    let job = Job::start(run());
    for process in job.running.processes() {
        let cmdline = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&cmdline).contains(&password));
        let environment = fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&environment).contains(&password));
    }
    let skipped = expect_skipped(run());
    let finished = job.finish();
    finished.expect_code(DONE);
    assert!(!skipped.stderr.contains(&password), "{skipped}");
    assert!(!finished.stderr.contains(&password), "{finished}");
    let from_environment = Tasklock::new()
        .args(["--name", NAME])
        .env("TASKLOCK_URL_FILE", &file)
        .sh("exit 0")
        .run();
    from_environment.expect_code(0).expect_silent();
}

#[test]
fn the_child_s_environment_tells_of_the_grant() {
    let server = Server::start();
    let finished = tasklock(&server.url())
        .env("TASKLOCK_SLOT", "4")
        .sh("env | grep ^TASKLOCK_ | sort")
        .run();
    finished.expect_code(0);
    let names: Vec<&str> = finished
        .stdout
        .lines()
        .filter_map(|line| Some(line.split_once('=')?.0))
        .collect();
    let expected = [
        "TASKLOCK_CHAIN",
        "TASKLOCK_FENCE",
        "TASKLOCK_HELD",
        "TASKLOCK_NAME",
        "TASKLOCK_TOKEN",
        "TASKLOCK_URL",
    ];
    assert_eq!(names, expected);
}
