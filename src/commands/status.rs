//! `tasklock status NAME…`: who holds a lock, who waits, how the last run went.

mod probe;
mod text;

use anyhow::Result;

use super::{json, state};
use crate::config::{Place, Status, View};
use crate::exit::{Code, Ending};
use crate::message::json_line;
use crate::output;
use crate::terminal::{self, Colour};
use crate::wall::Wall;

/// Tells of each lock. The exit code is that of a run that tried once: 0 it
/// would run, 75 it would be skipped (of several: any); as a probe 1 where a
/// last success is too old. One round trip for each name.
///
/// # Errors
/// [`crate::store::StoreError`] when the store does not answer.
pub fn status(settings: &Status) -> Result<Ending> {
    super::tell_where(settings.places.iter().any(|place| place.unconfigured));
    let mut stores: Vec<_> = settings.places.iter().map(Place::open).collect();
    let colour = terminal::on_stdout().map_or(Colour::No, |terminal| terminal.colour);
    let mut code = Code::Ok;
    for (name, at) in &settings.locks {
        let status = stores[*at].inspect(name, settings.places[*at].store_timeout)?;
        let (name, wall) = (name.as_str(), Wall::here());
        let lines = match settings.view {
            View::MaxAge(limit) => {
                let probe = probe::look(name, &status, limit, &wall);
                if !probe.passed {
                    code = Code::Warning;
                }
                vec![probe.line]
            }
            View::Json => vec![json_line(&json::lock(name, &status, &wall))],
            View::Text => text::lines(name, &status, &wall, colour),
        };
        output::lines(&lines);
        let is_probe = matches!(settings.view, View::MaxAge(_));
        if !is_probe && !state::would_run(&status) {
            code = Code::Skipped;
        }
    }
    Ok(code.into())
}
