//! What others wrote, made fit for a line of ours.

use std::path::Path;

use serde_json::Value;

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

/// JSON on one line, which has no control characters as they are: JSON itself would let some
/// pass that steer a terminal as well as an escape does (U+009B).
#[must_use]
pub fn json_line(value: &Value) -> String {
    let mut safe = String::new();
    for c in value.to_string().chars() {
        if c.is_control() {
            safe.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            safe.push(c);
        }
    }
    safe
}

/// Text that stood on the command line, without what follows a `redis://` in it:
/// who forgets `-u` before a URL must not find its password in a log.
#[must_use]
pub fn hide_urls(text: &str) -> String {
    match text.find("://") {
        Some(at) => format!("{}…", &text[..at + 3]),
        None => text.to_owned(),
    }
}

/// The same for text that quotes it: what follows the last quote stays.
#[must_use]
pub fn hide_quoted_urls(text: &str) -> String {
    let shown = hide_urls(text);
    let end = shown
        .find(['\'', '"'])
        .and_then(|at| text.rfind(char::from(shown.as_bytes()[at])))
        .filter(|end| *end >= shown.len() - "…".len() && shown != text);
    shown + &text[end.unwrap_or(text.len())..]
}

/// The path of a file as it is told: also what stands in its place by mistake.
#[must_use]
pub fn show_path(path: &Path) -> String {
    hide_urls(&escape(&path.to_string_lossy()))
}

/// A store URL with `***` for what logs in: user and password before the host,
/// passwords among the options.
#[must_use]
pub fn mask_url(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), url),
    };
    let (before, options) = match rest.find('?') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    // One in a password that should be %40 hides too much rather than too little.
    let host = match before.rsplit_once('@') {
        Some((user, host)) => match user.split_once(':') {
            Some((user, _)) => format!("{user}:{MASK}@{host}"),
            None => format!("{MASK}@{host}"),
        },
        None => before.to_owned(),
    };
    let options: Vec<_> = options.split('&').map(mask_option).collect();
    format!("{scheme}{host}{}", options.join("&"))
}

/// Whether a store URL has a password in it.
#[must_use]
pub fn has_password(url: &str) -> bool {
    let masked = mask_url(url);
    let masks = [format!(":{MASK}@"), format!("={MASK}")];
    masks.iter().any(|mask| masked.contains(mask))
}

const MASK: &str = "***";

/// `sentinel_password=***`
fn mask_option(option: &str) -> String {
    match option.split_once('=') {
        Some((name, _)) if name.contains("pass") => format!("{name}={MASK}"),
        // A password with a raw "?" in it: what follows is its rest.
        _ if option.contains('@') => MASK.to_owned(),
        _ => option.to_owned(),
    }
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
            hide_quoted_urls("unexpected argument 'redis://:a b'c@h' found"),
            "unexpected argument 'redis://…' found"
        );
        assert_eq!(
            hide_quoted_urls("\"redis://:a'b@h\" is not one of stop, continue"),
            "\"redis://…\" is not one of stop, continue"
        );
        assert_eq!(hide_quoted_urls("no 'a' in b"), "no 'a' in b");
        assert_eq!(hide_quoted_urls("redis://:a'b@h"), "redis://…");
        assert_eq!(hide_urls("redis://:secret@h"), "redis://…");
        assert_eq!(hide_urls("it's redis://:sec'ret@h"), "it's redis://…");
        assert_eq!(hide_urls("./backup.sh"), "./backup.sh");
    }

    #[test]
    fn a_url_is_shown_without_what_logs_in() {
        for (url, masked, secret) in [
            ("redis://h:1/2", "redis://h:1/2", false),
            ("local:/dir", "local:/dir", false),
            ("redis://job@h", "redis://***@h", false),
            ("redis://job:secret@h/2", "redis://job:***@h/2", true),
            ("redis://:s%40t@h", "redis://:***@h", true),
            ("redis://:s@t:u@h", "redis://:***@h", true),
            ("job:secret@h", "job:***@h", true),
            (
                "unix:///r.sock?db=1&user=job&pass=secret",
                "unix:///r.sock?db=1&user=job&pass=***",
                true,
            ),
            (
                "redis+sentinel://u:p@a,b/m?sentinel_user=s&sentinel_password=s@t",
                "redis+sentinel://u:***@a,b/m?sentinel_user=s&sentinel_password=***",
                true,
            ),
            ("redis://:se?cret@h", "redis://:se***", false),
        ] {
            assert_eq!(mask_url(url), masked);
            assert_eq!(has_password(url), secret, "{url}");
        }
    }

    #[test]
    fn json_stays_what_it_is_without_any_control_character() {
        let text = "a\u{1b}[2J\n\u{7f}\u{85}\u{9b}2Jü";
        let value = serde_json::json!({"who": text, "\u{9b}": 1});
        let line = json_line(&value);
        assert!(!line.contains(char::is_control), "{line:?}");
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), value);
    }

    #[test]
    fn a_path_is_told_on_one_line_and_without_a_password() {
        assert_eq!(show_path(Path::new("/a\nb")), "/a\\nb");
        assert_eq!(show_path(Path::new("redis://:secret@h")), "redis://…");
    }

    #[test]
    fn io_errors_are_told_without_their_number() {
        let error = std::io::Error::from_raw_os_error(2);
        assert_eq!(plain(&error), "no such file or directory");
    }
}
