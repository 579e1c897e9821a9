//! The way to a server: rights, round trips, versions, certificates.

use std::time::Duration;

use super::Use;
use crate::commands::doctor::facts::{Seen, Server};
use crate::commands::doctor::finding::{Finding, Level};
use crate::duration::show;
use crate::store::StoreErrorKind;
use crate::store::redis::rights;

/// A request takes up to four round trips to connect and one for itself, and is
/// repeated once: that is to take half of the time it has.
const TRIPS_PER_TIMEOUT: u32 = 20;
/// The oldest servers that the tests pass on.
const LEAST_REDIS: (u32, u32) = (6, 2);
/// Certificates that end within so many days are told of.
const SOON_DAYS: i64 = 14;

/// Rights without which no run works, and what the others are for.
const OPTIONAL: [(&str, &str); 10] = [
    ("asking", "to follow a lock of a Cluster on the move"),
    ("cluster|keyslot", "to tell a Cluster from a single server"),
    ("cluster|slots", "to follow a fail-over in a Cluster"),
    ("info", "for a node of a quorum to notice its own restart"),
    ("ping", "for this check"),
    ("publish", "for a waiter to be told at once"),
    ("role", "to tell a master from what was one"),
    ("scan", "to list locks"),
    ("subscribe", "to wait in line"),
    ("wait", "for --replicas"),
];

/// What may help against an error of this kind.
pub(super) fn advice(kind: StoreErrorKind) -> Option<&'static str> {
    match kind {
        StoreErrorKind::Unavailable | StoreErrorKind::Unreplicated => Some(
            "see that the server runs, that the URL names it, and that no firewall is in between; \
             runs end with 69 until then",
        ),
        StoreErrorKind::Denied => {
            Some("see the user and the password of the URL, and the rights of the user (ACL LIST)")
        }
        StoreErrorKind::Misconfigured => {
            Some("see the URL, and what the message names; runs end with 78 until then")
        }
        StoreErrorKind::Defect => None,
    }
}

/// Whether the server lets us do what runs do.
pub(super) fn rights(server: &Server, how: Use<'_>) -> Finding {
    let user = server.user.as_deref().filter(|user| *user != "default");
    let Some((_, first)) = server.refused.first() else {
        let who = user.map_or("the default user".to_owned(), |user| {
            format!("user {user:?}")
        });
        return Finding::ok("rights", format!("{who} may do all that tasklock needs"));
    };
    let use_of = |name: &str| {
        OPTIONAL
            .iter()
            .find(|(it, _)| *it == name)
            .map(|(_, what)| what)
    };
    let needed = server
        .refused
        .iter()
        .find(|(name, _)| use_of(name).is_none());
    let level = match needed {
        Some((_, refusal)) => Level::Error(refusal.kind.code()),
        None => Level::Warning,
    };
    let named = server.refused.iter().map(|(name, _)| match use_of(name) {
        Some(what) => format!("{name} ({what})"),
        None => name.clone(),
    });
    let named: Vec<String> = named.collect();
    let (_, told) = needed.unwrap_or(&server.refused[0]);
    let text = format!(
        "refused: {}; the server says: {}",
        named.join(", "),
        told.text
    );
    let finding = Finding::new("rights", level, text);
    match (told.kind, first.kind) {
        (StoreErrorKind::Denied, _) => finding.advise(rights::rule(user, how.key_prefix)),
        (StoreErrorKind::Misconfigured, _) => finding.advise(
            "the server, or a proxy before it, does not know the command: undo rename-command, \
             or name the server itself in the URL",
        ),
        _ => finding
            .advise("locks can be looked at but not taken: mend what the server complains of"),
    }
}

/// How long a request takes, beside what it may take.
pub(super) fn latency(server: &Server, how: Use<'_>) -> Finding {
    let trip = match &server.round_trip {
        Ok(trip) => *trip,
        Err(why) => return Finding::hidden("latency", "the round-trip time", why),
    };
    let timeout = how.terms.store_timeout;
    let text = format!(
        "a round trip takes {}; a request may take {} with a ttl of {}",
        millis(trip),
        show(timeout),
        show(how.terms.ttl)
    );
    if trip * TRIPS_PER_TIMEOUT <= timeout {
        return Finding::ok("latency", text);
    }
    Finding::warning("latency", text).advise(
        "to connect takes up to four round trips, and a request is repeated once: give a longer \
         --ttl or --store-timeout, or a server that is nearer",
    )
}

fn millis(duration: Duration) -> String {
    format!("{:.2}ms", duration.as_secs_f64() * 1e3)
}

/// Whether tasklock is tested on such a server.
pub(super) fn version(server: &Server) -> Finding {
    let (kind, version) = match (server.version(), &server.info) {
        (Some(it), _) => it,
        (None, Ok(_)) => return Finding::hidden("version", "the version", "INFO has none"),
        (None, Err(why)) => {
            return Finding::hidden("version", "the version", &no_right("INFO", why));
        }
    };
    let text = format!("{kind} {version}");
    let mut numbers = version.split('.').map(|part| part.parse().unwrap_or(0));
    let number = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    match kind {
        "Redis" if number < LEAST_REDIS => Finding::warning("version", text).advise(
            "tasklock is tested on Redis 6.2 and later, and on Valkey 8: update the server",
        ),
        "Redis" | "Valkey" => Finding::ok("version", text),
        _ => Finding::warning("version", text)
            .advise("tasklock is tested on Redis and Valkey only: use one of them"),
    }
}

/// `why`, and the right that would show it.
pub(super) fn no_right(command: &str, why: &str) -> String {
    let right = command.to_lowercase().replace(' ', "|");
    format!("no {command} ({why}; +{right} would show it)")
}

/// How long the server's certificate is good for.
pub(super) fn certificate(server: &Server) -> Option<Finding> {
    let certificate = server.tls.as_ref()?;
    let protocol = certificate.protocol.replace("TLSv1_", "TLS 1.");
    Some(expiry(
        &format!("{protocol}, the server's certificate"),
        &certificate.days_left,
        "connections fail when it has ended: renew it on the server",
    ))
}

/// How long our own certificate is good for.
pub(super) fn own_certificate(days_left: &Seen<i64>) -> Finding {
    expiry(
        "the certificate of --tls-cert",
        days_left,
        "the server refuses it when it has ended: renew it",
    )
}

fn expiry(what: &str, days_left: &Seen<i64>, advice: &str) -> Finding {
    match days_left {
        Err(why) => Finding::hidden("tls", "the end of the certificate", why),
        Ok(days) if *days < 0 => {
            Finding::warning("tls", format!("{what} has ended {} days ago", -days)).advise(advice)
        }
        Ok(days) if *days < SOON_DAYS => {
            Finding::warning("tls", format!("{what} ends in {days} days")).advise(advice)
        }
        Ok(days) => Finding::ok("tls", format!("{what} is good for {days} days")),
    }
}
