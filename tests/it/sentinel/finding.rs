//! Finding the master: through whichever Sentinel lives, and none that is behind the times.

use std::time::Instant;

use tasklock::store::StoreErrorKind;

use super::{BRIEF, SLACK, claim, demote, failure, open, pair, promote, url};
use crate::support::port::free_port;
use crate::support::redis::Server;
use crate::support::sentinel::{Fake, MASTER, Watched, url_of};
use crate::support::store::{self, TIMEOUT, grant, inspect, keep, release};

#[test]
fn one_live_sentinel_of_three_is_enough_and_no_other_uses_up_its_time() {
    let watched = Watched::start();
    let [first, second, last] = &watched.sentinels[..] else {
        unreachable!()
    };
    let mut store = store::open(&watched.url());
    let mine = claim("a");
    let mut granted = grant(&mut *store, &mine);
    let look_again = || {
        let start = Instant::now();
        inspect(&mut *store::open(&watched.url()), "job");
        let took = start.elapsed();
        assert!(took < SLACK, "{took:?} of {TIMEOUT:?}");
    };
    first.freeze();
    look_again();
    second.freeze();
    look_again();
    first.kill();
    look_again();
    second.kill();
    look_again();
    // What is connected needs no Sentinel at all.
    last.kill();
    granted = keep(&mut *store, &mine, &granted);
    keep(&mut *store, &mine, &granted);
}

#[test]
fn sentinels_that_are_all_dead_or_frozen_are_unavailable_in_time() {
    let sentinel = Server::with().sentinel().start();
    let nobody = ([127, 0, 0, 1], free_port()).into();
    for (addresses, why) in [
        (vec![nobody], "connection refused"),
        (vec![sentinel.address(), nobody], "connection refused"),
        (vec![sentinel.address()], ": no "), // reply, or answer
    ] {
        sentinel.freeze();
        let url = url_of(&addresses);
        let start = Instant::now();
        let error = failure(&mut *store::open(&url));
        let took = start.elapsed();
        assert!(took < BRIEF + SLACK, "{error} took {took:?}");
        assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error}");
        let what = format!("cannot reach any Sentinel of {url}: ");
        assert!(error.text.starts_with(&what), "{error}");
        assert!(error.text.contains(why), "{error}");
    }
}

#[test]
fn a_sentinel_that_names_a_demoted_master_is_asked_again_until_it_knows_better() {
    let (old, new) = pair();
    let stale = Fake::naming(&old, 1);
    promote(&new);
    demote(&old, &new);
    let mut store = open(&[&stale]);
    let error = failure(&mut *store);
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    let by = url(&[&stale]);
    let what = format!("{} (named by {by}) is a replica just now", old.url());
    assert!(error.text.starts_with(&what), "{error}");
    let monitor = old.monitor();
    std::thread::scope(|scope| {
        let search = scope.spawn(|| grant(&mut *store, &claim("a")));
        crate::support::wait_until(|| monitor.names().iter().any(|name| name == "ROLE"));
        stale.name(&new, 2);
        search.join().unwrap();
    });
    assert_eq!(new.number(&["EXISTS", super::KEY]), 1);
}

#[test]
fn a_cut_off_sentinel_with_a_master_of_its_own_is_outvoted_and_outdated() {
    let (old, new) = (Server::start(), Server::start());
    let stale = Fake::naming(&old, 4);
    let (one, two) = (Fake::naming(&new, 5), Fake::naming(&new, 5));
    let dead = ([127, 0, 0, 1], free_port()).into();
    // Whatever the order, and also if only one of them knows better.
    for addresses in [
        [stale.address(), one.address(), two.address()],
        [one.address(), two.address(), stale.address()],
        [stale.address(), one.address(), dead],
    ] {
        let mine = claim("a");
        let mut store = store::open(&url_of(&addresses));
        grant(&mut *store, &mine);
        assert_eq!(new.number(&["EXISTS", super::KEY]), 1, "{addresses:?}");
        release(&mut *store, &mine);
    }
    assert_eq!(old.number(&["DBSIZE"]), 0);
}

#[test]
fn who_has_seen_a_later_master_is_not_led_back_by_a_sentinel_that_has_not() {
    let (old, new) = (Server::start(), Server::start());
    let (stale, one) = (Fake::naming(&old, 4), Fake::naming(&new, 5));
    let mut store = open(&[&stale, &one]);
    let mine = claim("a");
    grant(&mut *store, &mine);
    one.name(&old, 4);
    // All of them say so: they were set up anew, and that is that.
    new.command(&["CLIENT", "KILL", "TYPE", "normal"]);
    assert_eq!(inspect(&mut *store, "job").held, None);

    // With one of them silent, that cannot be known.
    let silent = Server::with().sentinel().start();
    silent.freeze();
    let addresses = [one.address(), silent.address()];
    one.name(&new, 5);
    let mut store = store::open(&url_of(&addresses));
    assert!(inspect(&mut *store, "job").held.is_some());
    one.name(&old, 4);
    new.command(&["CLIENT", "KILL", "TYPE", "normal"]);
    let error = failure(&mut *store);
    assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error}");
    let why = "names a master of before the last fail-over";
    assert!(error.text.contains(why), "{error}");
}

#[test]
fn a_master_is_reached_by_the_name_that_sentinel_resolves() {
    let server = Server::start();
    let watch = format!("monitor {MASTER} localhost {} 1", server.address().port());
    let sentinel = Server::with()
        .sentinel()
        .config("sentinel", "resolve-hostnames yes")
        .config("sentinel", "announce-hostnames yes")
        .config("sentinel", &watch)
        .start();
    let mut store = store::open(&url_of(&[sentinel.address()]));
    grant(&mut *store, &claim("a"));
    assert_eq!(server.number(&["EXISTS", super::KEY]), 1);
}

#[test]
fn a_master_may_be_named_by_an_ipv6_address() {
    let server = Server::start();
    let fake = Fake::of("::1".to_owned(), &server, 1);
    // Nobody listens there, or there is no such address here: that is what is told.
    let error = failure(&mut *open(&[&fake]));
    let port = server.address().port();
    let what = format!(
        "cannot reach redis://[::1]:{port} (named by {}): ",
        url(&[&fake])
    );
    assert!(error.text.starts_with(&what), "{error}");
}

#[test]
fn a_sentinel_that_shows_only_where_the_master_is_serves() {
    let server = Server::start();
    let watch = format!("monitor {MASTER} 127.0.0.1 {} 1", server.address().port());
    let sentinel = Server::with()
        .sentinel()
        .config("sentinel", &watch)
        .user("watch on >pw -@all +auth +sentinel|get-master-addr-by-name")
        .user("default off")
        .start();
    let url = url_of(&[sentinel.address()]) + "?sentinel_user=watch&sentinel_password=pw";
    grant(&mut *store::open(&url), &claim("a"));
}

#[test]
fn a_user_who_may_not_ask_for_the_role_is_served() {
    let server = Server::with()
        .user("job on >pw ~* &* +@all -@dangerous")
        .start();
    let fake = Fake::naming(&server, 1);
    let url = url(&[&fake]).replace("//", "//job:pw@");
    grant(&mut *store::open(&url), &claim("a"));
    let denied = server.info("errorstats");
    assert!(denied.contains_key("errorstat_NOPERM"), "{denied:?}");
}

#[test]
fn a_whole_run_asks_for_the_master_once() {
    let server = Server::start();
    let fake = Fake::naming(&server, 1);
    let monitor = server.monitor();
    let mut store = open(&[&fake]);
    let mine = claim("a");
    let granted = grant(&mut *store, &mine);
    keep(&mut *store, &mine, &granted);
    release(&mut *store, &mine);
    assert_eq!(monitor.names(), ["ROLE", "EVAL", "EVAL", "EVAL"]);
}
