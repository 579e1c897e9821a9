//! The subcommands at a hostile server.

use std::time::Duration;

use proptest::prelude::{Strategy, prop_oneof};
use proptest::sample::select;

use super::bytes::Bytes;
use super::hostile::{Hostile, Reply, Rule, Then};
use super::looks::{about_locks, about_servers};
use super::reply::{array, bulk};
use super::{SECRET, fuzz, without_secret};
use crate::support::running::Finished;
use crate::support::tasklock::Tasklock;

/// As much as a process of tasklock may have, what its threads keep as their stacks included.
const MEMORY: &str = "--data=67108864";
/// Of one request.
const STORE_TIMEOUT: &str = "300ms";
/// Requests that each take nearly as long as they may, and what a busy machine adds.
const HANGS: Duration = Duration::from_secs(30);
/// A server's own words are cut to 200 characters; the rest is ours.
const LINE_MAX: usize = 2000;

const URLS: &[&str] = &[
    "redis://:S3cr3t@HERE",
    "redis://u:S3cr3t@HERE/1",
    "redis://HERE",
    "redis+sentinel://:S3cr3t@HERE/m?sentinel_password=S3cr3t",
    "redis+cluster://HERE",
    "redis://:S3cr3t@HERE redis://BESIDE redis://127.0.0.1:1",
];

const HOW: &[&str] = &[
    "status a",
    "status --json a",
    "status --max-age 1h a",
    "list",
    "list --json",
    "list --format prometheus",
    "list x*",
    "history a",
    "history --json a",
    "history --limit 2 a",
    "unlock --force --yes a",
    "unlock --no-wait a",
    "check --token 0123456789abcdef a",
    "check -v --token 0123456789abcdef a",
    "refresh --token 0123456789abcdef a",
    "refresh --json --ttl 9s --token 0123456789abcdef a",
    "release --token 0123456789abcdef a",
    "acquire a",
    "acquire --json --slots 3 a",
    "acquire -w 1 a",
];

const DOCTOR: &[&str] = &["doctor", "doctor --json", "doctor --json a"];

fn case() -> impl Strategy<Value = (Bytes, Bytes, Vec<Rule>)> {
    let word = |words| select(words).prop_map(|word: &str| Bytes::from(word));
    let of_locks = (word(URLS), word(HOW), about_locks());
    prop_oneof![3 => of_locks, 1 => (word(URLS), word(DOCTOR), about_servers())]
}

#[test]
fn a_hostile_server_gets_clean_answers_out_of_every_subcommand_in_time() {
    fuzz("subcommands", case(), |(url, how, rules)| {
        let text = |bytes: &Bytes| String::from_utf8_lossy(&bytes.0).into_owned();
        let (url, how) = (text(url), text(how));
        let hosts = [Hostile::by_rules(rules), Hostile::by_rules(rules)];
        let url = url.replace("HERE", &hosts[0].place());
        let url = url.replace("BESIDE", &hosts[1].place());
        let it = Tasklock::new().under(["prlimit", MEMORY, "--"]);
        let it = it
            .args(how.split(' '))
            .args(["--store-timeout", STORE_TIMEOUT]);
        let done = it.url(&url).run();
        let judged = judge(&url, &how, &done);
        judged.map_err(|why| format!("{why}: tasklock {how}: {done}"))
    });
}

#[test]
fn a_server_that_never_comes_to_the_end_of_its_keys_is_left() {
    let page = |cursor: &str| Reply::Bytes {
        bytes: Bytes::from(array(&[bulk(cursor), array(&[bulk("task_lock:a")])])),
        piece: 0,
        then: Then::Read,
    };
    let hostile = Hostile::by_rules(&[Rule {
        command: "SCAN".to_owned(),
        // The last one is what it stays with.
        replies: ["7", "1", "5", "1", "9"].map(page).to_vec(),
    }]);
    for form in ["table", "json", "prometheus"] {
        let url = format!("redis://{}", hostile.place());
        let done = Tasklock::new().args(["list", "--format", form]).url(&url);
        let place = hostile.place();
        done.run().expect_code(78).expect_stderr(&format!(
            "redis://{place} leads the walk over its keys in a circle"
        ));
    }
}

fn judge(url: &str, how: &str, done: &Finished) -> Result<(), String> {
    if done.elapsed > HANGS {
        return Err(format!("it took {:?}", done.elapsed));
    }
    let is_doctor = how.starts_with("doctor");
    match done.code {
        Some(0 | 64 | 69 | 70 | 75 | 77 | 78 | 79) => {}
        // Warnings, or no success for too long.
        Some(1) if is_doctor || how.contains("--max-age") => {}
        _ => return Err("no exit code of ours".to_owned()),
    }
    if url.contains(SECRET) {
        without_secret(&done.stdout)?;
        without_secret(&done.stderr)?;
    }
    said(how, done)?;
    printed(how, &done.stdout)
}

/// What went wrong stands on one line of ours.
fn said(how: &str, done: &Finished) -> Result<(), String> {
    let lines: Vec<&str> = done.stderr.split_terminator('\n').collect();
    for line in &lines {
        if !line.starts_with("tasklock: ") || line.contains(char::is_control) {
            return Err(format!("not of ours: {line:?}"));
        }
        if line.chars().count() > LINE_MAX {
            return Err("a line too long to be read".to_owned());
        }
    }
    // Doctor tells on standard output; a waiter says that it waits.
    let (least, most) = match (done.code, how) {
        (Some(0), _) => (0, 1),
        (_, how) if how.starts_with("doctor") => (0, 0),
        (_, "acquire -w 1 a") => (1, 4),
        (Some(1 | 75), _) => (0, 1),
        _ => (1, 1),
    };
    match (least..=most).contains(&lines.len()) {
        true => Ok(()),
        false => Err(format!("{} lines of error", lines.len())),
    }
}

/// Nothing that drives a terminal, and what programs read can be read.
fn printed(how: &str, stdout: &str) -> Result<(), String> {
    if stdout.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\t')) {
        return Err("control characters are printed".to_owned());
    }
    if !how.contains("--json") {
        return Ok(());
    }
    let unreadable = |line: &&str| serde_json::from_str::<serde_json::Value>(line).is_err();
    match stdout.lines().find(unreadable) {
        Some(line) => Err(format!("no JSON: {line:?}")),
        None => Ok(()),
    }
}
