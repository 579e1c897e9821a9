//! `--report`: one JSON line with the outcome, written whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{FromRawFd, RawFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::libc;
use nix::unistd::{AccessFlags, access};
use serde::Serialize;

use crate::store::{Fence, Holder, random_hex};

/// What is reported. Times are in milliseconds.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    /// The lock.
    pub name: &'a str,
    /// [`crate::exit::Outcome::word`].
    pub outcome: &'a str,
    /// Why it was skipped, if it was.
    pub cause: Option<&'a str>,
    /// The command's exit code, if it exited.
    pub child_exit: Option<u8>,
    /// The signal that the command died of, if it did.
    pub child_signal: Option<i32>,
    /// The command could not be killed.
    pub child_alive: bool,
    /// The fencing number of the grant.
    pub fence: Option<Fence>,
    /// The place, with several.
    pub slot: Option<u32>,
    /// Who held the lock instead.
    pub holder: Option<&'a Holder>,
    /// From the first request to the grant or the end.
    pub waited_ms: u64,
    /// From the grant to the end.
    pub held_ms: u64,
    /// When the run was asked for: RFC 3339, UTC.
    pub started_at: String,
    /// The store, without credentials.
    pub store: String,
}

/// Where a report goes. Checked before the command starts, since afterwards it is too late.
#[derive(Debug)]
pub enum Destination {
    /// A new file, put in place of an old one when it is complete.
    File(PathBuf),
    /// A pipe or device: written to as it is.
    Stream(File),
}

impl Destination {
    /// Checks that a report can be written to `path`.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn check(path: &Path) -> io::Result<Destination> {
        if let Some(fd) = inherited(path)? {
            let stream = duplicate(fd)?;
            // A process that the command leaves behind would keep a reader waiting for the
            // end. The standard streams are the command's, too.
            if fd > 2 {
                close_on_exec(fd)?;
            }
            return Ok(Destination::Stream(stream));
        }
        if let Some(fd) = open_already(path) {
            return duplicate(fd).map(Destination::Stream);
        }
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
            // Said plainly: access(2) below says "permission denied" of a file.
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => Err(error),
            Ok(metadata) if !metadata.is_file() => OpenOptions::new()
                .write(true)
                .open(path)
                .map(Destination::Stream),
            _ => {
                // A link stays a link, what it leads to is replaced.
                let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
                access(directory_of(&path), AccessFlags::W_OK | AccessFlags::X_OK)?;
                Ok(Destination::File(path))
            }
        }
    }

    /// Whether writing may wait for a reader.
    #[must_use]
    pub fn may_block(&self) -> bool {
        matches!(self, Destination::Stream(_))
    }

    /// Writes `report`.
    ///
    /// # Errors
    /// When it cannot be written; an older report is still there then.
    pub fn write(self, report: &Report<'_>) -> io::Result<()> {
        let line = serde_json::to_string(report)? + "\n";
        match self {
            Destination::Stream(mut stream) => stream.write_all(line.as_bytes()),
            Destination::File(path) => {
                // Neither guessed nor met again: in /tmp somebody might plant a link
                // under it, and in a container every pid is the same.
                let mut temporary = path.clone().into_os_string();
                temporary.push(format!(
                    ".{}.tmp",
                    random_hex::<8>().map_err(io::Error::other)?
                ));
                let mut file = File::create_new(&temporary)?;
                let written = file
                    .write_all(line.as_bytes())
                    .and_then(|()| fs::rename(&temporary, &path));
                if written.is_err() {
                    let _ = fs::remove_file(&temporary);
                }
                written
            }
        }
    }
}

/// The descriptor of `fd:N`, which our caller opened for the report.
fn inherited(path: &Path) -> io::Result<Option<RawFd>> {
    let Some(number) = path.to_str().and_then(|path| path.strip_prefix("fd:")) else {
        return Ok(None);
    };
    match number.parse() {
        Ok(fd) if fd >= 0 => Ok(Some(fd)),
        _ => Err(io::Error::other(
            "fd: takes the number of an open descriptor, as in fd:3 (./fd: is a file)",
        )),
    }
}

/// The descriptor that a path like /dev/stderr stands for. It may lead to a
/// regular file, which is then to be written on, not replaced.
fn open_already(path: &Path) -> Option<RawFd> {
    match path.to_str()? {
        "/dev/stdin" => Some(0),
        "/dev/stdout" => Some(1),
        "/dev/stderr" => Some(2),
        path => path
            .strip_prefix("/dev/fd/")
            .or_else(|| path.strip_prefix("/proc/self/fd/"))?
            .parse()
            .ok(),
    }
}

/// Another descriptor of the same open file: opened anew it would be written
/// from its beginning.
#[allow(unsafe_code)]
fn duplicate(fd: RawFd) -> io::Result<File> {
    // SAFETY: fcntl takes any number, and answers EBADF to one that is not open.
    let flags = Errno::result(unsafe { libc::fcntl(fd, libc::F_GETFL) })?;
    if flags & libc::O_ACCMODE == libc::O_RDONLY {
        return Err(io::Error::other("that descriptor is open for reading only"));
    }
    // SAFETY: as above.
    let fd = Errno::result(unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) })?;
    // SAFETY: the descriptor is new, and nobody else's.
    Ok(unsafe { File::from_raw_fd(fd) })
}

/// Keeps `fd` from the command.
#[allow(unsafe_code)]
fn close_on_exec(fd: RawFd) -> io::Result<()> {
    // SAFETY: the descriptor is open, and stays so.
    let done = unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    Errno::result(done).map(drop).map_err(io::Error::from)
}

fn directory_of(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}
