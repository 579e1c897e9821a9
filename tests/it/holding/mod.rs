//! Holding a lock in Redis, from outside: the real program, real servers, a network that fails.
//!
//! Every test has a server of its own, so one name is enough. A job waits at a gate until the
//! test lets it go; what happens in between is decided by events, never by time.

use std::process::id;

use crate::support::redis::Server;
use crate::support::running::{Finished, Running};
use crate::support::scratch::{Gate, Scratch};
use crate::support::tasklock::Tasklock;
use crate::support::wait_until;

mod commands;
mod crash;
mod exclusion;
mod figure;
mod loss;
mod outage;
mod refusal;
mod setup;
mod tls;
mod unavailable;
mod unlock;

const NAME: &str = "job";
const KEY: &str = "task_lock:job";
const STATE: &str = "{task_lock:job}:st";

/// A word that stands in one script only, and so in one kind of request.
const ACQUIRE: &str = "'granted'";
const REFRESH: &str = "'retaken'";
const RELEASE: &str = "'forgotten'";

/// What a job ends with when it was let go.
pub(crate) const DONE: i32 = 7;

/// `tasklock --name job --url URL`, with a lease that is refreshed after one second and then
/// every two, and has room for much longer delays than those of a busy machine.
pub(crate) fn tasklock(url: &str) -> Tasklock {
    Tasklock::named(NAME, url).args(["--ttl", "12s"])
}

/// A run whose command waits at a gate.
pub(crate) struct Job {
    pub(crate) running: Running,
    gate: Gate,
    /// The command's own process.
    child: i32,
    pub(crate) fence: u64,
    _scratch: Scratch,
}

impl Job {
    /// Starts it, and returns when its command runs.
    #[track_caller]
    pub(crate) fn start(tasklock: Tasklock) -> Job {
        let scratch = Scratch::new();
        let gate = scratch.gate("gate");
        let script = format!(
            "echo $$ ${{TASKLOCK_FENCE:-0}} > {0}/ready; read _ < {0}/gate; exit {DONE}",
            scratch.path().display()
        );
        let running = tasklock.sh(&script).start();
        let ready = scratch.wait_for_line("ready");
        let (child, fence) = ready.split_once(' ').unwrap();
        Job {
            running,
            gate,
            child: child.parse().unwrap(),
            fence: fence.parse().unwrap(),
            _scratch: scratch,
        }
    }

    /// Lets the command end.
    #[track_caller]
    pub(crate) fn finish(mut self) -> Finished {
        self.gate.open();
        self.end()
    }

    /// Waits for the end, which something else brings.
    #[track_caller]
    pub(crate) fn end(self) -> Finished {
        let Job { running, gate, .. } = self;
        let finished = running.wait();
        drop(gate);
        finished
    }
}

/// The lines that warn of something. That a trouble is over is none.
pub(crate) fn warnings(finished: &Finished) -> Vec<&str> {
    let lines = finished.stderr.lines();
    lines
        .filter(|line| !line.contains("the trouble is over"))
        .collect()
}

/// The job ended by itself, with its own code and at most one line.
#[track_caller]
pub(crate) fn expect_done(finished: &Finished) {
    finished.expect_code(DONE);
    assert!(warnings(finished).len() <= 1, "{finished}");
}

/// The end of the lease by the state hash, in ms of the server's clock; 0 where there is none.
#[track_caller]
fn lease_end(server: &Server) -> u64 {
    let end = server.text(&["HGET", STATE, "e0"]).unwrap_or_default();
    end.parse().unwrap_or(0)
}

/// Waits until the lease was moved once more.
#[track_caller]
pub(crate) fn wait_for_refresh(server: &Server) {
    let end = lease_end(server);
    wait_until(|| lease_end(server) > end);
}

/// Waits until the server has refused something with this code.
#[track_caller]
fn wait_for_error(server: &Server, code: &str) {
    // Redis 6.2 counts every error of a script as ERR.
    let fields = [format!("errorstat_{code}"), "errorstat_ERR".to_owned()];
    wait_until(|| {
        let seen = server.info("errorstats");
        fields.iter().any(|field| seen.contains_key(field))
    });
}

/// Nobody has the lock, by the key and by the hash.
#[track_caller]
fn expect_free(server: &Server) {
    assert_eq!(server.text(&["GET", KEY]), None);
    let owner = server.text(&["HGET", STATE, "o0"]);
    assert_eq!(owner.unwrap_or_default(), "");
}

/// Neither key was ever made.
#[track_caller]
fn expect_untouched(server: &Server) {
    assert_eq!(server.number(&["EXISTS", KEY, STATE]), 0);
}

/// Is refused at once because somebody has the lock.
#[track_caller]
fn expect_skipped(tasklock: Tasklock) -> Finished {
    let finished = tasklock.sh("echo ran").run();
    finished.expect_code(75).expect_stdout("");
    finished
}

/// A word that no other test process uses as a password.
fn secret() -> String {
    format!("s3cret-{}", id())
}
