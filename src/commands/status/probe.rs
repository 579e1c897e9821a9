//! `--max-age`: the one line that a monitoring system shows (the words and the
//! exit codes 0 and 1 are those of Nagios' plugins).

use std::time::Duration;

use crate::commands::outcome;
use crate::duration::show;
use crate::message::escape;
use crate::store::Status;
use crate::wall::Wall;

/// What a probe found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Probe {
    /// The last success is recent enough.
    pub(super) passed: bool,
    /// One line about it.
    pub(super) line: String,
}

/// Whether the last success ended less than `limit` ago.
pub(super) fn look(name: &str, status: &Status, limit: Duration, wall: &Wall) -> Probe {
    let passed = status.last_success.is_some_and(|age| age < limit);
    let word = if passed { "OK" } else { "WARNING" };
    let limit = show(limit);
    let mut facts = vec![match status.last_success {
        Some(age) if passed => format!("last success {} ago ({})", show(age), wall.ago(age)),
        Some(age) => format!(
            "last success {} ago ({}), limit {limit}",
            show(age),
            wall.ago(age)
        ),
        None => format!("no success is remembered, limit {limit}"),
    }];
    if let Some(last) = &status.last
        && !last.outcome.is_success()
    {
        facts.push(format!("last run: {}", outcome::text(last.outcome)));
    }
    if status.skips > 0 {
        facts.push(format!("{} skipped since the last start", status.skips));
    }
    let held = status.slots.iter().filter_map(|slot| slot.held.as_ref());
    if let Some(age) = held.filter_map(|held| held.age).max() {
        facts.push(format!("held for {}", show(age)));
    }
    Probe {
        passed,
        line: format!("{word}: {}: {}", escape(name), facts.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::past::{PastOutcome, PastRun};
    use crate::store::{Held, Holder, Slot};

    const HOUR: Duration = Duration::from_secs(3600);

    fn probe(status: &Status) -> Probe {
        let now = "2026-11-23T12:00:00Z".parse().unwrap();
        let wall = Wall::at(now, jiff::tz::TimeZone::UTC);
        look("backup", status, 26 * HOUR, &wall)
    }

    #[test]
    fn a_success_within_the_limit_is_ok() {
        let found = probe(&Status {
            last_success: Some(3 * HOUR),
            ..Status::default()
        });
        assert!(found.passed);
        assert_eq!(found.line, "OK: backup: last success 3h ago (09:00:00)");
    }

    #[test]
    fn an_old_success_or_none_is_a_warning_that_says_what_is_wrong() {
        let found = probe(&Status {
            slots: vec![Slot {
                held: Some(Held {
                    age: Some(20 * HOUR),
                    ..Held::default()
                }),
                ..Slot::default()
            }],
            last: Some(PastRun {
                holder: Holder::default(),
                fence: None,
                slot: 0,
                started_ms: 0,
                lasted: None,
                outcome: PastOutcome::Exit(3),
                skips: 0,
            }),
            last_success: Some(26 * HOUR),
            skips: 4,
            ..Status::default()
        });
        assert!(!found.passed);
        assert_eq!(
            found.line,
            "WARNING: backup: last success 1d2h ago (2026-11-22 10:00:00), limit 1d2h; \
             last run: exit 3; 4 skipped since the last start; held for 20h"
        );
        let never = probe(&Status::default());
        assert!(!never.passed);
        assert_eq!(
            never.line,
            "WARNING: backup: no success is remembered, limit 1d2h"
        );
    }
}
