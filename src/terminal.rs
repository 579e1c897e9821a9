//! What standard output is: a terminal, which has a width and may have colours,
//! or something that a program reads.

use std::env;
use std::ffi::OsStr;
use std::io::{self, IsTerminal};

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
