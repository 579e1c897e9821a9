//! The master that Sentinel names: real servers and Sentinels, and fakes for what
//! real ones cannot be made to say.

use std::time::Duration;

use tasklock::store::{Claim, Store, StoreError};

use crate::support::redis::{Builder, Server};
use crate::support::sentinel::{Fake, url_of};
use crate::support::store;

mod figure;
mod finding;
mod following;
mod isolation;
mod refusal;
mod replicas;
mod running;
mod tls;

const NAME: &str = "job";
const KEY: &str = "task_lock:job";
const STATE: &str = "{task_lock:job}:st";

/// Of requests that are to run into it.
const BRIEF: Duration = Duration::from_millis(500);

/// How much later than it should something may be on a busy machine.
const SLACK: Duration = Duration::from_secs(3);

fn claim(who: &str) -> Claim {
    store::claim(NAME, who)
}

/// A store by way of these Sentinels.
#[track_caller]
fn open(fakes: &[&Fake]) -> Box<dyn Store> {
    store::open(&url(fakes))
}

fn url(fakes: &[&Fake]) -> String {
    let addresses: Vec<_> = fakes.iter().map(|fake| fake.address()).collect();
    url_of(&addresses)
}

/// Makes `server` a replica of `master`, and leaves its clients connected.
#[track_caller]
fn demote(server: &Server, master: &Server) {
    let port = master.address().port().to_string();
    server.command(&["REPLICAOF", "127.0.0.1", &port]);
}

#[track_caller]
fn promote(server: &Server) {
    server.command(&["REPLICAOF", "NO", "ONE"]);
}

/// A server that replicates `master`, as its builder has it.
fn replica_of(master: &Server) -> Builder {
    let place = format!("127.0.0.1 {}", master.address().port());
    Server::with().config("replicaof", &place)
}

/// A master, and a replica that has all of it.
#[track_caller]
fn pair() -> (Server, Server) {
    let quick = |builder: Builder| builder.config("repl-diskless-sync-delay", "0");
    let master = quick(Server::with()).start();
    let replica = quick(replica_of(&master)).start();
    crate::support::wait_until(|| replica.info("replication")["master_link_status"] == "up");
    (master, replica)
}

/// What a brief look at the lock fails with.
#[track_caller]
fn failure(store: &mut dyn Store) -> StoreError {
    store.inspect(&store::name(NAME), BRIEF).unwrap_err()
}
