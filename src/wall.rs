//! The time of day, for people: local time, with the date where it is not today's.
//!
//! Nothing is decided by it. The pure code is handed a [`Wall`], and tests make their own.

use std::cell::OnceCell;
use std::time::Duration;
use std::{env, fs};

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// The rules of the host's zone, as tzfile(5) has them.
const LOCALTIME: &str = "/etc/localtime";

/// Now, and where we are.
#[derive(Clone, Debug)]
pub struct Wall {
    now: Timestamp,
    /// Found out when it is needed: a lock that is free has no times to tell.
    zone: OnceCell<TimeZone>,
}

impl Wall {
    /// This host's clock and time zone.
    #[must_use]
    pub fn here() -> Wall {
        Wall {
            now: Timestamp::now(),
            zone: OnceCell::new(),
        }
    }

    /// Another time and zone.
    #[must_use]
    pub fn at(now: Timestamp, zone: TimeZone) -> Wall {
        let zone = OnceCell::from(zone);
        Wall { now, zone }
    }

    /// The time of day `age` ago: `02:00:03`, with the date when it is not today.
    #[must_use]
    pub fn ago(&self, age: Duration) -> String {
        self.then(age).map_or_else(unknown, |then| {
            let form = if then.date() == self.local(self.now).date() {
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
        let now = self.now.as_millisecond();
        let now = u64::try_from(now).unwrap_or_default();
        Duration::from_millis(now.saturating_sub(ms))
    }

    /// Seconds since 1970, `age` ago.
    #[must_use]
    pub fn unix_seconds_ago(&self, age: Duration) -> i64 {
        self.now.checked_sub(age).map_or(0, Timestamp::as_second)
    }

    fn then(&self, age: Duration) -> Option<Zoned> {
        let then = self.now.checked_sub(age).ok()?;
        Some(self.local(then))
    }

    fn moment(&self, ms: u64) -> Option<Zoned> {
        let moment = Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok()?;
        Some(self.local(moment))
    }

    fn local(&self, moment: Timestamp) -> Zoned {
        let zone = self.zone.get_or_init(local_zone);
        moment.to_zoned(zone.clone())
    }
}

/// The zone of this host. jiff would look for its name in all directories of the
/// time zone database, which takes longer than asking Redis.
fn local_zone() -> TimeZone {
    let told = env::var_os("TZ").is_some();
    let file = if told { None } else { fs::read(LOCALTIME).ok() };
    file.and_then(|data| TimeZone::tzif("", &data).ok())
        .unwrap_or_else(TimeZone::system)
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
    fn the_zone_of_this_host_is_the_one_that_jiff_finds() {
        let now = Timestamp::now();
        let offset = |zone: TimeZone| now.to_zoned(zone).offset();
        assert_eq!(offset(local_zone()), offset(TimeZone::system()));
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
        let now = u64::try_from(wall().now.as_millisecond()).unwrap();
        assert_eq!(wall().since(now - 60_000), MINUTE);
        assert_eq!(wall().since(now + 1), Duration::ZERO);
    }
}
