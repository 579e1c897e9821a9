//! The master that Sentinel names, followed through fail-over.
//!
//! All Sentinels are asked at the same time, so that one that is dead, frozen or
//! behind a black hole uses up nobody's time. The name with the largest epoch
//! counts, once a majority has spoken or a moment after the first: a Sentinel
//! that was cut off names the master of its time, to which `ROLE` may still
//! answer `master`. Does not promise that there is only one master: whoever can
//! reach nobody but the cut-off side is served by that.

use std::fmt;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use redis::Value;

use super::link::{IDLE_MAX, closed};
use super::tls::Tls;
use super::wire::{self, Connection, Fault};
use super::{Address, Secret, Server, failure};
use crate::message::plain;
use crate::store::{StoreError, StoreErrorKind};

/// How long the other Sentinels may take once one has named a master: a few round
/// trips, and little beside a fail-over.
const LATE_MAX: Duration = Duration::from_millis(200);
/// Before a connection is used again that long after Sentinel was last asked, it
/// is asked once more: a master that was cut off goes on answering, and its
/// successor must hear of our lease before that has ended there. Half of what is
/// between two refreshes with the default ttl.
const TRUSTED_FOR: Duration = Duration::from_secs(5);
/// From one vain search for the master to the next: Sentinels tell each other of
/// a new one within milliseconds.
const PAUSE: Duration = Duration::from_millis(100);
/// What a server that was named gets at least to say what it is.
const SHARE_MIN: Duration = Duration::from_millis(500);

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

/// The way to the master: looks for it, keeps the connection, and leaves it for
/// that to another when there is one.
pub(super) struct Follower {
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
    pub(super) fn new(sentinels: Arc<Sentinels>) -> Follower {
        Follower {
            found: None,
            spoken_to: Arc::clone(&sentinels.nodes[0]),
            asked: Instant::now(),
            open: None,
            sentinels,
        }
    }

    /// The server that was last spoken to.
    pub(super) fn server(&self) -> &Arc<Server> {
        &self.spoken_to
    }

    /// Sends `packed`, one command, to the master, and returns its answer. A kept
    /// connection that is closed, silent, or leads to what is no master any more
    /// is made anew and the command repeated, once, by the same deadline.
    pub(super) fn request(&mut self, packed: &[u8], deadline: Instant) -> Result<Value, Fault> {
        let kept = self.open.take();
        let kept = kept.filter(|(_, used)| used.elapsed() < IDLE_MAX);
        if let Some((mut kept, _)) = kept.filter(|_| !self.has_moved(deadline)) {
            match request(&mut kept, packed, half_of(deadline)) {
                Ok(value) if is_declined(&value) => {}
                Ok(value) => {
                    self.open = Some((kept, Instant::now()));
                    return Ok(value);
                }
                Err(Fault::Broken(_) | Fault::NoAnswer) => {}
                Err(fault) => return Err(fault),
            }
        }
        let mut fresh = self.dial(deadline)?;
        let value = request(&mut fresh, packed, deadline)?;
        if !is_declined(&value) {
            self.open = Some((fresh, Instant::now()));
        }
        Ok(value)
    }

    /// One more request on the connection that brought the last answer. Never dials.
    pub(super) fn request_behind(
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
    pub(super) fn leave(&mut self) {
        self.open = None;
    }

    /// A connection to the master. Goes on searching until the deadline, except
    /// for what time does not mend.
    fn dial(&mut self, deadline: Instant) -> Result<Connection, Fault> {
        let all = self.sentinels.nodes.len();
        let mut enough = all / 2 + 1;
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

    /// Whether Sentinel names another master by now than the one we are
    /// connected to. No answer is none: the connection may serve.
    fn has_moved(&mut self, deadline: Instant) -> bool {
        let Some(found) = self.found.clone() else {
            return false;
        };
        if self.asked.elapsed() < TRUSTED_FOR {
            return false;
        }
        // Also if nobody answers: not every request is to wait for that.
        self.asked = Instant::now();
        let brief = deadline.min(self.asked + LATE_MAX);
        let named = self.ask(self.sentinels.nodes.len() / 2 + 1, brief);
        let newer = |named: &Named| named.epoch > found.epoch && named.address != found.address;
        named.is_ok_and(|named| named.iter().all(newer))
    }

    fn try_what_is_named(&mut self, enough: usize, deadline: Instant) -> Result<Connection, Fault> {
        let mut fault = Fault::NotConnected;
        for named in self.ask(enough, deadline)? {
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
        match role_of(&role) {
            Some("master") => Ok(connection),
            Some(other) => Err(Fault::NoMaster(StoreError::new(
                StoreErrorKind::Unavailable,
                format!("{server} is a {other} just now, not the master"),
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

    /// Asks all Sentinels for the master, until `enough` have named one or a
    /// moment after the first: the names of the largest epoch, first come first.
    fn ask(&mut self, enough: usize, deadline: Instant) -> Result<Vec<Named>, Fault> {
        let begin = Instant::now();
        let (post, words) = mpsc::channel();
        for node in &self.sentinels.nodes {
            let (node, name) = (Arc::clone(node), self.sentinels.name.clone());
            let speaker = post.clone();
            let ask = move || {
                // Nobody listens any more once enough is known.
                let _ = speaker.send(ask_one(&node, &name, begin, deadline));
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
            return Err(Fault::NoMaster(self.nobody_named_one(errors, begin)));
        }
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
        Ok(newest)
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

    /// The error that tells most: what does not pass before what does.
    fn nobody_named_one(&self, mut errors: Vec<StoreError>, begin: Instant) -> StoreError {
        errors.sort_by_key(|error| error.kind == StoreErrorKind::Unavailable);
        match errors.into_iter().next() {
            Some(error) if error.kind != StoreErrorKind::Unavailable => error,
            Some(error) => StoreError::new(
                error.kind,
                format!("cannot reach any Sentinel of {}: {error}", self.sentinels),
            ),
            None => StoreError::new(
                StoreErrorKind::Unavailable,
                format!(
                    "cannot reach any Sentinel of {}: no answer within {:?}",
                    self.sentinels,
                    roughly(begin.elapsed())
                ),
            ),
        }
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
fn half_of(deadline: Instant) -> Instant {
    let now = Instant::now();
    now + deadline.saturating_duration_since(now) / 2
}

fn request(connection: &mut Connection, packed: &[u8], deadline: Instant) -> Result<Value, Fault> {
    let [value] = connection.exchange(packed, deadline)?;
    Ok(value)
}

/// Whether the answer says that this is not the server to ask.
fn is_declined(answer: &Value) -> bool {
    matches!(answer, Value::ServerError(error) if failure::is_declined(&wire::error_text(error)))
}

/// Asks one Sentinel.
fn ask_one(
    node: &Server,
    name: &str,
    begin: Instant,
    deadline: Instant,
) -> Result<Named, StoreError> {
    let timeout = roughly(deadline.saturating_duration_since(begin));
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
        Value::Array(words) => address_of(&words),
        _ => None,
    };
    let address = address.ok_or_else(|| fault(Fault::NotRedis))?;
    // A help, not a need: a user of Sentinel's may not be allowed to ask this.
    let epoch = ask(&["master", name]).ok();
    let epoch = epoch.as_ref().and_then(epoch_of).unwrap_or(0);
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

fn text_of(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

/// Host (a name, if that is what Sentinel announces) and port.
fn address_of(words: &[Value]) -> Option<Address> {
    let [host, port] = words else { return None };
    let host = text_of(host).filter(|host| !host.is_empty())?;
    Some(Address::Tcp {
        host: host.to_owned(),
        port: text_of(port)?.parse().ok()?,
    })
}

/// `config-epoch` among the names and values of `SENTINEL MASTER`.
fn epoch_of(answer: &Value) -> Option<u64> {
    let Value::Array(words) = answer else {
        return None;
    };
    let field = words
        .chunks_exact(2)
        .find(|pair| text_of(&pair[0]) == Some("config-epoch"))?;
    text_of(&field[1])?.parse().ok()
}

/// The first word of `ROLE`: `master`, `slave` (which we call a replica) or `sentinel`.
fn role_of(answer: &Value) -> Option<&str> {
    let Value::Array(words) = answer else {
        return None;
    };
    match words.first().and_then(text_of)? {
        "slave" => Some("replica"),
        other => Some(other),
    }
}

/// Without the microseconds that went by before it was measured.
fn roughly(duration: Duration) -> Duration {
    let hundredths = duration.as_millis().div_ceil(10);
    Duration::from_millis(u64::try_from(hundredths * 10).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
