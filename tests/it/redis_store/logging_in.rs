//! Users, passwords and databases.

use tasklock::store::StoreErrorKind;

use super::{KEY, claim, failure, start};
use crate::support::redis::Server;
use crate::support::store::{answer, fake, grant, keep, open, release};

/// What an ACL user needs at least. Before Redis 7 a new user may use all channels until `resetchannels`.
const RIGHTS: &str = "resetchannels +@all -@dangerous ~task_lock:* ~{task_lock:* &task_lock:*";

#[test]
fn a_user_a_password_and_a_database_log_in() {
    let server = Server::with()
        .user(&format!("job on >p@ss {RIGHTS}"))
        .start();
    let by_tcp = server.url().replace("//", "//job:p%40ss@") + "/3";
    let by_socket = server.unix_url() + "?db=3&user=job&pass=p%40ss";
    let keys = || server.info("keyspace");
    for url in [by_tcp, by_socket] {
        let mut store = open(&url);
        let mine = claim("a");
        let granted = grant(&mut *store, &mine);
        assert!(keys().contains_key("db3"), "{:?}", keys());
        assert!(!keys().contains_key("db0"));
        keep(&mut *store, &mine, &granted);
        release(&mut *store, &mine);
    }
    assert_eq!(server.number(&["EXISTS", KEY]), 0);
}

#[test]
fn a_user_who_needs_no_password_logs_in_without_one() {
    let server = Server::with()
        .password("secret")
        .user(&format!("job on nopass {RIGHTS}"))
        .start();
    for url in [
        server.url().replace("//", "//job@"),
        server.url().replace("//", "//job:@"),
        server.unix_url() + "?user=job",
    ] {
        let mut store = open(&url);
        let mine = claim("a");
        grant(&mut *store, &mine);
        release(&mut *store, &mine);
    }
}

#[test]
fn a_password_without_its_colon_is_denied_with_what_would_be_right_and_not_shown() {
    let server = Server::with().password("hunter2").start();
    let error = failure(&server.url().replace("//", "//hunter2@"));
    assert_eq!(error.kind, StoreErrorKind::Denied, "{error}");
    assert!(error.text.contains(":password@"), "{error}");
    assert!(!error.text.contains("hunter2"), "{error}");
    let mut store = open(&server.url().replace("//", "//:hunter2@"));
    grant(&mut *store, &claim("a"));
}

#[test]
fn refused_credentials_and_permissions_are_denied_and_not_shown() {
    let server = Server::with()
        .password("right")
        .user("weak on >weak +@all ~elsewhere:*")
        .user("mute on >mute -@all +auth ~*")
        .start();
    grant(
        &mut *open(&format!("{}?pass=right", server.unix_url())),
        &claim("a"),
    );
    for (options, what) in [
        ("", "credentials"),
        ("?pass=hunter2", "credentials"),
        ("?user=job&pass=hunter2", "credentials"),
        ("?user=weak&pass=weak", "permission"),
        ("?user=mute&pass=mute", "permission"),
    ] {
        let url = server.unix_url();
        let error = failure(&format!("{url}{options}"));
        assert_eq!(error.kind, StoreErrorKind::Denied, "{options}: {error}");
        let named = format!("{url} refused the {what}: ");
        assert!(error.text.starts_with(&named), "{options}: {error}");
        assert!(!error.text.contains("hunter2"), "{error}");
    }
}

#[test]
fn a_password_that_no_server_asked_for_is_denied() {
    let (server, _store) = start();
    let error = failure(&format!("{}?pass=hunter2", server.unix_url()));
    assert_eq!(error.kind, StoreErrorKind::Denied, "{error}");
}

#[test]
fn a_server_that_repeats_the_password_does_not_get_it_shown() {
    let url = fake(|stream| {
        let said = "-ERR unknown command 'AUTH', with args beginning with: 'job' 'hunter2'\r\n";
        answer(stream, said.as_bytes());
    });
    for login in ["job:hunter2@", ":hunter2@", "hunter2@"] {
        let error = failure(&url.replace("//", &format!("//{login}")));
        assert_eq!(error.kind, StoreErrorKind::Misconfigured, "{error}");
        assert!(!error.text.contains("hunter2"), "{error}");
    }
}

#[test]
fn a_database_that_does_not_exist_is_a_wrong_set_up() {
    let (server, _store) = start();
    let error = failure(&format!("{}?db=99", server.unix_url()));
    assert_eq!(error.kind, StoreErrorKind::Misconfigured, "{error}");
    assert!(error.text.contains("DB index"), "{error}");
}
