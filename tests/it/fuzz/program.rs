//! The whole program at a hostile server.

use std::time::Duration;

use proptest::prelude::Strategy;
use proptest::sample::select;

use super::bytes::Bytes;
use super::hostile::{Hostile, Reply};
use super::reply::replies;
use super::{fuzz, without_secret};
use crate::support::scratch::Scratch;
use crate::support::tasklock::Tasklock;

/// As much as a process of tasklock may have, what its threads keep as their stacks included.
const MEMORY: &str = "--data=67108864";
/// No request takes longer than 300 ms; the rest is what a busy machine adds.
const HANGS: Duration = Duration::from_secs(15);

const URLS: &[&str] = &[
    "redis://:S3cr3t@HERE",
    "redis://HERE",
    "redis+sentinel://:S3cr3t@HERE/m",
    "redis+cluster://HERE",
    "rediss://:S3cr3t@HERE",
];

const HOW: &[&str] = &[
    "run",
    "run long",
    "run -w 1",
    "status",
    "unlock",
    "unlock --force",
];

fn case() -> impl Strategy<Value = (Bytes, Bytes, Vec<Reply>)> {
    let word = |words| select(words).prop_map(|word: &str| Bytes::from(word));
    (word(URLS), word(HOW), replies())
}

#[test]
fn a_hostile_server_runs_nothing_hangs_nothing_and_fills_no_memory() {
    fuzz("program", case(), |(url, how, replies)| {
        let hostile = Hostile::start(replies);
        let url = String::from_utf8_lossy(&url.0).replace("HERE", &hostile.place());
        let how = String::from_utf8_lossy(&how.0).into_owned();
        let dir = Scratch::new();
        let it = Tasklock::new().under(["prlimit", MEMORY, "--"]);
        let it = match how.as_str() {
            "run" | "run long" | "run -w 1" => {
                let it = it.args([
                    "--name",
                    "a",
                    "--ttl",
                    "2s",
                    "--kill-after",
                    "100ms",
                    "--verbose",
                ]);
                let it = if how == "run -w 1" {
                    it.args(["-w", "1"])
                } else {
                    it
                };
                let job = if how == "run long" { "sleep 1" } else { ":" };
                let ran = dir.file("ran");
                it.args(["--store-timeout", "300ms", "--url", &url])
                    .sh(&format!("echo > {}; {job}", ran.display()))
            }
            _ => it
                .args(how.split(' '))
                .args(["--store-timeout", "300ms", "--url", &url, "a"]),
        };
        let done = it.run();
        without_secret(&done.stdout)?;
        without_secret(&done.stderr)?;
        if done.elapsed > HANGS {
            return Err(format!("it took {:?}: {done}", done.elapsed));
        }
        if dir.file("ran").exists() && !hostile.granted() {
            return Err(format!("it ran without a grant: {done}"));
        }
        let lines = done.stderr.lines();
        if let Some(line) = { lines }.find(|line| !line.starts_with("tasklock: ")) {
            return Err(format!("not of ours: {line:?}"));
        }
        match done.code {
            Some(0 | 64 | 69 | 70 | 75 | 77 | 78 | 79) => Ok(()),
            _ => Err(done.to_string()),
        }
    });
}
