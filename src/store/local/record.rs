//! What stands in a lock file, and in the marker beside it: one line of JSON.
//!
//! A record is written whole, by whoever holds the kernel's lock on the file,
//! and read by anyone at any time. A reader that meets half of a write, or
//! somebody else's text, learns only that nothing is known: exclusion rests on
//! the kernel's lock and the fence is only ever raised under it, so no decision
//! of the store depends on an unlocked look being right.
//!
//! Unknown fields are kept, and what stands in further lines is cut off with each write;
//! while a command runs, that is who it is ([`super::lock_file`]). What was before stands in a file of its own ([`super::history`]).
//! The token itself never stands here, but its hash: others may read the file.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::directory::{Directory, errno_of};
use super::file_name;
use super::lease::{Lease, Proof, Spent};
use crate::clock;
use crate::store::{Claim, Fence, Holder, Lasts, StoreError, StoreErrorKind};

/// The version of the format that this program writes and understands.
pub(super) const VERSION: u64 = 1;

/// The longest line that is read, in bytes: a record is under 4 KiB, and a
/// file filled by somebody else must not fill our memory.
pub(super) const LINE_MAX_BYTES: usize = 64 * 1024;

/// One instant on the clocks of this host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Moment {
    /// Wall clock in milliseconds, for people and for the time after a reboot.
    pub(super) wall_ms: u64,
    /// Milliseconds since boot, which no step of the wall clock touches; negative: before it.
    pub(super) boot_ms: i64,
    /// Which boot that was; empty where the kernel does not tell.
    pub(super) boot_id: String,
}

/// One instant of the boot `boot_id`.
#[cfg(test)]
pub(super) fn moment(wall_ms: u64, boot_ms: i64, boot_id: &str) -> Moment {
    Moment {
        wall_ms,
        boot_ms,
        boot_id: boot_id.to_owned(),
    }
}

impl Moment {
    /// The current instant.
    pub(super) fn now() -> Moment {
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Moment {
            wall_ms: wall_ms(),
            boot_ms: signed(millis(clock::now().since_boot())),
            boot_id: boot_id.trim().to_owned(),
        }
    }

    /// The instant `duration` before this one.
    pub(super) fn before(&self, duration: Duration) -> Moment {
        Moment {
            wall_ms: self.wall_ms.saturating_sub(millis(duration)),
            boot_ms: self.boot_ms.saturating_sub(signed(millis(duration))),
            boot_id: self.boot_id.clone(),
        }
    }

    /// The time from `earlier` to this instant, zero if it lies ahead.
    pub(super) fn since(&self, earlier: &Moment) -> Duration {
        let ms = u64::try_from(self.ms_after(earlier).max(0)).unwrap_or(u64::MAX);
        Duration::from_millis(ms)
    }

    /// How many milliseconds this instant comes after `other`; negative: before
    /// it. By the wall clock only if they are not known to be of the same boot.
    pub(super) fn ms_after(&self, other: &Moment) -> i128 {
        if self.is_of_the_boot_of(other) {
            i128::from(self.boot_ms) - i128::from(other.boot_ms)
        } else {
            i128::from(self.wall_ms) - i128::from(other.wall_ms)
        }
    }

    /// Whether both are known to be of the same boot.
    pub(super) fn is_of_the_boot_of(&self, other: &Moment) -> bool {
        !self.boot_id.is_empty() && self.boot_id == other.boot_id
    }
}

/// A minimum hold: when it began and how long it lasts. It is told by its
/// beginning, so that a clock that steps cannot make it longer than it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Cooldown {
    from: Moment,
    for_ms: u64,
}

impl Cooldown {
    /// What is left of it at `now`. None: it is over, or it lies ahead (the wall
    /// clock stepped back over a reboot, and nobody knows how long that took).
    fn remaining(&self, now: &Moment) -> Option<Duration> {
        let elapsed_ms = u64::try_from(now.ms_after(&self.from)).ok()?;
        // Both instants are cut to the millisecond before them.
        let left_ms = self.for_ms.saturating_add(1).saturating_sub(elapsed_ms);
        (self.for_ms > 0 && left_ms > 0).then(|| Duration::from_millis(left_ms.min(self.for_ms)))
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
    /// The name of the lock, if the name of the file does not tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    /// The minimum hold of that grant. It outlives the holder, and a crash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cooldown: Option<Cooldown>,
    /// By which whoever has the token is known, while somebody holds the lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) proof: Option<Proof>,
    /// The hold does not need a process: it ends with this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) lease: Option<Lease>,
    /// The tokens that were given back without their process, the last first.
    #[serde(default, skip_serializing_if = "Spent::is_empty")]
    pub(super) spent: Spent,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl Record {
    /// The record of a grant to `claim`, after `previous`. None: there is no
    /// larger fence left, which only a forged record brings about.
    pub(super) fn granted(previous: Option<Record>, claim: &Claim) -> Option<Record> {
        let record = Record::next(previous)?;
        let now = Moment::now();
        let cooldown = (!claim.min_hold.is_zero()).then(|| Cooldown {
            from: now.clone(),
            for_ms: millis(claim.min_hold),
        });
        Some(Record {
            holder: Some(claim.holder.clone()),
            since: now,
            ttl_ms: millis(claim.ttl),
            name: file_name::is_hashed(&claim.name).then(|| claim.name.to_string()),
            cooldown,
            proof: Some(Proof::of(&claim.token)),
            lease: (claim.lasts == Lasts::Lease).then(|| Lease::of(claim.ttl)),
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
            cooldown: None,
            name: previous.as_ref().and_then(|record| record.name.clone()),
            proof: None,
            lease: None,
            spent: previous
                .as_ref()
                .map(|record| record.spent.clone())
                .unwrap_or_default(),
            rest: previous.map(|record| record.rest).unwrap_or_default(),
        })
    }

    /// This record with nobody holding the lock.
    pub(super) fn released(&self) -> Record {
        Record {
            holder: None,
            proof: None,
            lease: None,
            ..self.clone()
        }
    }

    /// This record without a minimum hold.
    pub(super) fn warm(&self) -> Record {
        Record {
            cooldown: None,
            ..self.clone()
        }
    }

    /// What is left of the last grant's minimum hold.
    pub(super) fn cooling_down(&self) -> Option<Duration> {
        let cooldown = self.cooldown.as_ref()?;
        cooldown.remaining(&Moment::now())
    }

    /// How long ago the lock was granted, in ms, if that was since the last boot.
    pub(super) fn held_ms(&self) -> u64 {
        let boot_ms = signed(millis(clock::now().since_boot()));
        u64::try_from(boot_ms.saturating_sub(self.since.boot_ms)).unwrap_or(0)
    }

    /// What is left of a hold that needs no process. None: there is none, or it is over.
    pub(super) fn leased(&self) -> Option<Duration> {
        self.lease
            .as_ref()
            .and_then(|lease| lease.remaining(&Moment::now()))
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
    let line = line(content)?;
    file.write_all_at(&line, 0)?;
    file.set_len(line.len() as u64)
}

/// The line that [`write()`] writes.
pub(super) fn line<T: Serialize>(content: &T) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(content)?;
    line.push(b'\n');
    Ok(line)
}

/// Reads what stands in `file`. None: nothing that can be understood.
///
/// # Errors
/// It cannot be read, or it was written by a newer tasklock.
pub(super) fn read_in<T: DeserializeOwned>(
    directory: &Directory,
    file_name: &str,
    file: &File,
) -> Result<Option<T>, StoreError> {
    match read(file) {
        Ok(Content::Known(content)) => Ok(Some(content)),
        Ok(Content::Unknown) => Ok(None),
        Ok(Content::Newer(version)) => Err(StoreError::new(
            StoreErrorKind::Misconfigured,
            format!(
                "{} was written by a newer tasklock (format {version}); update this one",
                directory.path_of(file_name).display()
            ),
        )),
        Err(error) => Err(directory.failure("read", file_name, errno_of(&error))),
    }
}

/// Replaces what `file` holds, which was opened for it.
///
/// # Errors
/// Always worth trying again: the disk is full, for instance.
pub(super) fn write_in<T: Serialize>(
    directory: &Directory,
    (file_name, file): (&str, &File),
    content: &T,
) -> Result<(), StoreError> {
    write(file, content).map_err(|error| StoreError {
        kind: StoreErrorKind::Unavailable,
        ..directory.failure("write", file_name, errno_of(&error))
    })
}

/// The wall clock in milliseconds.
pub(super) fn wall_ms() -> u64 {
    wall_us() / 1000
}

/// The wall clock in microseconds.
fn wall_us() -> u64 {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX)
}

/// A duration in whole milliseconds.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let text = r#"{"v":1,"fence":7,"holder":null,"history":{"runs":5}}"#;
        let previous: Record = serde_json::from_str(text).unwrap();
        let next = Record::next(Some(previous)).unwrap();
        assert!(next.fence > Fence(7));
        assert_eq!(serde_json::to_value(&next).unwrap()["history"]["runs"], 5);
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

    #[test]
    fn a_run_may_have_been_asked_for_before_the_boot() {
        let now = moment(9_000_000, 5_000, "a");
        let asked = now.before(Duration::from_secs(60));
        assert_eq!(now.since(&asked), Duration::from_secs(60));
    }

    fn cooldown(from: Moment) -> Cooldown {
        Cooldown {
            from,
            for_ms: 60_000,
        }
    }

    #[test]
    fn a_minimum_hold_ends_by_the_boot_clock_whatever_the_wall_clock_says() {
        let cooldown = cooldown(moment(1_000_000, 5_000, "a"));
        let left = |wall_ms, boot_ms| cooldown.remaining(&moment(wall_ms, boot_ms, "a"));
        for wall_ms in [1_000_000, 1, 9_000_000] {
            assert_eq!(left(wall_ms, 5_000), Some(Duration::from_secs(60)));
            assert_eq!(left(wall_ms, 64_999), Some(Duration::from_millis(2)));
            assert_eq!(left(wall_ms, 65_001), None);
        }
    }

    #[test]
    fn after_a_reboot_a_minimum_hold_ends_by_the_wall_clock_and_never_gets_longer() {
        let cooldown = cooldown(moment(1_000_000, 5_000, "a"));
        let left = |wall_ms| cooldown.remaining(&moment(wall_ms, 10, "b"));
        assert_eq!(left(1_020_000), Some(Duration::from_millis(40_001)));
        assert_eq!(left(1_060_001), None);
        assert_eq!(left(999_999), None, "the wall clock stepped back");
        assert_eq!(left(1_000_000), Some(Duration::from_secs(60)));
    }

    #[test]
    fn a_minimum_hold_that_makes_no_sense_closes_nothing() {
        for text in [r#"{"end_ms":5}"#, r#"{"for_ms":0}"#, "null"] {
            let text = format!(r#"{{"v":1,"fence":7,"holder":null,"cooldown":{text}}}"#);
            let record: Record = serde_json::from_str(&text).unwrap();
            assert_eq!((record.fence, record.cooling_down()), (Fence(7), None));
        }
    }
}
