//! The way to the server that has a lock's keys, kept open from one request to the next.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::Value;

use super::Server;
use super::wire::{Connection, Fault};

/// A connection that was idle for longer is dialled anew: a NAT or a firewall may
/// have forgotten it, and drops in silence what comes then. Some do so after a
/// minute; with the default ttl a refresh comes every ten seconds.
pub(super) const IDLE_MAX: Duration = Duration::from_secs(30);

/// Connects at the first request and stays connected.
pub(super) struct Link {
    server: Arc<Server>,
    /// With the time of its last answer.
    connection: Option<(Connection, Instant)>,
}

impl Link {
    pub(super) fn new(server: Arc<Server>) -> Link {
        Link {
            server,
            connection: None,
        }
    }

    /// One request, a packed command, and its answer. A kept connection that turns
    /// out to be closed is dialled again and the request repeated, once, by the
    /// same deadline.
    pub(super) fn request(&mut self, packed: &[u8], deadline: Instant) -> Result<Value, Fault> {
        let kept = self.connection.take();
        if let Some((mut kept, _)) = kept.filter(|(_, used)| used.elapsed() < IDLE_MAX) {
            match kept.request(packed, deadline) {
                Ok(value) => {
                    self.connection = Some((kept, Instant::now()));
                    return Ok(value);
                }
                Err(Fault::Broken(_)) => {}
                Err(fault) => return Err(fault),
            }
        }
        let mut fresh = self.dial(deadline)?;
        let value = fresh.request(packed, deadline)?;
        self.connection = Some((fresh, Instant::now()));
        Ok(value)
    }

    /// A further connection to the same server.
    pub(super) fn dial(&self, deadline: Instant) -> Result<Connection, Fault> {
        Connection::dial(&self.server, deadline)
    }
}
