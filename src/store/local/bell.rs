//! What tells a waiter that it is worth asking again.
//!
//! Two things ring: a change of the files of the places that are within our
//! reach (inotify), and the end of somebody before us in line (a thread that
//! waits for it in the kernel). Both are hints. Where the system refuses one of
//! them, asking every now and then does the same, later.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::line::Ticket;

/// Who deletes or replaces a file changes the number of its names.
const GONE: AddWatchFlags = AddWatchFlags::IN_ATTRIB
    .union(AddWatchFlags::IN_DELETE_SELF)
    .union(AddWatchFlags::IN_MOVE_SELF)
    .union(AddWatchFlags::IN_DONT_FOLLOW);

/// A holder releases by closing its file. A crash does the same, a moment
/// *before* the kernel frees the lock.
const RELEASED: AddWatchFlags = GONE.union(AddWatchFlags::IN_CLOSE_WRITE);

/// The bell of one waiter.
#[derive(Debug)]
pub(super) struct Bell {
    /// Readable as soon as one of the others is.
    all: Epoll,
    /// Made when it is needed first: a user has 128 of them, by default.
    files: Option<Inotify>,
    line: Option<Absence>,
}

/// Waits for the end of somebody before us in line.
#[derive(Debug)]
struct Absence {
    /// The one whose end it is.
    of: u64,
    /// Rung by the thread.
    rope: Arc<EventFd>,
    thread: JoinHandle<()>,
}

impl Bell {
    pub(super) fn new() -> Result<Bell, Errno> {
        Ok(Bell {
            all: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            files: None,
            line: None,
        })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.all.0.as_fd()
    }

    /// Silences it, and says whether it rang.
    pub(super) fn silence(&self) -> bool {
        let line = self.line.as_ref();
        let mut rang = line.is_some_and(|absence| absence.rope.read().is_ok());
        if let Some(files) = &self.files {
            while files.read_events().is_ok() {
                rang = true;
            }
        }
        rang
    }

    /// Rings from now on whenever a holder closes one of the files of `places`, or
    /// when somebody deletes or replaces one of them or the file of the `line`. A
    /// file that does not exist has no holder. False: the system refuses that.
    pub(super) fn watch(&mut self, places: impl Iterator<Item = PathBuf>, line: PathBuf) -> bool {
        let Ok(inotify) = self.inotify() else {
            return false;
        };
        let places = places.map(|file| (file, RELEASED));
        places.chain([(line, GONE)]).all(|(file, changes)| {
            let watched = inotify.add_watch(&file, changes);
            matches!(watched, Ok(_) | Err(Errno::ENOENT))
        })
    }

    fn inotify(&mut self) -> Result<&Inotify, Errno> {
        let files = match self.files.take() {
            Some(files) => files,
            None => {
                let files = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
                self.all.add(&files, readable())?;
                files
            }
        };
        Ok(self.files.insert(files))
    }

    /// Rings for nobody's end any more.
    pub(super) fn forget_line(&mut self) {
        if let Some(absence) = self.line.take() {
            // The thread is about to end, or is left to itself: it holds nothing,
            // and ends with those before us, or with us.
            let _ = self.all.delete(&*absence.rope);
        }
    }

    /// Rings when the one with the ticket `other`, if any, has left the line of
    /// `ticket`, and for nobody else's end. False: the system refuses that.
    pub(super) fn ring_without(&mut self, other: Option<u64>, ticket: &Ticket) -> bool {
        let line = self.line.as_ref();
        if line.map(|absence| absence.of) == other
            && line.is_none_or(|absence| !absence.thread.is_finished())
        {
            return true;
        }
        self.forget_line();
        if let Some(other) = other {
            self.line = self.absence(other, ticket).ok();
        }
        self.line.is_some() == other.is_some()
    }

    fn absence(&self, of: u64, ticket: &Ticket) -> io::Result<Absence> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let rope = Arc::new(EventFd::from_value_and_flags(0, flags)?);
        let (bell, has_left) = (Arc::clone(&rope), ticket.absence_of(of));
        let work = move || {
            if has_left() {
                let _ = bell.write(1);
            }
        };
        let thread = thread::Builder::new().name("line".to_owned()).spawn(work)?;
        self.all.add(&*rope, readable())?;
        Ok(Absence { of, rope, thread })
    }
}

fn readable() -> EpollEvent {
    EpollEvent::new(EpollFlags::EPOLLIN, 0)
}
