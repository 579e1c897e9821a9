//! From arguments and environment to validated settings. No clap type leaves here.

mod history;
mod list;
mod reader;
mod run;
mod status;
mod store;
mod terms;
mod unlock;
mod usage;

pub use history::History;
pub use list::{Form, List};
pub use run::Run;
pub use status::{Status, View};
pub use store::{Lock, Place};
pub use unlock::{Unlock, Way};

use std::ffi::OsString;
use std::fmt;

use clap::error::ErrorKind;
use clap::{ArgMatches, FromArgMatches};

use crate::cli;
use crate::exit::Code;
use crate::log::Format;
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
    /// `--help` and `--version`: text for standard output.
    Print(String),
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
        Some(cli::LIST) => Settings::List(reader.list(arguments_of(matches)?)?),
        Some(cli::HISTORY) => Settings::History(reader.history(arguments_of(matches)?)?),
        Some(cli::UNLOCK) => Settings::Unlock(reader.unlock(arguments_of(matches)?)?),
        Some(_) => Settings::Status(reader.status(arguments_of(matches)?)?),
        None => Settings::Run(Box::new(reader.run(arguments_of(matches)?)?)),
    })
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
    }
}
