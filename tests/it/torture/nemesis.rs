//! Does harm: a schedule of faults that a seed repeats.
//!
//! What it meets at a moment (which runs there are, in which state) is not repeated to the
//! millisecond; what it does when, and to which of those that it meets, is.

use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::arena::NAMES;
use super::client::{Living, Stage};
use super::fault::Fault;
use super::history::{Nanos, Record, nanos, now, sleep_until};
use super::nuisance;
use super::quorum::mode_of;
use super::restart;
use super::rng::Rng;
use crate::support::process;
use crate::support::proxy::{Mode, Proxy};
use crate::support::redis::Server;

/// From one fault to the next, in milliseconds.
const PAUSE: (usize, usize) = (20, 300);
/// How long something is stopped, in milliseconds: where nobody is to lose a lease of at least
/// a second, and where everybody is to lose one of up to three.
const SHORT: (usize, usize) = (30, 400);
const LONG: (usize, usize) = (1200, 3800);
/// A step of a clock that outlasts every lease.
const HOUR: Duration = Duration::from_secs(3600);

/// Something that is stopped or in the way, until it is let go.
#[derive(Debug)]
struct Frozen {
    what: What,
    fault: Fault,
    run: Option<u32>,
    from: Nanos,
    until: Nanos,
}

/// What is stopped or in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Tasklock,
    /// Its pid, and when it started: the pid may be another's by the end.
    Job(i32, Option<u64>),
    Server,
    Clients,
    Network(Mode),
}

/// One who does harm.
pub(crate) struct Nemesis<'a> {
    stage: &'a Stage<'a>,
    faults: Vec<Fault>,
    rng: Rng,
    /// What is still to be done before everything has been done once.
    deck: Vec<Fault>,
    frozen: Vec<Frozen>,
}

impl<'a> Nemesis<'a> {
    /// Does what is in `faults`.
    pub(crate) fn new(stage: &'a Stage<'a>, faults: Vec<Fault>, rng: Rng) -> Nemesis<'a> {
        Nemesis {
            stage,
            faults,
            rng,
            deck: Vec::new(),
            frozen: Vec::new(),
        }
    }

    /// Does harm for `length`, and undoes what can be undone.
    pub(crate) fn rage(mut self, length: Duration) {
        let end = now() + nanos(length);
        while now() < end {
            let fault = self.draw();
            self.strike(fault);
            let next = (now() + nanos(self.rng.millis(PAUSE.0, PAUSE.1))).min(end);
            self.let_go(next);
            sleep_until(next);
        }
        self.let_go(Nanos::MAX);
    }

    fn draw(&mut self) -> Fault {
        if self.deck.is_empty() {
            self.deck.clone_from(&self.faults);
            self.rng.shuffle(&mut self.deck);
        }
        self.deck.pop().unwrap()
    }

    /// Does it, if there is something to hit.
    fn strike(&mut self, fault: Fault) {
        // Drawn in any case, so that the numbers that follow are the same.
        let (short, long) = (
            self.rng.millis(SHORT.0, SHORT.1),
            self.rng.millis(LONG.0, LONG.1),
        );
        let dice = self.rng.below(1000);
        let is_long = match fault {
            // While it lasts, nothing else happens either.
            Fault::FreezeServer | Fault::PauseClients => dice.is_multiple_of(8),
            // Others go on: this is how a lease ends that somebody counts on.
            Fault::Partition => !dice.is_multiple_of(4),
            _ => dice.is_multiple_of(2),
        };
        let time = if is_long { long } else { short };
        let living = self.stage.living();
        let target = self.rng.pick(&living).copied();
        let name = NAMES[self.rng.below(NAMES.len())];
        // A server that is stopped would answer us when only we can let it go.
        let is_away = self.is_frozen(What::Server) || self.is_frozen(What::Clients);
        if is_away && is_of_server(fault) {
            return;
        }
        let (from, lasts) = (now(), nanos(time));
        match fault {
            // Those take seconds: somebody else does them meanwhile.
            Fault::KillMaster
            | Fault::FreezeMaster
            | Fault::FailOver
            | Fault::FreezeNode
            | Fault::SplitNetwork
            | Fault::MajorityAway
            | Fault::VoteAway
            | Fault::TwoBehind => {}
            Fault::KillTasklock | Fault::TermTasklock => {
                if let Some(run) = target.map(|target| target.run)
                    && self.stage.signal(run, signal_of(fault))
                {
                    self.tell(fault, from, Some(run), None);
                }
            }
            Fault::FreezeTasklock => {
                if let Some(run) = target.map(|target| target.run)
                    && self.stage.signal(run, Signal::SIGSTOP)
                {
                    self.freeze(What::Tasklock, fault, Some(run), (from, lasts));
                }
            }
            Fault::KillJob | Fault::TermJob => {
                if let Some((run, pid)) = a_job(&living, dice) {
                    process::send(pid, signal_of(fault));
                    self.tell(fault, from, Some(run), None);
                }
            }
            Fault::FreezeJob => {
                if let Some((run, pid)) = a_job(&living, dice) {
                    let fault = if is_job(pid) {
                        fault
                    } else {
                        Fault::FreezeTasklock
                    };
                    let job = What::Job(pid, process::start_time(pid));
                    process::send(pid, Signal::SIGSTOP);
                    self.freeze(job, fault, Some(run), (from, lasts));
                }
            }
            Fault::FreezeServer => {
                self.server().freeze();
                self.freeze(What::Server, fault, None, (from, lasts));
            }
            Fault::PauseClients => {
                let ms = time.as_millis().to_string();
                self.server().command(&["CLIENT", "PAUSE", &ms, "WRITE"]);
                self.freeze(What::Clients, fault, None, (from, lasts));
            }
            Fault::DeleteKey | Fault::KillClients | Fault::FlushScripts | Fault::FlushAll => {
                nuisance::strike(self.server(), fault, name, dice);
                let name = (fault == Fault::DeleteKey).then_some(name);
                self.tell(fault, from, None, name);
            }
            Fault::RestartEmpty | Fault::RestartRdb | Fault::RestartAof => {
                let from = restart::restart(self.server(), fault, short);
                self.tell(fault, from, None, None);
            }
            Fault::ClockAhead | Fault::ClockBack => {
                let clock = self.stage.arena.clock.as_ref().expect("a clock of its own");
                match fault {
                    Fault::ClockAhead if dice.is_multiple_of(8) => clock.step_ahead(HOUR),
                    Fault::ClockAhead => clock.step_ahead(time),
                    _ => clock.step_back(time),
                }
                self.tell(fault, from, None, None);
            }
            Fault::CutConnections => {
                self.network().cut();
                self.tell(fault, from, None, None);
            }
            Fault::Partition | Fault::SlowNetwork => {
                let mode = mode_of(fault, dice, short);
                self.network().set(mode);
                self.freeze(What::Network(mode), fault, None, (from, lasts));
            }
        }
    }

    fn server(&self) -> &'a Server {
        let (server, _) = self.stage.arena.redis.as_ref().expect("a round on Redis");
        server
    }

    fn network(&self) -> &'a Proxy {
        let (_, proxy) = self.stage.arena.redis.as_ref().expect("a round on Redis");
        proxy
    }

    /// Writes down what has been done.
    fn tell(&self, fault: Fault, from: Nanos, run: Option<u32>, name: Option<&str>) {
        let (to, name) = (now(), name.map(str::to_owned));
        self.stage.history.add(&Record::Fault {
            from,
            to,
            fault,
            run,
            name,
        });
    }

    fn freeze(
        &mut self,
        what: What,
        fault: Fault,
        run: Option<u32>,
        (from, lasts): (Nanos, Nanos),
    ) {
        let until = from + lasts;
        self.frozen.push(Frozen {
            what,
            fault,
            run,
            from,
            until,
        });
    }

    fn is_frozen(&self, what: What) -> bool {
        self.frozen.iter().any(|frozen| frozen.what == what)
    }

    /// Lets go what is due until then, each in its time.
    fn let_go(&mut self, until: Nanos) {
        while let Some(next) = (0..self.frozen.len())
            .filter(|index| self.frozen[*index].until <= until)
            .min_by_key(|index| self.frozen[*index].until)
        {
            let frozen = self.frozen.swap_remove(next);
            if until < Nanos::MAX {
                sleep_until(frozen.until);
            }
            match frozen.what {
                What::Tasklock => {
                    let run = frozen.run.unwrap_or_default();
                    self.stage.signal(run, Signal::SIGCONT);
                }
                What::Job(pid, started) if process::start_time(pid) == started => {
                    process::send(pid, Signal::SIGCONT);
                }
                What::Job(..) => {}
                What::Server => self.server().thaw(),
                What::Clients => drop(self.server().command(&["CLIENT", "UNPAUSE"])),
                What::Network(_) => {
                    let mut others = self.frozen.iter().rev().map(|other| other.what);
                    let mode = others.find_map(|what| match what {
                        What::Network(mode) => Some(mode),
                        _ => None,
                    });
                    self.network().set(mode.unwrap_or(Mode::Pass));
                }
            }
            self.tell(frozen.fault, frozen.from, frozen.run, None);
        }
    }
}

/// What asks something of the server, or stops it.
fn is_of_server(fault: Fault) -> bool {
    matches!(
        fault,
        Fault::FreezeServer
            | Fault::PauseClients
            | Fault::DeleteKey
            | Fault::KillClients
            | Fault::FlushScripts
    )
}

fn signal_of(fault: Fault) -> Signal {
    match fault {
        Fault::KillTasklock | Fault::KillJob => Signal::SIGKILL,
        _ => Signal::SIGTERM,
    }
}

/// One of the jobs, and its run: most runs wait for theirs.
fn a_job(living: &[Living], dice: usize) -> Option<(u32, i32)> {
    let job = |living: &Living| Some((living.run, job_of(living.pid)?));
    let jobs: Vec<(u32, i32)> = living.iter().filter_map(job).collect();
    jobs.get(dice % jobs.len().max(1)).copied()
}

/// Has it begun to be the job? Until a child executes that, it is a part of the tasklock that it
/// comes from, which waits for it (vfork(2)).
fn is_job(pid: i32) -> bool {
    let program = |pid: i32| fs::read_link(format!("/proc/{pid}/exe")).ok();
    program(pid) == program(std::process::id().cast_signed())
}

/// The job of a tasklock.
fn job_of(tasklock: i32) -> Option<i32> {
    let path = format!("/proc/{tasklock}/task/{tasklock}/children");
    let children = fs::read_to_string(path).ok()?;
    children.split_ascii_whitespace().next()?.parse().ok()
}
