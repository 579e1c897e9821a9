//! From the name of a lock to the names of its files: no slash, no leading dot,
//! never too long, and two locks never share one.

use ring::digest::{SHA256, digest};

use crate::store::{LockName, hex};

/// The longest file name, in bytes: NAME_MAX of Linux.
const FILE_NAME_MAX_BYTES: usize = 255;

/// What the name of a lock file ends in. It is the first place of the lock.
const LOCK_SUFFIX: &str = ".lock";

/// The same for the other places, with the number of the place after it.
const SLOT_SUFFIX: &str = ".slot";

/// What the name of the marker beside it ends in (`tasklock unlock`).
const MARKER_SUFFIX: &str = ".revoked";

/// The same for the other places, with the number of the place after it.
const SLOT_MARKER_SUFFIX: &str = ".stop";

/// Those who wait.
const LINE_SUFFIX: &str = ".line";

/// What is done already.
const ONCE_SUFFIX: &str = ".once";

/// What is remembered of the runs.
const RUNS_SUFFIX: &str = ".runs";

/// The longest of these, in bytes; the number of a place has up to three digits.
const SUFFIX_MAX_BYTES: usize = MARKER_SUFFIX.len();

/// How much of a long lock name stays readable, in bytes: enough to recognise
/// it, and with the 65 bytes of the hash well below the maximum.
const PREFIX_BYTES: usize = 120;

/// The file that is the place `slot` of the lock `name`.
pub(super) fn lock_file(name: &LockName, slot: u32) -> String {
    match slot {
        0 => stem(name) + LOCK_SUFFIX,
        _ => format!("{}{SLOT_SUFFIX}{slot}", stem(name)),
    }
}

/// The file that asks the holder of the place `slot` of `name` to stop.
pub(super) fn marker_file(name: &LockName, slot: u32) -> String {
    match slot {
        0 => stem(name) + MARKER_SUFFIX,
        _ => format!("{}{SLOT_MARKER_SUFFIX}{slot}", stem(name)),
    }
}

/// The file in which runs stand in line for `name`.
pub(super) fn line_file(name: &LockName) -> String {
    stem(name) + LINE_SUFFIX
}

/// The file that says what of `name` is done already.
pub(super) fn once_file(name: &LockName) -> String {
    stem(name) + ONCE_SUFFIX
}

/// The file that says what is remembered of the runs of `name`.
pub(super) fn runs_file(name: &LockName) -> String {
    stem(name) + RUNS_SUFFIX
}

/// Whether the name of the files does not tell that of the lock.
pub(super) fn is_hashed(name: &LockName) -> bool {
    // Each byte is encoded with three at most.
    name.as_str().len() * 3 > FILE_NAME_MAX_BYTES - SUFFIX_MAX_BYTES && stem(name).contains('+')
}

/// What a file is to a list of all locks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Listed<'a> {
    /// The first place of this lock.
    Lock(LockName),
    /// The first place of a lock whose name stands in the file only.
    Hashed,
    /// Another place of the lock whose first has this name without its suffix.
    Slot(&'a str, u32),
}

/// What `file` is; None: nothing that is listed.
pub(super) fn listed(file: &str) -> Option<Listed<'_>> {
    if let Some(stem) = file.strip_suffix(LOCK_SUFFIX) {
        if stem.contains('+') {
            return Some(Listed::Hashed);
        }
        let name = LockName::new(&decoded(stem)?).ok()?;
        return (lock_file(&name, 0) == file).then_some(Listed::Lock(name));
    }
    let (stem, digits) = file.rsplit_once(SLOT_SUFFIX)?;
    Some(Listed::Slot(stem, digits.parse().ok()?))
}

/// The name of the files of `name`, without what tells them apart.
pub(super) fn stem_of(name: &LockName) -> String {
    stem(name)
}

/// The text that is percent-encoded in `stem`.
fn decoded(stem: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = stem.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(str::from_utf8(&digits).ok()?, 16).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// Which place of `name` the file is, if it is one.
pub(super) fn slot_of(name: &LockName, file: &str) -> Option<u32> {
    let suffix = file.strip_prefix(&stem(name))?;
    let slot = match suffix.strip_prefix(SLOT_SUFFIX) {
        Some(digits) => digits.parse().ok()?,
        None => 0,
    };
    (lock_file(name, slot) == file).then_some(slot)
}

/// `name` as a file name: percent-encoded, and where that gets too long, its
/// beginning and its hash. A `+` stands in no encoded name, so the two kinds
/// cannot meet.
fn stem(name: &LockName) -> String {
    use std::fmt::Write as _;
    const STEM_MAX_BYTES: usize = FILE_NAME_MAX_BYTES - SUFFIX_MAX_BYTES;
    let mut stem = String::new();
    for (position, byte) in name.as_str().bytes().enumerate() {
        if byte.is_ascii_alphanumeric()
            || matches!(byte, b'_' | b'-')
            || (byte == b'.' && position > 0)
        {
            stem.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(stem, "%{byte:02X}");
        }
    }
    if stem.len() <= STEM_MAX_BYTES {
        return stem;
    }
    let prefix = &stem[..PREFIX_BYTES];
    // Not within an escape of three bytes.
    let end = prefix
        .rfind('%')
        .filter(|at| at + 3 > PREFIX_BYTES)
        .unwrap_or(PREFIX_BYTES);
    let hash = hex(digest(&SHA256, name.as_str().as_bytes()).as_ref());
    format!("{}+{hash}", &prefix[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> LockName {
        LockName::new(text).unwrap()
    }

    #[test]
    fn a_file_name_is_the_lock_name_with_everything_unusual_encoded() {
        for (lock, file) in [
            ("backup", "backup.lock"),
            ("a.b_c-9", "a.b_c-9.lock"),
            ("a/b", "a%2Fb.lock"),
            (".", "%2E.lock"),
            ("..", "%2E..lock"),
            ("../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd.lock"),
            ("50%", "50%25.lock"),
            ("ü", "%C3%BC.lock"),
        ] {
            assert_eq!(lock_file(&name(lock), 0), file);
        }
    }

    #[test]
    fn long_names_keep_a_readable_beginning_and_stay_apart() {
        let mut files: Vec<String> = (0..200)
            .map(|last| {
                let long = "ü".repeat(199) + &char::from(b'a' + last % 26).to_string();
                lock_file(&name(&long), 0)
            })
            .chain(
                [
                    "ü".repeat(200),
                    "\u{1F600}".repeat(200),
                    format!("x{}", "ü".repeat(199)),
                ]
                .map(|long| lock_file(&name(&long), 0)),
            )
            .collect();
        files.sort();
        files.dedup();
        assert_eq!(files.len(), 29);
        for file in &files {
            assert!(
                file.len() + SUFFIX_MAX_BYTES <= FILE_NAME_MAX_BYTES,
                "{file}"
            );
            let (prefix, _) = file.split_once('+').unwrap();
            assert!(
                prefix.len() > 100 && prefix.rfind('%').unwrap() + 3 == prefix.len(),
                "{file}"
            );
        }
    }

    #[test]
    fn every_file_of_every_lock_has_a_name_of_its_own_that_is_not_too_long() {
        // As close to the limit as an encoded name gets, and one that is hashed.
        let edge = "ü".repeat(41) + "x";
        let names = ["a", "a.lock", "a.slot1", "a.line", "a.slot", &edge];
        let mut files: Vec<String> = names
            .into_iter()
            .map(name)
            .flat_map(|name| {
                let of_slot = |slot| [lock_file(&name, slot), marker_file(&name, slot)];
                let slots = [0, 1, 11, 999].into_iter().flat_map(of_slot);
                let others = [line_file(&name), once_file(&name), runs_file(&name)];
                slots.chain(others).collect::<Vec<_>>()
            })
            .collect();
        assert!(files.iter().all(|file| file.len() <= FILE_NAME_MAX_BYTES));
        let count = files.len();
        files.sort();
        files.dedup();
        assert_eq!(files.len(), count);
    }

    #[test]
    fn the_name_of_a_lock_is_read_from_that_of_its_file() {
        for text in ["a", "a.lock", ".", "50%", "ü\u{1F600}", "a.slot1", "../x y"] {
            let lock = name(text);
            assert_eq!(
                listed(&lock_file(&lock, 0)),
                Some(Listed::Lock(lock.clone()))
            );
            let (file, stem) = (lock_file(&lock, 12), stem(&lock));
            assert_eq!(listed(&file), Some(Listed::Slot(&stem, 12)));
            assert!(!is_hashed(&lock));
        }
        let long = name(&"ü".repeat(200));
        assert_eq!(listed(&lock_file(&long, 0)), Some(Listed::Hashed));
        assert!(is_hashed(&long));
        for file in [
            "",
            ".lock",
            "a",
            "a.once",
            "a%.lock",
            "a%2.lock",
            "a%ff.lock",
            "a b.lock",
            "%61.lock",
        ] {
            assert_eq!(listed(file), None, "{file}");
        }
    }

    #[test]
    fn the_files_of_a_locks_places_are_known_from_all_others() {
        let lock = name("a");
        for slot in [0, 1, 10, 999] {
            assert_eq!(slot_of(&lock, &lock_file(&lock, slot)), Some(slot));
        }
        for other in [
            "a.slot0",
            "a.slot01",
            "a.slot+1",
            "a.slot",
            "a.slotx",
            "a",
            "a.revoked",
            "a.line",
            "ab.lock",
            "a.lock.lock",
            "a.slot1.lock",
        ] {
            assert_eq!(slot_of(&lock, other), None, "{other}");
        }
    }
}
