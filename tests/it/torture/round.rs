//! One round, from an empty store to what the checker says.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Child;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::arena::Arena;
use super::checker::{self, Findings};
use super::client::{self, Stage};
use super::fault::{Fault, Topology};
use super::group::{self, Group};
use super::leftover;
use super::nemesis::Nemesis;
use super::rng::Rng;
use super::role::Role;
use super::server_log;
use crate::support::PATIENCE;
use nix::sys::signal::Signal;

/// How many run jobs at the same time.
const CLIENTS: u64 = 12;
/// Streams of random numbers: the clients' are those from 0 on.
const NEMESIS: u64 = 1000;
const RECIPE: u64 = 2000;
const MASTERS: u64 = 3000;
/// One for each processor of a small machine.
const WITNESSES: usize = 2;

/// Where the histories of broken promises are kept.
const KEPT: &str = env!("CARGO_TARGET_TMPDIR");

/// What a round is to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    pub(crate) seed: u64,
    pub(crate) topology: Topology,
    pub(crate) length: Duration,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Toll {
    grants: usize,
    joined: usize,
    skipped: usize,
    faults: usize,
    fail_overs: usize,
    allowed: usize,
    starved: usize,
    pub(crate) breaches: usize,
}

impl Round {
    /// Plays it. What is broken is told on standard output, with all that led to it.
    pub(crate) fn play(self, role_words: Vec<String>, group: Option<Arc<Group>>) -> Toll {
        let arena = Arena::new(self.topology, group);
        let stage = Stage::new(&arena, role_words);
        let witnesses = self.witnesses(&stage);
        let monitor = arena.redis.as_ref().map(|(server, _)| server.monitor());
        let mut fail_overs = 0;
        let faults = thread::scope(|scope| {
            for number in 0..CLIENTS {
                let rng = Rng::new(self.seed, number);
                scope.spawn(|| client::use_tasklock(&stage, rng));
            }
            if self.seed.is_multiple_of(2) {
                let rng = Rng::new(self.seed, RECIPE);
                scope.spawn(|| client::use_recipe(&stage, rng));
            }
            let _end = Ending(&stage);
            // Where the store is always in trouble, waiting too long is never anybody's fault.
            let is_well = self.seed.is_multiple_of(3);
            let group = arena.group.as_deref().filter(|_| !is_well);
            let deposing = group.map(|group| {
                let rng = Rng::new(self.seed, MASTERS);
                scope.spawn(|| group::depose(&stage, group, rng, self.length))
            });
            let faults = Fault::all(self.topology, is_well);
            let nemesis = Nemesis::new(&stage, faults, Rng::new(self.seed, NEMESIS));
            let mut faults = nemesis.rage(self.length);
            fail_overs = deposing.map_or(0, |deposing| deposing.join().unwrap());
            faults += fail_overs;
            stage.end();
            end_what_hangs(&stage);
            faults
        });
        leftover::look(&arena, &stage.history);
        drop(witnesses);
        if let Some(monitor) = monitor {
            server_log::tell(&monitor.in_scripts_timed(), &stage.history);
        }
        let findings = checker::check(&stage.history.read(), self.topology);
        // A checker that reads nothing finds nothing.
        assert!(findings.granted >= findings.grants || self.topology != Topology::Single);
        if !findings.breaches.is_empty() {
            self.tell(&findings, &arena);
        }
        Toll {
            grants: findings.grants,
            joined: findings.joined,
            skipped: findings.skipped,
            faults,
            fail_overs,
            allowed: findings.allowed.len(),
            starved: findings.starved.len(),
            breaches: findings.breaches.len(),
        }
    }

    fn witnesses(&self, stage: &Stage<'_>) -> Vec<Witness> {
        let history = stage.history.path().to_owned();
        let role = Role::Witness { history };
        (0..WITNESSES)
            .map(|_| Witness(role.start(&stage.role_words)))
            .collect()
    }

    /// Says what is broken, and keeps the history and what each run said.
    fn tell(&self, findings: &Findings, arena: &Arena) {
        let name = format!("torture-{:?}-{}", self.topology, self.seed);
        let kept = Path::new(KEPT).join(name);
        let _ = fs::remove_dir_all(&kept);
        fs::create_dir_all(&kept).unwrap();
        for file in fs::read_dir(arena.scratch.path()).unwrap() {
            let path = file.unwrap().path();
            if path.is_file() {
                fs::copy(&path, kept.join(path.file_name().unwrap())).unwrap();
            }
        }
        println!("{:?}, seed {}:", self.topology, self.seed);
        for breach in &findings.breaches {
            println!("  {breach}");
        }
        println!("  the history is in {}", kept.display());
    }
}

/// A run that does not end is killed in the end, by a signal that the history does not tell of.
fn end_what_hangs(stage: &Stage<'_>) {
    crate::support::some_within(PATIENCE, || stage.living().is_empty().then_some(()));
    for living in stage.living() {
        stage.signal(living.run, Signal::SIGKILL);
    }
}

/// Asks the clients to come to an end, also when the nemesis panics.
struct Ending<'a>(&'a Stage<'a>);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Ends with the round.
struct Witness(Child);

impl Drop for Witness {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Toll {
    /// Were there jobs, and was harm done?
    pub(crate) fn happened(&self) -> bool {
        self.grants > 0 && self.faults > 0
    }

    /// Adds another round's.
    pub(crate) fn add(&mut self, other: &Toll) {
        self.grants += other.grants;
        self.joined += other.joined;
        self.skipped += other.skipped;
        self.faults += other.faults;
        self.fail_overs += other.fail_overs;
        self.allowed += other.allowed;
        self.starved += other.starved;
        self.breaches += other.breaches;
    }
}

impl fmt::Display for Toll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} grants, {} times in a server's line, {} skips, {} faults ({} of them fail-overs), {} breaches; {} overlaps and the like that the table allows, {} on a machine that withheld the CPU",
            self.grants,
            self.joined,
            self.skipped,
            self.faults,
            self.fail_overs,
            self.breaches,
            self.allowed,
            self.starved
        )
    }
}
