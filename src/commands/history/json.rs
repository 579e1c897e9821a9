//! The past of a lock as one JSON object.

use serde_json::{Value, json};

use crate::commands::json::run;
use crate::store::past::History;
use crate::wall::Wall;

/// `{"name":…,"runs":[…],"skips":…}`; the man page has the fields.
pub(super) fn object(name: &str, history: &History, wall: &Wall) -> Value {
    let runs: Vec<Value> = history.runs.iter().map(|it| run(it, wall)).collect();
    json!({
        "name": name,
        "runs": runs,
        "skips": history.skips,
    })
}
