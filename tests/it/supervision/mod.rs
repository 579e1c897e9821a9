//! The program as the parent of a process: what its child, its terminal and its caller see of it.

use std::fs;

use nix::sys::signal::Signal;

use crate::support::monitor::Monitor;
use crate::support::scratch::{Gate, Scratch};
use crate::support::tasklock::Tasklock;
use crate::support::wait_until;

mod another_user;
mod exit_status;
mod forced_stop;
mod forwarding;
mod inheritance;
mod pid_one;
mod sleeper;
mod slow_store;
mod startup;
mod streams;
mod sudden_death;
mod terminal;

/// The lock of these tests.
const NAME: &str = "job";

/// Notes each signal that reaches it as a line in `got`. Exits 0 after [`Bench::let_end`].
///
/// A shell that has just looked for signals and then waits in `read` hears of the next
/// one when the read is over, which may be never. It hears of it after every program.
const NOTE_SIGNALS: &str = "
    for s in HUP INT QUIT TERM USR1 USR2 ALRM WINCH CONT; do trap \"echo $s >> got\" $s; done
    exec 2> /dev/null # where the shell would tell of the sleep's death
    echo $$ > pid
    until [ -e end ]; do sleep 0.02; done";

/// A directory in which runs take place, with a store of its own.
struct Bench {
    scratch: Scratch,
    gate: Gate,
    url: String,
}

impl Bench {
    /// With lock files.
    fn new() -> Bench {
        let scratch = Scratch::new();
        let locks = scratch.file("locks");
        fs::create_dir(&locks).unwrap();
        Bench::within(scratch, format!("local:{}", locks.display()))
    }

    /// With another store.
    fn on(url: String) -> Bench {
        Bench::within(Scratch::new(), url)
    }

    fn within(scratch: Scratch, url: String) -> Bench {
        let gate = scratch.gate("gate");
        Bench { scratch, gate, url }
    }

    /// `tasklock --name job --url URL`, in the directory.
    fn tasklock(&self) -> Tasklock {
        Tasklock::named(NAME, &self.url).directory(self.scratch.path())
    }

    /// The same as words for a shell, up to and with the `--`.
    fn words(&self) -> String {
        let program = env!("CARGO_BIN_EXE_tasklock");
        format!("{program} --name {NAME} --url {} --", self.url)
    }

    /// Waits until the child has written its pid to `pid`: it is ready then.
    #[track_caller]
    fn child(&self) -> i32 {
        self.scratch.wait_for_pid("pid")
    }

    /// Lets [`NOTE_SIGNALS`] end.
    fn let_end(&self) {
        self.scratch.write("end", "");
    }

    /// The signals that [`NOTE_SIGNALS`] has seen, in order.
    fn got(&self) -> Vec<String> {
        let text = self.scratch.read("got");
        text.lines().map(str::to_owned).collect()
    }

    /// Waits until `count` signals were seen.
    #[track_caller]
    fn wait_for_signals(&self, count: usize) {
        wait_until(|| self.got().len() >= count);
    }

    /// `tasklock status` finds the lock free.
    #[track_caller]
    fn expect_free(&self) {
        let status = Tasklock::new().args(["status", NAME]).url(&self.url);
        status.run().expect_code(0);
    }
}

/// Waits until `pid` has taken note of every signal that was sent to it.
#[track_caller]
fn wait_until_heard(pid: i32) {
    wait_until(|| mask(pid, "SigPnd") | mask(pid, "ShdPnd") == 0);
}

/// How many steps a server was asked for.
#[track_caller]
fn requests(monitor: &Monitor<'_>) -> usize {
    let names = monitor.names();
    names.iter().filter(|&name| name == "EVAL").count()
}

/// A set of signals of a living process.
fn mask(pid: i32, which: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    mask_in(&status, which)
}

/// A set of signals as /proc/PID/status shows it.
fn mask_in(status: &str, which: &str) -> u64 {
    let prefix = format!("{which}:\t");
    let line = status.lines().find_map(|line| line.strip_prefix(&prefix));
    line.map_or(0, |hex| u64::from_str_radix(hex, 16).unwrap())
}

/// The set of these signals.
fn set_of(signals: &[Signal]) -> u64 {
    signals.iter().map(|&it| 1 << (it as i32 - 1)).sum()
}
