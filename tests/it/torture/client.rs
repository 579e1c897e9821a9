//! Those who run jobs under a lock, again and again.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use redis::Value;

use super::arena::{Arena, NAMES, SEVERAL};
use super::fault::{Fault, Topology};
use super::history::{History, Nanos, Record, nanos, now};
use super::rng::Rng;
use super::role::{Job, ROLE, Role};
use crate::support::process;
use crate::support::tasklock::Tasklock;

/// The least ttl of a run, in milliseconds.
const TTL_MIN: usize = 1000;

/// How long a key of the recipe lives, in milliseconds.
const RECIPE_PX: u64 = 2000;
/// A job on the recipe may begin this long after its key was asked for: it has more than enough left.
const RECIPE_VALID: Nanos = 1_000_000_000;

/// What the threads of a round share.
pub(crate) struct Stage<'a> {
    pub(crate) arena: &'a Arena,
    pub(crate) history: History,
    /// The program and its arguments that make this binary play a [`Role`].
    pub(crate) role_words: Vec<String>,
    living: Mutex<BTreeMap<u32, Living>>,
    runs: AtomicU32,
    over: AtomicBool,
}

/// A run that has not ended, or has not been waited for: its pid cannot be another's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Living {
    pub(crate) run: u32,
    pub(crate) pid: i32,
}

impl<'a> Stage<'a> {
    pub(crate) fn new(arena: &'a Arena, role_words: Vec<String>) -> Stage<'a> {
        Stage {
            arena,
            history: History::open(&arena.scratch.file("history")),
            role_words,
            living: Mutex::default(),
            runs: AtomicU32::new(1),
            over: AtomicBool::new(false),
        }
    }

    /// Asks everybody to come to an end.
    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// The runs of tasklock that go on.
    pub(crate) fn living(&self) -> Vec<Living> {
        self.lock_living().values().copied().collect()
    }

    /// Sends a signal to a run's tasklock. False: it has ended.
    pub(crate) fn signal(&self, run: u32, signal: Signal) -> bool {
        let living = self.lock_living();
        let found = living.get(&run);
        if let Some(living) = found {
            process::send(living.pid, signal);
        }
        found.is_some()
    }

    fn lock_living(&self) -> MutexGuard<'_, BTreeMap<u32, Living>> {
        self.living.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_run(&self) -> u32 {
        self.runs.fetch_add(1, Ordering::Relaxed)
    }

    fn job(&self, plan: &Plan, run: u32, recipe: Option<String>) -> Role {
        Role::Job(Job {
            history: self.history.path().to_owned(),
            resources: self.arena.scratch.file("resources"),
            run,
            lasts: plan.lasts,
            code: plan.code,
            stubborn: plan.stubborn,
            recipe,
        })
    }

    fn asked(&self, plan: &Plan, run: u32, recipe: bool) {
        self.history.add(&Record::Asked {
            at: now(),
            run,
            name: plan.name.to_owned(),
            slots: plan.slots,
            ttl: nanos(plan.ttl),
            code: plan.code,
            recipe,
        });
    }

    fn exited(&self, run: u32, status: ExitStatus) {
        self.history.add(&Record::Exit {
            at: now(),
            run,
            code: status.code(),
            signal: status.signal(),
        });
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        // Only after a panic is there anybody left.
        for living in self.living() {
            self.signal(living.run, Signal::SIGKILL);
        }
    }
}

/// One run.
#[derive(Clone, Debug)]
struct Plan {
    name: &'static str,
    ttl: Duration,
    /// None: a single try.
    wait: Option<Duration>,
    slots: u32,
    lasts: Duration,
    code: i32,
    stubborn: bool,
    verbose: bool,
    through_network: bool,
}

impl Plan {
    fn draw(rng: &mut Rng, topology: Topology, at_home: &'static str) -> Plan {
        // Most are short, so that there are many; some outlast a lease that is not refreshed,
        // more of those who are cut off from the store at times.
        let through_network = rng.one_in(2);
        let lasts = match rng.below(40) {
            0 => rng.millis(1000, 4000),
            1..4 if through_network => rng.millis(2000, 4000),
            1..4 => rng.millis(100, 600),
            _ => rng.millis(1, 30),
        };
        // A run that is killed closes its lock until the lease ends: the shorter the better.
        let longest = usize::try_from(topology.longest_ttl().as_millis()).unwrap();
        let mut ttl = || rng.millis(TTL_MIN, longest);
        let ttl = ttl().min(ttl());
        let visited = NAMES[rng.below(NAMES.len())];
        let name = if rng.one_in(4) { visited } else { at_home };
        // Runs of different numbers share one line.
        let slots = u32::try_from(rng.below(3) + 1).unwrap();
        let wait = rng.millis(300, 6000);
        Plan {
            name,
            ttl,
            wait: (!rng.one_in(3)).then_some(wait),
            slots: if SEVERAL.contains(&name) { slots } else { 1 },
            lasts,
            // Below those that mean something.
            code: i32::try_from(rng.below(60)).unwrap(),
            stubborn: rng.one_in(4),
            verbose: rng.one_in(2),
            through_network,
        }
    }

    fn tasklock(&self, url: &str, run: u32) -> Tasklock {
        let mut tasklock = Tasklock::named(self.name, url)
            .args(["--ttl", &format!("{}ms", self.ttl.as_millis())])
            .args(["--reason", &run.to_string()]);
        if let Some(wait) = self.wait {
            tasklock = tasklock.args(["--wait", &format!("{}ms", wait.as_millis())]);
        }
        if SEVERAL.contains(&self.name) {
            tasklock = tasklock.args(["--slots", &self.slots.to_string()]);
        }
        if self.verbose {
            tasklock = tasklock.args(["-vv", "--log-format", "json"]);
        }
        tasklock
    }
}

/// Runs one job after the other under tasklock, most of them under the same lock: where another
/// is out of reach, not everybody is soon waiting for that one.
pub(crate) fn use_tasklock(stage: &Stage<'_>, mut rng: Rng, at_home: &'static str) {
    while !stage.is_over() {
        let plan = Plan::draw(&mut rng, stage.arena.topology, at_home);
        let run = stage.next_run();
        stage.asked(&plan, run, false);
        let url = stage.arena.url(plan.through_network);
        let tasklock = plan
            .tasklock(&url, run)
            .env(ROLE, stage.job(&plan, run, None).order())
            .arg("--")
            .args(stage.role_words.iter().map(String::as_str));
        let scratch = &stage.arena.scratch;
        let said = File::create(scratch.file(&format!("run-{run}"))).unwrap();
        let child = {
            let mut living = stage.lock_living();
            let child = tasklock.start_bare(&scratch.file("home"), said);
            let pid = child.id().cast_signed();
            living.insert(run, Living { run, pid });
            child
        };
        let status = wait(stage, run, child);
        stage.exited(run, status);
        if status.code() != Some(plan.code) {
            thread::sleep(rng.millis(2, 30));
        }
    }
}

/// Runs jobs on the plain recipe, which is careful enough not to outlast its key, and to take no
/// key for its own that is not. What it deletes may be another's all the same.
pub(crate) fn use_recipe(stage: &Stage<'_>, mut rng: Rng) {
    let Some((server, _)) = &stage.arena.redis else {
        return;
    };
    while !stage.is_over() {
        let at_home = NAMES[rng.below(NAMES.len())];
        let plan = Plan {
            slots: 1,
            lasts: rng.millis(1, 300),
            stubborn: false,
            ..Plan::draw(&mut rng, stage.arena.topology, at_home)
        };
        let run = stage.next_run();
        let (key, mine) = (format!("task_lock:{}", plan.name), run.to_string());
        let latest = now() + RECIPE_VALID;
        let px = RECIPE_PX.to_string();
        let set = server.command(&["SET", &key, &mine, "NX", "PX", &px]);
        if set == Value::Okay {
            if now() < latest {
                stage.asked(&plan, run, true);
                let job = stage.job(&plan, run, Some(plan.name.to_owned()));
                let status = job.start(&stage.role_words).wait().unwrap();
                stage.exited(run, status);
            }
            let from = now();
            let deleted = server.text(&["GETDEL", &key]);
            if deleted.is_some_and(|deleted| deleted != mine) {
                stage.history.add(&Record::Fault {
                    from,
                    to: now(),
                    fault: Fault::DeleteKey,
                    run: None,
                    name: Some(plan.name.to_owned()),
                });
            }
        }
        thread::sleep(rng.millis(20, 200));
    }
}

/// Waits for the end of a run. Its pid stays its own until it is off the list.
fn wait(stage: &Stage<'_>, run: u32, mut child: Child) -> ExitStatus {
    let pid = Pid::from_raw(child.id().cast_signed());
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
    while waitid(Id::Pid(pid), flags) == Err(nix::errno::Errno::EINTR) {}
    let mut living = stage.lock_living();
    living.remove(&run);
    child.wait().unwrap()
}
