//! The clock of a server beside ours.

use std::time::Duration;

use super::Use;
use crate::commands::doctor::facts::{Clock, Server};
use crate::commands::doctor::finding::Finding;
use crate::duration::show;

/// Of the two percent by which clocks may differ in speed: half, in parts per million.
const FAST_MAX: f64 = 10_000.0;
/// A rate that is known no better than this says nothing.
const VAGUE: f64 = 20_000.0;

/// Nobody cares for less.
const UNSEEN: Duration = Duration::from_millis(1);

/// What the clock shows, and how fast it runs.
pub(super) fn judge(server: &Server, how: Use<'_>) -> Vec<Finding> {
    match &server.clock {
        Ok(clock) => vec![difference(clock, how), rate(clock)],
        Err(why) => vec![Finding::hidden("clock", "the server's clock", why)],
    }
}

fn difference(clock: &Clock, how: Use<'_>) -> Finding {
    let off = Duration::from_micros(clock.ahead.unsigned_abs());
    let error = Duration::from_micros(clock.ahead_error.unsigned_abs());
    let direction = if clock.ahead < 0 {
        "behind"
    } else {
        "ahead of"
    };
    let text = if off <= error.max(UNSEEN) {
        "the server's clock shows the same time as ours".to_owned()
    } else {
        let (off, error) = (show(off), show(error));
        format!("the server's clock is {off} {direction} ours (give or take {error})")
    };
    // What of it may be the way that the answer took is no difference.
    if off.saturating_sub(error) <= how.terms.drift {
        return Finding::ok("clock", text);
    }
    Finding::warning("clock", text).advise(format!(
        "leases, fences and --once-per go by the server's clock alone, so that alone harms nobody; but \
         when it is set right in one step of more than {}, leases end that much early: let NTP do it, slowly",
        show(how.terms.drift)
    ))
}

fn rate(clock: &Clock) -> Finding {
    let faster = match clock.faster {
        Some(faster) if clock.faster_error <= VAGUE => faster,
        Some(_) => {
            return Finding::hidden(
                "drift",
                "how fast the clock runs",
                "the round trips are too long",
            );
        }
        None => {
            return Finding::hidden(
                "drift",
                "how fast the clock runs",
                "it was not seen long enough",
            );
        }
    };
    let text = format!(
        "the server's clock runs {faster:+.0} ppm against ours (give or take {:.0}); 20000 are kept in hand",
        clock.faster_error
    );
    if faster.abs() - clock.faster_error <= FAST_MAX {
        return Finding::ok("drift", text);
    }
    Finding::warning("drift", text)
        .advise("one of the clocks is being slewed, or wrong: see chronyc tracking or ntpq -p on both hosts")
}
