//! What was seen of a store: plain values, each of which may be hidden from us.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::store::redis::probe::Refusal;
use crate::store::{Status, StoreError};

/// What was seen, or why it was not.
pub(super) type Seen<T> = Result<T, String>;

/// Names and values, as `INFO` and `CONFIG GET` give them.
pub(super) type Fields = HashMap<String, String>;

/// All that was seen.
#[derive(Debug)]
pub(super) struct Facts {
    /// The store, without passwords.
    pub(super) store: String,
    /// No URL was configured.
    pub(super) unconfigured: bool,
    /// What came of looking at a lock as `tasklock status` does.
    pub(super) look: Result<Status, StoreError>,
    /// The lock that was asked about.
    pub(super) name: Option<String>,
    pub(super) place: Place,
}

/// What kind of store, and what is particular to it.
#[derive(Debug)]
pub(super) enum Place {
    Local(Local),
    /// Servers that a run could be connected to; each that could be asked.
    Servers {
        shape: Shape,
        servers: Vec<Result<Server, StoreError>>,
        /// Why the walk over the states was not possible, or what it found.
        leftovers: Vec<Seen<Leftovers>>,
        /// Days until our own certificate ends.
        own_certificate: Option<Seen<i64>>,
    },
}

/// How the servers belong together.
#[derive(Debug)]
pub(super) enum Shape {
    One,
    Sentinel(Vec<Result<Sentinel, StoreError>>),
    Cluster(Cluster),
    /// Of so many nodes.
    Quorum(usize),
}

/// One server.
#[derive(Debug)]
pub(super) struct Server {
    /// Without passwords.
    pub(super) name: String,
    /// The user of the URL.
    pub(super) user: Option<String>,
    /// A `PING` and its answer, the median of some.
    pub(super) round_trip: Seen<Duration>,
    pub(super) info: Seen<Fields>,
    pub(super) config: HashMap<&'static str, Seen<String>>,
    /// What we may not do, by the words of `ACL SETUSER`.
    pub(super) refused: Vec<(String, Refusal)>,
    pub(super) clock: Seen<Clock>,
    /// None: no TLS.
    pub(super) tls: Option<Certificate>,
    /// What the node of a quorum remembers of itself; None: it has never served, or forgot.
    pub(super) mark: Seen<Option<Mark>>,
}

/// The clock of a server beside ours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Clock {
    /// How far it is ahead, in microseconds.
    pub(super) ahead: i64,
    /// … give or take.
    pub(super) ahead_error: i64,
    /// How much faster it runs, in parts per million. None: it was not seen long enough.
    pub(super) faster: Option<f64>,
    /// … give or take.
    pub(super) faster_error: f64,
}

/// The certificate that a server showed.
#[derive(Debug)]
pub(super) struct Certificate {
    pub(super) protocol: String,
    /// Until it ends.
    pub(super) days_left: Seen<i64>,
}

/// What the node of a quorum remembers of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// The server's start that it is of.
    pub(super) run_id: String,
    /// Until it votes again, by its own clock.
    pub(super) votes_in: Duration,
}

/// A Cluster, as one of its nodes sees it.
#[derive(Debug)]
pub(super) struct Cluster {
    /// `CLUSTER INFO`
    pub(super) info: Seen<Fields>,
    /// Its masters, each with the number of its replicas.
    pub(super) masters: Seen<Vec<(String, usize)>>,
}

/// A Sentinel's view.
#[derive(Debug)]
pub(super) struct Sentinel {
    pub(super) name: String,
    /// `SENTINEL MASTER`
    pub(super) master: Seen<Fields>,
}

/// What a walk over the states of locks found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Leftovers {
    /// States that were seen.
    pub(super) states: usize,
    /// Names of locks that nobody needs and that have no end.
    pub(super) names: Vec<String>,
    /// How many of them have been given one.
    pub(super) mended: usize,
    /// Why one could not be mended.
    pub(super) trouble: Option<String>,
    /// Whether the walk came to the end.
    pub(super) complete: bool,
}

/// The directory of lock files.
#[derive(Debug)]
pub(super) struct Local {
    pub(super) path: PathBuf,
    /// If not, the first run makes it.
    pub(super) exists: bool,
    /// The directory, or the one that it is to be made in.
    pub(super) directory: Seen<Directory>,
    /// Whether a waiter can be told of a release at once.
    pub(super) inotify: Seen<()>,
}

/// The directory, as it stands.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    pub(super) owner: u32,
    pub(super) mode: u32,
    /// The kind of file system, `statfs(2)`.
    pub(super) magic: Seen<i64>,
    /// Whether we may create files there.
    pub(super) writable: Seen<()>,
}

impl Server {
    /// A field of `INFO`.
    pub(super) fn info(&self, name: &str) -> Option<&str> {
        self.info.as_ref().ok()?.get(name).map(String::as_str)
    }

    /// A number of `INFO`.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.info(name)?.parse().ok()
    }

    /// A setting.
    pub(super) fn setting(&self, name: &str) -> Seen<&str> {
        match self.config.get(name) {
            Some(Ok(value)) => Ok(value),
            Some(Err(why)) => Err(why.clone()),
            None => Err("not asked for".to_owned()),
        }
    }

    /// Whether it is Valkey, and which version.
    pub(super) fn version(&self) -> Option<(&'static str, &str)> {
        let version = |field| self.info(field);
        (version("valkey_version").map(|it| ("Valkey", it)))
            .or_else(|| version("dragonfly_version").map(|it| ("Dragonfly", it)))
            .or_else(|| version("redis_version").map(|it| ("Redis", it)))
    }
}
