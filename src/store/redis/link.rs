//! The way to the server that has a lock's keys, kept open from one request to the next.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::Value;

use super::Server;
use super::cluster::{Cluster, Seeds};
use super::eval::Eval;
use super::sentinel::{Follower, Sentinels};
use super::wire::{Awaited, Connection, Fault};

/// A connection that was idle for longer is dialled anew: a NAT or a firewall may
/// have forgotten it, and drops in silence what comes then. Some do so after a
/// minute; with the default ttl a refresh comes every ten seconds.
pub(super) const IDLE_MAX: Duration = Duration::from_secs(30);

/// Connects at the first request and stays connected.
pub(super) struct Link(Route);

/// How the server is found.
enum Route {
    /// It is the only one.
    One(Line),
    /// It is the master that Sentinel names.
    Sentinel(Box<Follower>),
    /// It is the node of a Cluster that has the key's slot.
    Cluster(Box<Cluster>),
    /// Another link waits for its answer: requests go behind that one's, and have no answer.
    Behind(Arc<Server>, Arc<Awaited>),
}

impl Link {
    /// To one server.
    pub(super) fn to(server: Arc<Server>) -> Link {
        Link(Route::One(Line::new(server)))
    }

    /// To the master that `sentinels` name.
    pub(super) fn by_sentinel(sentinels: Arc<Sentinels>) -> Link {
        Link(Route::Sentinel(Box::new(Follower::new(sentinels))))
    }

    /// Into a Cluster.
    pub(super) fn into_cluster(seeds: Arc<Seeds>) -> Link {
        Link(Route::Cluster(Box::new(Cluster::new(seeds))))
    }

    /// What is requested by this one goes behind the request whose answer `self` waits for at
    /// that time, and nobody waits for it. None: there is no one server to send it to.
    pub(super) fn behind(&self) -> Option<Link> {
        match &self.0 {
            Route::One(line) => Some(Link(Route::Behind(
                Arc::clone(&line.server),
                Arc::clone(&line.awaited),
            ))),
            _ => None,
        }
    }

    /// Runs a script by the deadline, and returns its answer. It may be run twice.
    pub(super) fn request(&mut self, eval: &Eval<'_>, deadline: Instant) -> Result<Value, Fault> {
        match &mut self.0 {
            Route::One(line) => line.request(&eval.packed(), deadline),
            Route::Sentinel(follower) => follower.request(&eval.packed(), deadline),
            Route::Cluster(cluster) => cluster.request(eval, deadline),
            Route::Behind(_, awaited) => {
                awaited.send_behind(&eval.packed());
                Err(Fault::NoAnswer)
            }
        }
    }

    /// One more request, a packed command, on the connection that brought the
    /// last answer, and on no other.
    pub(super) fn request_behind(
        &mut self,
        packed: &[u8],
        deadline: Instant,
    ) -> Result<Value, Fault> {
        match &mut self.0 {
            Route::One(line) => line.request_behind(packed, deadline),
            Route::Sentinel(follower) => follower.request_behind(packed, deadline),
            Route::Cluster(cluster) => cluster.request_behind(packed, deadline),
            Route::Behind(..) => Err(closed()),
        }
    }

    /// New connections, one to each server that has keys of ours.
    pub(super) fn lines(&mut self, deadline: Instant) -> Result<Vec<Line>, Fault> {
        match &mut self.0 {
            Route::One(line) => Ok(vec![Line::new(Arc::clone(line.server()))]),
            Route::Sentinel(follower) => {
                // It is looked for when it is needed.
                follower.request(&redis::cmd("PING").get_packed_command(), deadline)?;
                Ok(vec![Line::new(Arc::clone(follower.server()))])
            }
            Route::Cluster(cluster) => cluster.masters(deadline),
            Route::Behind(..) => Err(closed()),
        }
    }

    /// Looks for the server anew at the next request, if there may be another.
    pub(super) fn doubt(&mut self) {
        if let Route::Sentinel(follower) = &mut self.0 {
            follower.leave();
        }
    }

    /// The server that gave the last answer or failed to: an error is about it.
    pub(super) fn server(&self) -> &Arc<Server> {
        match &self.0 {
            Route::One(line) => line.server(),
            Route::Sentinel(follower) => follower.server(),
            Route::Cluster(cluster) => cluster.spoken_to(),
            Route::Behind(server, _) => server,
        }
    }
}

/// A connection to one server, made at the first request.
pub(super) struct Line {
    server: Arc<Server>,
    /// With the time of its last answer.
    open: Option<(Connection, Instant)>,
    awaited: Arc<Awaited>,
}

impl Line {
    pub(super) fn new(server: Arc<Server>) -> Line {
        Line {
            server,
            open: None,
            awaited: Arc::default(),
        }
    }

    pub(super) fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// One request, a packed command, and its answer. A kept connection that turns
    /// out to be closed is dialled again and the request repeated, once, by the
    /// same deadline.
    pub(super) fn request(&mut self, packed: &[u8], deadline: Instant) -> Result<Value, Fault> {
        let [value] = self.exchange(packed, deadline)?;
        Ok(value)
    }

    /// One more request on the connection that brought the last answer. Never dials.
    pub(super) fn request_behind(
        &mut self,
        packed: &[u8],
        deadline: Instant,
    ) -> Result<Value, Fault> {
        let (mut open, _) = self.open.take().ok_or_else(closed)?;
        let [value] = open.exchange(packed, deadline)?;
        self.open = Some((open, Instant::now()));
        Ok(value)
    }

    /// Like [`Line::request`], for several commands at a time, and their answers.
    pub(super) fn exchange<const N: usize>(
        &mut self,
        packed: &[u8],
        deadline: Instant,
    ) -> Result<[Value; N], Fault> {
        self.on_connection(deadline, |connection| connection.exchange(packed, deadline))
    }

    /// The same for as many as `count` says, but only the first ones if all together are longer
    /// than one answer may be.
    pub(super) fn exchange_all(
        &mut self,
        packed: &[u8],
        count: usize,
        deadline: Instant,
    ) -> Result<Vec<Value>, Fault> {
        if count == 0 {
            return Ok(Vec::new());
        }
        self.on_connection(deadline, |connection| {
            connection.exchange_all(packed, count, deadline)
        })
    }

    fn on_connection<T>(
        &mut self,
        deadline: Instant,
        exchange: impl Fn(&mut Connection) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let kept = self.open.take();
        if let Some((mut kept, _)) = kept.filter(|(_, used)| used.elapsed() < IDLE_MAX) {
            match exchange(&mut kept) {
                Ok(values) => {
                    self.open = Some((kept, Instant::now()));
                    return Ok(values);
                }
                Err(Fault::Broken(_)) => {}
                Err(fault) => return Err(fault),
            }
        }
        let mut fresh = Connection::dial(&self.server, deadline)?;
        fresh.tell(&self.awaited);
        let values = exchange(&mut fresh)?;
        self.open = Some((fresh, Instant::now()));
        Ok(values)
    }
}

/// There is no connection to go on with.
pub(super) fn closed() -> Fault {
    Fault::Broken("it is closed".to_owned())
}
