//! Are servers, certificates and the protocol what they claim to be?

use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redis::Value;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::support::clock::SteppingClock;
use crate::support::process::{alive, stopped};
use crate::support::redis::Server;
use crate::support::resp::{message_length, words};
use crate::support::tls::{Certificates, Pair};

#[test]
fn a_server_answers_on_its_port_and_its_socket_and_ends_with_the_test() {
    let server = Server::start();
    server.command(&["SET", "key", "value"]);
    for url in [server.url(), server.unix_url()] {
        let mut connection = redis::Client::open(url).unwrap().get_connection().unwrap();
        let value: String = redis::cmd("GET").arg("key").query(&mut connection).unwrap();
        assert_eq!(value, "value");
    }
    let pid = server.pid();
    drop(server);
    assert!(!alive(pid));
}

#[test]
fn many_servers_start_side_by_side() {
    let start = |_| std::thread::spawn(Server::start);
    let starting: Vec<_> = (0..8).map(start).collect();
    let servers: Vec<Server> = starting.into_iter().map(|it| it.join().unwrap()).collect();
    for (number, server) in servers.iter().enumerate() {
        server.command(&["SET", "number", &number.to_string()]);
    }
    for (number, server) in servers.iter().enumerate() {
        assert_eq!(server.text(&["GET", "number"]), Some(number.to_string()));
    }
}

#[test]
fn an_error_answer_is_told_from_a_value() {
    let server = Server::start();
    let error = server.try_command(&["INCR"]).unwrap_err();
    assert!(error.starts_with("ERR "), "{error}");
    assert_eq!(server.command(&["GET", "nothing"]), Value::Nil);
    assert_eq!(server.number(&["INCR", "counter"]), 1);
}

#[test]
fn a_restart_loses_what_is_only_in_memory_and_keeps_what_is_persistent() {
    let forgetful = Server::start();
    forgetful.command(&["SET", "key", "value"]);
    let url = forgetful.url();
    forgetful.restart();
    assert_eq!(forgetful.url(), url);
    assert_eq!(forgetful.text(&["GET", "key"]), None);

    let persistent = Server::with().persistent().start();
    persistent.command(&["SET", "key", "value"]);
    persistent.kill();
    persistent.restart();
    assert_eq!(persistent.text(&["GET", "key"]), Some("value".to_owned()));
}

#[test]
fn a_frozen_server_is_there_but_does_not_run() {
    let server = Server::start();
    server.freeze();
    assert!(stopped(server.pid()));
    TcpStream::connect(server.address()).unwrap();
    server.thaw();
    assert_eq!(server.text(&["PING"]), Some("PONG".to_owned()));
}

#[test]
fn a_password_and_a_user_bind_clients_but_not_the_tests() {
    let server = Server::with()
        .password("secret")
        .user("guest on >pass ~a* +get")
        .start();
    server.command(&["SET", "a", "1"]);
    let ask = |login: &str, key: &str| -> redis::RedisResult<Option<String>> {
        let url = server.url().replace("//", &format!("//{login}"));
        let mut connection = redis::Client::open(url)?.get_connection()?;
        redis::cmd("GET").arg(key).query(&mut connection)
    };
    assert!(ask("", "a").is_err());
    assert!(ask(":wrong@", "a").is_err());
    assert_eq!(ask(":secret@", "a").unwrap(), Some("1".to_owned()));
    assert!(ask("guest:pass@", "b").is_err());
    assert_eq!(ask("guest:pass@", "a").unwrap(), Some("1".to_owned()));
}

#[test]
fn a_monitor_reports_clients_and_scripts_but_not_the_tests() {
    let server = Server::start();
    let monitor = server.monitor();
    assert!(monitor.commands().is_empty());
    server.command(&["SET", "by", "the tests"]);
    assert!(monitor.commands().is_empty());

    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_connection().unwrap();
    let script = "return redis.call('INCR', KEYS[1])";
    let eval = redis::cmd("EVAL")
        .arg(script)
        .arg(1)
        .arg("a \"key\"")
        .clone();
    eval.exec(&mut connection).unwrap();
    assert_eq!(monitor.names().last().unwrap(), "EVAL");
    assert_eq!(monitor.commands().last().unwrap()[3], "a \"key\"");
    assert_eq!(monitor.in_scripts(), [["INCR", "a \"key\""]]);
}

#[test]
fn tls_accepts_the_good_certificates_and_refuses_the_others() {
    let good = Certificates::new();
    let server = Server::with().tls(&good, "yes").start();
    assert!(server.tls_url().starts_with("rediss://127.0.0.1:"));
    assert_eq!(shake(&server, &good, Some(good.client())), Ok(()));
    assert!(shake(&server, &good, None).is_err());
    assert!(shake(&server, &good, Some(good.foreign_client())).is_err());

    let bad = [
        (Certificates::expired(), "expired"),
        (Certificates::other_host(), "not valid for name"),
        (Certificates::foreign(), "UnknownIssuer"),
    ];
    for (certificates, reason) in bad {
        let server = Server::with().tls(&certificates, "no").start();
        let error = shake(&server, &certificates, None).unwrap_err();
        assert!(error.contains(reason), "{error}");
    }
}

/// Says PING over TLS.
fn shake(server: &Server, certificates: &Certificates, pair: Option<&Pair>) -> Result<(), String> {
    use std::io::{Read, Write};
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_file(certificates.ca()).unwrap();
    roots.add(ca).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match pair {
        None => config.with_no_client_auth(),
        Some(pair) => {
            let cert = CertificateDer::from_pem_file(&pair.cert).unwrap();
            let key = PrivateKeyDer::from_pem_file(&pair.key).unwrap();
            config.with_client_auth_cert(vec![cert], key).unwrap()
        }
    };
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let tcp = TcpStream::connect(server.tls_address()).unwrap();
    let mut stream = StreamOwned::new(connection, tcp);
    let mut answer = [0; 7];
    let exchange = stream
        .write_all(b"PING\r\n")
        .and_then(|()| stream.read_exact(&mut answer));
    exchange.map_err(|error| error.to_string())?;
    assert_eq!(&answer, b"+PONG\r\n");
    Ok(())
}

#[test]
fn a_message_ends_where_it_ends() {
    let whole: [&[u8]; 7] = [
        b"+OK\r\n",
        b":12\r\n",
        b"$-1\r\n",
        b"$4\r\na\r\nb\r\n",
        b"*-1\r\n",
        b"*2\r\n*1\r\n:1\r\n$1\r\nx\r\n",
        b"%1\r\n+k\r\n_\r\n",
    ];
    for message in whole {
        let mut bytes = message.to_vec();
        bytes.extend(b"+next");
        assert_eq!(message_length(&bytes), Some(message.len()));
        for part in 0..message.len() {
            assert_eq!(message_length(&message[..part]), None, "{part}");
        }
    }
    assert_eq!(words(b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"), ["GET", "k"]);
}

#[test]
fn a_clock_steps_both_ways_when_it_is_told_to_and_outlives_its_server() {
    let clock = SteppingClock::start();
    let server = Server::with().clock(&clock).start();
    let ahead = || {
        let Value::Array(parts) = server.command(&["TIME"]) else {
            panic!("TIME answers with two numbers");
        };
        let part = |index: usize| -> i64 { redis::from_redis_value(parts[index].clone()).unwrap() };
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let wall = i64::try_from(wall.as_millis()).unwrap();
        // To the nearest second: a busy machine asks late.
        (part(0) * 1000 + part(1) / 1000 - wall + 500).div_euclid(1000)
    };
    assert_eq!(ahead(), 0);
    server.command(&["SET", "key", "value", "PX", "60000"]);
    clock.step_ahead(Duration::from_secs(3600));
    assert_eq!(ahead(), 3600);
    assert_eq!(server.text(&["GET", "key"]), None);
    clock.step_back(Duration::from_millis(3_700_500));
    assert!((-101..=-100).contains(&ahead()));
    server.restart();
    assert!((-101..=-100).contains(&ahead()));
}
