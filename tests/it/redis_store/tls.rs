//! TLS towards one server: whom we trust, and who we say that we are.

use std::io::Read;
use std::path::PathBuf;
use std::thread;

use tasklock::store::redis::TlsFiles;
use tasklock::store::target::Target;
use tasklock::store::{Ask, Release, Store, StoreError, StoreErrorKind};

use super::{BRIEF, claim, failure, failure_of};
use crate::support::proxy::{Mode, Proxy};
use crate::support::redis::Server;
use crate::support::store::{TIMEOUT, answer, fake, grant, keep, open_tls, release};
use crate::support::tls::{Certificates, Pair};

fn trusting(certificates: &Certificates) -> TlsFiles {
    TlsFiles {
        ca: Some(certificates.ca()),
        ..TlsFiles::default()
    }
}

fn showing(certificates: &Certificates, pair: &Pair) -> TlsFiles {
    TlsFiles {
        cert: Some(pair.cert.clone()),
        key: Some(pair.key.clone()),
        ..trusting(certificates)
    }
}

#[track_caller]
fn refusal(store: &mut dyn Store) -> StoreError {
    store
        .acquire(&claim("a"), Ask::default(), TIMEOUT)
        .unwrap_err()
}

#[track_caller]
fn runs(store: &mut dyn Store) {
    let mine = claim("a");
    let granted = grant(store, &mine);
    keep(store, &mine, &granted);
    assert_eq!(release(store, &mine), Release::Released);
}

#[test]
fn a_trusted_server_is_spoken_to_by_its_address_and_by_its_name() {
    let good = Certificates::new();
    let server = Server::with().tls(&good, "no").start();
    for host in ["127.0.0.1", "localhost"] {
        let url = server.tls_url().replace("127.0.0.1", host);
        runs(&mut *open_tls(&url, &trusting(&good)));
    }
}

#[test]
fn a_server_that_cannot_be_trusted_is_a_wrong_set_up_and_sent_nothing() {
    for (certificates, reason) in [
        (Certificates::expired(), "certificate expired"),
        (Certificates::other_host(), "certificate not valid for name"),
        (
            Certificates::foreign(),
            "(name its authority with --tls-ca)",
        ),
    ] {
        let server = Server::with().tls(&certificates, "no").start();
        let monitor = server.monitor();
        let url = server.tls_url().replace("//", "//:hunter2@");
        let error = refusal(&mut *open_tls(&url, &trusting(&certificates)));
        assert_eq!(error.kind, StoreErrorKind::Misconfigured, "{error}");
        let what = format!("cannot trust {}: ", server.tls_url());
        assert!(error.text.starts_with(&what), "{error}");
        assert!(error.text.contains(reason), "{error}");
        assert_eq!(monitor.commands(), Vec::<Vec<String>>::new());
    }
}

#[test]
fn a_server_that_asks_who_we_are_is_shown_our_certificate() {
    let good = Certificates::new();
    for ask in ["yes", "optional"] {
        let server = Server::with().tls(&good, ask).start();
        let files = showing(&good, good.client());
        runs(&mut *open_tls(&server.tls_url(), &files));
    }
}

#[test]
fn a_server_that_does_not_take_our_certificate_is_a_wrong_set_up() {
    let good = Certificates::new();
    let server = Server::with().tls(&good, "yes").start();
    for (files, hint) in [
        (trusting(&good), "--tls-cert and --tls-key"),
        (
            showing(&good, good.foreign_client()),
            "does not accept the certificate of --tls-cert",
        ),
    ] {
        for _ in 0..20 {
            let error = refusal(&mut *open_tls(&server.tls_url(), &files));
            assert_eq!(error.kind, StoreErrorKind::Misconfigured, "{error}");
            let what = format!("{} refused TLS: ", server.tls_url());
            assert!(error.text.starts_with(&what), "{error}");
            assert!(error.text.contains(hint), "{error}");
        }
    }
}

#[test]
fn a_key_that_does_not_fit_its_certificate_is_refused_with_the_flags() {
    let good = Certificates::new();
    let files = TlsFiles {
        key: Some(good.foreign_client().key.clone()),
        ..showing(&good, good.client())
    };
    let error = Target::parse(&["rediss://host".to_owned()], &files).unwrap_err();
    assert!(
        error.contains("--tls-cert") && error.contains("--tls-key"),
        "{error}"
    );
    let swapped = TlsFiles {
        cert: files.key.clone(),
        key: files.cert.clone(),
        ..files
    };
    let error = Target::parse(&["rediss://host".to_owned()], &swapped).unwrap_err();
    assert!(error.contains("no certificate inside"), "{error}");
}

#[test]
fn a_handshake_that_is_not_answered_is_given_up_at_the_timeout() {
    let url = fake(|stream| {
        thread::spawn(move || drop((&stream).read_to_end(&mut Vec::new())));
    });
    let certificates = Certificates::new();
    let files = trusting(&certificates);
    let url = url.replace("redis:", "rediss:");
    let error = failure_of(&mut *open_tls(&url, &files));
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    assert_eq!(
        error.text,
        format!(
            "cannot reach {url}: no TLS handshake within {BRIEF:?} \
             (a server without TLS? its URL begins with redis://)"
        )
    );
}

#[test]
fn a_server_that_falls_silent_is_given_up_at_the_timeout_and_asked_again() {
    let good = Certificates::new();
    let server = Server::with().tls(&good, "no").start();
    let proxy = Proxy::start(server.tls_address());
    let mut store = open_tls(&proxy.tls_url(), &trusting(&good));
    runs(&mut *store);
    proxy.set(Mode::BlackHole);
    let error = failure_of(&mut *store);
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    let what = format!("no reply from {} within", proxy.tls_url());
    assert!(error.text.starts_with(&what), "{error}");
    proxy.set(Mode::Pass);
    runs(&mut *store);
    proxy.cut();
    runs(&mut *store);
}

#[test]
fn tls_towards_a_server_without_it_is_a_wrong_set_up() {
    let url = fake(|stream| answer(stream, b"-ERR Protocol error\r\n"));
    let certificates = Certificates::new();
    let files = trusting(&certificates);
    let mut store = open_tls(&url.replace("redis:", "rediss:"), &files);
    let error = refusal(&mut *store);
    assert_eq!(error.kind, StoreErrorKind::Misconfigured, "{error}");
    assert!(error.text.contains("redis://"), "{error}");
}

#[test]
fn no_tls_towards_a_server_that_wants_it_is_an_error_in_time() {
    let good = Certificates::new();
    let server = Server::with().tls(&good, "no").start();
    let url = format!("redis://{}", server.tls_address());
    let error = failure(&url);
    assert!(error.text.contains(&url), "{error}");
}

#[test]
fn a_file_that_holds_something_else_is_named() {
    let good = Certificates::new();
    let files = TlsFiles {
        ca: Some(PathBuf::from("/dev/null")),
        ..showing(&good, good.client())
    };
    let error = Target::parse(&["rediss://host".to_owned()], &files).unwrap_err();
    assert!(error.contains("--tls-ca /dev/null"), "{error}");
}
