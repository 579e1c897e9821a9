//! Variables, and what a whole run writes.

use proptest::collection::vec;
use proptest::prelude::{Just, prop_oneof};
use proptest::strategy::Union;
use tasklock::cli;

use super::arguments::value;
use super::bytes::{Bytes, word};
use super::{fit_to_read, fuzz, without_secret};
use crate::support::scratch::Scratch;
use crate::support::tasklock::Tasklock;

/// Every variable that the program reads.
fn variables() -> Vec<String> {
    let command = cli::command();
    let variables = command.get_arguments().filter_map(|arg| arg.get_env());
    let variables = variables.map(|name| name.to_string_lossy().into_owned());
    let others = [
        "TASKLOCK_CHAIN",
        "HOME",
        "XDG_CONFIG_HOME",
        "TZ",
        "USER",
        "COLUMNS",
    ];
    variables.chain(others.map(str::to_owned)).collect()
}

#[test]
fn variables_give_a_run_or_one_line() {
    let variables = variables();
    let variables: Vec<&str> = variables.iter().map(String::as_str).collect();
    let set = vec((word(&variables), value()), 0..5);
    let how: Vec<_> = [
        &["status", "a"][..],
        &["config", "a"],
        &["--name", "a", "true"],
    ]
    .map(|words| {
        Just(
            words
                .iter()
                .map(|word| Bytes::from(*word))
                .collect::<Vec<_>>(),
        )
    })
    .into();
    let cases = (
        Union::new(how),
        prop_oneof![3 => set, 1 => vec((word(&["TASKLOCK_URL"]), value()), 1..2)],
    );
    let locks = Scratch::new();
    let store = format!("local:{}", locks.path().display());
    fuzz("environment", cases, |(words, set)| {
        let mut run = Tasklock::new().args(words.iter().map(Bytes::os));
        // Locks of this host's may be named by anybody; a store that is not there is not waited for.
        run = run.env("TASKLOCK_URL", &store);
        run = run.env("TASKLOCK_STORE_TIMEOUT", "200ms");
        for (name, value) in set {
            // No variable has it inside.
            let value = Bytes(value.0.iter().copied().filter(|byte| *byte != 0).collect());
            let name = String::from_utf8_lossy(&name.0);
            // The name of the holder is meant to be read, now and by later cases.
            let is_name = ["USER", "TASKLOCK_HOLDER"].contains(&name.as_ref());
            if is_name && without_secret(&String::from_utf8_lossy(&value.0)).is_err() {
                continue;
            }
            run = run.env(&name, value.os());
        }
        let done = run.run();
        without_secret(&done.stdout)?;
        without_secret(&done.stderr)?;
        match done.code {
            Some(0 | 69 | 75 | 77) => Ok(()),
            Some(64 | 78) => fit_to_read(done.stderr.trim_end_matches('\n')),
            _ => Err(done.to_string()),
        }
    });
}
