//! What may make a server forget locks, or refuse them.

use super::reach::no_right;
use crate::commands::doctor::facts::{Server, Shape};
use crate::commands::doctor::finding::Finding;

/// From this part of maxmemory on the memory is nearly full, in percent.
const NEARLY_FULL: u64 = 90;

/// What a restart leaves.
pub(super) fn persistence(server: &Server, shape: &Shape) -> Finding {
    let aof = match server.info("aof_enabled") {
        Some(enabled) => Ok(enabled == "1"),
        None => server.setting("appendonly").map(|value| value == "yes"),
    };
    let aof = match aof {
        Ok(aof) => aof,
        Err(why) => {
            return Finding::hidden("persistence", "what it saves", &no_right("INFO", &why));
        }
    };
    if server.info("aof_last_write_status") == Some("err")
        || server.info("rdb_last_bgsave_status") == Some("err")
    {
        return Finding::warning("persistence", "the last attempt to save failed").advise(
            "look into the log of the server: with stop-writes-on-bgsave-error it refuses locks",
        );
    }
    if aof {
        return Finding::ok("persistence", "appendonly: a restart keeps the locks");
    }
    match server.setting("save") {
        Ok("") => forgets(shape),
        Ok(_) => Finding::ok(
            "persistence",
            "snapshots: a restart in order keeps the locks, a crash forgets those since the last one \
             (appendonly yes keeps them)",
        ),
        Err(why) => Finding::hidden(
            "persistence",
            "whether it saves snapshots; it has no appendonly",
            &no_right("CONFIG GET", &why),
        ),
    }
}

/// Neither AOF nor snapshots.
fn forgets(shape: &Shape) -> Finding {
    let nothing = "nothing is saved: a restart forgets every lock";
    match shape {
        Shape::Quorum(_) => Finding::ok(
            "persistence",
            format!("{nothing}; this node has no vote for five minutes then, the others go on"),
        ),
        Shape::One => Finding::warning(
            "persistence",
            format!("{nothing}; a job takes its own again at its next refresh, unless another asked first"),
        )
        .advise("set appendonly yes"),
        Shape::Sentinel(_) | Shape::Cluster(_) => Finding::warning(
            "persistence",
            format!("{nothing}; and of a master that restarts before a fail-over its replicas copy nothing"),
        )
        .advise("set appendonly yes, or see that no master is restarted by itself"),
    }
}

/// Whether the server may drop locks to make room.
pub(super) fn eviction(server: &Server) -> Finding {
    let policy = server
        .info("maxmemory_policy")
        .map_or_else(|| server.setting("maxmemory-policy"), Ok);
    let policy = match policy {
        Ok(policy) => policy,
        Err(why) => {
            return Finding::hidden(
                "eviction",
                "the eviction policy",
                &no_right("CONFIG GET", &why),
            );
        }
    };
    let text = format!("maxmemory-policy {policy}");
    if policy == "noeviction" {
        return Finding::ok("eviction", text);
    }
    if server.number("maxmemory") == Some(0) {
        return Finding::ok(
            "eviction",
            format!("{text}, but no maxmemory: nothing is dropped"),
        );
    }
    if policy.starts_with("volatile-") {
        return Finding::ok(
            "eviction",
            format!(
                "{text}: may drop the key of a lock but not its state, so no other tasklock gets in and the \
                 holder takes it again (a job on the plain recipe may get in until then)"
            ),
        );
    }
    Finding::warning("eviction", format!("{text}: may drop locks that are held, state and all"))
        .advise("set maxmemory-policy noeviction, or a volatile one; or give the locks a server of their own")
}

/// How much memory is left.
pub(super) fn room(server: &Server) -> Option<Finding> {
    let (used, most) = (server.number("used_memory")?, server.number("maxmemory")?);
    if most == 0 {
        return None;
    }
    let percent = used.saturating_mul(100) / most;
    let text = format!("{percent}% of maxmemory is used");
    if percent < NEARLY_FULL {
        return Some(Finding::ok("memory", text));
    }
    let finding = Finding::warning("memory", text);
    Some(match server.info("maxmemory_policy") {
        Some("noeviction") => {
            finding.advise("a full server refuses locks (69): raise maxmemory, or keep less there")
        }
        _ => finding.advise("it drops keys when it is full: raise maxmemory, or keep less there"),
    })
}
