//! Locks in a Redis Cluster: what is different from one server.
//! What is the same is in `store_contract`.

use std::time::Duration;

use redis::Value;
use tasklock::store::Claim;

use crate::redis_store::failure_of;
use crate::support::cluster::{Cluster, id_of, slot_of};
use crate::support::redis::Server;
use crate::support::{store, wait_for_some};

mod failing;
mod finding;
mod moving;
mod refusing;
mod waiting;

const KEY: &str = "task_lock:job";
const STATE: &str = "{task_lock:job}:st";
const RUNS: &str = "{task_lock:job}:runs";

/// Of requests that are to run into it.
const BRIEF: Duration = Duration::from_millis(500);

/// How much later than its timeout a request may end on a busy machine.
const SLACK: Duration = Duration::from_secs(3);

fn claim(who: &str) -> Claim {
    store::claim("job", who)
}

/// Who has the lock by its plain key, on the node that has its slot, as soon as that serves.
#[track_caller]
fn owner(node: &Server) -> Option<String> {
    match wait_for_some(|| node.try_command(&["GET", KEY]).ok()) {
        Value::BulkString(token) => String::from_utf8(token).ok(),
        _ => None,
    }
}

/// What the nodes were asked since their counts were reset, refused requests included.
#[track_caller]
fn requests_to(nodes: &[Server]) -> u64 {
    let counted = ["cmdstat_eval", "cmdstat_auth", "cmdstat_asking"];
    let of_line = |line: &String| -> u64 {
        let fields = line.split(',').filter_map(|field| field.split_once('='));
        fields
            .filter(|(what, _)| ["calls", "rejected_calls"].contains(what))
            .map(|(_, count)| count.parse::<u64>().unwrap())
            .sum()
    };
    let of_node = |node: &Server| -> u64 {
        let stats = node.info("commandstats");
        let lines = counted.iter().filter_map(|name| stats.get(*name));
        lines.map(of_line).sum()
    };
    nodes.iter().map(of_node).sum()
}

/// The slot of the lock on its way from its master to another.
struct Migration<'a> {
    cluster: &'a Cluster,
    source: &'a Server,
    target: &'a Server,
    slot: String,
}

impl<'a> Migration<'a> {
    /// Begins it. No key moves by itself.
    #[track_caller]
    fn begin(cluster: &'a Cluster) -> Migration<'a> {
        let (source, target) = (cluster.master_of(KEY), cluster.other_than(KEY));
        let slot = slot_of(source, KEY).to_string();
        target.command(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &id_of(source)]);
        source.command(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &id_of(target)]);
        Migration {
            cluster,
            source,
            target,
            slot,
        }
    }

    /// Moves keys that are there.
    #[track_caller]
    fn carry(&self, keys: &[&str]) {
        let port = self.target.address().port().to_string();
        let mut words = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "30000"];
        words.extend(["AUTH2", "harness", "harness", "KEYS"]);
        words.extend(keys);
        assert_eq!(self.source.command(&words), Value::Okay);
    }

    /// Ends it: the slot is the target's.
    #[track_caller]
    fn finish(self) {
        let id = id_of(self.target);
        for node in [self.target, self.source] {
            node.command(&["CLUSTER", "SETSLOT", &self.slot, "NODE", &id]);
        }
        let others = self.cluster.masters().iter();
        for node in others {
            node.command(&["CLUSTER", "SETSLOT", &self.slot, "NODE", &id]);
        }
    }
}
