//! Single values of options and variables, and what is said when one is wrong.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::ConfigError;
use crate::duration;
use crate::message::hide_urls;

/// Gives each value the name it was given under, for the messages.
pub(super) struct Reader<'a> {
    pub(super) matches: &'a ArgMatches,
}

impl Reader<'_> {
    /// Where a value comes from; nowhere, if the command has no such option.
    fn source(&self, id: &str) -> Option<ValueSource> {
        self.matches.try_contains_id(id).ok()?;
        self.matches.value_source(id)
    }

    pub(super) fn in_environment(&self, id: &str) -> bool {
        self.source(id) == Some(ValueSource::EnvVariable)
    }

    /// `--ttl: …` and 64 from the command line, `TASKLOCK_TTL: …` and 78 from the environment.
    pub(super) fn wrong(&self, id: &str, text: &str) -> ConfigError {
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

    pub(super) fn on_command_line(&self, id: &str) -> bool {
        self.source(id) == Some(ValueSource::CommandLine)
    }

    /// The text of an option. A variable that is set to nothing is not set.
    pub(super) fn given<'t>(&self, id: &str, text: Option<&'t str>) -> Option<&'t str> {
        text.filter(|text| !(text.is_empty() && self.in_environment(id)))
    }

    pub(super) fn path(
        &self,
        id: &str,
        path: Option<PathBuf>,
    ) -> Result<Option<PathBuf>, ConfigError> {
        match path {
            Some(path) if !path.as_os_str().is_empty() => Ok(Some(path)),
            Some(_) if !self.in_environment(id) => {
                Err(self.wrong(id, "the file name is empty: give the path of a FILE"))
            }
            _ => Ok(None),
        }
    }

    /// A duration, zero included.
    pub(super) fn duration(
        &self,
        id: &str,
        text: Option<&str>,
    ) -> Result<Option<Duration>, ConfigError> {
        self.given(id, text)
            .map(|text| duration::parse(text).map_err(|error| self.wrong(id, &error)))
            .transpose()
    }

    /// A duration that zero would make no sense for.
    pub(super) fn some_time(
        &self,
        id: &str,
        text: Option<&str>,
    ) -> Result<Option<Duration>, ConfigError> {
        match self.duration(id, text)? {
            Some(Duration::ZERO) => {
                let text = text.unwrap_or_default();
                let error = format!("{text:?} is no time at all: give {}", duration::FORM);
                Err(self.wrong(id, &error))
            }
            duration => Ok(duration),
        }
    }

    /// A duration of `least` or more.
    pub(super) fn at_least(
        &self,
        id: &str,
        text: Option<&str>,
        least: Duration,
    ) -> Result<Option<Duration>, ConfigError> {
        match self.some_time(id, text)? {
            Some(duration) if duration < least => {
                let (given, least) = (duration::show(duration), duration::show(least));
                let error = format!("{given} is too short: give at least {least}");
                Err(self.wrong(id, &error))
            }
            duration => Ok(duration),
        }
    }

    /// A number of `range`.
    pub(super) fn number<N: FromStr + PartialOrd + Display>(
        &self,
        id: &str,
        text: Option<&str>,
        range: RangeInclusive<N>,
    ) -> Result<Option<N>, ConfigError> {
        let Some(text) = text else {
            return Ok(None);
        };
        match text.parse() {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            _ => {
                let (least, most) = range.into_inner();
                let error = format!("{text:?} is not a number from {least} to {most}");
                Err(self.wrong(id, &error))
            }
        }
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(
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
}
