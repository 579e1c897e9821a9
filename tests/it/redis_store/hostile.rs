//! Servers that are slow, silent, or send what no server should: an error in time, never a panic.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tasklock::store::{Fence, Grant, StoreErrorKind};

use super::{BRIEF, claim, failure, start};
use crate::support::redis::Server;
use crate::support::store::{answer, fake, grant, keep, open};

#[test]
fn a_server_that_says_nothing_is_given_up_at_the_timeout() {
    let url = fake(|stream| {
        thread::spawn(move || drop((&stream).read_to_end(&mut Vec::new())));
    });
    let error = failure(&url);
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    assert_eq!(error.text, format!("no reply from {url} within {BRIEF:?}"));
}

#[test]
fn a_server_that_does_not_accept_is_given_up_at_the_timeout() {
    let server = Server::with().config("tcp-backlog", "1").start();
    server.freeze();
    let socket = server.unix_url().replace("unix://", "");
    let (filled, connected) = mpsc::channel();
    thread::spawn(move || {
        let mut streams = Vec::new();
        while let Ok(stream) = UnixStream::connect(&socket) {
            streams.push(stream);
            filled.send(()).unwrap();
        }
    });
    while connected.recv_timeout(BRIEF).is_ok() {}
    let error = failure(&server.unix_url());
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    assert!(
        error
            .text
            .ends_with(&format!("no connection within {BRIEF:?}")),
        "{error}"
    );
}

#[test]
fn a_frozen_server_is_given_up_at_the_timeout_and_asked_again() {
    let (server, mut store) = start();
    let mine = claim("a");
    let granted = grant(&mut *store, &mine);
    server.freeze();
    let error = store.refresh(&mine, &granted, BRIEF).unwrap_err();
    assert!(error.text.starts_with("no reply from unix://"), "{error}");
    server.thaw();
    keep(&mut *store, &mine, &granted);
}

#[test]
fn a_server_that_trickles_is_given_up_at_the_timeout() {
    let url = fake(|mut stream| {
        thread::spawn(move || {
            stream.write_all(b"$9999\r\n").unwrap();
            while stream.write_all(b"x").is_ok() {
                thread::sleep(Duration::from_millis(5));
            }
        });
    });
    assert_eq!(failure(&url).kind, StoreErrorKind::Unavailable);
    // Also while logging in.
    let url = url.replace("redis://", "redis://:pw@");
    assert_eq!(failure(&url).kind, StoreErrorKind::Unavailable);
}

#[test]
fn hostile_answers_are_errors_in_time() {
    let mut random = vec![0; 40_000];
    getrandom::fill(&mut random).unwrap();
    let nested = |kind: &str, depth| kind.repeat(depth).into_bytes();
    let answers: Vec<Vec<u8>> = vec![
        random,
        b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
        b"\r\n".to_vec(),
        b"*2000000000\r\n".to_vec(),
        b"*2000000000\r\n+a\r\n+b\r\n".to_vec(),
        b"*9223372036854775807\r\n".to_vec(),
        b"$99999999999\r\n".to_vec(),
        b"$9223372036854775807\r\nx".to_vec(),
        b"!-1\r\n".to_vec(),
        b"=-9223372036854775808\r\n".to_vec(),
        b"%9223372036854775807\r\n".to_vec(),
        b"%-1\r\n".to_vec(),
        b"|9223372036854775807\r\n".to_vec(),
        b"|0\r\n".to_vec(),
        b"~2000000000\r\n".to_vec(),
        b">-1\r\n".to_vec(),
        b">1\r\n:1\r\n".to_vec(),
        b"-\r\n".to_vec(),
        b"-\xff\xfe\r\n".to_vec(),
        b":99999999999999999999\r\n".to_vec(),
        b"$-1\r\n".to_vec(),
        b"*0\r\n".to_vec(),
        b"*1\r\n$-1\r\n".to_vec(),
        b"*1\r\n-ERR inside\r\n".to_vec(),
        b"*4\r\n$7\r\ngranted\r\n$3\r\nnan\r\n$1\r\n1\r\n$1\r\n0\r\n".to_vec(),
        b"+OK\r\n".to_vec(),
        nested("*1\r\n", 50),
        nested("*1\r\n", 12_000),
        nested("*4096\r\n", 9_000),
        nested("%1\r\n", 12_000),
        nested("|1\r\n", 12_000),
        nested("*1\r\n*2\r\n+x\r\n", 5_000),
    ];
    for bytes in answers {
        let beginning = String::from_utf8_lossy(&bytes[..bytes.len().min(20)]).into_owned();
        for login in ["redis://", "redis://:pw@"] {
            let bytes = bytes.clone();
            let url = fake(move |stream| answer(stream, &bytes));
            let error = failure(&url.replace("redis://", login));
            assert!(
                !error.text.contains('\n') && error.text.len() < 400,
                "{beginning:?}: {error}"
            );
        }
    }
}

#[test]
fn endless_answers_are_cut_off() {
    for piece in [
        "+aaaaaaaa",
        "*1\r\n",
        "*2\r\n+a\r\n",
        "$100000000\r\n",
        "*100000000\r\n+a\r\n",
    ] {
        let url = fake(move |mut stream| {
            let flood = piece.repeat(1000);
            thread::spawn(move || while stream.write_all(flood.as_bytes()).is_ok() {});
        });
        failure(&url);
    }
}

/// Random bytes of the protocol's own alphabet, through the parser that answers go through.
#[test]
fn random_answers_never_panic_on_a_small_stack() {
    let alphabet = b"*$%|~>+-:!=(,#_\r\n0123456789ab ";
    let run = move || {
        for length in [3usize, 10, 40, 200, 4000] {
            for _ in 0..2000 {
                let mut bytes = vec![0; length];
                getrandom::fill(&mut bytes).unwrap();
                for byte in &mut bytes {
                    *byte = alphabet[usize::from(*byte) % alphabet.len()];
                }
                let _ = redis::Parser::new().parse_value(bytes.as_slice());
            }
        }
        for kind in ["*", "%", "|", "~", ">"] {
            for count in ["1", "2", "4096", "2000000000", "9223372036854775807"] {
                let deep = format!("{kind}{count}\r\n").repeat(3000);
                let _ = redis::Parser::new().parse_value(deep.as_bytes());
            }
        }
    };
    thread::Builder::new()
        .stack_size(2 * 1024 * 1024)
        .spawn(run)
        .unwrap()
        .join()
        .unwrap();
}

#[test]
fn an_answer_in_single_bytes_is_read_whole() {
    let url = fake(|mut stream| {
        stream.set_nodelay(true).unwrap();
        let _ = stream.read(&mut [0; 65536]);
        for byte in b"*4\r\n$7\r\ngranted\r\n$3\r\n123\r\n$3\r\n456\r\n$1\r\n7\r\n" {
            stream.write_all(&[*byte]).unwrap();
            thread::yield_now();
        }
    });
    let mut mine = claim("a");
    mine.slots = 8;
    let granted = grant(&mut *open(&url), &mine);
    assert_eq!(
        granted,
        Grant {
            fence: Fence(123),
            end_ms: 456,
            slot: 7,
        }
    );
}
