//! Trouble that is over within the lease: the job goes on and keeps its code.

use super::{
    ACQUIRE, DONE, Job, KEY, NAME, REFRESH, RELEASE, STATE, expect_done, expect_free,
    expect_skipped, lease_end, secret, tasklock, wait_for_error, wait_for_refresh, warnings,
};
use crate::support::proxy::{Loss, Mode, Proxy};
use crate::support::redis::Server;
use crate::support::tasklock::Tasklock;
use crate::support::wait_until;

/// A job meets `trouble`; afterwards its lease is refreshed, and it ends as it would have.
#[track_caller]
fn rides_out(server: &Server, url: &str, trouble: impl FnOnce()) -> Vec<String> {
    rides_out_saying("", server, url, trouble)
}

/// The same, once it has said these words.
#[track_caller]
fn rides_out_saying(
    words: &str,
    server: &Server,
    url: &str,
    trouble: impl FnOnce(),
) -> Vec<String> {
    let mut job = Job::start(tasklock(url));
    trouble();
    job.running.wait_for_stderr(words);
    wait_for_refresh(server);
    assert!(server.text(&["GET", KEY]).is_some());
    let finished = job.finish();
    expect_done(&finished);
    expect_free(server);
    warnings(&finished).into_iter().map(str::to_owned).collect()
}

#[test]
fn a_lost_reply_to_the_first_request_is_asked_for_again() {
    let server = Server::start();
    for how in [Loss::Silent, Loss::Cut] {
        let proxy = Proxy::start(server.address());
        proxy.lose_reply_to(ACQUIRE, how);
        assert!(rides_out(&server, &proxy.url(), || proxy.wait_for_loss()).is_empty());
        assert_eq!(proxy.connections(), 2);
    }
}

#[test]
fn a_first_request_that_is_never_answered_leaves_no_ghost_holder() {
    let server = Server::start();
    let proxy = Proxy::start(server.address());
    proxy.set(Mode::SwallowReplies);
    let finished = Tasklock::named(NAME, &proxy.url())
        .args(["--ttl", "60s", "--store-timeout", "300ms"])
        .sh("echo ran")
        .run();
    finished
        .expect_code(69)
        .expect_stdout("")
        .expect_stderr("(nothing was run)");
    wait_until(|| server.text(&["GET", KEY]).is_none());
    expect_free(&server);
}

#[test]
fn a_lost_reply_to_a_refresh_is_ridden_out() {
    for how in [Loss::Silent, Loss::Cut] {
        let server = Server::start();
        let proxy = Proxy::start(server.address());
        proxy.lose_reply_to(REFRESH, how);
        let warnings = rides_out(&server, &proxy.url(), || proxy.wait_for_loss());
        assert!(warnings.is_empty(), "{how:?}: {warnings:?}");
        assert_eq!(proxy.connections(), 2);
    }
}

#[test]
fn a_lost_reply_to_the_release_is_asked_for_again() {
    for how in [Loss::Silent, Loss::Cut] {
        let server = Server::start();
        let proxy = Proxy::start(server.address());
        proxy.lose_reply_to(RELEASE, how);
        let finished = Job::start(tasklock(&proxy.url())).finish();
        finished.expect_code(DONE).expect_silent();
        expect_free(&server);
    }
}

#[test]
fn a_release_into_a_black_hole_keeps_the_code_and_the_lease_ends_by_itself() {
    let server = Server::start();
    let proxy = Proxy::start(server.address());
    let job = Job::start(tasklock(&proxy.url()));
    proxy.set(Mode::BlackHole);
    let finished = job.finish();
    finished
        .expect_code(DONE)
        .expect_stderr("could not release")
        .expect_stderr("it frees itself in");
    assert_eq!(warnings(&finished).len(), 1, "{finished}");
    assert!(server.number(&["PTTL", KEY]) > 0);
}

#[test]
fn a_stray_del_before_the_first_refresh_admits_nobody_and_ends_nothing() {
    let server = Server::start();
    let warnings = rides_out_saying("had vanished", &server, &server.url(), || {
        server.command(&["DEL", KEY]);
        expect_skipped(tasklock(&server.url()));
    });
    assert_eq!(warnings.len(), 1);
}

#[test]
fn a_stray_del_after_a_refresh_admits_nobody_and_ends_nothing() {
    let server = Server::start();
    rides_out_saying("had vanished", &server, &server.url(), || {
        wait_for_refresh(&server);
        server.command(&["DEL", KEY]);
        expect_skipped(tasklock(&server.url()));
    });
}

#[test]
fn a_stray_del_just_before_the_end_is_not_even_noticed() {
    let server = Server::start();
    let job = Job::start(tasklock(&server.url()));
    server.command(&["DEL", KEY]);
    job.finish().expect_code(DONE).expect_silent();
    expect_free(&server);
}

#[test]
fn a_lost_state_hash_costs_nothing_but_history() {
    let server = Server::start();
    let job = Job::start(tasklock(&server.url()));
    server.command(&["DEL", STATE]);
    wait_until(|| lease_end(&server) > 0);
    let fence = server.text(&["HGET", STATE, "f0"]).unwrap();
    assert_eq!(fence, job.fence.to_string());
    expect_done(&job.finish());
    expect_free(&server);
}

#[test]
fn an_evicted_key_is_taken_again() {
    let policy = ("maxmemory-policy", "volatile-ttl");
    let server = Server::with()
        .config("maxmemory", "4mb")
        .config(policy.0, policy.1)
        .start();
    let value = "x".repeat(20_000);
    rides_out_saying("had vanished", &server, &server.url(), || {
        let mut number = 0;
        wait_until(|| {
            number += 1;
            server.command(&["SET", &format!("cache:{number}"), &value, "EX", "100000"]);
            server.number(&["EXISTS", KEY]) == 0
        });
        // Else the key that is taken again is the next to be evicted.
        server.command(&["CONFIG", "SET", "maxmemory", "0"]);
        expect_skipped(tasklock(&server.url()));
    });
}

#[test]
fn a_server_out_of_memory_grants_refreshes_and_releases() {
    let server = Server::start();
    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    assert!(server.try_command(&["SET", "other", "1"]).is_err());
    let warnings = rides_out(&server, &server.url(), || wait_for_refresh(&server));
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn a_flushed_script_cache_is_not_noticed() {
    let server = Server::start();
    let warnings = rides_out(&server, &server.url(), || {
        server.command(&["SCRIPT", "FLUSH"]);
    });
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn a_killed_connection_is_made_anew() {
    let server = Server::start();
    let warnings = rides_out(&server, &server.url(), || {
        assert_eq!(server.number(&["CLIENT", "KILL", "TYPE", "normal"]), 1);
    });
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn a_server_restarted_with_its_data_is_not_noticed() {
    for crashes in [false, true] {
        let server = Server::with().persistent().start();
        let warnings = rides_out(&server, &server.url(), || {
            if crashes {
                server.kill();
            }
            server.restart();
        });
        assert!(warnings.is_empty(), "{warnings:?}");
    }
}

#[test]
fn a_server_that_lost_its_data_gets_the_lock_back_with_its_old_fence() {
    for restarts in [true, false] {
        let server = Server::start();
        let mut job = Job::start(tasklock(&server.url()));
        if restarts {
            server.kill();
            server.restart();
        } else {
            server.command(&["FLUSHALL"]);
        }
        wait_until(|| server.text(&["GET", KEY]).is_some());
        let fence = server.text(&["HGET", STATE, "f0"]).unwrap();
        assert_eq!(fence, job.fence.to_string());
        expect_skipped(tasklock(&server.url()));
        job.running.wait_for_stderr("had vanished");
        expect_done(&job.finish());
        expect_free(&server);
    }
}

#[test]
fn a_server_that_forgot_everything_by_the_release_is_reported_in_a_line() {
    let server = Server::start();
    let job = Job::start(tasklock(&server.url()));
    server.command(&["FLUSHALL"]);
    let finished = job.finish();
    expect_done(&finished);
    finished.expect_stderr("the store had lost its memory of \"job\"");
    expect_free(&server);
}

#[test]
fn a_server_that_is_a_replica_for_a_while_is_waited_for() {
    let server = Server::start();
    rides_out(&server, &server.url(), || {
        server.command(&["REPLICAOF", "127.0.0.1", "1"]);
        wait_for_error(&server, "READONLY");
        server.command(&["REPLICAOF", "NO", "ONE"]);
    });
}

#[test]
fn a_release_that_is_refused_keeps_the_code() {
    let server = Server::start();
    let job = Job::start(tasklock(&server.url()));
    server.command(&["REPLICAOF", "127.0.0.1", "1"]);
    let finished = job.finish();
    expect_done(&finished);
    finished
        .expect_stderr("could not release \"job\": ")
        .expect_stderr("READONLY");
}

#[test]
fn a_server_frozen_for_a_while_is_waited_for() {
    let server = Server::start();
    let proxy = Proxy::start(server.address());
    rides_out(&server, &proxy.url(), || {
        server.freeze();
        wait_until(|| proxy.connections() >= 2);
        server.thaw();
    });
}

#[test]
fn a_password_changed_for_a_while_is_warned_of_once() {
    let password = secret();
    let server = Server::with().password(&password).start();
    let url = format!("redis://:{password}@{}", server.address());
    let warnings = rides_out_saying("cannot refresh", &server, &url, || {
        server.command(&["CONFIG", "SET", "requirepass", "another"]);
        server.command(&["CLIENT", "KILL", "TYPE", "normal"]);
        wait_for_error(&server, "WRONGPASS");
        server.command(&["CONFIG", "SET", "requirepass", &password]);
    });
    assert!(
        warnings[0].contains("refused the credentials"),
        "{warnings:?}"
    );
    assert!(!warnings[0].contains(&password), "{warnings:?}");
}

#[test]
fn a_command_that_cannot_be_started_leaves_the_lock_free() {
    let server = Server::start();
    tasklock(&server.url())
        .args(["--", "/nowhere/at/all"])
        .run()
        .expect_code(127);
    expect_free(&server);
    let job = Job::start(tasklock(&server.url()));
    tasklock(&server.url())
        .args(["--", "/nowhere/at/all"])
        .run()
        .expect_code(75);
    job.finish().expect_code(DONE);
}
