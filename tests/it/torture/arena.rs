//! Where a round takes place: the store, and a directory for everything else.

use std::fs;
use std::sync::Arc;

use super::fault::{Topology, Weather};
use super::group::Group;
use crate::support::clock::SteppingClock;
use crate::support::proxy::Proxy;
use crate::support::redis::Server;
use crate::support::scratch::Scratch;

/// The locks of a round. While some are in trouble, others go on.
pub(crate) const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

/// Those of them that have several places.
pub(crate) const SEVERAL: [&str; 2] = ["c", "d"];

/// The most places that a lock has.
pub(crate) const PLACES: u32 = 3;

/// A store of its own, and a directory of its own.
pub(crate) struct Arena {
    pub(crate) scratch: Scratch,
    /// The server and the network before it, where there is one.
    pub(crate) redis: Option<(Server, Proxy)>,
    /// That of the server, where it steps.
    pub(crate) clock: Option<SteppingClock>,
    /// The servers that stand in for each other, where there are several.
    pub(crate) group: Option<Arc<Group>>,
    pub(crate) topology: Topology,
}

impl Arena {
    pub(crate) fn new(topology: Topology, weather: Weather, group: Option<Arc<Group>>) -> Arena {
        let scratch = Scratch::new();
        for directory in ["home", "locks", "resources"] {
            fs::create_dir(scratch.file(directory)).unwrap();
        }
        let clock = (weather == Weather::Clock).then(SteppingClock::start);
        let redis = (topology == Topology::Single).then(|| {
            let server = match &clock {
                Some(clock) => Server::with().clock(clock).start(),
                None => Server::start(),
            };
            let proxy = Proxy::start_for_long(server.address());
            (server, proxy)
        });
        if let Some(group) = &group {
            group.empty(weather);
        }
        Arena {
            scratch,
            redis,
            clock,
            group,
            topology,
        }
    }

    /// The URL of the store; behind a network that fails, if there is one. That of a quorum fails
    /// for everybody, but perhaps not for all at the same time.
    pub(crate) fn url(&self, through_network: bool) -> String {
        if let Some(group) = &self.group {
            return group.url(through_network);
        }
        match &self.redis {
            None => format!("local:{}", self.scratch.file("locks").display()),
            Some((_, proxy)) if through_network => proxy.url(),
            Some((server, _)) => server.url(),
        }
    }
}
