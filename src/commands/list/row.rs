//! A lock as a row of a table.

use std::time::Duration;

use crate::commands::outcome;
use crate::commands::state::{State, taken};
use crate::commands::table::{Cell, Look};
use crate::duration::show;
use crate::message::{escape, who_and_what};
use crate::store::past::PastRun;
use crate::store::{Held, LockName, Status};
use crate::wall::Wall;

pub(super) const HEADER: [&str; 8] = [
    "NAME", "STATE", "HOLDER", "SINCE", "LEASE", "WAITING", "LAST RUN", "SKIPS",
];

/// How many of them are shown on the narrowest terminal: up to `SINCE`.
pub(super) const WANTED: usize = 4;

/// A row, and the name it is sorted by.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) cells: [Cell; HEADER.len()],
}

impl Row {
    pub(super) fn of(name: &LockName, status: &Status, wall: &Wall) -> Row {
        let state = State::of(status);
        let held = status.slots.iter().filter_map(|slot| slot.held.as_ref());
        // Of several holders the one who has been there longest is told of.
        let oldest = held.clone().max_by_key(|held| held.age);
        let others = held.count().saturating_sub(1);
        let since = oldest.and_then(|held| held.age);
        let lease = oldest.and_then(|held| held.remaining);
        let cooling = status.slots.iter().filter_map(|slot| slot.cooling_down);
        let left = lease.or(cooling.max());
        let (last, look) = status
            .last
            .as_ref()
            .map(|last| (last_text(last, wall), outcome::look(last.outcome)))
            .unwrap_or_default();
        Row {
            name: name.as_str().to_owned(),
            cells: [
                escape(name.as_str()).into(),
                Cell::new(state_text(state, status), state.look()),
                oldest
                    .map_or_else(String::new, |held| holder_text(held, others))
                    .into(),
                since
                    .map_or_else(String::new, |age| since_text(age, wall))
                    .into(),
                left.map_or_else(String::new, show).into(),
                Cell::new(count(status.waiting.unwrap_or(0)), Look::Notable),
                Cell::new(last, look),
                Cell::new(count(status.skips), Look::Notable),
            ],
        }
    }
}

/// `held`, and of several places how many are taken: `free 2/4`
fn state_text(state: State, status: &Status) -> String {
    match status.slots.len() {
        0 | 1 => state.text().to_owned(),
        all => format!("{} {}/{all}", state.text(), taken(status)),
    }
}

fn holder_text(held: &Held, others: usize) -> String {
    let holder = held.holder.as_ref();
    let holder = holder.map_or_else(|| "a job that leaves no details".to_owned(), who_and_what);
    match others {
        0 => holder,
        others => format!("{holder} and {others} more"),
    }
}

fn since_text(age: Duration, wall: &Wall) -> String {
    format!("{} ({})", wall.ago(age), show(age))
}

/// `ok 3h ago`
fn last_text(last: &PastRun, wall: &Wall) -> String {
    let lasted = last.lasted.unwrap_or_default();
    let age = wall.since(last.started_ms).saturating_sub(lasted);
    format!("{} {} ago", outcome::text(last.outcome), show(age))
}

/// What is not there is not shown.
fn count(count: u32) -> String {
    match count {
        0 => String::new(),
        count => count.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::table;
    use crate::store::past::PastOutcome;
    use crate::store::{Fence, Holder, Slot};

    fn row(name: &str, status: &Status) -> String {
        let now = "2026-11-23T02:14:03Z".parse().unwrap();
        let wall = Wall::at(now, jiff::tz::TimeZone::UTC);
        let name = LockName::new(name).unwrap();
        table::tabs(&Row::of(&name, status, &wall).cells)
    }

    fn held(host: &str, minutes: u64) -> Slot {
        Slot {
            held: Some(Held {
                holder: Some(Holder {
                    who: format!("root@{host}"),
                    pid: 4121,
                    command: "./backup.sh".into(),
                    ..Holder::default()
                }),
                age: Some(Duration::from_secs(minutes * 60)),
                remaining: Some(Duration::from_secs(52)),
                revoked: false,
            }),
            fence: Some(Fence(7)),
            cooling_down: None,
        }
    }

    #[test]
    fn a_row_tells_who_since_when_and_how_it_went_before() {
        let status = Status {
            slots: vec![held("web3", 14)],
            waiting: Some(2),
            last: Some(PastRun {
                holder: Holder::default(),
                fence: None,
                slot: 0,
                started_ms: 1_795_312_803_000, // 2026-11-22T02:00:03Z
                lasted: Some(Duration::from_secs(840)),
                outcome: PastOutcome::Exit(3),
                skips: 0,
            }),
            skips: 3,
            ..Status::default()
        };
        assert_eq!(
            row("backup", &status),
            "backup\theld\troot@web3 pid 4121 (./backup.sh)\t02:00:03 (14m)\t52s\t2\texit 3 1d ago\t3"
        );
        let free = Status {
            slots: vec![Slot::default()],
            ..Status::default()
        };
        assert_eq!(row("x", &free), "x\tfree\t-\t-\t-\t-\t-\t-");
    }

    #[test]
    fn of_several_places_the_oldest_holder_is_told_of() {
        let status = Status {
            slots: vec![held("web1", 1), held("web2", 5), Slot::default()],
            ..Status::default()
        };
        let row = row("gpu", &status);
        assert!(
            row.starts_with("gpu\tfree 2/3\troot@web2 pid 4121 (./backup.sh) and 1 more\t02:09:03"),
            "{row}"
        );
    }
}
