//! The settings of `unlock`.

use super::reader::Reader;
use super::{ConfigError, Place};
use crate::cli::UnlockArgs;
use crate::store::LockName;

/// A lock to free.
#[derive(Debug)]
pub struct Unlock {
    /// Its name.
    pub name: LockName,
    /// Where it lives.
    pub place: Place,
    /// How.
    pub way: Way,
}

/// How a lock is freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Its holder is asked to stop; it is waited for.
    Ask,
    /// Its holder is asked to stop; that is all.
    AskOnly,
    /// At once, when whoever sits at the terminal agrees. Where nobody does, as [`Way::Force`].
    ForceIfAgreed,
    /// At once.
    Force,
}

impl Reader<'_> {
    pub(super) fn unlock(&self, args: UnlockArgs) -> Result<Unlock, ConfigError> {
        let way = match (args.force, args.yes, args.no_wait) {
            (true, true, _) => Way::Force,
            (true, false, _) => Way::ForceIfAgreed,
            (false, _, true) => Way::AskOnly,
            (false, _, false) => Way::Ask,
        };
        let (name, place) = self.lock(args.lock)?;
        Ok(Unlock { name, place, way })
    }
}
