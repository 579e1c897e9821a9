//! Standard output, for the subcommands. During a run it belongs to the command.

use std::io::{self, BufWriter, StdoutLock, Write};
use std::sync::OnceLock;

use crate::message::plain;

/// Prints a line. A reader that has gone away (`| head -1`) is no error.
pub fn line(text: &str) {
    lines(&[text]);
}

/// Prints lines, all in one write if they are few.
pub fn lines<T: AsRef<str>>(lines: &[T]) {
    let mut output = Output::new();
    for line in lines {
        if output.line(line.as_ref()) == Reader::Gone {
            return;
        }
    }
    output.flush();
}

/// Whether somebody reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// As far as we know.
    There,
    /// Whatever is written now is written for nobody.
    Gone,
}

/// Standard output for many lines.
#[derive(Debug)]
pub struct Output(BufWriter<StdoutLock<'static>>);

impl Output {
    /// Nobody else can write until it is dropped.
    #[must_use]
    pub fn new() -> Output {
        Output(BufWriter::new(io::stdout().lock()))
    }

    /// Prints a line, at the latest with [`Output::flush`].
    pub fn line(&mut self, text: &str) -> Reader {
        Reader::after(writeln!(self.0, "{text}"))
    }

    /// Has everything written that was printed.
    pub fn flush(&mut self) -> Reader {
        Reader::after(self.0.flush())
    }
}

impl Default for Output {
    fn default() -> Output {
        Output::new()
    }
}

impl Reader {
    fn after(result: io::Result<()>) -> Reader {
        match result {
            Ok(()) => Reader::There,
            Err(error) => {
                if error.kind() != io::ErrorKind::BrokenPipe {
                    let _ = FAILURE.set(plain(&error));
                }
                Reader::Gone
            }
        }
    }
}

/// Why something was not printed, where a reader may still be there.
static FAILURE: OnceLock<String> = OnceLock::new();

/// Why something was not printed although nobody has gone away: a full disk.
#[must_use]
pub fn failure() -> Option<&'static str> {
    FAILURE.get().map(String::as_str)
}

/// Prints `text` and the end of its line, for a reader that has to get it.
///
/// # Errors
/// When it cannot be written.
pub fn all(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(format!("{text}\n").as_bytes())?;
    stdout.flush()
}
