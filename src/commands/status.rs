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
    let mut store = lock.target.open(&lock.key_prefix);
    let status = store.inspect(&lock.name, lock.store_timeout)?;
    let name = escape(lock.name.as_str());
    let fence = status
        .fence
        .map_or_else(String::new, |fence| format!(", fence {fence}"));
    let (text, code) = match (&status.held, status.cooling_down) {
        (Some(held), _) => (held_text(held) + &fence, Code::Skipped),
        (None, Some(left)) => (
            format!("cooling down for another {}", show(left)),
            Code::Skipped,
        ),
        (None, None) => (
            "free".to_owned() + &fence.replace("fence", "last fence"),
            Code::Ok,
        ),
    };
    output::line(&format!("{name}: {text}"));
    Ok(code.into())
}
