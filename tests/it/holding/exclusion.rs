//! One at a time: tasklock against itself, and against jobs on the plain recipe.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::thread;

use redis::Value;

use super::{DONE, Job, KEY, NAME, STATE, expect_free, expect_skipped, lease_end, tasklock};
use crate::support::redis::Server;
use crate::support::scratch::Scratch;
use crate::support::tasklock::Tasklock;
use crate::support::wait_until;

#[test]
fn a_second_run_is_skipped_and_told_who_holds_the_lock() {
    let server = Server::start();
    let scratch = Scratch::new();
    let mut gate = scratch.gate("gate");
    let body = format!(
        "#!/bin/sh\necho > {0}/ready\nread _ < {0}/gate\n",
        scratch.path().display()
    );
    let script = scratch.write("backup.sh", body);
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    let holder = Tasklock::named(NAME, &server.url())
        .args(["--reason", "nightly", "--holder", "root@web3", "--"])
        .arg(&script)
        .start();
    scratch.wait_for_line("ready");

    let skipped = expect_skipped(tasklock(&server.url()));
    let line = skipped.stderr.strip_suffix('\n').unwrap();
    let (start, rest) = line.split_once(" since ").unwrap();
    let expected = format!(
        "tasklock: skipped: \"job\" is held by root@web3 pid {} ({})",
        holder.pid(),
        script.display()
    );
    assert_eq!(start, expected);
    let (since, rest) = rest.split_once(" (").unwrap();
    assert_eq!(since.split(':').count(), 3, "{line}");
    let (_age, rest) = rest.split_once("), lease ends in ").unwrap();
    let (left, reason) = rest.split_once(", ").unwrap();
    assert!(left.ends_with(['s', 'm']), "{line}");
    assert_eq!(reason, "reason: nightly");

    gate.open();
    holder.wait().expect_code(0).expect_silent();
    expect_free(&server);
    let next = tasklock(&server.url()).sh("echo ran").run();
    next.expect_code(0).expect_stdout("ran\n").expect_silent();
}

#[test]
fn the_conflict_code_replaces_75_and_quiet_hides_the_line() {
    let server = Server::start();
    let job = Job::start(tasklock(&server.url()));
    let skipped = tasklock(&server.url())
        .args(["-q", "-E", "0"])
        .sh("echo ran")
        .run();
    skipped.expect_code(0).expect_stdout("").expect_silent();
    job.finish().expect_code(DONE).expect_silent();
}

#[test]
fn racing_runs_are_never_inside_together_and_their_fences_grow() {
    const RACERS: usize = 6;
    const RUNS_EACH: usize = 5;
    let server = Server::start();
    let scratch = Scratch::new();
    let log = scratch.file("log");
    let script = format!(
        "echo start $TASKLOCK_FENCE >> {0}; sleep 0.01; echo end $TASKLOCK_FENCE >> {0}",
        log.display()
    );
    thread::scope(|scope| {
        for _ in 0..RACERS {
            scope.spawn(|| {
                let mut ran = 0;
                while ran < RUNS_EACH {
                    let finished = tasklock(&server.url()).sh(&script).run();
                    match finished.code {
                        Some(0) => ran += 1,
                        _ => {
                            finished.expect_code(75).expect_stderr("skipped");
                        }
                    }
                }
            });
        }
    });
    let text = scratch.read("log");
    let lines: Vec<(&str, u64)> = text
        .lines()
        .map(|line| line.split_once(' ').unwrap())
        .map(|(word, fence)| (word, fence.parse().unwrap()))
        .collect();
    assert_eq!(lines.len(), 2 * RACERS * RUNS_EACH);
    let mut last = 0;
    for pair in lines.chunks(2) {
        let fence = pair[0].1;
        assert_eq!(pair, [("start", fence), ("end", fence)], "{text}");
        assert!(fence > last, "{text}");
        last = fence;
    }
    expect_free(&server);
}

#[test]
fn thirty_runs_at_once_each_run_or_are_skipped() {
    let server = Server::start();
    let mut jobs = Vec::new();
    for _ in 0..30 {
        jobs.push(tasklock(&server.url()).sh("echo ran").start());
    }
    let finished: Vec<_> = jobs.into_iter().map(|job| job.wait()).collect();
    for one in &finished {
        match one.code {
            Some(0) => one.expect_stdout("ran\n").expect_silent(),
            _ => one
                .expect_code(75)
                .expect_stdout("")
                .expect_stderr("skipped"),
        };
    }
    assert!(finished.iter().any(|one| one.code == Some(0)));
    expect_free(&server);
}

#[test]
fn a_job_on_the_recipe_excludes_tasklock_and_is_excluded() {
    let server = Server::start();
    let recipe = ["SET", KEY, "1", "NX", "EX", "60"];
    assert_eq!(server.command(&recipe), Value::Okay);
    let skipped = expect_skipped(tasklock(&server.url()));
    skipped.expect_stderr("held by a job that leaves no details, lease ends in ");
    // That it was skipped is remembered for a while.
    assert!(server.number(&["TTL", STATE]) > 0);
    server.command(&["DEL", KEY]);

    let job = Job::start(tasklock(&server.url()));
    assert_eq!(server.command(&recipe), Value::Nil);
    job.finish().expect_code(DONE).expect_silent();
    assert_eq!(server.command(&recipe), Value::Okay);
}

#[test]
fn a_short_lease_is_held_throughout_a_long_job() {
    let server = Server::start();
    let short = || Tasklock::named(NAME, &server.url()).args(["--ttl", "2s"]);
    let job = Job::start(short());
    let token = server.text(&["GET", KEY]).unwrap();
    let first = lease_end(&server);
    wait_until(|| {
        let left = server.number(&["PTTL", KEY]);
        assert!(
            (1..=2000).contains(&left),
            "{left} ms left; {}",
            job.running.stderr()
        );
        assert_eq!(server.text(&["GET", KEY]).as_ref(), Some(&token));
        expect_skipped(short());
        lease_end(&server) > first + 4000
    });
    let finished = job.finish();
    finished.expect_code(DONE).expect_silent();
    expect_free(&server);
}

#[test]
fn key_prefixes_and_databases_and_names_do_not_exclude_each_other() {
    let server = Server::start();
    let (url, third) = (server.url(), format!("{}/3", server.url()));
    let prefixed = || tasklock(&url).args(["--key-prefix", "other:"]);
    let job = Job::start(prefixed());
    assert!(server.text(&["GET", "other:job"]).is_some());
    expect_skipped(prefixed());
    tasklock(&url)
        .sh("exit 0")
        .run()
        .expect_code(0)
        .expect_silent();
    job.finish().expect_code(DONE).expect_silent();

    let job = Job::start(tasklock(&third));
    expect_skipped(tasklock(&third));
    tasklock(&url)
        .sh("exit 0")
        .run()
        .expect_code(0)
        .expect_silent();
    let other_name = Tasklock::named("another", &third).sh("exit 0").run();
    other_name.expect_code(0).expect_silent();
    job.finish().expect_code(DONE).expect_silent();
}
