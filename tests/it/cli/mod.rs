//! The command line as people and scripts meet it: words, variables, codes, messages.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::running::{Finished, Running};
use crate::support::scratch::{Gate, Scratch};
use crate::support::tasklock::Tasklock;

mod admin;
mod codes;
mod environment;
mod options;
mod refused;
mod refused_store;
mod report;
mod silence;
mod variables;
mod waiting;
mod words;

/// The program itself, for scripts that start it.
const TASKLOCK: &str = env!("CARGO_BIN_EXE_tasklock");

/// A URL with a password where nobody listens.
const NOBODY: &str = "redis://:secret@127.0.0.1:1";

/// A directory of locks, and one to work in.
struct Site {
    locks: Scratch,
    work: Scratch,
}

impl Site {
    fn new() -> Site {
        Site {
            locks: Scratch::new(),
            work: Scratch::new(),
        }
    }

    /// The local store in the directory of locks.
    fn url(&self) -> String {
        format!("local:{}", self.locks.path().display())
    }

    /// `tasklock --name job --url …`
    fn job(&self) -> Tasklock {
        Tasklock::named("job", &self.url())
    }

    /// A subcommand for the lock `job`.
    fn ask(&self, words: &[&str]) -> Finished {
        let subcommand = Tasklock::new().args(words.iter().copied());
        subcommand.arg("job").url(&self.url()).run()
    }

    /// `run` with a command that goes on until the gate opens. Returns once it has started.
    #[track_caller]
    fn hold(&self, run: Tasklock) -> (Running, Gate) {
        let gate = self.work.gate("gate");
        let path = self.work.path().display();
        let script = format!("echo up > {path}/up; read _ < {path}/gate");
        let running = run.sh(&script).start();
        self.work.wait_for_line("up");
        (running, gate)
    }

    /// Runs `run` with a command that must not be started: it fails with `code` and one line,
    /// which has each of `fragments`, and leaves no trace.
    #[track_caller]
    fn refuses(&self, run: Tasklock, code: i32, fragments: &[&str]) {
        let marker = self.work.file("marker");
        let finished = run.args(["touch".into(), marker.clone()]).run();
        refused(&finished, code, fragments);
        assert!(!marker.exists(), "the command ran: {finished}");
        let locks: Vec<PathBuf> = fs::read_dir(self.locks.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert!(locks.is_empty(), "{locks:?} were made: {finished}");
    }
}

/// It said one line, without any password, and failed with `code`.
#[track_caller]
fn refused(finished: &Finished, code: i32, fragments: &[&str]) {
    finished.expect_code(code).expect_stdout("");
    assert_eq!(finished.stderr.lines().count(), 1, "{finished}");
    assert!(finished.stderr.starts_with("tasklock: "), "{finished}");
    assert!(!finished.stderr.contains("secret"), "{finished}");
    for fragment in fragments {
        finished.expect_stderr(fragment);
    }
}

/// The lines on standard error, each a JSON object with what all of them have.
#[track_caller]
fn events(finished: &Finished) -> Vec<Value> {
    let lines = finished.stderr.lines().map(|line| {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {finished}"));
        for key in ["time", "event", "name", "message"] {
            assert!(event[key].is_string(), "no {key}: {finished}");
        }
        event
    });
    lines.collect()
}
