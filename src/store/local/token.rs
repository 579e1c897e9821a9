//! Holds that are known by their token alone: which place of the lock it is of.

use std::time::Duration;

use super::directory::Directory;
use super::history::RunsFile;
use super::lease::Proof;
use super::listing;
use super::lock_file::{LockFile, Look};
use crate::store::{Acquire, Checked, Claim, LockName, Release, StoreError, Token};

/// What `of` finds in the first place that has something to say.
fn first<T>(
    directory: &Directory,
    name: &LockName,
    of: impl Fn(&LockFile<'_>) -> Result<Option<T>, StoreError>,
) -> Result<Option<T>, StoreError> {
    for slot in 0..=listing::last_slot(directory, name)? {
        if let Some(found) = of(&LockFile::new(directory, name, slot))? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Who has the lock, or one of its places.
fn held_by_another(directory: &Directory, name: &LockName) -> Result<Checked, StoreError> {
    let held = |file: &LockFile<'_>| Ok(file.look()?.and_then(|look| look.held));
    first(directory, name, held).map(Checked::NotHeld)
}

/// See [`crate::store::Store::check`].
pub(super) fn check(
    directory: &Directory,
    name: &LockName,
    token: &Token,
) -> Result<Checked, StoreError> {
    let proof = Proof::of(token);
    match first(directory, name, |file| file.check(&proof))? {
        Some(checked) => Ok(checked),
        None => held_by_another(directory, name),
    }
}

/// See [`crate::store::Store::extend`].
pub(super) fn extend(
    directory: &Directory,
    (name, token): (&LockName, &Token),
    ttl: Option<Duration>,
) -> Result<Checked, StoreError> {
    let proof = Proof::of(token);
    match first(directory, name, |file| file.extend(&proof, ttl))? {
        Some(checked) => Ok(checked),
        None => held_by_another(directory, name),
    }
}

/// See [`crate::store::Store::give_back`].
pub(super) fn give_back(
    directory: &Directory,
    name: &LockName,
    token: &Token,
) -> Result<Release, StoreError> {
    let proof = Proof::of(token);
    let runs = RunsFile::new(directory, name);
    if let Some(answer) = first(directory, name, |file| file.give_back(&proof, &runs))? {
        return Ok(answer);
    }
    if let Some(true) = spent(directory, name, &proof)? {
        return Ok(Release::Released);
    }
    match held_by_another(directory, name)? {
        Checked::NotHeld(held) => Ok(Release::NotOurs(held)),
        _ => Ok(Release::NotOurs(None)),
    }
}

/// The answer to a claim whose token has been granted the lock before.
pub(super) fn granted_before(
    directory: &Directory,
    claim: &Claim,
) -> Result<Option<Acquire>, StoreError> {
    let proof = Proof::of(&claim.token);
    let again = |file: &LockFile<'_>| file.grant_again(&proof, claim.ttl);
    if let Some(grant) = first(directory, &claim.name, again)? {
        return Ok(Some(Acquire::Granted(grant)));
    }
    let spent = spent(directory, &claim.name, &proof)?;
    Ok(spent.map(|_| Acquire::Withdrawn))
}

/// Whether the token is on record as one that is not granted the lock any more, and if so
/// whether it was given back.
fn spent(
    directory: &Directory,
    name: &LockName,
    proof: &Proof,
) -> Result<Option<bool>, StoreError> {
    let of = |look: Look| look.record.and_then(|record| record.spent.find(proof));
    first(directory, name, |file| Ok(file.look()?.and_then(of)))
}
