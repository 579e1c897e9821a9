//! What a server was sent, by its own account (`MONITOR`).
//!
//! Complete and in order: every look first sends a marker and waits until the server reports it.
//! The server leaves out what is secret (`AUTH`, `HELLO`).

use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use redis::Value;

use super::redis::Server;
use super::resp::{self, Connection};
use super::wait_until;

/// One command as reported.
#[derive(Clone, Debug)]
struct Seen {
    /// By the server's clock, since 1970.
    at: Duration,
    /// The client's address, or `lua` for a command that a script called.
    client: String,
    words: Vec<String>,
}

/// A recording that goes on until it is dropped.
pub(crate) struct Monitor<'a> {
    server: &'a Server,
    stream: TcpStream,
    seen: Arc<Mutex<Vec<Seen>>>,
    reader: Option<JoinHandle<()>>,
    markers: Mutex<u32>,
}

impl<'a> Monitor<'a> {
    /// Turns `connection` into a recording of `server`.
    pub(super) fn start(server: &'a Server, mut connection: Connection) -> Monitor<'a> {
        assert_eq!(connection.call(&["MONITOR"]).unwrap(), Value::Okay);
        let stream = connection.into_stream();
        stream.set_read_timeout(None).unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let reader = {
            let stream = stream.try_clone().unwrap();
            let seen = Arc::clone(&seen);
            thread::spawn(move || {
                for line in resp::lines(stream) {
                    let line = String::from_utf8_lossy(&line).into_owned();
                    seen.lock().unwrap().extend(parse(&line));
                }
            })
        };
        Monitor {
            server,
            stream,
            seen,
            reader: Some(reader),
            markers: Mutex::new(0),
        }
    }

    /// The commands that clients sent since the start, each with its words; the tests' own left out.
    #[track_caller]
    pub(crate) fn commands(&self) -> Vec<Vec<String>> {
        self.catch_up();
        // Asked for now: the marker may have been sent on a new connection.
        let own = self.server.own_addresses();
        self.select(|client| client != "lua" && own.iter().all(|address| address != client))
    }

    /// The names of [`Monitor::commands`], in capitals.
    #[track_caller]
    pub(crate) fn names(&self) -> Vec<String> {
        let commands = self.commands();
        let names = commands.iter().map(|words| words[0].to_ascii_uppercase());
        names.collect()
    }

    /// The commands that scripts called since the start.
    #[track_caller]
    pub(crate) fn in_scripts(&self) -> Vec<Vec<String>> {
        self.catch_up();
        self.select(|client| client == "lua")
    }

    /// [`Monitor::in_scripts`], each with the time since 1970 by the server's clock.
    #[track_caller]
    pub(crate) fn in_scripts_timed(&self) -> Vec<(Duration, Vec<String>)> {
        self.catch_up();
        let seen = self.seen.lock().unwrap();
        let in_scripts = seen.iter().filter(|seen| seen.client == "lua");
        in_scripts
            .map(|seen| (seen.at, seen.words.clone()))
            .collect()
    }

    /// Waits until the server has reported everything up to now.
    #[track_caller]
    fn catch_up(&self) {
        let marker = {
            let mut markers = self.markers.lock().unwrap();
            *markers += 1;
            format!("monitor-marker-{markers}")
        };
        self.server.command(&["ECHO", &marker]);
        wait_until(|| {
            let seen = self.seen.lock().unwrap();
            seen.iter().any(|seen| seen.words.last() == Some(&marker))
        });
    }

    fn select(&self, wanted: impl Fn(&str) -> bool) -> Vec<Vec<String>> {
        let seen = self.seen.lock().unwrap();
        let chosen = seen.iter().filter(|seen| wanted(&seen.client));
        chosen.map(|seen| seen.words.clone()).collect()
    }
}

impl Drop for Monitor<'_> {
    fn drop(&mut self) {
        // The server may be gone already.
        let _ = self.stream.shutdown(Shutdown::Both);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

/// Reads `+1339518083.107412 [0 127.0.0.1:60866] "set" "key" "a \"quoted\" value"`.
fn parse(line: &str) -> Option<Seen> {
    let (at, rest) = line.strip_prefix('+')?.split_once(" [")?;
    let (origin, mut rest) = rest.split_once("] ")?;
    let (_database, client) = origin.split_once(' ')?;
    let mut words = Vec::new();
    while let Some(quoted) = rest.trim_start().strip_prefix('"') {
        let (word, after) = unquote(quoted)?;
        words.push(word);
        rest = after;
    }
    let (seconds, micros) = at.split_once('.')?;
    let seconds = Duration::from_secs(seconds.parse().ok()?);
    Some(Seen {
        at: seconds + Duration::from_micros(micros.parse().ok()?),
        client: client.to_owned(),
        words,
    })
}

/// Is this what follows the closing quote of a word?
fn ends_word(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with(" \"")
}

/// The word up to the closing quote, and what follows the quote.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut word = Vec::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            // Valkey 8.1 leaves the quotes inside a word as they are.
            '"' if ends_word(&text[at + 1..]) => {
                return Some((String::from_utf8_lossy(&word).into_owned(), &text[at + 1..]));
            }
            '\\' => word.push(match chars.next()?.1 {
                'n' => b'\n',
                'r' => b'\r',
                't' => b'\t',
                'a' => 7,
                'b' => 8,
                'x' => {
                    let digits: String = [chars.next()?.1, chars.next()?.1].iter().collect();
                    u8::from_str_radix(&digits, 16).ok()?
                }
                other => u8::try_from(other).ok()?,
            }),
            // The server escapes every byte that is not printable ASCII.
            c => word.push(u8::try_from(c).ok()?),
        }
    }
    None
}

#[test]
fn a_reported_line_is_read_with_its_escapes() {
    let line = r#"+1339518083.107412 [0 127.0.0.1:60866] "set" "a key" "a \"b\"\x00\n\xc3\xa9""#;
    let seen = parse(line).unwrap();
    assert_eq!(seen.at, Duration::from_micros(1_339_518_083_107_412));
    assert_eq!(seen.client, "127.0.0.1:60866");
    assert_eq!(seen.words, ["set", "a key", "a \"b\"\0\né"]);

    let valkey_8_1 = r#"+1339518083.107412 [0 lua] "set" "a "key"" """#;
    let seen = parse(valkey_8_1).unwrap();
    assert_eq!(seen.words, ["set", "a \"key\"", ""]);
}
