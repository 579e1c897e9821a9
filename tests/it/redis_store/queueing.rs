//! The line when the holder, a waiter or the server do not behave: it goes on, in order.

use std::time::{Duration, Instant};

use redis::Value;
use tasklock::store::{Acquire, Ask, Claim, Refresh, Release, Store};

use super::{KEY, STATE, Waiter, claim, fields_of_waiters, start, state};
use crate::support::redis::Server;
use crate::support::store::{
    IN_LINE, TIMEOUT, grant, grant_in_line, held, keep, open, queue, refresh, release,
    rings_within, status, wait_for_bell,
};
use crate::support::wait_until;

/// When a waiter asks again at the latest.
const ASK_IN: Duration = Duration::from_millis(2500);

/// How long a waiter that was told has the place to itself.
const MOMENT: Duration = Duration::from_secs(1);

#[track_caller]
fn try_once(store: &mut dyn Store, claim: &Claim) -> Acquire {
    store.acquire(claim, Ask::default(), TIMEOUT).unwrap()
}

#[test]
fn the_first_in_line_asks_just_when_the_lease_ends() {
    let (server, mut store) = start();
    let crashed = Claim {
        ttl: Duration::from_millis(1200),
        ..claim("holder")
    };
    let begin = Instant::now();
    grant(&mut *store, &crashed);
    let mut first = Waiter::join(&server.unix_url(), "a");
    let mut second = Waiter::join(&server.unix_url(), "b");
    let (place, ask_in) = first.ask();
    assert_eq!(place, 1);
    assert!(begin.elapsed() + ask_in >= crashed.ttl, "{ask_in:?}");
    assert!(ask_in <= crashed.ttl + Duration::from_millis(1));
    assert_eq!(second.ask(), (2, ASK_IN));
    let monitor = server.monitor();
    grant_in_line(&mut *first.store, &first.claim);
    let asked = monitor.names().len();
    assert!(asked <= 3, "asked {asked} times");
}

#[test]
fn a_waiter_behind_a_recipe_job_gets_the_lock_when_the_key_is_deleted_or_expires() {
    let (server, mut store) = start();
    server.command(&["SET", KEY, "1", "NX", "EX", "60"]);
    let mut waiter = Waiter::join(&server.unix_url(), "a");
    let queued = queue(&mut *waiter.store, &waiter.claim);
    assert_eq!(queued.held.unwrap().holder, None);
    server.command(&["DEL", KEY]);
    grant_in_line(&mut *waiter.store, &waiter.claim);
    release(&mut *waiter.store, &waiter.claim);

    server.command(&["SET", KEY, "1", "NX", "PX", "700"]);
    let mine = claim("b");
    let queued = queue(&mut *store, &mine);
    assert!(
        queued.ask_in <= Duration::from_millis(701),
        "{:?}",
        queued.ask_in
    );
    grant_in_line(&mut *store, &mine);
}

#[test]
fn a_single_try_is_told_for_whom_a_free_lock_is_kept() {
    let (server, mut store) = start();
    let mine = claim("holder");
    grant(&mut *store, &mine);
    let mut first = Waiter::join(&server.unix_url(), "a");
    let _second = Waiter::join(&server.unix_url(), "b");
    release(&mut *store, &mine);
    let reserved = Acquire::Reserved {
        first: Some(first.claim.holder.clone()),
    };
    for _ in 0..2 {
        assert_eq!(try_once(&mut *store, &claim("late")), reserved);
    }
    grant_in_line(&mut *first.store, &first.claim);
    let seen = held(&mut *store, &claim("late"));
    assert_eq!(seen.holder, Some(first.claim.holder.clone()));
}

#[test]
fn a_single_try_wakes_the_first_when_nobody_has() {
    let (server, mut store) = start();
    server.command(&["SET", KEY, "1", "NX", "EX", "60"]);
    let first = Waiter::join(&server.unix_url(), "a");
    server.command(&["DEL", KEY]);
    assert!(!rings_within(&*first.store, Duration::ZERO));
    let answer = try_once(&mut *store, &claim("late"));
    assert!(matches!(answer, Acquire::Reserved { .. }), "{answer:?}");
    wait_for_bell(&*first.store);
}

#[test]
fn a_waiter_that_was_told_and_does_not_come_is_passed_over_after_a_second() {
    let (server, mut store) = start();
    let mine = claim("holder");
    grant(&mut *store, &mine);
    let mut frozen = Waiter::join(&server.unix_url(), "frozen");
    let mut next = Waiter::join(&server.unix_url(), "next");
    let told = Instant::now();
    release(&mut *store, &mine);
    let (_, ask_in) = next.ask();
    assert!(ask_in <= MOMENT + Duration::from_millis(1), "{ask_in:?}");
    grant_in_line(&mut *next.store, &next.claim);
    assert!(told.elapsed() >= MOMENT);
    // It has not lost its place for good.
    let mut late = Waiter::join(&server.unix_url(), "late");
    assert_eq!(frozen.ask().0, 1);
    assert_eq!(late.ask().0, 2);
}

#[test]
fn a_waiter_that_does_not_ask_any_more_is_passed_over() {
    let (server, mut store) = start();
    let mine = claim("holder");
    grant(&mut *store, &mine);
    let dead = Waiter::join(&server.unix_url(), "dead");
    let mut next = Waiter::join(&server.unix_url(), "next");
    assert_eq!(next.ask().0, 2);
    // As six seconds later; its host is cut off, and its connection still stands.
    let id = &dead.claim.holder.id;
    server.command(&["HSET", STATE, "q1", &format!("1 0 1 {id}")]);
    assert_eq!(next.ask().0, 1);
    assert_eq!(fields_of_waiters(&server), 2);
    release(&mut *store, &mine);
    wait_for_bell(&*next.store);
    assert!(!rings_within(&*dead.store, Duration::ZERO));
    grant_in_line(&mut *next.store, &next.claim);
}

#[test]
fn those_that_died_in_line_are_not_waited_for() {
    let (server, mut store) = start();
    let mine = claim("holder");
    grant(&mut *store, &mine);
    let dead = ["a", "b", "c", "d", "e"].map(|who| Waiter::join(&server.unix_url(), who));
    let mut next = Waiter::join(&server.unix_url(), "next");
    drop(dead);
    let listening = || server.command(&["PUBSUB", "CHANNELS"]);
    wait_until(|| matches!(listening(), Value::Array(channels) if channels.len() == 1));
    release(&mut *store, &mine);
    let answer = next.store.acquire(&next.claim, IN_LINE, TIMEOUT);
    assert!(matches!(answer, Ok(Acquire::Granted(_))), "{answer:?}");
}

/// Three in line and their holder, and what brings its lock back after data were lost.
fn line_of_three(server: &Server) -> (Waiter, [Waiter; 3], impl Fn(&mut Waiter)) {
    let mut holder = Waiter {
        store: open(&server.unix_url()),
        claim: claim("holder"),
    };
    let granted = grant(&mut *holder.store, &holder.claim);
    let waiters = ["a", "b", "c"].map(|who| Waiter::join(&server.unix_url(), who));
    let keeps = move |holder: &mut Waiter| {
        let answer = refresh(&mut *holder.store, &holder.claim, &granted);
        assert!(matches!(answer, Refresh::Retaken(_)), "{answer:?}");
    };
    (holder, waiters, keeps)
}

/// All ask again, the last first, and are served in their old order.
fn goes_on(server: &Server, mut holder: Waiter, mut waiters: [Waiter; 3]) {
    for waiter in waiters.iter_mut().rev() {
        waiter.ask();
    }
    for (before, waiter) in waiters.iter_mut().enumerate() {
        assert_eq!(waiter.ask().0 as usize, before + 1);
    }
    assert_eq!(status(&mut *holder.store, "job").waiting, Some(3));
    for waiter in waiters {
        release(&mut *holder.store, &holder.claim);
        holder = waiter;
        wait_for_bell(&*holder.store);
        grant_in_line(&mut *holder.store, &holder.claim);
    }
    release(&mut *holder.store, &holder.claim);
    assert_eq!(fields_of_waiters(server), 0);
}

#[test]
fn the_line_outlives_lost_data() {
    let (server, _) = start();
    let (mut holder, waiters, keeps) = line_of_three(&server);
    server.command(&["FLUSHALL"]);
    keeps(&mut holder);
    goes_on(&server, holder, waiters);
}

#[test]
fn the_line_outlives_a_restart_without_data() {
    let (server, _) = start();
    let (mut holder, waiters, keeps) = line_of_three(&server);
    server.restart();
    for waiter in &waiters {
        wait_for_bell(&*waiter.store);
    }
    keeps(&mut holder);
    goes_on(&server, holder, waiters);
}

#[test]
fn the_line_outlives_a_flush_of_the_scripts() {
    let (server, _) = start();
    let (holder, waiters, _) = line_of_three(&server);
    server.command(&["SCRIPT", "FLUSH"]);
    goes_on(&server, holder, waiters);
}

#[test]
fn a_lock_that_lost_data_freed_goes_to_whoever_asks() {
    let (server, mut store) = start();
    grant(&mut *store, &claim("holder"));
    let mut waiter = Waiter::join(&server.unix_url(), "a");
    server.command(&["FLUSHALL"]);
    grant_in_line(&mut *waiter.store, &waiter.claim);
    assert_eq!(fields_of_waiters(&server), 0);
}

#[test]
fn a_server_without_memory_serves_the_line() {
    let server = Server::with().config("maxmemory", "1").start();
    let (holder, waiters, _) = line_of_three(&server);
    assert!(
        server
            .try_command(&["SET", "any", "key"])
            .unwrap_err()
            .contains("OOM")
    );
    goes_on(&server, holder, waiters);
}

#[test]
fn a_token_that_left_never_stands_in_line_again() {
    let (server, mut store) = start();
    grant(&mut *store, &claim("holder"));
    let mut waiter = Waiter::join(&server.unix_url(), "a");
    let mut other = open(&server.unix_url());
    let left = release(&mut *other, &waiter.claim);
    assert!(matches!(left, Release::NotOurs(Some(_))), "{left:?}");
    assert_eq!(fields_of_waiters(&server), 0);
    // An ASK that was under way comes late.
    let late = waiter.store.acquire(&waiter.claim, IN_LINE, TIMEOUT);
    assert_eq!(late, Ok(Acquire::Withdrawn));
    assert_eq!(fields_of_waiters(&server), 0);
}

#[test]
fn a_waiter_that_is_taken_out_over_another_connection_is_passed_over() {
    let (server, mut store) = start();
    let holder = claim("holder");
    grant(&mut *store, &holder);
    let mut leaving = Waiter::join(&server.unix_url(), "a");
    let mut next = Waiter::join(&server.unix_url(), "b");
    release(&mut *open(&server.unix_url()), &leaving.claim);
    assert_eq!(next.ask().0, 1);
    let again = leaving.store.acquire(&leaving.claim, IN_LINE, TIMEOUT);
    assert_eq!(again, Ok(Acquire::Withdrawn));
    release(&mut *store, &holder);
    grant_in_line(&mut *next.store, &next.claim);
}

#[test]
fn nothing_is_left_of_a_line_but_the_state_which_rests() {
    let (server, mut store) = start();
    let mine = claim("holder");
    grant(&mut *store, &mine);
    let mut gone = Waiter::join(&server.unix_url(), "gone");
    let crashed = Waiter::join(&server.unix_url(), "crashed");
    let mut last = Waiter::join(&server.unix_url(), "last");
    release(&mut *gone.store, &gone.claim);
    drop(crashed);
    release(&mut *store, &mine);
    grant_in_line(&mut *last.store, &last.claim);
    assert_eq!(server.number(&["TTL", STATE]), -1);
    release(&mut *last.store, &last.claim);
    assert_eq!(server.number(&["DBSIZE"]), 2, "and its history");
    assert_eq!(fields_of_waiters(&server), 0, "{:?}", state(&server));
    assert!(server.number(&["TTL", STATE]) > 0);
}

#[test]
fn the_state_rests_when_the_only_waiter_behind_a_recipe_job_leaves() {
    let (server, mut store) = start();
    server.command(&["SET", KEY, "1", "NX", "EX", "60"]);
    let mine = claim("a");
    queue(&mut *store, &mine);
    assert_eq!(server.number(&["TTL", STATE]), -1);
    release(&mut *store, &mine);
    assert!(server.number(&["TTL", STATE]) > 0);
}

/// What one hand-off is made of, with `waiters` in line: what clients send, what scripts call.
fn hand_off(waiters: u32) -> (Vec<String>, Vec<String>) {
    let (server, mut store) = start();
    let mine = claim("holder");
    grant(&mut *store, &mine);
    let mut line: Vec<Waiter> = (0..waiters)
        .map(|number| Waiter::join(&server.unix_url(), &format!("w{number}")))
        .collect();
    let monitor = server.monitor();
    release(&mut *store, &mine);
    let first = &mut line[0];
    wait_for_bell(&*first.store);
    let answer = first.store.acquire(&first.claim, IN_LINE, TIMEOUT);
    assert!(matches!(answer, Ok(Acquire::Granted(_))), "{answer:?}");
    let called = monitor.in_scripts().into_iter();
    let called = called.map(|words| words[0].to_ascii_uppercase());
    (monitor.names(), called.collect())
}

#[test]
fn a_hand_off_costs_the_same_however_many_wait() {
    let (sent, called) = hand_off(5);
    assert_eq!(sent, ["EVAL"; 2]);
    let told = called.iter().filter(|name| *name == "PUBLISH").count();
    assert_eq!(told, 1);
    assert_eq!((sent, called), hand_off(50));
}

#[test]
fn an_idle_waiter_sends_less_than_one_command_in_two_seconds() {
    let (server, mut store) = start();
    grant(&mut *store, &claim("holder"));
    let mut waiter = Waiter::join(&server.unix_url(), "a");
    let monitor = server.monitor();
    for _ in 0..3 {
        assert_eq!(waiter.ask(), (1, ASK_IN));
        assert!(!rings_within(&*waiter.store, Duration::ZERO));
    }
    assert_eq!(monitor.names(), ["EVAL"; 3]);
    assert!(ASK_IN > Duration::from_secs(2));
}

#[test]
fn a_free_lock_costs_a_run_in_line_one_command_and_one_connection() {
    let (server, mut store) = start();
    server.command(&["CONFIG", "RESETSTAT"]);
    let monitor = server.monitor();
    let mine = claim("a");
    let granted = grant_in_line(&mut *store, &mine);
    keep(&mut *store, &mine, &granted);
    release(&mut *store, &mine);
    assert_eq!(monitor.names(), ["EVAL"; 3]);
    // The monitor's own connection is the other one.
    assert_eq!(server.info("stats")["total_connections_received"], "2");
}
