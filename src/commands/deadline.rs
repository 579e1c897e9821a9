//! When a lock that nobody refreshes is not ours any more, as it is told.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use crate::clock::{self, Tick};

/// The end of a lease as we may count on it. None: it lasts as long as its run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(Option<Tick>);

impl Deadline {
    /// A lease that ends at `at`, by our clock.
    pub(super) fn at(at: Tick) -> Deadline {
        Deadline(Some(at))
    }

    /// A lock that does not expire.
    pub(super) const NONE: Deadline = Deadline(None);

    /// RFC 3339, UTC.
    pub(super) fn wall(self) -> Option<String> {
        let left = self.0?.since(clock::now());
        let left = SignedDuration::try_from(left).unwrap_or(SignedDuration::MAX);
        let wall = Timestamp::now().saturating_add(left).ok()?;
        Some(format!("{wall:.3}"))
    }

    /// Until then, in milliseconds.
    pub(super) fn remaining_ms(self) -> Option<u64> {
        let left = self.0?.since(clock::now());
        Some(u64::try_from(left.as_millis()).unwrap_or(u64::MAX))
    }

    /// `deadline` and `remaining_ms` of an object.
    pub(super) fn put_in(self, object: &mut Map<String, Value>) {
        object.insert("deadline".to_owned(), json!(self.wall()));
        object.insert("remaining_ms".to_owned(), json!(self.remaining_ms()));
    }

    /// The same as two words; a dash for none.
    pub(super) fn words(self) -> String {
        let remaining = self.remaining_ms().map(|ms| ms.to_string());
        let word = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        format!("{} {}", word(self.wall()), word(remaining))
    }

    /// The same as a variable.
    pub(super) fn variable(self) -> String {
        format!("TASKLOCK_DEADLINE={}", self.wall().unwrap_or_default())
    }
}
