//! A server that answers what it likes, and knows whether that was a grant.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::bytes::Bytes;
use crate::support::resp;

/// Of five digits, as the ports of such servers are: lengths before it stay right.
pub(super) const PORT: &str = "PORT5";
/// A client that waits longer than this for the rest of an answer hangs.
const HELD: Duration = Duration::from_secs(20);

/// What a request is answered with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    /// What an honest server would say, where somebody else has the lock.
    Honest,
    /// Anything.
    Bytes {
        bytes: Bytes,
        /// In pieces of this length. 0: whole.
        piece: usize,
        then: Then,
    },
}

/// What follows an answer.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum Then {
    /// The next request is read.
    Read,
    /// The connection is closed.
    Close,
    /// Nothing more.
    Hold,
    /// The same, again and again.
    Repeat,
}

/// How some of the requests are answered, one after the other, the last reply again and again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Rule {
    /// The first word of these requests. Empty: any.
    pub(super) command: String,
    pub(super) replies: Vec<Reply>,
}

/// Such a server; its threads end with the clients, or with the test process.
pub(super) struct Hostile {
    port: u16,
    granted: Arc<AtomicBool>,
    done: Arc<AtomicBool>,
}

impl Hostile {
    /// The first request is answered with the first reply, and what comes after the last one with
    /// that one.
    pub(super) fn start(replies: &[Reply]) -> Hostile {
        Hostile::by_rules(&[Rule {
            command: String::new(),
            replies: replies.to_vec(),
        }])
    }

    /// Each request is answered by the first rule that is about it, or else as an honest server
    /// would, where nobody has the lock.
    pub(super) fn by_rules(rules: &[Rule]) -> Hostile {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let hostile = Hostile {
            port: listener.local_addr().unwrap().port(),
            granted: Arc::default(),
            done: Arc::default(),
        };
        let turn = Arc::new(Turn {
            rules: rules
                .iter()
                .map(|rule| (rule.clone(), AtomicUsize::new(0)))
                .collect(),
            port: format!("{:05}", hostile.port),
            granted: Arc::clone(&hostile.granted),
        });
        let done = Arc::clone(&hostile.done);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if done.load(Ordering::SeqCst) {
                    return;
                }
                let turn = Arc::clone(&turn);
                // The client may go at any time.
                thread::spawn(move || drop(turn.serve(stream)));
            }
        });
        hostile
    }

    /// `127.0.0.1:port`
    pub(super) fn place(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Whether anything that it said was a grant of place 0.
    pub(super) fn granted(&self) -> bool {
        self.granted.load(Ordering::SeqCst)
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.done.store(true, Ordering::SeqCst);
        // For the one who waits for it.
        drop(TcpStream::connect(self.place()));
    }
}

struct Turn {
    /// With the number of the next reply.
    rules: Vec<(Rule, AtomicUsize)>,
    port: String,
    granted: Arc<AtomicBool>,
}

impl Turn {
    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(HELD))?;
        let (mut buffer, mut chunk) = (Vec::new(), [0; 16384]);
        loop {
            let length = stream.read(&mut chunk)?;
            if length == 0 {
                return Ok(());
            }
            buffer.extend_from_slice(&chunk[..length]);
            // Of TLS it answers each piece.
            let is_redis = buffer[0] == b'*';
            while !buffer.is_empty() {
                let length = match is_redis {
                    true => resp::message_length(&buffer),
                    false => Some(buffer.len()),
                };
                let Some(length) = length else { break };
                let request: Vec<u8> = buffer.drain(..length).collect();
                self.answer(&mut stream, &resp::words(&request))?;
            }
        }
    }

    fn answer(&self, stream: &mut TcpStream, request: &[String]) -> std::io::Result<()> {
        let command = request.first().map(String::as_str).unwrap_or_default();
        let is_about = |rule: &Rule| rule.command.is_empty() || rule.command == command;
        let rule = self.rules.iter().find(|(rule, _)| is_about(rule));
        let reply = rule.map_or(&Reply::Honest, |(rule, next)| {
            let turn = next.fetch_add(1, Ordering::SeqCst);
            &rule.replies[turn.min(rule.replies.len() - 1)]
        });
        let (bytes, piece, then) = match reply {
            Reply::Honest => (honest(request), 0, Then::Read),
            Reply::Bytes { bytes, piece, then } => (bytes.0.clone(), *piece, *then),
        };
        let bytes = replaced(&bytes, PORT.as_bytes(), self.port.as_bytes());
        if is_grant(&bytes) {
            self.granted.store(true, Ordering::SeqCst);
        }
        match piece {
            0 => stream.write_all(&bytes)?,
            length => {
                for part in bytes.chunks(length) {
                    stream.write_all(part)?;
                    thread::yield_now();
                }
            }
        }
        match then {
            Then::Read => Ok(()),
            Then::Close => stream.shutdown(Shutdown::Both),
            Then::Hold => {
                while stream.read(&mut [0; 16384])? > 0 {}
                Ok(())
            }
            Then::Repeat => loop {
                stream.write_all(&bytes.repeat(1 + 16384 / (bytes.len() + 1)))?;
                if bytes.is_empty() {
                    return Ok(());
                }
            },
        }
    }
}

/// Who looks finds the lock free, who asks for it that another one was faster; Sentinel names us,
/// and we are the master.
fn honest(request: &[String]) -> Vec<u8> {
    let words: Vec<&str> = request.iter().map(String::as_str).collect();
    let text = match words.as_slice() {
        ["SENTINEL", "get-master-addr-by-name", ..] => {
            format!("*2\r\n$9\r\n127.0.0.1\r\n$5\r\n{PORT}\r\n")
        }
        ["SENTINEL", ..] => "*2\r\n$12\r\nconfig-epoch\r\n$1\r\n1\r\n".to_owned(),
        ["ROLE", ..] => "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n".to_owned(),
        ["CLUSTER", ..] => {
            format!("*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$9\r\n127.0.0.1\r\n:{PORT}\r\n$2\r\nid\r\n")
        }
        ["SUBSCRIBE", ..] => "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n".to_owned(),
        ["WAIT", ..] => ":1\r\n".to_owned(),
        ["EVAL", script, ..] if script.contains("'status'") => {
            let place = "*3\r\n$1\r\n5\r\n$0\r\n\r\n$-1\r\n";
            let counts = "$1\r\n0\r\n$1\r\n0\r\n$0\r\n\r\n";
            format!("*7\r\n$6\r\nstatus\r\n{counts}*0\r\n*0\r\n{place}")
        }
        ["EVALSHA", ..] => "-NOSCRIPT No matching script.\r\n".to_owned(),
        ["SCAN", ..] => {
            "*2\r\n$1\r\n0\r\n*2\r\n$11\r\ntask_lock:a\r\n$16\r\n{task_lock:b}:st\r\n".to_owned()
        }
        ["INFO", ..] => "$11\r\nrole:master\r\n\r\n".to_owned(),
        ["CONFIG", ..] => "*2\r\n$4\r\nsave\r\n$0\r\n\r\n".to_owned(),
        ["TIME"] => "*2\r\n$10\r\n1790000000\r\n$1\r\n0\r\n".to_owned(),
        ["PTTL", ..] => ":-1\r\n".to_owned(),
        ["HMGET", ..] => "*3\r\n$-1\r\n$-1\r\n$-1\r\n".to_owned(),
        ["GET", ..] => "$-1\r\n".to_owned(),
        ["PING"] => "+PONG\r\n".to_owned(),
        ["EVAL", ..] => {
            let held = "*5\r\n$6\r\nholder\r\n$2\r\n{}\r\n$1\r\n5\r\n$1\r\n9\r\n$0\r\n\r\n";
            format!("*2\r\n$4\r\nheld\r\n{held}")
        }
        _ => "+OK\r\n".to_owned(),
    };
    text.into_bytes()
}

fn replaced(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), bytes);
    while let Some(at) = rest.windows(old.len()).position(|part| part == old) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(new);
        rest = &rest[at + old.len()..];
    }
    [&out, rest].concat()
}

/// Whether an answer is in these bytes that grants place 0: all its words are there, and its
/// numbers are such as a script gives. Says yes rather than no.
fn is_grant(bytes: &[u8]) -> bool {
    const WORD: &[u8] = b"$7\r\ngranted\r\n";
    let starts = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(WORD));
    starts.into_iter().any(|at| {
        let text = String::from_utf8_lossy(&bytes[at + WORD.len()..]);
        let lines: Vec<&str> = text.split("\r\n").collect();
        // The last piece has no end of line: it is not a line.
        let [_, fence, _, end, _, place, ..] = lines[..lines.len() - 1] else {
            return false;
        };
        let fence = fence
            .parse::<u64>()
            .is_ok_and(|fence| (1..1 << 53).contains(&fence));
        fence && end.parse::<u64>().is_ok() && place.parse::<u32>() == Ok(0)
    })
}

#[test]
fn only_a_whole_grant_counts_as_one() {
    let grant = b"*4\r\n$7\r\ngranted\r\n$1\r\n5\r\n$1\r\n6\r\n$1\r\n0\r\n";
    assert!(is_grant(grant));
    assert!((0..grant.len()).all(|length| !is_grant(&grant[..length])));
    for (old, new) in [
        ("5\r", "0\r"),
        ("6\r", "-\r"),
        ("0\r", "1\r"),
        ("ted", "tet"),
    ] {
        assert!(
            !is_grant(&replaced(grant, old.as_bytes(), new.as_bytes())),
            "{old}"
        );
    }
}
