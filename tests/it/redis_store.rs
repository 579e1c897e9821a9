//! The store on one Redis or Valkey: what only it can show, with its keys in view.
//! What it has in common with the others is in `store_contract`.

use std::time::{Duration, Instant};

use redis::Value;
use tasklock::store::{Ask, Claim, Store, StoreError};

use crate::support::redis::Server;
use crate::support::store::{self, inspect, open, queue};
use crate::support::wait_until;

mod connecting;
mod cooling;
mod granting;
mod hostile;
mod line_state;
mod listening;
mod logging_in;
mod losing;
mod places;
mod queueing;
mod releasing;
mod remembering;
mod serving;
mod tls;

const KEY: &str = "task_lock:job";
const STATE: &str = "{task_lock:job}:st";

/// Of requests that are to run into it.
const BRIEF: Duration = Duration::from_millis(500);

/// How much later than its timeout a request may end on a busy machine.
const SLACK: Duration = Duration::from_secs(3);

/// A server and a store on it.
fn start() -> (Server, Box<dyn Store>) {
    let server = Server::start();
    let store = open(&server.unix_url());
    (server, store)
}

fn claim(who: &str) -> Claim {
    store::claim("job", who)
}

/// A claim whose lease ends soon.
fn short_claim(who: &str) -> Claim {
    Claim {
        ttl: Duration::from_millis(40),
        ..claim(who)
    }
}

/// A run in line.
struct Waiter {
    store: Box<dyn Store>,
    claim: Claim,
}

impl Waiter {
    #[track_caller]
    fn join(url: &str, who: &str) -> Waiter {
        let mut waiter = Waiter {
            store: open(url),
            claim: claim(who),
        };
        waiter.ask();
        waiter
    }

    /// Asks once more, and still waits; its place in line, and when to ask again.
    #[track_caller]
    fn ask(&mut self) -> (u32, Duration) {
        let queued = queue(&mut *self.store, &self.claim);
        (queued.place.unwrap(), queued.ask_in)
    }
}

/// The fields of the state, by name.
fn state(server: &Server) -> Vec<(String, String)> {
    let text = |value: &Value| match value {
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => panic!("{other:?}"),
    };
    let Value::Array(words) = server.command(&["HGETALL", STATE]) else {
        panic!("no fields");
    };
    words
        .chunks(2)
        .map(|pair| (text(&pair[0]), text(&pair[1])))
        .collect()
}

/// How many fields of the state belong to those in line.
fn fields_of_waiters(server: &Server) -> usize {
    let of_waiter = |name: &str| name.len() > 1 && name.starts_with(['q', 'i']);
    state(server)
        .iter()
        .filter(|(name, _)| of_waiter(name))
        .count()
}

/// Waits until nobody has the lock.
#[track_caller]
fn wait_until_free(store: &mut dyn Store) {
    wait_until(|| inspect(store, "job").held.is_none());
}

/// What a brief acquire fails with, in time.
#[track_caller]
pub(crate) fn failure_of(store: &mut dyn Store) -> StoreError {
    let start = Instant::now();
    let error = store
        .acquire(&claim("a"), Ask::default(), BRIEF)
        .unwrap_err();
    let took = start.elapsed();
    assert!(took < BRIEF + SLACK, "{error} took {took:?}");
    error
}

/// What a brief acquire on `url` fails with, in time.
#[track_caller]
fn failure(url: &str) -> StoreError {
    failure_of(&mut *open(url))
}
