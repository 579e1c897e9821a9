//! Nodes that do not answer.

use std::time::Duration;

use tasklock::store::{Acquire, Ask, Claim, Fence, Refresh, Release, StoreErrorKind};

use super::{Quorum, choices, time};
use crate::support::proxy::Mode;
use crate::support::store::{TIMEOUT, claim, grant, held, inspect, keep, release};
use crate::support::wait_until;

/// What can become of a node, and how it comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    Frozen,
    Killed,
    CutOff,
    BlackHole,
    Mute,
    Late,
}

impl Trouble {
    const ALL: [Trouble; 6] = [
        Trouble::Frozen,
        Trouble::Killed,
        Trouble::CutOff,
        Trouble::BlackHole,
        Trouble::Mute,
        Trouble::Late,
    ];

    fn begin(self, quorum: &Quorum, node: usize) {
        match self {
            Trouble::Frozen => quorum.servers[node].freeze(),
            Trouble::Killed => {
                quorum.servers[node].kill();
                quorum.proxies[node].cut();
            }
            Trouble::CutOff => quorum.cut_off(node),
            Trouble::BlackHole => quorum.proxies[node].set(Mode::BlackHole),
            Trouble::Mute => quorum.proxies[node].set(Mode::SwallowReplies),
            Trouble::Late => quorum.proxies[node].set(Mode::Delay(Duration::from_secs(20))),
        }
    }

    fn end(self, quorum: &Quorum, node: usize) {
        match self {
            Trouble::Frozen => quorum.servers[node].thaw(),
            Trouble::Killed => {
                quorum.servers[node].restart();
                quorum.proxies[node].cut();
                // It may have forgotten something; here nobody has anything to lose.
                quorum.servers[node].command(&["SET", super::MARK, "- 0 1"]);
            }
            Trouble::CutOff => quorum.join(node),
            Trouble::BlackHole | Trouble::Mute | Trouble::Late => {
                quorum.proxies[node].set(Mode::Pass);
                quorum.proxies[node].cut();
            }
        }
    }
}

/// A whole hold while each choice of a minority is in trouble, beginning before or after the grant.
fn every_minority_of(nodes: usize, troubles: &[Trouble]) {
    let quorum = Quorum::of(nodes);
    let mut last = Fence(0);
    for &trouble in troubles {
        for (number, minority) in choices(nodes, nodes / 2).into_iter().enumerate() {
            for is_first in [true, false] {
                // A lock of its own: what a node that froze grants when it thaws ends by itself.
                let name = format!("{trouble:?} {number} {is_first}");
                let begin = || {
                    minority
                        .iter()
                        .for_each(|&node| trouble.begin(&quorum, node))
                };
                let mut store = quorum.open();
                let mine = claim(&name, "a");
                if is_first {
                    begin();
                }
                let granted = grant(&mut *store, &mine);
                if !is_first {
                    begin();
                }
                assert!(granted.fence > last, "{name}");
                last = granted.fence;
                let granted = keep(&mut *store, &mine, &granted);
                let mut others = quorum.open();
                let seen = held(&mut *others, &claim(&name, "b"));
                assert_eq!(seen.holder, Some(mine.holder.clone()), "{name}");
                keep(&mut *store, &mine, &granted);
                assert_eq!(release(&mut *store, &mine), Release::Released, "{name}");
                let next = claim(&name, "b");
                let granted = grant(&mut *others, &next);
                assert!(granted.fence > last, "{name}");
                last = granted.fence;
                minority.iter().for_each(|&node| trouble.end(&quorum, node));
            }
        }
    }
}

#[test]
fn one_of_three_nodes_can_be_in_any_trouble() {
    every_minority_of(3, &Trouble::ALL);
}

#[test]
fn two_of_five_nodes_can_be_in_trouble() {
    every_minority_of(5, &[Trouble::Frozen, Trouble::CutOff]);
}

#[test]
fn without_a_majority_nothing_is_granted_and_nothing_is_lost() {
    for nodes in [3, 5] {
        let quorum = Quorum::of(nodes);
        let mut store = quorum.open();
        let mine = claim("job", "a");
        let granted = grant(&mut *store, &mine);
        let majority = || 0..nodes.div_ceil(2);
        for trouble in [Trouble::Frozen, Trouble::CutOff, Trouble::BlackHole] {
            majority().for_each(|node| trouble.begin(&quorum, node));
            let error = store.refresh(&mine, &granted, TIMEOUT).unwrap_err();
            assert_eq!(error.kind, StoreErrorKind::Unavailable, "{trouble:?}");
            let other = claim("other", "b");
            let error = quorum
                .open()
                .acquire(&other, Ask::default(), TIMEOUT)
                .unwrap_err();
            assert_eq!(error.kind, StoreErrorKind::Unavailable);
            let text = format!("{} of the {nodes} nodes do not serve: ", nodes.div_ceil(2));
            assert!(error.text.starts_with(&text), "{}", error.text);
            majority().for_each(|node| trouble.end(&quorum, node));
            wait_until(|| {
                let answer = store.refresh(&mine, &granted, TIMEOUT);
                !matches!(answer, Ok(Refresh::Lost(_))) && answer.is_ok()
            });
        }
        held(&mut *quorum.open(), &claim("job", "b"));
        assert_eq!(release(&mut *store, &mine), Release::Released);
    }
}

#[test]
fn a_node_that_was_away_at_the_grant_takes_part_from_the_next_refresh_on() {
    let quorum = Quorum::of(3);
    quorum.cut_off(2);
    let mut store = quorum.open();
    let mine = claim("job", "a");
    let granted = grant(&mut *store, &mine);
    assert_eq!(quorum.owner(2, "job"), None);
    quorum.join(2);
    wait_until(|| {
        keep(&mut *store, &mine, &granted);
        quorum.owner(2, "job").is_some()
    });
    // Now another one can go.
    quorum.cut_off(0);
    keep(&mut *store, &mine, &granted);
    keep(&mut *store, &mine, &granted);
    held(&mut *quorum.open(), &claim("job", "b"));
}

#[test]
fn a_release_comes_to_a_node_when_it_can_be_reached_again() {
    let quorum = Quorum::of(3);
    let mut store = quorum.open();
    let mine = claim("job", "a");
    grant(&mut *store, &mine);
    wait_until(|| quorum.owner(1, "job").is_some());
    quorum.cut_off(1);
    assert_eq!(release(&mut *store, &mine), Release::Released);
    assert!(quorum.owner(1, "job").is_some());
    quorum.join(1);
    wait_until(|| quorum.owner(1, "job").is_none());
}

#[test]
fn what_a_refused_round_was_granted_is_given_back() {
    let quorum = Quorum::of(3);
    let mut store = quorum.open();
    quorum.cut_off(2);
    let mine = claim("job", "a");
    grant(&mut *store, &mine);
    quorum.join(2);
    // The third node is free, and stays so.
    let mut others = quorum.open();
    held(&mut *others, &claim("job", "b"));
    wait_until(|| quorum.owner(2, "job").is_none());
    assert_eq!(release(&mut *store, &mine), Release::Released);
    assert_eq!(inspect(&mut *store, "job").held, None);
}

#[test]
fn a_request_that_arrives_after_it_was_taken_back_is_refused() {
    let quorum = Quorum::of(3);
    let mut store = quorum.open();
    quorum.cut_off(2);
    let mine = claim("job", "a");
    grant(&mut *store, &mine);
    quorum.join(2);
    let mut others = quorum.open();
    quorum.proxies[2].hold_request("eval");
    held(&mut *others, &claim("job", "b"));
    quorum.proxies[2].wait_for_hold();
    // Taken back on a new connection, when the first has had its time.
    wait_until(|| {
        let state = quorum.servers[2].text(&["HGET", "{task_lock:job}:st", "u"]);
        state.is_some_and(|undone| !undone.is_empty())
    });
    let before = quorum.servers[2]
        .info("commandstats")
        .get("cmdstat_eval")
        .cloned();
    quorum.proxies[2].let_go();
    wait_until(|| {
        quorum.servers[2]
            .info("commandstats")
            .get("cmdstat_eval")
            .cloned()
            != before
    });
    assert_eq!(quorum.owner(2, "job"), None);
}

#[test]
fn a_node_that_swallows_everything_costs_next_to_nothing() {
    let quorum = Quorum::of(3);
    quorum.proxies[0].set(Mode::BlackHole);
    let mut store = quorum.open();
    let mine = claim("job", "a");
    let (took, granted) = time(|| grant(&mut *store, &mine));
    assert!(took < Duration::from_millis(250), "{took:?}");
    let (took, _) = time(|| keep(&mut *store, &mine, &granted));
    assert!(took < Duration::from_millis(250), "{took:?}");
    // Neither does it when others have the lock, once it is known to be silent.
    let mut others = quorum.open();
    held(&mut *others, &claim("job", "b"));
    let (took, _) = time(|| held(&mut *others, &claim("job", "b")));
    assert!(took < Duration::from_millis(250), "{took:?}");
    let (took, answer) = time(|| release(&mut *store, &mine));
    assert_eq!(answer, Release::Released);
    assert!(took < Duration::from_millis(250), "{took:?}");
}

#[test]
fn a_node_whose_answer_was_lost_is_ours_from_the_next_refresh_on() {
    let quorum = Quorum::of(3);
    quorum.proxies[1].set(Mode::SwallowReplies);
    let mut store = quorum.open();
    let mine = claim("job", "a");
    let granted = match store.acquire(&mine, Ask::default(), TIMEOUT) {
        Ok(Acquire::Granted(granted)) => granted,
        other => panic!("{other:?}"),
    };
    quorum.proxies[1].set(Mode::Pass);
    quorum.proxies[1].cut();
    let fence = || quorum.servers[1].text(&["HGET", "{task_lock:job}:st", "f0"]);
    wait_until(|| {
        keep(&mut *store, &mine, &granted);
        fence() == Some(granted.fence.to_string())
    });
}

#[test]
fn nodes_that_are_all_slow_are_waited_for() {
    let quorum = Quorum::of(5);
    let slow = Duration::from_millis(150);
    for proxy in &quorum.proxies {
        proxy.set(Mode::Delay(slow));
    }
    let mut store = quorum.open();
    let mine = claim("job", "a");
    let granted = grant(&mut *store, &mine);
    keep(&mut *store, &mine, &granted);
    held(&mut *quorum.open(), &claim("job", "b"));
    assert_eq!(release(&mut *store, &mine), Release::Released);
}

/// Of a lock with two places, the first is held by one; a node that does not know of that
/// grants it to a second one, whom the others grant the second place.
#[test]
fn a_place_that_only_a_minority_granted_goes_to_whom_the_majority_gave_it() {
    let of_two = |who| Claim {
        slots: 2,
        ..claim("job", who)
    };
    for late in [false, true] {
        let quorum = Quorum::of(3);
        let (mut store, mut others) = (quorum.open(), quorum.open());
        let (mine, theirs) = (of_two("a"), of_two("b"));
        quorum.cut_off(2);
        let granted = grant(&mut *store, &mine);
        quorum.join(2);
        if late {
            quorum.proxies[2].hold_request("eval");
        }
        let second = grant(&mut *others, &theirs);
        assert_eq!((granted.slot, second.slot), (0, 1), "late: {late}");
        if late {
            quorum.proxies[2].wait_for_hold();
            quorum.proxies[2].let_go();
            wait_until(|| quorum.owner(2, "job").as_deref() == Some(theirs.token.as_str()));
        }
        wait_until(|| {
            keep(&mut *others, &theirs, &second);
            keep(&mut *store, &mine, &granted);
            quorum.owner(2, "job").as_deref() == Some(mine.token.as_str())
        });
        quorum.cut_off(0);
        keep(&mut *store, &mine, &granted);
        keep(&mut *others, &theirs, &second);
    }
}

/// What takes a refused round back arrives when the run has been granted the lock in a later one.
#[test]
fn what_is_taken_back_late_is_nothing_of_a_later_round() {
    let quorum = Quorum::of(3);
    let (mut store, mut others) = (quorum.open(), quorum.open());
    let (mine, theirs) = (claim("job", "a"), claim("job", "b"));
    quorum.cut_off(2);
    grant(&mut *others, &theirs);
    quorum.join(2);
    // A part of the script that is in no other.
    quorum.proxies[2].hold_request("with(undone");
    held(&mut *store, &mine);
    quorum.proxies[2].wait_for_hold();
    // Whose grant it is there, and of which round.
    let of_round = || quorum.servers[2].text(&["HGET", "{task_lock:job}:st", "g0"]);
    let refused = of_round();
    assert!(refused.is_some());
    assert_eq!(release(&mut *others, &theirs), Release::Released);
    let granted = grant(&mut *store, &mine);
    wait_until(|| {
        keep(&mut *store, &mine, &granted);
        of_round() != refused
    });
    let monitor = quorum.servers[2].monitor();
    quorum.proxies[2].let_go();
    wait_until(|| monitor.names().iter().any(|name| name == "EVAL"));
    assert_eq!(quorum.owner(2, "job").as_deref(), Some(mine.token.as_str()));
    keep(&mut *store, &mine, &granted);
}
