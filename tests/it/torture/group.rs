//! Servers that stand in for each other, and what ends the reign of one of them.

use std::time::{Duration, SystemTime};

use redis::Value;

use super::arena::{NAMES, PLACES};
use super::client::Stage;
use super::fault::{Fault, Topology, Weather};
use super::history::{History, Nanos, Record, nanos, now, sleep_until};
use super::nuisance;
use super::quorum::{self, Quorum};
use super::rng::Rng;
use crate::support::cluster::{Cluster, is_master, is_replica};
use crate::support::redis::Server;
use crate::support::sentinel::{Watched, role};
use crate::support::{PATIENCE, some_within, wait_until};

/// From the beginning to the first fail-over, and from one, with its old master back, to the
/// next, in milliseconds: a lock is of use in between.
const FIRST_PAUSE: (usize, usize) = (500, 2500);
const PAUSE: (usize, usize) = (2000, 8000);

/// From one harm that is over in a moment to whatever is next, in milliseconds.
const SHORT_PAUSE: (usize, usize) = (200, 1500);
/// How long writes are held back, in milliseconds: for less than what takes a master for dead.
const PAUSED: (usize, usize) = (50, 900);

/// Longer than a replica tries to take over from a master that hands over.
const HANDING_OVER: Duration = Duration::from_secs(6);

/// What lasts longer than a round, for it takes seconds to start.
pub(crate) enum Group {
    Sentinel(Watched),
    Cluster(Cluster),
    Quorum(Box<Quorum>),
}

impl Group {
    /// That of a topology; one server alone is none.
    pub(crate) fn start(topology: Topology) -> Option<Group> {
        match topology {
            Topology::Local | Topology::Single => None,
            Topology::Sentinel => Some(Group::Sentinel(Watched::start())),
            Topology::Cluster => Some(Group::Cluster(Cluster::start())),
            Topology::Quorum => Some(Group::Quorum(Box::new(Quorum::start()))),
        }
    }

    /// Its URL; of a quorum, for the runs on one side or the other.
    pub(crate) fn url(&self, left: bool) -> String {
        match self {
            Group::Sentinel(watched) => watched.url(),
            Group::Cluster(cluster) => cluster.url(),
            Group::Quorum(quorum) => quorum.url(left),
        }
    }

    /// Forgets all locks.
    pub(crate) fn empty(&self, weather: Weather) {
        if let Group::Quorum(quorum) = self {
            return quorum.empty(weather);
        }
        for server in NAMES.iter().flat_map(|name| self.servers_of(name)) {
            server.command(&["FLUSHALL"]);
        }
    }

    /// The servers that have a lock, while all is well.
    pub(crate) fn servers_of(&self, name: &str) -> Vec<&Server> {
        match self {
            Group::Sentinel(watched) => vec![watched.master()],
            Group::Cluster(cluster) => vec![pair(cluster, name).0],
            Group::Quorum(quorum) => quorum.servers(),
        }
    }

    /// Does harm to servers for `length`.
    pub(crate) fn attack(&self, stage: &Stage<'_>, weather: Weather, rng: Rng, length: Duration) {
        match self {
            Group::Quorum(quorum) => quorum::besiege(stage, quorum, weather, rng, length),
            Group::Sentinel(_) | Group::Cluster(_) => self.depose(stage, rng, length),
        }
    }

    /// Has one master after the other replaced for `length`, and smaller harm done in between.
    fn depose(&self, stage: &Stage<'_>, mut rng: Rng, length: Duration) {
        let end = now() + nanos(length);
        let (mut deck, mut pause) = (Vec::new(), FIRST_PAUSE);
        loop {
            sleep_until(now() + nanos(rng.millis(pause.0, pause.1)));
            if stage.is_over() || now() >= end {
                return;
            }
            if deck.is_empty() {
                deck = Fault::TO_MASTERS.to_vec();
                rng.shuffle(&mut deck);
            }
            let fault = deck.pop().unwrap();
            let name = NAMES[rng.below(NAMES.len())];
            if Fault::TO_REIGNS.contains(&fault) {
                self.replace(fault, name, &stage.history);
                pause = PAUSE;
            } else {
                self.annoy(fault, name, &mut rng, &stage.history);
                pause = SHORT_PAUSE;
            }
        }
    }

    /// Does harm to the master that has the lock, which stays the master.
    fn annoy(&self, fault: Fault, name: &str, rng: &mut Rng, history: &History) {
        let (dice, lasts) = (rng.below(1000), rng.millis(PAUSED.0, PAUSED.1));
        let from = now();
        for master in self.servers_of(name) {
            match fault {
                Fault::PauseClients => {
                    let ms = lasts.as_millis().to_string();
                    master.command(&["CLIENT", "PAUSE", &ms, "WRITE"]);
                    sleep_until(now() + nanos(lasts));
                }
                _ => nuisance::strike(master, fault, name, dice),
            }
        }
        history.add(&Record::Fault {
            from,
            to: now(),
            fault,
            run: None,
            name: (fault == Fault::DeleteKey).then(|| name.to_owned()),
        });
    }

    /// Has another get the place of the master that has this lock, and returns when the old one
    /// follows it.
    fn replace(&self, fault: Fault, name: &str, history: &History) {
        let from = now();
        match self {
            Group::Quorum(_) => {}
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
