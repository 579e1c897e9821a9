//! The master that Sentinel names, followed through fail-over.
//!
//! All Sentinels are asked at the same time, so that one that is dead, frozen or
//! behind a black hole uses up nobody's time. The name with the largest epoch
//! counts, once a majority has spoken or a moment after the first: a Sentinel
//! that was cut off names the master of its time, to which `ROLE` may still
//! answer `master`. Does not promise that there is only one master: whoever can
//! reach nobody but the cut-off side is served by that.

mod follower;
mod reply;

use std::fmt;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use redis::Value;

pub(super) use self::follower::Follower;

use super::tls::Tls;
use super::wire::{self, Connection, Fault};
use super::{Address, Secret, Server, failure};
use crate::message::plain;
use crate::store::{StoreError, StoreErrorKind};

/// How long the other Sentinels may take once one has named a master: a few round
/// trips, and little beside a fail-over.
const LATE_MAX: Duration = Duration::from_millis(200);
/// Before the deadline a Sentinel that does not answer is given up, so that there
/// is time to say why: this part of the time.
const EARLIER: u32 = 10;

/// Where the Sentinels are and what they are asked for, how to log in to them and
/// to the master. Its `Display` is the URL without users and passwords.
#[derive(Debug)]
pub struct Sentinels {
    /// The Sentinels, each with what it wants to be logged in with. At least one.
    pub(crate) nodes: Vec<Arc<Server>>,
    /// The name by which they know the master.
    pub(crate) name: String,
    /// How to log in to the master.
    pub(crate) login: Login,
}

/// How to log in to a server that is not known yet.
#[derive(Debug)]
pub(crate) struct Login {
    pub(crate) tls: Option<Arc<Tls>>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Secret>,
    pub(crate) database: u32,
}

impl Sentinels {
    /// How many of them are a majority.
    fn majority(&self) -> usize {
        self.nodes.len() / 2 + 1
    }

    /// Asks all of them for the master, until `enough` have named one or a moment
    /// after the first. What they named, first come first; at least one.
    fn ask(&self, enough: usize, deadline: Instant) -> Result<Vec<Named>, StoreError> {
        let timeout = roughly(deadline.saturating_duration_since(Instant::now()));
        let (post, words) = mpsc::channel();
        for node in &self.nodes {
            let (node, name, speaker) = (Arc::clone(node), self.name.clone(), post.clone());
            let ask = move || {
                // Nobody listens any more once enough is known.
                let _ = speaker.send(ask_one(
                    &node,
                    &name,
                    (deadline - timeout / EARLIER, timeout),
                ));
            };
            let thread = thread::Builder::new().name("sentinel".to_owned());
            if let Err(error) = thread.spawn(ask) {
                let text = format!("cannot start a thread: {}", plain(&error));
                let _ = post.send(Err(StoreError::new(StoreErrorKind::Unavailable, text)));
            }
        }
        drop(post);
        let (mut named, mut errors) = (Vec::new(), Vec::new());
        let mut until = deadline;
        while named.len() < enough {
            let left = until.saturating_duration_since(Instant::now());
            match words.recv_timeout(left) {
                Ok(Ok(name)) => {
                    until = until.min(Instant::now() + LATE_MAX);
                    named.push(name);
                }
                Ok(Err(error)) => errors.push(error),
                // Time is over, or all have spoken.
                Err(_) => break,
            }
        }
        if named.is_empty() {
            return Err(self.nobody_named_one(errors, timeout));
        }
        Ok(named)
    }

    /// The error that tells most: what does not pass before what does.
    fn nobody_named_one(&self, mut errors: Vec<StoreError>, timeout: Duration) -> StoreError {
        errors.sort_by_key(|error| error.kind == StoreErrorKind::Unavailable);
        let why = match errors.into_iter().next() {
            Some(error) if error.kind != StoreErrorKind::Unavailable => return error,
            Some(error) => error.text,
            None => format!("no answer within {timeout:?}"),
        };
        let text = format!("cannot reach any Sentinel of {self}: {why}");
        StoreError::new(StoreErrorKind::Unavailable, text)
    }

    /// The server there, if it is the one that they name.
    fn server_at(&self, address: Address) -> Server {
        Server {
            address,
            tls: self.login.tls.clone(),
            user: self.login.user.clone(),
            password: self.login.password.clone(),
            database: self.login.database,
            named_by: Some(self.to_string()),
        }
    }
}

impl fmt::Display for Sentinels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = if self.login.tls.is_some() { "s" } else { "" };
        write!(f, "redis{s}+sentinel://")?;
        for (place, node) in self.nodes.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(f, "{comma}{}", node.host_and_port())?;
        }
        write!(f, "/{}", self.name)?;
        if self.login.database != 0 {
            write!(f, "/{}", self.login.database)?;
        }
        Ok(())
    }
}

/// A master, as a Sentinel named it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Named {
    address: Address,
    /// Grows with each fail-over. Zero where we may not ask for it.
    epoch: u64,
}

/// Asks one Sentinel.
fn ask_one(
    node: &Server,
    name: &str,
    (deadline, timeout): (Instant, Duration),
) -> Result<Named, StoreError> {
    let fault = |fault| failure::of_fault(node, fault, timeout);
    let mut connection = Connection::dial(node, deadline).map_err(fault)?;
    let mut ask = |words: &[&str]| {
        let mut command = redis::cmd("SENTINEL");
        command.arg(words);
        request(&mut connection, &command.get_packed_command(), deadline)
    };
    // Names the promoted replica as soon as it is that, SENTINEL MASTER later.
    let answer = ask(&["get-master-addr-by-name", name]).map_err(fault)?;
    let address = match answer {
        Value::Nil => {
            let text = format!(
                "the Sentinel {} knows no master {name:?}",
                node.host_and_port()
            );
            return Err(StoreError::new(StoreErrorKind::Misconfigured, text));
        }
        Value::ServerError(error) => return Err(refusal(node, &wire::error_text(&error))),
        Value::Array(words) => reply::address_of(&words),
        _ => None,
    };
    let address = address.ok_or_else(|| fault(Fault::NotRedis))?;
    // A help, not a need: a user of Sentinel's may not be allowed to ask this.
    let epoch = ask(&["master", name]).ok();
    let epoch = epoch.as_ref().and_then(reply::epoch_of).unwrap_or(0);
    Ok(Named { address, epoch })
}

/// An error answer of what should be a Sentinel.
fn refusal(node: &Server, answer: &str) -> StoreError {
    if answer.contains("unknown command") {
        let text = format!("{node} is no Sentinel; if it is the only server, that is its URL");
        return StoreError::new(StoreErrorKind::Misconfigured, text);
    }
    failure::of_answer(node, answer)
}

fn request(connection: &mut Connection, packed: &[u8], deadline: Instant) -> Result<Value, Fault> {
    let [value] = connection.exchange(packed, deadline)?;
    Ok(value)
}

/// Without the microseconds that went by before it was measured.
fn roughly(duration: Duration) -> Duration {
    let hundredths = duration.as_millis().div_ceil(10);
    Duration::from_millis(u64::try_from(hundredths * 10).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
