//! The connection on which a waiter is told: how it breaks, and what that costs.

use std::thread;
use std::time::Duration;

use tasklock::store::redis::TlsFiles;
use tasklock::store::{Acquire, Ask, StoreErrorKind};

use super::{STATE, Waiter, claim, fields_of_waiters, start, state};
use crate::support::proxy::{Loss, Proxy};
use crate::support::redis::Server;
use crate::support::store::{
    IN_LINE, TIMEOUT, grant, grant_in_line, held, keep, open, open_tls, queue, release,
    rings_within, wait_for_bell,
};
use crate::support::tls::Certificates;
use crate::support::wait_until;

/// Ends the connections of one kind, those of the tests excepted.
fn kill(server: &Server, kind: &str) {
    server.command(&["CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes"]);
}

#[test]
fn a_waiter_whose_connections_are_closed_dials_again_and_keeps_its_place() {
    let (server, mut store) = start();
    let mine = claim("holder");
    grant(&mut *store, &mine);
    let mut first = Waiter::join(&server.unix_url(), "a");
    let mut second = Waiter::join(&server.unix_url(), "b");
    kill(&server, "pubsub");
    wait_for_bell(&*first.store);
    assert_eq!(first.ask().0, 1);
    assert!(!rings_within(&*first.store, Duration::ZERO));
    kill(&server, "normal");
    assert!(!rings_within(&*first.store, Duration::ZERO));
    assert_eq!(first.ask().0, 1);
    assert_eq!(second.ask().0, 2);
    release(&mut *store, &mine);
    wait_for_bell(&*first.store);
    grant_in_line(&mut *first.store, &first.claim);
}

#[test]
fn a_waiter_that_could_not_be_told_comes_back_to_its_place() {
    let (server, mut store) = start();
    let mine = claim("holder");
    grant(&mut *store, &mine);
    let mut first = Waiter::join(&server.unix_url(), "a");
    let mut second = Waiter::join(&server.unix_url(), "b");
    let mut third = Waiter::join(&server.unix_url(), "c");
    kill(&server, "pubsub");
    second.ask();
    third.ask();
    release(&mut *store, &mine);
    wait_for_bell(&*second.store);
    grant_in_line(&mut *second.store, &second.claim);
    assert_eq!(third.ask().0, 1);
    assert_eq!(first.ask().0, 1);
    assert_eq!(third.ask().0, 2);
    release(&mut *second.store, &second.claim);
    wait_for_bell(&*first.store);
    grant_in_line(&mut *first.store, &first.claim);
}

#[test]
fn a_waiter_that_could_not_listen_joins_the_line_only_when_it_does() {
    let (server, mut store) = start();
    grant(&mut *store, &claim("holder"));
    let proxy = Proxy::start(server.address());
    let mut waiter = Waiter {
        store: open(&proxy.url()),
        claim: claim("a"),
    };
    proxy.lose_reply_to("subscribe", Loss::Cut);
    let asked = waiter.store.acquire(&waiter.claim, IN_LINE, TIMEOUT);
    assert_eq!(asked.unwrap_err().kind, StoreErrorKind::Unavailable);
    proxy.hold_request("subscribe");
    thread::scope(|scope| {
        let asking = scope.spawn(|| waiter.ask());
        proxy.wait_for_hold();
        // Nobody could be told if the lock were released now.
        let waiters = fields_of_waiters(&server);
        proxy.let_go();
        assert_eq!(waiters, 0);
        assert_eq!(asking.join().unwrap().0, 1);
    });
}

#[test]
fn a_waiter_that_cannot_listen_is_unavailable_until_it_can() {
    let (server, mut store) = start();
    let mine = claim("holder");
    grant(&mut *store, &mine);
    let proxy = Proxy::start(server.address());
    let mut waiter = Waiter::join(&proxy.url(), "a");
    let mut second = Waiter::join(&server.unix_url(), "b");
    proxy.refuse();
    proxy.cut();
    wait_for_bell(&*waiter.store);
    let error = waiter
        .store
        .acquire(&waiter.claim, IN_LINE, TIMEOUT)
        .unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error}");
    assert!(waiter.store.bell().is_none());
    proxy.accept();
    assert_eq!(waiter.ask().0, 1);
    assert_eq!(second.ask().0, 2);
    release(&mut *store, &mine);
    wait_for_bell(&*waiter.store);
}

#[test]
fn a_waiter_whose_first_answer_was_lost_stands_in_line_once() {
    let (server, mut store) = start();
    let mine = claim("holder");
    grant(&mut *store, &mine);
    let proxy = Proxy::start(server.address());
    let mut waiter = Waiter {
        store: open(&proxy.url()),
        claim: claim("a"),
    };
    // The answer to the plain try passes; that to joining the line is lost.
    proxy.lose_reply_to("\r\nline\r\n", Loss::Cut);
    assert_eq!(waiter.ask().0, 1);
    proxy.wait_for_loss();
    assert_eq!(fields_of_waiters(&server), 2, "{:?}", state(&server));
    assert_eq!(server.text(&["HGET", STATE, "q"]).unwrap(), "1");
}

#[test]
fn a_listening_connection_that_was_idle_for_long_is_not_trusted() {
    let (server, mut store) = start();
    grant(&mut *store, &claim("holder"));
    let proxy = Proxy::start(server.address());
    let mut waiter = Waiter::join(&proxy.url(), "a");
    waiter.ask();
    assert_eq!(proxy.connections(), 2);
    // Idleness is the one thing that only time brings; the other tests run meanwhile.
    thread::sleep(Duration::from_secs(31));
    waiter.ask();
    assert_eq!(proxy.connections(), 4);
    let listens = proxy.requests().into_iter();
    assert_eq!(listens.filter(|words| words[0] == "SUBSCRIBE").count(), 2);
}

#[test]
fn a_granted_lock_leaves_no_connection_that_listens_after_its_first_refresh() {
    let (server, mut store) = start();
    let listening = || server.number(&["PUBSUB", "NUMPAT"]) + channels(&server);
    let mine = claim("holder");
    grant(&mut *store, &mine);
    let mut waiter = Waiter::join(&server.unix_url(), "a");
    let mut leaving = Waiter::join(&server.unix_url(), "b");
    assert_eq!(listening(), 2);
    release(&mut *leaving.store, &leaving.claim);
    release(&mut *store, &mine);
    let granted = grant_in_line(&mut *waiter.store, &waiter.claim);
    keep(&mut *waiter.store, &waiter.claim, &granted);
    assert!(waiter.store.bell().is_none());
    wait_until(|| listening() == 0);
}

fn channels(server: &Server) -> i64 {
    match server.command(&["PUBSUB", "CHANNELS"]) {
        redis::Value::Array(names) => names.len() as i64,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_else_is_sent_on_the_channel_rings_and_does_no_harm() {
    let (server, mut store) = start();
    let mine = claim("holder");
    grant(&mut *store, &mine);
    let mut waiter = Waiter::join(&server.unix_url(), "a");
    let channel = format!("task_lock:job:w:{}", waiter.claim.holder.id);
    let long = "x".repeat(1_000_000);
    for _ in 0..20 {
        server.command(&["PUBLISH", &channel, &long]);
    }
    wait_for_bell(&*waiter.store);
    // What is on its way rings again; once everything is read, the bell is silent.
    wait_until(|| {
        waiter.ask();
        !rings_within(&*waiter.store, Duration::from_millis(50))
    });
    release(&mut *store, &mine);
    wait_for_bell(&*waiter.store);
    grant_in_line(&mut *waiter.store, &waiter.claim);
}

#[test]
fn a_waiter_is_told_over_tls() {
    let good = Certificates::new();
    let server = Server::with().tls(&good, "no").start();
    let files = TlsFiles {
        ca: Some(good.ca()),
        ..TlsFiles::default()
    };
    let mut store = open(&server.unix_url());
    let mine = claim("holder");
    grant(&mut *store, &mine);
    let mut waiter = Waiter {
        store: open_tls(&server.tls_url(), &files),
        claim: claim("a"),
    };
    waiter.ask();
    // Session tickets may ring once, and are no reason to ask twice.
    waiter.ask();
    assert!(!rings_within(&*waiter.store, Duration::ZERO));
    release(&mut *store, &mine);
    wait_for_bell(&*waiter.store);
    let answer = waiter.store.acquire(&waiter.claim, IN_LINE, TIMEOUT);
    assert!(matches!(answer, Ok(Acquire::Granted(_))), "{answer:?}");
}

/// A server on which the user `job` may use the keys of locks, and the channels that `rule` says.
fn with_channels(rule: &str) -> (Server, String) {
    let user = format!("job on >pw ~task_lock:* ~{{task_lock:* +@all {rule}");
    let server = Server::with().user(&user).start();
    let url = server.url().replace("//", "//job:pw@");
    (server, url)
}

#[test]
fn waiting_needs_the_right_to_the_channel_and_says_so() {
    let (server, url) = with_channels("resetchannels");
    let mut store = open(&url);
    let mine = claim("holder");
    // Everything else works without it.
    let granted = grant_in_line(&mut *store, &mine);
    keep(&mut *store, &mine, &granted);
    held(&mut *open(&url), &claim("late"));

    let waiting = claim("a");
    let error = open(&url).acquire(&waiting, IN_LINE, TIMEOUT).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Denied, "{error}");
    let channel = format!("task_lock:job:w:{}", waiting.holder.id);
    assert!(error.text.contains("refused the permission: "), "{error}");
    assert!(error.text.contains(&channel), "{error}");
    assert!(!error.text.contains("pw"), "{error}");
    assert_eq!(fields_of_waiters(&server), 0);

    // A release that may tell nobody releases, and whoever waits asks by itself.
    let mut waiter = Waiter::join(&server.unix_url(), "b");
    release(&mut *store, &mine);
    assert!(!rings_within(&*waiter.store, Duration::ZERO));
    let tried = store.acquire(&claim("late"), Ask::default(), TIMEOUT);
    assert!(matches!(tried, Ok(Acquire::Reserved { .. })), "{tried:?}");
    grant_in_line(&mut *waiter.store, &waiter.claim);
}

#[test]
fn the_right_to_the_channels_of_locks_is_enough_to_wait() {
    let (_server, url) = with_channels("resetchannels &task_lock:*");
    let mut store = open(&url);
    let mine = claim("holder");
    grant(&mut *store, &mine);
    let mut waiter = Waiter::join(&url, "a");
    release(&mut *store, &mine);
    wait_for_bell(&*waiter.store);
    grant_in_line(&mut *waiter.store, &waiter.claim);
}

#[test]
fn one_run_waits_at_a_time_and_the_next_takes_over_the_store() {
    let (_server, mut store) = start();
    let named = crate::support::store::claim;
    let (one, two) = (named("one", "holder"), named("two", "holder"));
    grant(&mut *store, &one);
    grant(&mut *store, &two);
    queue(&mut *store, &named("one", "a"));
    let mine = named("two", "a");
    queue(&mut *store, &mine);
    release(&mut *store, &two);
    // A release by this store ended its standing in line: it joins again.
    grant_in_line(&mut *store, &mine);
}
