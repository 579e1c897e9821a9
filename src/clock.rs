//! Time since boot, suspend included.
//!
//! A lease goes on ageing while the machine sleeps, and `std::time::Instant`
//! (CLOCK_MONOTONIC on Linux) does not. Every deadline is therefore a [`Tick`]
//! of CLOCK_BOOTTIME. The pure code never reads this clock: it is handed `now`.

use std::ops::{Add, Sub};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// An instant, as the time since boot with suspend included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(Duration);

impl Tick {
    /// The end of time: the deadline of a lock that does not expire.
    pub const NEVER: Tick = Tick(Duration::MAX);

    /// The instant `since_boot` after boot.
    #[must_use]
    pub const fn from_boot(since_boot: Duration) -> Tick {
        Tick(since_boot)
    }

    /// How long after boot this instant is.
    #[must_use]
    pub const fn since_boot(self) -> Duration {
        self.0
    }

    /// The time from `earlier` to this instant, zero if it lies behind us.
    #[must_use]
    pub fn since(self, earlier: Tick) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Tick {
    type Output = Tick;

    fn add(self, rhs: Duration) -> Tick {
        Tick(self.0.saturating_add(rhs))
    }
}

/// Stays [`Tick::NEVER`] if it was; stops at boot.
impl Sub<Duration> for Tick {
    type Output = Tick;

    fn sub(self, rhs: Duration) -> Tick {
        if self == Tick::NEVER {
            return self;
        }
        Tick(self.0.saturating_sub(rhs))
    }
}

/// The current instant.
#[must_use]
pub fn now() -> Tick {
    // CLOCK_BOOTTIME exists since Linux 2.6.39; the call cannot fail with a valid id.
    let time = clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from);
    Tick(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_does_not_run_backwards() {
        let first = now();
        assert!(now() >= first);
        assert!(first > Tick::from_boot(Duration::ZERO));
    }

    #[test]
    fn never_is_not_moved_by_arithmetic() {
        assert_eq!(Tick::NEVER - Duration::from_secs(10), Tick::NEVER);
        assert_eq!(Tick::NEVER + Duration::from_secs(10), Tick::NEVER);
    }
}
