//! The minimum hold in Redis, where jobs on the recipe are kept out, too; and what runs with once leave.

use std::time::Duration;

use tasklock::store::{Acquire, Ask, Claim, Done, End, Once, Period, Release, Store, Unlock};

use super::{KEY, STATE, claim, start};
use crate::support::store::{
    FAILED, TIMEOUT, end, grant, inspect, open, release, succeeded, unlock,
};

const HOUR: Duration = Duration::from_secs(3600);

fn closing(who: &str) -> Claim {
    Claim {
        min_hold: HOUR,
        ..claim(who)
    }
}

fn hourly(who: &str) -> Claim {
    let per = Period {
        length: HOUR,
        attempts: 2,
    };
    Claim {
        once: Once {
            per: Some(per),
            key: None,
        },
        ..claim(who)
    }
}

#[track_caller]
fn try_once(store: &mut dyn Store, who: &str) -> Acquire {
    store.acquire(&claim(who), Ask::default(), TIMEOUT).unwrap()
}

#[track_caller]
fn cools_down(store: &mut dyn Store) -> Duration {
    match try_once(store, "late") {
        Acquire::CoolingDown { remaining } => remaining,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_minimum_hold_keeps_jobs_on_the_recipe_out() {
    let (server, mut store) = start();
    let mine = closing("a");
    grant(&mut *store, &mine);
    end(&mut *store, &mine, FAILED);
    let recipe = ["SET", KEY, "1", "NX", "EX", "60"];
    assert_eq!(server.command(&recipe), redis::Value::Nil);
    let lasts = server.number(&["PTTL", KEY]);
    assert!((3_500_000..=3_600_000).contains(&lasts), "{lasts}");
    // A stray DEL ends it for them, not for us.
    server.command(&["DEL", KEY]);
    cools_down(&mut *store);
    // A repeated release does not bring it back for them.
    assert_eq!(release(&mut *store, &mine), Release::Released);
    assert_eq!(server.number(&["EXISTS", KEY]), 0);
}

#[test]
fn a_minimum_hold_outlives_the_loss_of_the_state() {
    let (server, mut store) = start();
    let mine = closing("a");
    grant(&mut *store, &mine);
    end(&mut *store, &mine, FAILED);
    server.command(&["DEL", STATE]);
    let left = cools_down(&mut *store);
    assert!(left <= HOUR && left > HOUR / 2, "{left:?}");
    assert!(inspect(&mut *store, "job").cooling_down.is_some());
    assert_eq!(unlock(&mut *store, "job", Unlock::Force), None);
    assert_eq!(server.number(&["EXISTS", KEY]), 0);
    grant(&mut *store, &claim("b"));
}

#[test]
fn a_minimum_hold_is_written_also_where_the_key_is_gone() {
    let (server, mut store) = start();
    let mine = closing("a");
    grant(&mut *store, &mine);
    server.command(&["DEL", KEY]);
    end(&mut *store, &mine, FAILED);
    assert!(server.text(&["GET", KEY]).unwrap().starts_with('~'));
    cools_down(&mut *store);
}

#[test]
fn a_minimum_hold_under_the_key_of_a_recipe_job_leaves_that_key() {
    let (server, mut store) = start();
    let mine = closing("a");
    grant(&mut *store, &mine);
    server.command(&["SET", KEY, "1", "EX", "60"]);
    let answer = release(&mut *store, &mine);
    assert!(matches!(answer, Release::NotOurs(Some(_))), "{answer:?}");
    assert_eq!(server.text(&["GET", KEY]).unwrap(), "1");
    server.command(&["DEL", KEY]);
    cools_down(&mut *store);
}

#[test]
fn a_minimum_hold_survives_a_clock_that_stepped_back_and_is_not_prolonged_by_it() {
    let (server, mut store) = start();
    let mine = closing("a");
    let granted = grant(&mut *store, &mine);
    end(&mut *store, &mine, FAILED);
    let ahead = granted.end_ms + 86_400_000;
    server.command(&["HSET", STATE, "s0", &ahead.to_string()]);
    let cools = (ahead + 3_600_000).to_string();
    server.command(&["HSET", STATE, "c0", &cools]);
    server.command(&["PEXPIRE", KEY, "90000000"]);
    for _ in 0..2 {
        let left = cools_down(&mut *store);
        assert!(left <= HOUR && left > HOUR / 2, "{left:?}");
    }
    assert!(server.number(&["PTTL", KEY]) <= 3_600_000);
}

#[test]
fn a_state_that_cools_down_lives_longer_than_the_cooldown() {
    let (server, mut store) = start();
    let days = |count: i64| count * 24 * 60 * 60;
    let mine = Claim {
        min_hold: Duration::from_secs(90 * 24 * 60 * 60),
        ..claim("a")
    };
    grant(&mut *store, &mine);
    end(&mut *store, &mine, FAILED);
    let rests = server.number(&["TTL", STATE]);
    assert!(rests > days(89), "{rests}");
}

#[test]
fn a_server_without_memory_keeps_a_minimum_hold_and_records_a_success() {
    let (server, mut store) = start();
    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let mut mine = hourly("a");
    mine.min_hold = HOUR;
    grant(&mut *store, &mine);
    let succeeded = succeeded(Duration::ZERO);
    end(&mut *store, &mine, succeeded);
    cools_down(&mut *store);
    unlock(&mut *store, "job", Unlock::Force);
    let answer = store.acquire(&hourly("b"), Ask::default(), TIMEOUT);
    assert!(matches!(answer, Ok(Acquire::Done(_))), "{answer:?}");
}

#[test]
fn a_state_with_a_record_has_no_end_and_one_whose_attempt_was_taken_back_has() {
    let (server, mut store) = start();
    let mine = hourly("a");
    grant(&mut *store, &mine);
    end(&mut *store, &mine, End::Unstarted);
    assert!(server.number(&["TTL", STATE]) > 0);
    let mine = hourly("b");
    grant(&mut *store, &mine);
    end(&mut *store, &mine, FAILED);
    assert_eq!(server.number(&["TTL", STATE]), -1);
    let other = claim("c");
    grant(&mut *store, &other);
    release(&mut *store, &other);
    assert_eq!(server.number(&["TTL", STATE]), -1);
}

#[test]
fn a_success_from_before_the_clock_stepped_back_costs_one_tick_at_most() {
    let (server, mut store) = start();
    let mine = hourly("a");
    let granted = grant(&mut *store, &mine);
    release(&mut *store, &mine);
    let ahead = (granted.end_ms + 86_400_000).to_string();
    server.command(&["HSET", STATE, "os", &ahead]);
    let answer = store.acquire(&hourly("b"), Ask::default(), TIMEOUT);
    assert!(
        matches!(answer, Ok(Acquire::Done(Done::Recently { .. }))),
        "{answer:?}"
    );
    let recorded = server.text(&["HGET", STATE, "os"]).unwrap();
    assert!(recorded.parse::<u64>().unwrap() < granted.end_ms);
}

#[test]
fn a_release_that_came_twice_records_a_success_once() {
    let (server, mut store) = start();
    let mut mine = hourly("a");
    mine.once.key = Some("monday".to_owned());
    grant(&mut *store, &mine);
    let succeeded = succeeded(Duration::ZERO);
    end(&mut *store, &mine, succeeded);
    server.command(&["HDEL", STATE, "os", "ok"]);
    end(&mut *open(&server.unix_url()), &mine, succeeded);
    assert_eq!(server.number(&["HEXISTS", STATE, "os"]), 0);
    assert_eq!(server.number(&["HEXISTS", STATE, "ok"]), 0);
}
