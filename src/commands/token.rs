//! What `refresh`, `release` and `check` have in common: one question about a token.

use std::thread;
use std::time::Duration;

use anyhow::Result;

use super::tell_where;
use crate::clock;
use crate::config::Owned;
use crate::exit::{Code, Ending};
use crate::log::{Format, fail};
use crate::message::{escape, held_text};
use crate::store::{Held, Store, StoreError, StoreErrorKind};

/// Between two attempts to be answered.
const PAUSE: Duration = Duration::from_millis(100);

/// Asks the store, for as long as one request may take: a connection that is refused, or a
/// server that cannot serve just now, may not be the last word.
///
/// # Errors
/// [`StoreError`]: no answer.
pub(super) fn ask<T>(
    owned: &Owned,
    mut question: impl FnMut(&mut dyn Store, Duration) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let mut store = owned.lock.target.open(&owned.lock.key_prefix);
    let end = clock::now() + owned.lock.store_timeout;
    loop {
        let left = end.since(clock::now());
        match question(&mut *store, left) {
            Err(error)
                if error.kind == StoreErrorKind::Unavailable && end.since(clock::now()) > PAUSE =>
            {
                thread::sleep(PAUSE);
            }
            answer => return answer,
        }
    }
}

/// Says that the token does not hold the lock, and who does.
pub(super) fn not_held(owned: &Owned, by: Option<&Held>) -> Ending {
    // Whoever looks on the wrong host for it does not have the URL.
    tell_where(owned.lock.unconfigured);
    let by = by.map_or_else(
        || {
            "nobody holds it (its lease ended, it was released, or it was freed by force)"
                .to_owned()
        },
        |held| format!("it is {}", held_text(held)),
    );
    let name = escape(owned.lock.name.as_str());
    say(&format!("\"{name}\" is not held by this token: {by}"))
}

/// Says that the lock is still held, but not to be kept.
pub(super) fn asked_for(owned: &Owned, by: &str) -> Ending {
    let (name, by) = (escape(owned.lock.name.as_str()), escape(by));
    say(&format!(
        "\"{name}\" is not to be kept: {by} asked for it to be unlocked; stop what needs it, and release it"
    ))
}

fn say(text: &str) -> Ending {
    fail(text, Format::Text);
    Code::Lost.into()
}
