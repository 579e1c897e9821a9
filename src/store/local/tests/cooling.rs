//! The minimum hold, as it stands in the lock file.

use serde_json::{Value, json};

use super::*;

const MIN_HOLD: Duration = Duration::from_secs(600);

fn closing() -> Claim {
    Claim {
        min_hold: MIN_HOLD,
        ..claim("backup")
    }
}

fn asked(scratch: &Scratch) -> Acquire {
    let mut store = scratch.store();
    store
        .acquire(&claim("backup"), Ask::default(), NO_TIMEOUT)
        .unwrap()
}

fn record(scratch: &Scratch) -> Value {
    serde_json::from_str(&fs::read_to_string(scratch.file("backup")).unwrap()).unwrap()
}

/// A lock that cools down, by a record that `change` has been at.
fn cooled(scratch: &Scratch, change: impl Fn(&mut Value)) {
    let (mut store, run) = (scratch.store(), closing());
    granted(&mut store, &run);
    release(&mut store, &run);
    let mut record = record(scratch);
    change(&mut record);
    fs::write(scratch.file("backup"), format!("{record}\n")).unwrap();
    drop(store);
}

#[test]
fn it_outlives_a_reboot_by_the_wall_clock() {
    let scratch = Scratch::new();
    cooled(&scratch, |record| {
        record["cooldown"]["from"]["boot_id"] = json!("another boot");
        record["cooldown"]["from"]["boot_ms"] = json!(i64::MAX);
    });
    match asked(&scratch) {
        Acquire::CoolingDown { remaining } => {
            assert!(remaining <= MIN_HOLD && remaining > MIN_HOLD / 2);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_wall_clock_that_stepped_back_over_a_reboot_does_not_close_the_lock() {
    let scratch = Scratch::new();
    cooled(&scratch, |record| {
        let from = &mut record["cooldown"]["from"];
        from["boot_id"] = json!("another boot");
        from["wall_ms"] = json!(from["wall_ms"].as_u64().unwrap() + 86_400_000);
    });
    assert!(matches!(asked(&scratch), Acquire::Granted(_)));
}

#[test]
fn a_step_of_the_wall_clock_within_a_boot_changes_nothing() {
    let scratch = Scratch::new();
    for wall_ms in [0, u64::MAX] {
        cooled(&scratch, |record| {
            record["cooldown"]["from"]["wall_ms"] = json!(wall_ms);
        });
        assert!(matches!(asked(&scratch), Acquire::CoolingDown { .. }));
        unlock(&mut scratch.store(), &claim("backup"), Unlock::Force);
    }
}

#[test]
fn a_record_of_the_earlier_version_has_none_and_its_unknown_fields_are_kept() {
    let scratch = Scratch::new();
    let text = r#"{"v":1,"fence":7,"holder":null,"since":{"wall_ms":5,"boot_ms":5,"boot_id":"a"},"ttl_ms":60000,"history":{"x":1}}"#;
    fs::write(scratch.file("backup"), format!("{text}\n")).unwrap();
    cooled(&scratch, |_| {});
    assert_eq!(record(&scratch)["history"]["x"], 1);
    assert_eq!(record(&scratch)["v"], 1);
    assert!(matches!(asked(&scratch), Acquire::CoolingDown { .. }));
    unlock(&mut scratch.store(), &claim("backup"), Unlock::Force);
    assert_eq!(record(&scratch).get("cooldown"), None);
    assert_eq!(record(&scratch)["history"]["x"], 1);
}

#[test]
fn it_goes_along_when_a_deleted_file_is_put_back() {
    let scratch = Scratch::new();
    let (mut store, run) = (scratch.store(), closing());
    let grant = granted(&mut store, &run);
    fs::remove_file(scratch.file("backup")).unwrap();
    assert_eq!(refresh(&mut store, &run, &grant), Refresh::Retaken(grant));
    release(&mut store, &run);
    assert!(matches!(asked(&scratch), Acquire::CoolingDown { .. }));
}

#[test]
fn a_waiter_is_told_when_the_place_that_cools_down_can_be_taken() {
    let scratch = Scratch::new();
    let (mut one, mut two, mut store) = (scratch.store(), scratch.store(), scratch.store());
    let of_two = |min_hold| Claim {
        slots: 2,
        min_hold,
        ..claim("backup")
    };
    let brief = of_two(Duration::from_millis(300));
    granted(&mut one, &brief);
    granted(&mut two, &of_two(MIN_HOLD));
    release(&mut one, &brief);
    let run = of_two(Duration::ZERO);
    let ask_in = queued(&mut store, &run).ask_in;
    assert!(ask_in <= Duration::from_millis(301), "{ask_in:?}");
    assert_eq!(granted_in_line(&mut store, &run).slot, 0);
}

#[test]
fn force_leaves_a_free_lock_that_does_not_cool_down_alone() {
    let scratch = Scratch::new();
    let (mut store, run) = (scratch.store(), claim("backup"));
    granted(&mut store, &run);
    release(&mut store, &run);
    let before = listing(&scratch.0, Path::new("/"));
    assert_eq!(unlock(&mut store, &run, Unlock::Force), None);
    assert_eq!(listing(&scratch.0, Path::new("/")), before);
}
