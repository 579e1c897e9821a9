//! The prefix of keys as a variable has it. One that is set to nothing, or to blanks,
//! is not set; so a prefix of no more than that stands in quotes there:
//! `TASKLOCK_KEY_PREFIX='""'`.

/// What the variable is set to, to mean `prefix`.
pub(super) fn to_variable(prefix: &str) -> String {
    if needs_quotes(prefix) {
        format!("\"{prefix}\"")
    } else {
        prefix.to_owned()
    }
}

/// The prefix that is meant by a variable which is set to `text`.
pub(super) fn from_variable(text: &str) -> &str {
    let quoted = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    quoted.filter(|prefix| needs_quotes(prefix)).unwrap_or(text)
}

fn needs_quotes(prefix: &str) -> bool {
    prefix.chars().all(|c| c == '"' || c.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prefix_is_read_as_it_was_written_and_none_as_nothing() {
        for prefix in [
            "",
            " ",
            "task_lock:",
            "\"",
            "\"\"",
            "\" \"",
            "\"a\"",
            "a b",
            "\u{a0}",
        ] {
            let variable = to_variable(prefix);
            assert!(!variable.trim().is_empty(), "{prefix:?}");
            assert_eq!(from_variable(&variable), prefix);
        }
        assert_eq!(to_variable(""), "\"\"");
        for plain in ["task_lock:", "\"a\"", "\"", "'"] {
            assert_eq!(from_variable(plain), plain);
        }
    }
}
