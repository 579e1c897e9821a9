//! `rediss+sentinel://`: TLS to the Sentinels and to the master.

use tasklock::store::StoreErrorKind;
use tasklock::store::redis::TlsFiles;

use super::{BRIEF, KEY, claim, failure};
use crate::support::redis::Server;
use crate::support::sentinel::MASTER;
use crate::support::store::{self, grant, open_tls};
use crate::support::tls::Certificates;

/// A server and its Sentinel with TLS ports, and the URL by which both are reached.
fn start(certificates: &Certificates, clients: &str) -> (Server, Server, String) {
    let server = Server::with().tls(certificates, clients).start();
    let watch = format!(
        "monitor {MASTER} 127.0.0.1 {} 1",
        server.tls_address().port()
    );
    let sentinel = Server::with()
        .tls(certificates, clients)
        .config("tls-replication", "yes")
        .sentinel()
        .config("sentinel", &watch)
        .start();
    let url = format!("rediss+sentinel://{}/{MASTER}", sentinel.tls_address());
    (server, sentinel, url)
}

fn files(certificates: &Certificates) -> TlsFiles {
    TlsFiles {
        ca: Some(certificates.ca()),
        ..TlsFiles::default()
    }
}

#[test]
fn sentinel_and_master_are_spoken_to_by_tls() {
    let certificates = Certificates::new();
    let (server, _sentinel, url) = start(&certificates, "no");
    grant(&mut *open_tls(&url, &files(&certificates)), &claim("a"));
    assert_eq!(server.number(&["EXISTS", KEY]), 1);
}

#[test]
fn both_are_shown_our_certificate() {
    let certificates = Certificates::new();
    let (_server, _sentinel, url) = start(&certificates, "yes");
    let mut own = files(&certificates);
    let error = failure(&mut *open_tls(&url, &own));
    assert_eq!(error.kind, StoreErrorKind::Misconfigured, "{error}");
    own.cert = Some(certificates.client().cert.clone());
    own.key = Some(certificates.client().key.clone());
    grant(&mut *open_tls(&url, &own), &claim("a"));
}

#[test]
fn a_sentinel_whose_certificate_is_not_to_be_trusted_is_not_asked() {
    let certificates = Certificates::foreign();
    let (_server, sentinel, url) = start(&certificates, "no");
    let error = failure(&mut *open_tls(&url, &files(&certificates)));
    assert_eq!(error.kind, StoreErrorKind::Misconfigured, "{error}");
    let what = format!("cannot trust rediss://{}: ", sentinel.tls_address());
    assert!(error.text.starts_with(&what), "{error}");
}

#[test]
fn plain_and_tls_are_told_apart() {
    let certificates = Certificates::new();
    let (_server, sentinel, url) = start(&certificates, "no");
    let plain = url.replace("rediss", "redis");
    let error = failure(&mut *store::open(&plain));
    assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error}");
    let url = format!("rediss+sentinel://{}/{MASTER}", sentinel.address());
    let mut store = open_tls(&url, &files(&certificates));
    let error = store.inspect(&store::name("job"), 4 * BRIEF).unwrap_err();
    assert!(error.text.contains("TLS"), "{error}");
}
