//! Schedules on several hosts whose clocks differ: once per tick, at any phase.
//!
//! The store learns how long ago a run was asked for, so that hours of ticks pass in a moment.

use std::time::{Duration, Instant};

use tasklock::store::{Acquire, Ask, Done, Once, Period, Store};

use super::Place;
use crate::support::store::{FAILED, TIMEOUT, claim, succeeded};

const TICK: Duration = Duration::from_secs(6);
const TICKS: u32 = 60;
/// The first tick lies this far back.
const PAST: Duration = Duration::from_secs(3600);
/// How far the clocks of the hosts are behind, in milliseconds; in the order in which they fire.
const SKEWS: [[u64; 3]; 4] = [[0, 1000, 2000], [0, 0, 2000], [500, 900, 2000], [0, 0, 0]];

/// The hosts of a schedule, seen by the store.
struct Schedule {
    begun: Instant,
    store: Box<dyn Store>,
    name: String,
}

impl Schedule {
    fn new(place: &Place, name: &str) -> Schedule {
        Schedule {
            begun: Instant::now(),
            store: place.open(),
            name: name.to_owned(),
        }
    }

    /// A run that was asked for `at` after the first tick. Did it run?
    fn run(&mut self, at: Duration, succeeds: bool) -> bool {
        let mut claim = claim(&self.name, "root@web1");
        claim.once = Once {
            per: Some(Period {
                length: TICK,
                attempts: 2,
            }),
            key: None,
        };
        let waited = PAST + self.begun.elapsed() - at;
        let ask = Ask {
            waited,
            ..Ask::default()
        };
        match self.store.acquire(&claim, ask, TIMEOUT).unwrap() {
            Acquire::Granted(_) => {
                let waited = PAST + self.begun.elapsed() - at;
                let end = match succeeds {
                    true => succeeded(waited),
                    false => FAILED,
                };
                self.store.release(&claim, end, TIMEOUT).unwrap();
                true
            }
            Acquire::Done(Done::Recently { .. } | Done::Attempts { .. }) => false,
            other => panic!("{other:?}"),
        }
    }

    /// How often it runs in each tick.
    fn runs_per_tick(&mut self, phase: Duration, skews: [u64; 3], succeeds: bool) -> Vec<usize> {
        (0..TICKS)
            .map(|tick| {
                let at = |skew| phase + TICK * tick + Duration::from_millis(skew);
                let ran = skews.map(|skew| self.run(at(skew), succeeds));
                ran.into_iter().filter(|ran| *ran).count()
            })
            .collect()
    }
}

pub(super) fn a_job_runs_once_per_tick_at_any_phase(place: &Place) {
    for (number, skews) in SKEWS.into_iter().enumerate() {
        for phase in [0, 1700, 2999, 3000, 3001, 5900] {
            let mut schedule = Schedule::new(place, &format!("job {number} {phase}"));
            let runs = schedule.runs_per_tick(Duration::from_millis(phase), skews, true);
            assert_eq!(runs, vec![1; TICKS as usize], "{skews:?} {phase}");
        }
    }
}

pub(super) fn a_job_that_always_fails_runs_twice_per_tick(place: &Place) {
    for (number, skews) in SKEWS.into_iter().enumerate() {
        let mut schedule = Schedule::new(place, &format!("job {number}"));
        let runs = schedule.runs_per_tick(Duration::ZERO, skews, false);
        assert_eq!(runs, vec![2; TICKS as usize], "{skews:?}");
    }
}

pub(super) fn a_run_that_waited_long_does_not_swallow_the_next_tick(place: &Place) {
    let mut schedule = Schedule::new(place, "job");
    // It was asked for at the first tick, and is granted and ends only now: long after the second.
    assert!(schedule.run(Duration::ZERO, true));
    assert!(schedule.run(TICK, true));
    // One of a tick that a later run has done already is not needed any more.
    assert!(!schedule.run(Duration::from_secs(1), true));
}
