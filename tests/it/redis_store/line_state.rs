//! What stands in the state for those in line, and what strangers may have written there.

use tasklock::store::{Acquire, Ask, End, Release, Unlock};

use super::{KEY, STATE, Waiter, claim, start, state};
use crate::support::store::{
    IN_LINE, TIMEOUT, grant, grant_in_line, name, queue, release, status, wait_for_bell,
};

#[test]
fn a_waiter_leaves_no_token_in_the_state_and_none_in_its_channel() {
    let (server, mut store) = start();
    let mine = claim("holder");
    grant(&mut *store, &mine);
    let waiter = Waiter::join(&server.unix_url(), "a");
    let token = waiter.claim.token.as_str();
    for (field, value) in state(&server) {
        assert!(!field.contains(token) && !value.contains(token), "{field}");
    }
    let monitor = server.monitor();
    release(&mut *store, &mine);
    let called = monitor.in_scripts();
    let told: Vec<_> = called
        .iter()
        .filter(|words| words[0].eq_ignore_ascii_case("publish"))
        .collect();
    let channel = format!("{KEY}:w:{}", waiter.claim.holder.id);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0][1..], [channel, "ask".to_owned()]);
}

#[test]
fn garbage_in_any_field_of_the_state_is_no_error() {
    let (server, mut store) = start();
    let long = "9".repeat(100_000);
    let garbage = [
        "",
        " ",
        "x",
        "-1",
        "1.5",
        "nan",
        "inf",
        "1e300",
        "0x10",
        "99999999999999999999",
        "9007199254740991",
        "1 2 3",
        "1 2 3 ",
        "-1 -1 -1 x",
        "99999999999999999999 0 1 x",
        "99999999999999999999 99999999999999999999 99999999999999999999 \r\n\0",
        "1:",
        "1:99999999999999999999",
        ",,,",
        &long,
    ];
    let fields = [
        "n", "o0", "f0", "e0", "t0", "s0", "h0", "c0", "x0", "y0", "w0", "o1", "e1", "c1", "w1",
        "rel", "off", "q", "os", "ok", "oa", "q1", "q2", "i", "runs",
    ];
    for field in fields {
        for value in garbage {
            server.command(&["FLUSHALL"]);
            let holder = claim("holder");
            grant(&mut *store, &holder);
            let mut waiter = Waiter::join(&server.unix_url(), "a");
            let mine = &waiter.claim;
            server.command(&["HSET", STATE, field, value]);
            let context = format!("{field}={:?}", &value[..value.len().min(40)]);
            let asked = waiter.store.acquire(mine, IN_LINE, TIMEOUT);
            assert!(asked.is_ok(), "{context}: {asked:?}");
            let mut late = claim("late");
            late.slots = 2;
            let tried = store.acquire(&late, Ask::default(), TIMEOUT);
            assert!(tried.is_ok(), "{context}: {tried:?}");
            for claim in [&late, &holder] {
                let ended = store.release(claim, End::Unstarted, TIMEOUT);
                assert!(ended.is_ok(), "{context}: {ended:?}");
            }
            for looked in [status(&mut *store, "job"), status(&mut *store, "job")] {
                assert!(!looked.slots.is_empty() && looked.slots.len() <= 1000);
            }
            for how in [Unlock::Ask, Unlock::Force] {
                let unlocked = store.unlock(&name("job"), how, "root@adm", TIMEOUT);
                assert!(unlocked.is_ok(), "{context}: {unlocked:?}");
            }
            let asked = waiter.store.acquire(mine, IN_LINE, TIMEOUT);
            assert!(asked.is_ok(), "{context}: {asked:?}");
            let left = waiter.store.release(mine, End::Unstarted, TIMEOUT);
            assert!(left.is_ok(), "{context}: {left:?}");
        }
    }
}

#[test]
fn a_ticket_is_kept_when_the_line_is_near_and_replaced_when_it_is_far() {
    for (last, expected) in [("5000", "q1"), ("50000", "q50001")] {
        let (server, mut store) = start();
        server.command(&["SET", KEY, "1", "NX", "EX", "60"]);
        let mine = claim("a");
        queue(&mut *store, &mine);
        server.command(&["DEL", STATE]);
        server.command(&["HSET", STATE, "q", last, "w0", last]);
        for _ in 0..2 {
            queue(&mut *store, &mine);
            let ours = state(&server);
            let ours = ours
                .iter()
                .find(|(_, value)| value.ends_with(&mine.holder.id));
            assert_eq!(ours.unwrap().0, expected);
        }
        server.command(&["DEL", KEY]);
        grant_in_line(&mut *store, &mine);
    }
}

#[test]
fn a_ticket_that_another_has_by_now_is_replaced() {
    let (server, mut store) = start();
    server.command(&["SET", KEY, "1", "NX", "EX", "60"]);
    let mut first = Waiter::join(&server.unix_url(), "a");
    server.command(&["DEL", STATE]);
    let mine = claim("b");
    queue(&mut *store, &mine);
    assert_eq!(first.ask().0, 2);
    assert_eq!(queue(&mut *store, &mine).place, Some(1));
}

#[test]
fn times_from_before_the_clock_stepped_back_hold_nobody_up() {
    let (server, mut store) = start();
    let mine = claim("holder");
    let granted = grant(&mut *store, &mine);
    let told = Waiter::join(&server.unix_url(), "told");
    let mut next = Waiter::join(&server.unix_url(), "next");
    // Told and heard of a day ahead of the server's clock.
    let ahead = granted.end_ms + 86_400_000;
    let id = &told.claim.holder.id;
    let entry = format!("{} {ahead} 1 {id}", ahead + 6000);
    server.command(&["HSET", STATE, "q1", &entry]);
    release(&mut *store, &mine);
    grant_in_line(&mut *next.store, &next.claim);
}

#[test]
fn more_waiters_than_are_counted_are_not_guessed_at() {
    let (server, mut store) = start();
    server.command(&["SET", KEY, "1", "NX", "EX", "60"]);
    let first = Waiter::join(&server.unix_url(), "a");
    server.command(&["HSET", STATE, "q", "2000"]);
    assert_eq!(status(&mut *store, "job").waiting, None);
    let mine = claim("b");
    let queued = queue(&mut *store, &mine);
    assert_eq!(queued.place, None);
    drop(first);
    server.command(&["DEL", KEY]);
    grant_in_line(&mut *store, &mine);
}

#[test]
fn a_long_gap_in_the_line_is_passed_over() {
    let (server, mut store) = start();
    let mine = claim("holder");
    grant(&mut *store, &mine);
    let first = Waiter::join(&server.unix_url(), "a");
    server.command(&["HSET", STATE, "q", "9000"]);
    let mut far = Waiter {
        store: crate::support::store::open(&server.unix_url()),
        claim: claim("far"),
    };
    queue(&mut *far.store, &far.claim);
    // With the first in line gone nine thousand tickets lead to nobody.
    release(&mut *store, &first.claim);
    release(&mut *store, &mine);
    grant_in_line(&mut *far.store, &far.claim);
}

#[test]
fn the_line_of_one_lock_is_not_that_of_another() {
    let (server, mut store) = start();
    let named = crate::support::store::claim;
    let (mine, other) = (named("job", "holder"), named("other", "holder"));
    grant(&mut *store, &mine);
    grant(&mut *store, &other);
    let mut waiter = Waiter::join(&server.unix_url(), "a");
    assert_eq!(release(&mut *store, &other), Release::Released);
    let tried = store.acquire(&named("other", "b"), Ask::default(), TIMEOUT);
    assert!(matches!(tried, Ok(Acquire::Granted(_))), "{tried:?}");
    waiter.ask();
    release(&mut *store, &mine);
    wait_for_bell(&*waiter.store);
}
