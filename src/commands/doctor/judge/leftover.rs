//! What crashed runs left behind.

use super::Use;
use super::reach::no_right;
use crate::commands::doctor::facts::{Leftovers, Seen};
use crate::commands::doctor::finding::Finding;
use crate::message::escape;

/// So many names are told.
const NAMES_MAX: usize = 3;

/// What the walks over all servers found together.
pub(super) fn judge(walks: &[Seen<Leftovers>], how: Use<'_>) -> Option<Finding> {
    const CHECK: &str = "leftovers";
    if let Some(why) = walks.iter().find_map(|walk| walk.as_ref().err()) {
        return Some(Finding::hidden(
            CHECK,
            "what crashed runs left behind",
            &no_right("SCAN", why),
        ));
    }
    let mut all = Leftovers {
        complete: true,
        ..Leftovers::default()
    };
    for walk in walks.iter().flatten() {
        all.states += walk.states;
        all.mended += walk.mended;
        all.complete &= walk.complete;
        all.names.extend(walk.names.iter().map(|name| escape(name)));
        all.trouble = all.trouble.or_else(|| walk.trouble.clone());
    }
    if walks.is_empty() {
        return None;
    }
    let so_far = if all.complete {
        ""
    } else {
        " (of those seen in a second; with --fix all are looked at)"
    };
    let looked = format!("{} locks have a state{so_far}", all.states);
    if all.names.is_empty() {
        return Some(Finding::ok(
            CHECK,
            format!("{looked}, none was left by a crashed run"),
        ));
    }
    let more = if all.names.len() > NAMES_MAX {
        ", …"
    } else {
        ""
    };
    let text = format!(
        "{looked}, {} left by crashed runs without an end: {}{more}",
        all.names.len(),
        all.names[..all.names.len().min(NAMES_MAX)].join(", ")
    );
    Some(match (how.fixing, all.trouble) {
        (true, None) => Finding::ok(CHECK, format!("{text}; they end in 30 days now")),
        (true, Some(why)) => {
            let text = format!(
                "{text}; {} end in 30 days now, the others not: {why}",
                all.mended
            );
            Finding::warning(CHECK, text).advise("give the user the right +pexpire")
        }
        (false, _) => Finding::warning(CHECK, text)
            .advise("they do no harm but take room: tasklock doctor --fix has them end in 30 days"),
    })
}
