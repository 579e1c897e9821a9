//! The keys of a configuration file, and the one that was likely meant.

use strsim::osa_distance;

/// What a key can be set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum Kind {
    /// One URL or several.
    Urls,
    /// A text.
    Text,
    /// The absolute path of a file.
    Path,
    /// A duration: a text, or a number of seconds.
    Time,
    /// A whole number.
    Number,
    /// Yes or no.
    Flag,
}

/// Where a key may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum Scope {
    /// Anywhere: a default for all locks, or what one of them needs.
    Any,
    /// In the section of a lock: for all of them it would make no sense.
    Lock,
}

/// A key: the name of an option of a run without its dashes before.
#[derive(Debug)]
pub(in crate::config) struct Key {
    /// As in the definition of the command line: `kill_after`.
    pub(in crate::config) id: &'static str,
    pub(in crate::config) kind: Kind,
    pub(in crate::config) scope: Scope,
}

impl Key {
    /// As in a file: `kill-after`.
    pub(in crate::config) fn name(&self) -> String {
        self.id.replace('_', "-")
    }
}

const fn site(id: &'static str, kind: Kind) -> Key {
    let scope = Scope::Any;
    Key { id, kind, scope }
}

const fn of_lock(id: &'static str, kind: Kind) -> Key {
    let scope = Scope::Lock;
    Key { id, kind, scope }
}

/// All of them, in the order in which `tasklock config` shows them.
pub(in crate::config) const KEYS: [Key; 30] = [
    site("url", Kind::Urls),
    site("url_file", Kind::Path),
    site("key_prefix", Kind::Text),
    site("store_timeout", Kind::Time),
    site("tls_ca", Kind::Path),
    site("tls_cert", Kind::Path),
    site("tls_key", Kind::Path),
    site("ttl", Kind::Time),
    site("wait", Kind::Time),
    of_lock("slots", Kind::Number),
    site("min_hold", Kind::Time),
    of_lock("once_per", Kind::Time),
    of_lock("once_key", Kind::Text),
    of_lock("once_attempts", Kind::Number),
    site("history", Kind::Number),
    site("replicas", Kind::Number),
    site("jitter", Kind::Time),
    site("conflict_exit_code", Kind::Number),
    site("lost_exit_code", Kind::Number),
    site("signal", Kind::Text),
    site("kill_after", Kind::Time),
    site("on_lost", Kind::Text),
    site("max_runtime", Kind::Time),
    site("on_unavailable", Kind::Text),
    site("foreground", Kind::Flag),
    of_lock("reason", Kind::Text),
    site("holder", Kind::Text),
    of_lock("report", Kind::Path),
    site("quiet", Kind::Flag),
    site("log_format", Kind::Text),
];

/// The key of this name.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    // Without a text for each: a file may have thousands of keys.
    let same = |id: &str| {
        let id = id
            .bytes()
            .map(|byte| if byte == b'_' { b'-' } else { byte });
        id.eq(name.bytes())
    };
    KEYS.iter().find(|key| same(key.id))
}

/// The name that was likely meant by `name`, if one is close to it.
pub(super) fn nearest(name: &str, others: &[&str]) -> Option<String> {
    // Long names cannot be near to any, and the distance takes their product.
    if name.len() > 40 {
        return None;
    }
    let name = name.to_lowercase().replace(['_', ' '], "-");
    let names = KEYS.iter().map(Key::name);
    names
        .chain(others.iter().map(|name| (*name).to_owned()))
        .map(|known| (osa_distance(&name, &known), known))
        // One slip in three letters.
        .filter(|(distance, known)| *distance <= known.len().div_ceil(3))
        .min()
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli;

    #[test]
    fn the_keys_are_the_options_of_a_run_but_for_what_only_one_run_can_say() {
        // Which run it is, where it reads its settings, what one looks for at a terminal.
        let of_a_run = ["name", "config", "nonblock", "verbose"];
        let command = cli::command();
        let options = command.get_arguments().filter(|arg| !arg.is_positional());
        let options: Vec<_> = options.map(|arg| arg.get_id().as_str()).collect();
        for id in &options {
            let known = KEYS.iter().any(|key| key.id == *id);
            assert_ne!(known, of_a_run.contains(id), "{id}");
        }
        for key in &KEYS {
            assert!(options.contains(&key.id), "{key:?}");
        }
    }

    #[test]
    fn slips_find_the_key_that_was_meant_and_nonsense_finds_none() {
        for (slip, meant) in [
            ("tttl", "ttl"),
            ("TTL", "ttl"),
            ("kill_after", "kill-after"),
            ("killafter", "kill-after"),
            ("max-run-time", "max-runtime"),
            ("locks", "lock"),
            ("on-unavailible", "on-unavailable"),
        ] {
            assert_eq!(nearest(slip, &["lock"]).as_deref(), Some(meant));
        }
        for nonsense in ["", "command", "interval", &"ttl".repeat(1000)] {
            assert_eq!(nearest(nonsense, &["lock"]), None, "{nonsense:?}");
        }
    }
}
