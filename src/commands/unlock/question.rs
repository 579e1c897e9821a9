//! `Free it now? [y/N]`

use std::io::{Write, stderr, stdin};

/// What was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Yes,
    No,
}

/// Asks on standard error, as standard output may be read by a program, and
/// reads a line from standard input. No answer is no.
pub(super) fn ask() -> Answer {
    let mut stderr = stderr();
    let question = "The old job may run on until its next refresh. Free it now? [y/N] ";
    let _ = stderr.write_all(question.as_bytes());
    let _ = stderr.flush();
    let mut line = String::new();
    match stdin().read_line(&mut line) {
        Ok(_) => read(&line),
        Err(_) => Answer::No,
    }
}

fn read(line: &str) -> Answer {
    match line.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Answer::Yes,
        _ => Answer::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        for line in ["y\n", "Y\n", "yes\r\n", " YES \n"] {
            assert_eq!(read(line), Answer::Yes, "{line:?}");
        }
        for line in ["", "\n", "n\n", "no\n", "yo\n", "yy\n"] {
            assert_eq!(read(line), Answer::No, "{line:?}");
        }
    }
}
