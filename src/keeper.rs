//! The keeper of the store: it sends the requests of a run and posts the answers.
//!
//! While a child runs, the thread that judges its deadline never waits for the
//! network: refreshes are asked in a thread of their own. Before the child and
//! after it there is no deadline to judge. A store that is near is then asked in
//! place, for a moment: most jobs are short, and starting a thread and waking it
//! twice would cost them more than all the rest. What is not answered in that
//! moment is asked again in the thread, with the same token, and means the same.
//!
//! The store itself goes to the thread with a request and comes back with the
//! answer. While it is here, its bell can be listened for.

use std::collections::VecDeque;
use std::io;
use std::os::fd::BorrowedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use crate::clock::{self, Tick};
use crate::footprint::Track;
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
    Acquire(Ask),
    /// Let the lease run from now.
    Refresh,
    /// Give the lock back.
    Release(End),
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
    /// None while it is in the thread.
    worker: Option<Box<Worker>>,
    /// Started when it is first needed.
    thread: Option<Thread>,
    /// What is to be asked when the worker is back.
    next: VecDeque<Request>,
    post: Post,
}

/// A thread that carries out one errand after the other.
struct Thread {
    errands: Sender<Errand>,
    /// Each worker comes back before its answer is posted.
    back: Receiver<Box<Worker>>,
}

struct Errand {
    worker: Box<Worker>,
    request: Request,
    timeout: Duration,
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
        let worker = Worker {
            store,
            claim,
            grant: None,
        };
        Keeper {
            distance,
            timeouts,
            worker: Some(Box::new(worker)),
            thread: None,
            next: VecDeque::new(),
            post,
        }
    }

    /// Sends a request, after those under way; its answer will be in the inbox.
    pub fn send(&mut self, request: Request) {
        let Some(mut worker) = self.worker.take() else {
            return self.next.push_back(request);
        };
        let timeout = match request {
            Request::Acquire(_) => self.timeouts.acquire,
            Request::Refresh | Request::Release(_) => self.timeouts.held,
        };
        let moment = match (self.distance, request) {
            (Distance::Here, _) => Some(timeout),
            (Distance::Near, Request::Acquire(_) | Request::Release(_)) => {
                Some(MOMENT_MAX.min(timeout / MOMENTS_PER_TIMEOUT))
            }
            (Distance::Near, Request::Refresh) | (Distance::Far, _) => None,
        };
        if let Some(moment) = moment {
            let start = clock::now();
            let event = worker.perform_safely(request, moment);
            let in_time = moment == timeout || clock::now().since(start) < moment;
            if in_time || !is_silence(&event) {
                self.worker = Some(worker);
                return self.post.send(event);
            }
        }
        self.ask_in_thread(Errand {
            worker,
            request,
            timeout,
        });
    }

    fn ask_in_thread(&mut self, errand: Errand) {
        let thread = match self.thread.take().map_or_else(|| start(&self.post), Ok) {
            Ok(thread) => thread,
            Err(error) => {
                // Tried again at the next request, as if the store had failed.
                let text = format!("cannot start a thread: {}", plain(&error));
                let error = StoreError::new(StoreErrorKind::Unavailable, text);
                let answer = errand.request.failed(clock::now(), error);
                self.worker = Some(errand.worker);
                return self.post.send(Event::Answer(answer));
            }
        };
        if thread.errands.send(errand).is_err() {
            self.post.send(Event::KeeperGone);
        }
        self.thread = Some(thread);
    }

    /// Takes note that an answer was read from the inbox.
    pub fn answered(&mut self) {
        if self.worker.is_none() {
            self.worker = self.thread.as_ref().and_then(|it| it.back.try_recv().ok());
        }
        if self.worker.is_some()
            && let Some(request) = self.next.pop_front()
        {
            self.send(request);
        }
    }

    /// Whether a request is under way in the thread.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.worker.is_none()
    }

    /// Where a command that is started now is to put who it is ([`Store::track`]).
    pub fn track(&mut self) -> Option<Track<'_>> {
        let worker = self.worker.as_mut()?;
        worker.store.track(&worker.claim)
    }

    /// What to listen for while we stand in line.
    #[must_use]
    pub fn bell(&self) -> Option<BorrowedFd<'_>> {
        self.worker.as_ref()?.store.bell()
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

fn start(post: &Post) -> io::Result<Thread> {
    let (errands, orders) = mpsc::channel::<Errand>();
    let (done, back) = mpsc::channel();
    let post = post.clone();
    let work = move || {
        for mut errand in orders {
            let event = errand.worker.perform_safely(errand.request, errand.timeout);
            // At the end of the program nobody takes it any more.
            let _ = done.send(errand.worker);
            post.send(event);
        }
    };
    thread::Builder::new()
        .name("keeper".to_owned())
        .spawn(work)
        .map(|_| Thread { errands, back })
}

impl Request {
    fn failed(self, sent_at: Tick, error: StoreError) -> Answer {
        match self {
            Request::Acquire(_) => Answer::Acquired {
                sent_at,
                result: Err(error),
            },
            Request::Refresh => Answer::Refreshed {
                sent_at,
                result: Err(error),
            },
            Request::Release(_) => Answer::Released(Err(error)),
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
            Request::Acquire(ask) => {
                let result = self.store.acquire(&self.claim, ask, timeout);
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
            Request::Release(end) => {
                Answer::Released(self.store.release(&self.claim, end, timeout))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::store::redis::TlsFiles;
    use crate::store::target::Target;
    use crate::store::{Holder, Lasts, LockName, Once, Token};

    /// A worker for a server that never answers.
    fn unanswered(server: &TcpListener) -> Worker {
        let url = format!("redis://{}", server.local_addr().unwrap());
        let target = Target::parse(&[url], &TlsFiles::default()).unwrap();
        Worker {
            store: target.open("task_lock:"),
            claim: Claim {
                name: LockName::new("job").unwrap(),
                token: Token::fresh().unwrap(),
                ttl: Duration::from_secs(60),
                holder: Holder::default(),
                slots: 1,
                min_hold: Duration::ZERO,
                once: Once::default(),
                replicas: 0,
                history: 0,
                lasts: Lasts::default(),
            },
            grant: None,
        }
    }

    #[test]
    fn the_time_of_a_request_is_from_before_it_was_sent() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut worker = unanswered(&server);
        let timeout = Duration::from_millis(100);
        for request in [Request::Acquire(Ask::default()), Request::Refresh] {
            let answer = worker.perform(request, timeout);
            let (Answer::Acquired { sent_at, .. } | Answer::Refreshed { sent_at, .. }) = answer
            else {
                panic!("{answer:?}")
            };
            assert!(clock::now().since(sent_at) >= timeout, "{answer:?}");
        }
    }
}
