//! Grants and refreshes that replicas have to acknowledge (`--replicas`).
//!
//! `WAIT` on the connection of the write tells how many replicas have it. That
//! makes a loss by fail-over unlikely, not impossible: Sentinel may promote a
//! replica that is not among them.

use std::time::{Duration, Instant};

use redis::Value;

use super::wire::{self, Fault};
use super::{RedisStore, failure};
use crate::store::{Claim, End, Store, StoreError, StoreErrorKind};

/// How late the answer to a WAIT that runs out may be: the server looks for those
/// ten times a second. At most half of the time there is.
const ANSWER_MAX: Duration = Duration::from_millis(200);
/// Of the time that is left after a grant, what giving it back gets.
const RETURN_SHARE: u32 = 3;

impl RedisStore {
    /// Gives back a grant of just now that too few replicas acknowledge.
    pub(super) fn expect_replicated_grant(
        &mut self,
        claim: &Claim,
        deadline: Instant,
    ) -> Result<(), StoreError> {
        let left = deadline.saturating_duration_since(Instant::now());
        let count = self.acknowledging(claim.replicas, deadline - left / RETURN_SHARE)?;
        if count >= claim.replicas {
            return Ok(());
        }
        let text = format!(
            "{count} of {} replicas of {} acknowledged the lock, so it was given back",
            claim.replicas,
            self.link.server()
        );
        let left = deadline.saturating_duration_since(Instant::now());
        // If this is not answered, whoever asked gives it back, as after any error.
        let _ = self.release(claim, End::Withdrawn, left);
        // A master that was cut off has no replicas any more.
        self.link.doubt();
        Err(StoreError::new(StoreErrorKind::Unreplicated, text))
    }

    /// Makes an error of a refresh of just now that too few replicas acknowledge.
    pub(super) fn expect_replicated_refresh(
        &mut self,
        claim: &Claim,
        deadline: Instant,
    ) -> Result<(), StoreError> {
        let count = self.acknowledging(claim.replicas, deadline)?;
        if count >= claim.replicas {
            return Ok(());
        }
        let text = format!(
            "{count} of {} replicas of {} acknowledged the refresh",
            claim.replicas,
            self.link.server()
        );
        self.link.doubt();
        Err(StoreError::new(StoreErrorKind::Unavailable, text))
    }

    /// How many replicas have by the deadline what was written last on this
    /// connection. Does not wait for more than `enough`.
    fn acknowledging(&mut self, enough: u32, deadline: Instant) -> Result<u32, StoreError> {
        if enough == 0 {
            return Ok(0);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let wait_for = left - ANSWER_MAX.min(left / 2);
        // Zero would mean "for ever".
        let millis = wait_for.as_millis().max(1).to_string();
        let mut wait = redis::cmd("WAIT");
        wait.arg(enough).arg(millis);
        let packed = wait.get_packed_command();
        let answer = self.link.request_behind(&packed, deadline);
        let server = self.link.server();
        match answer {
            Ok(Value::Int(count)) => Ok(u32::try_from(count).unwrap_or(0)),
            Ok(Value::ServerError(error)) => {
                Err(failure::of_answer(server, &wire::error_text(&error)))
            }
            Ok(_) => Err(failure::of_fault(server, Fault::Garbled, left)),
            Err(fault) => Err(failure::of_fault(server, fault, left)),
        }
    }
}
