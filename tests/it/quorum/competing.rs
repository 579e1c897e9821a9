//! Several clients, and the numbers that order them.

use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tasklock::store::{Acquire, Ask, Fence, Release, Store, StoreErrorKind};

use super::{Quorum, is_granted};
use crate::support::redis::Server;
use crate::support::store::{TIMEOUT, claim, grant, held, inspect, keep, open, release};
use crate::support::wait_until;

#[test]
fn clients_with_different_nodes_refuse_each_other() {
    let quorum = Quorum::of(5);
    let urls = quorum.urls();
    let mut one = open(&urls[..3].join(" "));
    let mut other = open(&urls[2..].join(" "));
    let (mine, theirs) = (claim("job", "root@one"), claim("job", "root@other"));
    let granted = grant(&mut *one, &mine);
    let error = other.acquire(&theirs, Ask::default(), TIMEOUT).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Misconfigured);
    let told = "is held by root@one through other nodes than these";
    assert!(error.text.contains(told), "{}", error.text);
    wait_until(|| (3..5).all(|node| quorum.owner(node, "job").is_none()));
    keep(&mut *one, &mine, &granted);
    // Nor does a client of one of the nodes get in, and what it has is not a hold of the quorum.
    held(&mut *open(&urls[1]), &claim("job", "root@single"));
    assert_eq!(release(&mut *one, &mine), Release::Released);
    assert!(is_granted(&mut *other, &theirs));
    let mut single = open(&urls[0]);
    let third = claim("job", "root@single");
    grant(&mut *single, &third);
    let error = one
        .acquire(&claim("job", "x"), Ask::default(), TIMEOUT)
        .unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Misconfigured);
}

#[test]
fn fences_grow_whichever_majority_gives_them_and_however_far_its_nodes_are_apart() {
    let quorum = Quorum::of(3);
    let mut last = Fence(0);
    for round in 0u64..30 {
        let away = (round % 3) as usize;
        // What a failed round of a client with a fast clock leaves behind: one node is ahead.
        let ahead = ((round + 1) % 3) as usize;
        if round % 4 == 1 {
            let fence = (last.0 + 1_000_000 * round).to_string();
            quorum.servers[ahead].command(&["HSET", "{task_lock:job}:st", "f0", &fence]);
        }
        quorum.cut_off(away);
        let mut store = quorum.open();
        let mine = claim("job", "a");
        let granted = grant(&mut *store, &mine);
        assert!(
            granted.fence > last,
            "round {round}: {granted:?} after {last:?}"
        );
        last = granted.fence;
        assert_eq!(release(&mut *store, &mine), Release::Released);
        quorum.join(away);
    }
}

/// How many requests each node got.
fn counts(quorum: &Quorum) -> Vec<usize> {
    let count = |proxy: &crate::support::proxy::Proxy| proxy.requests().len();
    quorum.proxies.iter().map(count).collect()
}

#[test]
fn each_step_of_an_uncontended_run_is_one_request_to_each_node() {
    let quorum = Quorum::of(3);
    let mut store = quorum.open();
    let mut last = counts(&quorum);
    let mut one_each = |step: &str| {
        wait_until(|| {
            counts(&quorum)
                .iter()
                .zip(&last)
                .all(|(now, last)| now > last)
        });
        let now = counts(&quorum);
        assert!(
            now.iter().zip(&last).all(|(now, last)| *now == last + 1),
            "{step}: {last:?} {now:?}"
        );
        last = now;
    };
    for name in ["job", "job", "other"] {
        let mine = claim(name, "a");
        let mut granted = grant(&mut *store, &mine);
        one_each("acquire");
        for _ in 0..3 {
            granted = keep(&mut *store, &mine, &granted);
            one_each("refresh");
        }
        assert_eq!(release(&mut *store, &mine), Release::Released);
        one_each("release");
    }
}

#[test]
fn a_split_vote_is_settled_by_the_first_node() {
    let quorum = Quorum::unused((0..5).map(|_| Server::start()).collect());
    assert!(is_granted(&mut *quorum.open(), &claim("first", "a")));
    // Left over on two nodes from somebody who is about to give back.
    let mut leftover: Vec<(Box<dyn Store>, _)> = (1..3)
        .map(|node| (open(&quorum.urls()[node]), claim("job", "b")))
        .collect();
    for (store, claim) in &mut leftover {
        grant(&mut **store, claim);
    }
    let seen = inspect(&mut *quorum.open(), "job");
    assert_eq!(seen.held, None, "{seen:?}");
    for (store, claim) in &mut leftover {
        assert_eq!(release(&mut **store, claim), Release::Released);
    }
    let mut store = quorum.open();
    let answer = store.acquire(&claim("job", "c"), Ask::default(), TIMEOUT);
    assert!(matches!(answer, Ok(Acquire::Granted(_))), "{answer:?}");
}

/// The second phase of a grant, held up on its way to two of the nodes until these belong to
/// another, or have been granted to us anew.
#[test]
fn an_acknowledgement_counts_only_from_who_still_shows_us_by_the_same_grant() {
    for taken in [true, false] {
        let quorum = Quorum::of(3);
        let ahead = (micros() + 3_000_000).to_string();
        quorum.servers[0].command(&["HSET", "{task_lock:job}:st", "v", "1", "f0", &ahead]);
        for node in [1, 2] {
            // That script alone has this answer.
            quorum.proxies[node].hold_request("'noted'");
        }
        let mut store = quorum.open();
        let mine = claim("job", "a");
        let first = mine.clone();
        let asking = thread::spawn(move || {
            let answer = store.acquire(&first, Ask::default(), TIMEOUT);
            (answer, store)
        });
        let state = "{task_lock:job}:st";
        for node in [1, 2] {
            quorum.proxies[node].wait_for_hold();
            let seen = quorum.servers[node].text(&["HGET", state, "f0"]).unwrap();
            let later = (seen.parse::<u64>().unwrap() + 1).to_string();
            if taken {
                quorum.servers[node].command(&["HSET", state, "o0", "another"]);
                quorum.servers[node].command(&["SET", "task_lock:job", "another", "PX", "60000"]);
            } else {
                quorum.servers[node].command(&["HSET", state, "f0", &later]);
            }
        }
        for node in [1, 2] {
            quorum.proxies[node].let_go();
        }
        let (answer, _store) = asking.join().unwrap();
        let agreed: u64 = ahead.parse::<u64>().unwrap() + 1;
        match answer {
            // A new round, whose fence both nodes have noted.
            Ok(Acquire::Granted(grant)) => {
                assert!(!taken, "{grant:?}");
                assert!(grant.fence.0 > agreed, "{grant:?}");
            }
            other => assert!(taken, "{other:?}"),
        }
    }
}

/// The same, held up until no time is left for another round.
#[test]
fn what_a_majority_granted_but_did_not_confirm_is_given_back() {
    let (quorum, store) = with_one_ahead();
    for node in [1, 2] {
        quorum.proxies[node].hold_request("'noted'");
    }
    expect_unconfirmed(store);
    for node in [1, 2] {
        quorum.proxies[node].let_go();
    }
    wait_until(|| (0..3).all(|node| quorum.owner(node, "job").is_none()));
}

#[test]
fn a_node_that_did_not_vote_has_noted_nothing() {
    let (quorum, store) = with_one_ahead();
    quorum.proxies[1].hold_request("'noted'");
    quorum.cut_off(2);
    expect_unconfirmed(store);
    quorum.proxies[1].let_go();
}

/// Three nodes, of which the first one gives larger fences, and a run that is connected to them.
fn with_one_ahead() -> (Quorum, Box<dyn Store>) {
    let quorum = Quorum::of(3);
    let mut store = quorum.open();
    let other = claim("other", "a");
    grant(&mut *store, &other);
    assert_eq!(release(&mut *store, &other), Release::Released);
    let ahead = (micros() + 3_000_000).to_string();
    quorum.servers[0].command(&["HSET", "{task_lock:job}:st", "v", "1", "f0", &ahead]);
    (quorum, store)
}

#[track_caller]
fn expect_unconfirmed(mut store: Box<dyn Store>) {
    let brief = Duration::from_millis(500);
    let answer = store.acquire(&claim("job", "a"), Ask::default(), brief);
    let error = answer.expect_err("granted");
    let told = "no majority of the nodes confirmed the fence";
    assert!(error.text.contains(told), "{}", error.text);
}

fn micros() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(now.as_micros()).unwrap()
}
