//! The time of day, for people: local time, with the date where it is not today's.
//!
//! Nothing is decided by it. The pure code is handed a [`Wall`], and tests make their own.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// Now, and where we are.
#[derive(Clone, Debug)]
pub struct Wall(Zoned);

impl Wall {
    /// This host's clock and time zone.
    #[must_use]
    pub fn here() -> Wall {
        Wall(Timestamp::now().to_zoned(TimeZone::system()))
    }

    /// Another time and zone.
    #[must_use]
    pub fn at(now: Timestamp, zone: TimeZone) -> Wall {
        Wall(now.to_zoned(zone))
    }

    /// The time of day `age` ago: `02:00:03`, with the date when it is not today.
    #[must_use]
    pub fn ago(&self, age: Duration) -> String {
        self.then(age).map_or_else(unknown, |then| {
            let form = if then.date() == self.0.date() {
                "%H:%M:%S"
            } else {
                "%Y-%m-%d %H:%M:%S"
            };
            then.strftime(form).to_string()
        })
    }

    /// The date and time `age` ago, as RFC 3339 has it: `2026-11-23T02:00:03+01:00`.
    #[must_use]
    pub fn ago_rfc3339(&self, age: Duration) -> String {
        self.then(age).map_or_else(unknown, |then| rfc3339(&then))
    }

    /// The date and time at `ms` milliseconds since 1970: `2026-11-23 02:00:03`.
    #[must_use]
    pub fn date_and_time(&self, ms: u64) -> String {
        self.moment(ms).map_or_else(unknown, |moment| {
            moment.strftime("%Y-%m-%d %H:%M:%S").to_string()
        })
    }

    /// The same as RFC 3339 has it.
    #[must_use]
    pub fn rfc3339(&self, ms: u64) -> String {
        self.moment(ms)
            .map_or_else(unknown, |moment| rfc3339(&moment))
    }

    /// How long ago `ms` milliseconds since 1970 was; zero if it lies ahead.
    #[must_use]
    pub fn since(&self, ms: u64) -> Duration {
        let now = self.0.timestamp().as_millisecond();
        let now = u64::try_from(now).unwrap_or_default();
        Duration::from_millis(now.saturating_sub(ms))
    }

    /// Seconds since 1970, `age` ago.
    #[must_use]
    pub fn unix_seconds_ago(&self, age: Duration) -> i64 {
        self.then(age)
            .map_or(0, |then| then.timestamp().as_second())
    }

    fn then(&self, age: Duration) -> Option<Zoned> {
        self.0.checked_sub(age).ok()
    }

    fn moment(&self, ms: u64) -> Option<Zoned> {
        let moment = Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok()?;
        Some(moment.to_zoned(self.0.time_zone().clone()))
    }
}

fn rfc3339(moment: &Zoned) -> String {
    moment.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// A time that no calendar has: a store's answer that cannot be.
fn unknown() -> String {
    "?".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn wall() -> Wall {
        let now = "2026-11-23T01:14:03Z".parse().unwrap();
        Wall::at(now, TimeZone::fixed(jiff::tz::offset(1)))
    }

    #[test]
    fn a_time_of_today_is_shown_without_the_date() {
        assert_eq!(wall().ago(14 * MINUTE), "02:00:03");
        assert_eq!(wall().ago(3 * 60 * MINUTE), "2026-11-22 23:14:03");
        assert_eq!(wall().ago(Duration::MAX), "?");
    }

    #[test]
    fn rfc_3339_has_the_offset() {
        assert_eq!(wall().ago_rfc3339(MINUTE), "2026-11-23T02:13:03+01:00");
        assert_eq!(wall().rfc3339(0), "1970-01-01T01:00:00+01:00");
        assert_eq!(wall().date_and_time(0), "1970-01-01 01:00:00");
        assert_eq!(wall().rfc3339(u64::MAX), "?");
    }

    #[test]
    fn what_lies_ahead_was_no_time_ago() {
        let now = u64::try_from(wall().0.timestamp().as_millisecond()).unwrap();
        assert_eq!(wall().since(now - 60_000), MINUTE);
        assert_eq!(wall().since(now + 1), Duration::ZERO);
    }
}
