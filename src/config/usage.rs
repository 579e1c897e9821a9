//! What is said about a command line that cannot be read: clap's findings as one
//! line of ours, without anything that may be a password.

use std::env;
use std::ffi::{OsStr, OsString};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ValueHint};

use super::ConfigError;
use crate::cli;
use crate::log::Format;
use crate::message::{escape, hide_quoted_urls, hide_urls};

/// The format of the line that says why there are no settings, but for what a file says.
pub(super) fn wanted_format(arguments: &[OsString]) -> Option<Format> {
    let variable = env::var_os("TASKLOCK_LOG_FORMAT");
    let ours: Vec<&OsString> = arguments.iter().take_while(|word| *word != "--").collect();
    let mut flags = ours.windows(2).filter_map(|pair| {
        let attached = pair[1].to_str()?.strip_prefix("--log-format=");
        attached.or_else(|| (*pair[0] == "--log-format").then(|| pair[1].to_str())?)
    });
    match flags
        .next_back()
        .or(variable.as_deref().and_then(OsStr::to_str))
    {
        Some("json") => Some(Format::Json),
        None | Some("") => None,
        Some(_) => Some(Format::Text),
    }
}

/// clap's message in one line: what is wrong, and its tips; not the usage below it.
pub(super) fn one_line(error: &clap::Error) -> String {
    if let Some(ContextValue::Strings(missing)) = error.get(ContextKind::InvalidArg)
        && error.kind() == ErrorKind::MissingRequiredArgument
    {
        return format!("{} (see tasklock --help)", what_is_missing(missing));
    }
    let rendered = error.to_string();
    let told = rendered.split("\n\nUsage:").next().unwrap_or_default();
    let told = told.split("\n\nFor more").next().unwrap_or_default();
    let mut words = String::new();
    for line in told.trim_start_matches("error: ").lines().map(str::trim) {
        // "to pass '--x' as a value, use '-- --x'": that would make it the COMMAND.
        if line.is_empty() || line.starts_with("tip: to pass") {
            continue;
        }
        if !words.is_empty() {
            words.push_str(if line.starts_with("tip: ") { "; " } else { " " });
        }
        words.push_str(line);
    }
    format!(
        "{} (see tasklock --help)",
        escape(&hide_quoted_urls(&words))
    )
}

/// `missing COMMAND`, and for a run without a name what is likely meant.
fn what_is_missing(missing: &[String]) -> String {
    let words: Vec<_> = missing
        .iter()
        .map(|word| word.replace(['<', '>'], "").replace("...", ""))
        .collect();
    let missing = format!("missing {}", words.join(" and "));
    if !words.iter().any(|word| word == "--name NAME") {
        return missing;
    }
    // A slip in a subcommand makes a run of it.
    format!(
        "{missing}: write tasklock --name NAME COMMAND, or a subcommand ({}) as the first word",
        cli::SUBCOMMANDS.join(", ")
    )
}

/// Names the flag or variable whose text is not UTF-8; never the text, which may be a URL.
pub(super) fn not_utf8(arguments: &[OsString]) -> ConfigError {
    let is_path = |arg: &Arg| arg.get_value_hint() == ValueHint::FilePath;
    let command = cli::command();
    // Where readable arguments are refused just so, the environment is at fault.
    let readable = arguments
        .iter()
        .map(|word| word.to_string_lossy().into_owned());
    let refused = cli::command().try_get_matches_from(readable).err();
    if refused.is_some_and(|error| error.kind() == ErrorKind::InvalidUtf8) {
        let variable = command
            .get_arguments()
            .filter(|arg| !is_path(arg))
            .filter_map(Arg::get_env)
            .find(|name| env::var_os(name).is_some_and(|value| value.to_str().is_none()))
            .unwrap_or(OsStr::new("environment"));
        let variable = variable.display();
        return ConfigError::config(format!("{variable}: the value is not valid UTF-8"));
    }
    let flag = |word: &OsString| {
        let word = word.to_string_lossy();
        let end = match word.strip_prefix("--") {
            Some(rest) => 2 + rest.find('=').unwrap_or(rest.len()),
            None => word.char_indices().nth(2).map_or(word.len(), |(at, _)| at),
        };
        word.starts_with('-')
            .then(|| hide_urls(&escape(&word[..end])))
    };
    let takes_path = |flag: &str| {
        command
            .get_arguments()
            .any(|arg| is_path(arg) && arg.get_long() == flag.strip_prefix("--"))
    };
    let culprit = arguments
        .windows(2)
        .filter(|pair| pair[1].to_str().is_none())
        .map(|pair| flag(&pair[1]).or_else(|| flag(&pair[0])))
        .find(|flag| !flag.as_deref().is_some_and(takes_path))
        .flatten()
        .unwrap_or_else(|| "an argument".to_owned());
    ConfigError::usage(format!("{culprit}: the value is not valid UTF-8"))
}
