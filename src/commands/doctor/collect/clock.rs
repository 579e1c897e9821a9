//! The clock of a server beside ours: what it shows, and how fast it runs.

use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::server::ask;
use crate::clock::{Tick, now};
use crate::commands::doctor::facts::{Clock, Seen};
use crate::store::redis::probe::Probe;

/// The best of so many looks counts.
const LOOKS: usize = 5;
/// Between the first look and the last: a hundredth of a percent of it is 100 µs,
/// a round trip in a good network.
const SPAN: Duration = Duration::from_secs(1);

/// A look at both clocks.
pub(super) struct Look {
    /// What the server's clock showed, in microseconds since 1970.
    server: i64,
    /// What ours showed at the same time, give or take.
    ours: i64,
    error: i64,
    at: Tick,
}

/// The first look.
pub(super) fn start(probe: &mut Probe) -> Seen<Look> {
    let mut best: Option<Look> = None;
    for _ in 0..LOOKS {
        let look = look(probe)?;
        if best.as_ref().is_none_or(|best| look.error < best.error) {
            best = Some(look);
        }
    }
    best.ok_or_else(|| "nobody looked".to_owned())
}

/// The last look, when enough time has passed since the first.
pub(super) fn finish(probe: &mut Probe, first: &Look) -> Seen<Clock> {
    thread::sleep(SPAN.saturating_sub(now().since(first.at)));
    Ok(compare(first, start(probe).ok().as_ref()))
}

/// Microseconds since 1970, by the server's clock.
pub(super) fn server_time(probe: &mut Probe) -> Seen<i64> {
    let answer = ask(probe, &["TIME"])?;
    let parts: Vec<i64> = answer.list().iter().filter_map(|part| part.int()).collect();
    match parts.as_slice() {
        [seconds, micros] => Ok(seconds.saturating_mul(1_000_000).saturating_add(*micros)),
        _ => Err("TIME gave no time".to_owned()),
    }
}

fn look(probe: &mut Probe) -> Seen<Look> {
    let before = (SystemTime::now(), now());
    let server = server_time(probe)?;
    let half = now().since(before.1) / 2;
    let ours = before.0.duration_since(UNIX_EPOCH).unwrap_or_default() + half;
    Ok(Look {
        server,
        ours: micros(ours),
        error: micros(half),
        at: before.1 + half,
    })
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// What the first look and the last tell.
fn compare(first: &Look, last: Option<&Look>) -> Clock {
    let passed = |last: &Look| micros(last.at.since(first.at));
    let rate = last.filter(|last| passed(last) > 0).map(|last| {
        let (server, ours) = (last.server.saturating_sub(first.server), passed(last));
        let per_million = |part: i64| part as f64 * 1e6 / ours as f64;
        (
            per_million(server.saturating_sub(ours)),
            per_million(first.error + last.error),
        )
    });
    Clock {
        ahead: first.server.saturating_sub(first.ours),
        ahead_error: first.error,
        faster: rate.map(|(faster, _)| faster),
        faster_error: rate.map_or(0.0, |(_, error)| error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(server: i64, ours: i64, at_ms: u64) -> Look {
        Look {
            server,
            ours,
            error: 100,
            at: Tick::from_boot(Duration::from_millis(at_ms)),
        }
    }

    #[test]
    fn a_clock_that_is_ahead_and_fast_is_seen_as_that() {
        let clock = compare(&look(5_000, 2_000, 0), Some(&look(1_006_000, 0, 1000)));
        assert_eq!((clock.ahead, clock.ahead_error), (3_000, 100));
        let faster = clock.faster.unwrap();
        assert!((faster - 1_000.0).abs() < 0.01, "{faster}");
        assert!((clock.faster_error - 200.0).abs() < 0.01);
    }

    #[test]
    fn a_clock_that_leaps_from_end_to_end_is_fast() {
        let (first, last) = (look(i64::MIN, 0, 0), look(i64::MAX, 0, 1000));
        assert!(compare(&first, Some(&last)).faster.unwrap() > 1e12);
        assert!(
            compare(&last, Some(&look(i64::MIN, 0, 2000)))
                .faster
                .unwrap()
                < -1e12
        );
    }

    #[test]
    fn one_look_tells_no_rate() {
        assert_eq!(compare(&look(0, 7, 0), None).faster, None);
        assert_eq!(compare(&look(0, 7, 5), Some(&look(0, 7, 5))).faster, None);
    }
}
