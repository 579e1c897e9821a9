//! Findings for people, and for programs.

use std::env;
use std::io::{IsTerminal, stdout};

use serde_json::{Value, json};

use super::finding::{Finding, Level};
use crate::exit::Ending;
use crate::message::{escape, json_line};
use crate::output;

/// The width of the words `warning` and `min-replicas`, with a gap.
const LEVEL_WIDTH: usize = 9;
const CHECK_WIDTH: usize = 14;

/// One line for each finding, and one for what to do about it.
pub(super) fn lines(findings: &[Finding]) {
    let plain = env::var_os("NO_COLOR").is_some_and(|it| !it.is_empty()) || !stdout().is_terminal();
    for finding in findings {
        for line in text(finding, !plain) {
            output::line(&line);
        }
    }
}

fn text(finding: &Finding, coloured: bool) -> Vec<String> {
    let word = format!("{:LEVEL_WIDTH$}", finding.level.word());
    let word = match color(finding.level) {
        Some(color) if coloured => format!("\x1b[{color}m{word}\x1b[0m"),
        _ => word,
    };
    let server = finding.server.as_ref();
    let server = server.map_or_else(String::new, |server| format!("{server}: "));
    let told = escape(&format!("{server}{}", finding.text));
    let mut lines = vec![format!("{word}{:CHECK_WIDTH$}{told}", finding.check)];
    if let Some(advice) = &finding.advice {
        let indent = LEVEL_WIDTH + CHECK_WIDTH;
        lines.push(format!("{:indent$}-> {}", "", escape(advice)));
    }
    lines
}

/// The parameter of the terminal's SGR sequence.
fn color(level: Level) -> Option<&'static str> {
    match level {
        Level::Ok => Some("32"),
        Level::Unknown => None,
        Level::Warning => Some("33"),
        Level::Error(_) => Some("31"),
    }
}

/// One object.
pub(super) fn json(store: &str, findings: &[Finding], ending: Ending) {
    let checks: Vec<Value> = findings.iter().map(check).collect();
    let code = match ending {
        Ending::Code(code) => Some(code),
        Ending::Signal(_) => None,
    };
    let object = json!({"store": store, "exit": code, "checks": checks});
    output::line(&json_line(&object));
}

fn check(finding: &Finding) -> Value {
    json!({
        "check": finding.check,
        "level": finding.level.word(),
        "server": finding.server,
        "text": finding.text,
        "advice": finding.advice,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_cannot_write_to_the_terminal() {
        let finding = Finding::warning("x", "a\x1b[2Jb").advise("c\nd");
        let lines = text(&finding, true).join("|");
        assert!(
            !lines.contains("\x1b[2J") && !lines.contains('\n'),
            "{lines:?}"
        );
        assert!(lines.starts_with("\x1b[33mwarning"), "{lines:?}");
    }
}
