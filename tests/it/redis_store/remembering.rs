//! What is remembered where memory is short, rights are few, or somebody else was there.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::Duration;

use tasklock::store::past::{HISTORY_MAX, PastOutcome};
use tasklock::store::pattern::Pattern;
use tasklock::store::{Ask, Claim, End, Holder, Release, Store};

use super::{KEY, STATE, claim, start};
use crate::support::redis::Server;
use crate::support::store::{FAILED, TIMEOUT, end, grant, held, inspect, name, open, status};

const RUNS: &str = "{task_lock:job}:runs";

fn outcomes(store: &mut dyn Store) -> Vec<PastOutcome> {
    let history = store.history(&name("job"), TIMEOUT).unwrap();
    history.runs.iter().map(|run| run.outcome).collect()
}

#[test]
fn two_hundred_of_the_longest_records_stay_below_64_kib() {
    let (server, mut store) = start();
    let longest = End::Ran {
        outcome: PastOutcome::Signal(-64),
        waited: Duration::ZERO,
    };
    let longest_claim = || {
        let claim = claim("");
        Claim {
            history: HISTORY_MAX,
            slots: 1000,
            holder: Holder {
                who: "\u{1F600}".repeat(200),
                command: "\u{1F600}".repeat(200),
                pid: u32::MAX,
                ..claim.holder.clone()
            },
            ..claim
        }
    };
    server.command(&["HSET", STATE, "skips", "4294967295 x"]);
    for _ in 0..=HISTORY_MAX {
        let mine = longest_claim();
        grant(&mut *store, &mine);
        server.command(&["HSET", STATE, "k0", "4294967295 200", "s0", "1"]);
        end(&mut *store, &mine, longest);
    }
    assert_eq!(server.number(&["LLEN", RUNS]), i64::from(HISTORY_MAX));
    let bytes = server.number(&["MEMORY", "USAGE", RUNS, "SAMPLES", "0"]);
    assert!(bytes < 64 * 1024, "{bytes}");
    assert_eq!(outcomes(&mut *store).len(), HISTORY_MAX as usize);
}

#[test]
fn a_run_costs_no_request_more_and_its_records_go_after_a_month() {
    let (server, mut store) = start();
    let mine = claim("a");
    let monitor = server.monitor();
    grant(&mut *store, &mine);
    end(&mut *store, &mine, FAILED);
    assert_eq!(monitor.names(), ["EVAL", "EVAL"]);
    let month = 30 * 24 * 60 * 60;
    let rest = server.number(&["TTL", RUNS]);
    assert!((month - 60..=month).contains(&rest), "{rest}");
    server.command(&["PEXPIRE", RUNS, "100000"]);
    let next = claim("b");
    grant(&mut *store, &next);
    end(&mut *store, &next, FAILED);
    assert!(server.number(&["TTL", RUNS]) > 1000);
}

#[test]
fn a_server_that_is_full_releases_all_the_same() {
    let (server, mut store) = start();
    let mine = claim("a");
    grant(&mut *store, &mine);
    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    held(&mut *store, &claim("b"));
    end(&mut *store, &mine, FAILED);
    assert_eq!(inspect(&mut *store, "job").held, None);
    assert_eq!(outcomes(&mut *store), [PastOutcome::Exit(1)]);
}

#[test]
fn a_user_without_rights_on_the_records_releases_all_the_same() {
    let rights = "resetchannels +@all -@dangerous ~task_lock:* ~{task_lock:job}:st &task_lock:*";
    let server = Server::with()
        .user(&format!("job on >pass {rights}"))
        .start();
    let mut store = open(&server.url().replace("//", "//job:pass@"));
    let mine = claim("a");
    grant(&mut *store, &mine);
    end(&mut *store, &mine, FAILED);
    assert_eq!(server.number(&["EXISTS", RUNS]), 0);
    let last = status(&mut *store, "job").last.unwrap();
    assert_eq!(last.outcome, PastOutcome::Exit(1));
    let error = store.history(&name("job"), TIMEOUT).unwrap_err();
    assert_eq!(error.kind, tasklock::store::StoreErrorKind::Denied);
}

#[test]
fn records_of_another_type_are_left_alone_and_told_of() {
    let (server, mut store) = start();
    server.command(&["SET", RUNS, "theirs"]);
    let mine = claim("a");
    grant(&mut *store, &mine);
    end(&mut *store, &mine, FAILED);
    assert_eq!(server.text(&["GET", RUNS]).as_deref(), Some("theirs"));
    let error = store.history(&name("job"), TIMEOUT).unwrap_err();
    assert!(error.text.contains(":runs"), "{error}");
    server.command(&["DEL", RUNS]);
    let words = ["rubbish", "", "0 1 2", "0 1 - exit:9 - 0 0 - 0 "];
    server.command(&[&["RPUSH", RUNS], &words[..]].concat());
    assert_eq!(outcomes(&mut *store), [PastOutcome::Exit(9)]);
}

#[test]
fn a_run_whose_key_a_recipe_job_took_has_lost_its_lock() {
    let (server, mut store) = start();
    let mine = claim("a");
    grant(&mut *store, &mine);
    server.command(&["SET", KEY, "theirs"]);
    let answer = store.release(&mine, FAILED, TIMEOUT).unwrap();
    assert!(matches!(answer, Release::NotOurs(Some(_))), "{answer:?}");
    let again = store.release(&mine, FAILED, TIMEOUT).unwrap();
    assert!(matches!(again, Release::NotOurs(Some(_))), "{again:?}");
    assert_eq!(outcomes(&mut *store), [PastOutcome::Lost]);
}

#[test]
fn jobs_on_the_recipe_are_listed_once_and_nothing_else_is() {
    let (server, mut store) = start();
    for (key, value) in [
        ("task_lock:recipe", "1"),
        ("task_lock:job", "1"),
        ("task_lock:{x}", "1"),
        ("other:task_lock:x", "1"),
        ("task_lock:", "1"),
        ("{task_lock:wrong}:st", "1"),
    ] {
        server.command(&["SET", key, value]);
    }
    server.command(&["RPUSH", "task_lock:list", "1"]);
    server.command(&["SET", "task_lockX", "1"]);
    // It has a state now as well.
    held(&mut *store, &claim("a"));
    let mut listed = BTreeSet::new();
    let mut tell = |name: &tasklock::store::LockName, status: &tasklock::store::Status| {
        assert!(listed.insert((name.to_string(), status.skips)));
        ControlFlow::Continue(())
    };
    store.list(&Pattern::all(), &mut tell, TIMEOUT).unwrap();
    let expected = [("job", 1), ("recipe", 0)];
    let expected = expected.map(|(name, skips)| (name.to_owned(), skips));
    assert_eq!(listed, BTreeSet::from(expected));
}

#[test]
fn a_look_is_one_request_and_a_list_one_for_each_page_and_lock() {
    let (server, mut store) = start();
    for number in 0..50 {
        let claim = crate::support::store::claim(&format!("job-{number}"), "a");
        let _ = store.acquire(&claim, Ask::default(), TIMEOUT).unwrap();
    }
    let monitor = server.monitor();
    status(&mut *store, "job-1");
    assert_eq!(monitor.names(), ["EVAL"]);
    let mut count = 0;
    let mut tell = |_: &_, _: &_| {
        count += 1;
        ControlFlow::Continue(())
    };
    store.list(&Pattern::all(), &mut tell, TIMEOUT).unwrap();
    assert_eq!(count, 50);
    let names = monitor.names();
    assert!(
        !names.iter().any(|name| name.eq_ignore_ascii_case("keys")),
        "{names:?}"
    );
    let count = |of: &str| {
        names
            .iter()
            .filter(|name| name.eq_ignore_ascii_case(of))
            .count()
    };
    assert_eq!((count("scan"), count("evalsha")), (1, 49));
}

#[test]
fn a_token_of_a_lock_that_never_was_leaves_nothing_behind() {
    let (server, mut store) = start();
    let stranger = claim("a").token;
    let answer = store.give_back(&name("job"), &stranger, TIMEOUT).unwrap();
    assert!(matches!(answer, Release::NotOurs(None)), "{answer:?}");
    server.command(&["SET", KEY, "theirs"]);
    let answer = store.give_back(&name("job"), &stranger, TIMEOUT).unwrap();
    assert!(matches!(answer, Release::NotOurs(Some(_))), "{answer:?}");
    assert_eq!(server.number(&["EXISTS", STATE]), 0);
}
