//! Command lines.

use proptest::collection::vec;
use proptest::prelude::{Strategy, prop_oneof};
use proptest::strategy::Union;
use tasklock::cli;
use tasklock::config::{self, Settings};
use tasklock::exit::Code;

use super::bytes::{Bytes, mutated, random, url_with_password, word};
use super::{fit_to_read, fuzz, without_secret};

const SUBCOMMANDS: [&str; 10] = [
    "status", "list", "history", "unlock", "acquire", "refresh", "release", "check", "config",
    "doctor",
];

/// Every option of every subcommand, and the words that call these.
fn declared() -> Vec<String> {
    let mut command = cli::command();
    command.build();
    let mut words = vec!["--".to_owned(), "-".to_owned(), "true".to_owned()];
    let mut levels = vec![&command];
    while let Some(level) = levels.pop() {
        for sub in level.get_subcommands() {
            words.push(sub.get_name().to_owned());
            levels.push(sub);
        }
        for option in level.get_arguments() {
            words.extend(option.get_long().map(|long| format!("--{long}")));
            words.extend(option.get_short().map(|short| format!("-{short}")));
        }
    }
    words.sort();
    words.dedup();
    words
}

const VALUES: &[&str] = &[
    "",
    "0",
    "1",
    "-1",
    "60",
    "1h30m",
    "0.5s",
    "1e9",
    "nan",
    "forever",
    "infinity",
    "18446744073709551616",
    "99999999999d",
    "256",
    "TERM",
    "SIGKILL",
    "0x1",
    "stop",
    "continue",
    "run",
    "skip",
    "fail",
    "json",
    "text",
    "a",
    "backup",
    "{a}",
    "a\nb",
    "é",
    "local:",
    "local:/x",
    "redis://h",
    "redis://h/x",
    "/nonexistent/a\nb",
    "/etc/passwd",
    "/",
    ".",
    "--",
    "=",
    "--name=a",
    "--url",
    "-u",
    "-nq",
    "\u{7f}",
];

/// What stands for a value.
pub(super) fn value() -> impl Strategy<Value = Bytes> {
    let huge = (1..9000usize).prop_map(|length| Bytes::from("x".repeat(length)));
    prop_oneof![
        8 => word(VALUES),
        3 => url_with_password(),
        2 => mutated(word(VALUES)),
        2 => random(12),
        1 => huge,
    ]
}

fn arguments() -> impl Strategy<Value = Vec<Bytes>> {
    let declared = declared();
    let declared: Vec<&str> = declared.iter().map(String::as_str).collect();
    let joined = (word(&declared), value()).prop_map(|(option, value)| {
        let joiner: &[u8] = if option.0.starts_with(b"--") {
            b"="
        } else {
            b""
        };
        Bytes([&option.0, joiner, &value.0].concat())
    });
    let any_word = Union::new_weighted(vec![
        (6, word(&declared).boxed()),
        (6, value().boxed()),
        (3, joined.boxed()),
        (1, mutated(word(&declared)).boxed()),
    ]);
    let named = vec(any_word.clone(), 0..8).prop_map(|rest| {
        let name = ["--name", "a"].map(Bytes::from);
        name.into_iter().chain(rest).collect()
    });
    let sub = word(&SUBCOMMANDS);
    let of_sub = (sub, vec(any_word.clone(), 0..8));
    prop_oneof![
        vec(any_word, 0..10),
        named,
        of_sub.prop_map(|(sub, rest)| [vec![sub], rest].concat()),
    ]
}

#[test]
fn arguments_give_settings_or_one_line() {
    fuzz("arguments", arguments(), |words| {
        let ours = Bytes::from("tasklock");
        let words = [&ours].into_iter().chain(words).map(Bytes::os);
        match config::read(words) {
            Ok(Settings::Run(run)) => without_secret(&run.lock.target.to_string()),
            Ok(Settings::Status(status)) => {
                let mut places = status.places.iter();
                places.try_for_each(|place| without_secret(&place.target.to_string()))
            }
            Ok(Settings::Unlock(unlock)) => without_secret(&unlock.place.target.to_string()),
            Ok(Settings::Config(effective, _)) => without_secret(&effective.store),
            Ok(Settings::Print(text)) => without_secret(&text),
            Ok(_) => Ok(()),
            Err(error) if matches!(error.code, Code::Usage | Code::Config) => {
                fit_to_read(&error.text)
            }
            Err(error) => Err(format!("{:?}: {error}", error.code)),
        }
    });
}
