//! One server.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{certificate, clock, leftover, rights};
use crate::commands::doctor::facts::{Certificate, Fields, Leftovers, Mark, Seen, Server};
use crate::config::Doctor;
use crate::store::StoreError;
use crate::store::redis::Server as Address;
use crate::store::redis::probe::{Answer, Probe};

/// How many `PING`s the median is of.
const PINGS: usize = 9;

const SETTINGS: [&str; 7] = [
    "appendonly",
    "cluster-node-timeout",
    "cluster-require-full-coverage",
    "maxmemory-policy",
    "min-replicas-max-lag",
    "min-replicas-to-write",
    "save",
];

/// Looks at a server, and at the states of locks there.
pub(super) fn examine(
    address: &Arc<Address>,
    doctor: &Doctor,
    in_quorum: bool,
) -> Result<(Server, Seen<Leftovers>), StoreError> {
    let mut probe = Probe::dial(address, doctor.lock.store_timeout)?;
    let tls = probe.protection().map(|protection| Certificate {
        days_left: certificate::days_left(&protection.certificate),
        protocol: protection.protocol,
    });
    let watch = clock::start(&mut probe);
    let round_trip = round_trip(&mut probe);
    let info = ask(&mut probe, &["INFO"]).map(|answer| fields(answer.text().unwrap_or_default()));
    let settings = SETTINGS.map(|name| (name, setting(&mut probe, name)));
    let refused = rights::refused(&mut probe, doctor);
    let leftovers = leftover::find(&mut probe, doctor);
    let mark = if in_quorum {
        mark(&mut probe, doctor)
    } else {
        Ok(None)
    };
    let clock = watch.and_then(|watch| clock::finish(&mut probe, &watch));
    // What is missing now would look as if we were not allowed to see it.
    if let Some(error) = probe.failure() {
        return Err(error.clone());
    }
    let server = Server {
        name: address.to_string(),
        user: address.user.clone(),
        round_trip,
        info,
        config: HashMap::from(settings),
        refused,
        clock,
        tls,
        mark,
    };
    Ok((server, leftovers))
}

/// An answer, or why there is none.
pub(super) fn ask(probe: &mut Probe, words: &[&str]) -> Seen<Answer> {
    probe.ask(words).map_err(|refusal| refusal.text)
}

/// `name:value` lines.
pub(super) fn fields(text: &str) -> Fields {
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs
        .map(|(name, value)| (name.to_owned(), value.trim_end().to_owned()))
        .collect()
}

fn round_trip(probe: &mut Probe) -> Seen<Duration> {
    let mut times = Vec::with_capacity(PINGS);
    for _ in 0..PINGS {
        let start = Instant::now();
        ask(probe, &["PING"])?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    Ok(times[PINGS / 2])
}

fn setting(probe: &mut Probe, name: &str) -> Seen<String> {
    let answer = ask(probe, &["CONFIG", "GET", name])?;
    match answer.list() {
        [_, value] => Ok(value.text().unwrap_or_default().to_owned()),
        _ => Err(format!("the server has no setting {name}")),
    }
}

/// See `quorum.lua`: "start founded serves".
fn mark(probe: &mut Probe, doctor: &Doctor) -> Seen<Option<Mark>> {
    let key = format!("{{{}}}:node", doctor.lock.key_prefix);
    let answer = ask(probe, &["GET", &key])?;
    let now = u64::try_from(clock::server_time(probe)?).unwrap_or_default();
    let text = answer.text().unwrap_or_default();
    Ok(read_mark(text, Duration::from_micros(now)))
}

fn read_mark(text: &str, now: Duration) -> Option<Mark> {
    let mut words = text.split(' ');
    let (run_id, serves) = (words.next()?, words.nth(1)?);
    let serves = Duration::from_millis(serves.parse().ok()?);
    Some(Mark {
        run_id: run_id.to_owned(),
        votes_in: serves.saturating_sub(now),
    })
}
