//! Standard output, for the subcommands. During a run it belongs to the command.

use std::io::{self, Write};

/// Prints a line. A reader that has gone away (`| head -1`) is no error.
pub fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
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
