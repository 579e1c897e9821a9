//! Messages as data, for whoever reads them with a program.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{LossCause, Message, Reaction};
use crate::exit::Skip;
use crate::store::{Done, Held};

impl Message {
    /// The word for it in JSON.
    #[must_use]
    pub fn event(&self) -> &'static str {
        match self {
            Message::LocalOnly => "local_only",
            Message::Waiting { .. } => "waiting",
            Message::WaitsForStore { .. } => "waiting_for_store",
            Message::Acquired { .. } => "acquired",
            Message::Refreshed | Message::RefreshedAgain { .. } => "refreshed",
            Message::Retaken => "retaken",
            Message::RefreshFailed { .. } => "refresh_failed",
            Message::Lost { .. } => "lost",
            Message::MaxRuntime { .. } => "timeout",
            Message::Unkillable { .. } => "unkillable",
            Message::Released { .. } => "released",
            Message::Forgotten => "forgotten",
            Message::ReleaseFailed { .. } => "release_failed",
            Message::RunsUnlocked { .. } => "runs_unlocked",
            Message::Skipped { .. } => "skipped",
            Message::Unavailable(_) => "unavailable",
            Message::NotStarted(_)
            | Message::AlreadyHeld
            | Message::Defect
            | Message::Failed(_) => "failed",
            Message::NotReported { .. } => "report_failed",
        }
    }

    /// The same as data, beside `event`, `name` and `message`.
    #[must_use]
    pub fn fields(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        let mut set = |key: &str, value: Value| {
            fields.insert(key.to_owned(), value);
        };
        match self {
            Message::Waiting { queued, left, .. } => {
                set("place", json!(queued.place));
                set("left_ms", left.map_or(Value::Null, millis));
                held_fields(queued.held.as_ref(), &mut set);
            }
            Message::WaitsForStore { error, left } => {
                set("error", json!(error.text));
                set("left_ms", left.map_or(Value::Null, millis));
            }
            Message::Acquired { fence, waited } => {
                set("fence", json!(fence));
                set("waited_ms", millis(*waited));
            }
            Message::RefreshFailed { error, left, .. } => {
                set("error", json!(error.text));
                set("left_ms", left.map_or(Value::Null, millis));
            }
            Message::Lost {
                held_for,
                cause,
                reaction,
                pid,
            } => {
                set("held_ms", millis(*held_for));
                set("cause", json!(cause.word()));
                if let LossCause::TakenOver(Held {
                    holder: Some(holder),
                    ..
                }) = cause
                {
                    set("holder", json!(holder));
                }
                if let Reaction::Stops { kill_in, .. } = reaction {
                    set("kill_in_ms", millis(*kill_in));
                }
                set("pid", json!(pid));
            }
            Message::MaxRuntime {
                limit,
                pid,
                kill_in,
                ..
            } => {
                set("limit_ms", millis(*limit));
                set("kill_in_ms", millis(*kill_in));
                set("pid", json!(pid));
            }
            Message::Unkillable { pid } => set("pid", json!(pid)),
            Message::Released { held_for } => set("held_ms", millis(*held_for)),
            Message::ReleaseFailed { error, frees_in } => {
                set("error", json!(error.as_ref().map(|error| &error.text)));
                set("frees_in_ms", frees_in.map_or(Value::Null, millis));
            }
            Message::RunsUnlocked { error } | Message::Unavailable(error) => {
                set("error", json!(error.text));
            }
            Message::Skipped { skip, .. } => {
                set("cause", json!(skip_word(skip)));
                skip_fields(skip, &mut set);
            }
            _ => {}
        }
        fields
    }
}

impl LossCause {
    fn word(&self) -> &'static str {
        match self {
            LossCause::TakenOver(_) => "taken_over",
            LossCause::FenceMoved => "fence_moved",
            LossCause::Expired => "expired",
            LossCause::Revoked { .. } => "revoked",
            LossCause::Overslept => "overslept",
            LossCause::NoRoom => "no_room",
            LossCause::KeeperGone => "defect",
        }
    }
}

/// One word for each reason why a run was skipped.
#[must_use]
pub fn skip_word(skip: &Skip) -> &'static str {
    match skip {
        Skip::Held(_) => "held",
        Skip::WaitOver { .. } => "wait_over",
        Skip::Reserved(_) => "reserved",
        Skip::CoolingDown(_) => "cooling_down",
        Skip::AlreadyDone(Done::Recently { .. }) => "done_recently",
        Skip::AlreadyDone(Done::SameKey) => "done_same_key",
        Skip::AlreadyDone(Done::Attempts { .. }) => "attempts_used_up",
        Skip::Unavailable(_) => "unavailable",
    }
}

fn skip_fields(skip: &Skip, set: &mut impl FnMut(&str, Value)) {
    match skip {
        Skip::Held(held) => held_fields(Some(held), set),
        Skip::WaitOver { queued, waited } => {
            set("place", json!(queued.place));
            set("waited_ms", millis(*waited));
            held_fields(queued.held.as_ref(), set);
        }
        Skip::Reserved(first) => set("first_in_line", json!(first)),
        Skip::CoolingDown(remaining) => set("remaining_ms", millis(*remaining)),
        Skip::AlreadyDone(Done::Recently { ago }) => set("done_ms_ago", millis(*ago)),
        Skip::AlreadyDone(Done::SameKey) => {}
        Skip::AlreadyDone(Done::Attempts { count }) => set("attempts", json!(count)),
        Skip::Unavailable(error) => set("error", json!(error.text)),
    }
}

/// Who holds the lock; each null where nobody does or the store cannot tell.
fn held_fields(held: Option<&Held>, set: &mut impl FnMut(&str, Value)) {
    let time = |time: Option<Duration>| time.map_or(Value::Null, millis);
    set("holder", json!(held.and_then(|held| held.holder.as_ref())));
    set("age_ms", time(held.and_then(|held| held.age)));
    set("remaining_ms", time(held.and_then(|held| held.remaining)));
}

fn millis(duration: Duration) -> Value {
    json!(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Queued, StoreError, StoreErrorKind};

    #[test]
    fn a_waiter_tells_its_place_its_limit_and_whom_it_waits_for() {
        let held = Held {
            age: Some(Duration::from_secs(60)),
            ..Held::default()
        };
        let queued = Queued {
            held: Some(held),
            place: Some(2),
            ask_in: Duration::ZERO,
        };
        let waiting = |queued, left| {
            let places = 1;
            Message::Waiting {
                queued,
                left,
                places,
            }
            .fields()
        };
        let fields = waiting(queued, Some(Duration::from_secs(600)));
        assert_eq!(fields["place"], 2);
        assert_eq!(fields["left_ms"], 600_000);
        assert_eq!(fields["age_ms"], 60_000);
        assert_eq!(fields["holder"], Value::Null);
        // The keys are the same when there is nothing to tell.
        let unknown = waiting(Queued::default(), None);
        assert!(unknown.values().all(Value::is_null), "{unknown:?}");
        assert!(unknown.keys().eq(fields.keys()), "{unknown:?}");
    }

    #[test]
    fn each_reason_of_a_skip_has_a_word_of_its_own_and_its_number() {
        let second = Duration::from_secs(1);
        let error = StoreError::new(StoreErrorKind::Unavailable, "x");
        let mut words = std::collections::BTreeSet::new();
        for (skip, key, value) in [
            (Skip::Held(Held::default()), "holder", Value::Null),
            (
                Skip::WaitOver {
                    queued: Queued::default(),
                    waited: second,
                },
                "waited_ms",
                json!(1000),
            ),
            (Skip::Reserved(None), "first_in_line", Value::Null),
            (Skip::CoolingDown(second), "remaining_ms", json!(1000)),
            (
                Skip::AlreadyDone(Done::Recently { ago: second }),
                "done_ms_ago",
                json!(1000),
            ),
            (
                Skip::AlreadyDone(Done::SameKey),
                "cause",
                json!("done_same_key"),
            ),
            (
                Skip::AlreadyDone(Done::Attempts { count: 2 }),
                "attempts",
                json!(2),
            ),
            (Skip::Unavailable(error), "error", json!("x")),
        ] {
            let fields = Message::Skipped { skip, places: 1 }.fields();
            assert_eq!(fields.get(key), Some(&value), "{fields:?}");
            assert!(words.insert(fields["cause"].to_string()), "{fields:?}");
        }
    }
}
