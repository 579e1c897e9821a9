//! The settings of `history`.

use super::reader::Reader;
use super::{ConfigError, Place};
use crate::cli::HistoryArgs;
use crate::store::LockName;

/// The past runs of a lock.
#[derive(Debug)]
pub struct History {
    /// Its name.
    pub name: LockName,
    /// Where it lives.
    pub place: Place,
    /// How many runs to tell of at most, the last ones. None: all that are remembered.
    pub limit: Option<usize>,
    /// One JSON object a run.
    pub json: bool,
}

impl Reader<'_> {
    pub(super) fn history_of(&self, args: HistoryArgs) -> Result<History, ConfigError> {
        let limit = self.number("limit", args.limit.as_deref(), 1..=u32::MAX)?;
        let (name, place) = self.lock(args.lock)?;
        Ok(History {
            name,
            place,
            limit: limit.and_then(|limit| usize::try_from(limit).ok()),
            json: args.json,
        })
    }
}
