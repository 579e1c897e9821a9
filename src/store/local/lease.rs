//! A hold that needs no process: whoever has its token keeps it, until its lease ends.
//!
//! Nobody locks the file meanwhile. That the lock is held is what the file says, and
//! every run believes it once it has locked the file itself: what stands there is
//! changed under that lock alone. The lease ends by the boot clock, and with the boot.

use std::time::Duration;

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::record::{Moment, millis};
use crate::store::{Token, hex};

/// How many tokens a lock remembers that were given back, as on a server.
const SPENT_MAX: usize = 8;

/// The hash of a token, which opens nothing to whoever reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Proof(String);

impl Proof {
    pub(super) fn of(token: &Token) -> Proof {
        Proof(hex(digest(&SHA256, token.as_str().as_bytes()).as_ref()))
    }
}

/// From when on, and for how long.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Lease {
    from: Moment,
    for_ms: u64,
}

impl Lease {
    /// A lease of `ttl` that begins now.
    pub(super) fn of(ttl: Duration) -> Lease {
        Lease {
            from: Moment::now(),
            for_ms: millis(ttl),
        }
    }

    pub(super) fn ttl(&self) -> Duration {
        Duration::from_millis(self.for_ms)
    }

    /// What is left of it at `now`. None: it is over, by its time or by a reboot.
    pub(super) fn remaining(&self, now: &Moment) -> Option<Duration> {
        let unknown = now.boot_id.is_empty() || self.from.boot_id.is_empty();
        if !unknown && !now.is_of_the_boot_of(&self.from) {
            return None;
        }
        let elapsed_ms = u64::try_from(now.ms_after(&self.from)).ok()?;
        // Both instants are cut to the millisecond before them.
        let left_ms = self.for_ms.saturating_add(1).saturating_sub(elapsed_ms);
        (self.for_ms > 0 && left_ms > 0).then(|| Duration::from_millis(left_ms.min(self.for_ms)))
    }
}

/// Tokens that are not granted the lock any more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Spent(Vec<Entry>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    proof: Proof,
    /// By its owner; else by force.
    released: bool,
}

impl Spent {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the token is on record, and if so whether its owner gave the lock back.
    pub(super) fn find(&self, proof: &Proof) -> Option<bool> {
        let entry = self.0.iter().find(|entry| entry.proof == *proof);
        entry.map(|entry| entry.released)
    }

    /// The same with one more.
    pub(super) fn with(&self, proof: &Proof, released: bool) -> Spent {
        let entry = Entry {
            proof: proof.clone(),
            released,
        };
        let others = self.0.iter().filter(|entry| entry.proof != *proof).cloned();
        Spent(
            std::iter::once(entry)
                .chain(others)
                .take(SPENT_MAX)
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::local::record::moment;

    #[test]
    fn a_lease_ends_by_the_boot_clock_and_with_the_boot() {
        let lease = Lease {
            from: moment(1_000_000, 5_000, "a"),
            for_ms: 60_000,
        };
        for wall_ms in [1_000_000, 1, 9_000_000] {
            let left = |boot_ms| lease.remaining(&moment(wall_ms, boot_ms, "a"));
            assert_eq!(left(5_000), Some(Duration::from_secs(60)));
            assert_eq!(left(64_999), Some(Duration::from_millis(2)));
            assert_eq!(left(65_001), None);
        }
        assert_eq!(lease.remaining(&moment(1_000_001, 10, "b")), None);
    }

    #[test]
    fn where_boots_cannot_be_told_apart_a_lease_ends_by_the_wall_clock() {
        let lease = Lease {
            from: moment(1_000_000, 5_000, ""),
            for_ms: 60_000,
        };
        assert!(lease.remaining(&moment(1_059_000, 10, "")).is_some());
        assert_eq!(lease.remaining(&moment(1_060_001, 10, "")), None);
    }

    #[test]
    fn a_lease_that_makes_no_sense_closes_nothing() {
        let lease: Lease = serde_json::from_str("{}").unwrap();
        assert_eq!(lease.remaining(&Moment::now()), None);
    }

    #[test]
    fn the_last_eight_tokens_are_remembered_and_how_each_ended() {
        let proof = |number: u32| Proof(number.to_string());
        let spent = (0..10).fold(Spent::default(), |spent, number| {
            spent.with(&proof(number), number != 9)
        });
        assert_eq!(spent.find(&proof(1)), None);
        assert_eq!(spent.find(&proof(2)), Some(true));
        assert_eq!(spent.find(&proof(9)), Some(false));
        let again = spent.with(&proof(2), true);
        assert_eq!(again.0.len(), 8);
        assert_eq!(again.find(&proof(3)), Some(true));
    }
}
