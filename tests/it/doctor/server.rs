//! One server.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::{Report, doctor};
use crate::support::proxy::{Loss, Proxy};
use crate::support::redis::Server;
use crate::support::tasklock::Tasklock;
use crate::support::tls::Certificates;
use crate::support::wait_until;

#[test]
fn a_healthy_server_is_healthy_and_nothing_is_left_there() {
    let server = Server::with().persistent().start();
    let report = Report::of(doctor(&server.url()));
    report.expect_code(0).expect_only(&[]);
    report
        .expect("reach", "ok", &server.url())
        .expect("rights", "ok", "the default user")
        .expect("latency", "ok", "a round trip takes ")
        .expect("version", "ok", &server.info("server")["redis_version"])
        .expect("topology", "ok", "a single server")
        .expect("persistence", "ok", "appendonly")
        .expect("eviction", "ok", "noeviction")
        .expect("clock", "ok", "the same time as ours")
        .expect("drift", "ok", "ppm")
        .expect("leftovers", "ok", "0 locks");
    assert_eq!(server.number(&["DBSIZE"]), 0);
}

#[test]
fn people_get_a_line_for_each_check_and_one_for_what_to_do() {
    let server = Server::start();
    let run = Tasklock::new()
        .args(["doctor", "--url", &server.url()])
        .run();
    run.expect_code(1).expect_silent();
    let advice = "\nwarning  persistence   nothing is saved: a restart forgets every lock; a job takes \
                  its own again at its next refresh, unless another asked first\n                       \
                  -> set appendonly yes\nok       eviction      maxmemory-policy noeviction\n";
    assert!(run.stdout.contains(advice), "{run}");
    assert!(!run.stdout.contains('\x1b'), "{run}");
}

#[test]
fn a_server_that_may_drop_locks_or_is_nearly_full_is_told() {
    let server = Server::with()
        .persistent()
        .config("maxmemory", "100mb")
        .config("maxmemory-policy", "allkeys-lru")
        .start();
    let report = Report::of(doctor(&server.url()));
    report.expect_code(1).expect_only(&["eviction"]);
    report.expect("memory", "ok", "% of maxmemory");
    server.command(&["CONFIG", "SET", "maxmemory-policy", "volatile-lru"]);
    Report::of(doctor(&server.url())).expect_code(0);
    server.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let report = Report::of(doctor(&server.url()));
    report
        .expect_code(69)
        .expect("memory", "warning", "% of maxmemory");
    report.expect("rights", "error", "OOM");
}

#[test]
fn a_replica_is_no_store() {
    let master = Server::start();
    let address = format!("127.0.0.1 {}", master.address().port());
    let replica = Server::with().config("replicaof", &address).start();
    wait_until(|| replica.info("replication")["master_link_status"] == "up");
    let report = Report::of(doctor(&replica.url()));
    report.expect_code(69);
    let port = master.address().port();
    report.expect(
        "topology",
        "error",
        &format!("a replica of 127.0.0.1:{port}"),
    );
    report.expect("rights", "error", "READONLY");
}

#[test]
fn a_server_that_is_down_or_refuses_us_ends_it_as_a_run() {
    let down = Report::of(doctor("redis://127.0.0.1:1"));
    down.expect_code(69)
        .expect("reach", "error", "connection refused");
    assert_eq!(down.checks.len(), 1, "{}", down.run);

    let server = Server::with().password("right").start();
    let url = server.url().replace("//", "//:hunter2@");
    let denied = Report::of(doctor(&url));
    denied.expect_code(77).expect("reach", "error", "WRONGPASS");
    assert!(!denied.run.stdout.contains("hunter2"), "{}", denied.run);

    server.command(&["RPUSH", "task_lock:job", "x"]);
    let url = server.url().replace("//", "//:right@");
    let foreign = Report::of(doctor(&url).arg("job"));
    foreign
        .expect_code(78)
        .expect("reach", "error", "task_lock:job");
    assert!(!foreign.run.stdout.contains("right@"), "{}", foreign.run);
    Report::of(doctor(&url).arg("other"))
        .expect_code(1)
        .expect("lock", "ok", "other: free");
}

#[test]
fn a_frozen_server_holds_it_up_no_longer_than_a_run() {
    let server = Server::start();
    server.freeze();
    let report = Report::of(doctor(&server.url()).args(["--store-timeout", "500ms"]));
    report
        .expect_code(69)
        .expect("reach", "error", "no reply from");
    let least = Duration::from_millis(500);
    let elapsed = report.run.elapsed;
    assert!(
        elapsed >= least && elapsed < Duration::from_secs(5),
        "{elapsed:?}"
    );
}

#[test]
fn a_server_that_is_lost_half_way_is_no_server_that_hides_something() {
    let server = Server::with().persistent().start();
    let proxy = Proxy::start(server.address());
    for (how, text) in [
        (Loss::Silent, "no reply from"),
        (Loss::Cut, "lost the connection"),
    ] {
        for fragment in ["maxmemory-policy", "PUBLISH", "SCAN"] {
            proxy.lose_reply_to(fragment, how);
            let report = Report::of(doctor(&proxy.url()).args(["--store-timeout", "500ms"]));
            report.expect_code(69).expect("reach", "error", text);
            assert!(
                report.run.elapsed < Duration::from_secs(6),
                "{}",
                report.run
            );
        }
    }
}

#[test]
fn a_server_or_a_proxy_without_eval_is_a_wrong_set_up() {
    let server = Server::with().config("rename-command", "EVAL \"\"").start();
    let report = Report::of(doctor(&server.url()));
    report
        .expect_code(78)
        .expect("reach", "error", "unknown command");
    let rights = report.find("rights", "error", "refused: eval;");
    assert!(
        rights["advice"]
            .as_str()
            .unwrap()
            .contains("rename-command")
    );
}

#[test]
fn a_ttl_that_does_not_fit_is_refused_as_a_run_would_be() {
    let server = Server::start();
    let url = server.url();
    let run = doctor(&url)
        .args(["--ttl", "2s", "--store-timeout", "5s"])
        .run();
    run.expect_code(64)
        .expect_stderr("leaves no room")
        .expect_stdout("");
    let run = doctor(&url).env("TASKLOCK_TTL", "0.1s").run();
    run.expect_code(78)
        .expect_stderr("TASKLOCK_TTL: 100ms is too short");
}

#[test]
fn a_lock_that_is_asked_about_is_told() {
    let server = Server::with().persistent().start();
    let run = Tasklock::named("job", &server.url()).args(["--reason", "nightly"]);
    let running = run.sh("echo up; read _ || sleep 60").start();
    wait_until(|| running.stdout() == "up\n");
    for words in [&["job"] as &[&str], &["--name", "job"]] {
        let report = Report::of(doctor(&server.url()).args(words.iter().copied()));
        report.expect_code(0).expect("lock", "ok", "job: held by ");
        report.expect(
            "lock",
            "ok",
            "nightly; a ttl of 1m rides out an outage of 38s",
        );
    }
}

#[test]
fn what_a_crashed_run_left_is_found_and_mended_only_when_asked_to() {
    const STATE: &str = "{task_lock:crashed}:st";
    let server = Server::with().persistent().start();
    let url = server.url();
    let pttl = |key: &str| server.number(&["PTTL", key]);
    let once = Tasklock::named("once", &url).args(["--once-key", "a", "--", "true"]);
    once.run().expect_code(0);
    Tasklock::named("done", &url)
        .args(["--", "true"])
        .run()
        .expect_code(0);
    let held = Tasklock::named("held", &url)
        .sh("echo up; sleep 60")
        .start();
    wait_until(|| held.stdout() == "up\n");
    let crashed = Tasklock::named("crashed", &url)
        .args(["--ttl", "1s"])
        .sh("echo up; sleep 60");
    let crashed = crashed.start();
    wait_until(|| crashed.stdout() == "up\n");
    crashed.signal(Signal::SIGKILL);
    crashed.wait().expect_signal(Signal::SIGKILL);
    // Held until its lease ends.
    wait_until(|| server.number(&["EXISTS", "task_lock:crashed"]) == 0);
    assert_eq!(pttl(STATE), -1);

    let found = Report::of(doctor(&url));
    let text = "4 locks have a state, 1 left by crashed runs without an end: crashed";
    found.expect_code(1).expect("leftovers", "warning", text);
    assert_eq!(pttl(STATE), -1);

    let mended = Report::of(doctor(&url).arg("--fix"));
    mended
        .expect_code(0)
        .expect("leftovers", "ok", "they end in 30 days now");
    let days = pttl(STATE) / 86_400_000;
    assert!((29..=30).contains(&days), "{days}");
    for kept in ["{task_lock:once}:st", "{task_lock:held}:st"] {
        assert_eq!(pttl(kept), -1, "{kept}");
    }
    Report::of(doctor(&url))
        .expect_code(0)
        .expect("leftovers", "ok", "none was left");
}

#[test]
fn a_certificate_that_ends_soon_is_told() {
    for (days, code, level) in [(5, 1, "warning"), (40, 0, "ok")] {
        let certificates = Certificates::ending_in(days);
        let server = Server::with().persistent().tls(&certificates, "no").start();
        let run = doctor(&server.tls_url())
            .arg("--tls-ca")
            .arg(certificates.ca());
        let report = Report::of(run);
        let left = format!("{} days", days - 1);
        report.expect_code(code).expect("tls", level, &left);
        report.expect("tls", level, "TLS 1.3, the server's certificate");
    }
}

#[test]
fn our_own_certificate_is_looked_at_and_an_expired_one_of_the_server_is_an_error() {
    let certificates = Certificates::new();
    let server = Server::with()
        .persistent()
        .tls(&certificates, "yes")
        .start();
    let client = certificates.client();
    let run = doctor(&server.tls_url())
        .arg("--tls-ca")
        .arg(certificates.ca())
        .arg("--tls-cert")
        .arg(&client.cert)
        .arg("--tls-key")
        .arg(&client.key);
    let report = Report::of(run);
    report
        .expect_code(0)
        .expect("tls", "ok", "the certificate of --tls-cert is good for");

    let certificates = Certificates::expired();
    let server = Server::with().tls(&certificates, "no").start();
    let run = doctor(&server.tls_url())
        .arg("--tls-ca")
        .arg(certificates.ca());
    Report::of(run)
        .expect_code(78)
        .expect("reach", "error", "certificate expired");
}
