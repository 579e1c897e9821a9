//! States of locks that a crashed run left without an end: what the next run of
//! the name puts right, if there ever is one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::server::ask;
use crate::commands::doctor::facts::{Leftovers, Seen};
use crate::config::Doctor;
use crate::store::pattern::literal;
use crate::store::redis::RedisStore;
use crate::store::redis::probe::{Answer, Probe};
use crate::store::{LockName, Status, Store};

/// How long the keys are walked over: enough for a million of them nearby.
const WALK_MAX: Duration = Duration::from_secs(1);
/// The same with `--fix`, where it is worth waiting for the end.
const FIX_MAX: Duration = Duration::from_secs(10 * 60);
/// Keys for one step: well under a millisecond of the server's time.
const STEP: &str = "500";
/// As `let_rest` in `line.lua`.
const REST_MS: &str = "2592000000";

/// Walks over the states of all locks of the prefix, and with `--fix` gives those
/// that nobody needs any more the time that a release would have given them.
pub(super) fn find(probe: &mut Probe, doctor: &Doctor) -> Seen<Leftovers> {
    let prefix = format!("{{{}", doctor.lock.key_prefix);
    let pattern = format!("{}*}}:st", literal(&prefix));
    let deadline = Instant::now() + if doctor.fix { FIX_MAX } else { WALK_MAX };
    let server = Arc::clone(probe.server());
    let mut store = RedisStore::new(server, doctor.lock.key_prefix.clone());
    let mut found = Leftovers::default();
    let mut cursor = "0".to_owned();
    loop {
        let answer = ask(probe, &["SCAN", &cursor, "MATCH", &pattern, "COUNT", STEP])?;
        let [next, keys] = answer.list() else {
            return Err("SCAN gave no keys".to_owned());
        };
        for key in keys.list().iter().filter_map(Answer::text) {
            if Instant::now() > deadline {
                return Ok(found);
            }
            found.states += 1;
            let name = key
                .strip_prefix(&prefix)
                .and_then(|it| it.strip_suffix("}:st"));
            let name = name.and_then(|name| LockName::new(name).ok());
            let Some(name) = name.filter(|_| is_endless(probe, key)) else {
                continue;
            };
            // By the very script that a run begins with: what it takes for free is free.
            let status = store.inspect(&name, doctor.lock.store_timeout);
            if !status.is_ok_and(|status| is_idle(&status)) {
                continue;
            }
            found.names.push(name.to_string());
            if doctor.fix {
                // A run that begins just now takes the end off again.
                match ask(probe, &["PEXPIRE", key, REST_MS]) {
                    Ok(_) => found.mended += 1,
                    Err(why) => found.trouble = Some(why),
                }
            }
        }
        cursor = next.text().unwrap_or("0").to_owned();
        if cursor == "0" {
            found.complete = true;
            return Ok(found);
        }
        if Instant::now() > deadline {
            return Ok(found);
        }
    }
}

/// Neither an end nor a record of `--once-per` and the like, which is kept for ever on purpose.
fn is_endless(probe: &mut Probe, key: &str) -> bool {
    let records = |answer: Answer| answer.list().iter().any(|field| *field != Answer::Nil);
    ask(probe, &["PTTL", key]) == Ok(Answer::Int(-1))
        && ask(probe, &["HMGET", key, "os", "ok", "oa"]).is_ok_and(|answer| !records(answer))
}

fn is_idle(status: &Status) -> bool {
    let idle = |slot: &crate::store::Slot| slot.held.is_none() && slot.cooling_down.is_none();
    status.slots.iter().all(idle) && status.waiting == Some(0)
}
