//! What stands in one configuration file.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::key::{Key, Kind, Scope, find, nearest};
use crate::message::{escape, has_password};
use crate::store::LockName;

/// The sections of locks.
const LOCK: &str = "lock";
/// Lifts the guard over passwords, for the file that it stands in.
const READABLE_SECRETS: &str = "allow-readable-secrets";

/// The values of a file, or of a section, by the id of their option.
pub(super) type Table = BTreeMap<&'static str, Value>;

/// Where something stands: `/etc/tasklock/config.toml:3: lock.backup.ttl`.
pub(in crate::config) struct Place {
    file: Rc<str>,
    line: usize,
    key: String,
}

impl Place {
    /// `/etc/tasklock/config.toml:3`
    pub(in crate::config) fn line(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.key)
    }
}

/// What a key is set to, as it would stand on the command line. It may be a
/// secret, so that nothing here has a `Debug`.
pub(in crate::config) struct Value {
    pub(in crate::config) place: Place,
    /// One, but for URLs.
    pub(in crate::config) texts: Vec<String>,
}

impl Value {
    pub(in crate::config) fn text(&self) -> &str {
        self.texts.first().map_or("", String::as_str)
    }
}

/// What stands in one file.
#[derive(Default)]
pub(super) struct Document {
    top: Table,
    locks: BTreeMap<String, Table>,
    allows_readable_secrets: bool,
}

impl Document {
    /// Reads the text of `file`.
    ///
    /// # Errors
    /// One line that names file, line and key.
    pub(super) fn parse(file: &str, text: &str) -> Result<Document, String> {
        let lines = Lines::new(file, text);
        let table = DeTable::parse(text).map_err(|error| {
            let at = error.span().map_or(text.len(), |span| span.start);
            lines.malformed(text, at, error.message())
        })?;
        let mut document = Document::default();
        for (key, value) in in_order(table.get_ref()) {
            let place = lines.place(key.span().start, bare(key.get_ref()));
            match (key.get_ref().as_ref(), value.get_ref()) {
                (LOCK, DeValue::Table(locks)) => document.locks = lines.locks(locks)?,
                (LOCK, _) => return Err(wrong(&place, "a section is wanted: [lock.NAME]")),
                (READABLE_SECRETS, DeValue::Boolean(allows)) => {
                    document.allows_readable_secrets = *allows;
                }
                (READABLE_SECRETS, _) => return Err(wrong(&place, expected(Kind::Flag))),
                (name, value) => {
                    let key = known(name, &place, &[LOCK, READABLE_SECRETS])?;
                    if key.scope == Scope::Lock {
                        let text = "belongs to a lock: write it below [lock.NAME]";
                        return Err(wrong(&place, text));
                    }
                    document.top.insert(key.id, value_of(key, value, place)?);
                }
            }
        }
        for table in document.all_tables() {
            if let (Some(url), Some(_)) = (table.get("url"), table.get("url_file")) {
                let text = "does not go with url-file: give only one of them";
                return Err(wrong(&url.place, text));
            }
        }
        Ok(document)
    }

    /// What it says about `lock`, what goes first at the front.
    pub(super) fn tables(&self, lock: Option<&str>) -> impl Iterator<Item = &Table> {
        let section = lock.and_then(|name| self.locks.get(name));
        section.into_iter().chain([&self.top])
    }

    /// The locks that have a section.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.locks.keys().map(String::as_str)
    }

    /// Refuses a password that everybody can read.
    pub(super) fn guard_secrets(&self, file: &str, mode: u32) -> Result<(), String> {
        if mode & 0o044 == 0 || self.allows_readable_secrets {
            return Ok(());
        }
        let urls = self.all_tables().filter_map(|table| table.get("url"));
        let mut secret = urls.filter(|url| url.texts.iter().any(|url| has_password(url)));
        secret.next().map_or(Ok(()), |url| {
            let text = format!(
                "holds a password that others can read (mode {mode:04o}): chmod 600 {file}, \
                 or set {READABLE_SECRETS} = true"
            );
            Err(wrong(&url.place, &text))
        })
    }

    fn all_tables(&self) -> impl Iterator<Item = &Table> {
        self.locks.values().chain([&self.top])
    }
}

/// Where the lines of a file begin.
struct Lines {
    file: Rc<str>,
    starts: Vec<usize>,
}

impl Lines {
    fn new(file: &str, text: &str) -> Lines {
        let starts = text.match_indices('\n').map(|(at, _)| at + 1);
        Lines {
            file: file.into(),
            starts: std::iter::once(0).chain(starts).collect(),
        }
    }

    /// The number of the line with this byte, from 1.
    fn number(&self, at: usize) -> usize {
        self.starts.partition_point(|start| *start <= at)
    }

    fn place(&self, at: usize, key: String) -> Place {
        Place {
            file: Rc::clone(&self.file),
            line: self.number(at),
            key,
        }
    }

    /// `FILE:3:7: not TOML: …`, the column in characters.
    fn malformed(&self, text: &str, at: usize, error: &str) -> String {
        let line = self.number(at);
        let before = text.get(self.starts[line - 1]..at).unwrap_or_default();
        let (file, column) = (&self.file, before.chars().count() + 1);
        format!("{file}:{line}:{column}: not TOML: {}", escape(error))
    }

    fn locks(&self, locks: &DeTable<'_>) -> Result<BTreeMap<String, Table>, String> {
        let mut sections = BTreeMap::new();
        for (name, section) in in_order(locks) {
            let path = format!("{LOCK}.{}", bare(name.get_ref()));
            let place = self.place(name.span().start, path.clone());
            let DeValue::Table(section) = section.get_ref() else {
                return Err(wrong(&place, "a section is wanted: [lock.NAME]"));
            };
            LockName::new(name.get_ref()).map_err(|error| wrong(&place, &error))?;
            let mut table = Table::new();
            for (key, value) in in_order(section) {
                let path = format!("{path}.{}", bare(key.get_ref()));
                let place = self.place(key.span().start, path);
                if let (None, DeValue::Table(_)) = (find(key.get_ref()), value.get_ref()) {
                    let name = format!("{}.{}", name.get_ref(), key.get_ref());
                    let text = format!(
                        "is no key: a name with a dot stands in quotes, as in [lock.\"{}\"]",
                        escape(&name)
                    );
                    return Err(wrong(&place, &text));
                }
                let key = known(key.get_ref(), &place, &[])?;
                table.insert(key.id, value_of(key, value.get_ref(), place)?);
            }
            sections.insert(name.get_ref().to_string(), table);
        }
        Ok(sections)
    }
}

/// The entries as they stand in the file: the first that is wrong is told.
fn in_order<'a, 'i>(
    table: &'a DeTable<'i>,
) -> Vec<(&'a Spanned<DeString<'i>>, &'a Spanned<DeValue<'i>>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

/// A key as TOML writes it.
fn bare(key: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !key.is_empty() && key.chars().all(plain) {
        key.to_owned()
    } else {
        format!("\"{}\"", escape(key))
    }
}

fn wrong(place: &Place, text: &str) -> String {
    format!("{place}: {text}")
}

fn known(name: &str, place: &Place, others: &[&str]) -> Result<&'static Key, String> {
    find(name).ok_or_else(|| {
        let meant = nearest(name, others).map_or_else(
            || "see tasklock.toml(5) for the keys that there are".to_owned(),
            |meant| format!("did you mean {meant}?"),
        );
        wrong(place, &format!("there is no such key; {meant}"))
    })
}

fn value_of(key: &Key, value: &DeValue<'_>, place: Place) -> Result<Value, String> {
    let texts = match (key.kind, value) {
        (Kind::Urls, DeValue::Array(urls)) => urls
            .iter()
            .map(|url| url.get_ref().as_str().map(str::to_owned))
            .collect::<Option<Vec<_>>>()
            .filter(|urls| !urls.is_empty()),
        (Kind::Path, DeValue::String(path)) if !path.starts_with('/') => None,
        (Kind::Urls | Kind::Text | Kind::Path | Kind::Time, DeValue::String(text)) => {
            Some(vec![text.to_string()])
        }
        (Kind::Time | Kind::Number, DeValue::Integer(number)) => {
            // One that is beyond every limit is told as it stands.
            let decimal = i128::from_str_radix(number.as_str(), number.radix());
            Some(vec![
                decimal.map_or_else(|_| number.to_string(), |it| it.to_string()),
            ])
        }
        (Kind::Time, DeValue::Float(number)) => {
            let decimal = number.as_str().parse::<f64>();
            Some(vec![
                decimal.map_or_else(|_| number.to_string(), |it| it.to_string()),
            ])
        }
        (Kind::Flag, DeValue::Boolean(flag)) => Some(vec![flag.to_string()]),
        _ => None,
    };
    match texts {
        Some(texts) => Ok(Value { place, texts }),
        None => Err(wrong(&place, expected(key.kind))),
    }
}

/// What is wanted where something else was given; that may be a password, and is not told.
fn expected(kind: Kind) -> &'static str {
    match kind {
        Kind::Urls => "a URL in quotes is wanted, or several: [\"redis://a\", \"redis://b\"]",
        Kind::Text => "a text in quotes is wanted",
        Kind::Path => "the absolute path of a file is wanted, in quotes",
        Kind::Time => "a duration is wanted: \"5m\" in quotes, or a number of seconds",
        Kind::Number => "a whole number is wanted",
        Kind::Flag => "true or false is wanted",
    }
}
