//! What a server is to be like, and the program that it is.

use std::env;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use super::Server;
use crate::support::clock::SteppingClock;
use crate::support::port::free_port;
use crate::support::tls::Certificates;

/// How many ports are tried before a server is given up.
const PORTS_TRIED: usize = 20;

/// What a server is to be like.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    config: String,
    environment: Vec<(&'static str, PathBuf)>,
    tls: bool,
    sentinel: bool,
}

impl Builder {
    /// Adds a line to the server's configuration file: `.config("maxmemory", "2mb")`.
    pub(crate) fn config(mut self, name: &str, value: &str) -> Builder {
        writeln!(self.config, "{name} {value}").unwrap();
        self
    }

    /// Keeps data through [`Server::restart`] and [`Server::kill`]: every write is synced first.
    pub(crate) fn persistent(self) -> Builder {
        self.config("appendonly", "yes")
            .config("appendfsync", "always")
    }

    /// Asks the default user for a password.
    pub(crate) fn password(self, password: &str) -> Builder {
        self.config("requirepass", password)
    }

    /// Adds an ACL user: `.user("tasklock on >secret ~task_lock:* +@all")`.
    pub(crate) fn user(self, rules: &str) -> Builder {
        self.config("user", rules)
    }

    /// Opens a TLS port beside the plain one; `clients` is `no`, `optional` or `yes`.
    pub(crate) fn tls(mut self, certificates: &Certificates, clients: &str) -> Builder {
        self.tls = true;
        let pair = certificates.server();
        self.config("tls-cert-file", &pair.cert.to_string_lossy())
            .config("tls-key-file", &pair.key.to_string_lossy())
            .config("tls-ca-cert-file", &certificates.ca().to_string_lossy())
            .config("tls-auth-clients", clients)
    }

    /// Gives it a clock that steps when it is told to.
    pub(crate) fn clock(mut self, clock: &SteppingClock) -> Builder {
        self.environment = clock.environment();
        self
    }

    /// Makes it a Sentinel instead.
    pub(crate) fn sentinel(mut self) -> Builder {
        self.sentinel = true;
        self
    }

    /// Starts the server and returns when it answers.
    #[track_caller]
    pub(crate) fn start(self) -> Server {
        for _ in 0..PORTS_TRIED {
            let mut server = Server::new(&self.config, self.tls.then(free_port), self.sentinel);
            server.environment.clone_from(&self.environment);
            if server.launch() {
                return server;
            }
        }
        panic!("no port stays free until a server takes it");
    }
}

/// The server program: `$REDIS_SERVER`, or what is installed. For TLS `$REDIS_TLS_SERVER` comes
/// first: some builds are without it, and what we do is the same towards all that have it.
#[track_caller]
pub(super) fn binary(tls: bool) -> PathBuf {
    let named = |variable| env::var_os(variable).filter(|path| !path.is_empty());
    let for_tls = if tls { named("REDIS_TLS_SERVER") } else { None };
    if let Some(path) = for_tls.or_else(|| named("REDIS_SERVER")) {
        return path.into();
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let executable = |file: &PathBuf| file.is_file() && runnable(file);
    ["redis-server", "valkey-server"]
        .iter()
        .find_map(|name| {
            env::split_paths(&path)
                .map(|dir| dir.join(name))
                .find(executable)
        })
        .unwrap_or_else(|| {
            panic!("no redis-server found: run tests/run, or: apt-get install redis-server")
        })
}

fn runnable(file: &Path) -> bool {
    access(file, AccessFlags::X_OK).is_ok()
}
