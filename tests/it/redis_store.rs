//! The store on one Redis or Valkey: what only it can show, with its keys in view.
//! What it has in common with the others is in `store_contract`.

use std::time::{Duration, Instant};

use tasklock::store::{Ask, Claim, Store, StoreError};

use crate::support::redis::Server;
use crate::support::store::{self, inspect, open};
use crate::support::wait_until;

mod connecting;
mod granting;
mod hostile;
mod logging_in;
mod losing;
mod releasing;
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

/// Waits until nobody has the lock.
#[track_caller]
fn wait_until_free(store: &mut dyn Store) {
    wait_until(|| inspect(store, "job").held.is_none());
}

/// What a brief acquire fails with, in time.
#[track_caller]
fn failure_of(store: &mut dyn Store) -> StoreError {
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
