//! Servers that cannot serve, or can but barely: a replica, a Cluster, one without memory.

use tasklock::store::{Ask, Refresh, Release, StoreErrorKind, Unlock, Unlocked};

use super::{KEY, claim, failure, start};
use crate::support::redis::Server;
use crate::support::store::{
    TIMEOUT, answer, fake, grant, held, keep, open, refresh, release, unlock,
};
use crate::support::wait_until;

#[test]
fn a_replica_is_unavailable() {
    let (server, mut store) = start();
    server.command(&["REPLICAOF", "127.0.0.1", "1"]);
    let error = store
        .acquire(&claim("a"), Ask::default(), TIMEOUT)
        .unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error}");
    assert!(error.text.contains("READONLY"), "{error}");
}

#[test]
fn a_server_that_may_not_write_is_unavailable() {
    let (server, mut store) = start();
    let mine = claim("a");
    let granted = grant(&mut *store, &mine);
    server.command(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    let error = store.refresh(&mine, &granted, TIMEOUT).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error}");
    assert!(error.text.contains("NOREPLICAS"), "{error}");
    server.command(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
    keep(&mut *store, &mine, &granted);
}

#[test]
fn a_cluster_without_slots_is_unavailable() {
    let server = Server::with().config("cluster-enabled", "yes").start();
    let error = failure(&server.unix_url());
    assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error}");
    assert!(error.text.contains("CLUSTERDOWN"), "{error}");
}

#[test]
fn a_cluster_is_named_as_such() {
    let url = fake(|stream| answer(stream, b"-MOVED 3999 127.0.0.1:6381\r\n"));
    let error = failure(&url);
    assert_eq!(error.kind, StoreErrorKind::Misconfigured, "{error}");
    assert!(error.text.contains("redis+cluster://127.0.0.1:"), "{error}");
}

#[test]
fn the_keys_of_a_lock_share_one_slot_of_a_cluster() {
    let server = Server::with().config("cluster-enabled", "yes").start();
    let slots: Vec<String> = (0..16_384).map(|slot| slot.to_string()).collect();
    let mut add = vec!["CLUSTER", "ADDSLOTS"];
    add.extend(slots.iter().map(String::as_str));
    server.command(&add);
    wait_until(|| {
        let info = server.text(&["CLUSTER", "INFO"]).unwrap();
        info.contains("cluster_state:ok")
    });
    let mut store = open(&server.url());
    let mine = claim("a");
    let granted = grant(&mut *store, &mine);
    keep(&mut *store, &mine, &granted);
    assert_eq!(release(&mut *store, &mine), Release::Released);
}

#[test]
fn a_server_without_memory_still_grants_refreshes_and_releases() {
    let server = Server::with().config("maxmemory", "1").start();
    let mut store = open(&server.unix_url());
    assert!(
        server
            .try_command(&["SET", "any", "key"])
            .unwrap_err()
            .contains("OOM")
    );
    let mine = claim("a");
    let granted = grant(&mut *store, &mine);
    assert_eq!(grant(&mut *store, &mine).fence, granted.fence);
    keep(&mut *store, &mine, &granted);
    server.command(&["DEL", KEY]);
    assert!(matches!(
        refresh(&mut *store, &mine, &granted),
        Refresh::Retaken(_)
    ));
    held(&mut *store, &claim("b"));
    unlock(&mut *store, "job", Unlock::Ask);
    assert_eq!(release(&mut *store, &mine), Release::Released);
    grant(&mut *store, &claim("b"));
    let forced = unlock(&mut *store, "job", Unlock::Force);
    assert!(matches!(forced, Some(Unlocked::Freed(_))));
}
