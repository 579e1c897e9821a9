//! What this test binary becomes when it is executed again: the job of a run, a witness, or all
//! that `examples/torture.rs` asks for.
//!
//! A shell could tell neither the time since boot nor whether it is alone, and starts no sooner.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{SigHandler, Signal, signal};
use nix::unistd::getppid;
use serde::{Deserialize, Serialize};

use super::Order;
use super::history::{History, Nanos, Record, now};
use super::resource::Resource;

/// The variable that names the role.
pub(crate) const ROLE: &str = "TORTURE_ROLE";

/// A witness looks at the clock this often.
const LOOK: Duration = Duration::from_millis(10);
/// The shortest gap that a witness tells of: well below any margin.
const GAP: Duration = Duration::from_millis(30);

/// What to be.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    /// The command of a run.
    Job(Job),
    /// Plays rounds, and prints what came of them.
    Torture(Order),
    /// Tells of the moments in which it was not given the CPU.
    Witness {
        /// Where it tells of them.
        history: PathBuf,
    },
}

/// The command of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    /// Where it tells of itself.
    pub(crate) history: PathBuf,
    /// Where the things are that the locks protect.
    pub(crate) resources: PathBuf,
    pub(crate) run: u32,
    /// How long it lasts.
    pub(crate) lasts: Duration,
    pub(crate) code: i32,
    /// It ignores TERM.
    pub(crate) stubborn: bool,
    /// The lock of a job on the recipe; others are told by tasklock.
    pub(crate) recipe: Option<String>,
}

impl Role {
    /// The role that this process was started for.
    pub(crate) fn assigned() -> Option<Role> {
        let text = env::var(ROLE).ok()?;
        Some(serde_json::from_str(&text).unwrap())
    }

    /// The value of [`ROLE`] for this role.
    pub(crate) fn order(&self) -> String {
        serde_json::to_string(self).unwrap()
    }

    /// Plays it; the exit code.
    pub(crate) fn play(self) -> i32 {
        match self {
            Role::Job(job) => job.run(),
            Role::Torture(order) => order.run(),
            Role::Witness { history } => witness(&History::open(&history)),
        }
    }

    /// Starts a process in this role that is not under tasklock.
    pub(crate) fn start(&self, words: &[String]) -> std::process::Child {
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env(ROLE, self.order());
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.spawn().unwrap()
    }
}

impl Job {
    fn run(&self) -> i32 {
        if self.stubborn {
            // SAFETY: no handler is installed.
            #[allow(unsafe_code, reason = "the only way to ignore a signal")]
            unsafe {
                signal(Signal::SIGTERM, SigHandler::SigIgn).unwrap();
            }
        }
        let history = History::open(&self.history);
        let (name, slot, fence) = match &self.recipe {
            Some(name) => (name.clone(), 0, None),
            None => (
                env::var("TASKLOCK_NAME").unwrap(),
                env::var("TASKLOCK_SLOT").map_or(0, |slot| slot.parse().unwrap()),
                Some(env::var("TASKLOCK_FENCE").unwrap().parse().unwrap()),
            ),
        };
        let resource = Resource::open(&self.resources, &name, slot);
        let beside = resource.occupy();
        let at = now();
        let read = fence.and_then(|fence| resource.register().read(fence));
        history.add(&Record::Start {
            at,
            run: self.run,
            name,
            slot,
            fence,
            pid: std::process::id().cast_signed(),
            beside,
            read,
        });
        thread::sleep(self.lasts);
        let written = fence.zip(read).and_then(|(fence, read)| {
            let value = read + 1;
            resource.register().write(fence, value).then_some(value)
        });
        history.add(&Record::End {
            at: now(),
            run: self.run,
            code: self.code,
            wrote: written,
        });
        self.code
    }
}

/// Looks at the clock again and again, until whoever started it is gone.
fn witness(history: &History) -> i32 {
    let parent = getppid();
    let long = Nanos::try_from((LOOK + GAP).as_nanos()).unwrap();
    let mut last = now();
    let (from, to) = (last, last);
    history.add(&Record::Gap { from, to });
    while getppid() == parent {
        thread::sleep(LOOK);
        let this = now();
        if this - last > long {
            let (from, to) = (last, this);
            history.add(&Record::Gap { from, to });
        }
        last = this;
    }
    0
}
