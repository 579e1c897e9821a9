//! Standard output, for the subcommands. During a run it belongs to the command.

use std::io::Write;

/// Prints a line. A reader that has gone away (`| head -1`) is no error.
pub fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
