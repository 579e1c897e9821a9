//! What tells a waiter that it is worth asking again.
//!
//! Two things ring: a change of the files of the places that are within our
//! reach (inotify), and the end of somebody before us in line (a thread that
//! waits for it in the kernel). Both are hints. Where the system refuses one of
//! them, asking every now and then does the same, later.

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
    /// Rung by the thread.
    rope: Arc<EventFd>,
    /// Made when it is needed first: a user has 128 of them, by default.
    files: Option<Inotify>,
    /// Waits for the end of the one with that ticket.
    thread: Option<(u64, JoinHandle<()>)>,
}

impl Bell {
    pub(super) fn new() -> Result<Bell, Errno> {
        let all = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let rope =
            EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        all.add(&rope, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
        Ok(Bell {
            all,
            rope: Arc::new(rope),
            files: None,
            thread: None,
        })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.all.0.as_fd()
    }

    /// Silences it, and says whether it rang.
    pub(super) fn silence(&self) -> bool {
        let mut rang = self.rope.read().is_ok();
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
                self.all
                    .add(&files, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
                files
            }
        };
        Ok(self.files.insert(files))
    }

    /// Rings when the one with the ticket `other` has left the line of `ticket`.
    /// False: the system refuses a thread for that.
    pub(super) fn ring_without(&mut self, other: u64, ticket: &Ticket) -> bool {
        let waits =
            |(awaited, thread): &(u64, JoinHandle<()>)| *awaited == other && !thread.is_finished();
        if self.thread.as_ref().is_some_and(waits) {
            return true;
        }
        // A thread that waits for one before has been answered, or is left to
        // itself: it holds nothing and ends with those before us, or with us.
        let (rope, absence) = (Arc::clone(&self.rope), ticket.absence_of(other));
        let work = move || {
            if absence() {
                let _ = rope.write(1);
            }
        };
        let thread = thread::Builder::new().name("line".to_owned()).spawn(work);
        self.thread = thread.ok().map(|thread| (other, thread));
        self.thread.is_some()
    }
}
