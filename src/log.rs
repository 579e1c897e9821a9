//! Lines on standard error: prefixed for people, or one JSON object each.
//!
//! A closed or full standard error never disturbs a run: what cannot be written is dropped.

use std::io::Write;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::message::{Level, Message};

/// `--log-format`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `tasklock: …`
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Where and how messages are told.
#[derive(Clone, Debug)]
pub struct Log {
    /// The lock that every message is about.
    pub name: String,
    /// How.
    pub format: Format,
    /// The least important level that is told.
    pub level: Level,
}

impl Log {
    /// Tells `message`, if it is important enough.
    pub fn say(&self, message: &Message) {
        if message.level() <= self.level {
            let text = message.text(&self.name);
            match self.format {
                Format::Text => write_line(&format!("tasklock: {text}")),
                Format::Json => self.write_json(message.event(), &text, message.fields()),
            }
        }
    }

    fn write_json(&self, event: &str, text: &str, fields: Map<String, Value>) {
        let mut line = Map::new();
        line.insert("time".to_owned(), json!(Timestamp::now().to_string()));
        line.insert("event".to_owned(), json!(event));
        line.insert("name".to_owned(), json!(self.name));
        line.extend(fields);
        line.insert("message".to_owned(), json!(text));
        write_line(&Value::Object(line).to_string());
    }
}

/// One line of an error that ends the program before there is a lock to speak of.
pub fn fail(text: &str, format: Format) {
    let log = Log {
        name: String::new(),
        format,
        level: Level::Error,
    };
    log.say(&Message::Failed(text.to_owned()));
}

/// One write, so that lines of several processes do not mix. An error has nobody to be told to.
fn write_line(line: &str) {
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}
