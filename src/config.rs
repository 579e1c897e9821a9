//! From arguments and environment to validated settings. No clap type leaves here.

mod usage;

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, FromArgMatches};

use crate::cli::{self, LockArgs, RunArgs, StoreArgs, UnlockArgs};
use crate::duration;
use crate::exit::{Code, Codes};
use crate::lease::Terms;
use crate::log::Format;
use crate::message::{Level, hide_urls, plain};
use crate::signals::Signal;
use crate::store::redis::TlsFiles;
use crate::store::target::Target;
use crate::store::{LockName, Once, Unlock};
use crate::supervisor::{OnLost, OnUnavailable};

const DEFAULT_TTL: Duration = Duration::from_secs(60);
/// Below it the defaults that scale with the ttl would be shorter than what a
/// busy machine needs to schedule us.
const MIN_TTL: Duration = Duration::from_secs(1);
/// The bound of a request before there is a lease to lose.
const DEFAULT_STORE_TIMEOUT: Duration = Duration::from_secs(5);
const DEFAULT_KEY_PREFIX: &str = "task_lock:";
/// Texts that are stored for people are cut to this many characters.
const TEXT_MAX_CHARS: usize = 200;

/// What was asked for.
#[derive(Debug)]
pub enum Settings {
    /// Run a command under a lock.
    Run(Box<Run>),
    /// Look at a lock.
    Status(Lock),
    /// Free the lock of somebody else.
    Unlock(Lock, Unlock),
    /// `--help` and `--version`: text for standard output.
    Print(String),
}

/// The settings of a run.
#[derive(Debug)]
pub struct Run {
    /// The lock and its store.
    pub lock: Lock,
    /// The timing of its lease.
    pub terms: Terms,
    /// `--wait`: zero is a single try, [`Duration::MAX`] for ever.
    pub wait: Duration,
    /// `--slots`
    pub slots: Option<u32>,
    /// `--min-hold`
    pub min_hold: Duration,
    /// `--once-per`, `--once-key`, `--once-attempts`
    pub once: Once,
    /// `--replicas`
    pub replicas: u32,
    /// `--jitter`
    pub jitter: Duration,
    /// `--on-lost`
    pub on_lost: OnLost,
    /// `--on-unavailable`
    pub on_unavailable: OnUnavailable,
    /// `--signal`
    pub stop_signal: Signal,
    /// `--max-runtime`
    pub max_runtime: Option<Duration>,
    /// `-E`, `--lost-exit-code`
    pub codes: Codes,
    /// `--foreground`
    pub foreground: bool,
    /// `--reason`
    pub reason: Option<String>,
    /// `--holder`
    pub holder: Option<String>,
    /// `--report`
    pub report: Option<PathBuf>,
    /// `--log-format`
    pub log_format: Format,
    /// `-q`, `-v`
    pub log_level: Level,
    /// The command and its arguments, at least one.
    pub command: Vec<OsString>,
}

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

/// Why there are no settings: one line, and the exit code.
#[derive(Debug)]
pub struct ConfigError {
    /// [`Code::Usage`] for what stands on the command line, [`Code::Config`] for the rest.
    pub code: Code,
    /// What was wrong, with the name of the flag or variable, and what would be right.
    pub text: String,
    /// How to tell it, as far as that is known by then.
    pub format: Format,
}

impl ConfigError {
    pub(crate) fn usage(text: impl Into<String>) -> ConfigError {
        ConfigError {
            code: Code::Usage,
            text: text.into(),
            format: Format::default(),
        }
    }

    pub(crate) fn config(text: impl Into<String>) -> ConfigError {
        ConfigError {
            code: Code::Config,
            text: text.into(),
            format: Format::default(),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for ConfigError {}

/// Reads the settings from `arguments` and the environment.
///
/// # Errors
/// [`ConfigError`], with nothing done.
pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Settings, ConfigError> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let format = usage::wanted_format(&arguments);
    settings(&arguments).map_err(|error| ConfigError { format, ..error })
}

fn settings(arguments: &[OsString]) -> Result<Settings, ConfigError> {
    let matches = match cli::command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) if !error.use_stderr() => return Ok(Settings::Print(error.to_string())),
        Err(error) if error.kind() == ErrorKind::InvalidUtf8 => {
            return Err(usage::not_utf8(arguments));
        }
        Err(error) => return Err(ConfigError::usage(usage::one_line(&error))),
    };
    let (subcommand, matches) = match matches.subcommand() {
        Some((name, matches)) => (Some(name), matches),
        None => (None, &matches),
    };
    let reader = Reader { matches };
    Ok(match subcommand {
        Some(cli::UNLOCK) => {
            let args = arguments_of::<UnlockArgs>(matches)?;
            let how = if args.force {
                Unlock::Force
            } else {
                Unlock::Ask
            };
            Settings::Unlock(reader.lock(args.lock)?, how)
        }
        Some(_) => Settings::Status(reader.lock(arguments_of(matches)?)?),
        None => Settings::Run(Box::new(reader.run(arguments_of(matches)?)?)),
    })
}

fn arguments_of<T: FromArgMatches>(matches: &ArgMatches) -> Result<T, ConfigError> {
    T::from_arg_matches(matches).map_err(|error| ConfigError::usage(usage::one_line(&error)))
}

/// Gives each value the name it was given under, for the messages.
struct Reader<'a> {
    matches: &'a ArgMatches,
}

impl Reader<'_> {
    fn in_environment(&self, id: &str) -> bool {
        self.matches.value_source(id) == Some(ValueSource::EnvVariable)
    }

    /// `--ttl: …` and 64 from the command line, `TASKLOCK_TTL: …` and 78 from the environment.
    fn wrong(&self, id: &str, text: &str) -> ConfigError {
        let flag = id.replace('_', "-");
        // A URL that slipped into the place of a value may hold a password.
        let text = if id.starts_with("url") {
            text.to_owned()
        } else {
            hide_urls(text)
        };
        if self.in_environment(id) {
            ConfigError::config(format!("TASKLOCK_{}: {text}", id.to_uppercase()))
        } else {
            ConfigError::usage(format!("--{flag}: {text}"))
        }
    }

    fn on_command_line(&self, id: &str) -> bool {
        self.matches.value_source(id) == Some(ValueSource::CommandLine)
    }

    /// The text of an option. A variable that is set to nothing is not set.
    fn given<'t>(&self, id: &str, text: Option<&'t str>) -> Option<&'t str> {
        text.filter(|text| !(text.is_empty() && self.in_environment(id)))
    }

    fn path(&self, id: &str, path: Option<PathBuf>) -> Result<Option<PathBuf>, ConfigError> {
        match path {
            Some(path) if !path.as_os_str().is_empty() => Ok(Some(path)),
            Some(_) if !self.in_environment(id) => {
                Err(self.wrong(id, "the file name is empty: give the path of a FILE"))
            }
            _ => Ok(None),
        }
    }

    fn duration(&self, id: &str, text: Option<&str>) -> Result<Option<Duration>, ConfigError> {
        let Some(text) = self.given(id, text) else {
            return Ok(None);
        };
        let duration = duration::parse(text).map_err(|error| self.wrong(id, &error))?;
        if duration.is_zero() {
            return Err(self.wrong(
                id,
                &format!("{text:?} is no time at all: give {}", duration::FORM),
            ));
        }
        Ok(Some(duration))
    }

    fn code(&self, id: &str, text: Option<&str>, default: u8) -> Result<u8, ConfigError> {
        text.map_or(Ok(default), |text| {
            text.parse().map_err(|_| {
                self.wrong(
                    id,
                    &format!("{text:?} is not an exit code: give a number from 0 to 255"),
                )
            })
        })
    }

    fn choice<T: Copy>(
        &self,
        id: &str,
        text: Option<&str>,
        choices: &[(&str, T)],
    ) -> Result<Option<T>, ConfigError> {
        let Some(text) = self.given(id, text) else {
            return Ok(None);
        };
        match choices.iter().find(|(word, _)| *word == text) {
            Some((_, value)) => Ok(Some(*value)),
            None => {
                let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
                Err(self.wrong(id, &format!("{text:?} is not one of {}", words.join(", "))))
            }
        }
    }

    fn name(&self, name: &str) -> Result<LockName, ConfigError> {
        if name.contains("://") && name.contains('@') {
            let text = "--name: that looks like the URL of a store, give it with --url";
            return Err(ConfigError::usage(text));
        }
        LockName::new(name).map_err(|error| ConfigError::usage(format!("--name: {error}")))
    }

    fn lock(&self, args: LockArgs) -> Result<Lock, ConfigError> {
        let name = args.name.or(args.operand).unwrap_or_default();
        self.store(self.name(&name)?, args.store)
    }

    fn store(&self, name: LockName, args: StoreArgs) -> Result<Lock, ConfigError> {
        let store_timeout = self.duration("store_timeout", args.store_timeout.as_deref())?;
        let key_prefix = self
            .given("key_prefix", args.key_prefix.as_deref())
            .unwrap_or(DEFAULT_KEY_PREFIX)
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
            Ok(path.filter(|_| encrypted || !self.in_environment(id)))
        };
        let tls = TlsFiles {
            ca: tls_file("tls_ca", args.tls_ca)?,
            cert: tls_file("tls_cert", args.tls_cert)?,
            key: tls_file("tls_key", args.tls_key)?,
        };
        let unconfigured = urls.is_empty();
        let target = Target::parse(&urls, &tls)
            .map_err(|text| ConfigError::config(self.with_source(&source, text)))?;
        Ok(Lock {
            name,
            target,
            unconfigured,
            key_prefix,
            store_timeout: store_timeout.unwrap_or(DEFAULT_STORE_TIMEOUT),
        })
    }

    /// What is wrong with a store, after the name of the flag or variable that it came from.
    fn with_source(&self, source: &str, text: String) -> String {
        let files = ["tls_ca", "tls_cert", "tls_key"];
        let flag = |id: &str| format!("--{}", id.replace('_', "-"));
        if !files.iter().any(|id| text.contains(&flag(id))) {
            return format!("{source}: {text}");
        }
        files
            .iter()
            .filter(|id| self.in_environment(id))
            .fold(text, |text, id| {
                text.replace(&flag(id), &format!("TASKLOCK_{}", id.to_uppercase()))
            })
    }

    /// The URLs of the store and where they come from: flags before variables,
    /// and only one way at a time.
    fn urls(
        &self,
        urls: &[String],
        file: Option<&Path>,
    ) -> Result<(String, Vec<String>), ConfigError> {
        // In a variable several URLs are separated by spaces, and none is none.
        let split = || {
            urls.iter()
                .flat_map(|urls| urls.split_whitespace().map(str::to_owned))
        };
        let flags = ("url", "url_file");
        match (
            self.on_command_line(flags.0),
            self.on_command_line(flags.1),
            file,
        ) {
            (true, true, _) => Err(ConfigError::usage(
                "--url and --url-file: give only one of them",
            )),
            (true, false, _) => Ok(("--url".to_owned(), urls.to_vec())),
            (false, false, Some(_)) if split().next().is_some() => Err(ConfigError::config(
                "TASKLOCK_URL and TASKLOCK_URL_FILE: set only one of them",
            )),
            (false, _, Some(file)) => self.urls_of_file(file),
            (false, _, None) => Ok(("TASKLOCK_URL".to_owned(), split().collect())),
        }
    }

    fn urls_of_file(&self, path: &Path) -> Result<(String, Vec<String>), ConfigError> {
        let flag = if self.in_environment("url_file") {
            "TASKLOCK_URL_FILE"
        } else {
            "--url-file"
        };
        let path_text = path.display();
        let text = fs::read_to_string(path).map_err(|error| {
            ConfigError::config(format!(
                "{flag}: cannot read {path_text}: {}",
                plain(&error)
            ))
        })?;
        let urls: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        if urls.is_empty() {
            return Err(ConfigError::config(format!(
                "{flag}: {path_text} holds no URL"
            )));
        }
        Ok((format!("{flag} {path_text}"), urls))
    }

    fn run(&self, args: RunArgs) -> Result<Run, ConfigError> {
        let name = self.name(&args.name.unwrap_or_default())?;
        let ttl = self
            .duration("ttl", args.ttl.as_deref())?
            .unwrap_or(DEFAULT_TTL);
        if ttl < MIN_TTL {
            let text = format!("{} is too short: give at least 1s", duration::show(ttl));
            return Err(self.wrong("ttl", &text));
        }
        let kill_after = self.duration("kill_after", args.kill_after.as_deref())?;
        let store_timeout = self.duration("store_timeout", args.store.store_timeout.as_deref())?;
        let terms = Terms::new(ttl, kill_after, store_timeout);
        if !terms.fit() {
            // Whoever set one of them on the command line can mend it there.
            let given = ["ttl", "kill_after", "store_timeout"];
            let flag = given.iter().find(|id| self.on_command_line(id));
            let variable = given.iter().find(|id| self.in_environment(id));
            let id = flag.or(variable).unwrap_or(&"ttl");
            return Err(self.wrong(id, &no_room(terms, kill_after, store_timeout)));
        }
        let defaults = Codes::default();
        let codes = Codes {
            conflict: self.code(
                "conflict_exit_code",
                args.conflict_exit_code.as_deref(),
                defaults.conflict,
            )?,
            lost: self.code(
                "lost_exit_code",
                args.lost_exit_code.as_deref(),
                defaults.lost,
            )?,
        };
        let stop_signal = match args.signal.as_deref() {
            Some(text) => text
                .parse()
                .map_err(|error: String| self.wrong("signal", &error))?,
            None => Signal::TERM,
        };
        let on_lost = [("stop", OnLost::Stop), ("continue", OnLost::Continue)];
        let on_unavailable = [
            ("fail", OnUnavailable::Fail),
            ("run", OnUnavailable::Run),
            ("skip", OnUnavailable::Skip),
        ];
        let formats = [("text", Format::Text), ("json", Format::Json)];
        if args
            .command
            .first()
            .is_some_and(|command| command.is_empty())
        {
            return Err(ConfigError::usage(
                "COMMAND is empty: give the command to run",
            ));
        }
        Ok(Run {
            terms,
            wait: Duration::ZERO,
            slots: None,
            min_hold: Duration::ZERO,
            once: Once::default(),
            replicas: 0,
            jitter: Duration::ZERO,
            on_lost: self
                .choice("on_lost", args.on_lost.as_deref(), &on_lost)?
                .unwrap_or_default(),
            on_unavailable: self
                .choice(
                    "on_unavailable",
                    args.on_unavailable.as_deref(),
                    &on_unavailable,
                )?
                .unwrap_or_default(),
            stop_signal,
            max_runtime: self.duration("max_runtime", args.max_runtime.as_deref())?,
            codes,
            foreground: args.foreground,
            reason: args
                .reason
                .filter(|text| !text.is_empty())
                .map(|text| cut(&text)),
            holder: args
                .holder
                .filter(|text| !text.is_empty())
                .map(|text| cut(&text)),
            report: self.path("report", args.report)?,
            log_format: self
                .choice("log_format", args.log_format.as_deref(), &formats)?
                .unwrap_or_default(),
            log_level: match (args.quiet, args.verbose) {
                (true, 0) => Level::Error,
                (_, 0) => Level::Notice,
                (_, 1) => Level::Info,
                _ => Level::Debug,
            },
            command: args.command,
            lock: self.store(name, args.store)?,
        })
    }
}

/// The sum that does not fit, and the least ttl that would.
fn no_room(terms: Terms, kill_after: Option<Duration>, store_timeout: Option<Duration>) -> String {
    let least = least_ttl(kill_after, store_timeout);
    let show = duration::show;
    format!(
        "a ttl of {} leaves no room to stop the command in time: kill-after {} + margin {} + drift {} + \
         2 x store-timeout {} = {}, and that is more than two thirds of it; {}",
        show(terms.ttl),
        show(terms.kill_after),
        show(terms.margin),
        show(terms.drift),
        show(terms.store_timeout),
        show(terms.needed()),
        least.map_or_else(
            || "no ttl fits, make the others shorter".to_owned(),
            |least| format!("the least ttl that fits is {}", show(least)),
        ),
    )
}

/// The least whole number of seconds that fits, found by halving: once a ttl
/// fits, every longer one does.
fn least_ttl(kill_after: Option<Duration>, store_timeout: Option<Duration>) -> Option<Duration> {
    let fits = |secs| Terms::new(Duration::from_secs(secs), kill_after, store_timeout).fit();
    let (mut low, mut high) = (0, duration::MAX_SECS);
    if !fits(high) {
        return None;
    }
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if fits(middle) {
            high = middle
        } else {
            low = middle
        }
    }
    Some(Duration::from_secs(high))
}

fn cut(text: &str) -> String {
    text.chars().take(TEXT_MAX_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn the_least_ttl_is_the_first_that_fits() {
        for (kill_after, store_timeout) in [
            (Some(s(10)), None),
            (Some(s(600)), Some(s(5))),
            (None, Some(s(30))),
        ] {
            let least = least_ttl(kill_after, store_timeout).unwrap();
            assert!(Terms::new(least, kill_after, store_timeout).fit());
            assert!(!Terms::new(least - s(1), kill_after, store_timeout).fit());
        }
    }

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        cli::command().build();
        cli::command().debug_assert();
    }
}
