//! The figure: fail-overs in the middle of runs.

use std::env;

use super::running::End;
use super::{KEY, NAME, STATE};
use crate::holding::{DONE, Job};
use crate::support::redis::Server;
use crate::support::sentinel::Watched;
use crate::support::tasklock::Tasklock;
use crate::support::wait_until;

/// How many there are in a run of the tests; `TASKLOCK_TEST_FAILOVERS` says another number.
const FAIL_OVERS: usize = 3;

#[test]
fn jobs_in_the_middle_of_fail_overs_end_with_their_own_code_and_fences_grow() {
    let count = env::var("TASKLOCK_TEST_FAILOVERS").map_or(FAIL_OVERS, |text| {
        text.parse().expect("TASKLOCK_TEST_FAILOVERS is a number")
    });
    let watched = Watched::start();
    let tasklock = || Tasklock::named(NAME, &watched.url()).args(["--ttl", "60s"]);
    let (mut own, mut lost, mut overlaps, mut grown, mut last) = (0, 0, 0, 0, 0);
    for number in 0..count {
        let old = watched.master();
        let job = Job::start(tasklock());
        grown += usize::from(job.fence > last);
        last = job.fence;
        let end = |server: &Server| -> u64 {
            let end = server.text(&["HGET", STATE, "e0"]).unwrap_or_default();
            end.parse().unwrap_or(0)
        };
        // The first refresh comes after a second.
        let granted = end(old);
        wait_until(|| end(old) > granted);
        watched.wait_for_copies();
        let how = [End::Killed, End::Frozen, End::Relieved][number % 3];
        let new = how.befall(&watched, old);
        let intruder = tasklock().sh("echo ran").run();
        overlaps += usize::from(intruder.code != Some(75));
        if number % 2 == 0 {
            let before = end(new);
            wait_until(|| end(new) > before);
        }
        let finished = job.finish();
        match finished.code {
            Some(DONE) => own += 1,
            Some(79) => lost += 1,
            _ => panic!("{how:?}: {finished}"),
        }
        assert_eq!(new.text(&["GET", KEY]), None, "{how:?}: {finished}");
        how.mend(&watched, old);
    }
    println!(
        "{count} fail-overs in the middle of runs: {own} ended with their own code, {lost} were \
         lost; {overlaps} overlaps; the fence grew {grown} times"
    );
    // Each of them was replicated, so none is really lost.
    assert_eq!((own, lost, overlaps, grown), (count, 0, 0, count));
}
