//! The child process: started, signalled, reaped, and stopped with all that descends from it.
//!
//! We are a subreaper: whatever the command leaves behind becomes our child,
//! so that "no child left" means that the whole tree is gone. What the command
//! hands to another supervisor (ssh, docker, systemd-run) is not our descendant.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;

use nix::errno::Errno;
use nix::libc;
use nix::sys::prctl;
use nix::sys::signal::SigSet;
use nix::unistd::{Pid, getpgid, getpgrp, getpid, tcgetpgrp, tcsetpgrp};

use crate::cli;
use crate::exit::{ChildStatus, StartError};
use crate::footprint::Track;
use crate::message::{escape, hide_urls, plain};
use crate::signals::{self, Signal};
use crate::spawn::{Program, environment_with, spawn};
use crate::supervisor::Event;

/// What to start, and how.
#[derive(Debug)]
pub struct Start<'a> {
    /// The command and its arguments.
    pub command: &'a [OsString],
    /// Variables to set, or to remove where there is no value.
    pub environment: Vec<(&'static str, Option<OsString>)>,
    /// Which process group it runs in.
    pub group: Group,
    /// What becomes of it when tasklock is killed.
    pub after_our_death: AfterOurDeath,
    /// Where it puts who it is, if it is to die then.
    pub track: Option<Track<'a>>,
    /// The signals that were blocked when we were started.
    pub mask: SigSet,
}

/// The child's process group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Its own: it can be signalled as a whole, and a signal to our group does not reach it twice.
    Own,
    /// Ours: at a terminal it stays in the foreground with us.
    Ours,
}

/// What becomes of the child when tasklock is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterOurDeath {
    /// The kernel kills it, too.
    Dies,
    /// It goes on.
    Lives,
}

/// The child that was started.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    group: Group,
    reaped: bool,
    /// Children that were ours before: whoever started us with `exec` may have
    /// had some, and they are none of the command's.
    bystanders: Vec<Pid>,
}

impl Child {
    /// Starts the command. From the main thread only: the kernel ties "dies with
    /// its parent" to the thread that forked.
    ///
    /// # Errors
    /// [`StartError`], with the line to tell.
    pub fn start(start: Start<'_>) -> Result<Child, StartError> {
        let program = start
            .command
            .first()
            .ok_or_else(|| StartError::NotFound("there is no command to run".to_owned()))?;
        // Old kernels refuse; then only what stays in the tree can be stopped.
        let _ = prctl::set_child_subreaper(true);
        // Most of us have none, which one call tells.
        let bystanders = match wait_any() {
            Err(_) => Vec::new(),
            Ok(_) => children(getpid()),
        };
        let pid = spawn(Program {
            command: start.command,
            environment: environment_with(&start.environment),
            own_group: start.group == Group::Own,
            dies_with_us: start.after_our_death == AfterOurDeath::Dies,
            track: start.track,
            mask: start.mask,
        })
        .map_err(|error| explain(program, &error))?;
        Ok(Child {
            pid,
            group: start.group,
            reaped: false,
            bystanders,
        })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid.as_raw().cast_unsigned()
    }

    /// Passes `signal` on to the child, or to its group where it has its own.
    pub fn forward(&self, signal: Signal) {
        if self.reaped {
            return;
        }
        match self.group {
            Group::Own => send(-self.pid.as_raw(), signal),
            Group::Ours => send(self.pid.as_raw(), signal),
        }
    }

    /// Sends `signal` once to the child and to each of its descendants, wherever
    /// they have gone, and wakes those that are stopped.
    pub fn signal_tree(&self, signal: Signal) {
        let mut tree = self.descendants();
        // Without /proc the child itself is known all the same.
        if !self.reaped && !tree.contains(&self.pid) {
            tree.push(self.pid);
        }
        // In the child's group one call reaches all at once, also what is just
        // being forked. The rest is sought one by one.
        let whole_group = self.group == Group::Own && !self.reaped;
        let apart: Vec<Pid> = tree
            .into_iter()
            .filter(|pid| !(whole_group && getpgid(Some(*pid)) == Ok(self.pid)))
            .collect();
        for signal in [signal, Signal::CONT] {
            if whole_group {
                send(-self.pid.as_raw(), signal);
            }
            for pid in &apart {
                send(pid.as_raw(), signal);
            }
        }
    }

    /// Reaps whatever has ended and says what that means for the run.
    pub fn reap(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        loop {
            match wait_any() {
                Ok(Some((pid, status))) if pid == self.pid => {
                    if let Some(code) = status.code() {
                        self.reaped = true;
                        // An exit code has eight bits.
                        let code = u8::try_from(code & 0xff).unwrap_or(u8::MAX);
                        events.push(Event::ChildEnded(ChildStatus::Exited(code)));
                    } else if let Some(signal) = status.signal() {
                        self.reaped = true;
                        let signal = Signal::from_number(signal);
                        events.push(Event::ChildEnded(ChildStatus::Killed(signal)));
                    } else if status.stopped_signal().is_some() {
                        events.push(Event::ChildStopped);
                    }
                }
                // An orphan that came to us, or a bystander. It had nothing to tell.
                Ok(Some((pid, _))) => self.bystanders.retain(|it| *it != pid),
                Ok(None) if self.bystanders.is_empty() => break,
                Ok(None) if !self.reaped || !self.descendants().is_empty() => break,
                Ok(None) | Err(_) => {
                    events.push(Event::TreeGone);
                    break;
                }
            }
        }
        events
    }

    /// Stops us as the child has stopped, until somebody sends CONT. A child
    /// with a group of its own (a shell with job control) that had the terminal
    /// gets it back, if the job has been brought to the foreground: the shell
    /// above us gives it to our group, the only one that it knows.
    pub fn stop_along(&self) {
        let terminal = File::open("/dev/tty").ok();
        let foreground = || tcgetpgrp(terminal.as_ref()?).ok();
        let theirs = foreground().filter(|group| getpgid(Some(self.pid)) == Ok(*group));
        signals::stop_self();
        // From the background the call would stop us once more.
        if let (Some(terminal), Some(theirs)) = (&terminal, theirs)
            && foreground() == Some(getpgrp())
        {
            let _ = tcsetpgrp(terminal, theirs);
        }
    }

    /// All processes that descend from the command. A child that is forked
    /// meanwhile may be missed, and is found the next time.
    fn descendants(&self) -> Vec<Pid> {
        let mut found = Vec::new();
        let mut open = vec![getpid()];
        while let Some(parent) = open.pop() {
            let mut below = children(parent);
            below.retain(|pid| !self.bystanders.contains(pid));
            found.extend(&below);
            open.extend(below);
        }
        found
    }
}

/// Why `program` could not be started, with the codes of env(1) and timeout(1).
fn explain(program: &OsStr, error: &io::Error) -> StartError {
    let name = hide_urls(&escape(&program.to_string_lossy()));
    let mut text = format!("cannot run {name}: {}", plain(error));
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOENT) => {
            if !name.contains('/') {
                let path = env::var_os("PATH").map_or_else(
                    || "unset: the system's default".to_owned(),
                    |path| escape(&path.to_string_lossy()),
                );
                text = format!("cannot run {name}: not found in PATH ({path})");
                if cli::SUBCOMMANDS.contains(&name.as_str()) {
                    text +=
                        &format!("; the subcommand would come first: tasklock {name} --name NAME");
                }
            } else if Path::new(program).exists() {
                text = format!(
                    "cannot run {name}: the interpreter that its first line names does not exist"
                );
            }
            StartError::NotFound(text)
        }
        Some(Errno::EAGAIN | Errno::ENOMEM) => StartError::ForkRefused(text),
        _ => StartError::CannotExecute(text),
    }
}

/// Signals a process (or a group, negated). One that is gone, or another
/// user's, is no error here: what remains alive is found by waiting for it.
#[allow(unsafe_code)]
fn send(pid: i32, signal: Signal) {
    // SAFETY: kill(2) takes any numbers. nix' wrapper knows no real-time signals.
    unsafe { libc::kill(pid, signal.number()) };
}

/// One child that ended or stopped. None: no news. An error: there is no child at all.
#[allow(unsafe_code)]
fn wait_any() -> Result<Option<(Pid, ExitStatus)>, Errno> {
    let mut status = 0;
    // SAFETY: `status` outlives the call. nix' waitpid loses the status of a
    // child that died of a real-time signal.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG | libc::WUNTRACED) };
    match Errno::result(pid)? {
        0 => Ok(None),
        pid => Ok(Some((Pid::from_raw(pid), ExitStatus::from_raw(status)))),
    }
}

/// The children of a process, those of each of its threads, from /proc/PID/task/TID/children.
fn children(parent: Pid) -> Vec<Pid> {
    let tasks = fs::read_dir(format!("/proc/{parent}/task"));
    let tasks = tasks.into_iter().flatten().flatten();
    let lists = tasks.map(|task| fs::read_to_string(task.path().join("children")));
    let mut found = Vec::new();
    for list in lists.map(Result::unwrap_or_default) {
        let pids = list
            .split_ascii_whitespace()
            .filter_map(|pid| pid.parse().ok());
        found.extend(pids.map(Pid::from_raw));
    }
    found
}
