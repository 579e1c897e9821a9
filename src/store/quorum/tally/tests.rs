mod looking;

use proptest::prelude::*;

use super::*;
use crate::store::Holder;

fn by(id: u8) -> Held {
    Held {
        holder: Some(Holder {
            id: id.to_string(),
            ..Holder::default()
        }),
        ..Held::default()
    }
}

fn grant(fence: u64, slot: u32) -> Grant {
    Grant {
        fence: Fence(fence),
        end_ms: 1000 + fence,
        slot,
    }
}

fn error() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "no reply from a")
}

/// One letter for each node: `g`ranted, `h`eld, `r`eserved, `c`ooling, `s`ame key, `d`one,
/// `n`ew, `a`way, `o`ther set, `t`win, `e`rror, `1` granted place 1, `.` nothing so far.
fn votes(letters: &str) -> Vec<Option<Result<Vote, StoreError>>> {
    let cooling = |at: usize| Acquire::CoolingDown {
        remaining: Duration::from_secs(at as u64 + 1),
    };
    let vote = |(at, letter): (usize, char)| {
        Some(Ok(Vote::Answer(match letter {
            'g' => Acquire::Granted(grant(5, 0)),
            '1' => Acquire::Granted(grant(5, 1)),
            'h' => Acquire::Held(by(7)),
            'i' => Acquire::Held(by(8)),
            'r' => Acquire::Reserved { first: None },
            'c' => cooling(at),
            's' => Acquire::Done(Done::SameKey),
            'd' => Acquire::Done(Done::Attempts { count: 2 }),
            'w' => Acquire::Withdrawn,
            'n' => return Some(Ok(Vote::New)),
            'a' => return Some(Ok(Vote::Away(Duration::from_secs(9)))),
            'o' => return Some(Ok(Vote::OtherSet(by(9)))),
            't' => return Some(Ok(Vote::Twin)),
            'e' => return Some(Err(error())),
            _ => return None,
        })))
    };
    letters.chars().enumerate().map(vote).collect()
}

fn refused(letters: &str) -> Acquire {
    match standing(&votes(letters)) {
        Standing::Refused(answer) => answer,
        other => panic!("{letters}: {other:?}"),
    }
}

#[test]
fn a_majority_of_one_place_wins_as_soon_as_it_is_there() {
    for letters in [
        "gg.", "ggg", "g.g", ".gg", "ggh", "gge", "hgg", "egg", "ggn", "agg", "gggee", "eeggg",
    ] {
        assert_eq!(standing(&votes(letters)), Standing::Won(0), "{letters}");
    }
    for letters in ["g..", "...", "h..", "gh.", "g1.", "gg...", "ggh..", "e.."] {
        assert_eq!(standing(&votes(letters)), Standing::Open, "{letters}");
    }
    assert_eq!(standing(&votes("h11")), Standing::Won(1));
}

#[test]
fn the_first_node_decides_who_goes_on_when_several_compete() {
    for (letters, held) in [
        ("ghi", false),
        ("ghh", true),
        ("eghhh", true),
        ("gg1hi", false),
    ] {
        let is_it = |standing: &Standing| match standing {
            Standing::Split {
                place: 0, is_held, ..
            } => *is_held == held,
            _ => false,
        };
        let standing = standing(&votes(letters));
        assert!(is_it(&standing), "{letters}: {standing:?}");
    }
    assert_eq!(refused("hgi"), Acquire::Held(by(7)));
    assert_eq!(refused("hig1e"), Acquire::Held(by(7)));
    // It is the first in line there whose turn it is.
    assert_eq!(refused("rgg"), Acquire::Reserved { first: None });
    assert!(matches!(standing(&votes("g1.")), Standing::Open));
    assert!(matches!(
        standing(&votes("1gg")),
        Standing::Split { place: 1, .. }
    ));
}

#[test]
fn what_is_done_is_done_whichever_node_knows_it() {
    for letters in ["ggd", "d..", "hdh", "ged"] {
        assert_eq!(refused(letters), Acquire::Done(Done::Attempts { count: 2 }));
    }
    assert_eq!(refused("ggw"), Acquire::Withdrawn);
    // Of keys only the last one counts, and a node may have missed that.
    assert_eq!(standing(&votes("ggs")), Standing::Won(0));
    assert_eq!(refused("ssg"), Acquire::Done(Done::SameKey));
    assert_eq!(refused("sse"), Acquire::Done(Done::SameKey));
}

#[test]
fn a_lock_cools_down_until_a_majority_of_the_nodes_does_no_more() {
    let cooling = |secs| Acquire::CoolingDown {
        remaining: Duration::from_secs(secs),
    };
    assert_eq!(refused("ccc"), cooling(2));
    assert_eq!(refused("ecc"), cooling(3));
    assert_eq!(refused("cch"), cooling(2));
    assert_eq!(refused("chh"), Acquire::Held(by(7)));
}

#[test]
fn without_a_majority_that_serves_nothing_is_granted() {
    for letters in ["gee", "eee", "gae", "aae", "aag", "hee", "nee", "nae"] {
        let failed = matches!(standing(&votes(letters)), Standing::Failed(_));
        assert!(failed, "{letters}: {:?}", standing(&votes(letters)));
    }
    for letters in ["nnn", "gnn", "nne", "gna"] {
        assert_eq!(standing(&votes(letters)), Standing::Census, "{letters}");
    }
    for letters in ["gog", "ggt", "gt."] {
        match standing(&votes(letters)) {
            Standing::Failed(error) => assert_eq!(error.kind, StoreErrorKind::Misconfigured),
            other => panic!("{letters}: {other:?}"),
        }
    }
}

#[test]
fn credentials_that_a_majority_refuses_are_told_as_such() {
    let denied = || Some(Err(StoreError::new(StoreErrorKind::Denied, "a refused")));
    let replies = [Some(Err(error())), denied(), votes("g").remove(0)];
    match standing(&replies) {
        Standing::Failed(error) => {
            assert_eq!(error.kind, StoreErrorKind::Denied);
            assert_eq!(error.text, "2 of the 3 nodes do not serve: a refused");
        }
        other => panic!("{other:?}"),
    }
}

/// What is told of nodes that answered, but do not serve.
fn absence<T>(replies: &Replies<T>) -> String
where
    T: Absent,
{
    no_majority(replies).text
}

#[test]
fn every_node_that_does_not_serve_is_counted_and_says_why() {
    assert_eq!(
        absence(&votes("ghane.")),
        "3 of the 6 nodes do not serve: one came back without its memory and may not vote for \
         another 9s, until all that it may have forgotten is over; one has never served; no reply \
         from a"
    );
    assert_eq!(
        absence(&kept("kthle")),
        "3 of the 5 nodes do not serve: one had forgotten us; one does not know of us; no reply from a"
    );
}

#[test]
fn the_next_place_is_the_one_that_most_nodes_granted() {
    assert_eq!(next_place(&votes("g1h"), &[0], 3), Some(1));
    assert_eq!(next_place(&votes("ghh"), &[0], 3), Some(1));
    assert_eq!(next_place(&votes("ghh"), &[0], 1), None);
    // A lock of many places is full, most likely.
    assert_eq!(
        next_place(&votes("ghh"), &[0, 1, 2, 3, 4, 5, 6], 20),
        Some(7)
    );
    assert_eq!(
        next_place(&votes("ghh"), &[0, 1, 2, 3, 4, 5, 6, 7], 20),
        None
    );
}

#[test]
fn a_fence_that_a_majority_gave_needs_no_second_phase() {
    let seen = |fences: &[u64]| {
        let grants: Vec<_> = fences
            .iter()
            .map(|&it| (it > 0).then(|| grant(it, 0)))
            .collect();
        fencing(&grants)
    };
    let agreed = |agreed, gave, behind: &[usize]| Fencing {
        agreed: Fence(agreed),
        gave,
        behind: behind.to_vec(),
    };
    assert_eq!(seen(&[9, 9, 9]), agreed(9, 3, &[]));
    assert_eq!(seen(&[9, 8, 9]), agreed(9, 2, &[1]));
    assert_eq!(seen(&[9, 8, 0]), agreed(9, 1, &[1]));
    assert_eq!(seen(&[0, 7, 8, 9, 9]), agreed(9, 2, &[1, 2]));
}

/// `k`ept, re`t`aken, `h`ealed, `l`ost, re`v`oked, `e`rror, `.` nothing so far.
fn kept(letters: &str) -> Vec<Option<Result<Kept, StoreError>>> {
    let reply = |letter| {
        Some(Ok(Kept::Answer(match letter {
            'k' => Refresh::Held(grant(5, 0)),
            't' => Refresh::Retaken(grant(5, 0)),
            'h' => return Some(Ok(Kept::Healed(grant(5, 0)))),
            'l' => Refresh::Lost(Loss::FenceMoved),
            'o' => Refresh::Lost(Loss::TakenOver(by(7))),
            'v' => Refresh::Revoked { by: "root".into() },
            'e' => return Some(Err(error())),
            _ => return None,
        })))
    };
    letters.chars().map(reply).collect()
}

#[test]
fn a_lock_is_ours_while_a_majority_has_known_us_all_along() {
    let last = grant(5, 0);
    for (letters, expected) in [
        ("kk.", Some(Refresh::Held(last))),
        ("kkl", Some(Refresh::Held(last))),
        ("kth", Some(Refresh::Retaken(last))),
        ("lol", Some(Refresh::Lost(Loss::TakenOver(by(7))))),
        ("kll", Some(Refresh::Lost(Loss::FenceMoved))),
        ("kkv", Some(Refresh::Revoked { by: "root".into() })),
        ("k..", None),
        ("kh.", None),
        ("ll...", None),
    ] {
        assert_eq!(
            keeping(&kept(letters), &last),
            expected.map(Ok),
            "{letters}"
        );
    }
    // Its end is the earliest that the nodes name, and no earlier than it was.
    let ends_at = |end_ms| Some(Ok(Kept::Answer(Refresh::Held(Grant { end_ms, ..last }))));
    for (ends, expected) in [([1900, 1700], 1700), ([1900, 900], last.end_ms)] {
        let kept = Refresh::Held(Grant {
            end_ms: expected,
            ..last
        });
        assert_eq!(keeping(&ends.map(ends_at), &last), Some(Ok(kept)));
    }
    // Healed nodes are not counted, and an error is not an answer.
    for letters in ["khh", "hhh", "kle", "eee", "kee", "kkhhh", "lle ee"] {
        let answer = keeping(&kept(&letters.replace(' ', "")), &last);
        assert!(matches!(answer, Some(Err(_))), "{letters}: {answer:?}");
    }
}

#[test]
fn a_release_counts_when_a_majority_did_it() {
    let replies = |letters: &str| -> Vec<Option<Result<Release, StoreError>>> {
        let reply = |letter| match letter {
            'r' => Some(Ok(Release::Released)),
            'f' => Some(Ok(Release::Forgotten)),
            'n' => Some(Ok(Release::NotOurs(None))),
            'o' => Some(Ok(Release::NotOurs(Some(by(7))))),
            'e' => Some(Err(error())),
            _ => None,
        };
        letters.chars().map(reply).collect()
    };
    for (letters, expected) in [
        ("rr.", Some(Release::Released)),
        ("rrn", Some(Release::Released)),
        ("ron", Some(Release::NotOurs(Some(by(7))))),
        ("rfn", Some(Release::Forgotten)),
        ("rn.", None),
    ] {
        assert_eq!(releasing(&replies(letters)), expected.map(Ok), "{letters}");
    }
    for letters in ["ree", "rne", "eee"] {
        assert!(
            matches!(releasing(&replies(letters)), Some(Err(_))),
            "{letters}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// However the nodes give themselves to runs, one wins at the most.
    #[test]
    fn of_several_runs_one_wins_at_the_most(
        owners in prop::collection::vec(0usize..4, 3..8),
        heard in prop::collection::vec(0u8..4, 32),
    ) {
        let wins = |run: &usize| {
            let votes: Vec<_> = owners.iter().enumerate().map(|(at, owner)| {
                let letter = match heard[(at * 4 + run) % heard.len()] {
                    0 => '.',
                    1 => 'e',
                    _ if owner == run => 'g',
                    _ => 'h',
                };
                votes(&letter.to_string()).remove(0)
            }).collect();
            matches!(standing(&votes), Standing::Won(_))
        };
        prop_assert!((0..4).filter(wins).count() <= 1);
    }

    /// Whatever is still to come, what is decided stays so, but for what others take precedence with.
    #[test]
    fn a_lock_that_is_kept_or_lost_stays_so_with_more_answers(
        all in prop::collection::vec(prop::sample::select(vec!['k', 't', 'h', 'l', 'e']), 3..8),
        order in any::<u8>(),
    ) {
        let last = grant(5, 0);
        let some: String = all.iter().enumerate()
            .map(|(at, letter)| if order >> (at % 8) & 1 == 0 { '.' } else { *letter })
            .collect();
        let all: String = all.iter().collect();
        let (early, late) = (keeping(&kept(&some), &last), keeping(&kept(&all), &last));
        match early {
            Some(Ok(Refresh::Lost(_))) => prop_assert!(matches!(late, Some(Ok(Refresh::Lost(_))))),
            Some(Ok(_)) => prop_assert!(matches!(late, Some(Ok(Refresh::Held(_) | Refresh::Retaken(_))))),
            _ => prop_assert!(late.is_some()),
        }
    }

    /// The fence is the largest that was seen, and everybody who gave less is told.
    #[test]
    fn nobody_who_was_seen_is_left_behind(fences in prop::collection::vec(0u64..5, 3..8)) {
        let seen: Vec<_> = fences.iter().map(|&it| (it > 0).then(|| grant(it, 0))).collect();
        let fencing = fencing(&seen);
        let count = seen.iter().flatten().count();
        prop_assert_eq!(fencing.gave + fencing.behind.len(), count.max(fencing.gave));
        prop_assert!(seen.iter().flatten().all(|grant| grant.fence <= fencing.agreed));
    }
}
