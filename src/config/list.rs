//! The settings of `list`.

use std::time::Duration;

use super::reader::Reader;
use super::store::refuse_url;
use super::{ConfigError, Place};
use crate::cli::ListArgs;
use crate::store::pattern::{Pattern, literal};

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
            (Some(name), _) => Pattern::new(&literal(self.name(name)?.as_str())),
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
