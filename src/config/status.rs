//! The settings of `status`.

use std::time::Duration;

use super::reader::Reader;
use super::{ConfigError, Place};
use crate::cli::StatusArgs;
use crate::store::LockName;

/// Locks to look at.
#[derive(Debug)]
pub struct Status {
    /// Their names, in the order they were given.
    pub names: Vec<LockName>,
    /// Where they live.
    pub place: Place,
    /// What to tell of them.
    pub view: View,
}

/// What `status` tells of a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// All there is to know, for people.
    Text,
    /// The same, for programs.
    Json,
    /// Whether its last success is older than this.
    MaxAge(Duration),
}

impl Reader<'_> {
    pub(super) fn status(&self, args: StatusArgs) -> Result<Status, ConfigError> {
        let max_age = self.some_time("max_age", args.max_age.as_deref())?;
        let view = match max_age {
            Some(age) => View::MaxAge(age),
            None if args.json => View::Json,
            None => View::Text,
        };
        let operands = args.operands.iter().map(|name| self.operand(name));
        let names = args.name.iter().map(|name| self.name(name));
        Ok(Status {
            names: operands.chain(names).collect::<Result<_, _>>()?,
            place: self.place(args.store)?,
            view,
        })
    }
}
