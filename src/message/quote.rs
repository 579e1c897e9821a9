//! What others wrote, made fit for a line of ours.

/// Text of others without the control characters that could steer a terminal.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            safe.extend(c.escape_default())
        } else {
            safe.push(c)
        }
    }
    safe
}

/// Text that quotes what stood on the command line, without what follows a
/// `redis://` in it: who forgets `-u` before a URL must not find its password in a log.
#[must_use]
pub fn hide_urls(text: &str) -> String {
    let Some(start) = text.find("://").map(|at| at + 3) else {
        return text.to_owned();
    };
    // The quote that clap puts after what it quotes.
    let end = text.rfind('\'').filter(|end| *end >= start);
    format!("{}…{}", &text[..start], &text[end.unwrap_or(text.len())..])
}

/// An I/O error without its number: `no such file or directory`.
#[must_use]
pub fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(chars).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_urls_lose_what_may_be_a_password() {
        assert_eq!(
            hide_urls("unexpected argument 'redis://:a b'c@h' found"),
            "unexpected argument 'redis://…' found"
        );
        assert_eq!(hide_urls("redis://:secret@h"), "redis://…");
        assert_eq!(hide_urls("it's redis://:secret@h"), "it's redis://…");
        assert_eq!(hide_urls("./backup.sh"), "./backup.sh");
    }

    #[test]
    fn io_errors_are_told_without_their_number() {
        let error = std::io::Error::from_raw_os_error(2);
        assert_eq!(plain(&error), "no such file or directory");
    }
}
