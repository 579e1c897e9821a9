//! Bytes that need be no text, readable where they are kept.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::select;
use serde::de::{Deserialize, Deserializer, Error};
use serde::{Serialize, Serializer};

/// As a text it is escaped: `a\xff\n`.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Bytes(pub(super) Vec<u8>);

impl Bytes {
    pub(super) fn os(&self) -> OsString {
        OsStr::from_bytes(&self.0).to_owned()
    }
}

impl From<&str> for Bytes {
    fn from(text: &str) -> Bytes {
        Bytes(text.as_bytes().to_vec())
    }
}

impl From<String> for Bytes {
    fn from(text: String) -> Bytes {
        Bytes(text.into_bytes())
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.escape_ascii().to_string())
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        let text = String::deserialize(deserializer)?;
        unescape(&text)
            .map(Bytes)
            .ok_or_else(|| D::Error::custom(text))
    }
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        bytes.push(match c {
            '\\' => match rest.next()? {
                'n' => b'\n',
                'r' => b'\r',
                't' => b'\t',
                'x' => {
                    u8::from_str_radix(&String::from_iter([rest.next()?, rest.next()?]), 16).ok()?
                }
                other => u8::try_from(other).ok()?,
            },
            c => u8::try_from(c).ok()?,
        });
    }
    Some(bytes)
}

/// One of these words.
pub(super) fn word(words: &[&str]) -> impl Strategy<Value = Bytes> + use<> {
    select(
        words
            .iter()
            .map(|word| Bytes::from(*word))
            .collect::<Vec<_>>(),
    )
}

pub(super) fn random(most: usize) -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..most).prop_map(Bytes)
}

/// The same with a few bytes changed, left out or put in.
pub(super) fn mutated(of: impl Strategy<Value = Bytes>) -> impl Strategy<Value = Bytes> {
    let change = (any::<u16>(), 0..4u8, any::<u8>());
    (of, vec(change, 1..4)).prop_map(|(Bytes(mut bytes), changes)| {
        for (at, how, byte) in changes {
            let at = usize::from(at) % (bytes.len() + 1);
            match how {
                0 => bytes.insert(at, byte),
                1 if at < bytes.len() => bytes[at] = byte,
                2 if at < bytes.len() => drop(bytes.remove(at)),
                _ => bytes.truncate(at),
            }
        }
        Bytes(bytes)
    })
}

/// The URL of a store, with a password that has what passwords have.
pub(super) fn url_with_password() -> impl Strategy<Value = Bytes> {
    let scheme = prop_oneof![
        Just("redis"),
        Just("rediss"),
        Just("unix"),
        Just("redis+sentinel"),
        Just("rediss+sentinel"),
        Just("redis+cluster"),
        Just("rediss+cluster"),
        Just("valkey"),
    ];
    let password = "[a'\"@/?#:%\\[ ,=&]{0,3}S3cr3t[a'\"/?#:%\\] ,=&]{0,3}";
    let place = prop_oneof![
        Just("127.0.0.1:1"),
        Just("h"),
        Just("[::1]:1/0"),
        Just("h1,h2:1/master"),
        Just("/run/redis.sock"),
        Just(""),
    ];
    (scheme, "[a-z]{0,2}", password, place).prop_map(|(scheme, user, password, place)| {
        Bytes::from(format!("{scheme}://{user}:{password}@{place}"))
    })
}

#[test]
fn what_is_kept_is_what_was_tried() {
    let all = Bytes((0..=255).collect());
    let text = serde_json::to_string(&all).unwrap();
    assert_eq!(serde_json::from_str::<Bytes>(&text).unwrap(), all);
}
