//! The way to the server that has a lock's keys, kept open from one request to the next.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::Value;

use super::sentinel::{Seeker, Sentinels};
use super::wire::{self, Connection, Fault};
use super::{Server, failure};

/// A connection that was idle for longer is dialled anew: a NAT or a firewall may
/// have forgotten it, and drops in silence what comes then. Some do so after a
/// minute; with the default ttl a refresh comes every ten seconds.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// Connects at the first request and stays connected.
pub(super) struct Link {
    route: Route,
    /// With the time of its last answer.
    connection: Option<(Connection, Instant)>,
}

/// How the server is found.
enum Route {
    One(Arc<Server>),
    Sentinel(Seeker),
}

impl Link {
    /// To this one server.
    pub(super) fn to(server: Arc<Server>) -> Link {
        Link::along(Route::One(server))
    }

    /// To the master that `sentinels` name.
    pub(super) fn by_sentinel(sentinels: Arc<Sentinels>) -> Link {
        Link::along(Route::Sentinel(Seeker::new(sentinels)))
    }

    fn along(route: Route) -> Link {
        Link {
            route,
            connection: None,
        }
    }

    /// The server that was last spoken to, for messages.
    pub(super) fn server(&self) -> &Arc<Server> {
        match &self.route {
            Route::One(server) => server,
            Route::Sentinel(seeker) => seeker.server(),
        }
    }

    /// One request, a packed command, and its answer. A kept connection that turns
    /// out to be closed, or to lead to a server that is the master no more, is
    /// dialled again and the request repeated, once, by the same deadline.
    pub(super) fn request(&mut self, packed: &[u8], deadline: Instant) -> Result<Value, Fault> {
        let kept = self.connection.take();
        let kept = kept.filter(|(_, used)| used.elapsed() < IDLE_MAX);
        if let Some((mut kept, _)) = kept.filter(|_| !self.route.has_moved(deadline)) {
            match kept.request(packed, self.route.patience(deadline)) {
                Ok(value) if self.route.is_declined(&value) => {}
                Ok(value) => {
                    self.connection = Some((kept, Instant::now()));
                    return Ok(value);
                }
                Err(Fault::Broken(_)) => {}
                Err(Fault::NoAnswer) if Instant::now() < deadline => {}
                Err(fault) => return Err(fault),
            }
        }
        let mut fresh = self.dial(deadline)?;
        let value = fresh.request(packed, deadline)?;
        if !self.route.is_declined(&value) {
            self.connection = Some((fresh, Instant::now()));
        }
        Ok(value)
    }

    /// One more request on the connection that just brought an answer, and never on another.
    pub(super) fn request_behind(
        &mut self,
        packed: &[u8],
        deadline: Instant,
    ) -> Result<Value, Fault> {
        let gone = || Fault::Broken("it is closed".to_owned());
        let (mut kept, _) = self.connection.take().ok_or_else(gone)?;
        let value = kept.request(packed, deadline)?;
        self.connection = Some((kept, Instant::now()));
        Ok(value)
    }

    /// Has the next request find the server anew.
    pub(super) fn leave(&mut self) {
        self.connection = None;
    }

    /// A further connection to the same server.
    pub(super) fn dial(&mut self, deadline: Instant) -> Result<Connection, Fault> {
        match &mut self.route {
            Route::One(server) => Connection::dial(server, deadline),
            Route::Sentinel(seeker) => seeker.dial(deadline),
        }
    }
}

impl Route {
    /// Whether the server is known to be another one by now.
    fn has_moved(&mut self, deadline: Instant) -> bool {
        match self {
            Route::One(_) => false,
            Route::Sentinel(seeker) => seeker.has_moved(deadline),
        }
    }

    /// Until when a kept connection is waited for: where another server may have
    /// taken over, there has to be time left to find it.
    fn patience(&self, deadline: Instant) -> Instant {
        match self {
            Route::One(_) => deadline,
            Route::Sentinel(_) => {
                let now = Instant::now();
                now + deadline.saturating_duration_since(now) / 2
            }
        }
    }

    /// Whether the answer says that this is not the server to ask.
    fn is_declined(&self, answer: &Value) -> bool {
        match (self, answer) {
            (Route::One(_), _) => false,
            (Route::Sentinel(_), Value::ServerError(error)) => {
                failure::is_declined(&wire::error_text(error))
            }
            (Route::Sentinel(_), _) => false,
        }
    }
}
