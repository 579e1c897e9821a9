//! What a Redis server did to the locks, by its own account (`MONITOR`): in its own order, and
//! whatever became of those who asked.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::history::{History, Nanos, Record, since_boot};

/// Appends what the commands of the scripts mean, each with its time since 1970.
pub(crate) fn tell(commands: &[(Duration, Vec<String>)], history: &History) {
    let mut reader = Reader::default();
    for (at, words) in commands {
        for record in reader.read(since_boot(SystemTime::UNIX_EPOCH + *at), words) {
            history.add(&record);
        }
    }
}

/// Understands one command after the other.
#[derive(Debug, Default)]
struct Reader {
    /// The runs by their public ids.
    runs: BTreeMap<String, u32>,
}

impl Reader {
    fn read(&mut self, at: Nanos, words: &[String]) -> Vec<Record> {
        let (Some(command), Some(name)) = (words.first(), words.get(1).and_then(|key| lock(key)))
        else {
            return Vec::new();
        };
        let name = name.to_owned();
        match command.to_ascii_uppercase().as_str() {
            "HSET" => self.set(at, &name, &words[2..]),
            "HDEL" => {
                let tickets = words[2..].iter().filter_map(|field| number(field, "q"));
                let left = |ticket| Record::Left {
                    at,
                    name: name.clone(),
                    ticket,
                };
                tickets.map(left).collect()
            }
            _ => Vec::new(),
        }
    }

    fn set(&mut self, at: Nanos, name: &str, words: &[String]) -> Vec<Record> {
        let fields: BTreeMap<&str, &str> = words
            .chunks_exact(2)
            .map(|pair| (pair[0].as_str(), pair[1].as_str()))
            .collect();
        let mut records = Vec::new();
        for (field, value) in &fields {
            if let Some(id) = field.strip_prefix('i') {
                // "ticket joined details"
                let details = value.splitn(3, ' ').nth(2).and_then(run_of);
                self.runs.extend(details.map(|run| (id.to_owned(), run)));
            } else if let Some(ticket) = number(field, "q") {
                // "end woken slots id"
                let mut parts = value.split(' ').skip(1);
                let told = parts.next().is_some_and(|woken| woken != "0");
                let slots = parts.next().and_then(|slots| slots.parse().ok());
                let run = parts.next().and_then(|id| self.runs.get(id));
                if let (Some(slots), Some(run)) = (slots, run) {
                    records.push(Record::Joined {
                        at,
                        name: name.to_owned(),
                        run: *run,
                        ticket,
                        slots,
                        told,
                    });
                }
            } else if let Some(slot) = number(field, "f") {
                let holder = fields.get(format!("h{slot}").as_str());
                let fence = value.parse().ok();
                if let (Some(run), Some(fence)) = (holder.and_then(|it| run_of(it)), fence) {
                    records.push(Record::Granted {
                        at,
                        name: name.to_owned(),
                        run,
                        slot: u32::try_from(slot).unwrap(),
                        fence,
                    });
                }
            }
        }
        records
    }
}

/// The lock of a state hash.
fn lock(key: &str) -> Option<&str> {
    key.strip_prefix("{task_lock:")?.strip_suffix("}:st")
}

/// Which run it is: each gives its number as its reason.
fn run_of(details: &str) -> Option<u32> {
    let details: Value = serde_json::from_str(details).ok()?;
    details.get("reason")?.as_str()?.parse().ok()
}

/// The number of a field like `q17`.
fn number(field: &str, kind: &str) -> Option<u64> {
    field.strip_prefix(kind)?.parse().ok()
}

#[test]
fn a_line_and_a_grant_are_read_from_what_the_scripts_write() {
    let words = |text: &str| text.split('|').map(str::to_owned).collect::<Vec<_>>();
    let details = r#"{"id":"00aa","who":"root@web3","pid":42,"reason":"17"}"#;
    let mut reader = Reader::default();
    let mut read = |text: &str| reader.read(9, &words(text));
    let state = "{task_lock:a}:st";
    assert_eq!(read("GET|task_lock:a"), []);
    assert_eq!(read(&format!("HSET|{state}|i00aa|3 1700 {details}")), []);
    let (at, name, run, slot) = (9, || "a".to_owned(), 17, 1);
    assert_eq!(
        read(&format!("HSET|{state}|q3|1706000 0 2 00aa")),
        [Record::Joined {
            at,
            name: name(),
            run,
            ticket: 3,
            slots: 2,
            told: false
        }]
    );
    assert_eq!(
        read(&format!(
            "HSET|{state}|o1|token|f1|77|e1|5|h1|{details}|c1|"
        )),
        [Record::Granted {
            at,
            name: name(),
            run,
            slot,
            fence: 77
        }]
    );
    assert_eq!(
        read(&format!("HDEL|{state}|q3|i00aa")),
        [Record::Left {
            at,
            name: name(),
            ticket: 3
        }]
    );
    assert_eq!(read(&format!("HSET|{state}|e1|9|t1|60000")), []);
}
