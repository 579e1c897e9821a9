//! The settings of `status`.

use std::time::Duration;

use super::reader::Reader;
use super::{ConfigError, Place};
use crate::cli::StatusArgs;
use crate::store::LockName;

/// Locks to look at.
#[derive(Debug)]
pub struct Status {
    /// Their names, in the order they were given, each with the number of its place.
    pub locks: Vec<(LockName, usize)>,
    /// Where they live.
    pub places: Vec<Place>,
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
        let mut sections = Vec::new();
        let (mut locks, mut places) = (Vec::new(), Vec::new());
        for name in operands.chain(names) {
            let name = name?;
            // Locks without a section in a configuration file are in one place.
            let section = Some(name.as_str()).filter(|name| self.files.names().contains(name));
            let section = section.map(str::to_owned);
            let at = sections.iter().position(|it| *it == section);
            if at.is_none() {
                let reader = Reader {
                    section: section.as_deref(),
                    ..*self
                };
                places.push(reader.place(args.store.clone())?);
                sections.push(section);
            }
            locks.push((name, at.unwrap_or(places.len() - 1)));
        }
        Ok(Status {
            locks,
            places,
            view,
        })
    }
}
