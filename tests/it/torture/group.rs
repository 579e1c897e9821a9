//! Servers that stand in for each other, and what ends the reign of one of them.

use std::time::{Duration, SystemTime};

use redis::Value;

use super::arena::{NAMES, PLACES};
use super::client::Stage;
use super::fault::{Fault, Topology};
use super::history::{History, Nanos, Record, nanos, now, sleep_until};
use super::rng::Rng;
use crate::support::cluster::{Cluster, is_master};
use crate::support::redis::Server;
use crate::support::sentinel::{Watched, role};
use crate::support::{some_within, wait_until};

/// From one fail-over, with its old master back, to the next, in milliseconds.
const PAUSE: (usize, usize) = (500, 2500);

/// Longer than a replica tries to take over from a master that hands over.
const HANDING_OVER: Duration = Duration::from_secs(6);

/// How long a node of a quorum stands still, by the number of a lock.
const FROZEN: [Duration; NAMES.len()] = [
    Duration::from_millis(100),
    Duration::from_millis(600),
    Duration::from_millis(1800),
    Duration::from_millis(4000),
];

/// What lasts longer than a round, for it takes seconds to start.
pub(crate) enum Group {
    Sentinel(Watched),
    Cluster(Cluster),
    Quorum(Box<[Server; 3]>),
}

impl Group {
    /// That of a topology; one server alone is none.
    pub(crate) fn start(topology: Topology) -> Option<Group> {
        match topology {
            Topology::Local | Topology::Single => None,
            Topology::Sentinel => Some(Group::Sentinel(Watched::start())),
            Topology::Cluster => Some(Group::Cluster(Cluster::start())),
            Topology::Quorum => Some(Group::Quorum(Box::new([(); 3].map(|()| Server::start())))),
        }
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Group::Sentinel(watched) => watched.url(),
            Group::Cluster(cluster) => cluster.url(),
            Group::Quorum(nodes) => nodes.each_ref().map(Server::url).join(" "),
        }
    }

    /// Forgets all locks.
    pub(crate) fn empty(&self) {
        if let Group::Quorum(nodes) = self {
            // All at the same time, as if they had never served.
            nodes
                .iter()
                .for_each(|node| drop(node.command(&["FLUSHALL"])));
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
            Group::Quorum(_) => &[Fault::FreezeNode],
        }
    }

    /// The master that has a lock, while all is well; of a quorum, one of its nodes.
    pub(crate) fn master_of(&self, name: &str) -> &Server {
        match self {
            Group::Sentinel(watched) => watched.master(),
            Group::Cluster(cluster) => pair(cluster, name).0,
            Group::Quorum(nodes) => &nodes[name.len() % nodes.len()],
        }
    }

    /// Has another get the place of the master that has the lock `name`, and returns when the
    /// old one follows it.
    fn strike(&self, fault: Fault, name: &str, history: &History) {
        let from = now();
        match self {
            Group::Quorum(nodes) => {
                let number = NAMES.iter().position(|it| *it == name).unwrap();
                let node = &nodes[number % nodes.len()];
                node.freeze();
                sleep_until(from + nanos(FROZEN[number]));
                node.thaw();
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
                let theirs: Vec<&str> = NAMES
                    .into_iter()
                    .filter(|it| pair(cluster, it).0.address() == old.address())
                    .collect();
                begin(fault, old, || tell_seen(&theirs, &[replica], history));
                if fault == Fault::FailOver {
                    // Refused while its master does not answer, and given up after five seconds.
                    wait_until(|| {
                        let _ = replica.try_command(&["CLUSTER", "FAILOVER"]);
                        some_within(HANDING_OVER, || is_master(replica).then_some(())).is_some()
                    });
                }
                wait_until(|| is_master(replica));
                if fault == Fault::KillMaster {
                    tell_end(fault, from, history);
                    old.restart();
                    wait_until(|| !is_master(old));
                } else {
                    if fault == Fault::FreezeMaster {
                        old.thaw();
                    }
                    wait_until(|| !is_master(old));
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

/// Has one master after the other replaced for `length`; how many.
pub(crate) fn depose(stage: &Stage<'_>, group: &Group, mut rng: Rng, length: Duration) -> usize {
    let end = now() + nanos(length);
    let (mut deck, mut done) = (Vec::new(), 0);
    loop {
        sleep_until(now() + nanos(rng.millis(PAUSE.0, PAUSE.1)));
        if stage.is_over() || now() >= end {
            return done;
        }
        if deck.is_empty() {
            deck = group.faults().to_vec();
            rng.shuffle(&mut deck);
        }
        let fault = deck.pop().unwrap();
        let name = NAMES[rng.below(NAMES.len())];
        group.strike(fault, name, &stage.history);
        done += 1;
    }
}
