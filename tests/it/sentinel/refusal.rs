//! Set-ups that cannot be right: one line, nothing run, no password shown.

use super::NAME;
use crate::support::redis::Server;
use crate::support::running::Finished;
use crate::support::sentinel::{MASTER, url_of};
use crate::support::tasklock::Tasklock;

const SECRET: &str = "s3cret-of-the-tests";

/// A Sentinel that watches `server`.
fn watching(server: &Server, rules: &[&str]) -> Server {
    let watch = format!("monitor {MASTER} 127.0.0.1 {} 1", server.address().port());
    let sentinel = Server::with().sentinel().config("sentinel", &watch);
    let with = |builder: crate::support::redis::Builder, rule: &&str| builder.user(rule);
    rules.iter().fold(sentinel, with).start()
}

/// Runs with this URL, which must not work.
#[track_caller]
fn refused(url: &str, code: i32, words: &[&str]) -> Finished {
    let run = Tasklock::named(NAME, url).args(["--store-timeout", "1s"]);
    let finished = run.sh("echo ran").run();
    finished.expect_code(code).expect_stdout("");
    assert_eq!(finished.stderr.lines().count(), 1, "{finished}");
    assert!(!finished.stderr.contains(SECRET), "{finished}");
    for word in words {
        finished.expect_stderr(word);
    }
    finished
}

#[test]
fn a_master_that_no_sentinel_knows() {
    let server = Server::start();
    let sentinel = watching(&server, &[]);
    let url = url_of(&[sentinel.address()]).replace(MASTER, "another");
    let place = format!("the Sentinel {} knows no master", sentinel.address());
    refused(&url, 78, &[&place, "\"another\""]);
}

#[test]
fn sentinels_that_are_all_down() {
    let server = Server::start();
    let (one, two) = (watching(&server, &[]), watching(&server, &[]));
    let url = url_of(&[one.address(), two.address()]);
    one.kill();
    two.kill();
    let what = format!("cannot reach any Sentinel of {url}: ");
    refused(
        &url,
        69,
        &[&what, "connection refused", "(nothing was run)"],
    );
}

#[test]
fn credentials_that_a_sentinel_or_its_master_refuses() {
    let user = format!("job on >{SECRET} ~* &* +@all");
    let server = Server::with().user("default off").user(&user).start();
    let watch = format!("watch on >{SECRET} +@all");
    let sentinel = watching(&server, &["default off", &watch]);
    let bare = url_of(&[sentinel.address()]);
    let with = |login: &str, options: &str| bare.replace("//", &format!("//{login}")) + options;
    let of_sentinel = format!("redis://{} refused the credentials", sentinel.address());
    let of_server = format!("{} (named by redis+sentinel://", server.url());

    let options = format!("?sentinel_user=watch&sentinel_password={SECRET}");
    let login = format!("job:{SECRET}@");
    refused(&with(&login, ""), 77, &[&of_sentinel, "NOAUTH"]);
    let wrong = format!("?sentinel_user=watch&sentinel_password={SECRET}x");
    refused(&with(&login, &wrong), 77, &[&of_sentinel, "WRONGPASS"]);
    refused(&with("", &options), 77, &[&of_server, "NOAUTH"]);
    let wrong = format!("job:{SECRET}x@");
    refused(&with(&wrong, &options), 77, &[&of_server, "WRONGPASS"]);

    let run = Tasklock::named(NAME, &with(&login, &options))
        .sh("echo ran")
        .run();
    run.expect_code(0).expect_stdout("ran\n").expect_silent();
}

#[test]
fn a_server_in_place_of_a_sentinel_and_the_other_way_round() {
    let server = Server::start();
    let url = url_of(&[server.address()]);
    let what = format!("{} is no Sentinel", server.url());
    refused(&url, 78, &[&what]);

    let sentinel = watching(&server, &[]);
    let url = format!("redis://{}", sentinel.address());
    let hint = format!("its URL is redis+sentinel://{}/", sentinel.address());
    refused(&url, 78, &["cannot serve as a store", &hint]);
    // The same when it is asked for another database at once.
    refused(&format!("{url}/2"), 78, &[&hint]);
}

#[test]
fn a_master_that_does_not_exist_any_more() {
    let server = Server::start();
    let sentinel = watching(&server, &[]);
    server.kill();
    let place = format!("cannot reach {} (named by ", server.url());
    let url = url_of(&[sentinel.address()]);
    refused(
        &url,
        69,
        &[&place, "connection refused", "(nothing was run)"],
    );
}
