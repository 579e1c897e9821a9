//! `tasklock unlock NAME`: free the lock of somebody else. Never a bare DEL.

use anyhow::Result;

use crate::config::Lock;
use crate::duration::show;
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
    // Asked before, as force ends a cooldown.
    let slots = store.inspect(&lock.name, lock.store_timeout)?.slots;
    let cooling_down = slots.iter().filter_map(|slot| slot.cooling_down).max();
    let unlocked = store.unlock(&lock.name, how, &user_at_host(), lock.store_timeout)?;
    let name = escape(lock.name.as_str());
    if unlocked.is_empty() {
        let text = match (cooling_down, how) {
            (None, _) => "already free".to_owned(),
            (Some(left), Unlock::Ask) => format!(
                "held by nobody, but cooling down for another {}; --force ends that",
                show(left)
            ),
            (Some(left), Unlock::Force) => {
                format!("freed; it was cooling down for another {}", show(left))
            }
        };
        output::line(&format!("{name}: {text}"));
    }
    let mut code = Code::Ok;
    for unlocked in &unlocked {
        output::line(&format!("{name}: {}", text(unlocked)));
        if let Unlocked::CannotAsk(_) = unlocked {
            code = Code::Skipped;
        }
    }
    Ok(code.into())
}

fn text(unlocked: &Unlocked) -> String {
    match unlocked {
        Unlocked::Asked(held) => {
            // That it is asked is what the rest of the line says.
            let held = Held {
                revoked: false,
                ..held.clone()
            };
            format!(
                "{}: asked to stop; if it is alive, it stops its command and releases the lock at its next refresh",
                held_text(&held)
            )
        }
        Unlocked::Freed(held) => format!(
            "freed; it was {}; that job may run on until its next refresh",
            held_text(held)
        ),
        Unlocked::CannotAsk(held) => format!(
            "{}, which cannot be asked to stop; --force frees the lock",
            held_text(held)
        ),
    }
}
