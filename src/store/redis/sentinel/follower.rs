//! The connection to whoever is the master.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use redis::Value;

use super::{LATE_MAX, Named, Sentinels, reply, request};
use crate::store::redis::answer::shown;
use crate::store::redis::link::{IDLE_MAX, closed};
use crate::store::redis::wire::{self, Connection, Fault};
use crate::store::redis::{Server, failure};
use crate::store::{StoreError, StoreErrorKind};

/// Before a connection is used again that long after Sentinel was last asked, it
/// is asked once more: a master that was cut off, or is only about to be told,
/// goes on answering, and its successor must hear of our lease before that has
/// ended there. Less than what is between two refreshes; runs that are shorter
/// ask once.
const TRUSTED_FOR: Duration = Duration::from_secs(1);
/// An answer that took longer, on a new connection from when Sentinel named the
/// server, may be of a master that was frozen and has a successor by now.
const PROMPT: Duration = Duration::from_millis(20);
/// From one vain search for the master to the next: Sentinels tell each other of
/// a new one within milliseconds.
const PAUSE: Duration = Duration::from_millis(100);
/// A kept connection that is silent for this long may lead to a server that is
/// frozen. The release has to find its successor in the two seconds that a run
/// has from its command's end.
const SILENCE_MAX: Duration = Duration::from_secs(1);
/// What a server that was named gets at least to say what it is.
const SHARE_MIN: Duration = Duration::from_millis(500);

/// Finds the master, stays connected to it, and leaves it when another takes over.
pub(in crate::store::redis) struct Follower {
    sentinels: Arc<Sentinels>,
    /// The last server that said it is the master.
    found: Option<Named>,
    /// The last server that was spoken to.
    spoken_to: Arc<Server>,
    /// When Sentinel was last asked.
    asked: Instant,
    /// With the time of its last answer.
    open: Option<(Connection, Instant)>,
}

impl Follower {
    pub(in crate::store::redis) fn new(sentinels: Arc<Sentinels>) -> Follower {
        Follower {
            found: None,
            spoken_to: Arc::clone(&sentinels.nodes[0]),
            asked: Instant::now(),
            open: None,
            sentinels,
        }
    }

    /// The server that was last spoken to.
    pub(in crate::store::redis) fn server(&self) -> &Arc<Server> {
        &self.spoken_to
    }

    /// Sends `packed`, one command, to the master, and returns its answer. A kept
    /// connection that is closed, silent, or leads to what is no master any more
    /// is made anew and the command repeated, once, by the same deadline. An answer
    /// that took long may be of one that was frozen and has a successor by now: it
    /// does not count if Sentinel says so, and the successor is asked.
    pub(in crate::store::redis) fn request(
        &mut self,
        packed: &[u8],
        deadline: Instant,
    ) -> Result<Value, Fault> {
        let kept = self.open.take();
        let kept = kept.filter(|(_, used)| used.elapsed() < IDLE_MAX);
        let few = self.sentinels.majority();
        let is_trusted = |this: &mut Follower| {
            this.asked.elapsed() < TRUSTED_FOR || !this.has_moved(few, deadline)
        };
        if let Some((mut kept, _)) = kept.filter(|_| is_trusted(self)) {
            let sent = Instant::now();
            match request(&mut kept, packed, patience(deadline)) {
                Ok(value) if is_declined(&value) || self.is_overtaken(sent, deadline) => {}
                Ok(value) => {
                    self.open = Some((kept, Instant::now()));
                    return Ok(value);
                }
                Err(Fault::Broken(_) | Fault::NoAnswer) => {}
                Err(fault) => return Err(fault),
            }
        }
        loop {
            let mut fresh = self.dial(deadline)?;
            let value = request(&mut fresh, packed, deadline)?;
            if self.is_overtaken(self.asked, deadline) {
                continue;
            }
            if !is_declined(&value) {
                self.open = Some((fresh, Instant::now()));
            }
            return Ok(value);
        }
    }

    /// One more request on the connection that brought the last answer. Never dials.
    pub(in crate::store::redis) fn request_behind(
        &mut self,
        packed: &[u8],
        deadline: Instant,
    ) -> Result<Value, Fault> {
        let (mut open, _) = self.open.take().ok_or_else(closed)?;
        let value = request(&mut open, packed, deadline)?;
        self.open = Some((open, Instant::now()));
        Ok(value)
    }

    /// Looks for the master anew at the next request.
    pub(in crate::store::redis) fn leave(&mut self) {
        self.open = None;
    }

    /// A connection to the master. Goes on searching until the deadline, except
    /// for what time does not mend.
    fn dial(&mut self, deadline: Instant) -> Result<Connection, Fault> {
        let all = self.sentinels.nodes.len();
        let mut enough = self.sentinels.majority();
        loop {
            let fault = match self.try_what_is_named(enough, deadline) {
                Ok(connection) => return Ok(connection),
                Err(fault) => fault,
            };
            if failure::is_definite(&self.spoken_to, &fault) || Instant::now() + PAUSE >= deadline {
                return Err(fault);
            }
            // What was named is no master, or not there: whoever knows more may be among the others.
            enough = all;
            thread::sleep(PAUSE);
        }
    }

    /// Whether the server that has just answered what was sent then has a successor.
    fn is_overtaken(&mut self, sent: Instant, deadline: Instant) -> bool {
        let is_late = sent.elapsed() >= PROMPT || self.asked.elapsed() >= TRUSTED_FOR;
        is_late && self.has_moved(self.sentinels.nodes.len(), deadline)
    }

    /// Whether one of `enough` Sentinels names another master by now than the one
    /// we are connected to. No answer is none: the connection may serve.
    fn has_moved(&mut self, enough: usize, deadline: Instant) -> bool {
        let Some(found) = self.found.clone() else {
            return false;
        };
        // Also if nobody answers: not every request is to wait for that.
        self.asked = Instant::now();
        let brief = deadline.min(self.asked + LATE_MAX);
        let named = self.sentinels.ask(enough, brief);
        let newer = |named: &Named| named.epoch > found.epoch && named.address != found.address;
        named.is_ok_and(|named| self.newest(named).iter().any(newer))
    }

    fn try_what_is_named(&mut self, enough: usize, deadline: Instant) -> Result<Connection, Fault> {
        let mut fault = Fault::NotConnected;
        let named = self.sentinels.ask(enough, deadline);
        let named = named.map_err(Fault::NoMaster)?;
        self.asked = Instant::now();
        let newest = self.newest(named);
        if newest.is_empty() {
            let text = format!(
                "{} names a master of before the last fail-over",
                self.sentinels
            );
            let error = StoreError::new(StoreErrorKind::Unavailable, text);
            return Err(Fault::NoMaster(error));
        }
        for named in newest {
            self.spoken_to = Arc::new(self.sentinels.server_at(named.address.clone()));
            match self.connect(&self.spoken_to, deadline) {
                Ok(connection) => {
                    self.found = Some(named);
                    return Ok(connection);
                }
                Err(other) => fault = other,
            }
        }
        Err(fault)
    }

    /// Connects to `server`, which has to say that it is the master.
    fn connect(&self, server: &Server, deadline: Instant) -> Result<Connection, Fault> {
        let share = share_of(deadline);
        let mut connection = Connection::dial(server, share)?;
        let role = request(
            &mut connection,
            &redis::cmd("ROLE").get_packed_command(),
            share,
        )?;
        match reply::role_of(&role) {
            Some("master") => Ok(connection),
            Some(other) => Err(Fault::NoMaster(StoreError::new(
                StoreErrorKind::Unavailable,
                format!("{server} is a {} just now, not the master", shown(other)),
            ))),
            None => match &role {
                // Not allowed to ask: our scripts find it out.
                Value::ServerError(error) if failure::is_denial(&wire::error_text(error)) => {
                    Ok(connection)
                }
                Value::ServerError(error) => {
                    let text = wire::error_text(error);
                    Err(Fault::NoMaster(failure::of_answer(server, &text)))
                }
                _ => Err(Fault::NotRedis),
            },
        }
    }

    /// Of what was named, what counts: the largest epoch, and none that is of
    /// before the one we have seen, unless every Sentinel says so (they were set up anew).
    fn newest(&self, named: Vec<Named>) -> Vec<Named> {
        let seen = match &self.found {
            Some(found) if named.len() < self.sentinels.nodes.len() => found.epoch,
            _ => 0,
        };
        let newest = named.iter().map(|name| name.epoch).max().unwrap_or(0);
        let mut chosen: Vec<Named> = Vec::new();
        for name in named {
            if name.epoch == newest && newest >= seen && !chosen.contains(&name) {
                chosen.push(name);
            }
        }
        chosen
    }
}

/// Until when one server of several may take its time.
fn share_of(deadline: Instant) -> Instant {
    let now = Instant::now();
    let left = deadline.saturating_duration_since(now);
    deadline.min(now + (left / 3).max(SHARE_MIN))
}

/// Until when a kept connection is waited for: if another server has taken over,
/// there has to be time left to find it.
fn patience(deadline: Instant) -> Instant {
    let now = Instant::now();
    now + (deadline.saturating_duration_since(now) / 2).min(SILENCE_MAX)
}

/// Whether the answer says that this is not the server to ask.
fn is_declined(answer: &Value) -> bool {
    matches!(answer, Value::ServerError(error) if failure::is_declined(&wire::error_text(error)))
}

#[cfg(test)]
mod tests;
