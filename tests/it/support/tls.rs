//! Certificates made on the spot: good ones, and those that must be refused.

use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use super::scratch::Scratch;

/// A certificate and its key, as PEM files.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

/// A test's own authority, what it signed, and what another one signed. Removed on drop.
#[derive(Debug)]
pub(crate) struct Certificates {
    dir: Scratch,
    server: Pair,
    client: Pair,
    foreign_client: Pair,
}

impl Certificates {
    /// A good certificate for the server on 127.0.0.1 and localhost.
    pub(crate) fn new() -> Certificates {
        Certificates::with_server(|authority, _, dir| authority.sign(dir, "server", SERVER))
    }

    /// The server's certificate ran out in 2001.
    pub(crate) fn expired() -> Certificates {
        Certificates::with_server(|authority, _, dir| {
            let past = |params: &mut CertificateParams| {
                SERVER(params);
                params.not_before = date_time_ymd(2000, 1, 1);
                params.not_after = date_time_ymd(2001, 1, 1);
            };
            authority.sign(dir, "server", past)
        })
    }

    /// The certificate of the server ends in this many days, at the first hour of that day.
    pub(crate) fn ending_in(days: i64) -> Certificates {
        let end = jiff::Timestamp::now()
            .to_zoned(jiff::tz::TimeZone::UTC)
            .date();
        let end = end.checked_add(jiff::Span::new().days(days)).unwrap();
        let ends = |params: &mut CertificateParams| {
            let (month, day) = (end.month().unsigned_abs(), end.day().unsigned_abs());
            params.not_after = date_time_ymd(end.year().into(), month, day);
        };
        Certificates::with_server(|authority, _, dir| {
            authority.sign(dir, "server", |params| {
                SERVER(params);
                ends(params);
            })
        })
    }

    /// The server's certificate is good, but for another host.
    pub(crate) fn other_host() -> Certificates {
        Certificates::with_server(|authority, _, dir| {
            let elsewhere = |params: &mut CertificateParams| {
                SERVER(params);
                params.subject_alt_names = vec![
                    "elsewhere.test"
                        .try_into()
                        .map_or_else(|error| panic!("{error}"), rcgen::SanType::DnsName),
                ];
            };
            authority.sign(dir, "server", elsewhere)
        })
    }

    /// The server's certificate is signed by an authority that [`Certificates::ca`] does not hold.
    pub(crate) fn foreign() -> Certificates {
        Certificates::with_server(|_, foreign, dir| foreign.sign(dir, "server", SERVER))
    }

    /// The authority's certificate: what `--tls-ca` is given.
    pub(crate) fn ca(&self) -> PathBuf {
        self.dir.file("ca.pem")
    }

    /// What the server shows.
    pub(crate) fn server(&self) -> &Pair {
        &self.server
    }

    /// What a client may show: `--tls-cert` and `--tls-key`.
    pub(crate) fn client(&self) -> &Pair {
        &self.client
    }

    /// A client's certificate that the server must refuse.
    pub(crate) fn foreign_client(&self) -> &Pair {
        &self.foreign_client
    }

    fn with_server(make: impl Fn(&Authority, &Authority, &Scratch) -> Pair) -> Certificates {
        let dir = Scratch::new();
        let authority = Authority::new("tasklock test authority");
        let foreign = Authority::new("a foreign authority");
        dir.write("ca.pem", &authority.pem);
        Certificates {
            server: make(&authority, &foreign, &dir),
            client: authority.sign(&dir, "client", CLIENT),
            foreign_client: foreign.sign(&dir, "foreign-client", CLIENT),
            dir,
        }
    }
}

/// The purpose of a server's certificate.
const SERVER: fn(&mut CertificateParams) = |params| {
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
};

/// The purpose of a client's certificate.
const CLIENT: fn(&mut CertificateParams) = |params| {
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
};

/// Somebody who signs certificates.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new(name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Authority {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// Signs a certificate for this host and writes it with its key.
    fn sign(&self, dir: &Scratch, name: &str, change: impl Fn(&mut CertificateParams)) -> Pair {
        let hosts = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        let mut params = CertificateParams::new(hosts).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        Pair {
            cert: dir.write(&format!("{name}.pem"), cert.pem()),
            key: dir.write(&format!("{name}.key"), key.serialize_pem()),
        }
    }
}
