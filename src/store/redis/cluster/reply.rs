//! What a node of a Cluster says about whom to ask.

use redis::Value;

use crate::store::redis::failure::code_of;
use crate::store::redis::is_plain;
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
        if !is_plain(host) {
            return None;
        }
        Some(Node {
            host: Some(host.to_owned()).filter(|host| !host.is_empty()),
            port: port.parse().ok().filter(|&port| port != 0)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(line: &str) -> Reply {
        Reply::from(redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap())
    }

    fn node(host: &str, port: u16) -> Node {
        Node {
            host: Some(host.to_owned()),
            port,
        }
    }

    #[test]
    fn a_redirection_names_a_node_by_address_name_or_port_alone() {
        for (place, named) in [
            ("10.0.0.1:6381", node("10.0.0.1", 6381)),
            ("::1:6381", node("::1", 6381)),
            ("[::1]:6381", node("::1", 6381)),
            ("node-1.example:6381", node("node-1.example", 6381)),
            ("?:6381", node("?", 6381)),
            (
                ":6381",
                Node {
                    host: None,
                    port: 6381,
                },
            ),
        ] {
            assert_eq!(
                reply(&format!("MOVED 3999 {place}")),
                Reply::Moved(named.clone())
            );
            assert_eq!(reply(&format!("ASK 3999 {place}")), Reply::Ask(named));
        }
    }

    #[test]
    fn what_names_no_node_leads_nowhere() {
        for line in [
            "MOVED 3999",
            "MOVED 3999 h",
            "MOVED 3999 h:x",
            "MOVED 3999 \u{1b}[2J:1",
            "ASK 1 h:0",
            "ASK",
        ] {
            assert!(matches!(reply(line), Reply::Elsewhere(_)), "{line}");
        }
    }

    #[test]
    fn another_node_is_asked_where_this_one_cannot_serve() {
        for line in [
            "CLUSTERDOWN The cluster is down",
            "CLUSTERDOWN Hash slot not served",
            "LOADING Redis is loading the dataset in memory",
            "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
            "READONLY You can't write against a read only replica.",
            "ERR Error running script (call to f_0a): @user_script:12: -READONLY You can't write against a read only replica.",
            "ERR max number of clients reached",
        ] {
            assert!(matches!(reply(line), Reply::Elsewhere(_)), "{line}");
        }
        let line = "TRYAGAIN Multiple keys request during rehashing of slot";
        assert!(matches!(reply(line), Reply::Again(_)), "{line}");
    }

    #[test]
    fn all_else_is_an_answer() {
        for line in [
            "NOAUTH Authentication required.",
            "OOM command not allowed",
            "ERR x",
        ] {
            assert!(matches!(reply(line), Reply::Final(_)), "{line}");
        }
        assert_eq!(Reply::from(Value::Int(1)), Reply::Final(Value::Int(1)));
    }
}
