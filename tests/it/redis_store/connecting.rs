//! What a run costs on the wire, and what becomes of a connection that breaks.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tasklock::store::{Acquire, Ask, Fence, Release, StoreErrorKind};

use super::{BRIEF, SLACK, claim, failure, start};
use crate::support::port::free_port;
use crate::support::proxy::{Loss, Proxy};
use crate::support::redis::Server;
use crate::support::store::{TIMEOUT, answer, fake, grant, inspect, keep, open, refresh, release};
use crate::support::wait_until;

#[test]
fn a_whole_run_is_one_connection_and_one_command_per_request() {
    let (server, mut store) = start();
    server.command(&["CONFIG", "RESETSTAT"]);
    let monitor = server.monitor();
    let mine = claim("a");
    let granted = grant(&mut *store, &mine);
    refresh(&mut *store, &mine, &granted);
    inspect(&mut *store, "job");
    release(&mut *store, &mine);
    assert_eq!(monitor.names(), ["EVAL"; 4]);
    // The monitor's own connection is the other one, and its AUTH the only one.
    let stats = server.info("stats");
    assert_eq!(stats["total_connections_received"], "2");
    let auth = &server.info("commandstats")["cmdstat_auth"];
    assert!(auth.starts_with("calls=1,"), "{auth}");
}

#[test]
fn a_connection_that_was_closed_while_idle_is_dialled_again() {
    let (server, mut store) = start();
    let mine = claim("a");
    let granted = grant(&mut *store, &mine);
    let close = ["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"];
    server.command(&close);
    keep(&mut *store, &mine, &granted);
    server.command(&close);
    assert_eq!(release(&mut *store, &mine), Release::Released);
}

#[test]
fn a_request_whose_answer_was_lost_is_sent_once_more_and_means_the_same() {
    let server = Server::start();
    let proxy = Proxy::start(server.address());
    let mut store = open(&proxy.url());
    inspect(&mut *store, "job");
    proxy.lose_reply_to("eval", Loss::Cut);
    let mine = claim("a");
    let granted = grant(&mut *store, &mine);
    proxy.wait_for_loss();
    assert_eq!(inspect(&mut *store, "job").fence, Some(granted.fence));
    assert_eq!((proxy.requests().len(), proxy.connections()), (4, 2));
    assert_eq!(release(&mut *store, &mine), Release::Released);
}

#[test]
fn a_late_answer_is_not_taken_for_that_of_the_next_request() {
    let server = Server::start();
    let proxy = Proxy::start(server.address());
    let mut store = open(&proxy.url());
    let mine = claim("a");
    proxy.hold_request("eval");
    let error = store
        .acquire(&mine, Ask::default(), BRIEF + SLACK)
        .unwrap_err();
    assert!(error.text.starts_with("no reply from "), "{error}");
    proxy.wait_for_hold();
    proxy.let_go();
    // The other end is granted the lock, whenever that comes through; on a new connection.
    let granted = grant(&mut *store, &mine);
    keep(&mut *store, &mine, &granted);
    assert_eq!(proxy.connections(), 2);
}

#[test]
fn what_nobody_asked_for_is_not_taken_for_the_answer_to_the_next_request() {
    let granted = "*4\r\n$7\r\ngranted\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n0\r\n";
    let status = "*7\r\n$6\r\nstatus\r\n$1\r\n0\r\n$1\r\n0\r\n$0\r\n\r\n*0\r\n*0\r\n*3\r\n$1\r\n7\r\n$0\r\n\r\n$-1\r\n";
    // Sent with the answer or after it, whole or cut short; or the connection is closed.
    for (with_it, after_it) in [
        (granted, ""),
        ("", granted),
        ("*3\r\n$7\r\ngran", ""),
        ("", "xyz"),
        ("", ""),
    ] {
        let (sent, all_sent) = mpsc::channel();
        let url = fake(move |mut stream| {
            // Otherwise the kernel keeps a small write until what went before is acknowledged.
            stream.set_nodelay(true).unwrap();
            let _ = stream.read(&mut [0; 65536]);
            let answer = format!("{status}{with_it}");
            stream.write_all(answer.as_bytes()).unwrap();
            stream.write_all(after_it.as_bytes()).unwrap();
            if with_it.is_empty() && after_it.is_empty() {
                stream.shutdown(Shutdown::Write).unwrap();
            }
            sent.send(()).unwrap();
            // Answers a request that comes all the same, which none should.
            thread::spawn(move || {
                if matches!(stream.read(&mut [0; 65536]), Ok(1..)) {
                    let _ = stream.write_all(b"-ERR asked on a connection that is out of step\r\n");
                }
            });
        });
        let mut store = open(&url);
        for _ in 0..3 {
            let status = inspect(&mut *store, "job");
            assert_eq!(status.fence, Some(Fence(7)), "{with_it:?} {after_it:?}");
            all_sent.recv().unwrap();
        }
    }
}

#[test]
fn a_server_that_is_not_there_is_unavailable() {
    let url = format!("redis://127.0.0.1:{}", free_port());
    let error = failure(&url);
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    assert_eq!(
        error.text,
        format!("cannot reach {url}: connection refused")
    );

    let error = failure("unix:///nonexistent/redis.sock");
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    let why = "/redis.sock: no such file or directory";
    assert!(error.text.ends_with(why), "{error}");

    let error = failure("redis://no-such-host.invalid");
    assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error}");
    let what = "cannot reach redis://no-such-host.invalid:6379: ";
    assert!(error.text.starts_with(what), "{error}");
}

#[test]
fn a_server_is_reached_by_its_name() {
    let url = fake(|stream| answer(stream, b"*1\r\n$9\r\nwithdrawn\r\n"));
    let mut store = open(&url.replace("127.0.0.1", "localhost"));
    assert_eq!(
        store.acquire(&claim("a"), Ask::default(), TIMEOUT),
        Ok(Acquire::Withdrawn)
    );
}

#[test]
fn connections_are_not_inherited_by_the_job() {
    let (server, mut store) = start();
    let count = || server.text(&["CLIENT", "LIST"]).unwrap().lines().count();
    let before = count();
    grant(&mut *store, &claim("a"));
    assert_eq!(count(), before + 1);
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    drop(store);
    wait_until(|| count() == before);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_connection_that_was_idle_for_long_is_not_trusted() {
    let server = Server::start();
    let proxy = Proxy::start(server.address());
    let mut store = open(&proxy.url());
    let mine = claim("a");
    let granted = grant(&mut *store, &mine);
    keep(&mut *store, &mine, &granted);
    assert_eq!(proxy.connections(), 1);
    // Idleness is the one thing that only time brings; the other tests run meanwhile.
    thread::sleep(Duration::from_secs(31));
    assert_eq!(release(&mut *store, &mine), Release::Released);
    assert_eq!(proxy.connections(), 2);
}
