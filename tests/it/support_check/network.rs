//! Does the proxy fail in the way it was told to, and in no other?

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use redis::{Client, Connection, RedisResult};

use crate::support::proxy::{Loss, Mode, Proxy};
use crate::support::redis::Server;
use crate::support::wait_until;

/// How long these tests wait for what must not come.
const SHORT: Duration = Duration::from_millis(100);

fn dial(proxy: &Proxy) -> Connection {
    let client = Client::open(proxy.url()).unwrap();
    let connection = client.get_connection_with_timeout(SHORT * 50).unwrap();
    connection.set_read_timeout(Some(SHORT)).unwrap();
    connection
}

fn incr(connection: &mut Connection) -> RedisResult<i64> {
    redis::cmd("INCR").arg("counter").query(connection)
}

#[test]
fn a_proxy_passes_requests_on_and_counts_them() {
    let server = Server::start();
    let proxy = Proxy::start(server.address());
    let mut connection = dial(&proxy);
    let before = (proxy.requests().len(), proxy.replies(), proxy.last_reply());
    assert_eq!(incr(&mut connection).unwrap(), 1);
    proxy.wait_for_requests(before.0 + 1);
    assert_eq!(proxy.requests().last().unwrap(), &["INCR", "counter"]);
    assert_eq!(proxy.replies(), before.1 + 1);
    assert!(proxy.last_reply() > before.2);
    assert_eq!(proxy.connections(), 1);
}

#[test]
fn a_black_hole_swallows_requests_and_a_half_one_only_replies() {
    let server = Server::start();
    let proxy = Proxy::start(server.address());
    for (mode, reached) in [(Mode::BlackHole, None), (Mode::SwallowReplies, Some("1"))] {
        let mut connection = dial(&proxy);
        let seen = proxy.requests().len();
        proxy.set(mode);
        assert!(incr(&mut connection).unwrap_err().is_timeout());
        proxy.wait_for_requests(seen + 1);
        assert_eq!(server.text(&["GET", "counter"]).as_deref(), reached);
        proxy.set(Mode::Pass);
    }
    assert_eq!(incr(&mut dial(&proxy)).unwrap(), 2);
}

#[test]
fn a_network_may_fail_for_one_user_alone() {
    let users = ["left", "right"];
    let rules = users.map(|user| format!("{user} on >{user} ~* &* +@all"));
    let server = rules
        .iter()
        .fold(Server::with(), |server, rules| server.user(rules));
    let server = server.start();
    let proxy = Proxy::start(server.address());
    let [mut left, mut right] = users.map(|user| {
        let mut connection = dial(&proxy);
        let auth = redis::cmd("AUTH").arg(user).arg(user).clone();
        auth.query::<()>(&mut connection).unwrap();
        connection
    });
    proxy.set_for("left", Mode::BlackHole);
    assert!(incr(&mut left).unwrap_err().is_timeout());
    assert_eq!(incr(&mut right).unwrap(), 1);
    // Who has not said who he is is somebody else.
    assert_eq!(incr(&mut dial(&proxy)).unwrap(), 2);
    proxy.set(Mode::Pass);
    let mut left = dial(&proxy);
    let auth = redis::cmd("AUTH").arg("left").arg("left").clone();
    auth.query::<()>(&mut left).unwrap();
    assert_eq!(incr(&mut left).unwrap(), 3);
}

#[test]
fn a_cut_ends_connections_and_a_refusal_prevents_them() {
    let server = Server::start();
    let proxy = Proxy::start(server.address());
    let mut connection = dial(&proxy);
    proxy.cut();
    assert!(incr(&mut connection).unwrap_err().is_connection_dropped());

    let mut connection = dial(&proxy);
    proxy.refuse();
    let error = TcpStream::connect(proxy.address()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    assert_eq!(incr(&mut connection).unwrap(), 1);
    proxy.accept();
    assert_eq!(incr(&mut dial(&proxy)).unwrap(), 2);
}

#[test]
fn a_lost_reply_is_lost_after_the_server_did_the_work() {
    let server = Server::start();
    let proxy = Proxy::start(server.address());
    for (how, counter) in [(Loss::Silent, "1"), (Loss::Cut, "2")] {
        let mut connection = dial(&proxy);
        proxy.lose_reply_to("incr", how);
        redis::cmd("PING").exec(&mut connection).unwrap();
        let error = incr(&mut connection).unwrap_err();
        assert_eq!(error.is_timeout(), how == Loss::Silent, "{error}");
        proxy.wait_for_loss();
        assert_eq!(server.text(&["GET", "counter"]).unwrap(), counter);
    }
    assert_eq!(incr(&mut dial(&proxy)).unwrap(), 3);
}

#[test]
fn a_held_request_arrives_late_though_its_client_is_gone() {
    let server = Server::start();
    let proxy = Proxy::start(server.address());
    let mut connection = dial(&proxy);
    proxy.hold_request("incr");
    assert!(incr(&mut connection).unwrap_err().is_timeout());
    drop(connection);
    proxy.wait_for_hold();
    assert_eq!(server.text(&["GET", "counter"]), None);
    proxy.let_go();
    wait_until(|| server.text(&["GET", "counter"]).as_deref() == Some("1"));
}

#[test]
fn replies_are_delayed_and_come_in_pieces() {
    let server = Server::start();
    let proxy = Proxy::start(server.address());
    let mut connection = dial(&proxy);
    proxy.set(Mode::Dribble);
    let text = "longer than one byte";
    let echo = redis::cmd("ECHO")
        .arg(text)
        .query::<String>(&mut connection);
    assert_eq!(echo.unwrap(), text);

    proxy.set(Mode::Delay(SHORT / 2));
    connection.set_read_timeout(None).unwrap();
    let start = Instant::now();
    incr(&mut connection).unwrap();
    assert!(start.elapsed() >= SHORT / 2);
}

#[test]
fn requests_are_counted_whole_whatever_pieces_they_come_in() {
    let server = Server::start();
    let proxy = Proxy::start(server.address());
    let mut stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_nodelay(true).unwrap();
    for byte in b"*1\r\n$4\r\nPING\r\n*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n" {
        stream.write_all(&[*byte]).unwrap();
    }
    proxy.wait_for_requests(2);
    let expected: [&[&str]; 2] = [&["PING"], &["ECHO", "hi"]];
    assert_eq!(proxy.requests(), expected);
}
