use std::sync::Arc;

use super::*;
use crate::store::redis::TlsFiles;
use crate::store::target::Target;

fn nodes(urls: &str) -> Result<Arc<Nodes>, String> {
    let urls: Vec<String> = urls.split(' ').map(str::to_owned).collect();
    match Target::parse(&urls, &TlsFiles::default())? {
        Target::Quorum(nodes) => Ok(nodes),
        other => panic!("{other}"),
    }
}

#[test]
fn the_order_of_the_urls_and_what_logs_in_do_not_matter() {
    let one = nodes("redis://a redis://b:7000 redis://c/2").unwrap();
    let same = nodes("redis://u:p@C/2 redis://b:7000/0 redis://a:6379").unwrap();
    assert_eq!(one.set, same.set);
    assert_eq!(
        one.to_string(),
        "redis://a:6379 redis://b:7000 redis://c:6379/2"
    );
    for other in [
        "redis://a redis://b:7000 redis://c",
        "redis://a redis://b:7000 redis://d/2",
        "redis://a redis://b:7000 redis://c/2 redis://d redis://e",
    ] {
        assert_ne!(nodes(other).unwrap().set, one.set, "{other}");
    }
}

#[test]
fn what_is_no_quorum_is_refused() {
    for (urls, reason) in [
        ("redis://a redis://b", "two nodes are no quorum"),
        (
            "redis://a redis://b redis://a",
            "redis://a:6379 is given twice",
        ),
        ("redis://a redis://b redis://A:6379/1", "is given twice"),
        ("redis://a redis://b rediss://c", "the same scheme"),
        ("redis://a redis://b unix:///c", "the same scheme"),
        ("redis://a redis://b local:", "a quorum is of plain servers"),
        (
            "redis://a redis://b http://:secret@c",
            "unknown store \"http\"",
        ),
    ] {
        let error = nodes(urls).unwrap_err();
        assert!(error.contains(reason), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
    assert!(nodes("unix:///a unix:///b unix:///c").is_ok());
    // Not better than three, and no worse.
    assert!(nodes("redis://a redis://b redis://c redis://d").is_ok());
}

#[test]
fn rounds_and_fences_that_are_proposed_grow() {
    let nodes = nodes("redis://a redis://b redis://c").unwrap();
    let mut store = QuorumStore::new(&nodes, "task_lock:");
    let mut last = store.bid();
    for _ in 0..1000 {
        let next = store.bid();
        assert!(next.round > last.round && next.proposal >= last.proposal);
        last = next;
    }
    store.fence = Fence(last.proposal + 1_000_000_000_000);
    assert_eq!(store.bid().proposal, store.fence.0 + 1);
}
