//! The nodes that a Cluster's URL names.

use std::fmt;
use std::sync::Arc;

use crate::store::redis::Server;

/// Where a Cluster is entered: one node or several, all with the same login.
#[derive(Debug)]
pub struct Seeds {
    first: Arc<Server>,
    others: Vec<Arc<Server>>,
}

impl Seeds {
    pub(crate) fn new(first: Server, others: impl IntoIterator<Item = Server>) -> Seeds {
        Seeds {
            first: Arc::new(first),
            others: others.into_iter().map(Arc::new).collect(),
        }
    }

    pub(crate) fn first(&self) -> &Arc<Server> {
        &self.first
    }

    pub(crate) fn servers(&self) -> impl Iterator<Item = &Arc<Server>> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

/// The URL without user and password.
impl fmt::Display for Seeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.first.tls.is_some() {
            "rediss"
        } else {
            "redis"
        };
        write!(f, "{scheme}+cluster://{}", self.first.host_and_port())?;
        for server in &self.others {
            write!(f, ",{}", server.host_and_port())?;
        }
        Ok(())
    }
}
