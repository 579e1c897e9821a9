//! Credentials and permissions that the server refuses (77), keys that are no lock (78).

use super::{KEY, STATE, expect_free, expect_untouched, secret, tasklock};
use crate::support::redis::Server;
use crate::support::running::Finished;

/// Keys and commands of a user that may do all that tasklock needs.
const ALLOWED: &str = "resetchannels ~task_lock:* ~{task_lock:* &task_lock:* +@all";

fn run(url: &str) -> Finished {
    let finished = tasklock(url).arg("-vv").sh("echo ran").run();
    assert_eq!(
        finished.stderr.lines().count(),
        if finished.code == Some(0) { 2 } else { 1 },
        "{finished}"
    );
    finished
}

#[track_caller]
fn expect_denied(url: &str, word: &str) {
    let finished = run(url);
    finished
        .expect_code(77)
        .expect_stdout("")
        .expect_stderr(word)
        .expect_stderr("(nothing was run)");
}

fn login(server: &Server, user: &str, password: &str) -> String {
    format!("redis://{user}:{password}@{}", server.address())
}

#[test]
fn a_wrong_or_missing_password_is_77_and_never_shown() {
    let password = secret();
    let server = Server::with().password(&password).start();
    expect_denied(&server.url(), "NOAUTH");
    let wrong = format!("{password}-wrong");
    let finished = run(&login(&server, "", &wrong));
    finished
        .expect_code(77)
        .expect_stderr("refused the credentials: WRONGPASS");
    assert!(!finished.stderr.contains(&password), "{finished}");
    expect_untouched(&server);
}

#[test]
fn a_password_that_the_server_does_not_ask_for_is_77() {
    let server = Server::start();
    let finished = run(&login(&server, "", &secret()));
    finished.expect_code(77).expect_stdout("");
    assert!(!finished.stderr.contains(&secret()), "{finished}");
}

#[test]
fn an_unknown_user_is_77() {
    let server = Server::start();
    expect_denied(&login(&server, "nobody", &secret()), "WRONGPASS");
}

#[test]
fn a_user_with_the_documented_rights_may_run() {
    let password = secret();
    let server = Server::with()
        .user(&format!("worker on >{password} {ALLOWED}"))
        .start();
    run(&login(&server, "worker", &password))
        .expect_code(0)
        .expect_stdout("ran\n");
    expect_free(&server);
}

#[test]
fn a_user_without_a_right_is_77_and_leaves_nothing_behind() {
    let rights = [
        "~task_lock:* ~{task_lock:* +@all -eval",
        "~other:* +@all",
        "~task_lock:* +@all",
        "~{task_lock:* +@all",
        "~task_lock:* ~{task_lock:* +@all -set",
        "~task_lock:* ~{task_lock:* +@all -hset",
        "~task_lock:* ~{task_lock:* +@all -persist",
    ];
    for right in rights {
        let password = secret();
        let server = Server::with()
            .user(&format!("worker on >{password} {right}"))
            .start();
        let finished = run(&login(&server, "worker", &password));
        finished
            .expect_code(77)
            .expect_stdout("")
            .expect_stderr("refused the permission");
        assert!(!finished.stderr.contains(&password), "{finished}");
        expect_free(&server);
        // What was withdrawn is remembered for a while, at the most.
        if server.number(&["EXISTS", STATE]) == 1 {
            assert!(server.number(&["PTTL", STATE]) > 0, "{right}");
            assert_eq!(server.text(&["HGET", STATE, "f0"]), None, "{right}");
        }
    }
}

#[test]
fn a_key_that_is_no_lock_is_78_and_stays_as_it_is() {
    let server = Server::start();
    server.command(&["RPUSH", KEY, "a", "b"]);
    let finished = run(&server.url());
    finished
        .expect_code(78)
        .expect_stdout("")
        .expect_stderr("is not a lock")
        .expect_stderr(KEY);
    assert_eq!(server.number(&["LLEN", KEY]), 2);
    assert_eq!(server.number(&["EXISTS", STATE]), 0);
}

#[test]
fn a_state_that_is_no_hash_is_78_and_stays_as_it_is() {
    let server = Server::start();
    server.command(&["SET", STATE, "x"]);
    let finished = run(&server.url());
    finished
        .expect_code(78)
        .expect_stdout("")
        .expect_stderr("is not a lock");
    assert_eq!(server.text(&["GET", STATE]).as_deref(), Some("x"));
    assert_eq!(server.text(&["GET", KEY]), None);
}

#[test]
fn a_state_of_a_newer_version_is_78_and_stays_as_it_is() {
    let server = Server::start();
    server.command(&["HSET", STATE, "v", "2"]);
    run(&server.url())
        .expect_code(78)
        .expect_stdout("")
        .expect_stderr("newer tasklock");
    assert_eq!(server.number(&["HLEN", STATE]), 1);
}

#[test]
fn a_database_out_of_range_is_78() {
    let server = Server::start();
    let finished = run(&format!("{}/99", server.url()));
    finished
        .expect_code(78)
        .expect_stdout("")
        .expect_stderr("DB index is out of range");
}

#[test]
fn something_that_is_no_redis_is_78() {
    use std::io::Write;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        // Ends with the test process.
        for mut client in listener.incoming().map_while(Result::ok) {
            let _ = client.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let finished = run(&url);
    finished
        .expect_code(78)
        .expect_stdout("")
        .expect_stderr("does not answer like Redis or Valkey");
}
