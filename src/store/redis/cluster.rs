//! The way to the node of a Redis Cluster that has a lock's slot.
//!
//! No full client: all keys of a lock are in one slot, so all that matters is who
//! has this slot. Any node knows, and says so when it is asked for the lock itself
//! (`MOVED`); so nothing is asked for its own sake, and a run costs one redirection
//! more than on one server, or none. The owner is remembered until it fails or
//! names another.
//!
//! The owner is given half of the time that is left, a seed its share of it: one
//! that is dead must not use up the time of the others. What passes by itself (a
//! fail-over under way, a slot on the move) is waited for until the deadline, as
//! long as any node answers.

mod reply;
mod seeds;
mod shard;
mod slot;
mod trip;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::Value;

pub use self::seeds::Seeds;

use self::reply::{Node, Reply};
use self::trip::{Trip, Weight};
use super::eval::{self, Eval};
use super::failure;
use super::link::{Line, closed};
use super::wire::{self, Fault};
use super::{Address, Server};

/// When to ask who else there is: not within a run that is over in a moment, and
/// then often enough for what is done to a Cluster by hand.
const LEARN_AFTER: Duration = Duration::from_secs(1);
const LEARN_EVERY: Duration = Duration::from_secs(60);

/// Goes in front of every script.
const GUARD: &str = include_str!("cluster.lua");

/// Goes in front of a script for a node that the slot is on its way to: a list of runs
/// that is still to come must not meet another there.
const MOVING: &str = "ARGV.moving = true\n";

/// Goes in front of a script that declares the state only, and has the plain key as its last word.
const STATE_ONLY: &str = "local KEYS = {ARGV[#ARGV], KEYS[1]}\n";

/// The node that has a lock's slot, once it is known.
pub(super) struct Cluster {
    seeds: Arc<Seeds>,
    /// The slot that was asked for last.
    slot: Option<u16>,
    owner: Option<Line>,
    /// The node that the slot is on its way to.
    importer: Option<Line>,
    /// Whom to ask for the owner, next in front: the seeds, and who else is known.
    guides: VecDeque<Arc<Server>>,
    /// When to ask for others that could take the owner's place.
    learn_at: Option<Instant>,
    spoken_to: Arc<Server>,
}

impl Cluster {
    pub(super) fn new(seeds: Arc<Seeds>) -> Cluster {
        Cluster {
            slot: None,
            owner: None,
            importer: None,
            guides: VecDeque::new(),
            learn_at: None,
            spoken_to: Arc::clone(seeds.first()),
            seeds,
        }
    }

    /// The node that gave the last answer or failed to.
    pub(super) fn spoken_to(&self) -> &Arc<Server> {
        &self.spoken_to
    }

    /// Runs a script on the node that has the slot of its keys. It may be run twice.
    pub(super) fn request(&mut self, eval: &Eval<'_>, deadline: Instant) -> Result<Value, Fault> {
        self.turn_to(slot::of(eval.key));
        let mut trip = Trip::until(deadline);
        let (server, answer) = match self.find(eval, &mut trip) {
            Some((server, value)) => (server, Ok(value)),
            None => trip
                .into_failure()
                .unwrap_or_else(|| (Arc::clone(self.seeds.first()), Err(Fault::NoAnswer))),
        };
        self.spoken_to = server;
        answer
    }

    /// One more request to the node that gave the last answer, on the same connection.
    pub(super) fn request_behind(
        &mut self,
        packed: &[u8],
        deadline: Instant,
    ) -> Result<Value, Fault> {
        let spoken_to = &self.spoken_to;
        let mut lines = self.owner.iter_mut().chain(&mut self.importer);
        let line = lines.find(|line| Arc::ptr_eq(line.server(), spoken_to));
        line.ok_or_else(closed)?.request_behind(packed, deadline)
    }

    /// A connection to each master, none of them made yet. Asks one node after the other who they are.
    pub(super) fn masters(&mut self, deadline: Instant) -> Result<Vec<Line>, Fault> {
        let ask = redis::cmd("CLUSTER").arg("SLOTS").get_packed_command();
        let trip = Trip::until(deadline);
        let seeds: Vec<_> = self.seeds.servers().cloned().collect();
        let mut fault = Fault::NoAnswer;
        for (asked, seed) in seeds.iter().enumerate() {
            let mut line = Line::new(Arc::clone(seed));
            self.spoken_to = Arc::clone(seed);
            let answer = line.request(&ask, trip.part_of(seeds.len() - asked));
            fault = match answer {
                Ok(Value::ServerError(error)) => Fault::Refused(wire::error_text(&error)),
                Ok(answer) => match shard::masters(&answer) {
                    Some(masters) => {
                        let servers = masters.iter().map(|node| self.server_of(node, seed));
                        return Ok(servers.map(Line::new).collect());
                    }
                    None => {
                        let text = "CLUSTERDOWN not every slot has a master";
                        Fault::Refused(text.to_owned())
                    }
                },
                Err(fault) => fault,
            };
        }
        Err(fault)
    }

    fn turn_to(&mut self, slot: u16) {
        if self.slot.replace(slot) == Some(slot) {
            return;
        }
        self.owner = None;
        self.importer = None;
        self.learn_at = Some(Instant::now() + LEARN_AFTER);
        self.guides = self.seeds.servers().cloned().collect();
        // Where the slot is in a Cluster that was made from its masters in this order.
        let likely = usize::from(slot) * self.guides.len() / usize::from(slot::COUNT);
        self.guides.rotate_left(likely);
    }

    /// The answer of the node that has the slot, and which one that is.
    fn find(&mut self, eval: &Eval<'_>, trip: &mut Trip) -> Option<(Arc<Server>, Value)> {
        let packed = guarded("", eval.text, &[eval.key, &eval.state()], eval.args);
        loop {
            let tired = match self.step(eval, &packed, trip) {
                Step::Found(server, value) => return Some((server, value)),
                Step::Hopeless => return None,
                Step::On => false,
                Step::Tired => true,
            };
            let all_asked = self.owner.is_none() && trip.guides_asked >= self.guides.len();
            if all_asked && !trip.answered {
                // Nobody is there. When to try again is for the caller to say.
                return None;
            }
            if trip.is_over() || (tired || all_asked) && !trip.rest() {
                return None;
            }
        }
    }

    /// Asks the owner, or else a guide.
    fn step(&mut self, eval: &Eval<'_>, packed: &[u8], trip: &mut Trip) -> Step {
        let owner = self.owner.take();
        let of_owner = owner.is_some();
        let (mut line, parts) = match owner {
            Some(line) => (line, 2),
            // One for each that is left to ask, and one for the owner.
            None => (
                self.next_guide(trip),
                self.guides.len().saturating_sub(trip.guides_asked) + 2,
            ),
        };
        let part = trip.part_of(parts);
        let answer = if of_owner && self.learn_at.is_some_and(|at| at <= Instant::now()) {
            self.request_and_learn(&mut line, packed, part)
        } else {
            line.request(packed, part)
        };
        let answer = answer.map(Reply::from);
        trip.answered |= answer.is_ok();
        if let (false, Ok(Reply::Final(_) | Reply::Moved(_) | Reply::Ask(_))) = (of_owner, &answer)
        {
            self.guides.rotate_right(1);
        }
        match answer {
            Ok(Reply::Final(value)) => {
                let server = Arc::clone(line.server());
                self.owner = Some(line);
                Step::Found(server, value)
            }
            Ok(Reply::Moved(node)) => {
                let next = self.line_to(&node, line.server());
                let fresh = trip.hop(next.server());
                self.owner = Some(next);
                if fresh { Step::On } else { Step::Tired }
            }
            Ok(Reply::Ask(node)) => {
                let answer = self.ask(&node, &mut line, eval, trip);
                self.owner = Some(line);
                answer.map_or(Step::Tired, |(server, value)| Step::Found(server, value))
            }
            Ok(Reply::Again(value)) => {
                trip.fail(line.server(), Weight::Owner, Ok(value));
                self.owner = Some(line);
                Step::Tired
            }
            Ok(Reply::Elsewhere(value)) => {
                trip.fail(line.server(), Weight::of(of_owner), Ok(value));
                Step::On
            }
            Err(fault) => {
                let definite = failure::is_definite(line.server(), &fault);
                let weight = match (of_owner, definite) {
                    (false, true) => Weight::DefiniteGuide,
                    _ => Weight::of(of_owner),
                };
                trip.fail(line.server(), weight, Err(fault));
                if of_owner && definite {
                    Step::Hopeless
                } else {
                    Step::On
                }
            }
        }
    }

    /// A request to the owner, which tells by the way who its replicas are: the seeds
    /// may all be gone when one of these takes over.
    fn request_and_learn(
        &mut self,
        line: &mut Line,
        packed: &[u8],
        deadline: Instant,
    ) -> Result<Value, Fault> {
        let mut both = redis::cmd("CLUSTER").arg("SLOTS").get_packed_command();
        both.extend(packed);
        let (nodes, value) = match line.exchange(&both, deadline) {
            Ok([slots, value]) => (self.slot.and_then(|slot| shard::of(slot, &slots)), value),
            // A Cluster in so many pieces that they are too much for us.
            Err(Fault::Garbled | Fault::NotRedis) => {
                self.learn_at = None;
                return line.request(packed, deadline);
            }
            Err(fault) => return Err(fault),
        };
        self.learn_at = Some(Instant::now() + LEARN_EVERY);
        if let Some(nodes) = nodes {
            let servers = nodes.iter().map(|node| self.server_of(node, line.server()));
            let mut guides: VecDeque<_> = servers.collect();
            guides.retain(|server| server.address != line.server().address);
            for seed in self.seeds.servers() {
                if guides.iter().all(|known| known.address != seed.address) {
                    guides.push_back(Arc::clone(seed));
                }
            }
            self.guides = guides;
        }
        Ok(value)
    }

    /// Asks the node that the slot is on its way to. None: it has to be tried again.
    fn ask(
        &mut self,
        node: &Node,
        source: &mut Line,
        eval: &Eval<'_>,
        trip: &mut Trip,
    ) -> Option<(Arc<Server>, Value)> {
        let mut line = self.line_to(node, source.server());
        let packed = guarded(MOVING, eval.text, &[eval.key, &eval.state()], eval.args);
        let mut answer = asking(&mut line, &packed, trip.part_of(2));
        if matches!(answer, Ok(Reply::Again(_))) && has_left(source, node, eval, trip.part_of(2)) {
            // A command that declares a key that is nowhere is refused until the
            // slot has moved; to a script this node gives it all the same. Neither
            // key can be on the other side: what a node has sent away, it does not
            // make again.
            let state = eval.state();
            let mut args = eval.args.to_vec();
            args.push(eval.key);
            let packed = guarded(&[STATE_ONLY, MOVING].concat(), eval.text, &[&state], &args);
            answer = asking(&mut line, &packed, trip.part_of(2));
        }
        let server = Arc::clone(line.server());
        let failure = match answer {
            Ok(Reply::Final(value)) => {
                self.importer = Some(line);
                return Some((server, value));
            }
            Ok(Reply::Again(value) | Reply::Elsewhere(value)) => {
                self.importer = Some(line);
                Ok(value)
            }
            Ok(Reply::Moved(_) | Reply::Ask(_)) => Err(trip::astray()),
            Err(fault) => Err(fault),
        };
        trip.fail(&server, Weight::Owner, failure);
        None
    }

    /// The next guide; one that is of use is put in front again.
    fn next_guide(&mut self, trip: &mut Trip) -> Line {
        trip.guides_asked += 1;
        let guide = self.guides.front().unwrap_or(self.seeds.first());
        let line = Line::new(Arc::clone(guide));
        self.guides.rotate_left(1);
        line
    }

    /// The way to a node that `by` has named.
    fn line_to(&mut self, node: &Node, by: &Server) -> Line {
        let server = self.server_of(node, by);
        let known = |line: &mut Line| line.server().address == server.address;
        let line = self.importer.take_if(known);
        line.unwrap_or_else(|| Line::new(server))
    }

    /// A node that `by` has named, or a seed.
    fn server_of(&self, node: &Node, by: &Server) -> Arc<Server> {
        let host = match (&node.host, &by.address) {
            (Some(host), _) | (None, Address::Tcp { host, .. }) => host.clone(),
            (None, Address::Unix(_)) => String::new(),
        };
        let address = Address::Tcp {
            host,
            port: node.port,
        };
        let mut seeds = self.seeds.servers();
        let seed = seeds.find(|server| server.address == address);
        seed.cloned().unwrap_or_else(|| {
            Arc::new(Server {
                address,
                tls: by.tls.clone(),
                user: by.user.clone(),
                password: by.password.clone(),
                database: 0,
                named_by: Some(by.url()),
            })
        })
    }
}

/// What came of one step.
enum Step {
    Found(Arc<Server>, Value),
    /// There is somebody else to ask.
    On,
    /// The same again makes sense after a pause only.
    Tired,
    /// Nothing makes sense.
    Hopeless,
}

/// A script for a node of a Cluster.
fn guarded(before: &str, text: &str, keys: &[&str], args: &[&str]) -> Vec<u8> {
    eval::command(&[before, GUARD, text].concat(), keys, args)
}

/// A command for a node that a slot is on its way to.
fn asking(line: &mut Line, packed: &[u8], deadline: Instant) -> Result<Reply, Fault> {
    let mut both = redis::cmd("ASKING").get_packed_command();
    both.extend(packed);
    // Without leave to ask, the answer to the command says so.
    let [_, value] = line.exchange(&both, deadline)?;
    Ok(Reply::from(value))
}

/// Whether neither key is with `source` any more, which sends everybody to `node` for them.
fn has_left(source: &mut Line, node: &Node, eval: &Eval<'_>, deadline: Instant) -> bool {
    let mut both = eval::command("return 1", &[eval.key], &[]);
    both.extend(eval::command("return 1", &[&eval.state()], &[]));
    source
        .exchange(&both, deadline)
        .is_ok_and(|answers: [Value; 2]| {
            answers
                .into_iter()
                .all(|answer| Reply::from(answer) == Reply::Ask(node.clone()))
        })
}
