//! `tasklock status NAME`: who holds a lock.

use anyhow::Result;

use crate::config::Lock;
use crate::duration::show;
use crate::exit::{Code, Ending};
use crate::message::{escape, held_text};
use crate::output;
use crate::store::Slot;

/// Prints a line, and one more for each place of a lock that has several; the
/// exit code is that of a run that tried once: 0 it would run, 75 it would be skipped.
///
/// # Errors
/// [`crate::store::StoreError`] when the store does not answer.
pub fn status(lock: &Lock) -> Result<Ending> {
    super::tell_where(lock);
    let mut store = lock.target.open(&lock.key_prefix);
    let status = store.inspect(&lock.name, lock.store_timeout)?;
    let name = escape(lock.name.as_str());
    let waiting = match status.waiting {
        Some(count) if count > 0 => format!(", {count} waiting"),
        _ => String::new(),
    };
    if let [slot] = status.slots.as_slice() {
        output::line(&format!("{name}: {}{waiting}", text(slot)));
    } else {
        let (taken, all) = (
            status.slots.iter().filter(|slot| is_taken(slot)).count(),
            status.slots.len(),
        );
        output::line(&format!("{name}: {taken} of {all} places taken{waiting}"));
        for (number, slot) in status.slots.iter().enumerate() {
            output::line(&format!("{name} slot {number}: {}", text(slot)));
        }
    }
    // With somebody in line, a free place is not for whoever comes now.
    let skipped = status.slots.iter().all(is_taken) || !waiting.is_empty();
    Ok(if skipped { Code::Skipped } else { Code::Ok }.into())
}

fn is_taken(slot: &Slot) -> bool {
    slot.held.is_some() || slot.cooling_down.is_some()
}

fn text(slot: &Slot) -> String {
    // A job that leaves no details has no fence: the last one is another's.
    let named = slot.held.as_ref().is_some_and(|held| held.holder.is_some());
    let word = if named { "fence" } else { "last fence" };
    let fence = slot
        .fence
        .map_or_else(String::new, |fence| format!(", {word} {fence}"));
    match (&slot.held, slot.cooling_down) {
        (Some(held), _) => held_text(held) + &fence,
        (None, Some(left)) => format!("cooling down for another {}", show(left)),
        (None, None) => "free".to_owned() + &fence,
    }
}
