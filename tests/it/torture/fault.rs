//! What the nemesis does, and what stays promised meanwhile.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Where the locks of a round are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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

/// What a round has in store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weather {
    /// Harm comes to processes only, so that waiting too long is never anybody's fault.
    Fair,
    /// Servers, network and masters are in trouble as well.
    Rough,
    /// The server is started again, and knows then what it had kept: all, a part or nothing. Of a
    /// quorum, one node does that once: it has no vote for five minutes, and both others are needed.
    Amnesia,
    /// The server's clock steps. Not with [`Weather::Amnesia`]: a server that has lost its memory
    /// goes on with fences from its clock, so that a clock that was set back would repeat them.
    Clock,
    /// A majority of a quorum is away at times.
    Outage,
}

impl Weather {
    /// That of a seed: each comes up again and again.
    pub(crate) fn of(topology: Topology, seed: u64) -> Weather {
        match (topology, seed % 5, seed % 3) {
            (Topology::Local, ..) | (Topology::Single, 0, _) => Weather::Fair,
            (Topology::Single, 3, _) => Weather::Amnesia,
            (Topology::Single, 4, _) => Weather::Clock,
            (Topology::Single, ..) => Weather::Rough,
            (Topology::Quorum, ..) => match seed % 4 {
                0 => Weather::Fair,
                1 => Weather::Rough,
                2 => Weather::Amnesia,
                _ => Weather::Outage,
            },
            (.., 0) => Weather::Fair,
            _ => Weather::Rough,
        }
    }
}

/// What can be done to a run, to a name, or to all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
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
    /// CLIENT PAUSE of all writes.
    PauseClients,
    /// SCRIPT FLUSH.
    FlushScripts,
    /// The network closes connections.
    CutConnections,
    /// The network passes nothing on, or no replies, for some and not for others.
    Partition,
    /// The network is slow for some.
    SlowNetwork,
    /// FLUSHALL.
    FlushAll,
    /// KILL to the server, which is back with nothing.
    RestartEmpty,
    /// KILL to the server, which is back with a copy (RDB) of a moment before.
    RestartRdb,
    /// KILL to the server, which is back with all that it had answered (AOF).
    RestartAof,
    /// The server's clock steps ahead, by less or more than a ttl.
    ClockAhead,
    /// The server's clock steps back.
    ClockBack,
    /// KILL to the master that has the lock. Once another has its place, it is back, empty, and
    /// follows that one.
    KillMaster,
    /// STOP to the master that has the lock, until another has its place.
    FreezeMaster,
    /// SENTINEL FAILOVER, CLUSTER FAILOVER.
    FailOver,
    /// STOP to one node of a quorum, for less or more than a ttl.
    FreezeNode,
    /// Half of the runs do not reach one node of a quorum, the rest not another one: both have a
    /// majority, and not the same.
    SplitNetwork,
    /// Two of three nodes are away.
    MajorityAway,
    /// One node is away while another has no vote, which still keeps what is held.
    VoteAway,
    /// One node is started again when another has just been away: this one takes a lock for held
    /// whose release it missed until that lease ends, the other does so by an old copy, or is down.
    TwoBehind,
}

/// What may come of a fault. Everything else is a breach. Fences grow, whatever happens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verdict {
    /// Two jobs at a time in one place, one of them the target's.
    pub(crate) overlap: bool,
    /// The store forgets grants or refreshes, or takes them for ended: two jobs at a time in one
    /// place; after a fail-over, if the replicas knew of no such lease ([`super::history::Record::Seen`]).
    pub(crate) forgotten: bool,
    /// A run loses its lock (79) or finds no store (69), the target or, without one, anybody.
    pub(crate) loss: bool,
    /// A run finds no store (69).
    pub(crate) refusal: bool,
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
    refusal: false,
    turn: false,
    signal: None,
};

const KILL: i32 = 9;
const TERM: i32 = 15;

impl Fault {
    /// All that has another server get the place of a master.
    pub(crate) const TO_REIGNS: [Fault; 3] =
        [Fault::KillMaster, Fault::FreezeMaster, Fault::FailOver];

    /// All that is done to masters.
    pub(crate) const TO_MASTERS: [Fault; 7] = [
        Fault::KillMaster,
        Fault::FreezeMaster,
        Fault::FailOver,
        Fault::KillClients,
        Fault::PauseClients,
        Fault::FlushScripts,
        Fault::DeleteKey,
    ];

    /// All that has a node of a quorum forget, or perhaps forget.
    pub(crate) const TO_A_MEMORY: [Fault; 4] = [
        Fault::FlushAll,
        Fault::RestartEmpty,
        Fault::RestartRdb,
        Fault::RestartAof,
    ];

    /// Whether it keeps one node of a quorum from answering.
    pub(crate) fn takes_a_node_away(self) -> bool {
        matches!(
            self,
            Fault::FreezeNode | Fault::Partition | Fault::SlowNetwork | Fault::SplitNetwork
        )
    }

    /// What is done to the nodes of a quorum when nothing is left to be forgotten.
    pub(crate) fn to_nodes(weather: Weather) -> &'static [Fault] {
        match weather {
            Weather::Amnesia => &[
                Fault::VoteAway,
                Fault::FreezeNode,
                Fault::KillClients,
                Fault::CutConnections,
                Fault::FlushScripts,
                Fault::DeleteKey,
            ],
            Weather::Outage => &[Fault::MajorityAway],
            _ => &[
                Fault::FreezeNode,
                Fault::Partition,
                Fault::SlowNetwork,
                Fault::SplitNetwork,
                Fault::SplitNetwork,
                Fault::KillClients,
                Fault::CutConnections,
                Fault::FlushScripts,
                Fault::DeleteKey,
            ],
        }
    }

    const TO_PROCESSES: [Fault; 6] = [
        Fault::KillTasklock,
        Fault::TermTasklock,
        Fault::FreezeTasklock,
        Fault::KillJob,
        Fault::TermJob,
        Fault::FreezeJob,
    ];

    const TO_SERVER: [Fault; 8] = [
        Fault::FreezeServer,
        Fault::DeleteKey,
        Fault::KillClients,
        Fault::PauseClients,
        Fault::FlushScripts,
        Fault::CutConnections,
        Fault::Partition,
        Fault::SlowNetwork,
    ];

    const TO_MEMORY: [Fault; 6] = [
        Fault::FlushAll,
        Fault::RestartEmpty,
        Fault::RestartRdb,
        Fault::RestartAof,
        Fault::DeleteKey,
        Fault::CutConnections,
    ];

    const TO_CLOCK: [Fault; 4] = [
        Fault::ClockAhead,
        Fault::ClockBack,
        Fault::ClockBack,
        Fault::CutConnections,
    ];

    /// What the nemesis does; masters and nodes have one of their own ([`super::group`]).
    pub(crate) fn all(topology: Topology, weather: Weather) -> Vec<Fault> {
        let to_store: &[Fault] = match (topology, weather) {
            (Topology::Single, Weather::Amnesia) => &Fault::TO_MEMORY,
            (Topology::Single, Weather::Clock) => &Fault::TO_CLOCK,
            (Topology::Single, Weather::Rough) => &Fault::TO_SERVER,
            _ => &[],
        };
        [&Fault::TO_PROCESSES, to_store].concat()
    }

    /// The table of what is promised.
    pub(crate) fn verdict(self, topology: Topology) -> Verdict {
        match self {
            // The kernel frees a file lock when it closes the files of a process that dies, and
            // tells its children to die a moment after that: whoever is next waits for it.
            Fault::KillTasklock | Fault::KillJob => Verdict {
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
            // The others are a majority. Who was first in line there is perhaps not elsewhere.
            Fault::FreezeNode | Fault::SplitNetwork => Verdict {
                turn: true,
                ..NOTHING
            },
            // Nor is a minority that forgets missed: it does not vote, and the others remember.
            Fault::Partition
            | Fault::SlowNetwork
            | Fault::FlushAll
            | Fault::RestartEmpty
            | Fault::RestartRdb
            | Fault::RestartAof
                if topology == Topology::Quorum =>
            {
                Verdict {
                    turn: true,
                    ..NOTHING
                }
            }
            // "It still keeps the leases that their holders refresh there."
            Fault::VoteAway => Verdict {
                refusal: true,
                turn: true,
                ..NOTHING
            },
            // Guarantee 2: whoever cannot refresh has killed its job before the lease can end.
            // A server that is back with all that it had answered was merely away.
            Fault::MajorityAway
            | Fault::TwoBehind
            | Fault::FreezeServer
            | Fault::PauseClients
            | Fault::Partition
            | Fault::SlowNetwork
            | Fault::RestartAof => Verdict {
                loss: true,
                turn: true,
                ..NOTHING
            },
            // Guarantee 6: not guaranteed is "a Redis that lost its memory; a step of the clock on
            // the Redis host longer than the drift", until the holder's next refresh.
            Fault::FlushAll | Fault::RestartEmpty | Fault::RestartRdb | Fault::ClockAhead => {
                Verdict {
                    forgotten: true,
                    loss: true,
                    turn: true,
                    ..NOTHING
                }
            }
            // Leases last longer, by no more than a ttl.
            Fault::ClockBack => Verdict {
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
