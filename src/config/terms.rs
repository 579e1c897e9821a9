//! Whether the durations that rule a lease fit together, and which would.

use std::time::Duration;

use super::ConfigError;
use super::reader::Reader;
use crate::duration;
use crate::lease::Terms;

impl Reader<'_> {
    /// The terms of a lease of `ttl`, which has to leave room for the rest.
    pub(super) fn terms(
        &self,
        ttl: Duration,
        kill_after: Option<Duration>,
        store_timeout: Option<Duration>,
    ) -> Result<Terms, ConfigError> {
        let terms = Terms::new(ttl, kill_after, store_timeout);
        if terms.fit() {
            return Ok(terms);
        }
        // Whoever set one of them on the command line can mend it there; and so on.
        let given = ["ttl", "kill_after", "store_timeout"];
        let id = given.iter().min_by_key(|id| self.source(id).rank());
        Err(self.wrong(
            id.unwrap_or(&"ttl"),
            &no_room(terms, kill_after, store_timeout),
        ))
    }
}

/// The sum that does not fit, and the least ttl that would.
fn no_room(terms: Terms, kill_after: Option<Duration>, store_timeout: Option<Duration>) -> String {
    let least = least_ttl(kill_after, store_timeout);
    let show = duration::show;
    format!(
        "a ttl of {} leaves no room to stop the command in time: kill-after {} + margin {} + drift {} + \
         2 x store-timeout {} = {}, and that is more than two thirds of it; {}",
        show(terms.ttl),
        show(terms.kill_after),
        show(terms.margin),
        show(terms.drift),
        show(terms.store_timeout),
        show(terms.needed()),
        least.map_or_else(
            || "no ttl fits, make the others shorter".to_owned(),
            |least| format!("the least ttl that fits is {}", show(least)),
        ),
    )
}

/// The least whole number of seconds that fits, found by halving: once a ttl
/// fits, every longer one does.
fn least_ttl(kill_after: Option<Duration>, store_timeout: Option<Duration>) -> Option<Duration> {
    let fits = |secs| Terms::new(Duration::from_secs(secs), kill_after, store_timeout).fit();
    let (mut low, mut high) = (0, duration::MAX_SECS);
    if !fits(high) {
        return None;
    }
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if fits(middle) {
            high = middle
        } else {
            low = middle
        }
    }
    Some(Duration::from_secs(high))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn the_least_ttl_is_the_first_that_fits() {
        for (kill_after, store_timeout) in [
            (Some(s(10)), None),
            (Some(s(600)), Some(s(5))),
            (None, Some(s(30))),
        ] {
            let least = least_ttl(kill_after, store_timeout).unwrap();
            assert!(Terms::new(least, kill_after, store_timeout).fit());
            assert!(!Terms::new(least - s(1), kill_after, store_timeout).fit());
        }
    }
}
