//! The line: who waits for a lock, first come, first served.
//!
//! One file per lock, and in it the kernel's locks alone: each waiter keeps a
//! stretch of bytes locked for as long as it waits. The stretch begins where its
//! ticket says, so that the order is that of joining; it is as long as the lock
//! has places for this waiter. Whoever looks learns from the kernel who stands
//! before him and which places each of them can use; a waiter that dies is gone
//! at that moment; nothing is written, nothing expires, nothing is left over.
//! (The file's text is only who they are, for people.)
//!
//! The locks are those of an open file description (`F_OFD_SETLK`, Linux 3.15):
//! like `flock` they end with the process, and unlike it they have stretches.
//! Tickets begin at 0 again whenever the line is empty.

use std::fs::File;
use std::iter;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use serde::{Deserialize, Serialize};

use super::directory::{Access, Directory, Entry};
use super::file_name::line_file;
use super::record::{self, Moment};
use crate::store::{Holder, LockName, StoreError, StoreErrorKind};

/// The stretch of one ticket, in bytes, and so the most places that a waiter
/// can be seen to choose from.
const STRETCH_BYTES: u64 = 1024;

/// Who waits is told in lines of so many bytes, and of so many waiters at most: the
/// file may be on a small tmpfs.
const LINE_BYTES: u64 = 4096;
const LINES: u64 = 128;

/// One past the last byte that can be locked.
const END_BYTE: u64 = libc::off_t::MAX as u64 / STRETCH_BYTES * STRETCH_BYTES;

/// Somebody in line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Waiter {
    /// Its number, larger for whoever came later.
    pub(super) ticket: u64,
    /// It uses the places below this one.
    pub(super) slots: u32,
}

impl Waiter {
    fn bytes(self) -> Range<u64> {
        let start = self.ticket * STRETCH_BYTES;
        start..start + u64::from(self.slots)
    }
}

/// The file of one lock's line, in the directory as it is for one request.
pub(super) struct Line<'a> {
    directory: &'a Directory,
    pub(super) file_name: String,
}

impl<'a> Line<'a> {
    pub(super) fn new(directory: &'a Directory, name: &LockName) -> Line<'a> {
        Line {
            directory,
            file_name: line_file(name),
        }
    }

    /// Everybody in line, first to last.
    pub(super) fn waiters(&self) -> Result<Vec<Waiter>, StoreError> {
        // Where nobody has ever waited there is no file.
        match self.directory.open_file(&self.file_name, Access::Look)? {
            Some(file) => waiters(&file, END_BYTE).map_err(|errno| self.failure(errno)),
            None => Ok(Vec::new()),
        }
    }

    /// Everybody who stands before `ticket`, first to last.
    pub(super) fn before(&self, ticket: &Ticket) -> Result<Vec<Waiter>, StoreError> {
        let end = ticket.waiter.ticket * STRETCH_BYTES;
        waiters(&ticket.file, end).map_err(|errno| self.failure(errno))
    }

    /// Joins the line as its last, for the places below `slots`.
    pub(super) fn join(&self, slots: u32) -> Result<Ticket, StoreError> {
        /// Each round needs somebody who joins, or who replaces the file, just then.
        const ROUNDS: u32 = 1000;
        let bytes = u64::from(slots).clamp(1, STRETCH_BYTES);
        let slots = u32::try_from(bytes).unwrap_or(1);
        for _ in 0..ROUNDS {
            let file = self.directory.open_or_create(&self.file_name)?;
            let last = waiters(&file, END_BYTE).map_err(|errno| self.failure(errno))?;
            let ticket = last.last().map_or(0, |last| last.ticket + 1);
            let waiter = Waiter { ticket, slots };
            if waiter.bytes().end > END_BYTE {
                break;
            }
            match lock(&file, libc::F_WRLCK, waiter.bytes()) {
                Ok(()) => {}
                Err(Errno::EAGAIN | Errno::EACCES) => continue,
                Err(errno) => return Err(self.failure(errno)),
            }
            if self.directory.entry(&file, &self.file_name)? == Entry::Same {
                let file = Arc::new(file);
                return Ok(Ticket { file, waiter });
            }
        }
        Err(StoreError::new(
            StoreErrorKind::Unavailable,
            format!(
                "cannot stand in line in {}: something else locks it",
                self.directory.path_of(&self.file_name).display()
            ),
        ))
    }

    /// Whether `ticket` still is one of this line: the file may have been deleted.
    pub(super) fn has(&self, ticket: &Ticket) -> Result<bool, StoreError> {
        let entry = self.directory.entry(&ticket.file, &self.file_name)?;
        Ok(entry == Entry::Same)
    }

    /// Who is first in line, if that is known.
    pub(super) fn first(&self) -> Option<Holder> {
        let first = self.waiters().ok()?;
        let mut details = self.details_of(first.iter().take(1));
        details.pop().flatten().map(|(holder, _)| holder)
    }

    /// Who these are, and since when they stand here, as far as is known.
    pub(super) fn details_of<'w>(
        &self,
        waiters: impl Iterator<Item = &'w Waiter>,
    ) -> Vec<Option<(Holder, Duration)>> {
        let file = self.directory.open_file(&self.file_name, Access::Look);
        let file = file.ok().flatten();
        let details = |waiter: &Waiter| details(file.as_ref()?, waiter.ticket);
        waiters.map(details).collect()
    }

    fn failure(&self, errno: Errno) -> StoreError {
        self.directory.failure("lock", &self.file_name, errno)
    }
}

/// What stands in the file for one waiter, in the line of [`LINE_BYTES`] that is
/// its ticket's.
#[derive(Serialize, Deserialize)]
struct Details {
    v: u64,
    ticket: u64,
    since: Moment,
    waiter: Holder,
}

fn offset_of(ticket: u64) -> u64 {
    ticket % LINES * LINE_BYTES
}

fn details(file: &File, ticket: u64) -> Option<(Holder, Duration)> {
    let mut bytes = [0; LINE_BYTES as usize];
    let count = file.read_at(&mut bytes, offset_of(ticket)).ok()?;
    let line = bytes[..count].split(|byte| *byte == b'\n').next()?;
    let details: Details = serde_json::from_slice(line).ok()?;
    let is_it = details.v == record::VERSION && details.ticket == ticket;
    is_it.then(|| (details.waiter, Moment::now().since(&details.since)))
}

/// A place in line of ours. Dropping it leaves the line.
#[derive(Debug)]
pub(super) struct Ticket {
    file: Arc<File>,
    waiter: Waiter,
}

impl Ticket {
    /// What blocks until the waiter with the ticket `other` is gone, however it
    /// went, and says whether it is. For a thread of its own: nothing else ends it.
    pub(super) fn absence_of(&self, other: u64) -> impl FnOnce() -> bool + Send + 'static {
        let file = Arc::clone(&self.file);
        let start = other * STRETCH_BYTES;
        // Shared, which no look takes for a waiter.
        let first_byte = request(libc::F_RDLCK, &(start..start + 1));
        move || loop {
            match fcntl(&*file, FcntlArg::F_OFD_SETLKW(&first_byte)) {
                Err(Errno::EINTR) => {}
                Err(_) => return false,
                Ok(_) => return lock(&file, libc::F_UNLCK, start..start + 1).is_ok(),
            }
        }
    }

    /// Tells those who look that it is `waiter` who stands here.
    pub(super) fn announce(&self, waiter: &Holder) {
        let ticket = self.waiter.ticket;
        let details = Details {
            v: record::VERSION,
            ticket,
            since: Moment::now(),
            waiter: waiter.clone(),
        };
        // For people only.
        if let Ok(mut line) = serde_json::to_vec(&details) {
            line.push(b'\n');
            if line.len() as u64 <= LINE_BYTES {
                let _ = self.file.write_all_at(&line, offset_of(ticket));
            }
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // The thread that waits for somebody before us may keep the file open.
        let _ = lock(&self.file, libc::F_UNLCK, self.waiter.bytes());
    }
}

/// Everybody whose stretch begins before `end`, first to last.
fn waiters(file: &File, end: u64) -> Result<Vec<Waiter>, Errno> {
    let mut found = Vec::new();
    // Each question is answered by one of them, so that two stretches remain to
    // be asked about: before it and after it.
    let mut unseen: Vec<Range<u64>> = iter::once(0..end).collect();
    while let Some(range) = unseen.pop() {
        let Some(bytes) = locked_within(file, &range)? else {
            continue;
        };
        let ticket = bytes.start / STRETCH_BYTES;
        let start = ticket * STRETCH_BYTES;
        let slots = (bytes.end - start).min(STRETCH_BYTES);
        found.push(Waiter {
            ticket,
            slots: u32::try_from(slots).unwrap_or(1),
        });
        let next = bytes.end.next_multiple_of(STRETCH_BYTES);
        unseen.push(range.start..start.max(range.start));
        unseen.push(next.min(range.end)..range.end);
    }
    found.sort_unstable();
    Ok(found)
}

/// A stretch within `range` that a waiter has locked.
fn locked_within(file: &File, range: &Range<u64>) -> Result<Option<Range<u64>>, Errno> {
    if range.is_empty() {
        return Ok(None);
    }
    let mut answer = request(libc::F_RDLCK, range);
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut answer))?;
    if i32::from(answer.l_type) == libc::F_UNLCK {
        return Ok(None);
    }
    let start = u64::try_from(answer.l_start).unwrap_or(0);
    // No length: to the end of all files.
    let end = match u64::try_from(answer.l_len) {
        Ok(0) | Err(_) => END_BYTE,
        Ok(length) => start.saturating_add(length),
    };
    Ok(Some(start.max(range.start)..end.min(range.end)))
}

/// Takes or gives back the kernel's lock of `kind` on `bytes`, without waiting.
fn lock(file: &File, kind: i32, bytes: Range<u64>) -> Result<(), Errno> {
    fcntl(file, FcntlArg::F_OFD_SETLK(&request(kind, &bytes))).map(drop)
}

fn request(kind: i32, bytes: &Range<u64>) -> libc::flock {
    let offset = |byte: u64| libc::off_t::try_from(byte).unwrap_or(libc::off_t::MAX);
    libc::flock {
        l_type: i16::try_from(kind).unwrap_or_default(),
        l_whence: i16::try_from(libc::SEEK_SET).unwrap_or_default(),
        l_start: offset(bytes.start),
        l_len: offset(bytes.end - bytes.start),
        l_pid: 0,
    }
}
