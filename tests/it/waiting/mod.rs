//! Waiting for a busy lock, from outside: the real program on real stores.
//!
//! Whoever holds the lock waits at a gate until the test lets it go, and whoever waits says
//! so when the wait begins: nothing here is decided by time, except how long a wait lasts.

use std::any::Any;

use crate::support::redis::Server;
use crate::support::running::{Finished, Running};
use crate::support::scratch::{Gate, Scratch};
use crate::support::tasklock::Tasklock;

mod ends;
mod grants;
mod seen;

/// Each promise as a test of each store.
macro_rules! on_every_store {
    ($($promise:ident)+) => {
        mod local {
            $( #[test] fn $promise() { super::$promise(&super::super::local()); } )+
        }
        mod redis {
            $( #[test] fn $promise() { super::$promise(&super::super::redis()); } )+
        }
    };
}
use on_every_store;

/// Where a test's locks are.
struct Place {
    url: String,
    _alive: Box<dyn Any>,
}

fn local() -> Place {
    let directory = Scratch::new();
    Place {
        url: format!("local:{}", directory.path().display()),
        _alive: Box::new(directory),
    }
}

fn redis() -> Place {
    let server = Server::start();
    Place {
        url: server.url(),
        _alive: Box::new(server),
    }
}

impl Place {
    /// `tasklock --name job --url …`
    fn tasklock(&self) -> Tasklock {
        tasklock(&self.url)
    }

    /// The same, with a wait that outlasts every test.
    fn patient(&self) -> Tasklock {
        self.tasklock().args(["--wait", "10m"])
    }

    /// Somebody has the lock until the gate is opened.
    fn hold(&self) -> Holder {
        Holder::start(self.tasklock())
    }

    /// The lock is free, and nobody stands in line for it.
    #[track_caller]
    fn expect_free(&self) {
        self.tasklock().sh("echo ran").run().expect_stdout("ran\n");
    }
}

fn tasklock(url: &str) -> Tasklock {
    Tasklock::named("job", url).args(["--holder", "root@web3"])
}

/// A run that holds the lock.
struct Holder {
    running: Running,
    gate: Gate,
    /// What its command has as its place.
    slot: String,
    _scratch: Scratch,
}

impl Holder {
    /// Starts it, and returns when its command runs.
    #[track_caller]
    fn start(tasklock: Tasklock) -> Holder {
        let scratch = Scratch::new();
        let gate = scratch.gate("gate");
        let path = scratch.path().display().to_string();
        let script = format!("echo ${{TASKLOCK_SLOT-none}} > {path}/ready; read _ < {path}/gate");
        let running = tasklock.sh(&script).start();
        let slot = scratch.wait_for_line("ready").trim().to_owned();
        Holder {
            running,
            gate,
            slot,
            _scratch: scratch,
        }
    }

    /// Lets its command end, and with it the hold.
    #[track_caller]
    fn finish(mut self) -> Finished {
        self.gate.open();
        let finished = self.running.wait();
        finished.expect_code(0);
        finished
    }
}

/// Starts a run that finds the lock busy, and returns when it waits.
#[track_caller]
fn start_waiting(tasklock: Tasklock, script: &str) -> Running {
    let mut waiter = tasklock.sh(script).start();
    waiter.wait_for_stderr("waiting for");
    waiter
}
