//! What stands in a lock file, and in the marker beside it: one line of JSON.
//!
//! A record is written whole, by whoever holds the kernel's lock on the file,
//! and read by anyone at any time. A reader that meets half of a write, or
//! somebody else's text, learns only that nothing is known: exclusion rests on
//! the kernel's lock and the fence is only ever raised under it, so no decision
//! of the store depends on an unlocked look being right.
//!
//! Unknown fields are kept. Reserved for what must outlive the process:
//! `cooldown`, `once`, `lease` (the expiry of a lock held by its token alone)
//! and `history`. The token itself never stands here: others may read the file.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::clock;
use crate::store::{Claim, Fence, Holder};

/// The version of the format that this program writes and understands.
const VERSION: u64 = 1;

/// The longest line that is read, in bytes: a record is under 4 KiB, and a
/// file filled by somebody else must not fill our memory.
const LINE_MAX_BYTES: usize = 64 * 1024;

/// One instant on the clocks of this host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Moment {
    /// Wall clock in milliseconds, for people and for the time after a reboot.
    pub(super) wall_ms: u64,
    /// Milliseconds since boot, which no step of the wall clock touches.
    pub(super) boot_ms: u64,
    /// Which boot that was; empty where the kernel does not tell.
    pub(super) boot_id: String,
}

impl Moment {
    /// The current instant.
    pub(super) fn now() -> Moment {
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Moment {
            wall_ms: wall_us() / 1000,
            boot_ms: millis(clock::now().since_boot()),
            boot_id: boot_id.trim().to_owned(),
        }
    }

    /// The time from `earlier` to this instant; by the wall clock only if
    /// they are not known to be of the same boot.
    fn since(&self, earlier: &Moment) -> Duration {
        let same_boot = !self.boot_id.is_empty() && self.boot_id == earlier.boot_id;
        Duration::from_millis(if same_boot {
            self.boot_ms.saturating_sub(earlier.boot_ms)
        } else {
            self.wall_ms.saturating_sub(earlier.wall_ms)
        })
    }
}

/// The content of a lock file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    v: u64,
    /// The fence of the last grant; it stays when the lock is released.
    pub(super) fence: Fence,
    /// Who was granted the lock; None: released.
    pub(super) holder: Option<Holder>,
    /// When it was granted.
    #[serde(default)]
    pub(super) since: Moment,
    #[serde(default)]
    ttl_ms: u64,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl Record {
    /// The record of a grant to `claim`, after `previous`. None: there is no
    /// larger fence left, which only a forged record brings about.
    pub(super) fn granted(previous: Option<Record>, claim: &Claim) -> Option<Record> {
        let record = Record::next(previous)?;
        Some(Record {
            holder: Some(claim.holder.clone()),
            since: Moment::now(),
            ttl_ms: millis(claim.ttl),
            ..record
        })
    }

    /// What follows `previous`: nobody holds the lock, and the fence has moved on.
    /// The wall clock keeps fences growing when the file was deleted.
    pub(super) fn next(previous: Option<Record>) -> Option<Record> {
        let last = previous.as_ref().map_or(0, |record| record.fence.0);
        Some(Record {
            v: VERSION,
            fence: Fence(last.checked_add(1)?.max(wall_us())),
            holder: None,
            since: Moment::default(),
            ttl_ms: 0,
            rest: previous.map(|record| record.rest).unwrap_or_default(),
        })
    }

    /// This record with nobody holding the lock.
    pub(super) fn released(&self) -> Record {
        Record {
            holder: None,
            ..self.clone()
        }
    }

    /// How long ago the lock was granted.
    pub(super) fn age(&self) -> Duration {
        Moment::now().since(&self.since)
    }
}

/// The content of a marker: an administrator asks the holder to stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Marker {
    v: u64,
    /// The grant that is meant; a marker left over from an earlier one means nothing.
    pub(super) fence: Fence,
    /// Who asks.
    pub(super) by: String,
}

impl Marker {
    /// `by` asks the holder of `fence` to stop.
    pub(super) fn new(fence: Fence, by: &str) -> Marker {
        Marker {
            v: VERSION,
            fence,
            by: by.to_owned(),
        }
    }
}

/// What a file holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Content<T> {
    Known(T),
    /// Empty, half written, or not ours.
    Unknown,
    /// Written by a tasklock whose format this one does not know.
    Newer(u64),
}

/// Reads the first line of `file`.
pub(super) fn read<T: DeserializeOwned>(file: &File) -> io::Result<Content<T>> {
    let mut bytes = vec![0; 4096];
    let mut filled = 0;
    let line = loop {
        let count = match file.read_at(&mut bytes[filled..], filled as u64) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let fresh = &bytes[filled..filled + count];
        if let Some(end) = fresh.iter().position(|byte| *byte == b'\n') {
            break &bytes[..filled + end];
        }
        filled += count;
        if count == 0 || filled >= LINE_MAX_BYTES {
            return Ok(Content::Unknown);
        }
        bytes.resize(LINE_MAX_BYTES, 0);
    };
    let Ok(value) = serde_json::from_slice::<Value>(line) else {
        return Ok(Content::Unknown);
    };
    match value.get("v").and_then(Value::as_u64) {
        Some(version) if version > VERSION => Ok(Content::Newer(version)),
        _ => Ok(serde_json::from_value(value).map_or(Content::Unknown, Content::Known)),
    }
}

/// Replaces what `file` holds by `content`. The line goes out in one write, the
/// rest of a longer predecessor is cut off after it.
pub(super) fn write<T: Serialize>(file: &File, content: &T) -> io::Result<()> {
    let mut line = serde_json::to_vec(content)?;
    line.push(b'\n');
    file.write_all_at(&line, 0)?;
    file.set_len(line.len() as u64)
}

/// The wall clock in microseconds.
fn wall_us() -> u64 {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(wall_ms: u64, boot_ms: u64, boot_id: &str) -> Moment {
        Moment {
            wall_ms,
            boot_ms,
            boot_id: boot_id.to_owned(),
        }
    }

    #[test]
    fn an_age_survives_a_step_of_the_wall_clock_and_a_reboot() {
        let since = moment(1_000_000, 5_000, "a");
        assert_eq!(
            moment(9_000_000, 7_000, "a").since(&since),
            Duration::from_secs(2)
        );
        assert_eq!(moment(1, 7_000, "a").since(&since), Duration::from_secs(2));
        assert_eq!(
            moment(1_003_000, 10, "b").since(&since),
            Duration::from_secs(3)
        );
        assert_eq!(
            moment(1_003_000, 10, "").since(&since),
            Duration::from_secs(3)
        );
        assert_eq!(moment(1, 10, "b").since(&since), Duration::ZERO);
    }

    #[test]
    fn fields_of_later_versions_are_kept_from_holder_to_holder() {
        let text = r#"{"v":1,"fence":7,"holder":null,"cooldown":{"end_ms":5}}"#;
        let previous: Record = serde_json::from_str(text).unwrap();
        let next = Record::next(Some(previous)).unwrap();
        assert!(next.fence > Fence(7));
        assert_eq!(
            serde_json::to_value(&next).unwrap()["cooldown"]["end_ms"],
            5
        );
    }

    #[test]
    fn a_fence_ahead_of_the_wall_clock_goes_on_by_one_and_never_wraps() {
        let at = |fence: u64| {
            let text = format!(r#"{{"v":1,"fence":{fence},"holder":null}}"#);
            Record::next(serde_json::from_str(&text).ok())
        };
        assert_eq!(at(u64::MAX - 1).unwrap().fence, Fence(u64::MAX));
        assert_eq!(at(u64::MAX), None);
    }
}
