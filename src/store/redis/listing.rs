//! Which locks there are: a walk over the keys of a server, or of all masters of a Cluster.
//!
//! `SCAN` goes through them page by page, never `KEYS`, and what is found of a
//! page is looked at in one pipeline, so that no command takes long and no more
//! than a page is in memory. There is no index: the walk takes its time over the
//! keys of others, too.

use std::collections::HashSet;
use std::ops::ControlFlow;

use redis::Value;

use super::answer;
use super::eval::{self, Eval};
use super::link::Line;
use super::script::INSPECT;
use super::walk::{Astray, KEYS_PER_PAGE, Walk};
use super::{Limit, RedisStore, Script, failure, wire};
use crate::store::pattern::{Pattern, literal};
use crate::store::{LockName, Status, StoreError, StoreErrorKind};

use std::time::Duration;

/// A lock that was found, and by which of its keys: the lock itself or its state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Found {
    pub(super) name: LockName,
    by: &'static str,
}

impl RedisStore {
    /// See [`crate::store::Store::list`].
    pub(super) fn walk(
        &mut self,
        pattern: &Pattern,
        tell: &mut dyn FnMut(&LockName, &Status) -> ControlFlow<()>,
        timeout: Duration,
    ) -> Result<(), StoreError> {
        for mut line in self.lines(timeout)? {
            let mut walk = Walk::new();
            loop {
                let (found, on) = self.page(&mut line, &mut walk, pattern, timeout)?;
                let asked: Vec<_> = found.iter().map(|it| (&it.name, Some(it.by))).collect();
                let mut asked = &asked[..];
                while !asked.is_empty() {
                    let statuses = self.look_at(&mut line, asked, timeout)?;
                    let (seen, rest) = asked.split_at(statuses.len());
                    for ((name, _), status) in seen.iter().zip(statuses) {
                        if let Some(status) = status
                            && tell(name, &status).is_break()
                        {
                            return Ok(());
                        }
                    }
                    asked = rest;
                }
                if on.is_break() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// A connection to each server that has keys of ours.
    pub(super) fn lines(&mut self, timeout: Duration) -> Result<Vec<Line>, StoreError> {
        let limit = Limit::new(timeout);
        let lines = self.link.lines(limit.deadline);
        let server = self.link.server();
        lines.map_err(|fault| failure::of_fault(server, fault, timeout))
    }

    /// The locks of the next page of `walk`, and whether there is another one.
    pub(super) fn page(
        &self,
        line: &mut Line,
        walk: &mut Walk,
        pattern: &Pattern,
        timeout: Duration,
    ) -> Result<(Vec<Found>, ControlFlow<()>), StoreError> {
        let mut scan = redis::cmd("SCAN");
        scan.arg(walk.cursor());
        scan.arg("MATCH")
            .arg(format!("*{}*", literal(&self.key_prefix)));
        scan.arg("COUNT").arg(KEYS_PER_PAGE);
        let answer = line.request(&scan.get_packed_command(), Limit::new(timeout).deadline);
        let server = line.server();
        let (cursor, keys) = match answer {
            Ok(Value::Array(answer)) => match <[Value; 2]>::try_from(answer) {
                Ok([Value::BulkString(cursor), Value::Array(keys)]) => (cursor, keys),
                _ => return Err(failure::of_fault(server, wire::Fault::Garbled, timeout)),
            },
            Ok(Value::ServerError(error)) => {
                return Err(failure::of_answer(server, &wire::error_text(&error)));
            }
            Ok(_) => return Err(failure::of_fault(server, wire::Fault::Garbled, timeout)),
            Err(fault) => return Err(failure::of_fault(server, fault, timeout)),
        };
        let mut seen = HashSet::new();
        let mut found = Vec::new();
        for key in keys {
            let Value::BulkString(key) = key else {
                continue;
            };
            let lock = str::from_utf8(&key).ok().and_then(|key| self.found(key));
            if let Some(lock) = lock.filter(|lock| pattern.matches(lock.name.as_str()))
                && seen.insert(lock.clone())
            {
                found.push(lock);
            }
        }
        // The other key of the same lock.
        found.retain(|lock: &Found| {
            let state = Found {
                by: "state",
                ..lock.clone()
            };
            lock.by == "state" || !seen.contains(&state)
        });
        let cursor = String::from_utf8_lossy(&cursor).into_owned();
        let on = walk.go_on(cursor).map_err(|astray| {
            let how = match astray {
                Astray::Circle => "leads the walk over its keys in a circle",
                Astray::Endless => "has no end of keys",
            };
            let text = format!("{server} {how} (SCAN): is a proxy before several servers?");
            StoreError::new(StoreErrorKind::Misconfigured, text)
        })?;
        Ok((found, on))
    }

    /// Which lock has this key.
    fn found(&self, key: &str) -> Option<Found> {
        let state = key
            .strip_prefix('{')
            .and_then(|key| key.strip_suffix("}:st"));
        let (key, by) = state.map_or((key, "key"), |key| (key, "state"));
        let name = LockName::new(key.strip_prefix(&self.key_prefix)?).ok()?;
        Some(Found { name, by })
    }

    /// Looks at several locks at once, but only at the first ones if all are too much for one
    /// answer. Of one that was found by a key, None if that does not stand for a lock, or no
    /// longer, or another key does.
    pub(super) fn look_at(
        &mut self,
        line: &mut Line,
        asked: &[(&LockName, Option<&'static str>)],
        timeout: Duration,
    ) -> Result<Vec<Option<Status>>, StoreError> {
        let limit = Limit::new(timeout);
        let hash = eval::hash(INSPECT);
        let mut packed = Vec::new();
        for (number, (name, by)) in asked.iter().enumerate() {
            let eval = Eval {
                text: INSPECT,
                key: &self.key(name),
                mark: None,
                args: by.as_slice(),
            };
            // The first one makes the script known to the server.
            packed.extend(match number {
                0 => eval.packed(),
                _ => eval.packed_by_hash(&hash),
            });
        }
        let answers = line.exchange_all(&packed, asked.len(), limit.deadline);
        let answers = answers.map_err(|fault| failure::of_fault(line.server(), fault, timeout))?;
        let mut statuses = Vec::new();
        for ((name, by), answer) in asked.iter().zip(answers) {
            let script = Script {
                text: INSPECT,
                name,
                mark: None,
                args: by.as_slice(),
            };
            let answer = match answer {
                // The slot has moved, or EVALSHA is not allowed, or…: by itself, then.
                Value::ServerError(_) => self.send(&script, limit)?,
                answer => answer,
            };
            statuses.push(match answer::is_foreign(&answer) {
                true if by.is_some() => None,
                _ => self.read(answer, answer::listed)?,
            });
        }
        Ok(statuses)
    }
}
