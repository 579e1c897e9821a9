//! Which commands a user needs under access control lists. Tests hold the lists
//! to the scripts and to the requests of this module.

use crate::store::pattern::literal;

/// What the scripts call, in the words of `ACL SETUSER`.
pub(crate) const IN_SCRIPTS: [&str; 18] = [
    "cluster|keyslot",
    "del",
    "exists",
    "get",
    "hdel",
    "hget",
    "hmget",
    "hset",
    "info",
    "lrange",
    "ltrim",
    "persist",
    "pexpire",
    "pttl",
    "publish",
    "rpush",
    "set",
    "time",
];

/// What is sent beside them.
pub(crate) const BESIDE: [&str; 10] = [
    "asking",
    "cluster|slots",
    "eval",
    "evalsha",
    "ping",
    "role",
    "scan",
    "select",
    "subscribe",
    "wait",
];

/// `ACL SETUSER …` with no more than tasklock needs, for locks of this prefix.
/// Without a `user` it is a new one, whose password is left to fill in; one that
/// exists keeps what it has.
pub(crate) fn rule(user: Option<&str>, key_prefix: &str) -> String {
    let prefix = literal(key_prefix);
    let who = match user {
        Some(user) => quoted(user),
        None => "tasklock on >PASSWORD -@all resetchannels".to_owned(),
    };
    let mut commands: Vec<&str> = IN_SCRIPTS.into_iter().chain(BESIDE).collect();
    commands.sort_unstable();
    let commands: Vec<String> = commands.iter().map(|name| format!("+{name}")).collect();
    let [keys, state, channels] = ["~", "~{", "&"].map(|sign| quoted(&format!("{sign}{prefix}*")));
    format!(
        "ACL SETUSER {who} {keys} {state} {channels} {}",
        commands.join(" ")
    )
}

/// A word of redis-cli's.
fn quoted(word: &str) -> String {
    if word.contains([' ', '"', '\'', '\\']) {
        format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        word.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    /// The files of this module that end in `.extension`, one text.
    fn sources(directory: &Path, extension: &str) -> String {
        let mut text = String::new();
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                text += &sources(&path, extension);
            } else if path.extension().is_some_and(|it| it == extension) {
                text += &fs::read_to_string(path).unwrap();
            }
        }
        text
    }

    fn of_this_module(extension: &str) -> String {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
        sources(&root, extension)
    }

    /// The words in quotes that follow each `call` in `text`.
    fn called(text: &str, call: &str, quote: char) -> BTreeSet<String> {
        let calls = text.split(call).skip(1);
        let named = calls.filter_map(|rest| rest.strip_prefix(quote)?.split(quote).next());
        let is_word = |word: &&str| word.chars().all(|c| c.is_ascii_alphabetic());
        named.filter(is_word).map(str::to_lowercase).collect()
    }

    #[test]
    fn the_rights_are_those_that_the_scripts_need_and_no_others() {
        let scripts = of_this_module("lua");
        let mut needed = called(&scripts, "redis.call(", '\'');
        needed.extend(called(&scripts, "redis.pcall(", '\''));
        if needed.remove("cluster") {
            assert!(scripts.contains("redis.pcall('CLUSTER', 'KEYSLOT', "));
            needed.insert("cluster|keyslot".to_owned());
        }
        let granted: BTreeSet<String> = IN_SCRIPTS.map(str::to_owned).into();
        assert_eq!(granted, needed);
        // Each call names its command on the spot, or it would not have been found.
        let calls =
            scripts.matches("redis.call(").count() + scripts.matches("redis.pcall(").count();
        let named =
            scripts.matches("redis.call('").count() + scripts.matches("redis.pcall('").count();
        assert_eq!(calls, named);
    }

    #[test]
    fn the_rights_are_enough_for_what_is_sent_beside_the_scripts() {
        let mut sent = called(&of_this_module("rs"), "redis::cmd(", '"');
        // Everybody may log in, and a Sentinel has users of its own.
        for free in ["auth", "sentinel"] {
            assert!(sent.remove(free), "{free}");
        }
        assert!(sent.remove("cluster") && of_this_module("rs").contains("arg(\"SLOTS\")"));
        sent.insert("cluster|slots".to_owned());
        // PING is doctor's, SCAN that of whoever looks for names.
        sent.extend(["ping", "scan"].map(str::to_owned));
        let granted: BTreeSet<String> = BESIDE.map(str::to_owned).into();
        assert_eq!(granted, sent);
    }

    #[test]
    fn the_rule_names_keys_and_channels_of_the_prefix() {
        let rule = rule(None, "task_lock:");
        let begin = "ACL SETUSER tasklock on >PASSWORD -@all resetchannels \
                     ~task_lock:* ~{task_lock:* &task_lock:* +asking +cluster|keyslot ";
        assert!(rule.starts_with(begin), "{rule}");
    }

    #[test]
    fn a_prefix_with_signs_of_patterns_matches_itself_only() {
        let rule = rule(Some("the job"), "a*b ");
        let begin = "ACL SETUSER \"the job\" \"~a\\\\*b *\" ";
        assert!(rule.starts_with(begin), "{rule}");
    }
}
