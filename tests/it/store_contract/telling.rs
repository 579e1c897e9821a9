//! What is told of a lock and its holder, and how locks are told apart.

use std::time::Duration;

use tasklock::store::{Acquire, Ask, Claim, Holder, Release, Store};

use super::Place;
use crate::support::store::{TIMEOUT, claim, grant, held, inspect, keep, release};

pub(super) fn looking_changes_nothing(place: &Place) {
    let (mut store, mut others) = place.open_two();
    let mine = claim("job", "a");
    let look = |others: &mut dyn Store| {
        let status = inspect(others, "job");
        let holder = status.held.as_ref().and_then(|held| held.holder.clone());
        (status.fence, status.held.is_some(), holder)
    };
    for _ in 0..2 {
        assert_eq!(look(&mut *others), (None, false, None));
    }
    let granted = grant(&mut *store, &mine);
    let fence = Some(granted.fence);
    for _ in 0..2 {
        assert_eq!(look(&mut *others), (fence, true, Some(mine.holder.clone())));
    }
    let kept = keep(&mut *store, &mine, &granted);
    assert_eq!(kept.fence, granted.fence);
    assert_eq!(release(&mut *store, &mine), Release::Released);
    for _ in 0..2 {
        assert_eq!(look(&mut *others), (fence, false, None));
    }
    assert_eq!(
        store.acquire(&mine, Ask::default(), TIMEOUT),
        Ok(Acquire::Withdrawn)
    );
}

pub(super) fn locks_of_hostile_names_are_independent(place: &Place) {
    let long = "x".repeat(200);
    let wide = "ü".repeat(200);
    let names = [
        "job",
        "Job",
        "job ",
        " job",
        "job*",
        "*",
        "?",
        "[a-z]",
        "'",
        "\"",
        "`",
        "$(id)",
        "\\",
        "a b",
        "a/b",
        "/",
        ".",
        "..",
        "../job",
        "../../etc/passwd",
        "%2e%2e",
        "-rf",
        ":",
        "job:st",
        "ü",
        "u\u{308}",
        "日本語",
        "🔒",
        "\u{202e}bj",
        &long[1..],
        &long,
        &wide,
    ];
    let mut store = place.open();
    let claims: Vec<Claim> = names.iter().map(|name| claim(name, name)).collect();
    let mut grants: Vec<_> = claims.iter().map(|one| grant(&mut *store, one)).collect();
    let mut others = place.open();
    for (mine, granted) in claims.iter().zip(&mut grants) {
        let seen = held(&mut *others, &claim(mine.name.as_str(), "other"));
        assert_eq!(seen.holder, Some(mine.holder.clone()));
        *granted = keep(&mut *store, mine, granted);
    }
    // Each release frees one, and only that.
    for (place, mine) in claims.iter().enumerate() {
        assert_eq!(release(&mut *store, mine), Release::Released);
        for (later, granted) in claims.iter().zip(&grants).skip(place + 1) {
            keep(&mut *store, later, granted);
        }
        assert_eq!(inspect(&mut *others, mine.name.as_str()).held, None);
    }
}

pub(super) fn the_details_of_a_holder_come_back_exactly(place: &Place) {
    let (mut store, mut others) = place.open_two();
    // Cut to this length where a run begins; what it does to a terminal is the printer's business.
    let nasty = "\u{1b}[2J\r\n\t\0\u{7f}\u{9b}\"'\\{}%s $(id) \u{202e}ü日本🔒…";
    let mine = Claim {
        holder: Holder {
            id: "fedcba9876543210".to_owned(),
            who: format!("{nasty}@web1"),
            pid: u32::MAX,
            command: nasty.repeat(120 / nasty.chars().count()),
            reason: Some(format!("{nasty} {}", "r".repeat(300))),
        },
        ttl: Duration::from_secs(3600),
        ..claim("job", "")
    };
    grant(&mut *store, &mine);
    assert_eq!(
        held(&mut *others, &claim("job", "b")).holder,
        Some(mine.holder.clone())
    );
    assert_eq!(
        inspect(&mut *others, "job").held.unwrap().holder,
        Some(mine.holder)
    );
}

pub(super) fn a_holder_without_details_is_a_holder(place: &Place) {
    let (mut store, mut others) = place.open_two();
    let mine = Claim {
        holder: Holder::default(),
        ..claim("job", "")
    };
    grant(&mut *store, &mine);
    let seen = held(&mut *others, &claim("job", "b"));
    assert_eq!(seen.holder, Some(Holder::default()));
}
