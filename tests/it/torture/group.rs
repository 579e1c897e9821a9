//! Servers that stand in for each other, and what ends the reign of one of them.

use std::time::{Duration, SystemTime};

use redis::Value;

use super::arena::{NAMES, PLACES};
use super::client::Stage;
use super::fault::{Fault, Topology};
use super::history::{History, Nanos, Record, nanos, now, sleep_until};
use super::nemesis::mode_of;
use super::rng::Rng;
use crate::support::cluster::{Cluster, is_master, is_replica};
use crate::support::proxy::{Mode, Proxy};
use crate::support::redis::Server;
use crate::support::sentinel::{Watched, role};
use crate::support::{PATIENCE, some_within, wait_until};

/// From the beginning to the first fail-over, and from one, with its old master back, to the
/// next, in milliseconds: a lock is of use in between.
const FIRST_PAUSE: (usize, usize) = (500, 2500);
const PAUSE: (usize, usize) = (2000, 8000);

/// From one node of a quorum that is in trouble to the next, in milliseconds.
const NODE_PAUSE: (usize, usize) = (1000, 4000);
/// How long such a node is in trouble, in milliseconds: for less than a request, or more than a ttl.
const TROUBLE: (usize, usize) = (100, 800);
const LONG_TROUBLE: (usize, usize) = (1200, 4500);
/// By how much a slow network delays each of its replies, in milliseconds.
const DELAY: (usize, usize) = (30, 400);

/// Longer than a replica tries to take over from a master that hands over.
const HANDING_OVER: Duration = Duration::from_secs(6);

/// What lasts longer than a round, for it takes seconds to start.
pub(crate) enum Group {
    Sentinel(Watched),
    Cluster(Cluster),
    Quorum(Box<[Node; 3]>),
}

/// One of a quorum, and the network before it.
pub(crate) struct Node {
    server: Server,
    network: Proxy,
}

impl Node {
    fn start() -> Node {
        let server = Server::start();
        let network = Proxy::start_for_long(server.address());
        Node { server, network }
    }
}

impl Group {
    /// That of a topology; one server alone is none.
    pub(crate) fn start(topology: Topology) -> Option<Group> {
        match topology {
            Topology::Local | Topology::Single => None,
            Topology::Sentinel => Some(Group::Sentinel(Watched::start())),
            Topology::Cluster => Some(Group::Cluster(Cluster::start())),
            Topology::Quorum => Some(Group::Quorum(Box::new([(); 3].map(|()| Node::start())))),
        }
    }

    /// Its URL; of a quorum, behind a network that fails: who names nodes by other addresses than
    /// the rest is refused.
    pub(crate) fn url(&self) -> String {
        match self {
            Group::Sentinel(watched) => watched.url(),
            Group::Cluster(cluster) => cluster.url(),
            Group::Quorum(nodes) => nodes.each_ref().map(|node| node.network.url()).join(" "),
        }
    }

    /// Forgets all locks.
    pub(crate) fn empty(&self) {
        if let Group::Quorum(nodes) = self {
            // All at the same time, as if they had never served.
            nodes
                .iter()
                .for_each(|node| drop(node.server.command(&["FLUSHALL"])));
            return;
        }
        for name in NAMES {
            self.master_of(name).command(&["FLUSHALL"]);
        }
    }

    /// What can be done to a server.
    fn faults(&self) -> &'static [Fault] {
        match self {
            Group::Sentinel(_) | Group::Cluster(_) => &Fault::TO_MASTERS,
            Group::Quorum(_) => &Fault::TO_NODES,
        }
    }

    /// The master that has a lock, while all is well; of a quorum, one of its nodes.
    pub(crate) fn master_of(&self, name: &str) -> &Server {
        match self {
            Group::Sentinel(watched) => watched.master(),
            Group::Cluster(cluster) => pair(cluster, name).0,
            Group::Quorum(nodes) => &nodes[name.len() % nodes.len()].server,
        }
    }

    /// The servers that have a lock, while all is well.
    pub(crate) fn servers_of(&self, name: &str) -> Vec<&Server> {
        match self {
            Group::Quorum(nodes) => nodes.iter().map(|node| &node.server).collect(),
            Group::Sentinel(_) | Group::Cluster(_) => vec![self.master_of(name)],
        }
    }

    /// Has another get the place of the master that has one of the locks, and returns when the
    /// old one follows it; or has a node of a quorum be in trouble for a time.
    fn strike(&self, fault: Fault, rng: &mut Rng, history: &History) {
        let name = NAMES[rng.below(NAMES.len())];
        let from = now();
        match self {
            Group::Quorum(nodes) => {
                let node = &nodes[rng.below(nodes.len())];
                let (least, most) = match rng.one_in(2) {
                    true => TROUBLE,
                    false => LONG_TROUBLE,
                };
                let lasts = rng.millis(least, most);
                let mode = mode_of(fault, rng.below(3), rng.millis(DELAY.0, DELAY.1));
                match fault {
                    Fault::FreezeNode => node.server.freeze(),
                    _ => node.network.set(mode),
                }
                sleep_until(from + nanos(lasts));
                match fault {
                    Fault::FreezeNode => node.server.thaw(),
                    _ => node.network.set(Mode::Pass),
                }
                tell_end(fault, from, history);
            }
            Group::Sentinel(watched) => {
                let (old, replicas) = (watched.master(), watched.replicas());
                begin(fault, old, || tell_seen(&NAMES, &replicas, history));
                if fault == Fault::FailOver {
                    watched.fail_over();
                } else {
                    watched.wait_for_successor_of(old);
                }
                if fault == Fault::FreezeMaster {
                    old.thaw();
                    wait_until(|| role(old) == "slave");
                }
                tell_end(fault, from, history);
                if fault == Fault::KillMaster {
                    watched.bring_back(old);
                }
                watched.wait_until_whole();
            }
            Group::Cluster(cluster) => {
                let (old, replica) = pair(cluster, name);
                let wait = |what: &str, node: &Server, is_there: fn(&Server) -> bool| {
                    let seen = some_within(PATIENCE, || is_there(node).then_some(()));
                    let node = node.address();
                    assert!(
                        seen.is_some(),
                        "{fault:?}: {node} {what}\n{}",
                        cluster.told()
                    );
                };
                let theirs: Vec<&str> = NAMES
                    .into_iter()
                    .filter(|it| pair(cluster, it).0.address() == old.address())
                    .collect();
                begin(fault, old, || tell_seen(&theirs, &[replica], history));
                if fault == Fault::FailOver {
                    // Refused while its master does not answer, and given up after five seconds.
                    some_within(PATIENCE, || {
                        let _ = replica.try_command(&["CLUSTER", "FAILOVER"]);
                        some_within(HANDING_OVER, || is_master(replica).then_some(()))
                    });
                }
                wait("did not become a master", replica, is_master);
                if fault == Fault::KillMaster {
                    tell_end(fault, from, history);
                    old.restart();
                    wait("did not follow when it was back", old, is_replica);
                } else {
                    if fault == Fault::FreezeMaster {
                        old.thaw();
                    }
                    wait("did not follow", old, is_replica);
                    tell_end(fault, from, history);
                }
                cluster.wait_until_whole();
            }
        }
    }
}

/// Tells of a fail-over that is over: the new master serves, and the old one is none any more.
fn tell_end(fault: Fault, from: Nanos, history: &History) {
    history.add(&Record::Fault {
        from,
        to: now(),
        fault,
        run: None,
        name: None,
    });
}

/// Does what is done to the master, and tells at the moment from which on its replicas are alone.
fn begin(fault: Fault, master: &Server, tell: impl FnOnce()) {
    match fault {
        Fault::KillMaster => master.kill(),
        Fault::FreezeMaster => master.freeze(),
        _ => {}
    }
    tell();
}

/// The master that has the lock `name` today, and its replica.
fn pair<'a>(cluster: &'a Cluster, name: &str) -> (&'a Server, &'a Server) {
    let key = format!("task_lock:{name}");
    let (first, second) = (cluster.master_of(&key), cluster.replica_of(&key));
    if is_master(first) {
        (first, second)
    } else {
        (second, first)
    }
}

/// Tells of the leases that all of these replicas know.
fn tell_seen(names: &[&str], replicas: &[&Server], history: &History) {
    for name in names {
        for slot in 0..PLACES {
            let leases: Option<Vec<(u64, Nanos)>> = replicas
                .iter()
                .map(|replica| lease(replica, name, slot))
                .collect();
            let leases = leases.unwrap_or_default();
            let Some((fence, _)) = leases.first().copied() else {
                continue;
            };
            let until = leases.iter().map(|(_, until)| *until).min();
            if let Some(until) = until.filter(|_| leases.iter().all(|lease| lease.0 == fence)) {
                history.add(&Record::Seen {
                    at: now(),
                    name: (*name).to_owned(),
                    slot,
                    fence,
                    until,
                });
            }
        }
    }
}

/// The fence of a place that is held, and the end of its lease, as this replica knows them.
fn lease(replica: &Server, name: &str, slot: u32) -> Option<(u64, Nanos)> {
    // A node of a Cluster answers for its master then; another server does as well without.
    let _ = replica.try_command(&["READONLY"]);
    let state = format!("{{task_lock:{name}}}:st");
    let fields = ["o", "f", "e"].map(|field| format!("{field}{slot}"));
    let mut words = vec!["HMGET", &state];
    words.extend(fields.iter().map(String::as_str));
    let Ok(Value::Array(values)) = replica.try_command(&words) else {
        return None;
    };
    let text = |value: &Value| match value {
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        _ => None,
    };
    let held = text(&values[0])?;
    let fence = text(&values[1])?.parse().ok()?;
    let end = Duration::from_millis(text(&values[2])?.parse().ok()?);
    let (wall, boot) = (SystemTime::now(), now());
    let wall = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let left = end.checked_sub(wall)?;
    (!held.is_empty()).then_some((fence, boot + nanos(left)))
}

/// Has one master after the other replaced for `length`.
pub(crate) fn depose(stage: &Stage<'_>, group: &Group, mut rng: Rng, length: Duration) {
    let end = now() + nanos(length);
    let (mut deck, mut pause) = (Vec::new(), FIRST_PAUSE);
    loop {
        sleep_until(now() + nanos(rng.millis(pause.0, pause.1)));
        if stage.is_over() || now() >= end {
            return;
        }
        if deck.is_empty() {
            deck = group.faults().to_vec();
            rng.shuffle(&mut deck);
        }
        let fault = deck.pop().unwrap();
        group.strike(fault, &mut rng, &stage.history);
        pause = match group {
            Group::Quorum(_) => NODE_PAUSE,
            Group::Sentinel(_) | Group::Cluster(_) => PAUSE,
        };
    }
}
