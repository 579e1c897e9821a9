//! `tasklock history NAME`: the last runs of a lock.

mod bar;
mod json;
mod text;

use anyhow::Result;

use crate::config::History;
use crate::exit::{Code, Ending};
use crate::message::json_line;
use crate::output;
use crate::terminal;
use crate::wall::Wall;

/// Prints the last runs, the oldest first: a table with a bar for each at a
/// terminal, columns in a pipe. A lock that nobody knows has never run.
///
/// # Errors
/// [`crate::store::StoreError`] when the store does not answer.
pub fn history(settings: &History) -> Result<Ending> {
    let (name, place) = (&settings.name, &settings.place);
    super::tell_where(place.unconfigured);
    let mut history = place.open().history(name, place.store_timeout)?;
    if let Some(limit) = settings.limit {
        let older = history.runs.len().saturating_sub(limit);
        history.runs.drain(..older);
    }
    let (name, wall) = (name.as_str(), Wall::here());
    let lines = if settings.json {
        vec![json_line(&json::object(name, &history, &wall))]
    } else {
        match terminal::on_stdout() {
            Some(terminal) => text::table(name, &history, &wall, &terminal),
            None => text::columns(name, &history, &wall),
        }
    };
    output::lines(&lines);
    Ok(Code::Ok.into())
}
