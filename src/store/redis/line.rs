//! The waiter's end of the line: a connection on which the server tells that it
//! is worth asking again, and the ticket that keeps our place.
//!
//! Nothing is read out of what is told: whatever arrives rings the bell, and the
//! answer to asking says the rest. A message that was lost costs time, no more,
//! as a waiter asks again before long in any case.

use std::os::fd::BorrowedFd;
use std::time::Instant;

use redis::Value;

use super::link::{IDLE_MAX, Link};
use super::wire::{Connection, Fault, error_text};
use crate::store::Token;

/// One run's stand in line.
pub(super) struct Line {
    token: Token,
    channel: String,
    /// With the time when something was last heard on it. None: it broke.
    connection: Option<(Connection, Instant)>,
    /// The ticket that the server gave us: it may forget it, we do not. 0: none yet.
    pub(super) ticket: u64,
}

impl Line {
    /// A stand for the run of `token`, which is told on `channel`. Nothing is sent yet.
    pub(super) fn new(token: Token, channel: String) -> Line {
        Line {
            token,
            channel,
            connection: None,
            ticket: 0,
        }
    }

    /// Whether it is the stand of the run of `token`.
    pub(super) fn is_of(&self, token: &Token) -> bool {
        self.token == *token
    }

    /// Where the server tells us.
    pub(super) fn channel(&self) -> &str {
        &self.channel
    }

    /// Silences the bell and sees to it that it can ring from now on: what is
    /// asked after this, and refused, is told of when it changes.
    pub(super) fn listen(&mut self, link: &Link, deadline: Instant) -> Result<(), Fault> {
        if let Some((mut kept, mut heard)) = self.connection.take()
            && let Ok(any) = kept.discard(deadline)
        {
            if any {
                heard = Instant::now();
            }
            if heard.elapsed() < IDLE_MAX {
                self.connection = Some((kept, heard));
                return Ok(());
            }
        }
        let mut fresh = link.dial(deadline)?;
        let subscribe = redis::cmd("SUBSCRIBE")
            .arg(&self.channel)
            .get_packed_command();
        match fresh.request(&subscribe, deadline)? {
            Value::Array(_) => {}
            Value::ServerError(error) => return Err(Fault::Refused(error_text(&error))),
            _ => return Err(Fault::NotRedis),
        }
        self.connection = Some((fresh, Instant::now()));
        Ok(())
    }

    /// Readable when something was told, or when the connection has ended.
    pub(super) fn bell(&self) -> Option<BorrowedFd<'_>> {
        let (connection, _) = self.connection.as_ref()?;
        Some(connection.descriptor())
    }
}
