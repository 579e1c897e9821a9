//! Replicas: who takes over, and what it knows by then.

use std::time::Duration;

use super::Use;
use super::reach::no_right;
use crate::commands::doctor::facts::{Server, Shape};
use crate::commands::doctor::finding::Finding;
use crate::duration::show;

/// A replica that is silent for so many seconds lags: they report once a second.
const LAG_MAX_SECS: u64 = 10;

/// What is to be said of the replicas of a master.
pub(super) fn judge(server: &Server, shape: &Shape, how: Use<'_>) -> Vec<Finding> {
    if server.info("role") != Some("master") {
        return Vec::new();
    }
    let count = server.number("connected_slaves").unwrap_or(0);
    let watched = matches!(shape, Shape::Sentinel(_));
    let mut findings = Vec::new();
    if count == 0 {
        if watched {
            let text = "the master has no replica";
            findings.push(
                Finding::warning("replicas", text)
                    .advise("without one there is no fail-over: add a replica"),
            );
        }
        return findings;
    }
    findings.push(lag(server, count));
    if watched {
        findings.push(min_replicas(server, how));
    }
    findings
}

fn lag(server: &Server, count: u64) -> Finding {
    let behind: Vec<String> = (0..count)
        .filter_map(|number| trouble(server, number))
        .collect();
    let text = format!("{count} connected");
    if behind.is_empty() {
        return Finding::ok("replicas", text);
    }
    Finding::warning("replicas", format!("{text}, but {}", behind.join(", ")))
        .advise("a fail-over to it forgets locks: see its log and the network between them")
}

/// What is wrong with a replica: `ip=…,port=…,state=online,offset=…,lag=0`.
fn trouble(server: &Server, number: u64) -> Option<String> {
    let line = server.info(&format!("slave{number}"))?;
    let field = |name: &str| {
        let mut fields = line.split(',').filter_map(|field| field.split_once('='));
        fields.find(|(it, _)| *it == name).map(|(_, value)| value)
    };
    let name = format!("{}:{}", field("ip")?, field("port")?);
    if field("state") != Some("online") {
        return Some(format!("{name} is not in step yet"));
    }
    let lag = field("lag")?.parse::<u64>().ok()?;
    (lag >= LAG_MAX_SECS).then(|| format!("{name} has been silent for {lag}s"))
}

/// Whether a master that was cut off stops granting locks.
fn min_replicas(server: &Server, how: Use<'_>) -> Finding {
    const CHECK: &str = "min-replicas";
    let number = |name| {
        server
            .setting(name)
            .map(|value| value.parse::<u64>().unwrap_or(0))
    };
    let (least, lag) = match (
        number("min-replicas-to-write"),
        number("min-replicas-max-lag"),
    ) {
        (Ok(least), Ok(lag)) => (least, lag),
        (Err(why), _) | (_, Err(why)) => {
            return Finding::hidden(
                CHECK,
                "min-replicas-to-write",
                &no_right("CONFIG GET", &why),
            );
        }
    };
    let text = format!("min-replicas-to-write {least}, min-replicas-max-lag {lag}");
    if least == 0 || lag == 0 {
        return Finding::warning(
            CHECK,
            format!("{text}: a master that was cut off goes on granting locks"),
        )
        .advise("set min-replicas-to-write 1, or run with --replicas 1");
    }
    if Duration::from_secs(lag) >= how.terms.ttl {
        let text = format!("{text}: as long as a ttl of {}", show(how.terms.ttl));
        return Finding::warning(CHECK, text)
            .advise("set min-replicas-max-lag well below the ttl, or give a longer --ttl");
    }
    Finding::ok(CHECK, text)
}
