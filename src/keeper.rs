//! The keeper of the store: it sends the requests of a run and posts the answers.
//!
//! While a child runs, the thread that judges its deadline never waits for the
//! network: from the first refresh on, the store is asked in a thread of its
//! own, one request at a time. Before the child and after it there is no
//! deadline to judge. A store that is near is then asked in place, for a moment:
//! most jobs are short, and starting a thread and waking it twice would cost
//! them more than all the rest. What is not answered in that moment is asked
//! again in the thread, with the same token, and means the same.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use crate::clock::{self, Tick};
use crate::inbox::Post;
use crate::message::plain;
use crate::store::target::Distance;
use crate::store::{
    Acquire, Ask, Claim, End, Fence, Grant, Refresh, Store, StoreError, StoreErrorKind,
};
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

/// How long a near store is asked in place: no signal is heard meanwhile, and
/// 200 ms is what the end of a run may be held up anyway (to withdraw). Three
/// round trips fit in, to another continent if need be.
const MOMENT_MAX: Duration = Duration::from_millis(200);
/// It is also little beside the timeout, with which the thread begins anew.
const MOMENTS_PER_TIMEOUT: u32 = 10;

/// Carries out requests, one at a time.
struct Worker {
    store: Box<dyn Store>,
    claim: Claim,
    grant: Option<Grant>,
}

/// The way to the store.
pub struct Keeper {
    distance: Distance,
    timeouts: Timeouts,
    /// Until it moves to the thread.
    here: Option<Box<Worker>>,
    thread: Option<Sender<(Request, Duration)>>,
    post: Post,
    under_way: usize,
}

impl Keeper {
    /// A keeper of `store`, which is that far away, for `claim`.
    #[must_use]
    pub fn new(
        (store, distance): (Box<dyn Store>, Distance),
        claim: Claim,
        timeouts: Timeouts,
        post: Post,
    ) -> Keeper {
        let here = Worker {
            store,
            claim,
            grant: None,
        };
        Keeper {
            distance,
            timeouts,
            here: Some(Box::new(here)),
            thread: None,
            post,
            under_way: 0,
        }
    }

    /// Sends a request; its answer will be in the inbox.
    pub fn send(&mut self, request: Request) {
        self.under_way += 1;
        let timeout = match request {
            Request::Acquire => self.timeouts.acquire,
            Request::Refresh | Request::Release => self.timeouts.held,
        };
        let moment = match (self.distance, request) {
            (Distance::Here, _) => Some(timeout),
            (Distance::Near, Request::Acquire | Request::Release) => {
                Some(MOMENT_MAX.min(timeout / MOMENTS_PER_TIMEOUT))
            }
            (Distance::Near, Request::Refresh) | (Distance::Far, _) => None,
        };
        if let Some((worker, moment)) = self.here.as_mut().zip(moment) {
            let start = clock::now();
            let event = worker.perform_safely(request, moment);
            let in_time = moment == timeout || clock::now().since(start) < moment;
            if in_time || !is_silence(&event) {
                return self.post.send(event);
            }
        }
        self.ask_in_thread(request, timeout);
    }

    fn ask_in_thread(&mut self, request: Request, timeout: Duration) {
        if let Some(worker) = self.here.take() {
            match start(self.post.clone(), worker) {
                Ok(thread) => self.thread = Some(thread),
                Err((worker, error)) => {
                    // Tried again at the next request, as if the store had failed.
                    self.here = Some(worker);
                    let text = format!("cannot start a thread: {}", plain(&error));
                    let error = StoreError::new(StoreErrorKind::Unavailable, text);
                    let answer = request.failed(clock::now(), error);
                    return self.post.send(Event::Answer(answer));
                }
            }
        }
        let sent = self
            .thread
            .as_ref()
            .map(|thread| thread.send((request, timeout)));
        if !matches!(sent, Some(Ok(()))) {
            self.post.send(Event::KeeperGone);
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

/// Whether nothing came back in time, so far as one can tell.
fn is_silence(event: &Event) -> bool {
    let error = match event {
        Event::Answer(Answer::Acquired { result, .. }) => result.as_ref().err(),
        Event::Answer(Answer::Released(result)) => result.as_ref().err(),
        _ => None,
    };
    error.is_some_and(|error| error.kind == StoreErrorKind::Unavailable)
}

type Refused = (Box<Worker>, io::Error);

/// Starts the thread and gives it the worker; or gives that back, if the system refuses.
fn start(post: Post, worker: Box<Worker>) -> Result<Sender<(Request, Duration)>, Refused> {
    let (sender, requests) = mpsc::channel();
    // Sent after it, so that a refusal does not lose the store with the thread.
    let (handover, taken) = mpsc::channel::<Box<Worker>>();
    let work = move || {
        let Ok(mut worker) = taken.recv() else { return };
        for (request, timeout) in requests {
            post.send(worker.perform_safely(request, timeout));
        }
    };
    match thread::Builder::new().name("keeper".to_owned()).spawn(work) {
        Ok(_) => {
            // A thread that has died is found when the first request is sent.
            let _ = handover.send(worker);
            Ok(sender)
        }
        Err(error) => Err((worker, error)),
    }
}

impl Request {
    fn failed(self, sent_at: Tick, error: StoreError) -> Answer {
        match self {
            Request::Acquire => Answer::Acquired {
                sent_at,
                result: Err(error),
            },
            Request::Refresh => Answer::Refreshed {
                sent_at,
                result: Err(error),
            },
            Request::Release => Answer::Released(Err(error)),
        }
    }
}

impl Worker {
    /// One request. A defect in the store ends neither the thread nor the run unheard.
    fn perform_safely(&mut self, request: Request, timeout: Duration) -> Event {
        catch_unwind(AssertUnwindSafe(|| self.perform(request, timeout)))
            .map_or(Event::KeeperGone, Event::Answer)
    }

    fn perform(&mut self, request: Request, timeout: Duration) -> Answer {
        let sent_at = clock::now();
        match request {
            Request::Acquire => {
                let result = self.store.acquire(&self.claim, Ask::default(), timeout);
                if let Ok(Acquire::Granted(grant)) = &result {
                    self.grant = Some(*grant);
                }
                Answer::Acquired { sent_at, result }
            }
            Request::Refresh => {
                // Only a granted lock is refreshed; an unknown grant matches nothing.
                let grant = self.grant.unwrap_or(Grant {
                    fence: Fence(0),
                    end_ms: 0,
                    slot: 0,
                });
                let result = self.store.refresh(&self.claim, &grant, timeout);
                if let Ok(Refresh::Held(grant) | Refresh::Retaken(grant)) = &result {
                    self.grant = Some(*grant);
                }
                Answer::Refreshed { sent_at, result }
            }
            Request::Release => {
                Answer::Released(self.store.release(&self.claim, End::Failed, timeout))
            }
        }
    }
}
