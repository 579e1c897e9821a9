//! Lines on standard error: prefixed for people, or one JSON object each.
//!
//! A standard error that is closed, full, or read by nobody never disturbs a
//! run: what cannot be written is dropped, and a run does not wait for a reader
//! (a pager at its first page, a terminal after ^S) while it has a child to stop.

use std::cell::OnceCell;
use std::io::Write;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::message::{Level, Message, json_line};

/// `--log-format`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `tasklock: …`
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// How long a run waits for one line to be written, so that its lines and the
/// child's come in order. Far below the margin that a lease keeps for KILL.
const LINE_MAX: Duration = Duration::from_millis(20);
/// How long the end of a run waits for the lines that are left.
const REST_MAX: Duration = Duration::from_millis(200);

/// Where and how messages are told.
#[derive(Debug)]
pub struct Log {
    name: String,
    format: Format,
    level: Level,
    /// Most runs have nothing to say, and start no thread for it.
    writer: OnceCell<Option<Writer>>,
}

/// A thread that writes, as a write may block for as long as nobody reads.
#[derive(Debug)]
struct Writer {
    lines: Sender<String>,
    /// One item a line that is done with; closed when the thread has ended.
    done: Receiver<()>,
}

impl Log {
    /// A log of messages about the lock `name`, from the least important `level` on.
    /// Made when the signals are held back, which its thread has to inherit.
    #[must_use]
    pub fn new(name: String, format: Format, level: Level) -> Log {
        let writer = OnceCell::new();
        Log {
            name,
            format,
            level,
            writer,
        }
    }

    /// Whether notices are shown, in words.
    #[must_use]
    pub fn is_for_people(&self) -> bool {
        self.format == Format::Text && self.level >= Level::Notice
    }

    /// Tells `message`, if it is important enough.
    pub fn say(&self, message: &Message) {
        if message.level() <= self.level {
            let text = message.text(&self.name);
            match self.format {
                Format::Text => self.write(format!("tasklock: {text}")),
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
        self.write(json_line(&Value::Object(line)));
    }

    fn write(&self, line: String) {
        match self.writer.get_or_init(Writer::start) {
            Some(writer) => writer.write(line),
            None => write_line(&line),
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if let Some(Writer { lines, done }) = self.writer.take().flatten() {
            drop(lines);
            // The thread ends when it has written them all.
            let end = Instant::now() + REST_MAX;
            while done
                .recv_timeout(end.saturating_duration_since(Instant::now()))
                .is_ok()
            {}
        }
    }
}

impl Writer {
    /// None where the system refuses a thread.
    fn start() -> Option<Writer> {
        let (lines, to_write) = mpsc::channel::<String>();
        let (written, done) = mpsc::channel();
        let work = move || {
            for line in to_write {
                write_line(&line);
                let _ = written.send(());
            }
        };
        let thread = thread::Builder::new().name("log".to_owned()).spawn(work);
        thread.ok().map(|_| Writer { lines, done })
    }

    fn write(&self, line: String) {
        if self.lines.send(line).is_ok() {
            // A line that takes longer is written when somebody reads again.
            let _ = self.done.recv_timeout(LINE_MAX);
        }
    }
}

/// One line of an error that ends the program before there is a lock to speak of.
pub fn fail(text: &str, format: Format) {
    let log = Log {
        name: String::new(),
        format,
        level: Level::Error,
        // Nothing is held up by a reader that takes its time: no need of a thread.
        writer: OnceCell::from(None),
    };
    log.say(&Message::Failed(text.to_owned()));
}

/// One write, so that lines of several processes do not mix. An error has nobody to be told to.
fn write_line(line: &str) {
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}
