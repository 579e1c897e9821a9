//! From what was seen to what it means. Pure.
//!
//! An error is what would end a run, with the code that it would end with; a
//! warning is what may go wrong one day; what is hidden is said, and is neither.

mod clock;
mod leftover;
mod local;
mod memory;
mod quorum;
mod reach;
mod replica;
mod topology;

use self::quorum::Votes;
use super::facts::{Facts, Place, Server, Shape};
use super::finding::{Finding, Level};
use crate::config::Doctor;
use crate::duration::show;
use crate::lease::Terms;
use crate::message::{escape, held_text};
use crate::store::{Status, StoreError};

/// What the store is for, and how it is used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Use<'a> {
    pub(super) terms: &'a Terms,
    pub(super) key_prefix: &'a str,
    pub(super) fixing: bool,
}

impl<'a> Use<'a> {
    pub(super) fn of(doctor: &'a Doctor) -> Use<'a> {
        Use {
            terms: &doctor.terms,
            key_prefix: &doctor.lock.key_prefix,
            fixing: doctor.fix,
        }
    }
}

/// What all that was seen means, the gravest of each server first.
pub(super) fn judge(facts: &Facts, how: Use<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.push(reach(facts));
    match &facts.place {
        Place::Local(local) => findings.extend(local::judge(local, facts.unconfigured)),
        Place::Servers {
            shape,
            servers,
            leftovers,
            own_certificate,
        } => {
            findings.extend(topology::judge(shape, servers, how));
            let several = servers.len() > 1;
            for server in servers {
                let about = match server {
                    Ok(server) => of_server(server, shape, how),
                    Err(error) => unreachable(error, shape, facts).into_iter().collect(),
                };
                let name = server.as_ref().map(|server| server.name.as_str());
                findings.extend(about.into_iter().map(|finding| match name {
                    Ok(name) if several => finding.about(name),
                    _ => finding,
                }));
            }
            findings.extend(own_certificate.iter().map(reach::own_certificate));
            findings.extend(leftover::judge(leftovers, shape, how));
        }
    }
    findings.extend(lock(facts, how));
    findings
}

/// Whether a run would be answered.
fn reach(facts: &Facts) -> Finding {
    match (&facts.look, Votes::of(&facts.place)) {
        (Err(error), _) => error_of("reach", error),
        (Ok(_), Some(votes)) => votes.reach(),
        (Ok(_), None) => Finding::ok("reach", format!("{} answers", facts.store)),
    }
}

/// An error as a run would be told.
fn error_of(check: &'static str, error: &StoreError) -> Finding {
    let finding = Finding::new(check, Level::Error(error.kind.code()), &error.text);
    match reach::advice(error.kind) {
        Some(advice) => finding.advise(advice),
        None => finding,
    }
}

/// A server that cannot be asked; nothing, if that is why the store cannot be reached.
fn unreachable(error: &StoreError, shape: &Shape, facts: &Facts) -> Option<Finding> {
    match (&facts.look, shape) {
        (Err(known), _) if known.text == error.text => None,
        // It is the only one, and it answered at first.
        (_, Shape::One | Shape::Sentinel(_)) => Some(error_of("reach", error)),
        (_, Shape::Quorum(_)) if Votes::of(&facts.place).is_some_and(|it| !it.are_enough()) => {
            Some(error_of("reach", error))
        }
        (_, Shape::Quorum(_)) => Some(
            Finding::warning("reach", &error.text)
                .advise("the others serve without it: bring it back"),
        ),
        (_, Shape::Cluster(_)) => Some(Finding::warning("reach", &error.text).advise(
            "the others serve without it, as long as there are enough of them: bring it back",
        )),
    }
}

fn of_server(server: &Server, shape: &Shape, how: Use<'_>) -> Vec<Finding> {
    let mut findings = vec![
        reach::rights(server, how),
        reach::latency(server, how),
        reach::version(server),
    ];
    findings.extend(topology::role(server, shape));
    findings.extend([memory::persistence(server, shape), memory::eviction(server)]);
    findings.extend(memory::room(server));
    findings.extend(replica::judge(server, shape, how));
    findings.extend(clock::judge(server, how));
    findings.extend(reach::certificate(server));
    findings
}

/// The lock that was asked about.
fn lock(facts: &Facts, how: Use<'_>) -> Option<Finding> {
    let (name, status) = (facts.name.as_ref()?, facts.look.as_ref().ok()?);
    let mut text = format!("{}: {}", escape(name), state(status));
    // Lock files are there as long as their host is.
    if let Place::Servers { .. } = facts.place {
        let (ttl, rides) = (show(how.terms.ttl), show(how.terms.rides_out()));
        text += &format!("; a ttl of {ttl} rides out an outage of {rides}");
    }
    Some(Finding::ok("lock", text))
}

fn state(status: &Status) -> String {
    let held: Vec<_> = status
        .slots
        .iter()
        .filter_map(|slot| slot.held.as_ref())
        .collect();
    let waiting = match status.waiting {
        Some(count) if count > 0 => format!(", {count} waiting"),
        _ => String::new(),
    };
    let state = match held.as_slice() {
        [] => "free".to_owned(),
        [held] if status.slots.len() == 1 => held_text(held),
        several => format!("{} of {} places taken", several.len(), status.slots.len()),
    };
    state + &waiting
}

#[cfg(test)]
mod tests;
