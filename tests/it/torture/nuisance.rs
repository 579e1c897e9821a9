//! What is done to a server in a moment: scripts, connections or a key are gone, and it serves on.

use redis::Value;

use super::fault::Fault;
use crate::support::redis::Server;

/// Those who are no run: the tests themselves, replicas and Sentinels ([`crate::support`]).
const STAFF: [&str; 3] = ["harness", "follower", "watcher"];

/// Does it: [`Fault::DeleteKey`], [`Fault::FlushScripts`], [`Fault::FlushAll`] or
/// [`Fault::KillClients`].
pub(crate) fn strike(server: &Server, fault: Fault, name: &str, dice: usize) {
    match fault {
        Fault::DeleteKey => drop(server.command(&["DEL", &format!("task_lock:{name}")])),
        Fault::FlushScripts => drop(server.command(&["SCRIPT", "FLUSH"])),
        Fault::FlushAll => drop(server.command(&["FLUSHALL"])),
        Fault::KillClients => kill_clients(server, dice),
        other => panic!("{other:?} takes longer than a moment"),
    }
}

/// All connections of tasklock, or one of them.
fn kill_clients(server: &Server, dice: usize) {
    let Value::BulkString(list) = server.command(&["CLIENT", "LIST"]) else {
        return;
    };
    let list = String::from_utf8_lossy(&list).into_owned();
    let theirs = list.lines().filter(|line| is_of_a_run(line));
    let ids = theirs.filter_map(|line| line.split(' ').next()?.strip_prefix("id="));
    let ids: Vec<&str> = ids.collect();
    let chosen = match dice.is_multiple_of(2) {
        true => ids,
        false => ids
            .get(dice % ids.len().max(1))
            .copied()
            .into_iter()
            .collect(),
    };
    for id in chosen {
        // It may have gone by itself: then this kills nobody.
        server.command(&["CLIENT", "KILL", "ID", id]);
    }
}

/// A line of `CLIENT LIST`. In a Cluster, replicas have no user of their own.
fn is_of_a_run(line: &str) -> bool {
    let field = |name: &str| line.split(' ').find_map(|field| field.strip_prefix(name));
    let is_a_server = field("flags=").is_some_and(|flags| flags.contains(['S', 'M']));
    !is_a_server && field("user=").is_some_and(|user| !STAFF.contains(&user))
}
