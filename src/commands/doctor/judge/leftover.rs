//! What crashed runs left behind.

use super::Use;
use super::reach::no_right;
use crate::commands::doctor::facts::{Leftovers, Seen, Shape};
use crate::commands::doctor::finding::Finding;
use crate::message::escape;

/// So many names are told.
const NAMES_MAX: usize = 3;

/// What the walks over all servers found together.
pub(super) fn judge(walks: &[Seen<Leftovers>], shape: &Shape, how: Use<'_>) -> Option<Finding> {
    const CHECK: &str = "leftovers";
    if let Some(why) = walks.iter().find_map(|walk| walk.as_ref().err()) {
        return Some(Finding::hidden(
            CHECK,
            "what crashed runs left behind",
            &no_right("SCAN", why),
        ));
    }
    if walks.is_empty() {
        return None;
    }
    let in_quorum = matches!(shape, Shape::Quorum(_));
    let all = together(walks, in_quorum);
    let so_far = if all.complete {
        ""
    } else {
        " (of those seen in a second; with --fix all are looked at)"
    };
    let looked = if in_quorum {
        format!("up to {} locks have a state on a node{so_far}", all.states)
    } else {
        format!("{} locks have a state{so_far}", all.states)
    };
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

/// The states of several servers. Each node of a quorum has one of the same lock,
/// which counts once.
fn together(walks: &[Seen<Leftovers>], in_quorum: bool) -> Leftovers {
    let mut all = Leftovers {
        complete: true,
        ..Leftovers::default()
    };
    let mut left = 0;
    for walk in walks.iter().flatten() {
        let endless = walk.names.len().saturating_sub(walk.mended);
        (all.states, left) = if in_quorum {
            (all.states.max(walk.states), left.max(endless))
        } else {
            (all.states + walk.states, left + endless)
        };
        all.complete &= walk.complete;
        for name in walk.names.iter().map(|name| escape(name)) {
            if !in_quorum || !all.names.contains(&name) {
                all.names.push(name);
            }
        }
        all.trouble = all.trouble.or_else(|| walk.trouble.clone());
    }
    all.mended = all.names.len().saturating_sub(left);
    all
}
