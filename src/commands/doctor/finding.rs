//! What a check came to.

use crate::exit::{Code, Ending};

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// Which check: a word.
    pub(super) check: &'static str,
    pub(super) level: Level,
    /// The server that it is about, if there are several.
    pub(super) server: Option<String>,
    /// What was found.
    pub(super) text: String,
    /// What to do about it.
    pub(super) advice: Option<String>,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Ok,
    /// It could not be seen.
    Unknown,
    /// A run works, but something may go wrong one day.
    Warning,
    /// A run would end with this code.
    Error(Code),
}

/// The exit code of a store with warnings only.
const WARNINGS: u8 = 1;

impl Level {
    pub(super) fn word(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Unknown => "unknown",
            Level::Warning => "warning",
            Level::Error(_) => "error",
        }
    }
}

impl Finding {
    pub(super) fn new(check: &'static str, level: Level, text: impl Into<String>) -> Finding {
        Finding {
            check,
            level,
            server: None,
            text: text.into(),
            advice: None,
        }
    }

    pub(super) fn ok(check: &'static str, text: impl Into<String>) -> Finding {
        Finding::new(check, Level::Ok, text)
    }

    pub(super) fn warning(check: &'static str, text: impl Into<String>) -> Finding {
        Finding::new(check, Level::Warning, text)
    }

    /// `what` cannot be seen, because of `why`.
    pub(super) fn hidden(check: &'static str, what: &str, why: &str) -> Finding {
        Finding::new(check, Level::Unknown, format!("cannot see {what}: {why}"))
    }

    pub(super) fn advise(mut self, advice: impl Into<String>) -> Finding {
        self.advice = Some(advice.into());
        self
    }

    pub(super) fn about(mut self, server: &str) -> Finding {
        self.server = Some(server.to_owned());
        self
    }
}

/// The exit code: that of the first error, 1 for warnings, else 0.
pub(super) fn ending(findings: &[Finding]) -> Ending {
    let error = findings.iter().find_map(|finding| match finding.level {
        Level::Error(code) => Some(code),
        _ => None,
    });
    match error {
        Some(code) => code.into(),
        None if findings.iter().any(|it| it.level == Level::Warning) => Ending::Code(WARNINGS),
        None => Code::Ok.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_error_decides_and_what_is_hidden_harms_nobody() {
        let ok = || Finding::ok("a", "");
        let hidden = || Finding::hidden("b", "x", "y");
        let warning = || Finding::warning("c", "");
        let error = |code| Finding::new("d", Level::Error(code), "");
        assert_eq!(ending(&[ok(), hidden()]), Ending::Code(0));
        assert_eq!(ending(&[ok(), warning(), hidden()]), Ending::Code(1));
        let mixed = [warning(), error(Code::Denied), error(Code::Unavailable)];
        assert_eq!(ending(&mixed), Ending::Code(77));
    }
}
