//! The files beside a lock between users, and on a disk that is full.

use crate::support::store::{FAILED, succeeded};
use tasklock::store::{Done, End, Period};

use super::waiting::{IN_LINE, wait_in_line};
use super::*;

/// The same claim, needed once an hour, if it fails at most twice.
pub(super) fn bound(run: &Claim) -> Claim {
    let per = Some(Period {
        length: Duration::from_secs(3600),
        attempts: 2,
    });
    Claim {
        once: Once { per, key: None },
        ..run.clone()
    }
}

const SUCCEEDED: End = succeeded(Duration::ZERO);

fn mode(scratch: &Scratch, file: &str) -> u32 {
    let file = scratch.locks().join(file);
    file.metadata().unwrap().mode() & 0o7777
}

#[test]
fn the_files_of_a_line_and_of_a_once_record_are_open_to_all_whatever_the_umask() {
    let scratch = Scratch::new(0o755);
    let mut holder = Other::start_with_umask(&scratch, "077");
    assert!(holder.order("once").contains("Granted"));
    let mut waiter = Other::start_with_umask(&scratch, "0777");
    assert!(waiter.order("queue").contains("Queued"));
    for file in ["backup.line", "backup.once"] {
        assert_eq!(mode(&scratch, file), 0o666, "{file}");
    }
}

#[test]
fn users_of_a_sticky_directory_stand_in_one_line_and_share_one_record() {
    if !geteuid().is_root() {
        return; // only root can be somebody else
    }
    let scratch = Scratch::new(0o1777);
    let (mut store, run) = (scratch.store(), claim());
    granted(&mut store, &run);
    // The line is theirs, and we stand in it behind them.
    let mut other = Other::start_as_other_user(&scratch);
    let answer = other.order("queue");
    assert!(answer.contains("place: Some(1)"), "{answer}");
    other.tell("wait");
    let (mut behind, later) = (scratch.store(), bound(&claim()));
    match behind.acquire(&later, IN_LINE, NO_TIMEOUT).unwrap() {
        Acquire::Queued(queued) => assert_eq!(queued.place, Some(2)),
        answer => panic!("{answer:?}"),
    }
    store.release(&run, FAILED, NO_TIMEOUT).unwrap();
    assert!(other.answer().contains("Granted"));
    assert!(other.order("release").contains("Released"));
    // The record is ours, and they are bound by it.
    let answer = wait_in_line(&mut behind, &later);
    assert!(matches!(answer, Acquire::Granted(_)), "{answer:?}");
    behind.release(&later, SUCCEEDED, NO_TIMEOUT).unwrap();
    let mut other = Other::start_as_other_user(&scratch);
    let answer = other.order("once");
    assert!(answer.contains("Recently"), "{answer}");
}

#[test]
fn a_run_that_cannot_be_counted_is_not_granted_and_what_was_on_record_stays() {
    let scratch = Scratch::new(0o755);
    let mut store = scratch.store();
    let keyed = || Claim {
        once: Once {
            per: None,
            key: Some("k".repeat(950)),
        },
        ..claim()
    };
    let run = keyed();
    granted(&mut store, &run);
    assert_eq!(
        store.release(&run, SUCCEEDED, NO_TIMEOUT),
        Ok(Release::Released)
    );
    // 1024 bytes for a file: enough for a lock and for that record, and not for an attempt more.
    let mut other = Other::start_after(&scratch, "ulimit -f 2; trap '' XFSZ");
    let answer = other.order("once");
    assert!(
        answer.contains("Unavailable") && answer.contains("backup.once"),
        "{answer}"
    );
    let answer = store.acquire(&keyed(), Ask::default(), NO_TIMEOUT);
    assert_eq!(answer, Ok(Acquire::Done(Done::SameKey)));
    granted(&mut store, &bound(&claim()));
}
