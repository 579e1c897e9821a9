//! Nodes that lose their memory.

use std::time::Duration;

use tasklock::store::{Acquire, Ask, Claim, Done, Once, Period, Refresh, Release, StoreErrorKind};

use super::{MARK, Quorum, ask, is_granted};
use crate::support::redis::Server;
use crate::support::store::{
    FAILED, TIMEOUT, claim, end, grant, grant_in_line, held, keep, open, queue, refresh, release,
    succeeded,
};
use crate::support::wait_until;

/// How a node loses its memory.
fn forget(quorum: &Quorum, node: usize, by_flush: bool) {
    if by_flush {
        quorum.servers[node].command(&["FLUSHALL"]);
    } else {
        quorum.servers[node].kill();
        quorum.servers[node].restart();
        quorum.proxies[node].cut();
    }
}

#[test]
fn a_hold_outlives_the_loss_of_memory_of_each_node_in_turn() {
    for by_flush in [true, false] {
        let quorum = Quorum::of(3);
        let mut store = quorum.open();
        let mine = claim("job", "a");
        let granted = grant(&mut *store, &mine);
        for node in 0..3 {
            forget(&quorum, node, by_flush);
            wait_until(|| {
                assert_eq!(keep(&mut *store, &mine, &granted).fence, granted.fence);
                quorum.owner(node, "job").is_some()
            });
            held(&mut *quorum.open(), &claim("job", "b"));
        }
        assert_eq!(release(&mut *store, &mine), Release::Released);
    }
}

#[test]
fn a_node_without_memory_does_not_help_another_to_the_lock() {
    for by_flush in [true, false] {
        let quorum = Quorum::of(3);
        quorum.cut_off(2);
        let mut store = quorum.open();
        let mine = claim("job", "a");
        let granted = grant(&mut *store, &mine);
        // Only one node is left that knows of it, and the others would be a majority.
        forget(&quorum, 1, by_flush);
        quorum.join(2);
        let mut others = quorum.open();
        for _ in 0..2 {
            held(&mut *others, &claim("job", "b"));
        }
        let other = ask(&mut *others, &claim("free", "b"));
        assert!(matches!(other, Acquire::Granted(_)), "{other:?}");
        assert_eq!(quorum.owner(1, "free"), None);
        // Healed, by the holder, and then counted.
        wait_until(|| {
            let answer = store.refresh(&mine, &granted, TIMEOUT);
            matches!(answer, Ok(Refresh::Held(_)))
        });
        assert!(quorum.owner(1, "job").is_some());
        held(&mut *others, &claim("job", "b"));
    }
}

#[test]
fn a_majority_without_memory_grants_nothing_and_still_keeps_the_lock_for_its_holder() {
    for by_flush in [true, false] {
        let quorum = Quorum::of(3);
        let mut store = quorum.open();
        let mine = claim("job", "a");
        let granted = grant(&mut *store, &mine);
        for node in [0, 1] {
            forget(&quorum, node, by_flush);
        }
        for of in ["job", "free"] {
            let other = quorum
                .open()
                .acquire(&claim(of, "b"), Ask::default(), TIMEOUT);
            assert!(
                matches!(&other, Err(error) if error.kind == StoreErrorKind::Unavailable)
                    || of == "job" && matches!(other, Ok(Acquire::Held(_))),
                "{of}: {other:?}"
            );
        }
        wait_until(|| {
            let answer = store.refresh(&mine, &granted, TIMEOUT);
            matches!(answer, Ok(Refresh::Held(_)))
        });
        assert_eq!(release(&mut *store, &mine), Release::Released);
    }
}

#[test]
fn a_node_votes_again_when_all_that_it_may_have_forgotten_is_over() {
    let quorum = Quorum::of(3);
    forget(&quorum, 0, true);
    forget(&quorum, 1, true);
    let mut store = quorum.open();
    let mine = claim("job", "a");
    for _ in 0..2 {
        let error = store.acquire(&mine, Ask::default(), TIMEOUT).unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Unavailable);
        let told = "came back without its memory and may not vote for another 300s";
        assert!(error.text.contains(told), "{}", error.text);
    }
    assert!((0..3).all(|node| quorum.owner(node, "job").is_none()));
    quorum.let_vote(1);
    assert!(is_granted(&mut *store, &mine));
}

#[test]
fn a_node_that_nobody_needs_begins_to_be_silent_as_soon_as_a_run_notices() {
    let quorum = Quorum::of(3);
    forget(&quorum, 0, true);
    // Too short for a refresh. An answer that comes late is not looked at.
    wait_until(|| {
        let mut store = quorum.open();
        let mine = claim("job", "a");
        grant(&mut *store, &mine);
        assert_eq!(release(&mut *store, &mine), Release::Released);
        quorum.servers[0].text(&["GET", MARK]).is_some()
    });
    assert_eq!(quorum.owner(0, "job"), None);
    // By the time that it is needed, it votes.
    quorum.let_vote(0);
    quorum.cut_off(1);
    assert!(is_granted(&mut *quorum.open(), &claim("job", "b")));
}

#[test]
fn a_restart_with_data_may_have_lost_some_of_it() {
    let servers = (0..3).map(|_| Server::with().persistent().start());
    let quorum = Quorum::unused(servers.collect());
    let mut store = quorum.open();
    let mine = claim("job", "a");
    let granted = grant(&mut *store, &mine);
    for node in [0, 1] {
        quorum.servers[node].restart();
        quorum.proxies[node].cut();
    }
    // The holder goes on, as the nodes know it; others have to wait.
    keep(&mut *store, &mine, &granted);
    assert_eq!(release(&mut *store, &mine), Release::Released);
    let mut others = quorum.open();
    let error = others
        .acquire(&claim("job", "b"), Ask::default(), TIMEOUT)
        .unwrap_err();
    assert!(error.text.contains("may not vote"), "{}", error.text);
    quorum.let_vote(0);
    assert!(is_granted(&mut *others, &claim("job", "c")));
}

#[test]
fn healed_nodes_do_not_count_in_the_same_round() {
    let quorum = Quorum::of(5);
    quorum.cut_off(3);
    quorum.cut_off(4);
    let mut store = quorum.open();
    let mine = claim("job", "a");
    let granted = grant(&mut *store, &mine);
    keep(&mut *store, &mine, &granted);
    quorum.servers[0].command(&["FLUSHALL"]);
    quorum.servers[1].command(&["FLUSHALL"]);
    let error = store.refresh(&mine, &granted, TIMEOUT).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    assert!(quorum.owner(0, "job").is_some() && quorum.owner(1, "job").is_some());
    assert!(matches!(
        refresh(&mut *store, &mine, &granted),
        Refresh::Held(_)
    ));
}

#[test]
fn the_first_use_needs_all_nodes_and_waits_for_nothing_else() {
    let quorum = Quorum::unused((0..3).map(|_| Server::start()).collect());
    quorum.cut_off(1);
    let mut store = quorum.open();
    let mine = claim("job", "a");
    let error = store.acquire(&mine, Ask::default(), TIMEOUT).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    let told = "the first use of a quorum needs all of its nodes: ";
    assert!(error.text.starts_with(told), "{}", error.text);
    quorum.join(1);
    assert!(is_granted(&mut *store, &mine));
    // From now on it does not.
    quorum.cut_off(1);
    assert!(is_granted(&mut *quorum.open(), &claim("other", "b")));
}

#[test]
fn a_server_whose_clock_stepped_back_does_not_stay_away_for_ever() {
    let quorum = Quorum::of(3);
    let far = "99999999999999";
    for node in 0..2 {
        let run = quorum.servers[node].info("server")["run_id"].clone();
        quorum.servers[node].command(&["SET", MARK, &format!("{run} 0 {far}")]);
    }
    let mut store = quorum.open();
    let error = store
        .acquire(&claim("job", "a"), Ask::default(), TIMEOUT)
        .unwrap_err();
    assert!(error.text.contains("another 300s"), "{}", error.text);
}

#[test]
fn a_lock_that_was_freed_by_force_is_not_healed() {
    use tasklock::store::Unlock;

    use crate::support::store::unlock;
    let quorum = Quorum::of(3);
    let mut store = quorum.open();
    let mine = claim("job", "a");
    let granted = grant(&mut *store, &mine);
    unlock(&mut *quorum.open(), "job", Unlock::Force);
    for _ in 0..2 {
        let answer = refresh(&mut *store, &mine, &granted);
        assert!(matches!(answer, Refresh::Lost(_)), "{answer:?}");
    }
    assert!((0..3).all(|node| quorum.owner(node, "job").is_none()));
}

#[test]
fn what_is_done_and_what_cools_down_is_known_though_other_nodes_answer() {
    let quorum = Quorum::of(3);
    let hourly = |name, who| Claim {
        once: Once {
            per: Some(Period {
                length: Duration::from_secs(3600),
                attempts: 2,
            }),
            key: None,
        },
        ..claim(name, who)
    };
    let closing = Claim {
        min_hold: Duration::from_secs(600),
        ..claim("closing", "a")
    };
    quorum.cut_off(2);
    let mut store = quorum.open();
    let mine = hourly("done", "a");
    grant(&mut *store, &mine);
    let waited = Duration::ZERO;
    end(&mut *store, &mine, succeeded(waited));
    grant(&mut *store, &closing);
    end(&mut *store, &closing, FAILED);
    quorum.join(2);
    quorum.cut_off(0);
    // One of these two knows of it, and the other would grant.
    let mut others = quorum.open();
    let answer = ask(&mut *others, &hourly("done", "b"));
    let recently = matches!(answer, Acquire::Done(Done::Recently { .. }));
    assert!(recently, "{answer:?}");
    let answer = ask(&mut *others, &claim("closing", "b"));
    let Acquire::CoolingDown { remaining } = answer else {
        panic!("{answer:?}");
    };
    assert!(remaining > Duration::from_secs(300), "{remaining:?}");
}

#[test]
fn users_with_the_rights_of_the_man_page_hold_and_wait() {
    for more in ["", " +info"] {
        let rights = "resetchannels +@all -@dangerous ~task_lock:* ~{task_lock:* &task_lock:*";
        let user = format!("job on >secret {rights}{more}");
        let servers: Vec<Server> = (0..3).map(|_| Server::with().user(&user).start()).collect();
        let urls: Vec<String> = servers
            .iter()
            .map(|server| server.url().replace("redis://", "redis://job:secret@"))
            .collect();
        let (mut store, mut others) = (open(&urls.join(" ")), open(&urls.join(" ")));
        let (mine, next) = (claim("job", "a"), claim("job", "b"));
        let granted = grant(&mut *store, &mine);
        keep(&mut *store, &mine, &granted);
        queue(&mut *others, &next);
        assert_eq!(release(&mut *store, &mine), Release::Released);
        assert!(grant_in_line(&mut *others, &next).fence > granted.fence);
    }
}
