//! The one place where a run waits: for signals, for answers, and for the time to come.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use crate::clock::Tick;
use crate::signals::{Received, Signal, Signals};
use crate::supervisor::Event;

/// Something to look into.
#[derive(Debug)]
pub enum Incoming {
    /// A signal for us.
    Signal(Received),
    /// A child ended, stopped or went on.
    ChildChanged,
    /// An answer, or the end of the thread that gives them.
    Posted(Event),
    /// The bell rang that was listened for.
    Rung,
    /// The time has come.
    Time,
}

/// Where other threads post events. Each is followed by a ring, for `poll` to hear.
#[derive(Clone)]
pub struct Post {
    sender: Sender<Event>,
    bell: Arc<EventFd>,
}

impl Post {
    /// Posts `event`. When nobody reads any more, there is nobody to tell.
    pub fn send(&self, event: Event) {
        let _ = self.sender.send(event);
        let _ = self.bell.write(1);
    }
}

/// The receiving end.
pub struct Inbox {
    signals: Signals,
    receiver: Receiver<Event>,
    bell: Arc<EventFd>,
    /// On CLOCK_BOOTTIME: a timeout of `poll` would sleep on after a suspend.
    timer: TimerFd,
    armed: Option<Tick>,
}

impl Inbox {
    /// An inbox for these signals, and the post that leads to it.
    ///
    /// # Errors
    /// When the system refuses a descriptor.
    pub fn new(signals: Signals) -> Result<(Inbox, Post), Errno> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let bell = Arc::new(EventFd::from_value_and_flags(0, flags)?);
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        let timer = TimerFd::new(ClockId::CLOCK_BOOTTIME, flags)?;
        let (sender, receiver) = mpsc::channel();
        let post = Post {
            sender,
            bell: Arc::clone(&bell),
        };
        Ok((
            Inbox {
                signals,
                receiver,
                bell,
                timer,
                armed: None,
            },
            post,
        ))
    }

    /// The signals it reads.
    #[must_use]
    pub fn signals(&self) -> &Signals {
        &self.signals
    }

    /// A signal that is there already. Never waits.
    pub fn signal(&mut self) -> Option<Received> {
        self.signals.take()
    }

    /// The next thing to look into; [`Incoming::Time`] when `wake` has come,
    /// [`Incoming::Rung`] when `store_bell` is readable (or broken: whoever asks finds out).
    /// Signals go first: a request to end must be seen before a grant is acted on.
    ///
    /// # Errors
    /// When waiting itself fails, which no valid descriptor makes it do.
    pub fn next(
        &mut self,
        wake: Option<Tick>,
        store_bell: Option<BorrowedFd<'_>>,
    ) -> Result<Incoming, Errno> {
        loop {
            if let Some(received) = self.signals.take() {
                if received.signal == Signal::CHLD {
                    return Ok(Incoming::ChildChanged);
                }
                return Ok(Incoming::Signal(received));
            }
            if let Ok(event) = self.receiver.try_recv() {
                return Ok(Incoming::Posted(event));
            }
            self.arm(wake)?;
            let own = [self.signals.as_fd(), self.bell.as_fd(), self.timer.as_fd()];
            // Without a bell the first stands there twice.
            let store_fd = store_bell.unwrap_or(own[0]);
            let mut fds =
                [own[0], own[1], own[2], store_fd].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error),
            }
            let ready = |fd: &PollFd<'_>| fd.any().unwrap_or(false);
            let (posted, time) = (ready(&fds[1]), ready(&fds[2]));
            let rung = store_bell.is_some() && ready(&fds[3]);
            if posted {
                // Rings are counted together; the events are in the channel.
                let _ = self.bell.read();
            }
            if time {
                self.armed = None;
                // Drained so that it is quiet until it is armed again.
                let _ = self.timer.unset();
                return Ok(Incoming::Time);
            }
            if rung && !ready(&fds[0]) && !posted {
                return Ok(Incoming::Rung);
            }
        }
    }

    fn arm(&mut self, wake: Option<Tick>) -> Result<(), Errno> {
        if wake == self.armed {
            return Ok(());
        }
        self.armed = wake;
        match wake {
            None => self.timer.unset(),
            Some(at) => {
                // Zero would disarm it: the first nanosecond after boot has passed anyway.
                let at = at.since_boot().max(Duration::from_nanos(1));
                let at = Expiration::OneShot(TimeSpec::from_duration(at));
                self.timer.set(at, TimerSetTimeFlags::TFD_TIMER_ABSTIME)
            }
        }
    }
}
