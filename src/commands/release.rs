//! `tasklock release`: give back a lock that is held by its token.

use anyhow::Result;

use super::token::{ask, not_held};
use crate::config::Owned;
use crate::exit::{Code, Ending};
use crate::store::Release;

/// Exit 0 if it was ours and is free now, also when that is said a second time; 79 and who
/// has it if it was not.
///
/// # Errors
/// [`crate::store::StoreError`] when that is unknown: the lease ends by itself.
pub fn release(owned: &Owned) -> Result<Ending> {
    let answer = ask(owned, |store, timeout| {
        store.give_back(&owned.lock.name, &owned.token, timeout)
    })?;
    Ok(match answer {
        Release::Released => Code::Ok.into(),
        Release::Forgotten => not_held(owned, None),
        Release::NotOurs(by) => not_held(owned, by.as_ref()),
    })
}
