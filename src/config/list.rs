//! The settings of `list`.

use std::time::Duration;

use super::reader::Reader;
use super::store::refuse_url;
use super::{ConfigError, Place};
use crate::cli::ListArgs;
use crate::store::LockName;
use crate::store::pattern::Pattern;

/// How often a view that is kept up to date asks, unless told otherwise.
const DEFAULT_WATCH: Duration = Duration::from_secs(2);
/// The least time between two looks at all locks: a store has other things to do.
const LEAST_WATCH: Duration = Duration::from_millis(100);

/// All locks of a store, or some.
#[derive(Debug)]
pub struct List {
    /// Which.
    pub pattern: Pattern,
    /// Where they live.
    pub place: Place,
    /// How they are told.
    pub form: Listing,
}

/// How the locks are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// A table.
    Table,
    /// A table that is kept up to date, this often.
    Watch(Duration),
    /// One JSON object a line.
    Json,
    /// Prometheus' text exposition format.
    Prometheus,
}

const FORMS: [(&str, Listing); 3] = [
    ("table", Listing::Table),
    ("json", Listing::Json),
    ("prometheus", Listing::Prometheus),
];

impl Reader<'_> {
    pub(super) fn list(&self, args: ListArgs) -> Result<List, ConfigError> {
        let form = self.choice("format", args.format.as_deref(), &FORMS)?;
        let form = match (form, args.watch) {
            (Some(form), _) => form,
            (None, Some(every)) => {
                let every = self.at_least("watch", every.as_deref(), LEAST_WATCH)?;
                Listing::Watch(every.unwrap_or(DEFAULT_WATCH))
            }
            (None, None) if args.json => Listing::Json,
            (None, None) => Listing::Table,
        };
        let pattern = match (&args.name, &args.pattern) {
            (Some(name), _) => only(&self.name(name)?),
            (None, Some(pattern)) => {
                refuse_url(pattern)?;
                Pattern::new(pattern)
            }
            (None, None) => Pattern::all(),
        };
        Ok(List {
            pattern,
            place: self.place(args.store)?,
            form,
        })
    }
}

/// The pattern that this name alone matches.
fn only(name: &LockName) -> Pattern {
    let special = ['*', '?', '[', '\\'];
    let literal = name.as_str().chars().fold(String::new(), |mut text, c| {
        if special.contains(&c) {
            text.push('\\');
        }
        text.push(c);
        text
    });
    Pattern::new(&literal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_itself_whatever_it_contains() {
        let name = LockName::new("a*[b-c]\\?").unwrap();
        assert!(only(&name).matches(name.as_str()));
        assert!(!only(&name).matches("axb\\?"));
    }
}
