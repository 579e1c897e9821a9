//! A run of the program, while it lasts and afterwards.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::scratch::Scratch;
use super::{process, some_within};

/// A run that lasts longer than this hangs.
pub(super) const WATCHDOG: Duration = Duration::from_secs(60);

/// A run's own directory. Whoever of the run still lives when it goes, and has not changed HOME, is killed.
#[derive(Debug)]
pub(super) struct Home(pub(super) Scratch);

impl Home {
    /// The living processes of this run.
    pub(super) fn processes(&self) -> Vec<i32> {
        process::with_environment(&format!("HOME={}", self.0.path().display()))
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        for pid in self.processes() {
            process::send(pid, Signal::SIGKILL);
        }
    }
}

/// A run that goes on. Killed on drop, with all its processes.
#[derive(Debug)]
pub(crate) struct Running {
    pub(super) child: Guard,
    pub(super) home: Home,
    pub(super) started: Instant,
}

impl Running {
    /// The process that was started: the program, or the one it was put under.
    pub(crate) fn pid(&self) -> i32 {
        self.child.0.id() as i32
    }

    /// Sends a signal to this process only.
    pub(crate) fn signal(&self, signal: Signal) {
        process::send(self.pid(), signal);
    }

    /// Sends a signal to its process group.
    pub(crate) fn signal_group(&self, signal: Signal) {
        process::send(-self.pid(), signal);
    }

    /// Has it not ended yet?
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.0.try_wait().unwrap().is_none()
    }

    /// All living processes of this run, also those that left the group, the session or their parent.
    pub(crate) fn processes(&self) -> Vec<i32> {
        self.home.processes()
    }

    /// What it wrote to its standard output so far.
    pub(crate) fn stdout(&self) -> String {
        self.home.0.read("stdout")
    }

    /// What it wrote to its standard error so far.
    pub(crate) fn stderr(&self) -> String {
        self.home.0.read("stderr")
    }

    /// Waits until its standard error contains `fragment`.
    #[track_caller]
    pub(crate) fn wait_for_stderr(&mut self, fragment: &str) {
        let found = some_within(WATCHDOG, || {
            // Asked in this order: what it wrote before its end is there once it has ended.
            let running = self.is_running();
            let found = self.stderr().contains(fragment);
            (found || !running).then_some(found)
        });
        let said = self.stderr();
        match found {
            Some(true) => {}
            Some(false) => panic!("it ended without saying {fragment:?}; it said:\n{said}"),
            None => panic!("it did not say {fragment:?}; it said:\n{said}"),
        }
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// After a minute, with the output so far.
    #[track_caller]
    pub(crate) fn wait(mut self) -> Finished {
        let Some(status) = some_within(WATCHDOG, || self.child.0.try_wait().unwrap()) else {
            let (out, err) = (self.stdout(), self.stderr());
            panic!("it hangs\nstdout:\n{out}\nstderr:\n{err}");
        };
        let elapsed = self.started.elapsed();
        let (stdout, stderr) = (self.stdout(), self.stderr());
        Finished {
            code: status.code(),
            signal: status.signal(),
            stdout,
            stderr,
            elapsed,
            home: self.home,
        }
    }
}

/// A child that does not outlive its test.
#[derive(Debug)]
pub(super) struct Guard(pub(super) Child);

impl Drop for Guard {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            // The group first, while the pid that names it cannot be another's yet.
            process::send(-(self.0.id() as i32), Signal::SIGKILL);
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// A run that has ended. What it left behind is killed on drop.
#[derive(Debug)]
pub(crate) struct Finished {
    /// Its exit code, unless a signal ended it.
    pub(crate) code: Option<i32>,
    /// The signal that ended it.
    pub(crate) signal: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// From just before its start until its end was noticed, a few milliseconds late at most.
    pub(crate) elapsed: Duration,
    home: Home,
}

impl Finished {
    /// It exited with `code`.
    #[track_caller]
    pub(crate) fn expect_code(&self, code: i32) -> &Finished {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// It died of `signal`.
    #[track_caller]
    pub(crate) fn expect_signal(&self, signal: Signal) -> &Finished {
        assert_eq!(self.signal, Some(signal as i32), "{self}");
        self
    }

    /// Its standard error contains `fragment`.
    #[track_caller]
    pub(crate) fn expect_stderr(&self, fragment: &str) -> &Finished {
        assert!(self.stderr.contains(fragment), "no {fragment:?}: {self}");
        self
    }

    /// Its standard output is exactly `text`.
    #[track_caller]
    pub(crate) fn expect_stdout(&self, text: &str) -> &Finished {
        assert_eq!(self.stdout, text, "{self}");
        self
    }

    /// It wrote nothing to its standard error.
    #[track_caller]
    pub(crate) fn expect_silent(&self) -> &Finished {
        assert_eq!(self.stderr, "", "{self}");
        self
    }

    /// The processes that it left behind.
    pub(crate) fn survivors(&self) -> Vec<i32> {
        self.home.processes()
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.signal) {
            (Some(code), _) => writeln!(f, "it exited {code} after {:?}", self.elapsed)?,
            (_, signal) => writeln!(f, "it died of {signal:?} after {:?}", self.elapsed)?,
        }
        write!(f, "stdout:\n{}stderr:\n{}", self.stdout, self.stderr)
    }
}
