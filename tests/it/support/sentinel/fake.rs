//! A Sentinel that names whom it is told to: one that is stale, or alone in what it knows.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::support::redis::Server;
use crate::support::resp;

/// What it says: the master's host and port, and the epoch that made it the master.
type Name = (String, u16, u64);

/// Such a Sentinel. Its threads end with the test process.
pub(crate) struct Fake {
    address: SocketAddr,
    name: Arc<Mutex<Name>>,
}

impl Fake {
    /// Names `server`.
    pub(crate) fn naming(server: &Server, epoch: u64) -> Fake {
        Fake::of(server.address().ip().to_string(), server, epoch)
    }

    /// Names `server` by this host name.
    pub(crate) fn of(host: String, server: &Server, epoch: u64) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let fake = Fake {
            address: listener.local_addr().unwrap(),
            name: Arc::new(Mutex::new((host, server.address().port(), epoch))),
        };
        let name = Arc::clone(&fake.name);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let name = Arc::clone(&name);
                // The client may go at any time.
                thread::spawn(move || drop(serve(stream, &name)));
            }
        });
        fake
    }

    /// Names another one from now on.
    pub(crate) fn name(&self, server: &Server, epoch: u64) {
        let mut name = self.name.lock().unwrap_or_else(PoisonError::into_inner);
        *name = (name.0.clone(), server.address().port(), epoch);
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

fn serve(mut stream: TcpStream, name: &Mutex<Name>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let length = stream.read(&mut chunk)?;
        if length == 0 {
            return Ok(());
        }
        buffer.extend_from_slice(&chunk[..length]);
        while let Some(length) = resp::message_length(&buffer) {
            let request: Vec<u8> = buffer.drain(..length).collect();
            let words = resp::words(&request);
            let (host, port, epoch) = name.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let answer = match words.get(1).map(String::as_str) {
                Some("get-master-addr-by-name") => list(&[&host, &port.to_string()]),
                Some("master") => list(&["config-epoch", &epoch.to_string()]),
                _ => format!("-ERR unknown command '{}'\r\n", words[0]),
            };
            stream.write_all(answer.as_bytes())?;
        }
    }
}

fn list(words: &[&str]) -> String {
    let texts = words
        .iter()
        .map(|word| format!("${}\r\n{word}\r\n", word.len()));
    format!("*{}\r\n{}", words.len(), texts.collect::<String>())
}
