//! The nodes of a quorum, asked at the same time: each in a thread of its own,
//! with a connection of its own, so that none holds up the others.
//!
//! Waiting ends when enough have answered. A node that is silent is not waited
//! for until it answers again, unless nothing can be decided without it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::tally::Replies;
use crate::store::redis::Server;
use crate::store::redis::node::Node;
use crate::store::{StoreError, StoreErrorKind};

/// Once enough have answered, the others have so many times as long again, within
/// these bounds: a node that takes part costs less than one that has to be healed,
/// and a busy machine is slow for all.
const LATE_FACTOR: u32 = 3;
const LATE_MIN: Duration = Duration::from_millis(5);
const LATE_MAX: Duration = Duration::from_millis(20);
/// A request to a node takes at most this part of the ttl, and at most [`REQUEST_MAX`].
const REQUESTS_PER_TTL: u32 = 10;
const REQUEST_MAX: Duration = Duration::from_millis(500);
/// A busy machine needs that much.
const REQUEST_MIN: Duration = Duration::from_millis(100);
/// The first one has to be connected: TCP, TLS and AUTH take a round trip each.
const ROUND_TRIPS_TO_CONNECT: u32 = 4;
/// A node that has not answered for so long is silent: it may come back at any
/// time, but is not waited for.
const SILENT_AFTER: Duration = Duration::from_millis(100);
/// What a node is owed is tried again this often.
const OWED_RETRY: Duration = Duration::from_secs(1);

/// How long to go on waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Enough {
    /// Nothing is decided yet.
    No,
    /// Only those could change it that have not been silent.
    ButForSilent,
    /// It is decided.
    Yes,
    /// It is decided; a moment for those that are a little late.
    ButForLate,
    /// It is decided, but whoever has answered before is to answer now, too;
    /// and the others have the moment of those that are late.
    ButForKnown,
}

/// What a node's thread does; says whether the node answered.
type Work = Box<dyn FnMut(&mut Node) -> bool + Send>;

enum Job {
    /// Once.
    Ask(Work),
    /// Until it is answered, or at the latest until then.
    Owe(Work, Instant),
}

/// The threads of all nodes.
pub(super) struct Panel {
    members: Vec<Member>,
    key_prefix: String,
    set: String,
}

struct Member {
    server: Arc<Server>,
    jobs: Option<Sender<Job>>,
    /// The way to send something behind what its thread waits for.
    behind: Option<Node>,
    state: Arc<State>,
}

/// What is known of a node's answering.
#[derive(Default)]
struct State {
    /// It has answered before.
    is_known: AtomicBool,
    /// It did not answer the last time.
    has_failed: AtomicBool,
    /// Since when it is being asked.
    busy_since: Mutex<Option<Instant>>,
}

impl State {
    /// From when on it is silent; None: it owes no answer.
    fn silent_from(&self) -> Option<Instant> {
        let busy_since = *self
            .busy_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if self.has_failed.load(Ordering::Relaxed) {
            return Some(busy_since.unwrap_or_else(Instant::now));
        }
        busy_since.map(|since| since + SILENT_AFTER)
    }

    fn is_silent(&self) -> bool {
        self.silent_from()
            .is_some_and(|from| from <= Instant::now())
    }

    fn begins(&self) {
        let mut busy_since = self
            .busy_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *busy_since = Some(Instant::now());
    }

    fn ends(&self, answered: bool) {
        let mut busy_since = self
            .busy_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *busy_since = None;
        self.has_failed.store(!answered, Ordering::Relaxed);
        if answered {
            self.is_known.store(true, Ordering::Relaxed);
        }
    }
}

impl Panel {
    /// The nodes in their fixed order. Threads are started when they are needed.
    pub(super) fn new(servers: &[Arc<Server>], key_prefix: &str, set: &str) -> Panel {
        let member = |server: &Arc<Server>| Member {
            server: Arc::clone(server),
            jobs: None,
            behind: None,
            state: Arc::default(),
        };
        Panel {
            members: servers.iter().map(member).collect(),
            key_prefix: key_prefix.to_owned(),
            set: set.to_owned(),
        }
    }

    /// How many nodes there are.
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// One more connection to a node, for the calling thread.
    pub(super) fn node(&self, at: usize) -> Node {
        let server = Arc::clone(&self.members[at].server);
        Node::new(server, &self.key_prefix, (&self.set, at))
    }

    /// How long a request to this node may take.
    pub(super) fn timeout(&self, at: usize, ttl: Duration) -> Duration {
        let request = (ttl / REQUESTS_PER_TTL).clamp(REQUEST_MIN, REQUEST_MAX);
        if self.members[at].state.is_known.load(Ordering::Relaxed) {
            request
        } else {
            request * ROUND_TRIPS_TO_CONNECT
        }
    }

    /// Asks those nodes whose reply is None, each with what `question` makes for
    /// it and no longer than its timeout and the deadline allow, and puts down
    /// the replies until `enough` says so. A node that had its time gets an
    /// error; one that is only late stays None.
    pub(super) fn ask<T, F>(
        &mut self,
        bounds: Bounds,
        replies: &mut [Option<Result<T, StoreError>>],
        question: impl Fn(usize) -> F,
        enough: impl Fn(&Replies<T>) -> Enough,
    ) where
        T: Send + 'static,
        F: FnMut(&mut Node, Duration) -> Result<T, StoreError> + Send + 'static,
    {
        let start = Instant::now();
        let (sender, receiver) = mpsc::channel();
        let mut asked = Vec::new();
        let targets: Vec<usize> = (0..self.len())
            .filter(|&at| replies[at].is_none())
            .collect();
        for at in targets {
            let deadline = bounds.deadline.min(start + self.timeout(at, bounds.ttl));
            let work = answering(at, deadline, question(at), sender.clone());
            match self.send(at, Job::Ask(work)) {
                Ok(()) => asked.push((at, deadline)),
                Err(error) => replies[at] = Some(Err(error)),
            }
        }
        drop(sender);
        self.collect(&receiver, &asked, start, replies, enough);
    }

    /// Whether a node is not waited for.
    pub(super) fn is_silent(&self, at: usize) -> bool {
        self.state(at).is_silent()
    }

    fn collect<T>(
        &self,
        receiver: &Receiver<(usize, Result<T, StoreError>)>,
        asked: &[(usize, Instant)],
        start: Instant,
        replies: &mut [Option<Result<T, StoreError>>],
        enough: impl Fn(&Replies<T>) -> Enough,
    ) {
        let is_known = |at: usize| self.state(at).is_known.load(Ordering::Relaxed);
        let mut late = None;
        loop {
            let enough = enough(replies);
            let pending = || {
                let pending = asked.iter().filter(|(at, _)| replies[*at].is_none());
                pending.copied()
            };
            let last = |of: &dyn Fn(usize) -> bool| {
                let of_them = pending().filter(|(at, _)| of(*at));
                of_them.map(|(_, deadline)| deadline).max()
            };
            // Until each has answered, had its time or become silent.
            let now = Instant::now();
            let last_but_for_silent = |of: &dyn Fn(usize) -> bool| {
                let from = |at| self.state(at).silent_from().unwrap_or(now + SILENT_AFTER);
                let of_them = pending().filter(|(at, _)| of(*at));
                let ends = of_them.map(|(at, deadline)| deadline.min(from(at)));
                ends.filter(|end| *end > now).max()
            };
            if matches!(enough, Enough::ButForLate | Enough::ButForKnown) && late.is_none() {
                let moment = (start.elapsed() * LATE_FACTOR).clamp(LATE_MIN, LATE_MAX);
                late = Some(Instant::now() + moment);
            }
            let waiting_for = match enough {
                Enough::Yes => None,
                Enough::No => last(&|_| true),
                Enough::ButForSilent => last_but_for_silent(&|_| true),
                Enough::ButForLate => last_but_for_silent(&|_| true).min(late),
                Enough::ButForKnown => {
                    last_but_for_silent(&is_known).or_else(|| last(&|_| true).min(late))
                }
            };
            let Some(until) = waiting_for else { return };
            match receiver.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok((at, reply)) => replies[at] = Some(reply),
                Err(RecvTimeoutError::Timeout) if late.is_some_and(|late| until <= late) => return,
                Err(error) => {
                    let now = Instant::now();
                    let is_over = |(_, deadline): &(usize, Instant)| {
                        // Or all threads are through, some of them without an answer.
                        *deadline <= now || error == RecvTimeoutError::Disconnected
                    };
                    let over: Vec<_> = pending().filter(is_over).collect();
                    for (at, deadline) in over {
                        replies[at] = Some(Err(self.no_reply(at, deadline - start)));
                    }
                }
            }
        }
    }

    fn state(&self, at: usize) -> &State {
        &self.members[at].state
    }

    /// Has a node do `work` until it answers, for as long as `until` and this process last.
    /// Nobody waits for it. The process may end at once: what takes something back is therefore
    /// sent behind a request that is under way, as a node that stands still will do both later.
    pub(super) fn owe(
        &mut self,
        at: usize,
        until: Instant,
        mut work: impl FnMut(&mut Node, Duration) -> Result<(), StoreError> + Send + 'static,
    ) {
        if let Some(behind) = &mut self.members[at].behind {
            let _ = work(behind, REQUEST_MAX); // which has no answer
        }
        let work = move |node: &mut Node| is_answered(&work(node, REQUEST_MAX));
        // Without a thread it is not done: what it would take back ends by itself.
        let _ = self.send(at, Job::Owe(Box::new(work), until));
    }

    fn no_reply(&self, at: usize, after: Duration) -> StoreError {
        let (server, after) = (&self.members[at].server, after.as_millis());
        let text = format!("no reply from {server} within {after}ms");
        StoreError::new(StoreErrorKind::Unavailable, text)
    }

    fn send(&mut self, at: usize, job: Job) -> Result<(), StoreError> {
        if self.members[at].jobs.is_none() {
            let node = self.node(at);
            let member = &mut self.members[at];
            member.behind = node.behind();
            let (sender, jobs) = mpsc::channel();
            let state = Arc::clone(&member.state);
            thread::Builder::new()
                .name(format!("node {at}"))
                .spawn(move || work(node, &jobs, &state))
                .map_err(|error| {
                    let text = format!("cannot start a thread: {error}");
                    StoreError::new(StoreErrorKind::Unavailable, text)
                })?;
            member.jobs = Some(sender);
        }
        let member = &mut self.members[at];
        let sent = member.jobs.as_ref().map(|jobs| jobs.send(job));
        match sent {
            Some(Ok(())) => Ok(()),
            _ => {
                member.jobs = None;
                let text = format!("the thread of {} has died", member.server);
                Err(StoreError::new(StoreErrorKind::Defect, text))
            }
        }
    }
}

/// How long nodes may be asked.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// The end of the whole request.
    pub(super) deadline: Instant,
    /// Of the lease: an answer that takes a good part of it is of no use.
    pub(super) ttl: Duration,
}

/// The work that asks a node and passes its reply on.
fn answering<T: Send + 'static>(
    at: usize,
    deadline: Instant,
    mut question: impl FnMut(&mut Node, Duration) -> Result<T, StoreError> + Send + 'static,
    replies: Sender<(usize, Result<T, StoreError>)>,
) -> Work {
    let mut replies = Some(replies);
    Box::new(move |node| {
        let left = deadline.saturating_duration_since(Instant::now());
        let Some(replies) = replies.take().filter(|_| !left.is_zero()) else {
            return false;
        };
        let reply = question(node, left);
        let answered = is_answered(&reply) || deadline > Instant::now();
        // Nobody may be left to hear it.
        let _ = replies.send((at, reply));
        answered
    })
}

/// Whether the node said something, be it that it cannot serve.
fn is_answered<T>(reply: &Result<T, StoreError>) -> bool {
    match reply {
        Ok(_) => true,
        Err(error) => error.kind != StoreErrorKind::Unavailable,
    }
}

/// What the thread of a node does.
fn work(mut node: Node, jobs: &Receiver<Job>, state: &State) {
    let mut owed: Vec<(Work, Instant)> = Vec::new();
    loop {
        let job = if owed.is_empty() {
            jobs.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            jobs.recv_timeout(OWED_RETRY)
        };
        let mut is_reachable = true;
        match job {
            Ok(Job::Ask(mut work)) => {
                state.begins();
                is_reachable = safely(&mut work, &mut node);
                state.ends(is_reachable);
            }
            Ok(Job::Owe(work, until)) => owed.push((work, until)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if is_reachable {
            owed.retain_mut(|(work, until)| !safely(work, &mut node) && Instant::now() < *until);
        }
    }
}

/// A defect ends the request, not the thread: the others still count on this node.
fn safely(work: &mut Work, node: &mut Node) -> bool {
    catch_unwind(AssertUnwindSafe(|| work(node))).unwrap_or(false)
}
