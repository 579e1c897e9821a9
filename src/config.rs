//! From arguments and environment to validated settings. No clap type leaves here.

mod acquire;
mod doctor;
mod effective;
mod export;
mod files;
mod history;
mod list;
mod misplaced;
mod prefix;
mod reader;
mod run;
mod status;
mod store;
mod terms;
mod token;
mod unlock;
mod usage;

pub use acquire::Acquire;
pub use doctor::Doctor;
pub use effective::{Effective, Setting};
pub use export::Change;
pub use history::History;
pub use list::{List, Listing};
pub use run::Run;
pub use status::{Status, View};
pub use store::{Lock, Place};
pub use token::{Form, Owned, Refresh};
pub use unlock::{Unlock, Way};

use std::ffi::OsString;
use std::fmt;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, FromArgMatches};

use crate::cli::config::ConfigArgs;
use crate::cli::{self, CheckArgs, RunArgs};
use crate::exit::Code;
use crate::log::Format;
use files::{Files, Named};
use reader::Reader;

/// What was asked for.
#[derive(Debug)]
pub enum Settings {
    /// Run a command under a lock.
    Run(Box<Run>),
    /// Look at locks.
    Status(Status),
    /// Look at all locks.
    List(List),
    /// Look at the past runs of a lock.
    History(History),
    /// Free the lock of somebody else.
    Unlock(Unlock),
    /// Take a lock and leave it held.
    Acquire(Box<Acquire>),
    /// Let its lease run from now.
    Refresh(Box<Refresh>),
    /// Give it back.
    Release(Box<Owned>),
    /// Ask whether it is still held, and say so in any case if true.
    Check(Box<Owned>, bool),
    /// Show the settings.
    Config(Effective, Layout),
    /// Look at the store.
    Doctor(Box<Doctor>),
    /// `--help` and the like: text for standard output.
    Print(String),
}

/// How the settings are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// As the text of a configuration file.
    Toml,
    /// As JSON.
    Json,
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
    settings(&arguments).map_err(|error| ConfigError {
        format: format.unwrap_or(error.format),
        ..error
    })
}

fn settings(arguments: &[OsString]) -> Result<Settings, ConfigError> {
    let matches = match cli::command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) if !error.use_stderr() => return Ok(Settings::Print(error.to_string())),
        Err(error) if error.kind() == ErrorKind::InvalidUtf8 => {
            return Err(usage::not_utf8(arguments));
        }
        Err(error) => {
            let misplaced = misplaced::misplaced(arguments, &error);
            let text = misplaced.unwrap_or_else(|| usage::one_line(&error));
            return Err(ConfigError::usage(text));
        }
    };
    let (subcommand, matches) = match matches.subcommand() {
        Some((name, matches)) => (Some(name), matches),
        None => (None, &matches),
    };
    let files = Files::read(named_file(matches)?)?;
    let inherited = subcommand.and_then(token::inherited_name);
    let name = ["name", "operand"].iter().find_map(|id| {
        let name = matches.try_get_one::<String>(id).ok()?;
        name.map(String::as_str)
    });
    let name = name.or(inherited.as_deref());
    let reader = Reader {
        matches,
        files: &files,
        section: name,
    };
    of_subcommand(subcommand, reader).map_err(|error| ConfigError {
        format: files.log_format(name),
        ..error
    })
}

fn of_subcommand(subcommand: Option<&str>, reader: Reader<'_>) -> Result<Settings, ConfigError> {
    let matches = reader.matches;
    Ok(match subcommand {
        Some(cli::LIST) => Settings::List(reader.list(arguments_of(matches)?)?),
        Some(cli::HISTORY) => Settings::History(reader.history_of(arguments_of(matches)?)?),
        Some(cli::UNLOCK) => Settings::Unlock(reader.unlock(arguments_of(matches)?)?),
        Some(cli::ACQUIRE) => Settings::Acquire(Box::new(reader.acquire(arguments_of(matches)?)?)),
        Some(cli::REFRESH) => Settings::Refresh(Box::new(reader.refresh(arguments_of(matches)?)?)),
        Some(cli::RELEASE) => Settings::Release(Box::new(reader.owned(arguments_of(matches)?)?)),
        Some(cli::CHECK) => {
            let args = arguments_of::<CheckArgs>(matches)?;
            Settings::Check(Box::new(reader.owned(args.token)?), args.verbose)
        }
        Some(cli::CONFIG) => {
            let args = arguments_of::<ConfigArgs>(matches)?;
            if args.names {
                let names: Vec<_> = reader.files.names().into_iter().collect();
                return Ok(Settings::Print(names.join("\n")));
            }
            let layout = if args.json {
                Layout::Json
            } else {
                Layout::Toml
            };
            Settings::Config(reader.effective(args)?, layout)
        }
        Some(cli::DOCTOR) => Settings::Doctor(Box::new(reader.doctor(arguments_of(matches)?)?)),
        Some(_) => Settings::Status(reader.status(arguments_of(matches)?)?),
        None => {
            let args = arguments_of::<RunArgs>(matches)?;
            let name = reader.name(&args.name.unwrap_or_default())?;
            Settings::Run(Box::new(reader.run(name, args.options, args.command)?))
        }
    })
}

/// What `--config` or its variable say.
fn named_file(matches: &ArgMatches) -> Result<Option<Named<'_>>, ConfigError> {
    let path = matches.try_get_one::<String>("config").ok().flatten();
    let Some(path) = path.map(String::as_str) else {
        return Ok(None);
    };
    let label = match matches.value_source("config") {
        Some(ValueSource::EnvVariable) if path.is_empty() => return Ok(None),
        Some(ValueSource::EnvVariable) => "TASKLOCK_CONFIG",
        _ => "--config",
    };
    if path.is_empty() {
        let text = format!("{label}: the file name is empty: give the path of a FILE");
        return Err(ConfigError::usage(text));
    }
    Ok(Some(Named { label, path }))
}

fn arguments_of<T: FromArgMatches>(matches: &ArgMatches) -> Result<T, ConfigError> {
    T::from_arg_matches(matches).map_err(|error| ConfigError::usage(usage::one_line(&error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        cli::command().build();
        cli::command().debug_assert();
        let command = cli::command();
        let subcommands: Vec<_> = command.get_subcommands().map(|it| it.get_name()).collect();
        assert_eq!(subcommands, cli::SUBCOMMANDS);
    }
}
