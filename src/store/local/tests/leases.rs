//! A hold without a process, as it stands in the lock file.

use serde_json::{Value, json};

use super::*;

/// A lock that is held by its token, by a record that `change` has been at.
fn held(scratch: &Scratch, change: impl Fn(&mut Value)) -> Claim {
    let mine = Claim {
        lasts: Lasts::Lease,
        ..claim("backup")
    };
    granted(&mut scratch.store(), &mine);
    let file = scratch.file("backup");
    let mut record: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    change(&mut record);
    fs::write(&file, format!("{record}\n")).unwrap();
    mine
}

#[test]
fn its_file_does_not_tell_the_token() {
    let scratch = Scratch::new();
    let mine = held(&scratch, |_| {});
    let text = fs::read_to_string(scratch.file("backup")).unwrap();
    assert!(!text.contains(mine.token.as_str()), "{text}");
    refused(&mut scratch.store(), &claim("backup"));
}

#[test]
fn a_reboot_ends_it() {
    let scratch = Scratch::new();
    let mine = held(&scratch, |record| {
        record["lease"]["from"]["boot_id"] = json!("another boot");
    });
    let mut store = scratch.store();
    let answer = store.check(&mine.name, &mine.token, NO_TIMEOUT);
    assert_eq!(answer, Ok(Checked::NotHeld(None)));
    granted(&mut store, &claim("backup"));
}

#[test]
fn a_step_of_the_wall_clock_changes_nothing() {
    for wall_ms in [0, u64::MAX] {
        let scratch = Scratch::new();
        let mine = held(&scratch, |record| {
            record["lease"]["from"]["wall_ms"] = json!(wall_ms);
        });
        let mut store = scratch.store();
        refused(&mut store, &claim("backup"));
        let answer = store.check(&mine.name, &mine.token, NO_TIMEOUT);
        assert!(matches!(answer, Ok(Checked::Held(_))), "{answer:?}");
    }
}
