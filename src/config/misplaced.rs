//! A subcommand behind its options, `tasklock --url URL status NAME`: that is a run
//! of a command called `status`, and seldom meant.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, Command};

use crate::cli;

/// What to say about a command line that clap refuses, if such a slip is why.
pub(super) fn misplaced(arguments: &[OsString], error: &clap::Error) -> Option<String> {
    let words = arguments.iter().skip(1).map(|word| word.to_str());
    let word = first_operand(words.map(Option::unwrap_or_default))?;
    let meant = cli::SUBCOMMANDS.iter().find(|name| **name == word.text)?;
    if word.is_first {
        return None;
    }
    let first = format!("a subcommand comes before its options: write tasklock {meant} [OPTIONS]");
    match error.kind() {
        ErrorKind::MissingRequiredArgument => Some(format!(
            "{first} (to run a command called {meant}, give --name NAME) (see tasklock --help)"
        )),
        ErrorKind::UnknownArgument => Some(format!("{first} (see tasklock {meant} --help)")),
        _ => None,
    }
}

/// The first word that is neither an option nor the value of one.
struct Operand<'a> {
    text: &'a str,
    /// No option stands before it.
    is_first: bool,
}

fn first_operand<'a>(words: impl Iterator<Item = &'a str>) -> Option<Operand<'a>> {
    let mut command = cli::command();
    // The options of the subcommands are defined by this.
    command.build();
    let (mut is_first, mut is_value) = (true, false);
    for text in words {
        match text.strip_prefix('-') {
            _ if is_value => is_value = false,
            Some("-") => return None,
            Some(option) if !option.is_empty() => is_value = takes_the_next(&command, option),
            _ => return Some(Operand { text, is_first }),
        }
        is_first = false;
    }
    None
}

/// Whether the value of this option, given without its first dash, is the next
/// word. One that nobody knows has none.
fn takes_the_next(command: &Command, option: &str) -> bool {
    if let Some(long) = option.strip_prefix('-') {
        return takes_value(command, |arg| arg.get_long() == Some(long));
    }
    // Of several in one word the first that takes a value has the rest of it.
    let valued =
        |(_, short): &(usize, char)| takes_value(command, |arg| arg.get_short() == Some(*short));
    let valued = option.char_indices().find(valued);
    valued.is_some_and(|(at, short)| at + short.len_utf8() == option.len())
}

fn takes_value(command: &Command, is_it: impl Fn(&Arg) -> bool) -> bool {
    let everywhere = command.get_subcommands().chain([command]);
    let mut known = everywhere.flat_map(Command::get_arguments);
    known.find(|arg| is_it(arg)).is_some_and(|arg| {
        matches!(arg.get_action(), ArgAction::Set | ArgAction::Append)
            && !arg.is_require_equals_set()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_operand_is_no_value_of_an_option() {
        for (words, operand) in [
            ("status x", Some("status")),
            ("--url redis://h status x", Some("status")),
            ("--url=redis://h status x", Some("status")),
            ("-u redis://h -v status", Some("status")),
            ("-uredis://h status", Some("status")),
            ("-qu status list", Some("list")),
            ("--json status", Some("status")),
            ("--max-age 1d status", Some("status")),
            ("--watch list", Some("list")),
            ("--unknown list", Some("list")),
            ("--name status", None),
            ("-q -- status", None),
            ("", None),
        ] {
            let found = first_operand(words.split_whitespace()).map(|word| word.text);
            assert_eq!(found, operand, "{words}");
        }
    }
}
