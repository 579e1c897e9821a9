//! Prometheus' text exposition format, version 0.0.4
//! (prometheus.io/docs/instrumenting/exposition_formats): the samples of a
//! metric stand together, so that a few numbers of each lock are kept until all are known.

use std::time::Duration;

use crate::commands::outcome;
use crate::store::past::PastRun;
use crate::store::{LockName, Status};
use crate::wall::Wall;

/// What a metric says of a lock. None: there is no sample of it.
type Value = fn(&Lock) -> Option<f64>;

/// Name, help and value of each metric. All are gauges: none only grows, as a
/// store may forget.
const METRICS: [(&str, &str, Value); 11] = [
    (
        "tasklock_lock_held",
        "How many places of the lock are held.",
        |lock| Some(lock.held),
    ),
    (
        "tasklock_lock_slots",
        "How many places of the lock were ever used.",
        |lock| Some(lock.slots),
    ),
    (
        "tasklock_lock_held_since_timestamp_seconds",
        "When the lock was taken that is held, of several the oldest hold.",
        |lock| lock.held_since,
    ),
    (
        "tasklock_lock_fence",
        "The largest fence that was granted.",
        |lock| lock.fence,
    ),
    (
        "tasklock_lock_waiting",
        "How many runs stand in line.",
        |lock| lock.waiting,
    ),
    (
        "tasklock_lock_last_run_success",
        "Whether the last run that ended succeeded.",
        |lock| lock.last_success,
    ),
    (
        "tasklock_lock_last_run_exit_code",
        "The exit code of the last run that ended, if it had one.",
        |lock| lock.last_exit,
    ),
    (
        "tasklock_lock_last_run_duration_seconds",
        "How long the last run that ended held the lock.",
        |lock| lock.last_duration,
    ),
    (
        "tasklock_lock_last_run_start_timestamp_seconds",
        "When the last run that ended was granted the lock.",
        |lock| lock.last_start,
    ),
    (
        "tasklock_lock_last_success_timestamp_seconds",
        "When the last run that succeeded ended.",
        |lock| lock.success_at,
    ),
    (
        "tasklock_lock_skips",
        "How many runs were skipped since the lock was last granted.",
        |lock| Some(lock.skips),
    ),
];

/// The numbers of one lock.
#[derive(Clone, Debug, Default)]
pub(super) struct Lock {
    name: String,
    held: f64,
    slots: f64,
    held_since: Option<f64>,
    fence: Option<f64>,
    waiting: Option<f64>,
    last_success: Option<f64>,
    last_exit: Option<f64>,
    last_duration: Option<f64>,
    last_start: Option<f64>,
    success_at: Option<f64>,
    skips: f64,
}

impl Lock {
    pub(super) fn of(name: &LockName, status: &Status, wall: &Wall) -> Lock {
        let held = status.slots.iter().filter_map(|slot| slot.held.as_ref());
        let seconds_ago = |age| wall.unix_seconds_ago(age) as f64;
        let last = status.last.as_ref();
        Lock {
            name: name.as_str().to_owned(),
            held: held.clone().count() as f64,
            slots: status.slots.len() as f64,
            held_since: held.filter_map(|held| held.age).max().map(seconds_ago),
            // A fence is far below 2^53, beyond which a float has gaps.
            fence: status
                .slots
                .iter()
                .filter_map(|slot| slot.fence)
                .max()
                .map(|fence| fence.0 as f64),
            waiting: status.waiting.map(f64::from),
            last_success: last.map(|last| f64::from(u8::from(last.outcome.is_success()))),
            last_exit: last
                .and_then(|last| outcome::exit_code(last.outcome))
                .map(f64::from),
            last_duration: last
                .and_then(|last| last.lasted)
                .map(|lasted| lasted.as_secs_f64()),
            last_start: last.map(|last| (last.started_ms / 1000) as f64),
            success_at: success_at(last).or(status.last_success.map(seconds_ago)),
            skips: f64::from(status.skips),
        }
    }
}

/// When the last run ended, if it succeeded. Unlike a time that is reckoned back
/// from now, it is the same whenever it is asked for.
fn success_at(last: Option<&PastRun>) -> Option<f64> {
    let last = last.filter(|last| last.outcome.is_success())?;
    let started = Duration::from_millis(last.started_ms);
    Some((started + last.lasted?).as_secs() as f64)
}

/// The lines of the exposition, by metric and name. A lock that was met twice stands there once.
pub(super) fn exposition(mut locks: Vec<Lock>) -> Vec<String> {
    locks.sort_by(|one, other| one.name.cmp(&other.name));
    locks.dedup_by(|one, other| one.name == other.name);
    let mut lines = Vec::new();
    for (metric, help, value) in METRICS {
        lines.push(format!("# HELP {metric} {help}"));
        lines.push(format!("# TYPE {metric} gauge"));
        lines.extend(locks.iter().filter_map(|lock| {
            let value = value(lock)?;
            Some(format!(
                "{metric}{{name=\"{}\"}} {value}",
                label(&lock.name)
            ))
        }));
    }
    lines
}

/// The value of a label: backslash, quote and line feed are escaped, all else stands as it is.
fn label(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::past::PastOutcome;
    use crate::store::{Fence, Held, Holder, Slot};

    fn lock(name: &str) -> Lock {
        let now = "2026-11-23T02:14:03Z".parse().unwrap();
        let wall = Wall::at(now, jiff::tz::TimeZone::UTC);
        let status = Status {
            slots: vec![Slot {
                held: Some(Held {
                    age: Some(Duration::from_secs(63)),
                    ..Held::default()
                }),
                fence: Some(Fence(1_795_312_803_000_001)),
                cooling_down: None,
            }],
            waiting: Some(2),
            last: Some(PastRun {
                holder: Holder::default(),
                fence: None,
                slot: 0,
                started_ms: 1_795_312_803_999,
                lasted: Some(Duration::from_millis(840_250)),
                outcome: PastOutcome::Exit(3),
                skips: 0,
            }),
            last_success: Some(Duration::from_secs(3)),
            skips: 4,
            ..Status::default()
        };
        Lock::of(&LockName::new(name).unwrap(), &status, &wall)
    }

    #[test]
    fn every_number_is_told_as_prometheus_reads_it() {
        let text = exposition(vec![lock("backup")]).join("\n");
        let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            samples,
            [
                "tasklock_lock_held{name=\"backup\"} 1",
                "tasklock_lock_slots{name=\"backup\"} 1",
                "tasklock_lock_held_since_timestamp_seconds{name=\"backup\"} 1795399980",
                "tasklock_lock_fence{name=\"backup\"} 1795312803000001",
                "tasklock_lock_waiting{name=\"backup\"} 2",
                "tasklock_lock_last_run_success{name=\"backup\"} 0",
                "tasklock_lock_last_run_exit_code{name=\"backup\"} 3",
                "tasklock_lock_last_run_duration_seconds{name=\"backup\"} 840.25",
                "tasklock_lock_last_run_start_timestamp_seconds{name=\"backup\"} 1795312803",
                "tasklock_lock_last_success_timestamp_seconds{name=\"backup\"} 1795400040",
                "tasklock_lock_skips{name=\"backup\"} 4",
            ]
        );
    }

    #[test]
    fn the_samples_of_a_metric_stand_together_below_its_help_and_type() {
        let lines = exposition(vec![lock("b"), lock("a"), lock("b")]);
        assert_eq!(lines.len(), METRICS.len() * 4);
        for (chunk, (metric, ..)) in lines.chunks(4).zip(METRICS) {
            assert!(chunk[0].starts_with(&format!("# HELP {metric} ")));
            assert_eq!(chunk[1], format!("# TYPE {metric} gauge"));
            assert!(chunk[2].starts_with(&format!("{metric}{{name=\"a\"}} ")));
            assert!(chunk[3].starts_with(&format!("{metric}{{name=\"b\"}} ")));
        }
    }

    #[test]
    fn the_time_of_a_success_does_not_depend_on_when_it_is_asked_for() {
        let mut run = PastRun {
            holder: Holder::default(),
            fence: None,
            slot: 0,
            started_ms: 1_795_312_803_999,
            lasted: Some(Duration::from_millis(1001)),
            outcome: PastOutcome::Exit(0),
            skips: 0,
        };
        assert_eq!(success_at(Some(&run)), Some(1_795_312_805.0));
        run.outcome = PastOutcome::Exit(1);
        assert_eq!(success_at(Some(&run)), None);
    }

    #[test]
    fn names_are_escaped_as_the_format_has_it() {
        assert_eq!(label("a\\b\"c\nd ü"), "a\\\\b\\\"c\\nd ü");
    }

    #[test]
    fn what_is_not_known_has_no_sample() {
        let lines = exposition(vec![Lock {
            name: "x".into(),
            ..Lock::default()
        }]);
        let samples = lines.iter().filter(|line| !line.starts_with('#'));
        assert_eq!(samples.count(), 3); // held, slots, skips
    }
}
