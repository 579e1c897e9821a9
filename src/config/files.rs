//! Configuration files: which there are, and what they say about a lock.
//!
//! The user's goes before the system's, and in each of them the section of the
//! lock before what stands outside of sections. Both are checked as a whole at
//! every run, for keys and types; the values when they are used.

mod document;
mod find;
mod key;

pub(super) use document::Value;
pub(super) use key::{KEYS, Key, Kind};

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use self::document::Document;
use self::find::{Whose, read};
use super::ConfigError;
use crate::identity;
use crate::log::Format;
use crate::message::show_path;

/// The system's file.
const SYSTEM: &str = "/etc/tasklock/config.toml";
/// The user's file, below the home directory. Not below `XDG_CONFIG_HOME`, which
/// a shell has and cron has not: both have to find the same lock.
const USER: &str = ".config/tasklock/config.toml";

/// What a name for a file was given as: `--config` or `TASKLOCK_CONFIG`.
pub(super) struct Named<'a> {
    pub(super) label: &'static str,
    pub(super) path: &'a str,
}

/// The files that were looked for, the one that goes first at the front.
pub(super) struct Files {
    files: Vec<File>,
    /// What `--config` or its variable named, as an absolute path.
    pub(super) named: Option<String>,
}

/// A place for a file.
struct File {
    path: PathBuf,
    /// None: there is no such file.
    document: Option<Document>,
}

impl Files {
    /// Reads the file that was named, or else the user's; and the system's.
    ///
    /// # Errors
    /// One line that names the file, the line and the key.
    pub(super) fn read(named: Option<Named<'_>>) -> Result<Files, ConfigError> {
        let mut files = Files {
            files: Vec::new(),
            named: None,
        };
        match named {
            Some(Named { label, path }) => {
                let wrong = |text: String| ConfigError::config(format!("{label}: {text}"));
                // The command may read it from another directory.
                let absolute = std::path::absolute(path).ok();
                let absolute = absolute.and_then(|path| path.into_os_string().into_string().ok());
                files.named = Some(absolute.ok_or_else(|| {
                    let text = "cannot tell where that file is: give an absolute path";
                    wrong(text.to_owned())
                })?);
                files.add(path.into(), Whose::Named).map_err(wrong)?;
            }
            None => {
                if let Some(home) = identity::home() {
                    let path = home.join(USER);
                    files.add(path, Whose::User).map_err(ConfigError::config)?;
                }
            }
        }
        files
            .add(SYSTEM.into(), Whose::System)
            .map_err(ConfigError::config)?;
        Ok(files)
    }

    fn add(&mut self, path: PathBuf, whose: Whose) -> Result<(), String> {
        let document = match read(&path, whose)? {
            None => None,
            Some(content) => {
                let shown = show_path(&path);
                let document = Document::parse(&shown, &content.text)?;
                document.guard_secrets(&shown, content.mode)?;
                Some(document)
            }
        };
        self.files.push(File { path, document });
        Ok(())
    }

    /// What they say about an option of a run of `lock`.
    pub(super) fn value(&self, lock: Option<&str>, id: &str) -> Option<&Value> {
        // A store is named in one way: a URL is not mixed with a file of another place.
        let store = ["url", "url_file"];
        let also = store.iter().find(|other| **other != id);
        let also = also.filter(|_| store.contains(&id));
        self.documents()
            .flat_map(|document| document.tables(lock))
            .find(|table| table.contains_key(id) || also.is_some_and(|id| table.contains_key(id)))
            .and_then(|table| table.get(id))
    }

    /// The locks that have a section.
    pub(super) fn names(&self) -> BTreeSet<&str> {
        self.documents().flat_map(Document::names).collect()
    }

    /// Where was looked, and whether there was a file.
    pub(super) fn places(&self) -> impl Iterator<Item = (&Path, bool)> {
        self.files
            .iter()
            .map(|file| (file.path.as_path(), file.document.is_some()))
    }

    /// The format that they ask for, for what is wrong elsewhere.
    pub(super) fn log_format(&self, lock: Option<&str>) -> Format {
        match self.value(lock, "log_format").map(Value::text) {
            Some("json") => Format::Json,
            _ => Format::Text,
        }
    }

    fn documents(&self) -> impl Iterator<Item = &Document> {
        self.files.iter().filter_map(|file| file.document.as_ref())
    }
}
