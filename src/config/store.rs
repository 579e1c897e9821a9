//! Which lock, and where locks live.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::reader::{Reader, Source};
use super::{ConfigError, prefix};
use crate::cli::{LockArgs, StoreArgs};
use crate::message::{plain, show_path};
use crate::store::redis::TlsFiles;
use crate::store::target::Target;
use crate::store::{LockName, Store};

/// The bound of a request before there is a lease to lose.
const DEFAULT_STORE_TIMEOUT: Duration = Duration::from_secs(5);
const DEFAULT_KEY_PREFIX: &str = "task_lock:";

/// A lock and where it lives.
#[derive(Debug)]
pub struct Lock {
    /// Its name.
    pub name: LockName,
    /// Its store.
    pub target: Target,
    /// No URL was configured: the store is a default.
    pub unconfigured: bool,
    /// What stands before the name in Redis.
    pub key_prefix: String,
    /// The bound of a request while nothing is held.
    pub store_timeout: Duration,
}

/// Where locks live.
#[derive(Debug)]
pub struct Place {
    /// The store.
    pub target: Target,
    /// No URL was configured: the store is a default.
    pub unconfigured: bool,
    /// What stands before a name in Redis.
    pub key_prefix: String,
    /// The bound of a request.
    pub store_timeout: Duration,
}

impl Place {
    /// Its store; nothing is connected yet.
    #[must_use]
    pub fn open(&self) -> Box<dyn Store> {
        self.target.open(&self.key_prefix)
    }
}

impl Reader<'_> {
    pub(super) fn name(&self, name: &str) -> Result<LockName, ConfigError> {
        if name.contains("://") && name.contains('@') {
            let text = "--name: that looks like the URL of a store, give it with --url";
            return Err(ConfigError::usage(text));
        }
        LockName::new(name).map_err(|error| ConfigError::usage(format!("--name: {error}")))
    }

    /// A name without a flag before it, where a URL may have slipped in.
    pub(super) fn operand(&self, name: &str) -> Result<LockName, ConfigError> {
        refuse_url(name)?;
        self.name(name)
    }

    /// A lock that is looked at, and where it lives.
    pub(super) fn lock(&self, args: LockArgs) -> Result<(LockName, Place), ConfigError> {
        let name = args.name.or(args.operand).unwrap_or_default();
        Ok((self.name(&name)?, self.place(args.store)?))
    }

    /// Where the locks live that are looked at.
    pub(super) fn place(&self, args: StoreArgs) -> Result<Place, ConfigError> {
        let store_timeout = self.store_timeout(&args)?;
        self.place_within(args, store_timeout)
    }

    /// The bound of one request, if one was given.
    pub(super) fn store_timeout(&self, args: &StoreArgs) -> Result<Option<Duration>, ConfigError> {
        self.some_time("store_timeout", args.store_timeout.as_deref())
    }

    pub(super) fn store(
        &self,
        name: LockName,
        args: StoreArgs,
        store_timeout: Option<Duration>,
    ) -> Result<Lock, ConfigError> {
        let place = self.place_within(args, store_timeout)?;
        Ok(Lock {
            name,
            target: place.target,
            unconfigured: place.unconfigured,
            key_prefix: place.key_prefix,
            store_timeout: place.store_timeout,
        })
    }

    fn place_within(
        &self,
        args: StoreArgs,
        store_timeout: Option<Duration>,
    ) -> Result<Place, ConfigError> {
        let key_prefix = self
            .given("key_prefix", args.key_prefix.as_deref())
            .unwrap_or(DEFAULT_KEY_PREFIX);
        let key_prefix = match self.source("key_prefix") {
            Source::Variable => prefix::from_variable(key_prefix),
            _ => key_prefix,
        }
        .to_owned();
        if key_prefix.contains(['{', '}']) || key_prefix.chars().any(char::is_control) {
            let text = "a prefix cannot contain control characters, \"{\" or \"}\"";
            return Err(self.wrong("key_prefix", text));
        }
        let url_file = self.path("url_file", args.url_file)?;
        let (source, urls) = self.urls(&args.url, url_file.as_deref())?;
        // A site's certificates do not bind a run that goes elsewhere.
        let encrypted = urls
            .iter()
            .any(|url| url.to_ascii_lowercase().starts_with("rediss"));
        let tls_file = |id: &str, path: Option<PathBuf>| {
            let path = self.path(id, path)?;
            Ok(path.filter(|_| encrypted || self.on_command_line(id)))
        };
        let tls = TlsFiles {
            ca: tls_file("tls_ca", args.tls_ca)?,
            cert: tls_file("tls_cert", args.tls_cert)?,
            key: tls_file("tls_key", args.tls_key)?,
        };
        let unconfigured = urls.is_empty();
        let target = Target::parse(&urls, &tls)
            .map_err(|text| ConfigError::config(self.with_source(&source, text)))?;
        Ok(Place {
            target,
            unconfigured,
            key_prefix,
            store_timeout: store_timeout.unwrap_or(DEFAULT_STORE_TIMEOUT),
        })
    }

    /// What is wrong with a store, after what it was given with.
    fn with_source(&self, source: &str, text: String) -> String {
        let flag = |id: &str| format!("--{}", id.replace('_', "-"));
        let mut ids = ["tls_ca", "tls_cert", "tls_key"];
        ids.sort_by_key(|id| text.find(&flag(id)).unwrap_or(usize::MAX));
        let Some(at_fault) = ids.first().filter(|id| text.contains(&flag(id))) else {
            return format!("{source}: {text}");
        };
        let named = ids.iter().fold(text, |text, id| match self.source(id) {
            Source::Variable => text.replace(&flag(id), &self.label(id)),
            Source::File(_) => text.replace(&flag(id), flag(id).trim_start_matches('-')),
            Source::Flag | Source::Default => text,
        });
        match self.source(at_fault) {
            Source::File(value) => format!("{}: {named}", value.place),
            _ => named,
        }
    }

    /// The URLs of the store and what they were given with: flags before
    /// variables before files, and only one way at a time.
    fn urls(
        &self,
        urls: &[String],
        file: Option<&Path>,
    ) -> Result<(String, Vec<String>), ConfigError> {
        if let Some(file) = file.filter(|_| self.store_by_file()) {
            return self.urls_of_file(file);
        }
        let urls = match (self.source("url"), self.source("url_file")) {
            (Source::Flag, Source::Flag) => {
                let text = "--url and --url-file: give only one of them";
                return Err(ConfigError::usage(text));
            }
            (Source::Variable, Source::Variable) => {
                let text = "TASKLOCK_URL and TASKLOCK_URL_FILE: set only one of them";
                return Err(ConfigError::config(text));
            }
            (Source::Flag, _) => urls.to_vec(),
            // In a variable several URLs are separated by spaces. A directory stands
            // alone, and may have spaces in its name.
            (Source::Variable, _) => urls
                .iter()
                .flat_map(|urls| match urls.trim() {
                    directory if directory.starts_with("local:") => vec![directory.to_owned()],
                    urls => urls.split_whitespace().map(str::to_owned).collect(),
                })
                .collect(),
            (Source::File(value), _) => value.texts.clone(),
            (Source::Default, _) => Vec::new(),
        };
        Ok((self.label("url"), urls))
    }

    /// Whether it is `url-file` that names the store.
    pub(super) fn store_by_file(&self) -> bool {
        self.source("url_file").rank() < self.source("url").rank()
    }

    fn urls_of_file(&self, path: &Path) -> Result<(String, Vec<String>), ConfigError> {
        let label = self.label("url_file");
        let path_text = show_path(path);
        let text = fs::read_to_string(path).map_err(|error| {
            ConfigError::config(format!(
                "{label}: cannot read {path_text}: {}",
                plain(&error)
            ))
        })?;
        let urls: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        if urls.is_empty() {
            return Err(ConfigError::config(format!(
                "{label}: {path_text} holds no URL"
            )));
        }
        Ok((format!("{label} {path_text}"), urls))
    }
}

/// Refuses a word that is a URL without the flag before it, and does not repeat
/// it: it may hold a password.
pub(super) fn refuse_url(word: &str) -> Result<(), ConfigError> {
    if word.contains("://") {
        let text = "that looks like the URL of a store, give it with --url";
        return Err(ConfigError::usage(text));
    }
    Ok(())
}
