//! What a node of a Cluster says about whom to ask.

use redis::Value;

use crate::store::redis::failure::code_of;
use crate::store::redis::wire::error_text;

/// What becomes of a request, by the answer to it.
#[derive(Debug, PartialEq)]
pub(super) enum Reply {
    /// It was carried out or refused by the node that has the slot.
    Final(Value),
    /// That node has the slot, from now on.
    Moved(Node),
    /// That node may have the keys already, this time; the slot is on its way there.
    Ask(Node),
    /// Only some of the keys are on their way.
    Again(Value),
    /// This node is of no use now; another may be.
    Elsewhere(Value),
}

/// A node as another one names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    /// None: that of the one who named it.
    pub(super) host: Option<String>,
    pub(super) port: u16,
}

/// The codes of a node that cannot serve now, while another may have taken its place.
const ELSEWHERE: &[&str] = &["CLUSTERDOWN", "LOADING", "MASTERDOWN", "READONLY"];

impl From<Value> for Reply {
    fn from(value: Value) -> Reply {
        let Value::ServerError(error) = &value else {
            return Reply::Final(value);
        };
        let text = error_text(error);
        let redirection = || {
            let mut words = text.split_whitespace().skip(2);
            words.next().and_then(Node::parse)
        };
        match code_of(&text) {
            Some("MOVED") => redirection().map_or(Reply::Elsewhere(value), Reply::Moved),
            Some("ASK") => redirection().map_or(Reply::Elsewhere(value), Reply::Ask),
            Some("TRYAGAIN") => Reply::Again(value),
            Some(code) if ELSEWHERE.contains(&code) => Reply::Elsewhere(value),
            _ if text.contains("max number of clients") => Reply::Elsewhere(value),
            _ => Reply::Final(value),
        }
    }
}

impl Node {
    /// `10.0.0.1:6379`, `::1:6379`, or `:6379`: the same host. A node that should be
    /// named and has no name is `?`, which leads nowhere, and to a message that shows it.
    fn parse(text: &str) -> Option<Node> {
        let (host, port) = text.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Some(Node {
            host: Some(host.to_owned()).filter(|host| !host.is_empty()),
            port: port.parse().ok().filter(|&port| port != 0)?,
        })
    }
}
