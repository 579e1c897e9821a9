//! Many runs at a time, and someone who does harm to all of them: what is promised has to hold.
//!
//! A round is a store of its own, a few clients that run jobs under a few locks, a [`nemesis`]
//! with a seed, and witnesses of what the machine withholds. Jobs, clients, nemesis, witnesses
//! and server tell of everything in one [`history`]; afterwards the [`checker`] reads it.
//! What may come of each fault stands in [`fault`].
//!
//! Behind Sentinel and in a Cluster, masters are replaced meanwhile ([`group`]). Of a quorum one
//! node after the other is in trouble, or half of the runs reach other nodes than the rest
//! ([`quorum`]); in some rounds one forgets, in others two are away at a time. One Redis has rounds
//! in which it loses its memory or its clock steps ([`fault::Weather`]). Nobody records in all of these
//! what the servers do, for a `MONITOR` ends with its server: the order of the line is not checked,
//! nor the server's own account of grants. On several servers no job is on the recipe; before a
//! Sentinel's masters and a Cluster's nodes no network is in between.
//!
//! The suite plays a few short rounds on each store. For longer, with a table in the end:
//!
//! ```text
//! cargo run --release --example torture -- --topology single --seconds 600 --seed 17
//! ```
//!
//! The seed of a round repeats what is done when, and to which of those that are there.

use std::ops::Range;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::fault::Topology;
use self::group::Group;
use self::history::{History, Record};
use self::role::{Job, Role};
use self::round::Round;
use self::toll::Toll;
use crate::support::scratch::Scratch;
use crate::support::{self, PATIENCE};

mod arena;
mod checker;
mod client;
mod fault;
mod group;
mod history;
mod leftover;
mod nemesis;
mod nuisance;
mod quorum;
mod resource;
mod restart;
mod rng;
mod role;
mod round;
mod run_log;
mod server_log;
mod toll;

/// How long one round lasts at most.
const ROUND: Duration = Duration::from_secs(30);

/// What `examples/torture.rs` asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    topologies: Vec<Topology>,
    /// On each of them.
    seconds: u64,
    /// That of the first round; the next has the next.
    seed: u64,
}

impl Order {
    /// Plays it and prints one table; the exit code.
    pub(crate) fn run(&self) -> i32 {
        let whole = Duration::from_secs(self.seconds);
        let rounds = self.seconds.div_ceil(ROUND.as_secs());
        let seeds = self.seed..self.seed + rounds;
        let play = |topology: &Topology| torture(*topology, seeds.clone(), whole.min(ROUND));
        let tolls: Vec<Toll> = self.topologies.iter().map(play).collect();
        println!("\n{}", toll::table(&tolls));
        i32::from(!tolls.iter().all(Toll::is_good))
    }
}

/// This binary again, as the processes of a round.
fn role_words() -> Vec<String> {
    let this = std::env::current_exe().unwrap();
    let this = this.into_os_string().into_string().unwrap();
    let test = "torture::a_job_is_seen_by_the_next_until_it_is_dead";
    let rest = [test, "--exact", "--nocapture", "--test-threads=1"];
    let rest = rest.into_iter().map(str::to_owned);
    [this].into_iter().chain(rest).collect()
}

/// One round for each seed.
fn torture(topology: Topology, seeds: Range<u64>, length: Duration) -> Toll {
    let mut toll = Toll::of(topology);
    let group = Group::start(topology).map(Arc::new);
    for seed in seeds {
        let round = Round {
            seed,
            topology,
            length,
        };
        let play = || round.play(role_words(), group.clone(), &mut toll);
        // Its story has been told; the servers may be in any state now.
        if panic::catch_unwind(AssertUnwindSafe(play)).is_err() {
            println!("{topology:?}, seed {seed}: given up, for the reason above");
            toll.given_up += 1;
            break;
        }
    }
    toll
}

/// A few short rounds for the suite.
fn torture_shortly(topology: Topology, rounds: u64, seconds: u64) {
    let toll = torture(topology, 1..1 + rounds, Duration::from_secs(seconds));
    let is_good = toll.is_good();
    let table = toll::table(&[toll]);
    println!("{table}");
    assert!(is_good, "what was broken stands above");
}

#[test]
fn a_job_is_seen_by_the_next_until_it_is_dead() {
    if let Some(role) = Role::assigned() {
        #[allow(
            clippy::exit,
            reason = "this process is no test but what a test has started"
        )]
        std::process::exit(role.play());
    }
    let scratch = Scratch::new();
    let history = scratch.file("history");
    let job = |run, lasts| {
        Role::Job(Job {
            history: history.clone(),
            resources: scratch.path().to_owned(),
            run,
            lasts,
            code: 7,
            stubborn: false,
            recipe: Some("a".to_owned()),
        })
    };
    let told = |wanted: &dyn Fn(&Record) -> bool| {
        support::wait_for_some(|| {
            let told = History::open(&history).read();
            told.into_iter().find(|record| wanted(record))
        })
    };
    let beside =
        |wanted: u32| match told(&|it| matches!(it, Record::Start { run, .. } if *run == wanted)) {
            Record::Start { beside, .. } => beside,
            other => panic!("{other:?}"),
        };
    let mut first = job(1, PATIENCE).start(&role_words());
    assert_eq!(beside(1), None);
    let second = job(2, Duration::ZERO).start(&role_words()).wait().unwrap();
    assert_eq!(second.code(), Some(7));
    assert_eq!(beside(2), Some(first.id().cast_signed()));
    first.kill().unwrap();
    first.wait().unwrap();
    job(3, Duration::ZERO).start(&role_words()).wait().unwrap();
    assert_eq!(beside(3), None);
    told(&|it| {
        matches!(
            it,
            Record::End {
                run: 3,
                code: 7,
                ..
            }
        )
    });
    let ended = History::open(&history).read();
    assert!(
        !ended
            .iter()
            .any(|it| matches!(it, Record::End { run: 1, .. }))
    );
}

#[test]
fn no_fault_breaks_a_promise_of_the_local_store() {
    torture_shortly(Topology::Local, 2, 3);
}

#[test]
fn no_fault_breaks_a_promise_of_one_redis() {
    // Two in trouble, one without memory, one with a clock that steps ([`fault::Weather`]).
    torture_shortly(Topology::Single, 4, 3);
}

#[test]
fn no_fault_and_no_fail_over_breaks_a_promise_behind_sentinel() {
    torture_shortly(Topology::Sentinel, 1, 5);
}

#[test]
fn no_fault_and_no_fail_over_breaks_a_promise_of_a_cluster() {
    torture_shortly(Topology::Cluster, 1, 5);
}

#[test]
fn no_fault_and_no_node_in_trouble_breaks_a_promise_of_a_quorum() {
    // One in trouble, one without memory, two away ([`fault::Weather`]).
    torture_shortly(Topology::Quorum, 3, 3);
}
