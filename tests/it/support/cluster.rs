//! A Redis Cluster of the test's own: three masters with a replica each.

use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread;

use redis::Value;

use super::redis::{Builder, Server};
use super::wait_until;

/// How many slots there are.
pub(crate) const SLOTS: u16 = 16384;

const MASTERS: u16 = 3;

/// After so many milliseconds without a sign of life a node is failing: a replica
/// takes over about a second later. Far more than a busy machine makes it wait.
const NODE_TIMEOUT: &str = "2000";

/// Six running servers: masters 0, 1 and 2, which share the slots in this order,
/// and their replicas 3, 4 and 5. Killed on drop.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Server>,
}

impl Cluster {
    /// A Cluster that keeps everything in memory only.
    #[track_caller]
    pub(crate) fn start() -> Cluster {
        Cluster::with(|node| node)
    }

    /// A Cluster of nodes with more to their configuration.
    #[track_caller]
    pub(crate) fn with(more: impl Fn(Builder) -> Builder + Sync) -> Cluster {
        let start = || {
            let builder = Server::with()
                .config("cluster-enabled", "yes")
                .config("cluster-node-timeout", NODE_TIMEOUT)
                .config("repl-diskless-sync-delay", "0")
                // Others are told of a replica when it has heard something.
                .config("repl-ping-replica-period", "1");
            more(builder).start()
        };
        let nodes = thread::scope(|scope| {
            let starts: Vec<_> = (0..2 * MASTERS).map(|_| scope.spawn(start)).collect();
            starts
                .into_iter()
                .map(|start| start.join().unwrap())
                .collect()
        });
        let cluster = Cluster { nodes };
        cluster.join();
        cluster
    }

    /// Makes one Cluster of the nodes.
    #[track_caller]
    fn join(&self) {
        for (index, node) in self.nodes.iter().enumerate() {
            let epoch = (index + 1).to_string();
            node.command(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch]);
            for other in &self.nodes[..index] {
                let port = other.cluster_port().to_string();
                node.command(&["CLUSTER", "MEET", "127.0.0.1", &port]);
            }
        }
        for (index, master) in (0..MASTERS).zip(self.masters()) {
            let first = index * SLOTS / MASTERS;
            let end = (index + 1) * SLOTS / MASTERS;
            let slots: Vec<String> = (first..end).map(|slot| slot.to_string()).collect();
            let mut words = vec!["CLUSTER", "ADDSLOTS"];
            words.extend(slots.iter().map(String::as_str));
            master.command(&words);
        }
        for (master, replica) in self
            .masters()
            .iter()
            .zip(&self.nodes[usize::from(MASTERS)..])
        {
            let id = id_of(master);
            // Once it knows of the master.
            wait_until(|| replica.try_command(&["CLUSTER", "REPLICATE", &id]).is_ok());
        }
        self.wait_until_whole();
    }

    /// Waits until every node that runs knows who serves what, and every replica has its data.
    #[track_caller]
    pub(crate) fn wait_until_whole(&self) {
        for node in &self.nodes {
            wait_until(|| is_ok(node) && replicas(node) == usize::from(MASTERS));
            wait_until(|| {
                let replication = node.info("replication");
                let link = replication.get("master_link_status");
                link.is_none_or(|link| link == "up")
            });
        }
    }

    /// What each node says of all of them, for whoever looks for the reason of something.
    pub(crate) fn told(&self) -> String {
        let mut told = String::new();
        for node in self.nodes.iter().filter(|node| node.can_answer()) {
            let nodes = node.try_command(&["CLUSTER", "NODES"]);
            let nodes = match nodes {
                Ok(Value::BulkString(text)) => String::from_utf8_lossy(&text).into_owned(),
                other => format!("{other:?}"),
            };
            told += &format!("as {} sees it:\n{nodes}\n", node.address());
        }
        told
    }

    /// The masters that it began with.
    pub(crate) fn masters(&self) -> &[Server] {
        &self.nodes[..usize::from(MASTERS)]
    }

    /// The master that a key belonged to in the beginning.
    pub(crate) fn master_of(&self, key: &str) -> &Server {
        &self.nodes[self.index_of(key)]
    }

    /// The replica of that one.
    pub(crate) fn replica_of(&self, key: &str) -> &Server {
        &self.nodes[self.index_of(key) + usize::from(MASTERS)]
    }

    /// A master that the key never belonged to.
    pub(crate) fn other_than(&self, key: &str) -> &Server {
        &self.nodes[(self.index_of(key) + 1) % usize::from(MASTERS)]
    }

    fn index_of(&self, key: &str) -> usize {
        let slot = slot_of(&self.nodes[0], key);
        let index = (0..MASTERS).find(|index| slot < (index + 1) * SLOTS / MASTERS);
        usize::from(index.unwrap())
    }

    /// `redis+cluster://` with all nodes in their order.
    pub(crate) fn url(&self) -> String {
        url_of(&self.nodes)
    }
}

/// `redis+cluster://` with these nodes in this order.
pub(crate) fn url_of<'a>(nodes: impl IntoIterator<Item = &'a Server>) -> String {
    let hosts = nodes.into_iter().map(|node| node.address().to_string());
    format!("redis+cluster://{}", hosts.collect::<Vec<_>>().join(","))
}

/// The name by which the nodes know each other.
#[track_caller]
pub(crate) fn id_of(node: &Server) -> String {
    node.text(&["CLUSTER", "MYID"]).unwrap()
}

/// The slot of a key, as a server computes it.
#[track_caller]
pub(crate) fn slot_of(node: &Server, key: &str) -> u16 {
    u16::try_from(node.number(&["CLUSTER", "KEYSLOT", key])).unwrap()
}

/// Does this node see the whole Cluster at work?
#[track_caller]
pub(crate) fn is_ok(node: &Server) -> bool {
    let info = node.text(&["CLUSTER", "INFO"]).unwrap();
    info.contains("cluster_state:ok")
}

/// Is it a master?
#[track_caller]
pub(crate) fn is_master(node: &Server) -> bool {
    node.info("replication")["role"] == "master"
}

/// Is it a replica?
#[track_caller]
pub(crate) fn is_replica(node: &Server) -> bool {
    !is_master(node)
}

/// How many replicas this node knows.
#[track_caller]
fn replicas(node: &Server) -> usize {
    let nodes = node.text(&["CLUSTER", "NODES"]).unwrap();
    nodes.lines().filter(|line| line.contains("slave")).count()
}

/// A Cluster for all tests of this process that change nothing but locks of names of their own.
/// It ends with the process: a static value is never dropped.
#[track_caller]
pub(crate) fn shared() -> &'static Cluster {
    static SHARED: OnceLock<(Cluster, Child)> = OnceLock::new();
    let (cluster, _) = SHARED.get_or_init(|| {
        let cluster = Cluster::start();
        let mut script = "cat; kill -9".to_owned();
        for node in &cluster.nodes {
            script += &format!(" {}", node.pid());
        }
        script += "; rm -rf";
        for node in &cluster.nodes {
            script += &format!(" '{}'", node.directory().display());
        }
        // The kernel closes its input when this process is gone, however that came about.
        let undertaker = Command::new("/bin/sh")
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        (cluster, undertaker)
    });
    cluster
}
