//! Locks of several places: what is written for them, and jobs on the recipe among them.

use std::time::Duration;

use tasklock::store::{Claim, Grant, Loss, Refresh, Release, Store};

use super::{KEY, STATE, claim, start};
use crate::support::store::{
    grant, held, inspect, keep, open, queue, refresh, release, status, wait_for_bell,
};
use crate::support::wait_until;

fn claim_of(slots: u32, who: &str) -> Claim {
    Claim {
        slots,
        ..claim(who)
    }
}

#[track_caller]
fn take(store: &mut dyn Store, slots: u32) -> (Claim, Grant) {
    let mine = claim_of(slots, "a");
    let granted = grant(store, &mine);
    (mine, granted)
}

#[test]
fn only_the_first_place_has_a_key() {
    let (server, mut store) = start();
    let (first, _) = take(&mut *store, 2);
    let (second, granted) = take(&mut *store, 2);
    assert_eq!(granted.slot, 1);
    assert_eq!(server.text(&["GET", KEY]).unwrap(), first.token.as_str());
    assert_eq!(server.text(&["HGET", STATE, "n"]).unwrap(), "2");
    assert_eq!(
        server.text(&["HGET", STATE, "o1"]).unwrap(),
        second.token.as_str()
    );
    release(&mut *store, &first);
    assert_eq!(server.number(&["EXISTS", KEY]), 0);
    assert_eq!(server.number(&["TTL", STATE]), -1);
    release(&mut *store, &second);
    assert!(server.number(&["TTL", STATE]) > 0);
}

#[test]
fn a_job_on_the_recipe_holds_the_first_place() {
    let (server, mut store) = start();
    server.command(&["SET", KEY, "1", "NX", "EX", "60"]);
    held(&mut *store, &claim("a"));
    let (_, granted) = take(&mut *store, 2);
    assert_eq!(granted.slot, 1);
    let slots = status(&mut *store, "job").slots;
    assert_eq!(slots[0].held.as_ref().unwrap().holder, None);
    assert!(slots[1].held.as_ref().unwrap().holder.is_some());
    server.command(&["DEL", KEY]);
    assert_eq!(take(&mut *store, 2).1.slot, 0);
}

#[test]
fn the_places_of_a_lock_that_had_more_are_all_shown() {
    let (server, mut store) = start();
    let mine = claim("a");
    grant(&mut *store, &mine);
    server.command(&["HSET", STATE, "n", "3"]);
    let slots = status(&mut *store, "job").slots;
    assert_eq!(slots.len(), 3);
    assert!(slots[0].held.is_some() && slots[2].held.is_none());
    release(&mut *store, &mine);
    assert!(server.number(&["TTL", STATE]) > 0);
}

#[test]
fn a_place_without_a_key_is_lost_and_taken_again_like_the_first() {
    let (server, mut store) = start();
    let mut others = open(&server.unix_url());
    take(&mut *store, 2);
    let (mine, granted) = take(&mut *store, 2);
    // Lost data: written again while the lease runs, for this place alone.
    server.command(&["FLUSHALL"]);
    let Refresh::Retaken(again) = refresh(&mut *store, &mine, &granted) else {
        panic!("not retaken");
    };
    assert_eq!((again.slot, again.fence), (1, granted.fence));
    assert_eq!(server.number(&["EXISTS", KEY]), 0);
    assert_eq!(status(&mut *store, "job").slots.len(), 2);
    keep(&mut *store, &mine, &again);
    // With the data and the lease gone it is lost.
    server.command(&["FLUSHALL"]);
    let ended = Grant { end_ms: 1, ..again };
    let answer = refresh(&mut *store, &mine, &ended);
    assert_eq!(answer, Refresh::Lost(Loss::Expired));
    assert_eq!(release(&mut *store, &mine), Release::Forgotten);

    take(&mut *store, 2);
    let brief = Claim {
        ttl: Duration::from_millis(40),
        ..claim_of(2, "b")
    };
    let granted = grant(&mut *store, &brief);
    wait_until(|| status(&mut *others, "job").slots[1].held.is_none());
    let answer = refresh(&mut *store, &brief, &granted);
    assert_eq!(answer, Refresh::Lost(Loss::Expired));
    let (next, _) = take(&mut *others, 2);
    match refresh(&mut *store, &brief, &granted) {
        Refresh::Lost(Loss::TakenOver(seen)) => assert_eq!(seen.holder, Some(next.holder.clone())),
        other => panic!("{other:?}"),
    }
    let answer = release(&mut *store, &brief);
    assert!(matches!(answer, Release::NotOurs(Some(_))), "{answer:?}");
    release(&mut *others, &next);
    let answer = refresh(&mut *store, &brief, &granted);
    assert_eq!(answer, Refresh::Lost(Loss::FenceMoved));
}

#[test]
fn another_store_finds_the_place_of_a_token() {
    let (server, mut store) = start();
    take(&mut *store, 3);
    take(&mut *store, 3);
    let (mine, granted) = take(&mut *store, 3);
    assert_eq!(granted.slot, 2);
    assert_eq!(
        release(&mut *open(&server.unix_url()), &mine),
        Release::Released
    );
    assert!(status(&mut *store, "job").slots[2].held.is_none());
}

#[test]
fn more_time_left_on_any_place_than_was_granted_is_cut_to_one_ttl() {
    let (server, mut store) = start();
    take(&mut *store, 2);
    let (mine, granted) = take(&mut *store, 2);
    let ahead = (granted.end_ms + 86_400_000).to_string();
    server.command(&["HSET", STATE, "e1", &ahead]);
    held(&mut *store, &claim_of(2, "late"));
    let seen = status(&mut *store, "job").slots[1].held.clone();
    assert!(seen.unwrap().remaining.unwrap() <= mine.ttl);
}

#[test]
fn a_place_that_frees_tells_the_first_that_can_use_it() {
    let (server, mut store) = start();
    let (low, _) = take(&mut *store, 2);
    let (high, _) = take(&mut *store, 2);
    let mut few = (open(&server.unix_url()), claim_of(1, "few"));
    let mut many = (open(&server.unix_url()), claim_of(2, "many"));
    queue(&mut *few.0, &few.1);
    queue(&mut *many.0, &many.1);
    release(&mut *store, &high);
    wait_for_bell(&*many.0);
    assert_eq!(grant(&mut *many.0, &many.1).slot, 1);
    release(&mut *store, &low);
    wait_for_bell(&*few.0);
    assert_eq!(grant(&mut *few.0, &few.1).slot, 0);
}

#[test]
fn a_line_moves_on_past_one_that_waits_for_another_place() {
    let (server, mut store) = start();
    take(&mut *store, 1);
    let (mut holder, _) = take(&mut *store, 2);
    let mut few = (open(&server.unix_url()), claim_of(1, "few"));
    queue(&mut *few.0, &few.1);
    // Far more tickets than one script looks at pass behind its back.
    server.command(&["HSET", STATE, "q", "990"]);
    for _ in 0..50 {
        let mut many = (open(&server.unix_url()), claim_of(2, "many"));
        queue(&mut *many.0, &many.1);
        release(&mut *store, &holder);
        wait_for_bell(&*many.0);
        grant(&mut *many.0, &many.1);
        (store, holder) = many;
    }
    queue(&mut *few.0, &few.1);
}

#[test]
fn a_thousand_places_are_told_and_the_last_is_freed_and_taken() {
    let (server, mut store) = start();
    let (first, granted) = take(&mut *store, 1000);
    // The others are held as the first is, by details of the longest kind.
    let who = "x".repeat(4000);
    let details = format!("{{\"id\":\"1\",\"pid\":1,\"who\":\"{who}\"}}");
    let end = granted.end_ms.to_string();
    let mut fields = vec!["n".to_owned(), "1000".to_owned()];
    for number in 1..1000 {
        for (field, value) in [
            ("o", &*format!("t{number}")),
            ("e", &*end),
            ("h", &*details),
        ] {
            fields.extend([format!("{field}{number}"), value.to_owned()]);
        }
    }
    let mut command = vec!["HSET", STATE];
    command.extend(fields.iter().map(String::as_str));
    server.command(&command);
    held(&mut *store, &claim_of(1000, "late"));
    let slots = status(&mut *store, "job").slots;
    assert_eq!(slots.len(), 1000);
    assert_eq!(slots[0].held.as_ref().unwrap().holder, Some(first.holder));
    let last = slots[999].held.as_ref().unwrap();
    assert_eq!(last.holder.as_ref().unwrap().who.len(), 4000);
    server.command(&["HSET", STATE, "e999", "1"]);
    assert_eq!(take(&mut *store, 1000).1.slot, 999);
}

#[test]
fn one_place_is_all_that_a_run_without_slots_sees() {
    let (_server, mut store) = start();
    let (mine, _) = take(&mut *store, 1);
    assert!(inspect(&mut *store, "job").held.is_some());
    release(&mut *store, &mine);
}
