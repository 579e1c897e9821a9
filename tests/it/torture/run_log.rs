//! What each tasklock said of its wait and its lease, in the lines of `-vv --log-format json`.

use std::fs;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde_json::Value;

use super::arena::Arena;
use super::history::{History, Nanos, Record, nanos, since_boot};

/// Appends what the lines mean that the runs have left in the arena's files.
pub(crate) fn tell(arena: &Arena, history: &History) {
    for file in fs::read_dir(arena.scratch.path()).unwrap() {
        let file = file.unwrap();
        let name = file.file_name().into_string().unwrap();
        let Some(run) = name.strip_prefix("run-").and_then(|run| run.parse().ok()) else {
            continue;
        };
        let said = fs::read(file.path()).unwrap();
        for line in String::from_utf8_lossy(&said).lines() {
            if let Some(record) = read(run, line, since_boot) {
                history.add(&record);
            }
        }
    }
}

/// None: a line for people, of the job's, or of something else.
fn read(run: u32, line: &str, since_boot: impl Fn(SystemTime) -> Nanos) -> Option<Record> {
    let line: Value = serde_json::from_str(line).ok()?;
    let time: Timestamp = line.get("time")?.as_str()?.parse().ok()?;
    let at = since_boot(SystemTime::from(time));
    match line.get("event")?.as_str()? {
        "waiting" => Some(Record::Waits { at, run }),
        "acquired" | "refreshed" | "retaken" => Some(Record::Confirmed { at, run }),
        "lost" => {
            let kill_in = line.get("kill_in_ms").and_then(Value::as_u64);
            let kill_in = nanos(Duration::from_millis(kill_in.unwrap_or(0)));
            Some(Record::Stops { at, run, kill_in })
        }
        _ => None,
    }
}

#[test]
fn a_wait_a_refresh_and_a_loss_are_read_from_what_tasklock_says() {
    let read = |line: &str| {
        read(3, line, |time| {
            nanos(time.duration_since(SystemTime::UNIX_EPOCH).unwrap())
        })
    };
    let at = 1_500_000_000;
    let time = r#""time":"1970-01-01T00:00:01.5Z""#;
    let confirmed = Some(Record::Confirmed { at, run: 3 });
    for event in ["acquired", "refreshed", "retaken"] {
        assert_eq!(read(&format!(r#"{{{time},"event":"{event}"}}"#)), confirmed);
    }
    let waits = Some(Record::Waits { at, run: 3 });
    assert_eq!(read(&format!(r#"{{{time},"event":"waiting"}}"#)), waits);
    let lost = |more: &str| read(&format!(r#"{{{time},"event":"lost"{more}}}"#));
    let stops = |kill_in| {
        Some(Record::Stops {
            at,
            run: 3,
            kill_in,
        })
    };
    assert_eq!(lost(r#","kill_in_ms":200"#), stops(200_000_000));
    assert_eq!(lost(""), stops(0));
    assert_eq!(read(&format!(r#"{{{time},"event":"released"}}"#)), None);
    assert_eq!(read("tasklock: refreshed \"a\""), None);
}
