//! How servers belong together, and what a fail-over means for a lease.

use std::time::Duration;

use super::reach::no_right;
use super::{Use, quorum};
use crate::commands::doctor::facts::{Cluster, Fields, Sentinel, Server, Shape};
use crate::commands::doctor::finding::{Finding, Level};
use crate::duration::show;
use crate::exit::Code;
use crate::store::StoreError;

/// What Sentinels need to agree and to promote a replica, generously.
const PROMOTION: Duration = Duration::from_secs(10);

/// What is to be said of the servers together.
pub(super) fn judge(
    shape: &Shape,
    servers: &[Result<Server, StoreError>],
    how: Use<'_>,
) -> Vec<Finding> {
    match shape {
        Shape::One => Vec::new(),
        Shape::Sentinel(sentinels) => of_sentinels(sentinels, how),
        Shape::Cluster(cluster) => of_cluster(cluster, servers, how),
        Shape::Quorum(count) => quorum::judge(*count, servers),
    }
}

/// Whether the server is what it is taken for.
pub(super) fn role(server: &Server, shape: &Shape) -> Option<Finding> {
    const CHECK: &str = "topology";
    let Some(role) = server.info("role") else {
        let why = server
            .info
            .as_ref()
            .err()
            .map_or("INFO has none", String::as_str);
        return Some(Finding::hidden(CHECK, "its role", &no_right("INFO", why)));
    };
    let in_cluster = server.info("cluster_enabled") == Some("1");
    if in_cluster && !matches!(shape, Shape::Cluster(_)) {
        // A name whose slot it happens to have would be answered.
        return Some(
            Finding::new(CHECK, Level::Error(Code::Config), "a node of a Cluster").advise(
                "most locks are on other nodes, runs end with 78: name it as redis+cluster://",
            ),
        );
    }
    if role == "master" {
        let text = match shape {
            Shape::One => "a single server",
            Shape::Sentinel(_) => "the master",
            Shape::Cluster(_) | Shape::Quorum(_) => return None,
        };
        return Some(Finding::ok(CHECK, text));
    }
    let (host, port) = (server.info("master_host"), server.info("master_port"));
    let text = format!(
        "a replica of {}:{}",
        host.unwrap_or("?"),
        port.unwrap_or("?")
    );
    Some(
        Finding::new(CHECK, Level::Error(Code::Unavailable), text).advise(
            "a replica grants no locks, runs end with 69: name its master, or the Sentinels \
             (redis+sentinel://), or the Cluster (redis+cluster://)",
        ),
    )
}

fn of_sentinels(sentinels: &[Result<Sentinel, StoreError>], how: Use<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let seen: Vec<_> = sentinels.iter().filter_map(|it| it.as_ref().ok()).collect();
    for error in sentinels.iter().filter_map(|it| it.as_ref().err()) {
        let advice = "one that answers is enough to find the master, but fewer than a majority promote no other";
        findings.push(Finding::warning("sentinels", &error.text).advise(advice));
    }
    let Some((name, master)) = seen
        .iter()
        .find_map(|it| it.master.as_ref().ok().map(|master| (&it.name, master)))
    else {
        let why = seen.iter().find_map(|it| it.master.as_ref().err());
        let why = no_right(
            "SENTINEL MASTER",
            why.map_or("none answered", String::as_str),
        );
        findings.push(Finding::hidden("sentinels", "what they watch over", &why));
        return findings;
    };
    findings.push(number_of_sentinels(name, master));
    findings.push(down_after(master, how));
    findings
}

fn number(fields: &Fields, name: &str) -> u64 {
    fields.get(name).and_then(|it| it.parse().ok()).unwrap_or(0)
}

fn number_of_sentinels(name: &str, master: &Fields) -> Finding {
    let count = number(master, "num-other-sentinels") + 1;
    let quorum = number(master, "quorum");
    let text =
        format!("{count} watch the master, {quorum} have to agree that it is down (by {name})");
    if quorum > count {
        return Finding::warning("sentinels", text)
            .advise("they never agree: lower the quorum, or add Sentinels");
    }
    if count < 3 {
        return Finding::warning("sentinels", text)
            .advise("after the loss of one no majority is left to promote a replica: run three");
    }
    Finding::ok("sentinels", text)
}

/// Whether the fail-over is over before a lease is.
fn down_after(master: &Fields, how: Use<'_>) -> Finding {
    let down_after = Duration::from_millis(number(master, "down-after-milliseconds"));
    let failover = Duration::from_millis(number(master, "failover-timeout"));
    let text = format!(
        "a dead master is noticed after {} (down-after-milliseconds; failover-timeout {})",
        show(down_after),
        show(failover)
    );
    failover_fits(text, down_after * 2 + PROMOTION, how)
}

/// `needed`: the ttl that a fail-over takes.
fn failover_fits(text: String, needed: Duration, how: Use<'_>) -> Finding {
    let (ttl, rides) = (show(how.terms.ttl), show(how.terms.rides_out()));
    let text = format!("{text}; a run with a ttl of {ttl} rides out {rides}");
    if needed <= how.terms.ttl {
        return Finding::ok("failover", text);
    }
    Finding::warning("failover", text).advise(format!(
        "a fail-over may end the jobs: give --ttl {} or more, or have it noticed sooner",
        show(needed)
    ))
}

fn of_cluster(
    cluster: &Cluster,
    servers: &[Result<Server, StoreError>],
    how: Use<'_>,
) -> Vec<Finding> {
    let mut findings = vec![masters(cluster), slots(cluster, servers)];
    let node = servers.iter().find_map(|it| it.as_ref().ok());
    let timeout = node.map(|node| node.setting("cluster-node-timeout"));
    findings.push(match timeout {
        Some(Ok(text)) => {
            let timeout = Duration::from_millis(text.parse().unwrap_or(0));
            let text = format!(
                "a dead master is noticed after {} (cluster-node-timeout)",
                show(timeout)
            );
            failover_fits(text, timeout * 3, how)
        }
        Some(Err(why)) => Finding::hidden(
            "failover",
            "cluster-node-timeout",
            &no_right("CONFIG GET", &why),
        ),
        None => Finding::hidden("failover", "cluster-node-timeout", "no node answered"),
    });
    findings
}

fn masters(cluster: &Cluster) -> Finding {
    let masters = match &cluster.masters {
        Ok(masters) => masters,
        Err(why) => {
            return Finding::hidden("topology", "the masters", &no_right("CLUSTER SLOTS", why));
        }
    };
    let bare: Vec<&str> = masters
        .iter()
        .filter(|(_, replicas)| *replicas == 0)
        .map(|(name, _)| name.as_str())
        .collect();
    let text = format!("a Cluster of {} masters", masters.len());
    if bare.is_empty() {
        return Finding::ok("topology", format!("{text}, each with a replica"));
    }
    Finding::warning(
        "topology",
        format!("{text}; without a replica: {}", bare.join(", ")),
    )
    .advise("locks there cannot be taken while such a master is down: add replicas")
}

/// Whether every lock has a place.
fn slots(cluster: &Cluster, servers: &[Result<Server, StoreError>]) -> Finding {
    let info = match &cluster.info {
        Ok(info) => info,
        Err(why) => return Finding::hidden("slots", "the slots", &no_right("CLUSTER INFO", why)),
    };
    let node = servers.iter().find_map(|it| it.as_ref().ok());
    let full = node.and_then(|node| node.setting("cluster-require-full-coverage").ok());
    let full = full.map_or_else(String::new, |full| {
        format!(", cluster-require-full-coverage {full}")
    });
    let state = info.get("cluster_state").map_or("?", String::as_str);
    let ok = number(info, "cluster_slots_ok");
    let text = format!("{ok} of 16384 slots are served, state {state}{full}");
    if state != "ok" {
        return Finding::new("slots", Level::Error(Code::Unavailable), text)
            .advise("no lock can be taken: see CLUSTER NODES for who is down, and redis-cli --cluster check");
    }
    if ok < 16384 {
        return Finding::warning("slots", text)
            .advise("locks whose slot is not served cannot be taken: redis-cli --cluster fix");
    }
    Finding::ok("slots", text)
}
