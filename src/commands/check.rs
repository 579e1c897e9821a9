//! `tasklock check`: whether a lock is still held by its token.

use anyhow::Result;

use super::token::{ask, asked_for, not_held};
use crate::config::Owned;
use crate::duration::show;
use crate::exit::{Code, Ending};
use crate::message::escape;
use crate::output;
use crate::store::Checked;

/// Exit 0 and not a word if it is, unless `verbose`; 79 and who has it now if it is not, or
/// if an administrator asks for it.
///
/// # Errors
/// [`crate::store::StoreError`] when that is unknown.
pub fn check(owned: &Owned, verbose: bool) -> Result<Ending> {
    let answer = ask(owned, |store, timeout| {
        store.check(&owned.lock.name, &owned.token, timeout)
    })?;
    Ok(match answer {
        Checked::Held(tenure) => {
            if verbose {
                let until = tenure.remaining.map_or_else(
                    || "as long as its run lasts".to_owned(),
                    |left| format!("its lease ends in {}", show(left)),
                );
                let name = escape(owned.lock.name.as_str());
                output::line(&format!("{name}: held by this token, {until}"));
            }
            Code::Ok.into()
        }
        Checked::Revoked { by } => asked_for(owned, &by),
        Checked::NotHeld(by) => not_held(owned, by.as_ref()),
    })
}
