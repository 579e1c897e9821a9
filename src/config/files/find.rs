//! Opening a configuration file, and whether it can be trusted.

use std::fs::{self, Metadata, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::unistd::geteuid;

use crate::message::{plain, show_path};

/// Far more than any site has to say; a run reads all of it.
const BYTES_MAX: u64 = 1 << 20;

/// How a file came to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// Somebody named it.
    Named,
    /// It lies in the home directory.
    User,
    /// It lies in /etc.
    System,
}

/// What a file holds.
pub(super) struct Content {
    pub(super) text: String,
    /// Its permissions.
    pub(super) mode: u32,
}

/// Reads a file; None where there is none and none was named.
///
/// # Errors
/// One line that names the file.
pub(super) fn read(path: &Path, whose: Whose) -> Result<Option<Content>, String> {
    let shown = show_path(path);
    let cannot_read = |error| format!("cannot read {shown}: {}", plain(&error));
    // A FIFO that nobody writes to must not hold up a run, and a terminal not become ours.
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path);
    let file = match file {
        Ok(file) => file,
        Err(error) if whose != Whose::Named && is_missing(&error) => return Ok(None),
        Err(error) if whose == Whose::User && is_closed_to_us(path, &error) => return Ok(None),
        Err(error) => return Err(cannot_read(error)),
    };
    let metadata = file.metadata().map_err(cannot_read)?;
    let mode = metadata.mode() & 0o7777;
    if is_null(&metadata, path) {
        let text = String::new();
        return Ok(Some(Content { text, mode: 0 }));
    }
    if !metadata.is_file() {
        let what = kind_of(&metadata);
        return Err(format!("{shown} is {what}, not a configuration file"));
    }
    if let Some(text) = mistrust(&metadata, whose) {
        return Err(format!("{shown} {text}"));
    }
    // One more than there is, so that the end is seen at once.
    let length = metadata.len().min(BYTES_MAX) as usize;
    let mut bytes = Vec::with_capacity(length + 1);
    file.take(BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot_read)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(format!(
            "{shown} is too long for a configuration file: the limit is 1 MiB"
        ));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("{shown}:{line}: the text is not valid UTF-8")
    })?;
    Ok(Some(Content { text, mode }))
}

fn is_missing(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// In a container HOME is often another's, whose directory we cannot enter: no
/// file of ours can be in there. A file that is there and closed is another matter.
fn is_closed_to_us(path: &Path, error: &std::io::Error) -> bool {
    error.kind() == ErrorKind::PermissionDenied && fs::metadata(path).is_err()
}

/// `--config /dev/null`: no file at all.
fn is_null(metadata: &Metadata, path: &Path) -> bool {
    metadata.file_type().is_char_device() && path == Path::new("/dev/null")
}

fn kind_of(metadata: &Metadata) -> &'static str {
    let kind = metadata.file_type();
    if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a FIFO"
    } else {
        "a device"
    }
}

/// Why a file that nobody named is not believed: it says where locks live and
/// which file a report overwrites, so it has to be ours or root's, as with ssh.
fn mistrust(metadata: &Metadata, whose: Whose) -> Option<String> {
    let (owner, us) = (metadata.uid(), geteuid().as_raw());
    if whose == Whose::User && owner != us && owner != 0 {
        return Some(format!(
            "belongs to user {owner}, who is not the one that runs tasklock (user {us}): \
             set HOME right, or name the file with --config"
        ));
    }
    let others_can_write = metadata.mode() & 0o002 != 0;
    (whose != Whose::Named && others_can_write)
        .then(|| "can be written by everybody: chmod o-w it".to_owned())
}
