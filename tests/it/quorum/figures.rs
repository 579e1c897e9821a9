//! The figures: what dead nodes and many contenders cost.

use std::time::Duration;

use super::running::{check, job, logging};
use super::{Quorum, time};
use crate::support::proxy::Mode;
use crate::support::redis::Server;
use crate::support::scratch::Scratch;
use crate::support::tasklock::Tasklock;

/// The fastest of some runs: what the machine held up says nothing.
fn fastest(count: usize, run: impl Fn() -> Duration) -> Duration {
    (0..count).map(|_| run()).min().unwrap()
}

#[test]
fn two_black_holes_among_five_nodes_cost_a_run_at_most_50_ms() {
    let quorum = Quorum::of(5);
    let once = || {
        let run = job(&quorum).args(["--", "true"]).run();
        run.expect_code(0).expect_silent();
    };
    let run = || fastest(15, || time(once).0);
    let healthy = run();
    for minority in [[3, 4], [0, 1]] {
        minority
            .iter()
            .for_each(|&node| quorum.proxies[node].set(Mode::BlackHole));
        let dark = run();
        println!("five nodes: {healthy:?}, with {minority:?} black-holed: {dark:?}");
        assert!(
            dark < healthy + Duration::from_millis(50),
            "{minority:?}: {dark:?}, else {healthy:?}"
        );
        for node in minority {
            quorum.proxies[node].set(Mode::Pass);
            quorum.proxies[node].cut();
        }
    }
}

/// How long 20 runs take that all start at once and wait for each other.
fn twenty(start: impl Fn() -> Tasklock) -> Duration {
    let scratch = Scratch::new();
    let log = scratch.file("log");
    let script = logging(&log.display().to_string(), "0.01");
    let (took, ()) = time(|| {
        let runs: Vec<_> = (0..20)
            .map(|_| start().args(["--wait", "50s"]).sh(&script).start())
            .collect();
        for run in runs {
            run.wait().expect_code(0);
        }
    });
    assert_eq!(check(&scratch.read("log")), 20);
    took
}

#[test]
fn twenty_contenders_on_three_nodes_take_at_most_twice_as_long_as_on_one() {
    let server = Server::start();
    let quorum = Quorum::of(3);
    let direct = || {
        let job = Tasklock::new().args(["--name", "job"]);
        quorum
            .servers
            .iter()
            .fold(job, |job, server| job.url(&server.url()))
    };
    let one = fastest(4, || twenty(|| Tasklock::named("job", &server.url())));
    let three = fastest(4, || twenty(direct));
    println!("20 contenders: {one:?} on one server, {three:?} on three");
    assert!(three < one * 2, "{three:?} on three, {one:?} on one");
}
