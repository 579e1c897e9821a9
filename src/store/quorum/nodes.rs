//! Which servers a quorum is of.

use std::fmt;
use std::sync::Arc;

use crate::store::hex;
use crate::store::redis::Server;

/// With fewer the loss of one leaves no majority.
const NODES_MIN: usize = 3;

/// The nodes of a quorum, in the order that all its clients use.
#[derive(Debug)]
pub struct Nodes {
    pub(super) servers: Vec<Arc<Server>>,
    /// Hash of the addresses: clients of different sets must not mix.
    pub(super) set: String,
}

impl Nodes {
    /// The quorum of `servers`, in whatever order.
    ///
    /// # Errors
    /// One line that says what is wrong: two nodes, the same one twice, mixed schemes.
    pub fn new(mut servers: Vec<Arc<Server>>) -> Result<Nodes, String> {
        if servers.len() < NODES_MIN {
            return Err(
                "two nodes are no quorum, as the loss of either leaves no majority: give one URL, or \
                 three or more"
                    .to_owned(),
            );
        }
        let scheme = |server: &Server| server.to_string().split(':').next().map(str::to_owned);
        if servers
            .iter()
            .any(|server| scheme(server) != scheme(&servers[0]))
        {
            return Err("the URLs of a quorum must all have the same scheme".to_owned());
        }
        servers.sort_by_key(|server| server.identity());
        if let Some(pair) = servers
            .windows(2)
            .find(|pair| pair[0].node() == pair[1].node())
        {
            return Err(format!(
                "{} is given twice: the nodes of a quorum are different servers",
                pair[1]
            ));
        }
        let identities: Vec<String> = servers.iter().map(|server| server.identity()).collect();
        let digest = ring::digest::digest(&ring::digest::SHA256, identities.join("\n").as_bytes());
        Ok(Nodes {
            servers,
            set: hex(&digest.as_ref()[..8]),
        })
    }

    /// The nodes, in the order that all clients use.
    pub(crate) fn servers(&self) -> &[Arc<Server>] {
        &self.servers
    }
}

/// The URLs without user and password.
impl fmt::Display for Nodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, server) in self.servers.iter().enumerate() {
            let gap = if number == 0 { "" } else { " " };
            write!(f, "{gap}{server}")?;
        }
        Ok(())
    }
}
