//! The waiter's end of the line: a connection on which the server tells that it
//! is worth asking again, and the ticket that keeps our place.
//!
//! Nothing is read out of what is told: whatever arrives rings the bell, and the
//! answer to asking says the rest. A message that was lost costs time, no more,
//! as a waiter asks again before long in any case.

use std::os::fd::BorrowedFd;
use std::time::Instant;

use redis::Value;

use super::link::IDLE_MAX;
use super::wire::{Connection, Fault, error_text};
use super::{Address, Server};
use crate::store::Token;

/// One run's stand in line.
pub(super) struct Line {
    token: Token,
    channel: String,
    /// None: it broke.
    ear: Option<Ear>,
    /// The ticket that the server gave us: it may forget it, we do not. 0: none yet.
    pub(super) ticket: u64,
}

/// Where we are told.
struct Ear {
    connection: Connection,
    /// Of the server.
    address: Address,
    /// When something was last heard.
    heard: Instant,
}

impl Line {
    /// A stand for the run of `token`, which is told on `channel`. Nothing is sent yet.
    pub(super) fn new(token: Token, channel: String) -> Line {
        Line {
            token,
            channel,
            ear: None,
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

    /// Silences the bell. False: it cannot ring any more.
    pub(super) fn silence(&mut self, deadline: Instant) -> bool {
        let Some(mut ear) = self.ear.take() else {
            return false;
        };
        match ear.connection.discard(deadline) {
            Ok(true) => ear.heard = Instant::now(),
            Ok(false) if ear.heard.elapsed() < IDLE_MAX => {}
            _ => return false,
        }
        self.ear = Some(ear);
        true
    }

    /// Whether to ask in line. Who joins it before it listens is passed over when a place is free
    /// just then; who has a ticket keeps its place all the same.
    pub(super) fn may_be_told(&self) -> bool {
        self.ticket > 0 || self.ear.is_some()
    }

    /// Whether the bell rings for what happens on `server`.
    pub(super) fn listens_to(&self, server: &Server) -> bool {
        self.ear
            .as_ref()
            .is_some_and(|ear| ear.address == server.address)
    }

    /// Sees to it that the bell rings: what is asked after this, and refused, is
    /// told of when it changes.
    pub(super) fn listen(&mut self, server: &Server, deadline: Instant) -> Result<(), Fault> {
        let mut connection = Connection::dial(server, deadline)?;
        let subscribe = redis::cmd("SUBSCRIBE")
            .arg(&self.channel)
            .get_packed_command();
        let [answer] = connection.exchange(&subscribe, deadline)?;
        match answer {
            Value::Array(_) => {}
            Value::ServerError(error) => return Err(Fault::Refused(error_text(&error))),
            _ => return Err(Fault::NotRedis),
        }
        self.ear = Some(Ear {
            connection,
            address: server.address.clone(),
            heard: Instant::now(),
        });
        Ok(())
    }

    /// Readable when something was told, or when the connection has ended.
    pub(super) fn bell(&self) -> Option<BorrowedFd<'_>> {
        Some(self.ear.as_ref()?.connection.descriptor())
    }
}
