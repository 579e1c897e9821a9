//! `tasklock status NAME`: who holds a lock.

use anyhow::Result;

use crate::config::Lock;
use crate::duration::show;
use crate::exit::{Code, Ending};
use crate::message::{escape, held_text};
use crate::output;

/// Prints one line; the exit code is that of a run that tried once: 0 it would
/// run, 75 it would be skipped.
///
/// # Errors
/// [`crate::store::StoreError`] when the store does not answer.
pub fn status(lock: &Lock) -> Result<Ending> {
    super::tell_where(lock);
    let mut store = lock.target.open(&lock.key_prefix);
    let status = store.inspect(&lock.name, lock.store_timeout)?;
    let name = escape(lock.name.as_str());
    // A job that leaves no details has no fence: the last one is another's.
    let named = status
        .held
        .as_ref()
        .is_some_and(|held| held.holder.is_some());
    let word = if named { "fence" } else { "last fence" };
    let fence = status
        .fence
        .map_or_else(String::new, |fence| format!(", {word} {fence}"));
    let (text, code) = match (&status.held, status.cooling_down) {
        (Some(held), _) => (held_text(held) + &fence, Code::Skipped),
        (None, Some(left)) => (
            format!("cooling down for another {}", show(left)),
            Code::Skipped,
        ),
        (None, None) => ("free".to_owned() + &fence, Code::Ok),
    };
    output::line(&format!("{name}: {text}"));
    Ok(code.into())
}
