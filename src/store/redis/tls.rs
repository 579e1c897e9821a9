//! TLS towards a server: which authorities are trusted, and who we are.
//!
//! Files are read and checked when the URL is parsed, so that nothing is run on
//! a bad one. The system's roots are loaded only when a connection needs them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::message::{plain, show_path};

/// The files that `--tls-ca`, `--tls-cert` and `--tls-key` name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Authorities to trust instead of the system's.
    pub ca: Option<PathBuf>,
    /// Our certificate, with its chain.
    pub cert: Option<PathBuf>,
    /// The private key of our certificate.
    pub key: Option<PathBuf>,
}

impl TlsFiles {
    /// The first flag that was given, to complain about.
    pub(crate) fn first_flag(&self) -> Option<&'static str> {
        let ca = self.ca.as_ref().map(|_| "--tls-ca");
        let cert = self.cert.as_ref().map(|_| "--tls-cert");
        ca.or(cert).or(self.key.as_ref().map(|_| "--tls-key"))
    }
}

/// What the files said.
pub(crate) struct Tls {
    roots: Option<RootCertStore>,
    identity: Option<Identity>,
    /// Built once: reading the system's roots takes milliseconds, and a new
    /// connection can resume the session of the last.
    built: OnceLock<Arc<ClientConfig>>,
}

struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Tls {
    /// Reads and checks `files`.
    ///
    /// # Errors
    /// One line that names the flag and the file.
    pub(crate) fn read(files: &TlsFiles) -> Result<Tls, String> {
        let roots = files.ca.as_deref().map(read_roots).transpose()?;
        let identity = match (&files.cert, &files.key) {
            (Some(cert), Some(key)) => Some(read_identity(cert, key)?),
            (Some(_), None) => return Err("--tls-cert needs --tls-key as well".to_owned()),
            (None, Some(_)) => return Err("--tls-key needs --tls-cert as well".to_owned()),
            (None, None) => None,
        };
        let tls = Tls {
            roots,
            identity,
            built: OnceLock::new(),
        };
        // Tries the identity: a key that does not fit its certificate is found here.
        tls.build(RootCertStore::empty())?;
        Ok(tls)
    }

    /// The configuration of a connection.
    ///
    /// # Errors
    /// When the system has no trusted roots.
    pub(crate) fn config(&self) -> Result<Arc<ClientConfig>, String> {
        if let Some(config) = self.built.get() {
            return Ok(Arc::clone(config));
        }
        let roots = match &self.roots {
            Some(roots) => roots.clone(),
            None => system_roots()?,
        };
        let config = self.build(roots)?;
        Ok(Arc::clone(self.built.get_or_init(|| config)))
    }

    /// Our own certificate, DER. None: we show none.
    pub(crate) fn certificate(&self) -> Option<&[u8]> {
        let chain = self.identity.as_ref().map(|identity| &identity.chain);
        chain?.first().map(AsRef::as_ref)
    }

    fn build(&self, roots: RootCertStore) -> Result<Arc<ClientConfig>, String> {
        // Given explicitly: the process-wide default is a global that anybody may set.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("cannot set up TLS: {error}"))?
            .with_root_certificates(roots);
        let config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(Identity { chain, key }) => builder
                .with_client_auth_cert(chain.clone(), key.clone_key())
                .map_err(|error| format!("--tls-cert and --tls-key do not fit: {error}"))?,
        };
        Ok(Arc::new(config))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls(…)")
    }
}

fn system_roots() -> Result<RootCertStore, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Some system's store holds a certificate that rustls cannot read; the others count.
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        return Err("this system has no trusted certificates, name some with --tls-ca".to_owned());
    }
    Ok(roots)
}

fn read_roots(file: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for cert in read_certs("--tls-ca", file)? {
        roots
            .add(cert)
            .map_err(|error| format!("--tls-ca {}: {error}", show_path(file)))?;
    }
    Ok(roots)
}

fn read_identity(cert: &Path, key: &Path) -> Result<Identity, String> {
    let chain = read_certs("--tls-cert", cert)?;
    let bytes = read("--tls-key", key)?;
    let key = PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| match error {
        pem::Error::NoItemsFound => {
            format!(
                "--tls-key {}: no private key inside (PEM, not encrypted)",
                show_path(key)
            )
        }
        other => format!("--tls-key {}: {other}", show_path(key)),
    })?;
    Ok(Identity { chain, key })
}

fn read_certs(flag: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = read(flag, file)?;
    let certs = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("{flag} {}: {error}", show_path(file)))?;
    if certs.is_empty() {
        return Err(format!(
            "{flag} {}: no certificate inside (PEM)",
            show_path(file)
        ));
    }
    Ok(certs)
}

fn read(flag: &str, file: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(file)
        .map_err(|error| format!("cannot read {flag} {}: {}", show_path(file), plain(&error)))
}
