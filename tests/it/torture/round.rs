//! One round, from an empty store to what the checker says.

use std::fs;
use std::path::Path;
use std::process::Child;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::arena::{Arena, NAMES};
use super::checker::{self, Findings};
use super::client::{self, Stage};
use super::fault::{Fault, Topology, Weather};
use super::group::Group;
use super::leftover;
use super::nemesis::Nemesis;
use super::rng::Rng;
use super::role::Role;
use super::run_log;
use super::server_log;
use super::toll::Toll;
use crate::support::redis::Server;
use crate::support::{PATIENCE, wait_until};

/// How many run jobs at the same time: three at home in each lock.
const CLIENTS: u64 = 24;
/// Streams of random numbers: the clients' are those from 0 on.
const NEMESIS: u64 = 1000;
const RECIPE: u64 = 2000;
const SERVERS: u64 = 3000;
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

impl Round {
    /// Plays it, and adds what came of it. What is broken is told on standard output, with all
    /// that led to it.
    pub(crate) fn play(self, role_words: Vec<String>, group: Option<Arc<Group>>, toll: &mut Toll) {
        let weather = Weather::of(self.topology, self.seed);
        let arena = Arena::new(self.topology, weather, group);
        let stage = Stage::new(&arena, role_words);
        let witnesses = self.witnesses(&stage);
        let server = arena.redis.as_ref().map(|(server, _)| server);
        // It ends with the server, and its times are by the server's clock.
        let is_told = matches!(weather, Weather::Fair | Weather::Rough);
        let monitor = server.filter(|_| is_told).map(Server::monitor);
        thread::scope(|scope| {
            for (number, name) in (0..CLIENTS).zip(NAMES.into_iter().cycle()) {
                let rng = Rng::new(self.seed, number);
                let stage = &stage;
                scope.spawn(move || client::use_tasklock(stage, rng, name));
            }
            // Who is careful on the recipe asks no server that may be down.
            if self.seed.is_multiple_of(2) && weather != Weather::Amnesia {
                let rng = Rng::new(self.seed, RECIPE);
                scope.spawn(|| client::use_recipe(&stage, rng));
            }
            let _end = Ending(&stage);
            let group = arena.group.as_deref();
            let attack = group.filter(|_| weather != Weather::Fair).map(|group| {
                let rng = Rng::new(self.seed, SERVERS);
                let stage = &stage;
                scope.spawn(move || group.attack(stage, weather, rng, self.length))
            });
            let faults = Fault::all(self.topology, weather);
            Nemesis::new(&stage, faults, Rng::new(self.seed, NEMESIS)).rage(self.length);
            if let Some(attack) = attack {
                attack.join().unwrap();
            }
            stage.end();
            end_what_hangs(&stage);
        });
        leftover::look(&arena, &stage.history);
        drop(witnesses);
        if let Some(monitor) = &monitor {
            server_log::tell(&monitor.in_scripts_timed(), &stage.history);
        }
        run_log::tell(&arena, &stage.history);
        let history = stage.history.read();
        let findings = checker::check(&history, self.topology);
        // A checker that reads nothing finds nothing.
        assert!(findings.granted >= findings.grants || monitor.is_none());
        if !findings.breaches.is_empty() {
            self.tell(&findings, &arena);
        }
        toll.add(&history, &findings, self.length);
    }

    fn witnesses(&self, stage: &Stage<'_>) -> Vec<Witness> {
        let history = stage.history.path().to_owned();
        let role = Role::Witness { history };
        let witnesses = (0..WITNESSES)
            .map(|_| Witness(role.start(&stage.role_words)))
            .collect();
        wait_until(|| stage.history.read().len() == WITNESSES);
        witnesses
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
