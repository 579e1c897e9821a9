//! From the name of a lock to the names of its files: no slash, no leading dot,
//! never too long, and two locks never share one.

use ring::digest::{SHA256, digest};

use crate::store::{LockName, hex};

/// The longest file name, in bytes: NAME_MAX of Linux.
const FILE_NAME_MAX_BYTES: usize = 255;

/// What the name of a lock file ends in.
const LOCK_SUFFIX: &str = ".lock";

/// What the name of the marker beside it ends in (`tasklock unlock`).
const MARKER_SUFFIX: &str = ".revoked";

/// How much of a long lock name stays readable, in bytes: enough to recognise
/// it, and with the 65 bytes of the hash well below the maximum.
const PREFIX_BYTES: usize = 120;

/// The file that is the lock `name`.
pub(super) fn lock_file(name: &LockName) -> String {
    stem(name) + LOCK_SUFFIX
}

/// The file that asks the holder of `name` to stop.
pub(super) fn marker_file(name: &LockName) -> String {
    stem(name) + MARKER_SUFFIX
}

/// `name` as a file name: percent-encoded, and where that gets too long, its
/// beginning and its hash. A `+` stands in no encoded name, so the two kinds
/// cannot meet.
fn stem(name: &LockName) -> String {
    use std::fmt::Write as _;
    const STEM_MAX_BYTES: usize = FILE_NAME_MAX_BYTES - MARKER_SUFFIX.len();
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
            assert_eq!(lock_file(&name(lock)), file);
        }
    }

    #[test]
    fn long_names_keep_a_readable_beginning_and_stay_apart() {
        let mut files: Vec<String> = (0..200)
            .map(|last| {
                lock_file(&name(
                    &("ü".repeat(199) + &char::from(b'a' + last % 26).to_string()),
                ))
            })
            .chain(
                [
                    "ü".repeat(200),
                    "\u{1F600}".repeat(200),
                    format!("x{}", "ü".repeat(199)),
                ]
                .map(|long| lock_file(&name(&long))),
            )
            .collect();
        files.sort();
        files.dedup();
        assert_eq!(files.len(), 29);
        for file in &files {
            assert!(
                file.len() + MARKER_SUFFIX.len() <= FILE_NAME_MAX_BYTES,
                "{file}"
            );
            let (prefix, _) = file.split_once('+').unwrap();
            assert!(
                prefix.len() > 100 && prefix.rfind('%').unwrap() + 3 == prefix.len(),
                "{file}"
            );
        }
    }
}
