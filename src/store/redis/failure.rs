//! From what went wrong with a server to a [`StoreError`].

use std::time::Duration;

use super::answer::shown;
use super::wire::Fault;
use super::{Address, Server};
use crate::store::{StoreError, StoreErrorKind};

/// The codes of errors that pass by themselves.
const PASSING: &[&str] = &[
    "LOADING",
    "READONLY",
    "CLUSTERDOWN",
    "MASTERDOWN",
    "TRYAGAIN",
    "NOREPLICAS",
    "NOGOODSLAVE",
    "UNBLOCKED",
    "OOM",
    "BUSY",
    "MISCONF",
    "UNKILLABLE",
];

/// The codes and phrases (of servers before those codes) that refuse us.
const DENYING: &[&str] = &["NOAUTH", "WRONGPASS", "NOPERM", "DENIED"];
const DENYING_PHRASES: &[&str] = &[
    "without any password configured", // Redis 6 and later: AUTH without a password to check
    "no password is set",              // before Redis 6
    "invalid password",                // before Redis 6
    "invalid username-password",
    "arguments for 'auth'",          // AUTH user password before Redis 6
    "The user executing the script", // ACLs inside a script, Redis 6 and 7.0
    "ACL failure in script",         // the same since Redis 7.2, and in Valkey
];

/// The codes by which a server says that it is not, or not yet, the one to ask.
/// A master that was cut off from its replicas may say NOREPLICAS.
const DECLINING: &[&str] = &[
    "READONLY",
    "LOADING",
    "MASTERDOWN",
    "UNBLOCKED",
    "NOREPLICAS",
];

/// The codes that only a Cluster gives.
const CLUSTER: &[&str] = &["MOVED", "ASK", "CROSSSLOT"];

/// What came of the connection.
pub(super) fn of_fault(server: &Server, fault: Fault, timeout: Duration) -> StoreError {
    let timeout = Duration::from_millis(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
    let (kind, text) = match fault {
        Fault::Refused(text) => return of_answer(server, &text),
        Fault::NoMaster(error) => return error,
        Fault::Unreachable(why) => (
            StoreErrorKind::Unavailable,
            format!("cannot reach {server}: {why}"),
        ),
        Fault::Forbidden(why) => (
            StoreErrorKind::Denied,
            format!("cannot reach {server}: {why}"),
        ),
        Fault::NotConnected => (
            StoreErrorKind::Unavailable,
            format!("cannot reach {server}: no connection within {timeout:?}"),
        ),
        // A plain server waits for the end of a line that a handshake never has.
        Fault::NoHandshake => (
            StoreErrorKind::Unavailable,
            format!("cannot reach {server}: no TLS handshake within {timeout:?}{PLAIN_HINT}"),
        ),
        Fault::NoAnswer => (
            StoreErrorKind::Unavailable,
            format!("no reply from {server} within {timeout:?}"),
        ),
        Fault::Broken(why) => (
            StoreErrorKind::Unavailable,
            format!("lost the connection to {server}: {why}"),
        ),
        Fault::HungUp(why) => (
            StoreErrorKind::Unavailable,
            format!(
                "lost the connection to {server}: {why} before any answer{}",
                rediss_hint(server)
            ),
        ),
        Fault::Tls(why) => (
            StoreErrorKind::Misconfigured,
            match why.strip_prefix("received fatal alert: ") {
                Some(alert) => format!("{server} refused TLS: {alert}{}", alert_hint(alert)),
                None => format!("cannot trust {server}: {why}{}", tls_hint(&why)),
            },
        ),
        Fault::NotRedis => (
            StoreErrorKind::Misconfigured,
            format!("{server} does not answer like Redis or Valkey, is the port right?"),
        ),
        Fault::Garbled => (
            StoreErrorKind::Defect,
            format!("{server} sent an answer that cannot be read"),
        ),
    };
    StoreError::new(kind, text)
}

/// Whether the same again would fail the same way.
pub(super) fn is_definite(server: &Server, fault: &Fault) -> bool {
    match fault {
        Fault::Refused(text) => of_answer(server, text).kind != StoreErrorKind::Unavailable,
        Fault::NoMaster(error) => error.kind != StoreErrorKind::Unavailable,
        Fault::Forbidden(_) | Fault::Tls(_) | Fault::NotRedis | Fault::Garbled => true,
        Fault::Unreachable(_)
        | Fault::NotConnected
        | Fault::NoHandshake
        | Fault::NoAnswer
        | Fault::Broken(_)
        | Fault::HungUp(_) => false,
    }
}

/// What came of listening on `channel`, on a connection of its own.
pub(super) fn of_listening(
    server: &Server,
    channel: &str,
    fault: Fault,
    timeout: Duration,
) -> StoreError {
    let mut error = of_fault(server, fault, timeout);
    if error.kind == StoreErrorKind::Denied && error.text.contains("NOPERM") {
        let needed = "(to wait in line a user needs +subscribe and this channel)";
        error.text = format!("{}: channel {channel:?} {needed}", error.text);
    }
    error
}

const PLAIN_HINT: &str = " (a server without TLS? its URL begins with redis://)";

/// A server that expects TLS hangs up on what is none.
fn rediss_hint(server: &Server) -> &'static str {
    match server.address {
        Address::Tcp { .. } if server.tls.is_none() => {
            " (a server with TLS? its URL begins with rediss://)"
        }
        _ => "",
    }
}

fn tls_hint(why: &str) -> &'static str {
    if why.contains("UnknownIssuer") {
        " (name its authority with --tls-ca)"
    } else if why.contains("InvalidContentType") {
        PLAIN_HINT
    } else {
        ""
    }
}

/// Alerts by which a server says what it thinks of our certificate.
fn alert_hint(alert: &str) -> &'static str {
    match alert {
        "CertificateRequired" => " (it asks for a certificate: --tls-cert and --tls-key)",
        "UnknownCA"
        | "UnknownCa"
        | "BadCertificate"
        | "CertificateUnknown"
        | "CertificateExpired"
        | "CertificateRevoked"
        | "UnsupportedCertificate" => " (it does not accept the certificate of --tls-cert)",
        _ => "",
    }
}

/// What an error answer of the server means.
pub(super) fn of_answer(server: &Server, answer: &str) -> StoreError {
    // To who has not logged in a server talks of the length of the request instead, if it has
    // more than ten words: "ERR Protocol error: unauthenticated multibulk length".
    let answer = match answer.contains("Protocol error: unauthenticated") {
        true => "NOAUTH Authentication required.",
        false => answer,
    };
    let said = shown(&server.without_password(answer));
    let has = |codes: &[&str]| code_of(answer).is_some_and(|code| codes.contains(&code));
    let phrase = |phrases: &[&str]| phrases.iter().any(|phrase| answer.contains(phrase));
    let (kind, text) = if phrase(&["cluster support disabled"]) {
        let text = format!(
            "{server} is not a Redis Cluster, use {}: {said}",
            server.url()
        );
        (StoreErrorKind::Misconfigured, text)
    } else if has(CLUSTER) || phrase(&["not allowed in cluster mode"]) {
        let scheme = if server.tls.is_some() {
            "rediss+cluster"
        } else {
            "redis+cluster"
        };
        let host = match &server.address {
            Address::Tcp { .. } => server.host_and_port(),
            Address::Unix(_) => "host".to_owned(),
        };
        let text = format!("{server} is a Redis Cluster, use {scheme}://{host}: {said}");
        (StoreErrorKind::Misconfigured, text)
    } else if is_denial(answer) {
        let what = if code_of(answer) == Some("NOPERM")
            || phrase(&["The user executing", "ACL failure"])
        {
            "permission"
        } else {
            "credentials"
        };
        // Where a piece of the server's words is left out, the rest would tell the password.
        let tells = what == "credentials" && server.without_password(answer) != answer;
        let said = match code_of(answer).filter(|_| tells) {
            Some(code) => code.to_owned(),
            None => said,
        };
        let hint = if what == "credentials" && server.names_only_a_user() {
            " (the URL names a user without a password; a password alone is written :password@)"
        } else {
            ""
        };
        (
            StoreErrorKind::Denied,
            format!("{server} refused the {what}: {said}{hint}"),
        )
    } else if phrase(&["unknown command"]) {
        let hint = sentinel_hint(server);
        (
            StoreErrorKind::Misconfigured,
            format!("{server} cannot serve as a store: {said}{hint}"),
        )
    } else if phrase(&["DB index"]) {
        (
            StoreErrorKind::Misconfigured,
            format!("{server} cannot serve as a store: {said}"),
        )
    } else if phrase(&["user_script"]) && !has(PASSING) {
        (
            StoreErrorKind::Defect,
            format!("a script failed on {server}: {said}"),
        )
    } else {
        // Also what we do not know: an error is not an answer, and asking again is harmless.
        (
            StoreErrorKind::Unavailable,
            format!("{server} cannot serve just now: {said}"),
        )
    };
    StoreError::new(kind, text)
}

/// A Sentinel speaks like a server, but has none of the commands of one.
fn sentinel_hint(server: &Server) -> String {
    match server.address {
        Address::Unix(_) => String::new(),
        Address::Tcp { .. } => {
            let s = if server.tls.is_some() { "s" } else { "" };
            let place = server.host_and_port();
            format!(" (a Sentinel? its URL is redis{s}+sentinel://{place}/NAME-OF-THE-MASTER)")
        }
    }
}

/// Whether a server that answers with this error is, for now, not the one to ask.
pub(super) fn is_declined(answer: &str) -> bool {
    code_of(answer).is_some_and(|code| DECLINING.contains(&code))
}

/// Whether this error refuses us for what we are.
pub(super) fn is_denial(answer: &str) -> bool {
    code_of(answer).is_some_and(|code| DENYING.contains(&code))
        || DENYING_PHRASES.iter().any(|phrase| answer.contains(phrase))
}

/// The code of an error: its first word, or with `ERR` the first known code
/// inside: before Redis 7 an error that a script raised is
/// `ERR Error running script (call to f_…): @user_script:12: OOM command not …`,
/// and the code may have a `-` before it.
pub(super) fn code_of(answer: &str) -> Option<&str> {
    let mut words = answer
        .split_whitespace()
        .map(|word| word.trim_start_matches('-'));
    let first = words.next()?;
    if first != "ERR" || !answer.contains("script") {
        return Some(first);
    }
    let known = |word: &&str| {
        [PASSING, DENYING, CLUSTER]
            .iter()
            .any(|codes| codes.contains(word))
    };
    words.find(known).or(Some(first))
}

#[cfg(test)]
mod tests;
