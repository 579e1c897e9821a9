//! The keeper of the store: it sends the requests of a run and posts the answers.
//!
//! A store across the network gets a thread of its own, so that the thread that
//! judges the deadline never waits for the network. Requests are carried out one
//! at a time, in order. A store that answers at once is asked in place.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use crate::clock;
use crate::inbox::Post;
use crate::store::{Acquire, Claim, Grant, Refresh, Store};
use crate::supervisor::{Answer, Event};

/// What can be asked of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Take the lock.
    Acquire,
    /// Let the lease run from now.
    Refresh,
    /// Give the lock back.
    Release,
}

/// The bounds of one request.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// Before the lock is held.
    pub acquire: Duration,
    /// While it is held.
    pub held: Duration,
}

/// Carries out requests, one at a time.
struct Worker {
    store: Box<dyn Store>,
    claim: Claim,
    timeouts: Timeouts,
    grant: Option<Grant>,
}

/// The way to the store.
pub struct Keeper {
    place: Place,
    post: Post,
    under_way: usize,
}

enum Place {
    Here(Box<Worker>),
    Thread(Sender<Request>),
}

impl Keeper {
    /// A keeper that asks in place: for a store that answers at once.
    #[must_use]
    pub fn here(store: Box<dyn Store>, claim: Claim, timeouts: Timeouts, post: Post) -> Keeper {
        let worker = Worker {
            store,
            claim,
            timeouts,
            grant: None,
        };
        Keeper {
            place: Place::Here(Box::new(worker)),
            post,
            under_way: 0,
        }
    }

    /// A keeper with a thread of its own.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn thread(
        store: Box<dyn Store>,
        claim: Claim,
        timeouts: Timeouts,
        post: Post,
    ) -> std::io::Result<Keeper> {
        let (sender, requests) = mpsc::channel();
        let mut worker = Worker {
            store,
            claim,
            timeouts,
            grant: None,
        };
        let answers = post.clone();
        let work = move || {
            let served = catch_unwind(AssertUnwindSafe(|| {
                for request in requests {
                    answers.send(Event::Answer(worker.perform(request)));
                }
            }));
            if served.is_err() {
                answers.send(Event::KeeperGone);
            }
        };
        thread::Builder::new()
            .name("keeper".to_owned())
            .spawn(work)?;
        Ok(Keeper {
            place: Place::Thread(sender),
            post,
            under_way: 0,
        })
    }

    /// Sends a request; its answer will be in the inbox.
    pub fn send(&mut self, request: Request) {
        self.under_way += 1;
        match &mut self.place {
            Place::Here(worker) => self.post.send(Event::Answer(worker.perform(request))),
            Place::Thread(sender) => {
                if sender.send(request).is_err() {
                    self.post.send(Event::KeeperGone);
                }
            }
        }
    }

    /// Takes note that an answer was read from the inbox.
    pub fn answered(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// Whether a request is under way.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.under_way > 0
    }
}

impl Worker {
    fn perform(&mut self, request: Request) -> Answer {
        let sent_at = clock::now();
        match request {
            Request::Acquire => {
                let result = self.store.acquire(&self.claim, self.timeouts.acquire);
                if let Ok(Acquire::Granted(grant)) = &result {
                    self.grant = Some(*grant);
                }
                Answer::Acquired { sent_at, result }
            }
            Request::Refresh => {
                // Only a granted lock is refreshed; an unknown grant matches nothing.
                let grant = self.grant.unwrap_or(Grant {
                    fence: crate::store::Fence(0),
                    end_ms: 0,
                });
                let result = self.store.refresh(&self.claim, &grant, self.timeouts.held);
                if let Ok(Refresh::Held(grant) | Refresh::Retaken(grant)) = &result {
                    self.grant = Some(*grant);
                }
                Answer::Refreshed { sent_at, result }
            }
            Request::Release => {
                Answer::Released(self.store.release(&self.claim, self.timeouts.held))
            }
        }
    }
}
