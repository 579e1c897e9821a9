//! `tasklock unlock NAME`: free the lock of somebody else. Never a bare DEL.

use anyhow::Result;

use crate::config::Lock;
use crate::exit::{Code, Ending};
use crate::identity::user_at_host;
use crate::message::{escape, held_text};
use crate::output;
use crate::store::{Held, Unlock, Unlocked};

/// Asks the holder to stop, or with `--force` frees the lock at once. Exit 0
/// when that is done or nobody held it, 75 when the holder cannot be asked.
///
/// # Errors
/// [`crate::store::StoreError`] when the store does not answer.
pub fn unlock(lock: &Lock, how: Unlock) -> Result<Ending> {
    super::tell_where(lock);
    let mut store = lock.target.open(&lock.key_prefix);
    let unlocked = store.unlock(&lock.name, how, &user_at_host(), lock.store_timeout)?;
    let name = escape(lock.name.as_str());
    let (text, code) = match unlocked {
        Unlocked::Free => ("already free".to_owned(), Code::Ok),
        Unlocked::Asked(held) => (
            format!(
                "{}: asked to stop; if it is alive, it stops its command and releases the lock at its next refresh",
                held_text(&Held {
                    revoked: false, // it is what the rest of the line says
                    ..held
                })
            ),
            Code::Ok,
        ),
        Unlocked::Freed(held) => (
            format!(
                "freed; it was {}; that job may run on until its next refresh",
                held_text(&held)
            ),
            Code::Ok,
        ),
        Unlocked::CannotAsk(held) => (
            format!(
                "{}, which cannot be asked to stop; --force frees the lock",
                held_text(&held)
            ),
            Code::Skipped,
        ),
    };
    output::line(&format!("{name}: {text}"));
    Ok(code.into())
}
