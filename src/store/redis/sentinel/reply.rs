//! The answers of Sentinels, and what a server says it is.

use redis::Value;

use crate::store::redis::{Address, is_plain};

fn text_of(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

/// Host (a name, if that is what Sentinel announces) and port.
pub(super) fn address_of(words: &[Value]) -> Option<Address> {
    let [host, port] = words else { return None };
    let host = text_of(host).filter(|host| !host.is_empty() && is_plain(host))?;
    Some(Address::Tcp {
        host: host.to_owned(),
        port: text_of(port)?.parse().ok()?,
    })
}

/// `config-epoch` among the names and values of `SENTINEL MASTER`.
pub(super) fn epoch_of(answer: &Value) -> Option<u64> {
    let Value::Array(words) = answer else {
        return None;
    };
    let field = words
        .chunks_exact(2)
        .find(|pair| text_of(&pair[0]) == Some("config-epoch"))?;
    text_of(&field[1])?.parse().ok()
}

/// The first word of `ROLE`: `master`, `slave` (which we call a replica) or `sentinel`.
pub(super) fn role_of(answer: &Value) -> Option<&str> {
    let Value::Array(words) = answer else {
        return None;
    };
    match words.first().and_then(text_of)? {
        "slave" => Some("replica"),
        other => Some(other),
    }
}
