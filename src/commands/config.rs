//! `tasklock config [NAME]`: what counts for a lock, and where it comes from.

use serde_json::{Map, Value, json};

use crate::config::Effective;
use crate::exit::{Code, Ending};
use crate::message::escape;
use crate::output;

/// Comments stand in one column, unless what is before them is longer than this.
const COLUMN_MAX: usize = 40;

/// Prints the settings as the text of a configuration file, which they could be.
#[must_use]
pub fn toml(settings: &Effective) -> Ending {
    output::line(&format!("# store: {}", escape(&settings.store)));
    for (path, found) in &settings.files {
        let found = if *found { "read" } else { "not there" };
        output::line(&format!("# {}: {found}", escape(&path.to_string_lossy())));
    }
    if let Some(name) = &settings.lock {
        output::line(&format!("[lock.{}]", toml_of(&json!(name))));
    }
    let line = |key: &str, value: &Value| match value {
        Value::Null => format!("# no {key}"),
        value => format!("{key} = {}", toml_of(value)),
    };
    let lines = settings.settings.iter();
    let lines: Vec<_> = lines
        .map(|setting| (line(&setting.key, &setting.value), &setting.source))
        .collect();
    let widths = lines.iter().map(|(line, _)| line.chars().count());
    let width = widths.filter(|width| *width <= COLUMN_MAX).max();
    let width = width.unwrap_or(0);
    for (line, source) in lines {
        output::line(&format!("{line:width$}  # {source}"));
    }
    Code::Ok.into()
}

/// Prints the settings as JSON, in one line.
#[must_use]
pub fn json(settings: &Effective) -> Ending {
    let files = settings.files.iter();
    let files: Value = files
        .map(|(path, found)| json!({"path": path.to_string_lossy(), "found": found}))
        .collect();
    let options = settings.settings.iter();
    let options: Map<String, Value> = options
        .map(|it| {
            (
                it.key.clone(),
                json!({"value": it.value, "source": it.source}),
            )
        })
        .collect();
    let all = json!({
        "name": settings.lock,
        "store": settings.store,
        "files": files,
        "settings": options,
    });
    output::line(&all.to_string());
    Code::Ok.into()
}

/// A value as TOML writes it, which is as JSON does but for control characters.
fn toml_of(value: &Value) -> String {
    let mut text = String::new();
    for c in value.to_string().chars() {
        if c.is_control() {
            text.push_str(&format!("\\u{:04X}", u32::from(c)));
        } else {
            text.push(c);
        }
    }
    text
}
