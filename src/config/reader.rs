//! Single values of options, variables and files, and what is said when one is wrong.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::ConfigError;
use super::files::{Files, Value};
use crate::duration;
use crate::message::hide_quoted_urls;

/// Finds what counts for each option, and gives it the name it was given under,
/// for the messages.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) matches: &'a ArgMatches,
    pub(super) files: &'a Files,
    /// The lock whose section of the files counts.
    pub(super) section: Option<&'a str>,
}

/// Where a value comes from. What comes first goes before the rest.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    Flag,
    Variable,
    File(&'a Value),
    Default,
}

impl Source<'_> {
    /// The lower goes before the higher.
    pub(super) fn rank(self) -> u8 {
        match self {
            Source::Flag => 0,
            Source::Variable => 1,
            Source::File(_) => 2,
            Source::Default => 3,
        }
    }
}

impl Reader<'_> {
    /// Where the value of an option comes from. A variable that is set to nothing, or to blanks, is not set.
    pub(super) fn source(&self, id: &str) -> Source<'_> {
        let is_set = || {
            let mut texts = self.matches.get_raw(id).into_iter().flatten();
            texts.any(|text| !text.as_encoded_bytes().trim_ascii().is_empty())
        };
        // A subcommand may have no such option.
        let has_it = self.matches.try_contains_id(id).is_ok();
        match has_it.then(|| self.matches.value_source(id)).flatten() {
            Some(ValueSource::CommandLine) => Source::Flag,
            Some(ValueSource::EnvVariable) if is_set() => Source::Variable,
            _ => match self.files.value(self.section, id) {
                Some(value) => Source::File(value),
                None => Source::Default,
            },
        }
    }

    pub(super) fn on_command_line(&self, id: &str) -> bool {
        matches!(self.source(id), Source::Flag)
    }

    /// `--ttl`, `TASKLOCK_TTL` or `/etc/tasklock/config.toml:3: ttl`.
    pub(super) fn label(&self, id: &str) -> String {
        match self.source(id) {
            Source::Flag | Source::Default => format!("--{}", id.replace('_', "-")),
            Source::Variable => format!("TASKLOCK_{}", id.to_uppercase()),
            Source::File(value) => value.place.to_string(),
        }
    }

    /// What is wrong, after the [`label`](Reader::label): 64 from the command line, else 78.
    pub(super) fn wrong(&self, id: &str, text: &str) -> ConfigError {
        // A URL that slipped into the place of a value may hold a password.
        let text = if id.starts_with("url") {
            text.to_owned()
        } else {
            hide_quoted_urls(text)
        };
        let text = format!("{}: {text}", self.label(id));
        match self.source(id) {
            Source::Flag | Source::Default => ConfigError::usage(text),
            Source::Variable | Source::File(_) => ConfigError::config(text),
        }
    }

    /// The text of an option that counts, if `text` is what flag or variable have.
    pub(super) fn given<'t>(&'t self, id: &str, text: Option<&'t str>) -> Option<&'t str> {
        match self.source(id) {
            Source::Flag | Source::Variable => text,
            Source::File(value) => Some(value.text()),
            Source::Default => None,
        }
    }

    /// Whether an option without a value is on.
    pub(super) fn flag(&self, id: &str) -> Result<bool, ConfigError> {
        match self.source(id) {
            Source::Flag => Ok(self.matches.get_flag(id)),
            Source::Variable => {
                let texts = self.matches.get_raw(id).into_iter().flatten();
                let text: String = texts.map(|text| text.to_string_lossy()).collect();
                yes_or_no(&text).ok_or_else(|| {
                    let text = format!(
                        "{text:?} is neither yes nor no: give 1 or 0, yes or no, on or off"
                    );
                    self.wrong(id, &text)
                })
            }
            Source::File(value) => Ok(value.text() == "true"),
            Source::Default => Ok(false),
        }
    }

    pub(super) fn path(
        &self,
        id: &str,
        path: Option<PathBuf>,
    ) -> Result<Option<PathBuf>, ConfigError> {
        match self.source(id) {
            Source::Flag
                if path
                    .as_ref()
                    .is_some_and(|path| path.as_os_str().is_empty()) =>
            {
                Err(self.wrong(id, "the file name is empty: give the path of a FILE"))
            }
            Source::Flag | Source::Variable => Ok(path),
            Source::File(value) => Ok(Some(value.text().into())),
            Source::Default => Ok(None),
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
                let text = self.given(id, text).unwrap_or_default();
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
        let Some(text) = self.given(id, text) else {
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

/// What a variable says that stands for an option without a value.
fn yes_or_no(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "y" | "yes" | "t" | "true" | "on" => Some(true),
        "0" | "n" | "no" | "f" | "false" | "off" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yes_and_no_are_said_in_several_ways_and_nothing_else_is_either() {
        for yes in ["1", "y", "yes", "YES", "True", "t", "on"] {
            assert_eq!(yes_or_no(yes), Some(true), "{yes:?}");
        }
        for no in ["0", "n", "no", "No", "false", "F", "OFF"] {
            assert_eq!(yes_or_no(no), Some(false), "{no:?}");
        }
        for neither in ["", "maybe", "2", "-1", "00", " 1", "yes no", "\u{661}"] {
            assert_eq!(yes_or_no(neither), None, "{neither:?}");
        }
    }
}
