//! What `unlock` says.

use crate::config::Way;
use crate::duration::show;
use crate::message::{escape, held_text};
use crate::store::{Held, Status, Unlocked};

/// Who holds the lock, one line for each place that is held.
pub(super) fn holders(name: &str, status: &Status) -> Vec<String> {
    let places = status.slots.iter().enumerate();
    places
        .filter_map(|(number, slot)| {
            let held = slot.held.as_ref()?;
            let place = place(name, status, number);
            Some(format!("{place}: {}", held_text(held)))
        })
        .collect()
}

/// What was done about each place that was held; or that there was none.
pub(super) fn unlocked(
    name: &str,
    before: &Status,
    unlocked: &[Unlocked],
    way: Way,
) -> Vec<String> {
    if unlocked.is_empty() {
        return vec![format!("{}: {}", escape(name), nobody(before, way))];
    }
    let line = |it: &Unlocked| {
        let place = place_of(name, before, held_of(it));
        format!("{place}: {}", done(it, way))
    };
    unlocked.iter().map(line).collect()
}

/// `backup`, and of several places which: `backup slot 2`
pub(super) fn place(name: &str, status: &Status, number: usize) -> String {
    let name = escape(name);
    if status.slots.len() > 1 {
        format!("{name} slot {number}")
    } else {
        name
    }
}

/// The same for the place that `held` has. One that came just now has no number.
fn place_of(name: &str, status: &Status, held: &Held) -> String {
    let number = number_of(status, held);
    number.map_or_else(|| escape(name), |number| place(name, status, number))
}

/// Which place `held` has in `status`. A job that leaves no details has the first.
pub(super) fn number_of(status: &Status, held: &Held) -> Option<usize> {
    let id = |held: &Held| held.holder.as_ref().map(|holder| holder.id.clone());
    status.slots.iter().position(|slot| {
        slot.held
            .as_ref()
            .is_some_and(|other| id(other) == id(held))
    })
}

fn held_of(unlocked: &Unlocked) -> &Held {
    let (Unlocked::Asked(held) | Unlocked::Freed(held) | Unlocked::CannotAsk(held)) = unlocked;
    held
}

fn nobody(before: &Status, way: Way) -> String {
    let cooling_down = before.slots.iter().filter_map(|slot| slot.cooling_down);
    match (cooling_down.max(), way) {
        (None, _) => "already free".to_owned(),
        (Some(left), Way::Ask | Way::AskOnly) => format!(
            "held by nobody, but cooling down for another {}; --force ends that",
            show(left)
        ),
        (Some(left), Way::Force | Way::ForceIfAgreed) => {
            format!("freed; it was cooling down for another {}", show(left))
        }
    }
}

fn done(unlocked: &Unlocked, way: Way) -> String {
    match unlocked {
        Unlocked::Asked(held) => {
            // That it is asked is what the rest of the line says.
            let told = Held {
                revoked: false,
                ..held.clone()
            };
            let then = match (way, held.remaining) {
                (Way::Ask, Some(_)) => {
                    "waiting until it has released the lock or its lease has ended"
                }
                (Way::Ask, None) => "waiting until it has released the lock",
                _ => {
                    "if it is alive, it stops its command and releases the lock at its next refresh"
                }
            };
            format!("{}: asked to stop; {then}", held_text(&told))
        }
        Unlocked::Freed(held) => format!(
            "freed; it was {}; that job may run on until its next refresh",
            held_text(held)
        ),
        Unlocked::CannotAsk(held) => format!(
            "{}, which cannot be asked to stop; --force frees the lock",
            held_text(held)
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::{Holder, Slot};

    fn held(id: &str) -> Held {
        Held {
            holder: Some(Holder {
                id: id.into(),
                who: "root@web3".into(),
                pid: 4121,
                ..Holder::default()
            }),
            remaining: Some(Duration::from_secs(52)),
            ..Held::default()
        }
    }

    fn status(helds: &[Option<Held>]) -> Status {
        let slot = |held: &Option<Held>| Slot {
            held: held.clone(),
            ..Slot::default()
        };
        Status {
            slots: helds.iter().map(slot).collect(),
            ..Status::default()
        }
    }

    #[test]
    fn a_holder_is_asked_and_waited_for() {
        let before = status(&[Some(held("a"))]);
        let asked = [Unlocked::Asked(held("a"))];
        assert_eq!(
            unlocked("x", &before, &asked, Way::Ask),
            [
                "x: held by root@web3 pid 4121, lease ends in 52s: asked to stop; \
              waiting until it has released the lock or its lease has ended"
            ]
        );
        let only = unlocked("x", &before, &asked, Way::AskOnly);
        assert!(only[0].ends_with("releases the lock at its next refresh"));
    }

    #[test]
    fn of_several_places_each_is_named() {
        let before = status(&[None, Some(held("a")), Some(Held::default())]);
        let did = [
            Unlocked::Freed(held("a")),
            Unlocked::Freed(Held::default()),
            Unlocked::Freed(held("new")),
        ];
        let lines = unlocked("x\x07", &before, &did, Way::Force);
        assert!(lines[0].starts_with("x\\u{7} slot 1: freed; it was held by root@web3 "));
        assert!(lines[1].starts_with("x\\u{7} slot 2: freed; it was held by a job that "));
        assert!(lines[2].starts_with("x\\u{7}: freed; "));
        assert_eq!(holders("x", &before).len(), 2);
    }
}
