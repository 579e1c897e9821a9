//! What counts for a lock, and where it comes from: for `tasklock config`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::ConfigError;
use super::files::{KEYS, Key, Kind};
use super::reader::{Reader, Source};
use super::run::Run;
use crate::cli::RunOptions;
use crate::cli::config::ConfigArgs;
use crate::duration;
use crate::identity::user_at_host;
use crate::message::{hide_urls, mask_url};

/// The settings that count.
#[derive(Debug)]
pub struct Effective {
    /// The lock, if one was named.
    pub lock: Option<String>,
    /// Where it lives, without what logs in.
    pub store: String,
    /// Where was looked for files, and whether there was one; what goes first at the front.
    pub files: Vec<(PathBuf, bool)>,
    /// All options.
    pub settings: Vec<Setting>,
}

/// An option.
#[derive(Debug)]
pub struct Setting {
    /// Its key in a file.
    pub key: String,
    /// Its value without secrets; null when it has none.
    pub value: Json,
    /// `--ttl`, `TASKLOCK_TTL`, `/etc/tasklock/config.toml:3` or `default`.
    pub source: String,
}

impl Reader<'_> {
    /// What would count for a run with these arguments.
    ///
    /// # Errors
    /// What such a run would say; without a name, that of each lock that has a section.
    pub(super) fn effective(&self, args: ConfigArgs) -> Result<Effective, ConfigError> {
        let lock = args.name.or(args.operand);
        if lock.is_none() {
            for section in self.files.names() {
                let section = Some(section);
                Reader { section, ..*self }.as_run(section, &args.options)?;
            }
        }
        let run = self.as_run(lock.as_deref(), &args.options)?;
        let place = |(path, found): (&Path, bool)| (path.to_path_buf(), found);
        Ok(Effective {
            store: run.lock.target.to_string(),
            files: self.files.places().map(place).collect(),
            settings: KEYS.iter().map(|key| self.setting(key, &run)).collect(),
            lock,
        })
    }

    fn as_run(&self, name: Option<&str>, options: &RunOptions) -> Result<Run, ConfigError> {
        // Without a section the name of a lock makes no difference.
        let name = self.name(name.unwrap_or("NAME"))?;
        self.run(name, options.clone(), Vec::new())
    }

    fn setting(&self, key: &Key, run: &Run) -> Setting {
        let source = match self.source(key.id) {
            // The store is named in the other way.
            _ if key.id == "url" && self.store_by_file() => None,
            _ if key.id == "url_file" && !self.store_by_file() => None,
            source => Some(source),
        };
        let (value, source) = match source {
            None => (Json::Null, "default".to_owned()),
            Some(_) if key.id == "wait" && self.matches.get_flag("nonblock") => {
                ("0".into(), "--nonblock".to_owned())
            }
            Some(Source::File(value)) => (shown(key.kind, &value.texts), value.place.line()),
            Some(Source::Variable) if key.id == "key_prefix" => {
                let prefix = [run.lock.key_prefix.clone()];
                (shown(key.kind, &prefix), self.label(key.id))
            }
            Some(Source::Flag | Source::Variable) => {
                (shown(key.kind, &self.as_given(key)), self.label(key.id))
            }
            Some(Source::Default) => match key.id {
                "kill_after" | "store_timeout" => {
                    (default(key, run), "default for this ttl".to_owned())
                }
                _ => (default(key, run), "default".to_owned()),
            },
        };
        let key = key.name();
        Setting { key, value, source }
    }

    /// What stands on the command line, or in a variable.
    fn as_given(&self, key: &Key) -> Vec<String> {
        if key.kind == Kind::Flag {
            return vec![self.matches.get_flag(key.id).to_string()];
        }
        let texts = self.matches.get_raw(key.id).into_iter().flatten();
        let texts = texts.map(|text| text.to_string_lossy().into_owned());
        match self.source(key.id) {
            Source::Variable if key.kind == Kind::Urls => texts
                .flat_map(|urls| {
                    urls.split_whitespace()
                        .map(str::to_owned)
                        .collect::<Vec<_>>()
                })
                .collect(),
            _ => texts.collect(),
        }
    }
}

/// A value as a file would have it.
fn shown(kind: Kind, texts: &[String]) -> Json {
    let text = texts.first().map_or("", String::as_str);
    match kind {
        Kind::Urls if texts.len() == 1 => mask_url(text).into(),
        Kind::Urls => texts.iter().map(|url| mask_url(url)).collect(),
        Kind::Number => text.parse::<i64>().map_or_else(|_| text.into(), Json::from),
        Kind::Flag => (text == "true").into(),
        // A URL that slipped into the place of another value.
        Kind::Text | Kind::Path if text.contains("://") && text.contains('@') => {
            hide_urls(text).into()
        }
        Kind::Text | Kind::Path | Kind::Time => text.into(),
    }
}

/// What counts when nothing was said.
fn default(key: &Key, run: &Run) -> Json {
    let time = |time: Duration| match time {
        Duration::ZERO => json!("0"),
        time => json!(duration::show(time)),
    };
    match key.id {
        "url" => json!("local:"),
        "key_prefix" => json!(run.lock.key_prefix),
        "store_timeout" => time(run.terms.store_timeout),
        "ttl" => time(run.terms.ttl),
        "wait" => time(run.wait),
        "slots" => json!(1),
        "min_hold" => time(run.min_hold),
        "once_attempts" => json!(run.once.per.as_ref().map(|per| per.attempts)),
        "history" => json!(run.history),
        "replicas" => json!(run.replicas),
        "jitter" => time(run.jitter),
        "conflict_exit_code" => json!(run.codes.conflict),
        "lost_exit_code" => json!(run.codes.lost),
        "signal" => json!(run.stop_signal.to_string()),
        "kill_after" => time(run.terms.kill_after),
        "on_lost" => json!("stop"),
        "on_unavailable" => json!("fail"),
        "foreground" | "quiet" => json!(false),
        "holder" => json!(user_at_host()),
        "log_format" => json!("text"),
        // The rest has none.
        _ => Json::Null,
    }
}
