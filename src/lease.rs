//! The timing of one lease. Pure: `now` comes in as an argument, nothing is sent.
//!
//! ```text
//! last confirmed refresh            stop_at            kill_at    deadline   the store's expiry
//! |---- refresh every ttl/6, -------|-- kill-after: ---|- margin -|-- drift --|
//!       retry while there is room      the stop signal    KILL, reap
//! ```
//!
//! The deadline counts from *before the request was sent*: the store started its
//! ttl at some moment after that, so the lease cannot end earlier than we think.
//! Only a confirmed answer moves it.

use std::time::Duration;

use crate::clock::Tick;

/// A lease is refreshed this many times within its ttl, so that with the
/// default of 60 s an outage of half a minute is ridden out.
const REFRESHES_PER_TTL: u32 = 6;
/// The first refresh comes early: jobs on the plain recipe that were started in
/// the same second by cron delete the key when they are refused.
const FIRST_REFRESH_MAX: Duration = Duration::from_secs(1);
/// Pauses between failed refreshes double up to this.
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// … and start from this or ttl/50, whichever is shorter.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFFS_PER_TTL: u32 = 50;

/// The durations that rule a lease. [`Terms::fit`] holds them to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How long the lease outlives its last refresh.
    pub ttl: Duration,
    /// From the stop signal to KILL.
    pub kill_after: Duration,
    /// From KILL to the deadline: what the kernel needs to end a process tree.
    pub margin: Duration,
    /// What our clock and the store's may differ in over one ttl.
    pub drift: Duration,
    /// The upper bound of one request while the lock is held.
    pub store_timeout: Duration,
}

impl Terms {
    /// The terms of a lease of `ttl`; what is not given scales with it.
    #[must_use]
    pub fn new(
        ttl: Duration,
        kill_after: Option<Duration>,
        store_timeout: Option<Duration>,
    ) -> Terms {
        Terms {
            ttl,
            kill_after: kill_after.unwrap_or((ttl / 5).min(Duration::from_secs(10))),
            margin: (ttl / 60).clamp(Duration::from_millis(100), Duration::from_secs(1)),
            drift: ttl / 50 + Duration::from_millis(150),
            store_timeout: store_timeout.unwrap_or((ttl / 12).min(Duration::from_secs(5))),
        }
    }

    /// What must fit into two thirds of the ttl, so that at least two refreshes
    /// can fail before the child has to be stopped.
    #[must_use]
    pub fn needed(&self) -> Duration {
        self.kill_after
            .saturating_add(self.margin)
            .saturating_add(self.drift)
            .saturating_add(self.store_timeout.saturating_mul(2))
    }

    /// The longest outage of the store that no job is stopped for, wherever in
    /// the time between two refreshes it begins.
    #[must_use]
    pub fn rides_out(&self) -> Duration {
        let idle = self.ttl / REFRESHES_PER_TTL;
        let end = self.kill_after + self.margin + self.drift;
        self.ttl.saturating_sub(idle + end)
    }

    /// Whether the ttl leaves room for all of it.
    #[must_use]
    pub fn fit(&self) -> bool {
        self.needed() <= self.ttl / 3 * 2
    }
}

/// One lease, from its grant to its end.
#[derive(Clone, Debug)]
pub struct Lease {
    terms: Terms,
    deadline: Tick,
    /// When to send the next refresh; None while one is under way.
    refresh_at: Option<Tick>,
    backoff: Duration,
}

impl Lease {
    /// A lease granted by a request that was sent at `sent_at`.
    #[must_use]
    pub fn granted(terms: Terms, sent_at: Tick) -> Lease {
        let first = (terms.ttl / REFRESHES_PER_TTL).min(FIRST_REFRESH_MAX);
        Lease {
            terms,
            deadline: sent_at + terms.ttl - terms.drift,
            refresh_at: Some(sent_at + first),
            backoff: Lease::first_backoff(&terms),
        }
    }

    /// A lock that lives as long as this process: it is looked at as often as a
    /// lease is refreshed, and has no deadline.
    #[must_use]
    pub fn unending(terms: Terms, sent_at: Tick) -> Lease {
        Lease {
            deadline: Tick::NEVER,
            ..Lease::granted(terms, sent_at)
        }
    }

    fn first_backoff(terms: &Terms) -> Duration {
        BACKOFF_MIN.min(terms.ttl / BACKOFFS_PER_TTL)
    }

    /// A refresh has been handed over for sending.
    pub fn refreshing(&mut self) {
        self.refresh_at = None;
    }

    /// The store confirmed the refresh that was sent at `sent_at`.
    pub fn confirmed(&mut self, sent_at: Tick) {
        if self.deadline != Tick::NEVER {
            let deadline = sent_at + self.terms.ttl - self.terms.drift;
            self.deadline = self.deadline.max(deadline);
        }
        self.backoff = Lease::first_backoff(&self.terms);
        self.refresh_at = Some(sent_at + self.terms.ttl / REFRESHES_PER_TTL);
    }

    /// The refresh failed, its outcome is unknown: try again after a pause.
    pub fn failed(&mut self, now: Tick) {
        self.refresh_at = Some(now + self.backoff);
        self.backoff = (self.backoff * 2).min(BACKOFF_MAX);
    }

    /// Refresh without waiting for the turn (after the process was stopped and continued).
    pub fn refresh_now(&mut self, now: Tick) {
        self.refresh_at = self.refresh_at.map(|at| at.min(now));
    }

    /// When to send the next refresh; None while one is under way.
    #[must_use]
    pub fn refresh_at(&self) -> Option<Tick> {
        self.refresh_at
    }

    /// When the child must be dead.
    #[must_use]
    pub fn deadline(&self) -> Tick {
        self.deadline
    }

    /// When the stop signal goes out, unless a refresh succeeds before.
    #[must_use]
    pub fn stop_at(&self) -> Tick {
        self.kill_at() - self.terms.kill_after
    }

    /// When KILL goes out.
    #[must_use]
    pub fn kill_at(&self) -> Tick {
        self.deadline - self.terms.margin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> Tick {
        Tick::from_boot(Duration::from_millis(ms))
    }

    fn terms(ttl_s: u64) -> Terms {
        Terms::new(Duration::from_secs(ttl_s), None, None)
    }

    #[test]
    fn the_defaults_of_the_contract_follow_from_the_ttl() {
        let terms = terms(60);
        assert_eq!(terms.kill_after, Duration::from_secs(10));
        assert_eq!(terms.margin, Duration::from_secs(1));
        assert_eq!(terms.drift, Duration::from_millis(1350));
        assert_eq!(terms.store_timeout, Duration::from_secs(5));
    }

    #[test]
    fn an_outage_of_half_a_minute_is_ridden_out_by_default() {
        assert_eq!(terms(60).rides_out(), Duration::from_millis(37_650));
        assert!(terms(1).rides_out() > Duration::from_millis(200));
    }

    #[test]
    fn every_ttl_from_one_second_has_room_for_its_defaults() {
        for ttl in (1..=3600).map(terms) {
            assert!(ttl.fit(), "{ttl:?}");
        }
    }

    #[test]
    fn what_leaves_no_room_within_two_thirds_of_the_ttl_does_not_fit() {
        assert_eq!(terms(60).needed(), Duration::from_millis(22_350));
        // 27.65 s + 1 s + 1.35 s + 2 × 5 s is two thirds of a minute.
        for (kill_after_ms, fits) in [(0, true), (27_650, true), (27_651, false)] {
            let kill_after = Some(Duration::from_millis(kill_after_ms));
            let terms = Terms::new(Duration::from_secs(60), kill_after, None);
            assert_eq!(terms.fit(), fits, "{kill_after_ms} ms");
        }
    }

    #[test]
    fn the_first_refresh_comes_early_and_the_others_six_times_per_ttl() {
        for (ttl_s, first_ms, next_ms) in [(60, 1000, 10_000), (6, 1000, 1000), (3, 500, 500)] {
            let mut lease = Lease::granted(terms(ttl_s), at(5000));
            assert_eq!(lease.refresh_at(), Some(at(5000 + first_ms)), "{ttl_s} s");
            lease.confirmed(at(7000));
            assert_eq!(lease.refresh_at(), Some(at(7000 + next_ms)), "{ttl_s} s");
        }
    }

    #[test]
    fn the_deadline_counts_from_before_the_request() {
        let mut lease = Lease::granted(terms(60), at(1000));
        assert_eq!(lease.deadline(), at(1000 + 60_000 - 1350));
        lease.confirmed(at(11_000));
        assert_eq!(lease.deadline(), at(11_000 + 60_000 - 1350));
        assert_eq!(lease.kill_at(), lease.deadline() - Duration::from_secs(1));
        assert_eq!(lease.stop_at(), lease.deadline() - Duration::from_secs(11));
    }

    #[test]
    fn a_failure_moves_nothing_and_is_retried_soon() {
        let mut lease = Lease::granted(terms(60), at(0));
        let deadline = lease.deadline();
        let mut pauses = Vec::new();
        for _ in 0..6 {
            lease.refreshing();
            assert_eq!(lease.refresh_at(), None);
            lease.failed(at(1000));
            pauses.push(lease.refresh_at().unwrap().since(at(1000)).as_millis());
        }
        assert_eq!(pauses, [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(lease.deadline(), deadline);
    }

    #[test]
    fn a_short_lease_is_tried_again_sooner_and_each_success_begins_anew() {
        for (ttl_s, pause_ms) in [(1, 20), (2, 40), (5, 100), (3600, 100)] {
            let mut lease = Lease::granted(terms(ttl_s), at(0));
            for _ in 0..2 {
                lease.failed(at(1000));
                assert_eq!(lease.refresh_at(), Some(at(1000 + pause_ms)), "{ttl_s} s");
                lease.failed(at(1000));
                lease.confirmed(at(1000));
            }
        }
    }

    #[test]
    fn after_a_stop_the_lease_is_refreshed_at_once_but_not_twice_at_a_time() {
        let mut lease = Lease::granted(terms(60), at(0));
        lease.refresh_now(at(300));
        assert_eq!(lease.refresh_at(), Some(at(300)));
        lease.refresh_now(at(400));
        assert_eq!(lease.refresh_at(), Some(at(300)), "it is due already");
        lease.refreshing();
        lease.refresh_now(at(500));
        assert_eq!(lease.refresh_at(), None, "one is under way");
    }

    #[test]
    fn an_answer_to_an_older_request_never_shortens_the_lease() {
        let mut lease = Lease::granted(terms(60), at(5000));
        let deadline = lease.deadline();
        lease.confirmed(at(1000));
        assert_eq!(lease.deadline(), deadline);
    }

    #[test]
    fn an_unending_lock_is_looked_at_but_has_no_deadline() {
        let mut lease = Lease::unending(terms(60), at(0));
        assert_eq!(lease.refresh_at(), Some(at(1000)));
        lease.confirmed(at(1000));
        assert_eq!(lease.refresh_at(), Some(at(11_000)));
        assert_eq!(lease.stop_at(), Tick::NEVER);
    }
}
