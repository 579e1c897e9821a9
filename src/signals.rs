//! Signals of the operating system, turned into values at the border.
//!
//! The signals we act on are blocked and read from a signalfd: no handler ever
//! runs, neither here nor in the child between fork and exec, and each signal
//! comes with its origin. What was ignored when we were started stays ignored.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::str::FromStr;

use nix::errno::Errno;
use nix::sys::signal::{
    SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, pthread_sigmask, sigaction,
};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use nix::sys::signal::Signal as Known;

/// A signal by its number, real-time signals included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Signal(i32);

impl Signal {
    /// SIGHUP
    pub const HUP: Signal = Signal(Known::SIGHUP as i32);
    /// SIGINT
    pub const INT: Signal = Signal(Known::SIGINT as i32);
    /// SIGQUIT
    pub const QUIT: Signal = Signal(Known::SIGQUIT as i32);
    /// SIGKILL
    pub const KILL: Signal = Signal(Known::SIGKILL as i32);
    /// SIGUSR1
    pub const USR1: Signal = Signal(Known::SIGUSR1 as i32);
    /// SIGUSR2
    pub const USR2: Signal = Signal(Known::SIGUSR2 as i32);
    /// SIGALRM
    pub const ALRM: Signal = Signal(Known::SIGALRM as i32);
    /// SIGTERM
    pub const TERM: Signal = Signal(Known::SIGTERM as i32);
    /// SIGCHLD
    pub const CHLD: Signal = Signal(Known::SIGCHLD as i32);
    /// SIGCONT
    pub const CONT: Signal = Signal(Known::SIGCONT as i32);
    /// SIGSTOP
    pub const STOP: Signal = Signal(Known::SIGSTOP as i32);

    /// The signal with this number.
    #[must_use]
    pub const fn from_number(number: i32) -> Signal {
        Signal(number)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0
    }

    /// Whether it asks a program to end; one of these ends the wait for a lock.
    #[must_use]
    pub fn asks_to_end(self) -> bool {
        [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM].contains(&self)
    }
}

/// `TERM`, or the number where it has no name.
impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Known::try_from(self.0) {
            Ok(known) => f.write_str(known.as_str().trim_start_matches("SIG")),
            Err(_) => self.0.fmt(f),
        }
    }
}

/// Reads `TERM`, `SIGTERM`, `term` or `15`, as kill(1) does.
impl FromStr for Signal {
    type Err = String;

    fn from_str(text: &str) -> Result<Signal, String> {
        let wrong = || format!("{text:?} is not a signal: give a name like TERM or a number");
        if let Ok(number) = text.parse::<i32>() {
            let real_time = nix::libc::SIGRTMIN()..=nix::libc::SIGRTMAX();
            let exists = Known::try_from(number).is_ok() || real_time.contains(&number);
            return if exists {
                Ok(Signal(number))
            } else {
                Err(wrong())
            };
        }
        let name = text.to_ascii_uppercase();
        let name = name.strip_prefix("SIG").unwrap_or(&name);
        Known::from_str(&format!("SIG{name}"))
            .map(|known| Signal(known as i32))
            .map_err(|_| wrong())
    }
}

/// A signal that reached us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Which.
    pub signal: Signal,
    /// Who sent it.
    pub origin: Origin,
}

/// Who sent a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The terminal's driver (`^C`, a hang-up): the child in our group got it, too.
    Kernel,
    /// A process, with kill(2).
    Process,
}

/// Signals that are passed on to the child, or that end the wait.
const PASSED_ON: [Known; 7] = [
    Known::SIGHUP,
    Known::SIGINT,
    Known::SIGQUIT,
    Known::SIGTERM,
    Known::SIGUSR1,
    Known::SIGUSR2,
    Known::SIGALRM,
];

/// The signals that wait for us, instead of acting on us.
pub struct Signals {
    fd: SignalFd,
    original_mask: SigSet,
}

impl Signals {
    /// Holds back the signals we act on, from now on and in every thread started later.
    ///
    /// # Errors
    /// When the system refuses a signalfd.
    pub fn hold() -> Result<Signals, Errno> {
        // A caller that ignores SIGCHLD would cost us the child's status: the
        // kernel reaps by itself then, and wait answers ECHILD.
        set_default(Known::SIGCHLD)?;
        let mut held = SigSet::empty();
        held.add(Known::SIGCHLD);
        held.add(Known::SIGCONT);
        for signal in PASSED_ON {
            if !is_ignored(signal) {
                held.add(signal);
            }
        }
        let mut original_mask = SigSet::empty();
        pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&held), Some(&mut original_mask))?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let fd = SignalFd::with_flags(&held, flags)?;
        Ok(Signals { fd, original_mask })
    }

    /// The next signal that has arrived, if any. Never blocks.
    pub fn take(&mut self) -> Option<Received> {
        // An error would be EAGAIN in other words: there is nothing to read.
        let info = self.fd.read_signal().ok().flatten()?;
        // On Linux a positive code is the kernel's (SI_KERNEL, CLD_…); a process
        // has zero or less. The pid is no test: it is 0 across pid namespaces.
        let origin = if info.ssi_code > 0 {
            Origin::Kernel
        } else {
            Origin::Process
        };
        i32::try_from(info.ssi_signo).ok().map(|number| Received {
            signal: Signal(number),
            origin,
        })
    }

    /// Lets the signals act on us again, as when we were started.
    pub fn let_go(&self) {
        let mask = Some(&self.original_mask);
        let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, mask, None);
    }

    /// The mask we were started with, which is the child's.
    #[must_use]
    pub fn original_mask(&self) -> SigSet {
        self.original_mask
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Ends this process by `signal`, as the child was ended, without a second core
/// dump. Returns where that is impossible: as PID 1, or for a signal that does not kill.
pub fn die_of(signal: Signal) {
    // The child's core is the one of interest.
    let _ = nix::sys::prctl::set_dumpable(false);
    if let Ok(known) = Known::try_from(signal.0) {
        let _ = set_default(known);
        let mut only = SigSet::empty();
        only.add(known);
        let _ = pthread_sigmask(SigmaskHow::SIG_UNBLOCK, Some(&only), None);
        let _ = nix::sys::signal::raise(known);
    } else {
        raise_real_time(signal.0);
    }
}

/// Stops this process, as its child has stopped, until somebody sends CONT.
pub fn stop_self() {
    let _ = nix::sys::signal::raise(Known::SIGSTOP);
}

/// nix knows no real-time signals. They are never blocked or handled here, so
/// raising one ends us by its default action.
#[allow(unsafe_code)]
fn raise_real_time(number: i32) {
    // SAFETY: raise(3) takes any number and fails with EINVAL on one that is no signal.
    unsafe { nix::libc::raise(number) };
}

#[allow(unsafe_code)]
fn set_default(signal: Known) -> Result<(), Errno> {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: the default disposition runs no code of ours.
    unsafe { sigaction(signal, &default) }.map(drop)
}

#[allow(unsafe_code)]
fn is_ignored(signal: Known) -> bool {
    let mut old = std::mem::MaybeUninit::<nix::libc::sigaction>::uninit();
    // SAFETY: a null new action only asks; `old` is written when the call
    // succeeds, and it cannot fail for a valid signal and pointer.
    unsafe {
        let asked = nix::libc::sigaction(signal as i32, std::ptr::null(), old.as_mut_ptr());
        asked == 0 && old.assume_init().sa_sigaction == nix::libc::SIG_IGN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_named_as_kill_names_them() {
        for text in ["TERM", "SIGTERM", "term", "15"] {
            assert_eq!(text.parse(), Ok(Signal::TERM), "{text}");
        }
        assert_eq!(Signal::TERM.to_string(), "TERM");
        assert_eq!("40".parse::<Signal>().map(Signal::number), Ok(40));
        for text in ["", "TERMINATE", "0", "-9", "99", "SIG"] {
            assert!(
                text.parse::<Signal>()
                    .unwrap_err()
                    .contains("TERM or a number"),
                "{text}"
            );
        }
    }
}
