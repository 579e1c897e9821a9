//! What standard output or error is: a terminal, which has a width and may have colours,
//! or something that a program reads.

use std::env;
use std::ffi::OsStr;
use std::io::{self, IsTerminal};

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// What stands where text was cut off.
const CUT: char = '…';

/// A terminal that does not tell its size (a serial line) is taken for this one.
const DEFAULT_SIZE: Size = Size {
    rows: 24,
    columns: 80,
};

/// A terminal's size in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Lines.
    pub rows: usize,
    /// Characters of a line.
    pub columns: usize,
}

/// Whether to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Never: they were declined, or nobody would see them.
    No,
    /// Where they help.
    Yes,
}

/// The terminal on standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terminal {
    /// Its size when it was asked.
    pub size: Size,
    /// Colours, unless `NO_COLOR` or a simple terminal speaks against them.
    pub colour: Colour,
}

/// The terminal on standard output, if it is one.
#[must_use]
pub fn on_stdout() -> Option<Terminal> {
    let stdout = io::stdout();
    stdout.is_terminal().then(|| Terminal {
        size: size(),
        colour: colour(),
    })
}

/// Whether somebody is there to be asked: both what they type and what they are asked arrives.
#[must_use]
pub fn has_somebody() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// The size of the terminal on standard output, as of now.
#[must_use]
pub fn size() -> Size {
    let told = terminal_size::terminal_size_of(io::stdout());
    told.map_or(DEFAULT_SIZE, |(width, height)| Size {
        rows: at_least_one(height.0, DEFAULT_SIZE.rows),
        columns: at_least_one(width.0, DEFAULT_SIZE.columns),
    })
}

/// How many characters a line on standard error can have, where it is a terminal on which
/// a line can be taken away again.
#[must_use]
pub fn line_on_stderr() -> Option<usize> {
    if !io::stderr().is_terminal() || !is_capable() {
        return None;
    }
    let told = terminal_size::terminal_size_of(io::stderr());
    let columns = told.map_or(DEFAULT_SIZE.columns, |(width, _)| {
        at_least_one(width.0, DEFAULT_SIZE.columns)
    });
    // In the last column some terminals begin the next line.
    Some(columns - 1)
}

/// Whether the terminal does more than print: `TERM` names it and not as `dumb`.
#[must_use]
pub fn is_capable() -> bool {
    env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb")
}

fn colour() -> Colour {
    // https://no-color.org: present and not empty.
    let declined = env::var_os("NO_COLOR").is_some_and(|value| value != OsStr::new(""));
    if declined || !is_capable() {
        Colour::No
    } else {
        Colour::Yes
    }
}

fn at_least_one(told: u16, default: usize) -> usize {
    match told {
        0 => default,
        told => told.into(),
    }
}

/// `text` without what is beyond `width` characters of a terminal.
#[must_use]
pub fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut room = width.saturating_sub(1);
    let mut kept: String = text
        .chars()
        .take_while(|c| {
            let fits = c.width().unwrap_or(0) <= room;
            room = room.saturating_sub(c.width().unwrap_or(0));
            fits
        })
        .collect();
    if width > 0 {
        kept.push(CUT);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_characters_are_cut_between_each_other() {
        assert_eq!(cut("深夜備份", 8), "深夜備份");
        assert_eq!(cut("深夜備份", 7), "深夜備…");
        assert_eq!(cut("深夜備份", 6), "深夜…");
        assert_eq!(cut("ab", 1), "…");
        assert_eq!(cut("ab", 0), "");
    }
}
