//! Who could take the place of the node that has a slot, by `CLUSTER SLOTS`.

use redis::Value;

use super::reply::Node;
use super::slot;
use crate::store::redis::is_plain;

/// The nodes that an answer to `CLUSTER SLOTS` names for `slot`: its owner and the
/// owner's replicas. None if it is no such answer, or the user has no leave to ask.
pub(super) fn of(slot: u16, answer: &Value) -> Option<Vec<Node>> {
    let Value::Array(ranges) = answer else {
        return None;
    };
    let nodes = ranges.iter().find_map(|range| match range {
        Value::Array(parts) => match parts.as_slice() {
            [Value::Int(first), Value::Int(last), nodes @ ..]
                if (*first..=*last).contains(&slot.into()) =>
            {
                Some(nodes)
            }
            _ => None,
        },
        _ => None,
    });
    Some(nodes?.iter().filter_map(node).collect())
}

/// All masters that an answer to `CLUSTER SLOTS` names, each once. None if a slot has none.
pub(super) fn masters(answer: &Value) -> Option<Vec<Node>> {
    let Value::Array(ranges) = answer else {
        return None;
    };
    let mut masters = Vec::new();
    let mut slots = 0;
    for range in ranges {
        let Value::Array(parts) = range else {
            return None;
        };
        let [Value::Int(first), Value::Int(last), master, ..] = parts.as_slice() else {
            return None;
        };
        slots += last - first + 1;
        let master = node(master)?;
        if !masters.contains(&master) {
            masters.push(master);
        }
    }
    (slots == i64::from(slot::COUNT)).then_some(masters)
}

fn node(value: &Value) -> Option<Node> {
    let Value::Array(parts) = value else {
        return None;
    };
    let [host, Value::Int(port), ..] = parts.as_slice() else {
        return None;
    };
    let host = match host {
        Value::BulkString(host) => String::from_utf8(host.clone())
            .ok()
            .filter(|host| is_plain(host))?,
        Value::Nil => String::new(),
        _ => return None,
    };
    Some(Node {
        host: Some(host).filter(|host| !host.is_empty()),
        port: u16::try_from(*port).ok().filter(|&port| port != 0)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nodes_of_a_slot_are_those_of_its_range() {
        let answer = "*2\r\n\
            *3\r\n:0\r\n:99\r\n*3\r\n$8\r\n10.0.0.1\r\n:7000\r\n$2\r\nid\r\n\
            *5\r\n:100\r\n:16383\r\n*3\r\n$8\r\n10.0.0.2\r\n:7001\r\n$2\r\nid\r\n\
            *4\r\n$-1\r\n:7002\r\n$2\r\nid\r\n*0\r\n*3\r\n$0\r\n\r\n:7003\r\n$2\r\nid\r\n";
        let answer = redis::parse_redis_value(answer.as_bytes()).unwrap();
        let found = |slot| -> Vec<(Option<String>, u16)> {
            let nodes = of(slot, &answer).unwrap();
            nodes
                .into_iter()
                .map(|node| (node.host, node.port))
                .collect()
        };
        let host = |text: &str| Some(text.to_owned());
        assert_eq!(found(99), [(host("10.0.0.1"), 7000)]);
        assert_eq!(
            found(100),
            [(host("10.0.0.2"), 7001), (None, 7002), (None, 7003)]
        );
    }

    #[test]
    fn what_is_no_such_answer_names_nobody() {
        for answer in [
            "-NOPERM no\r\n",
            "*0\r\n",
            "*1\r\n:1\r\n",
            "+OK\r\n",
            "*1\r\n*2\r\n:0\r\n:9\r\n",
        ] {
            let answer = redis::parse_redis_value(answer.as_bytes()).unwrap();
            assert_eq!(of(10, &answer), None, "{answer:?}");
        }
    }
}
