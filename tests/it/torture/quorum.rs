//! A quorum in trouble: its nodes, the network before each, and what is done to them.

use std::time::{Duration, SystemTime};

use super::arena::NAMES;
use super::client::Stage;
use super::fault::{Fault, Weather};
use super::history::{History, Nanos, Record, nanos, now, sleep_until};
use super::nuisance;
use super::restart;
use super::rng::Rng;
use crate::support::proxy::{Mode, Proxy};
use crate::support::redis::Server;

/// From the beginning to the first trouble, and from one to the next, in milliseconds.
const FIRST_PAUSE: (usize, usize) = (300, 1200);
const PAUSE: (usize, usize) = (500, 3000);
/// How long a node is in trouble, in milliseconds: for less than a request, or more than a ttl.
const TROUBLE: (usize, usize) = (100, 800);
const LONG_TROUBLE: (usize, usize) = (1200, 4500);
/// By how much a slow network delays each of its replies, in milliseconds.
const DELAY: (usize, usize) = (30, 400);
/// How long a node that is killed is down, in milliseconds.
const DOWN: (usize, usize) = (30, 400);
/// How long another node misses what is granted before one forgets it, in milliseconds.
const MISSING: (usize, usize) = (400, 1500);
/// For so long a quorum has served, where its first use is not what a round is about.
const SERVED: Duration = Duration::from_secs(3600);

/// Where a node keeps since when it votes: "start founded serves".
pub(crate) const MARK: &str = "{task_lock:}:node";

/// As whom the runs log in: all name the same nodes, and a network may still fail for one half of
/// them only.
const SIDES: [&str; 2] = ["left", "right"];

/// One node, and the network before it.
struct Node {
    server: Server,
    network: Proxy,
}

/// Three of them.
pub(crate) struct Quorum {
    nodes: [Node; 3],
}

impl Quorum {
    pub(crate) fn start() -> Quorum {
        let node = |()| {
            let user = |server: crate::support::redis::Builder, side: &str| {
                server.user(&format!("{side} on >{side} ~* &* +@all"))
            };
            let server = SIDES.into_iter().fold(Server::with(), user).start();
            let network = Proxy::start_for_long(server.address());
            Node { server, network }
        };
        let nodes = [(); 3].map(node);
        Quorum { nodes }
    }

    /// All nodes, for the runs on one side or the other.
    pub(crate) fn url(&self, left: bool) -> String {
        let side = SIDES[usize::from(!left)];
        let url = |node: &Node| format!("redis://{side}:{side}@{}", node.network.address());
        self.nodes.each_ref().map(url).join(" ")
    }

    pub(crate) fn servers(&self) -> Vec<&Server> {
        self.nodes.iter().map(|node| &node.server).collect()
    }

    /// Has all nodes forget everything at the same time, as if they had never served; or but for
    /// that they have, so that a node which forgets that has lost its vote.
    pub(crate) fn empty(&self, weather: Weather) {
        for server in self.servers() {
            server.command(&["FLUSHALL"]);
        }
        if matches!(weather, Weather::Fair | Weather::Rough) {
            return;
        }
        let since = SystemTime::now() - SERVED;
        let since = since.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let since = since.as_millis();
        for server in self.servers() {
            let start = server.info("server")["run_id"].clone();
            let mark = format!("{start} {since} {since}");
            server.command(&["SET", MARK, &mark]);
        }
    }
}

/// Has one node after the other be in trouble for `length`; or loses the memory of one, and what
/// comes after that is more than a quorum goes on through; or takes two away at a time.
pub(crate) fn besiege(
    stage: &Stage<'_>,
    quorum: &Quorum,
    weather: Weather,
    mut rng: Rng,
    length: Duration,
) {
    let end = now() + nanos(length);
    let mut siege = Siege {
        nodes: &quorum.nodes,
        history: &stage.history,
        without_vote: None,
    };
    let (mut deck, mut pause) = (Vec::new(), FIRST_PAUSE);
    loop {
        sleep_until(now() + nanos(rng.millis(pause.0, pause.1)));
        if stage.is_over() || now() >= end {
            return;
        }
        // A second node that forgets sooner than after five minutes is nothing that is promised.
        let forgets = weather == Weather::Amnesia && siege.without_vote.is_none();
        if forgets {
            let fault = Fault::TO_A_MEMORY[rng.below(Fault::TO_A_MEMORY.len())];
            siege.forget(fault, &mut rng);
        } else {
            if deck.is_empty() {
                deck = Fault::to_nodes(weather).to_vec();
                rng.shuffle(&mut deck);
            }
            siege.strike(deck.pop().unwrap(), &mut rng);
        }
        pause = PAUSE;
    }
}

/// What is being done to the nodes.
struct Siege<'a> {
    nodes: &'a [Node; 3],
    history: &'a History,
    /// That of a node that has lost its memory, or may have, and has no vote for five minutes.
    without_vote: Option<usize>,
}

impl Siege<'_> {
    /// Has a node forget, in half of the cases what another one, which is just back, has never known:
    /// a majority that does not know of a grant, but for the hold-off.
    fn forget(&mut self, fault: Fault, rng: &mut Rng) {
        let at = rng.below(self.nodes.len());
        let other = (at + 1 + rng.below(self.nodes.len() - 1)) % self.nodes.len();
        let missing = nanos(rng.millis(MISSING.0, MISSING.1));
        let down = rng.millis(DOWN.0, DOWN.1);
        let misses = rng.one_in(2);
        if misses {
            let from = now();
            self.take_away(&[other], false, Mode::BlackHole, from + missing);
            self.tell(Fault::Partition, from, None);
        }
        let server = &self.nodes[at].server;
        self.without_vote = Some(at);
        let mut from = now();
        match fault {
            Fault::FlushAll => nuisance::strike(server, fault, "", 0),
            _ => {
                from = restart::restart(server, fault, down);
                if misses {
                    self.tell(Fault::TwoBehind, from, None);
                }
            }
        }
        self.tell(fault, from, None);
    }

    fn strike(&self, fault: Fault, rng: &mut Rng) {
        let name = NAMES[rng.below(NAMES.len())];
        let first = rng.below(self.nodes.len());
        let other = (first + 1 + rng.below(self.nodes.len() - 1)) % self.nodes.len();
        let (least, most) = match rng.one_in(2) {
            true => TROUBLE,
            false => LONG_TROUBLE,
        };
        let lasts = nanos(rng.millis(least, most));
        let dice = rng.below(1000);
        let mode = mode_of(fault, dice, rng.millis(DELAY.0, DELAY.1));
        let node = &self.nodes[first];
        let from = now();
        match fault {
            Fault::KillClients | Fault::FlushScripts | Fault::DeleteKey => {
                nuisance::strike(&node.server, fault, name, dice);
                let name = (fault == Fault::DeleteKey).then_some(name);
                self.tell(fault, from, name);
                return;
            }
            Fault::CutConnections => node.network.cut(),
            Fault::FreezeNode => {
                // That one is of no use to the others anyhow.
                let node = &self.nodes[self.without_vote.unwrap_or(first)];
                node.server.freeze();
                sleep_until(from + lasts);
                node.server.thaw();
            }
            Fault::SplitNetwork => {
                for (side, at) in SIDES.into_iter().zip([first, other]) {
                    self.nodes[at].network.set_for(side, mode);
                }
                sleep_until(from + lasts);
                for at in [first, other] {
                    self.nodes[at].network.set(Mode::Pass);
                }
            }
            Fault::MajorityAway => {
                self.take_away(&[first, other], rng.one_in(2), mode, from + lasts);
            }
            Fault::VoteAway => {
                let without = self.without_vote.unwrap_or(other);
                let away = (without + 1 + dice % 2) % self.nodes.len();
                self.take_away(&[away], rng.one_in(2), mode, from + lasts);
            }
            _ => {
                node.network.set(mode);
                sleep_until(from + lasts);
                node.network.set(Mode::Pass);
            }
        }
        self.tell(fault, from, None);
    }

    /// Has these nodes stand still, or be cut off, until then.
    fn take_away(&self, nodes: &[usize], stand_still: bool, mode: Mode, until: Nanos) {
        let nodes = || nodes.iter().map(|at| &self.nodes[*at]);
        match stand_still {
            true => nodes().for_each(|node| node.server.freeze()),
            false => nodes().for_each(|node| node.network.set(mode)),
        }
        sleep_until(until);
        match stand_still {
            true => nodes().for_each(|node| node.server.thaw()),
            false => nodes().for_each(|node| node.network.set(Mode::Pass)),
        }
    }

    fn tell(&self, fault: Fault, from: Nanos, name: Option<&str>) {
        let (to, name) = (now(), name.map(str::to_owned));
        self.history.add(&Record::Fault {
            from,
            to,
            fault,
            run: None,
            name,
        });
    }
}

/// What a network does that fails.
pub(crate) fn mode_of(fault: Fault, dice: usize, delay: Duration) -> Mode {
    match fault {
        Fault::SlowNetwork => Mode::Delay(delay),
        _ if dice.is_multiple_of(3) => Mode::SwallowReplies,
        _ => Mode::BlackHole,
    }
}
