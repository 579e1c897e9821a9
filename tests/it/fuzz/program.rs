//! The whole program at a hostile server.

use std::time::Duration;

use proptest::prelude::Strategy;
use proptest::sample::select;

use super::bytes::Bytes;
use super::hostile::{Hostile, Reply, Rule, Then};
use super::reply::{array, bulk, replies};
use super::{SECRET, fuzz, without_secret};
use crate::support::scratch::Scratch;
use crate::support::tasklock::Tasklock;

/// As much as a process of tasklock may have, what its threads keep as their stacks included.
const MEMORY: &str = "--data=67108864";
/// No request takes longer than 300 ms; the rest is what a busy machine adds.
const HANGS: Duration = Duration::from_secs(15);

const URLS: &[&str] = &[
    "redis://:S3cr3t@HERE",
    "redis://HERE",
    "redis+sentinel://:S3cr3t@HERE/m?sentinel_password=S3cr3t",
    "redis+cluster://HERE",
    "rediss://:S3cr3t@HERE",
];

const HOW: &[&str] = &[
    "run",
    "run long",
    "run -w 1",
    "status",
    "unlock --no-wait",
    "unlock --force",
];

fn case() -> impl Strategy<Value = (Bytes, Bytes, Vec<Reply>)> {
    let word = |words| select(words).prop_map(|word: &str| Bytes::from(word));
    (word(URLS), word(HOW), replies())
}

#[test]
fn a_hostile_server_runs_nothing_hangs_nothing_and_fills_no_memory() {
    fuzz("program", case(), |(url, how, replies)| {
        let text = |bytes: &Bytes| String::from_utf8_lossy(&bytes.0).into_owned();
        check(&text(url), &text(how), replies)
    });
}

#[test]
fn an_answer_of_very_many_values_fits_into_the_memory() {
    for value in ["_\r\n", "*1\r\n_\r\n", "%1\r\n_\r\n_\r\n"] {
        let bytes = format!("*4000000\r\n{}", value.repeat(2_000_000));
        let reply = Reply::Bytes {
            bytes: Bytes::from(bytes),
            piece: 0,
            then: Then::Close,
        };
        let hostile = Hostile::start(&[reply]);
        let url = format!("redis://{}", hostile.place());
        let it = Tasklock::new().under(["prlimit", MEMORY, "--"]);
        let done = it.args(["status", "a", "--store-timeout", "30s", "--url", &url]);
        done.run()
            .expect_code(78)
            .expect_stderr("is the port right?");
    }
}

#[test]
fn a_list_of_locks_with_very_long_details_fits_into_the_memory() {
    /// Less than the details of all of them take.
    const MEMORY: &str = "--data=33554432";
    const COUNT: usize = 18;
    let names: Vec<String> = (0..COUNT)
        .map(|it| bulk(&format!("task_lock:{it}")))
        .collect();
    let details = format!(r#"{{"who":"{}"}}"#, "x".repeat(2_000_000));
    let who = array(&["holder", &details, "1", "1", ""].map(bulk));
    let counts = ["status", "0", "0", ""].map(bulk).concat();
    let status = format!(
        "*7\r\n{counts}*0\r\n*0\r\n*3\r\n{}{}{who}",
        bulk("5"),
        bulk("")
    );
    let rule = |command: &str, text: String| Rule {
        command: command.to_owned(),
        replies: vec![Reply::Bytes {
            bytes: Bytes::from(text),
            piece: 0,
            then: Then::Read,
        }],
    };
    let hostile = Hostile::by_rules(&[
        rule("SCAN", array(&[bulk("0"), array(&names)])),
        rule("EVAL", status.clone()),
        rule("EVALSHA", status),
    ]);
    let url = format!("redis://{}", hostile.place());
    let it = Tasklock::new().under(["prlimit", MEMORY, "--"]);
    let it = it.args(["list", "--json", "--store-timeout", "30s", "--url", &url]);
    let done = it.run();
    done.expect_code(0);
    assert_eq!(done.stdout.lines().count(), COUNT);
}

/// One run of the program at a server that answers so.
fn check(url: &str, how: &str, replies: &[Reply]) -> Result<(), String> {
    let hostile = Hostile::start(replies);
    let url = url.replace("HERE", &hostile.place());
    let dir = Scratch::new();
    let ran = dir.file("ran");
    let it = Tasklock::new().under(["prlimit", MEMORY, "--"]);
    let it = match how {
        "run" | "run long" | "run -w 1" => {
            let it = it.args(["--name", "a", "--ttl", "2s", "--kill-after", "100ms", "-v"]);
            let it = it.args(how.split(' ').skip(1).filter(|word| *word != "long"));
            let job = if how == "run long" { "sleep 1" } else { ":" };
            it.args(["--store-timeout", "300ms", "--url", &url])
                .sh(&format!("echo > {}; {job}", ran.display()))
        }
        _ => it
            .args(how.split(' '))
            .args(["--store-timeout", "300ms", "--url", &url, "a"]),
    };
    let done = it.run();
    if url.contains(SECRET) {
        without_secret(&done.stdout)?;
        without_secret(&done.stderr)?;
    }
    if done.elapsed > HANGS {
        return Err(format!("it took {:?}: {done}", done.elapsed));
    }
    if ran.exists() && !hostile.granted() {
        return Err(format!("it ran without a grant: {done}"));
    }
    let mut lines = done.stderr.lines();
    if let Some(line) = lines.find(|line| !line.starts_with("tasklock: ")) {
        return Err(format!("not of ours: {line:?}"));
    }
    match done.code {
        Some(0 | 64 | 69 | 70 | 75 | 77 | 78 | 79) => Ok(()),
        _ => Err(done.to_string()),
    }
}
