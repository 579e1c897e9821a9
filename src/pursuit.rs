//! What a run asks of the store, and what the user is told meanwhile: done for whoever
//! acts on a supervisor's decisions, with a command to start or without.

use std::os::fd::BorrowedFd;
use std::thread;

use crate::clock::{self, Tick};
use crate::config::Lock;
use crate::footprint::Track;
use crate::inbox::Post;
use crate::keeper::{Keeper, Request, Timeouts};
use crate::log::Log;
use crate::message::Message;
use crate::store::target::Distance;
use crate::store::{Claim, End, Queued};
use crate::supervisor::{Action, Answer, Event};
use crate::ui::WaitingLine;

/// The holders that a job descends from, the outermost first.
pub const CHAIN: &str = "TASKLOCK_CHAIN";

/// `TASKLOCK_CHAIN` as we inherited it.
#[must_use]
pub fn chain() -> Option<String> {
    std::env::var(CHAIN).ok().filter(|chain| !chain.is_empty())
}

/// The ids of the holders that we descend from.
#[must_use]
pub fn ancestors() -> Vec<String> {
    let chain = chain();
    let ids = chain.iter().flat_map(|ids| ids.split(','));
    ids.map(str::to_owned).collect()
}

/// A claim on its way.
pub struct Pursuit<'a> {
    /// What is asked for.
    pub claim: Claim,
    lock: &'a Lock,
    log: &'a Log,
    post: Post,
    keeper: Keeper,
    timeouts: Timeouts,
    /// Once we wait; with the line that says so at a terminal.
    waiting: Option<Option<WaitingLine>>,
}

impl<'a> Pursuit<'a> {
    /// Nothing is asked yet.
    #[must_use]
    pub fn new(
        (lock, claim): (&'a Lock, Claim),
        log: &'a Log,
        timeouts: Timeouts,
        post: Post,
    ) -> Pursuit<'a> {
        let store = lock.target.open(&lock.key_prefix);
        let distance = match lock.target.distance() {
            // Replicas have to be waited for.
            Distance::Near if claim.replicas > 0 => Distance::Far,
            distance => distance,
        };
        let keeper = Keeper::new((store, distance), claim.clone(), timeouts, post.clone());
        Pursuit {
            claim,
            lock,
            log,
            post,
            keeper,
            timeouts,
            waiting: None,
        }
    }

    /// Does what is asked of the store, or told to the user; the rest is the caller's.
    pub fn perform(&mut self, action: &Action) {
        if matches!(action, Action::Spawn { .. } | Action::Say(_)) {
            // What is written now must not mix with the line of a waiter. One who
            // goes on waiting after it says so anew.
            self.waiting = None;
        }
        match action {
            Action::Acquire(ask) => self.keeper.send(Request::Acquire(*ask)),
            Action::Wait { queued, until } => self.waits(queued.clone(), *until),
            Action::Refresh => self.keeper.send(Request::Refresh),
            Action::Release(end) => self.keeper.send(Request::Release(*end)),
            Action::Withdraw(end) => self.withdraw(*end),
            Action::Say(message) => self.log.say(message),
            _ => {}
        }
    }

    /// Takes note that an answer was read from the inbox.
    pub fn answered(&mut self) {
        self.keeper.answered();
    }

    /// Where a command that is started now is to put who it is.
    pub fn track(&mut self) -> Option<Track<'_>> {
        self.keeper.track()
    }

    /// What to listen for while we stand in line.
    #[must_use]
    pub fn bell(&self) -> Option<BorrowedFd<'_>> {
        self.keeper.bell()
    }

    /// Takes back a request whose outcome we do not wait for. While the keeper
    /// is inside one, a short-lived thread with a connection of its own does it.
    fn withdraw(&mut self, end: End) {
        if !self.keeper.is_busy() {
            return self.keeper.send(Request::Release(end));
        }
        let mut store = self.lock.target.open(&self.lock.key_prefix);
        let (claim, timeout, post) = (self.claim.clone(), self.timeouts.acquire, self.post.clone());
        let work = move || {
            // Whatever it answers: nobody is left to act on it.
            let _ = store.release(&claim, end, timeout);
            post.send(Event::Answer(Answer::Withdrawn));
        };
        if thread::Builder::new()
            .name("withdraw".to_owned())
            .spawn(work)
            .is_err()
        {
            self.post.send(Event::Answer(Answer::Withdrawn));
        }
    }

    /// Tells whoever is there that we wait: a terminal all the time, a log once.
    fn waits(&mut self, queued: Queued, until: Tick) {
        let (name, places) = (self.claim.name.as_str(), self.claim.slots);
        let waiting = self.waiting.get_or_insert_with(|| {
            let line = self
                .log
                .is_for_people()
                .then(|| WaitingLine::start(name.to_owned(), places));
            let line = line.flatten();
            if line.is_none() {
                let left = (until != Tick::NEVER).then(|| until.since(clock::now()));
                let queued = queued.clone();
                self.log.say(&Message::Waiting {
                    queued,
                    left,
                    places,
                });
            }
            line
        });
        if let Some(line) = waiting {
            line.show(queued, until);
        }
    }
}
