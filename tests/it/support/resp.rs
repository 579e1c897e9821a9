//! The little of the Redis protocol that the tests speak themselves.
//!
//! A client of their own says nothing but what it is told to (no `CLIENT SETINFO` on connecting),
//! and shares no code with the connections under test but the parser.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use redis::{Parser, Value};

use super::PATIENCE;

/// One connection to a server.
pub(crate) struct Connection {
    stream: TcpStream,
    parser: Parser,
}

impl Connection {
    /// Connects and logs in.
    pub(crate) fn open(address: SocketAddr, login: (&str, &str)) -> io::Result<Connection> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut connection = Connection {
            stream,
            parser: Parser::new(),
        };
        match connection.call(&["AUTH", login.0, login.1])? {
            Value::Okay => Ok(connection),
            other => Err(io::Error::other(format!("AUTH answered {other:?}"))),
        }
    }

    /// Sends one command and waits for its answer, which may be an error of the server's.
    pub(crate) fn call(&mut self, words: &[&str]) -> io::Result<Value> {
        let words: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        self.stream.write_all(&redis::pack_command(&words))?;
        self.parser
            .parse_value(&mut self.stream)
            .map_err(io::Error::other)
    }

    /// Our end, as the server names it.
    pub(crate) fn local_address(&self) -> SocketAddr {
        self.stream.local_addr().unwrap()
    }

    /// The stream itself, for what is not an exchange.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream
    }
}

/// The length of the first whole message in `bytes`; `None` while there is more of it to come.
pub(crate) fn message_length(bytes: &[u8]) -> Option<usize> {
    let line = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let after = line + 2;
    let number = || {
        std::str::from_utf8(&bytes[1..line])
            .ok()?
            .parse::<i64>()
            .ok()
    };
    let parts = match bytes[0] {
        b'$' | b'=' | b'!' => {
            // -1 stands for "no such value" and has no body.
            let Ok(length) = usize::try_from(number()?) else {
                return Some(after);
            };
            let end = after + length + 2;
            return (bytes.len() >= end).then_some(end);
        }
        b'*' | b'~' | b'>' => number()?.max(0),
        b'%' | b'|' => 2 * number()?.max(0),
        _ => return Some(after),
    };
    let mut end = after;
    for _ in 0..parts {
        end += message_length(&bytes[end..])?;
    }
    Some(end)
}

/// The words of a request, an array of strings.
pub(crate) fn words(request: &[u8]) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => format!("{other:?}"),
    };
    match redis::parse_redis_value(request) {
        Ok(Value::Array(values)) => values.iter().map(text).collect(),
        _ => vec![String::from_utf8_lossy(request).trim_end().to_owned()],
    }
}

/// The `name:value` lines of an INFO answer.
pub(crate) fn info_fields(answer: &Value) -> HashMap<String, String> {
    let text = match answer {
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::VerbatimString { text, .. } => text.clone(),
        other => panic!("INFO answered {other:?}"),
    };
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs
        .map(|(name, value)| (name.to_owned(), value.trim_end().to_owned()))
        .collect()
}

/// Reads `stream` line by line without its end-of-line, until it ends.
pub(crate) fn lines(stream: impl Read) -> impl Iterator<Item = Vec<u8>> {
    use std::io::{BufRead, BufReader};
    BufReader::new(stream)
        .split(b'\n')
        .map_while(Result::ok)
        .map(|mut line| {
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            line
        })
}
