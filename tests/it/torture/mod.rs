//! Many runs at a time, and someone who does harm to all of them: what is promised has to hold.
//!
//! A round is a store of its own, a few clients that run jobs under a few locks, a [`nemesis`]
//! with a seed, and witnesses of what the machine withholds. Jobs, clients, nemesis, witnesses
//! and server tell of everything in one [`history`]; afterwards the [`checker`] reads it.
//! What may come of each fault stands in [`fault`].
//!
//! Behind Sentinel and in a Cluster, masters are replaced meanwhile ([`group`]), of a quorum one
//! node after the other stands still. Nobody records there
//! what the servers do, for a `MONITOR` ends with its server: the order of the line is not checked,
//! nor the server's own account of grants. No job is on the recipe, and no network is in between.
//!
//! The suite plays two short rounds on each store, one where there are fail-overs. For longer:
//!
//! ```text
//! TORTURE_SECONDS=600 tests/run --test it torture -- --nocapture
//! TORTURE_SEED=17 …    from this seed on, which a breach names
//! ```

use std::sync::Arc;
use std::time::Duration;

use self::fault::Topology;
use self::group::Group;
use self::history::{History, Record};
use self::role::{Job, Role};
use self::round::{Round, Toll};
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
mod resource;
mod rng;
mod role;
mod round;
mod server_log;

/// How long one round lasts at most, and the rounds of the suite.
const ROUND: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_secs(3);
const SHORT_ROUNDS: u64 = 2;
/// The same with fail-overs, of which each takes several seconds.
const ROUND_OF_GROUP: Duration = Duration::from_secs(30);
const SHORT_OF_GROUP: Duration = Duration::from_secs(5);
const SHORT_ROUNDS_OF_GROUP: u64 = 1;

/// This binary again, as the processes of a round.
fn role_words() -> Vec<String> {
    let this = std::env::current_exe().unwrap();
    let this = this.into_os_string().into_string().unwrap();
    let test = "torture::a_job_is_seen_by_the_next_until_it_is_dead";
    let rest = [test, "--exact", "--nocapture", "--test-threads=1"];
    let rest = rest.into_iter().map(str::to_owned);
    [this].into_iter().chain(rest).collect()
}

fn torture(topology: Topology) {
    let number = |name: &str| {
        let text = std::env::var(name).ok()?;
        Some(
            text.parse::<u64>()
                .unwrap_or_else(|_| panic!("{name}={text} is no number")),
        )
    };
    let seconds = number("TORTURE_SECONDS").map(Duration::from_secs);
    let first = number("TORTURE_SEED").unwrap_or(1);
    let group = Group::start(topology).map(Arc::new);
    let (longest, short, short_rounds) = match group {
        Some(_) => (ROUND_OF_GROUP, SHORT_OF_GROUP, SHORT_ROUNDS_OF_GROUP),
        None => (ROUND, SHORT, SHORT_ROUNDS),
    };
    let length = seconds.map_or(short, |all| all.min(longest));
    let rounds = seconds.map_or(short_rounds, |all| {
        all.as_secs().div_ceil(longest.as_secs())
    });
    let mut toll = Toll::default();
    for seed in first..first + rounds {
        let round = Round {
            seed,
            topology,
            length,
        };
        toll.add(&round.play(role_words(), group.clone()));
    }
    println!(
        "{topology:?}, seeds {first} to {}: {toll}",
        first + rounds - 1
    );
    assert!(
        toll.happened(),
        "a round in which nothing happens shows nothing"
    );
    assert_eq!(toll.breaches, 0, "what was broken stands above");
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
    torture(Topology::Local);
}

#[test]
fn no_fault_breaks_a_promise_of_one_redis() {
    torture(Topology::Single);
}

#[test]
fn no_fault_and_no_fail_over_breaks_a_promise_behind_sentinel() {
    torture(Topology::Sentinel);
}

#[test]
fn no_fault_and_no_fail_over_breaks_a_promise_of_a_cluster() {
    torture(Topology::Cluster);
}

#[test]
fn no_fault_and_no_node_that_stands_still_breaks_a_promise_of_a_quorum() {
    torture(Topology::Quorum);
}
