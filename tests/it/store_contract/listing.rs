//! Which locks there are.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use tasklock::store::pattern::Pattern;
use tasklock::store::{Claim, Status, Store};

use super::Place;
use crate::support::store::{FAILED, TIMEOUT, claim, end, grant, held, queue, status};

/// What is told of, by name.
#[track_caller]
fn list(store: &mut dyn Store, pattern: &str) -> BTreeMap<String, Status> {
    let mut listed = BTreeMap::new();
    let mut tell = |name: &tasklock::store::LockName, status: &Status| {
        let twice = listed.insert(name.to_string(), status.clone());
        assert_eq!(twice, None, "{name} is told of twice");
        ControlFlow::Continue(())
    };
    store
        .list(&Pattern::new(pattern), &mut tell, TIMEOUT)
        .unwrap();
    listed
}

#[track_caller]
fn names(store: &mut dyn Store, pattern: &str) -> Vec<String> {
    list(store, pattern).into_keys().collect()
}

pub(super) fn where_nothing_is_remembered_there_are_no_locks(place: &Place) {
    assert_eq!(names(&mut *place.open(), "*"), [""; 0]);
}

pub(super) fn every_lock_is_listed_with_its_status(place: &Place) {
    let (mut store, mut others) = place.open_two();
    let many = Claim {
        slots: 3,
        ..claim("many", "a")
    };
    grant(&mut *store, &many);
    grant(
        &mut *others,
        &Claim {
            slots: 3,
            ..claim("many", "b")
        },
    );
    grant(&mut *store, &claim("job", "a"));
    held(&mut *others, &claim("job", "b"));
    queue(&mut *others, &claim("job", "c"));
    let past = claim("past", "a");
    grant(&mut *store, &past);
    end(&mut *store, &past, FAILED);
    let listed = list(&mut *place.open(), "*");
    let expected = ["job", "many", "past"];
    assert_eq!(listed.keys().collect::<Vec<_>>(), expected);
    for name in expected {
        let told = status(&mut *store, name);
        let (listed, told) = (&listed[name], &told);
        let holders = |status: &Status| -> Vec<_> {
            let held = |slot: &tasklock::store::Slot| slot.held.clone();
            let held = status.slots.iter().map(held);
            held.map(|held| held.and_then(|held| held.holder)).collect()
        };
        assert_eq!(holders(listed), holders(told), "{name}");
        assert_eq!(listed.waiting, told.waiting, "{name}");
        assert_eq!((&listed.last, listed.skips), (&told.last, told.skips));
    }
}

pub(super) fn a_pattern_chooses_among_the_names(place: &Place) {
    let mut store = place.open();
    for name in ["backup-a", "backup-b", "*", "a[b]", "ü"] {
        grant(&mut *store, &claim(name, "a"));
    }
    assert_eq!(names(&mut *store, "backup-?"), ["backup-a", "backup-b"]);
    assert_eq!(names(&mut *store, "*-b"), ["backup-b"]);
    assert_eq!(names(&mut *store, "\\*"), ["*"]);
    assert_eq!(names(&mut *store, "a\\[b]"), ["a[b]"]);
    assert_eq!(names(&mut *store, "?").len(), 2);
    assert_eq!(names(&mut *store, "backup"), [""; 0]);
}

pub(super) fn long_and_hostile_names_are_listed_as_they_are(place: &Place) {
    let mut store = place.open();
    let mut all = vec![
        "x".repeat(200),
        "ü".repeat(200),
        "a b/../%2F\"'`$\\".to_owned(),
        "job:st".to_owned(),
        "a.lock".to_owned(),
        ".".to_owned(),
        "\u{202e}x".to_owned(),
    ];
    for name in &all {
        let claim = claim(name, "a");
        grant(&mut *store, &claim);
        end(&mut *store, &claim, FAILED);
    }
    all.sort();
    assert_eq!(names(&mut *store, "*"), all);
}

pub(super) fn a_list_ends_when_it_is_told_to(place: &Place) {
    let mut store = place.open();
    for number in 0..20 {
        grant(&mut *store, &claim(&format!("job-{number}"), "a"));
    }
    assert_eq!(names(&mut *store, "*").len(), 20);
    let mut told = 0;
    let mut tell = |_: &_, _: &_| {
        told += 1;
        match told {
            5 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    };
    store.list(&Pattern::all(), &mut tell, TIMEOUT).unwrap();
    assert_eq!(told, 5);
}
