//! What is left in a store when all who used it are gone.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::time::Duration;

use redis::Value;

use super::arena::{Arena, NAMES};
use super::history::{History, Record, now};
use super::quorum::MARK;
use crate::support::redis::Server;
use crate::support::tasklock::Tasklock;
use crate::support::{process, some_within};

/// Longer than any lease, and than a machine that is busy holds anybody up.
const LEASES_END: Duration = Duration::from_secs(15);

/// Waits until the leases of those who were killed have ended, and tells of what is left then.
pub(crate) fn look(arena: &Arena, history: &History) {
    let tell = |what: String| {
        let at = now();
        history.add(&Record::Leftover { at, what });
    };
    let home = format!("HOME={}", arena.scratch.file("home").display());
    // A job dies with its tasklock, but not in the same microsecond.
    if some_within(LEASES_END, || {
        process::with_environment(&home).is_empty().then_some(())
    })
    .is_none()
    {
        tell(format!("processes {:?}", process::with_environment(&home)));
    }
    for name in NAMES {
        let mut left = Vec::new();
        let clean = some_within(LEASES_END, || {
            left = after_one_more(arena, name);
            left.is_empty().then_some(())
        });
        if clean.is_none() {
            left.into_iter().for_each(tell);
        }
    }
    in_files(arena).into_iter().for_each(tell);
}

/// What is left of `name` after one more run, which finds what others did not take with them.
fn after_one_more(arena: &Arena, name: &str) -> Vec<String> {
    let last = Tasklock::named(name, &arena.url(false));
    // A node of a quorum that hears of no release has it for as long.
    let last = last.args(["--ttl", "5s", "--", "true"]);
    let last = last.run();
    if last.code != Some(0) {
        return vec![format!("a hold of {name:?}: {last}")];
    }
    match (&arena.redis, &arena.group) {
        (Some((server, _)), _) => in_redis(server, name),
        (None, Some(group)) => {
            let servers = group.servers_of(name);
            let left = servers.iter().flat_map(|server| in_redis(server, name));
            left.collect()
        }
        (None, None) => Vec::new(),
    }
}

/// Keys but the state hash, and in that, waiters and leases.
fn in_redis(server: &Server, name: &str) -> Vec<String> {
    let mut left = Vec::new();
    if server.number(&["EXISTS", &format!("task_lock:{name}")]) > 0 {
        left.push(format!("the key of {name:?}"));
    }
    let state = hash(server, &format!("{{task_lock:{name}}}:st"));
    let now = time(server);
    let has_vote = has_vote(server, now);
    for (field, value) in &state {
        let (kind, number) = field.split_at(1);
        let numbered = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        match kind {
            // Whoever votes forgets those who are gone.
            "q" | "i" if numbered && has_vote => {
                left.push(format!("{field} = {value:?} of {name:?}"))
            }
            // That of a holder who was killed has come to its end.
            "e" if numbered => {
                let end: u128 = value.parse().unwrap_or(0);
                let held = state
                    .get(&format!("o{number}"))
                    .is_some_and(|token| !token.is_empty());
                if held && end > now {
                    left.push(format!("a lease of {name:?} place {number}"));
                }
            }
            _ => {}
        }
    }
    left
}

/// Is this no node of a quorum that has no vote since it was started again?
fn has_vote(server: &Server, now: u128) -> bool {
    // A node of a Cluster need not have this key.
    let Ok(Value::BulkString(mark)) = server.try_command(&["GET", MARK]) else {
        return true;
    };
    let mark = String::from_utf8(mark).unwrap();
    let (_, serves) = mark.rsplit_once(' ').unwrap();
    serves.parse::<u128>().unwrap() <= now
}

/// Milliseconds since 1970, by the server's clock.
fn time(server: &Server) -> u128 {
    let Value::Array(parts) = server.command(&["TIME"]) else {
        panic!("TIME answers with two numbers");
    };
    let part = |index: usize| text(&parts[index]).parse::<u128>().unwrap();
    part(0) * 1000 + part(1) / 1000
}

fn hash(server: &Server, key: &str) -> BTreeMap<String, String> {
    let Value::Array(items) = server.command(&["HGETALL", key]) else {
        panic!("{key} is no hash");
    };
    let pairs = items.chunks_exact(2);
    pairs.map(|pair| (text(&pair[0]), text(&pair[1]))).collect()
}

fn text(value: &Value) -> String {
    match value {
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => panic!("{other:?} is no text"),
    }
}

/// File locks: with no process left that could hold one.
fn in_files(arena: &Arena) -> Vec<String> {
    let files = fs::read_dir(arena.scratch.file("locks")).unwrap();
    let locked = files.filter_map(|file| {
        let path = file.unwrap().path();
        let held = File::open(&path).unwrap().try_lock().is_err();
        held.then(|| format!("a lock on {}", path.display()))
    });
    locked.collect()
}
