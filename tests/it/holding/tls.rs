//! TLS: who is trusted, who is shown, and what is said when it does not fit.

use super::{DONE, Job, expect_free, tasklock};
use crate::support::proxy::Proxy;
use crate::support::redis::Server;
use crate::support::running::Finished;
use crate::support::tasklock::Tasklock;
use crate::support::tls::{Certificates, Pair};

fn trusting(url: &str, certificates: &Certificates) -> Tasklock {
    tasklock(url).arg("--tls-ca").arg(certificates.ca())
}

fn showing(tasklock: Tasklock, pair: &Pair) -> Tasklock {
    tasklock
        .arg("--tls-cert")
        .arg(&pair.cert)
        .arg("--tls-key")
        .arg(&pair.key)
}

/// 78, nothing run, one line.
#[track_caller]
fn expect_refused(tasklock: Tasklock, fragment: &str) -> Finished {
    let finished = tasklock.sh("echo ran").run();
    finished
        .expect_code(78)
        .expect_stdout("")
        .expect_stderr(fragment)
        .expect_stderr("(nothing was run)");
    assert_eq!(finished.stderr.lines().count(), 1, "{finished}");
    finished
}

#[test]
fn a_trusted_server_holds_the_lock() {
    let certificates = Certificates::new();
    let server = Server::with().tls(&certificates, "no").start();
    let job = Job::start(trusting(&server.tls_url(), &certificates));
    super::wait_for_refresh(&server);
    super::expect_skipped(tasklock(&server.url()));
    job.finish().expect_code(DONE).expect_silent();
    let named = server.tls_url().replace("127.0.0.1", "localhost");
    trusting(&named, &certificates)
        .sh("exit 0")
        .run()
        .expect_code(0)
        .expect_silent();
    expect_free(&server);
}

#[test]
fn a_broken_tls_connection_is_made_anew() {
    let certificates = Certificates::new();
    let server = Server::with().tls(&certificates, "no").start();
    let proxy = Proxy::start(server.tls_address());
    let job = Job::start(trusting(&proxy.tls_url(), &certificates));
    proxy.cut();
    super::wait_for_refresh(&server);
    job.finish().expect_code(DONE).expect_silent();
}

#[test]
fn an_authority_that_is_not_named_is_asked_for() {
    let certificates = Certificates::new();
    let server = Server::with().tls(&certificates, "no").start();
    expect_refused(tasklock(&server.tls_url()), "--tls-ca");
    expect_free(&server);
}

#[test]
fn certificates_that_do_not_fit_are_refused_with_the_reason() {
    let cases = [
        (Certificates::expired(), "xpired"),
        (Certificates::other_host(), "not valid for name"),
        (Certificates::foreign(), "UnknownIssuer"),
    ];
    for (certificates, reason) in cases {
        let server = Server::with().tls(&certificates, "no").start();
        let finished = expect_refused(trusting(&server.tls_url(), &certificates), reason);
        finished.expect_stderr(&server.tls_url());
        expect_free(&server);
    }
}

#[test]
fn a_server_that_asks_for_a_certificate_gets_ours() {
    let certificates = Certificates::new();
    let server = Server::with().tls(&certificates, "yes").start();
    let url = server.tls_url();
    let shown = showing(trusting(&url, &certificates), certificates.client());
    shown.sh("exit 0").run().expect_code(0).expect_silent();
    expect_refused(trusting(&url, &certificates), "--tls-cert");
    let foreign = showing(trusting(&url, &certificates), certificates.foreign_client());
    expect_refused(foreign, "refused TLS: ");
    expect_free(&server);
}

/// 69, nothing run: what the server does not say cannot be told from an outage.
#[track_caller]
fn expect_unreached(tasklock: Tasklock, fragment: &str) {
    let finished = tasklock
        .args(["--store-timeout", "300ms"])
        .sh("echo ran")
        .run();
    finished
        .expect_code(69)
        .expect_stdout("")
        .expect_stderr(fragment)
        .expect_stderr("(nothing was run)");
    assert_eq!(finished.stderr.lines().count(), 1, "{finished}");
}

#[test]
fn a_plain_server_behind_rediss_is_guessed_at() {
    let certificates = Certificates::new();
    let server = Server::start();
    let url = format!("rediss://{}", server.address());
    let hint = "no TLS handshake within 300ms (a server without TLS? its URL begins with redis://)";
    expect_unreached(trusting(&url, &certificates), hint);
}

#[test]
fn a_tls_server_behind_redis_is_guessed_at() {
    let certificates = Certificates::new();
    let server = Server::with().tls(&certificates, "no").start();
    let hint = "before any answer (a server with TLS? its URL begins with rediss://)";
    expect_unreached(tasklock(&format!("redis://{}", server.tls_address())), hint);
    let login = format!("redis://:{}@{}", super::secret(), server.tls_address());
    expect_unreached(tasklock(&login), hint);
}
