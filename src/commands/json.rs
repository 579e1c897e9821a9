//! What the JSON of several subcommands has in common: durations in
//! milliseconds, names of people and commands as they are (JSON escapes them).

use std::time::Duration;

use serde_json::{Value, json};

use super::outcome;
use super::state::{State, would_run};
use crate::store::past::PastRun;
use crate::store::{Holder, Slot, Status, Waiter};
use crate::wall::Wall;

/// Who holds, held or waits for a lock.
pub(super) fn holder(holder: &Holder) -> Value {
    json!({
        "who": holder.who,
        "pid": (holder.pid != 0).then_some(holder.pid),
        "command": (!holder.command.is_empty()).then_some(&holder.command),
        "reason": holder.reason,
    })
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A lock as `status --json` and `list --json` tell of it; the man page has the fields.
pub(super) fn lock(name: &str, status: &Status, wall: &Wall) -> Value {
    let slots = status.slots.iter().enumerate();
    let slots: Vec<Value> = slots.map(|(number, it)| slot(number, it, wall)).collect();
    let waiters: Vec<Value> = status.waiters.iter().map(waiter).collect();
    json!({
        "name": name,
        "state": State::of(status).word(),
        "would_run": would_run(status),
        "slots": slots,
        "waiting": status.waiting,
        "waiters": waiters,
        "last_run": status.last.as_ref().map(|last| run(last, wall)),
        "last_success_at": status.last_success.map(|age| wall.ago_rfc3339(age)),
        "last_success_age_ms": status.last_success.map(millis),
        "skips": status.skips,
    })
}

fn slot(number: usize, slot: &Slot, wall: &Wall) -> Value {
    let held = slot.held.as_ref();
    json!({
        "slot": number,
        "state": State::of_slot(slot).word(),
        "holder": held.and_then(|held| held.holder.as_ref()).map(holder),
        "since": held.and_then(|held| held.age).map(|age| wall.ago_rfc3339(age)),
        "held_ms": held.and_then(|held| held.age).map(millis),
        "lease_left_ms": held.and_then(|held| held.remaining).map(millis),
        "fence": slot.fence,
        "cooling_down_ms": slot.cooling_down.map(millis),
    })
}

fn waiter(waiter: &Waiter) -> Value {
    json!({
        "place": waiter.place,
        "holder": waiter.holder.as_ref().map(holder),
        "waited_ms": waiter.age.map(millis),
    })
}

/// A run that ended.
pub(super) fn run(run: &PastRun, wall: &Wall) -> Value {
    json!({
        "started_at": wall.rfc3339(run.started_ms),
        "lasted_ms": run.lasted.map(millis),
        "outcome": outcome::word(run.outcome),
        "success": run.outcome.is_success(),
        "exit_code": outcome::exit_code(run.outcome),
        "signal": outcome::signal(run.outcome),
        "holder": holder(&run.holder),
        "fence": run.fence,
        "slot": run.slot,
        "skips_before": run.skips,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Fence, Held};

    #[test]
    fn a_lock_is_told_with_times_in_rfc_3339_and_durations_in_milliseconds() {
        let now = "2026-11-23T01:14:03Z".parse().unwrap();
        let wall = Wall::at(now, jiff::tz::TimeZone::fixed(jiff::tz::offset(1)));
        let who = Holder {
            id: "not told".into(),
            who: "root@web3".into(),
            pid: 4121,
            command: "./backup.sh".into(),
            reason: None,
        };
        let status = Status {
            slots: vec![Slot {
                held: Some(Held {
                    holder: Some(who.clone()),
                    age: Some(Duration::from_secs(840)),
                    remaining: Some(Duration::from_secs(52)),
                    revoked: true,
                }),
                fence: Some(Fence(7)),
                cooling_down: None,
            }],
            waiting: Some(1),
            waiters: vec![Waiter {
                holder: None,
                place: 1,
                age: Some(Duration::from_millis(1500)),
            }],
            last_success: Some(Duration::from_secs(60)),
            ..Status::default()
        };
        let holder =
            json!({"who": "root@web3", "pid": 4121, "command": "./backup.sh", "reason": null});
        assert_eq!(
            lock("b\x1b", &status, &wall),
            json!({
                "name": "b\x1b",
                "state": "revoked",
                "would_run": false,
                "slots": [{
                    "slot": 0, "state": "revoked", "holder": holder,
                    "since": "2026-11-23T02:00:03+01:00", "held_ms": 840_000,
                    "lease_left_ms": 52_000, "fence": 7, "cooling_down_ms": null,
                }],
                "waiting": 1,
                "waiters": [{"place": 1, "holder": null, "waited_ms": 1500}],
                "last_run": null,
                "last_success_at": "2026-11-23T02:13:03+01:00",
                "last_success_age_ms": 60_000,
                "skips": 0,
            })
        );
    }
}
