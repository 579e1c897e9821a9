//! A lock in words: one line where there is little to say, more below it for
//! places, waiters and the last run.

use crate::commands::outcome;
use crate::commands::state::{State, taken};
use crate::commands::table::{Look, paint};
use crate::duration::show;
use crate::message::{escape, held_text_at, who_and_what};
use crate::store::past::PastRun;
use crate::store::{Slot, Status, Waiter};
use crate::terminal::Colour;
use crate::wall::Wall;

/// The lines about the lock `name`.
pub(super) fn lines(name: &str, status: &Status, wall: &Wall, colour: Colour) -> Vec<String> {
    let name = escape(name);
    let waiting = match status.waiting {
        Some(count) if count > 0 => format!(", {count} waiting"),
        _ => String::new(),
    };
    let mut lines = if let [slot] = status.slots.as_slice() {
        vec![format!(
            "{name}: {}{waiting}",
            slot_text(slot, wall, colour)
        )]
    } else {
        let (taken, all) = (taken(status), status.slots.len());
        vec![format!("{name}: {taken} of {all} places taken{waiting}")]
    };
    if status.slots.len() > 1 {
        let places = status.slots.iter().enumerate();
        lines.extend(places.map(|(number, slot)| {
            format!("{name} slot {number}: {}", slot_text(slot, wall, colour))
        }));
    }
    lines.extend(
        status
            .waiters
            .iter()
            .map(|waiter| waiter_text(waiter, wall)),
    );
    let untold = u64::from(status.waiting.unwrap_or(0)).saturating_sub(status.waiters.len() as u64);
    if untold > 0 && !status.waiters.is_empty() {
        lines.push(format!("  and {untold} more in line"));
    }
    if let Some(last) = &status.last {
        lines.push(last_text(last, wall, colour));
        if !last.outcome.is_success() {
            lines.push(match status.last_success {
                Some(age) => format!("  last success {} ago ({})", show(age), wall.ago(age)),
                None => "  no success is remembered".to_owned(),
            });
        }
    }
    if status.skips > 0 {
        let text = format!("{} skipped since the last start", status.skips);
        lines.push(format!("  {}", paint(&text, Look::Notable, colour)));
    }
    lines
}

fn slot_text(slot: &Slot, wall: &Wall, colour: Colour) -> String {
    let state = State::of_slot(slot);
    // A job that leaves no details has no fence: the last one is another's.
    let named = slot.held.as_ref().is_some_and(|held| held.holder.is_some());
    let word = if named { "fence" } else { "last fence" };
    let fence = slot
        .fence
        .map_or_else(String::new, |fence| format!(", {word} {fence}"));
    let text = match (&slot.held, slot.cooling_down) {
        (Some(held), _) => held_text_at(held, wall) + &fence,
        (None, Some(left)) => format!("cooling down for another {}", show(left)),
        (None, None) => "free".to_owned() + &fence,
    };
    match text.split_once(' ') {
        Some((first, rest)) => format!("{} {rest}", paint(first, state.look(), colour)),
        None => paint(&text, state.look(), colour),
    }
}

/// `  1 in line: root@web4 pid 99 (./backup.sh) since 02:10:00 (4m)`
fn waiter_text(waiter: &Waiter, wall: &Wall) -> String {
    let who = waiter.holder.as_ref();
    let who = who.map_or_else(|| "somebody".to_owned(), who_and_what);
    let since = waiter.age.map_or_else(String::new, |age| {
        format!(" since {} ({})", wall.ago(age), show(age))
    });
    let reason = waiter.holder.as_ref().and_then(|it| it.reason.as_ref());
    let reason = reason.map_or_else(String::new, |text| format!(", reason: {}", escape(text)));
    format!("  {} in line: {who}{since}{reason}", waiter.place)
}

/// `  last run: ok in 14m, began 02:00:03 (3h ago) by root@web3 pid 4121 (./backup.sh)`
fn last_text(last: &PastRun, wall: &Wall, colour: Colour) -> String {
    let outcome = outcome::text(last.outcome);
    let outcome = paint(&outcome, outcome::look(last.outcome), colour);
    let lasted = last
        .lasted
        .map_or_else(String::new, |lasted| format!(" in {}", show(lasted)));
    let age = wall.since(last.started_ms);
    let who = match last.holder.pid {
        0 => escape(&last.holder.who),
        _ => who_and_what(&last.holder),
    };
    format!(
        "  last run: {outcome}{lasted}, began {} ({} ago) by {who}",
        wall.ago(age),
        show(age)
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::past::PastOutcome;
    use crate::store::{Fence, Held, Holder};

    fn wall() -> Wall {
        let now = "2026-11-23T02:14:03Z".parse().unwrap();
        Wall::at(now, jiff::tz::TimeZone::UTC)
    }

    fn shown(status: &Status) -> String {
        lines("backup", status, &wall(), Colour::No).join("\n")
    }

    fn holder(host: &str, pid: u32) -> Holder {
        Holder {
            id: "0011223344556677".into(),
            who: format!("root@{host}"),
            pid,
            command: "./backup.sh".into(),
            reason: None,
        }
    }

    fn held() -> Slot {
        Slot {
            held: Some(Held {
                holder: Some(Holder {
                    reason: Some("nightly".into()),
                    ..holder("web3", 4121)
                }),
                age: Some(Duration::from_secs(14 * 60)),
                remaining: Some(Duration::from_secs(52)),
                revoked: false,
            }),
            fence: Some(Fence(7)),
            cooling_down: None,
        }
    }

    fn past(outcome: PastOutcome) -> PastRun {
        PastRun {
            holder: holder("web4", 99),
            fence: Some(Fence(6)),
            slot: 0,
            started_ms: 1_795_312_803_000, // 2026-11-22T02:00:03Z
            lasted: Some(Duration::from_secs(840)),
            outcome,
            skips: 0,
        }
    }

    #[test]
    fn a_lock_with_nothing_more_to_say_is_one_line() {
        let free = Status {
            slots: vec![Slot::default()],
            waiting: Some(0),
            ..Status::default()
        };
        assert_eq!(shown(&free), "backup: free");
        let held = Status {
            slots: vec![held()],
            ..free
        };
        assert_eq!(
            shown(&held),
            "backup: held by root@web3 pid 4121 (./backup.sh) since 02:00:03 (14m), \
             lease ends in 52s, reason: nightly, fence 7"
        );
    }

    #[test]
    fn waiters_the_last_run_and_what_was_skipped_stand_below() {
        let status = Status {
            slots: vec![held()],
            waiting: Some(3),
            waiters: vec![
                Waiter {
                    holder: Some(holder("web4", 99)),
                    place: 1,
                    age: Some(Duration::from_secs(240)),
                },
                Waiter {
                    holder: None,
                    place: 2,
                    age: None,
                },
            ],
            last: Some(past(PastOutcome::Exit(3))),
            last_success: Some(Duration::from_secs(2 * 86_400)),
            skips: 2,
        };
        let shown = shown(&status);
        let (first, rest) = shown.split_once('\n').unwrap();
        assert!(first.ends_with("fence 7, 3 waiting"), "{first}");
        assert_eq!(
            rest,
            "  1 in line: root@web4 pid 99 (./backup.sh) since 02:10:03 (4m)\n  \
               2 in line: somebody\n  \
               and 1 more in line\n  \
               last run: exit 3 in 14m, began 2026-11-22 02:00:03 (1d ago) by root@web4 pid 99 (./backup.sh)\n  \
               last success 2d ago (2026-11-21 02:14:03)\n  \
               2 skipped since the last start"
        );
    }

    #[test]
    fn each_place_of_several_has_a_line() {
        let cooling = Slot {
            cooling_down: Some(Duration::from_secs(40)),
            ..Slot::default()
        };
        let status = Status {
            slots: vec![Slot::default(), cooling, held()],
            last: Some(past(PastOutcome::Exit(0))),
            ..Status::default()
        };
        let shown = shown(&status);
        let shown: Vec<&str> = shown.lines().collect();
        assert_eq!(shown[0], "backup: 2 of 3 places taken");
        assert_eq!(shown[1], "backup slot 0: free");
        assert_eq!(shown[2], "backup slot 1: cooling down for another 40s");
        assert!(shown[3].starts_with("backup slot 2: held by root@web3 "));
        assert!(shown[4].starts_with("  last run: ok in 14m, "));
        assert_eq!(shown.len(), 5);
    }

    #[test]
    fn nothing_that_others_wrote_steers_the_terminal() {
        let evil = Holder {
            who: "a\x1b[2J".into(),
            command: "b\x07".into(),
            reason: Some("c\r".into()),
            pid: 1,
            ..Holder::default()
        };
        let mut status = Status {
            slots: vec![held()],
            waiters: vec![Waiter {
                holder: Some(evil.clone()),
                place: 1,
                age: None,
            }],
            last: Some(PastRun {
                holder: evil,
                ..past(PastOutcome::Lost)
            }),
            ..Status::default()
        };
        status.slots[0].held.as_mut().unwrap().holder = status.waiters[0].holder.clone();
        let lines = lines("n\x1b", &status, &wall(), Colour::No);
        assert!(lines.iter().all(|line| !line.contains(char::is_control)));
    }

    #[test]
    fn colour_marks_the_state_alone() {
        let status = Status {
            slots: vec![held()],
            ..Status::default()
        };
        let lines = lines("backup", &status, &wall(), Colour::Yes);
        assert!(lines[0].starts_with("backup: \x1b[32mheld\x1b[0m by root@web3 "));
    }
}
