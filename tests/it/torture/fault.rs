//! What the nemesis does, and what stays promised meanwhile.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Where the locks of a round are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topology {
    /// Lock files of this host.
    Local,
    /// One Redis.
    Single,
    /// The master of two replicas, which three Sentinels name.
    Sentinel,
    /// A Cluster of three masters with a replica each.
    Cluster,
    /// A quorum of three nodes.
    Quorum,
}

impl Topology {
    /// The largest ttl of a run. Some outlive a fail-over where there are any.
    pub(crate) fn longest_ttl(self) -> Duration {
        match self {
            Topology::Local | Topology::Single => Duration::from_secs(3),
            Topology::Sentinel | Topology::Cluster | Topology::Quorum => Duration::from_secs(6),
        }
    }
}

/// What can be done to a run, to a name, or to all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fault {
    /// KILL to tasklock: its job has to die with it.
    KillTasklock,
    /// TERM to tasklock, which passes it on; some jobs ignore it.
    TermTasklock,
    /// STOP to tasklock, for less or more than a ttl.
    FreezeTasklock,
    /// KILL to the job.
    KillJob,
    /// TERM to the job.
    TermJob,
    /// STOP to the job: tasklock keeps the lock for it.
    FreezeJob,
    /// STOP to the server, for less or more than a ttl.
    FreezeServer,
    /// DEL of a lock's key, as by a job on the recipe that was refused.
    DeleteKey,
    /// CLIENT KILL of all connections.
    KillClients,
    /// SCRIPT FLUSH.
    FlushScripts,
    /// The network closes connections.
    CutConnections,
    /// The network passes nothing on, or no replies, for some and not for others.
    Partition,
    /// The network is slow for some.
    SlowNetwork,
    /// KILL to the master that has the lock. Once another has its place, it is back, empty, and
    /// follows that one.
    KillMaster,
    /// STOP to the master that has the lock, until another has its place.
    FreezeMaster,
    /// SENTINEL FAILOVER, CLUSTER FAILOVER.
    FailOver,
    /// STOP to one node of a quorum, for less or more than a ttl.
    FreezeNode,
}

/// What may come of a fault. Everything else is a breach. Fences grow, whatever happens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verdict {
    /// Two jobs at a time in one place, one of them the target's.
    pub(crate) overlap: bool,
    /// A grant or a refresh that no replica had seen is forgotten: two jobs at a time in one
    /// place, if the replicas knew of no such lease ([`super::history::Record::Seen`]).
    pub(crate) forgotten: bool,
    /// A run loses its lock (79) or finds no store (69), the target or, without one, anybody.
    pub(crate) loss: bool,
    /// A live waiter is dropped from the line until it asks again.
    pub(crate) turn: bool,
    /// The target dies of this signal.
    pub(crate) signal: Option<i32>,
}

/// Nothing may come of it.
const NOTHING: Verdict = Verdict {
    overlap: false,
    forgotten: false,
    loss: false,
    turn: false,
    signal: None,
};

const KILL: i32 = 9;
const TERM: i32 = 15;

impl Fault {
    /// All that has another server get the place of a master.
    pub(crate) const TO_MASTERS: [Fault; 3] =
        [Fault::KillMaster, Fault::FreezeMaster, Fault::FailOver];

    /// All that can be done in a topology but to its masters; or, with a store that is well, to
    /// processes only.
    pub(crate) fn all(topology: Topology, store_is_well: bool) -> &'static [Fault] {
        if store_is_well {
            return Fault::all_of(Topology::Local);
        }
        Fault::all_of(topology)
    }

    fn all_of(topology: Topology) -> &'static [Fault] {
        const TO_PROCESSES: &[Fault] = &[
            Fault::KillTasklock,
            Fault::TermTasklock,
            Fault::FreezeTasklock,
            Fault::KillJob,
            Fault::TermJob,
            Fault::FreezeJob,
        ];
        const ALL: &[Fault] = &[
            Fault::KillTasklock,
            Fault::TermTasklock,
            Fault::FreezeTasklock,
            Fault::KillJob,
            Fault::TermJob,
            Fault::FreezeJob,
            Fault::FreezeServer,
            Fault::DeleteKey,
            Fault::KillClients,
            Fault::FlushScripts,
            Fault::CutConnections,
            Fault::Partition,
            Fault::SlowNetwork,
        ];
        match topology {
            Topology::Local | Topology::Sentinel | Topology::Cluster | Topology::Quorum => {
                TO_PROCESSES
            }
            Topology::Single => ALL,
        }
    }

    /// The table of what is promised.
    pub(crate) fn verdict(self, topology: Topology) -> Verdict {
        match self {
            // The kernel frees a file lock when it closes the files of a process that dies, and
            // tells its children to die a moment after that.
            Fault::KillTasklock => Verdict {
                overlap: topology == Topology::Local,
                signal: Some(KILL),
                ..NOTHING
            },
            Fault::KillJob => Verdict {
                signal: Some(KILL),
                ..NOTHING
            },
            Fault::TermTasklock | Fault::TermJob => Verdict {
                signal: Some(TERM),
                ..NOTHING
            },
            // The kernel keeps a file lock for a process that is stopped; a server cannot know.
            // Guarantee 6: "not guaranteed is what a frozen host does after it thaws".
            Fault::FreezeTasklock => Verdict {
                overlap: topology != Topology::Local,
                loss: topology != Topology::Local,
                turn: true,
                ..NOTHING
            },
            // Guarantee 2: whoever cannot refresh has killed its job before the lease can end.
            Fault::FreezeServer | Fault::Partition | Fault::SlowNetwork => Verdict {
                loss: true,
                turn: true,
                ..NOTHING
            },
            // Guarantee 6: not guaranteed is "a fail-over to a replica that never saw the lock".
            Fault::KillMaster | Fault::FreezeMaster => Verdict {
                forgotten: true,
                loss: true,
                turn: true,
                ..NOTHING
            },
            // Sentinel asks no master for its leave; the master of a Cluster's shard stands still
            // until its replica has everything.
            Fault::FailOver => Verdict {
                forgotten: topology == Topology::Sentinel,
                loss: true,
                turn: true,
                ..NOTHING
            },
            // The others are a majority. Who was first in line there is perhaps not elsewhere.
            Fault::FreezeNode => Verdict {
                turn: true,
                ..NOTHING
            },
            // A waiter whose connection is gone hears no wake, and is passed over.
            Fault::KillClients | Fault::CutConnections => Verdict {
                turn: true,
                ..NOTHING
            },
            // Guarantee 5: a stray DEL admits no other tasklock and ends no job.
            Fault::DeleteKey | Fault::FreezeJob | Fault::FlushScripts => NOTHING,
        }
    }
}
