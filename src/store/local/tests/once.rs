//! What is done already, as it stands in its file.

use serde_json::{Value, json};

use super::super::file_name::once_file;
use super::*;

const HOUR: Duration = Duration::from_secs(3600);

fn hourly(attempts: u32) -> Claim {
    let length = HOUR;
    Claim {
        once: Once {
            per: Some(Period { length, attempts }),
            key: None,
        },
        ..claim("backup")
    }
}

fn path(scratch: &Scratch) -> PathBuf {
    let name = LockName::new("backup").unwrap();
    scratch.locks().join(once_file(&name))
}

fn asked(scratch: &Scratch, claim: &Claim) -> Acquire {
    let mut store = scratch.store();
    store.acquire(claim, Ask::default(), NO_TIMEOUT).unwrap()
}

fn succeeded(store: &mut LocalStore, claim: &Claim) -> Release {
    granted(store, claim);
    let waited = Duration::ZERO;
    let end = super::succeeded(waited);
    store.release(claim, end, NO_TIMEOUT).unwrap()
}

/// A success on record, in a file that `change` has been at.
fn done(scratch: &Scratch, change: impl Fn(&mut Value)) {
    let _ = fs::remove_file(path(scratch));
    succeeded(&mut scratch.store(), &hourly(2));
    let text = fs::read_to_string(path(scratch)).unwrap();
    let mut record: Value = serde_json::from_str(&text).unwrap();
    change(&mut record);
    fs::write(path(scratch), format!("{record}\n")).unwrap();
}

#[test]
fn runs_without_it_neither_make_nor_read_the_file() {
    let scratch = Scratch::new();
    succeeded(&mut scratch.store(), &claim("backup"));
    assert!(!path(&scratch).exists());
    fs::create_dir(path(&scratch)).unwrap();
    succeeded(&mut scratch.store(), &claim("backup"));
}

#[test]
fn a_success_of_an_earlier_boot_counts_by_the_wall_clock() {
    let scratch = Scratch::new();
    let shifted = |by_ms: i64| {
        done(&scratch, |record| {
            for moment in ["/success", "/attempts/first"] {
                let moment = record.pointer_mut(moment).unwrap();
                moment["boot_id"] = json!("another boot");
                let wall_ms = moment["wall_ms"].as_i64().unwrap();
                moment["wall_ms"] = json!(wall_ms + by_ms);
            }
        });
        asked(&scratch, &hourly(1))
    };
    let minute = 60_000;
    for by_ms in [-29 * minute, 0, 29 * minute] {
        let answer = shifted(by_ms);
        assert!(
            matches!(answer, Acquire::Done(Done::Recently { .. })),
            "{by_ms}: {answer:?}"
        );
    }
    for by_ms in [-31 * minute, 31 * minute, 24 * 60 * minute] {
        let answer = shifted(by_ms);
        assert!(matches!(answer, Acquire::Granted(_)), "{by_ms}: {answer:?}");
    }
}

#[test]
fn a_step_of_the_wall_clock_within_a_boot_changes_nothing() {
    let scratch = Scratch::new();
    for wall_ms in [0, u64::MAX] {
        done(&scratch, |record| {
            record["success"]["wall_ms"] = json!(wall_ms);
        });
        let answer = asked(&scratch, &hourly(2));
        assert!(matches!(answer, Acquire::Done(Done::Recently { .. })));
    }
}

#[test]
fn a_success_after_a_reboot_replaces_one_that_lay_ahead() {
    let scratch = Scratch::new();
    done(&scratch, |record| {
        record["success"]["boot_id"] = json!("another boot");
        record["success"]["wall_ms"] = json!(u64::MAX);
    });
    succeeded(&mut scratch.store(), &hourly(2));
    let answer = asked(&scratch, &hourly(2));
    assert!(matches!(answer, Acquire::Done(Done::Recently { .. })));
}

#[test]
fn fields_of_later_versions_are_kept_and_a_newer_format_is_refused() {
    let scratch = Scratch::new();
    done(&scratch, |record| record["later"] = json!([1]));
    let keyed = Claim {
        once: Once {
            per: None,
            key: Some("monday".to_owned()),
        },
        ..claim("backup")
    };
    succeeded(&mut scratch.store(), &keyed);
    assert_eq!(asked(&scratch, &keyed), Acquire::Done(Done::SameKey));
    let text = fs::read_to_string(path(&scratch)).unwrap();
    assert!(text.contains("\"later\":[1]"), "{text}");

    fs::write(path(&scratch), "{\"v\":2}\n").unwrap();
    let mut store = scratch.store();
    let error = store
        .acquire(&keyed, Ask::default(), NO_TIMEOUT)
        .unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Misconfigured);
    assert!(error.text.contains("newer tasklock"), "{error}");
    assert_eq!(status(&mut store, &keyed).held, None, "nothing was granted");
}

#[test]
fn garbage_is_an_unknown_past() {
    let scratch = Scratch::new();
    for content in ["", "garbage\n", "{\"v\":1,\"success\":7}\n", "{}\n"] {
        fs::write(path(&scratch), content).unwrap();
        assert_eq!(
            succeeded(&mut scratch.store(), &hourly(2)),
            Release::Released,
            "{content}"
        );
        let answer = asked(&scratch, &hourly(2));
        assert!(matches!(answer, Acquire::Done(Done::Recently { .. })));
    }
}

#[test]
fn of_many_runs_at_once_as_many_are_granted_as_there_are_attempts() {
    let scratch = Scratch::new();
    for attempts in [1, 3] {
        let _ = fs::remove_file(path(&scratch));
        let start = Arc::new(Barrier::new(20));
        let runs: Vec<_> = (0..20)
            .map(|_| {
                let (start, mut store) = (Arc::clone(&start), scratch.store());
                thread::spawn(move || {
                    let run = hourly(attempts);
                    start.wait();
                    loop {
                        match store.acquire(&run, Ask::default(), NO_TIMEOUT).unwrap() {
                            Acquire::Granted(_) => {
                                release(&mut store, &run);
                                return 1;
                            }
                            Acquire::Done(Done::Attempts { count }) => {
                                assert_eq!(count, attempts);
                                return 0;
                            }
                            Acquire::Held(_) => {}
                            other => panic!("{other:?}"),
                        }
                    }
                })
            })
            .collect();
        let granted: u32 = runs.into_iter().map(|run| run.join().unwrap()).sum();
        assert_eq!(granted, attempts);
    }
}

#[test]
fn a_success_is_on_record_before_the_next_run_can_be_granted() {
    let scratch = Scratch::new();
    for _ in 0..20 {
        let _ = fs::remove_file(path(&scratch));
        let (mut store, run, mut next) = (scratch.store(), hourly(9), scratch.store());
        granted(&mut store, &run);
        let looking = thread::spawn(move || {
            let run = hourly(9);
            loop {
                match next.acquire(&run, Ask::default(), NO_TIMEOUT).unwrap() {
                    Acquire::Held(_) => {}
                    other => return other,
                }
            }
        });
        let waited = Duration::ZERO;
        let end = super::succeeded(waited);
        store.release(&run, end, NO_TIMEOUT).unwrap();
        let answer = looking.join().unwrap();
        assert!(
            matches!(answer, Acquire::Done(Done::Recently { .. })),
            "{answer:?}"
        );
    }
}

#[test]
fn a_success_counts_although_the_lock_file_was_deleted_and_not_if_another_took_it() {
    let scratch = Scratch::new();
    let end = super::succeeded(Duration::ZERO);
    let (mut store, run) = (scratch.store(), hourly(9));
    granted(&mut store, &run);
    fs::remove_file(scratch.file("backup")).unwrap();
    let answer = store.release(&run, end, NO_TIMEOUT);
    assert_eq!(answer, Ok(Release::Forgotten));
    let answer = asked(&scratch, &hourly(9));
    assert!(matches!(answer, Acquire::Done(Done::Recently { .. })));

    fs::remove_file(path(&scratch)).unwrap();
    let (mut store, run) = (scratch.store(), hourly(9));
    granted(&mut store, &run);
    unlock(&mut scratch.store(), &run, Unlock::Force);
    let answer = store.release(&run, end, NO_TIMEOUT);
    assert_eq!(answer, Ok(Release::NotOurs(None)));
    assert!(matches!(asked(&scratch, &hourly(9)), Acquire::Granted(_)));
}

#[test]
fn a_file_that_another_program_keeps_locked_is_an_error_and_nothing_is_granted() {
    let scratch = Scratch::new();
    let foreign = File::create(path(&scratch)).unwrap();
    foreign.lock().unwrap();
    let (mut store, run) = (scratch.store(), hourly(2));
    let error = store.acquire(&run, Ask::default(), NO_TIMEOUT).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    assert!(error.text.contains("backup.once"), "{error}");
    foreign.unlock().unwrap();
    granted(&mut store, &run);

    // At the end of a run it is told, and the lock is free all the same.
    foreign.lock().unwrap();
    let waited = Duration::ZERO;
    let end = super::succeeded(waited);
    assert!(store.release(&run, end, NO_TIMEOUT).is_err());
    granted(&mut scratch.store(), &claim("backup"));
}
