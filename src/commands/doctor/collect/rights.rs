//! What the server lets us do: every command that a run may need, tried on keys
//! of a lock that nobody uses.
//!
//! One of them writes: the plain key of that lock, which ends after a second by
//! itself. `HSET` and `RPUSH` are tried on that key, where they can only fail: a refusal for want
//! of a right comes first. So nothing is left behind, whichever right is missing,
//! and whatever becomes of us.

use crate::config::Doctor;
use crate::store::StoreErrorKind;
use crate::store::redis::probe::{Probe, Refusal};

/// The life of the key that is written, in ms.
const KEY_LIFE: &str = "1000";
/// The hash of a script that no server knows.
const NO_SCRIPT: &str = "0000000000000000000000000000000000000000";

/// The commands that are refused, by the words of `ACL SETUSER`, and why. A
/// refusal to write stands under `set`, whatever the reason.
pub(super) fn refused(probe: &mut Probe, doctor: &Doctor) -> Vec<(String, Refusal)> {
    let key = format!("{}{}", doctor.lock.key_prefix, nobodys(doctor));
    let state = format!("{{{key}}}:st");
    let channel = format!("{key}:w:doctor");
    let database = probe.server().database.to_string();
    let (key, state) = (key.as_str(), state.as_str());
    let mut refused = Vec::new();
    let mut try_it = |name: &str, words: &[&str]| {
        let refusal = probe.ask(words).err().filter(|it| is_refusal(name, it));
        let is_allowed = refusal.is_none();
        refused.extend(refusal.map(|refusal| (name.to_owned(), refusal)));
        is_allowed
    };
    let may_set = try_it("set", &["SET", key, "doctor", "PX", KEY_LIFE]);
    if may_set {
        try_it("hset", &["HSET", key, "v", "1"]);
        try_it("rpush", &["RPUSH", key, "1"]);
    }
    for (name, words) in [
        ("asking", &["ASKING"] as &[&str]),
        ("cluster|keyslot", &["CLUSTER", "KEYSLOT", key]),
        ("cluster|slots", &["CLUSTER", "SLOTS"]),
        ("eval", &["EVAL", "return 1", "1", key]),
        ("evalsha", &["EVALSHA", NO_SCRIPT, "1", key]),
        ("exists", &["EXISTS", key]),
        ("get", &["GET", key]),
        ("hdel", &["HDEL", state, ""]),
        ("hget", &["HGET", state, "v"]),
        ("hmget", &["HMGET", state, "v"]),
        ("info", &["INFO", "server"]),
        ("lrange", &["LRANGE", state, "0", "0"]),
        ("ltrim", &["LTRIM", state, "0", "0"]),
        ("persist", &["PERSIST", state]),
        ("pexpire", &["PEXPIRE", state, KEY_LIFE]),
        ("ping", &["PING"]),
        ("pttl", &["PTTL", key]),
        ("publish", &["PUBLISH", &channel, "ask"]),
        ("role", &["ROLE"]),
        ("scan", &["SCAN", "0", "COUNT", "1"]),
        ("select", &["SELECT", &database]),
        ("time", &["TIME"]),
        ("wait", &["WAIT", "0", "1"]),
        ("del", &["DEL", key]),
        ("del", &["DEL", state]),
    ] {
        try_it(name, words);
    }
    // A connection that listens does nothing else any more.
    let listening = Probe::dial(probe.server(), doctor.lock.store_timeout);
    let listens = listening.map(|mut probe| probe.ask(&["SUBSCRIBE", &channel]));
    if let Ok(Err(refusal)) = listens
        && is_refusal("subscribe", &refusal)
    {
        refused.push(("subscribe".to_owned(), refusal));
    }
    refused.dedup_by(|one, other| one.0 == other.0);
    refused
}

/// The name of a lock that nobody uses, also where one was asked about.
fn nobodys(doctor: &Doctor) -> String {
    let name = &doctor.lock.name;
    if doctor.is_named {
        crate::store::random_hex::<8>().map_or_else(
            |_| format!("{name}:doctor"),
            |it| format!("tasklock-doctor-{it}"),
        )
    } else {
        name.to_string()
    }
}

/// Whether this is about us and not about what was tried: keys of another node, a
/// server that is no Cluster, a key of another type.
fn is_refusal(name: &str, refusal: &Refusal) -> bool {
    let says = |text| refusal.text.contains(text);
    match refusal.kind {
        StoreErrorKind::Denied => true,
        StoreErrorKind::Misconfigured => says("unknown command") || says("unknown subcommand"),
        _ => name == "set" && !says("MOVED") && !says("ASK "),
    }
}

#[cfg(test)]
mod tests {
    use crate::store::redis::rights::{BESIDE, IN_SCRIPTS};

    #[test]
    fn every_right_is_tried() {
        let source = include_str!("rights.rs");
        for name in IN_SCRIPTS.iter().chain(&BESIDE) {
            assert!(
                source.contains(&format!("(\"{name}\", ")) || *name == "subscribe",
                "{name}"
            );
        }
    }
}
