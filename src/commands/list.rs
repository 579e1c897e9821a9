//! `tasklock list [PATTERN]`: all locks of a store.

mod prometheus;
mod row;
mod watch;

use std::ops::ControlFlow;
use std::time::Duration;

use anyhow::Result;

use super::{json, table};
use crate::config::{ConfigError, List, Listing};
use crate::exit::{Code, Ending};
use crate::message::json_line;
use crate::output::{Output, Reader, lines};
use crate::store::pattern::Pattern;
use crate::store::{LockName, Status, Store, StoreError};
use crate::terminal;
use crate::wall::Wall;
use row::{HEADER, Row, WANTED};

/// Prints the locks: sorted at a terminal, and otherwise as they come, so that
/// their number does not matter.
///
/// # Errors
/// [`crate::store::StoreError`] when the store does not answer; some lines may
/// have been printed by then, but none of the metrics.
pub fn list(settings: &List) -> Result<Ending> {
    super::tell_where(settings.place.unconfigured);
    let (pattern, timeout) = (&settings.pattern, settings.place.store_timeout);
    let wall = Wall::here();
    match (settings.form, terminal::on_stdout()) {
        (Listing::Watch(every), Some(_)) if terminal::is_capable() => {
            return watch::watch(settings, every);
        }
        (Listing::Watch(_), _) => {
            return Err(ConfigError::usage(
                "--watch: standard output is no terminal that could be kept up to date; \
                 leave it out, and call list again and again",
            )
            .into());
        }
        (Listing::Table, Some(terminal)) => {
            let mut store = settings.place.open();
            let rows = sorted(&mut *store, pattern, timeout, &wall)?;
            lines(&table::lines(HEADER, &cells(rows), WANTED, &terminal));
        }
        (Listing::Table, None) => {
            let header = table::tabbed_header(HEADER);
            stream(settings, Some(header), |name, status| {
                table::tabs(&Row::of(name, status, &wall).cells)
            })?;
        }
        (Listing::Json, _) => stream(settings, None, |name, status| {
            json_line(&json::lock(name.as_str(), status, &wall))
        })?,
        (Listing::Prometheus, _) => {
            let mut samples = Vec::new();
            let mut store = settings.place.open();
            walk(&mut *store, pattern, timeout, |name, status| {
                samples.push(prometheus::Lock::of(name, status, &wall));
            })?;
            lines(&prometheus::exposition(samples));
        }
    }
    Ok(Code::Ok.into())
}

/// Prints a line for each lock as soon as it is known, until nobody reads any more.
fn stream(
    settings: &List,
    header: Option<String>,
    line: impl Fn(&LockName, &Status) -> String,
) -> Result<(), StoreError> {
    let mut output = Output::new();
    if let Some(header) = header {
        output.line(&header);
    }
    let mut tell = |name: &LockName, status: &Status| match output.line(&line(name, status)) {
        Reader::There => ControlFlow::Continue(()),
        Reader::Gone => ControlFlow::Break(()),
    };
    let place = &settings.place;
    let walked = place
        .open()
        .list(&settings.pattern, &mut tell, place.store_timeout);
    output.flush();
    walked
}

fn walk(
    store: &mut dyn Store,
    pattern: &Pattern,
    timeout: Duration,
    mut see: impl FnMut(&LockName, &Status),
) -> Result<(), StoreError> {
    let mut tell = |name: &LockName, status: &Status| {
        see(name, status);
        ControlFlow::Continue(())
    };
    store.list(pattern, &mut tell, timeout)
}

/// The rows by name, each once: a walk may meet a lock twice.
fn sorted(
    store: &mut dyn Store,
    pattern: &Pattern,
    timeout: Duration,
    wall: &Wall,
) -> Result<Vec<Row>, StoreError> {
    let mut rows = Vec::new();
    walk(store, pattern, timeout, |name, status| {
        rows.push(Row::of(name, status, wall));
    })?;
    rows.sort_by(|one: &Row, other| one.name.cmp(&other.name));
    rows.dedup_by(|one, other| one.name == other.name);
    Ok(rows)
}

fn cells(rows: Vec<Row>) -> Vec<[table::Cell; HEADER.len()]> {
    rows.into_iter().map(|row| row.cells).collect()
}
