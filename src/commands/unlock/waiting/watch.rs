//! Who was asked to stop, and how each of them went. Pure: `now` comes in.

use crate::clock::Tick;
use crate::commands::unlock::text::{number_of, place};
use crate::duration::show;
use crate::message::{escape, held_text};
use crate::store::{Held, Slot, Status, Unlocked};

/// Those who were asked and are not known to be gone.
#[derive(Debug)]
pub(super) struct Watch {
    name: String,
    since: Tick,
    asked: Vec<Asked>,
}

#[derive(Clone, Debug)]
struct Asked {
    id: String,
    /// Where it was seen last, if it was.
    slot: Option<usize>,
    /// When its lease ends, as far as it is known.
    ends: Tick,
}

impl Watch {
    /// `unlocked` is what came of asking just now, `before` how the lock stood then.
    pub(super) fn new(name: &str, before: &Status, unlocked: &[Unlocked], now: Tick) -> Watch {
        let asked = unlocked.iter().filter_map(|it| match it {
            Unlocked::Asked(held) => Some(Asked {
                id: id(held)?.to_owned(),
                slot: number_of(before, held),
                ends: end(held, now),
            }),
            Unlocked::Freed(_) | Unlocked::CannotAsk(_) => None,
        });
        Watch {
            name: name.to_owned(),
            since: now,
            asked: asked.collect(),
        }
    }

    /// Nobody is left.
    pub(super) fn is_over(&self) -> bool {
        self.asked.is_empty()
    }

    /// All leases have ended, as far as we know: whatever the store would say now,
    /// none of them counts on the lock.
    pub(super) fn leases_ended(&self, now: Tick) -> bool {
        self.asked.iter().all(|asked| asked.ends <= now)
    }

    /// Whether the store has forgotten a request to stop, and can be asked again
    /// without asking somebody who was not meant.
    pub(super) fn is_forgotten(&self, status: &Status) -> bool {
        let mut helds = status.slots.iter().filter_map(|slot| slot.held.as_ref());
        let meant = |held: &Held| self.asked.iter().any(|asked| id(held) == Some(&asked.id));
        helds.clone().all(meant) && helds.any(|held| !held.revoked)
    }

    /// Says who is gone now, and how the place stands that they had.
    pub(super) fn see(&mut self, status: &Status, now: Tick) -> Vec<String> {
        let mut lines = Vec::new();
        let (name, since) = (&self.name, self.since);
        self.asked.retain_mut(|asked| {
            if let Some((number, held)) = find(status, &asked.id) {
                asked.slot = Some(number);
                asked.ends = end(held, now);
                return true;
            }
            let how = if asked.ends <= now {
                "its lease has ended"
            } else {
                "it has released the lock"
            };
            let number = asked.slot.unwrap_or(0);
            let then = status.slots.get(number);
            let then = then.map_or_else(|| slot_text(&Slot::default()), slot_text);
            let (place, after) = (place(name, status, number), show(now.since(since)));
            lines.push(format!("{place}: {how}, after {after}; {then}"));
            false
        });
        lines
    }

    /// What stands when nobody waits any more.
    pub(super) fn given_up(&self) -> Vec<String> {
        let name = escape(&self.name);
        vec![format!(
            "{name}: still held; the request to stop stands, and is followed at the next refresh"
        )]
    }
}

fn find<'a>(status: &'a Status, wanted: &str) -> Option<(usize, &'a Held)> {
    let places = status.slots.iter().enumerate();
    let mut helds = places.filter_map(|(number, slot)| Some((number, slot.held.as_ref()?)));
    helds.find(|(_, held)| id(held) == Some(wanted))
}

fn id(held: &Held) -> Option<&str> {
    held.holder.as_ref().map(|holder| holder.id.as_str())
}

fn end(held: &Held, now: Tick) -> Tick {
    held.remaining.map_or(Tick::NEVER, |left| now + left)
}

fn slot_text(slot: &Slot) -> String {
    match (&slot.held, slot.cooling_down) {
        (Some(held), _) => format!("now {}", held_text(held)),
        (None, Some(left)) => format!("cooling down for another {}", show(left)),
        (None, None) => "free".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::Holder;

    fn at(seconds: u64) -> Tick {
        Tick::from_boot(Duration::from_secs(1000 + seconds))
    }

    fn held(id: &str, left: Option<u64>) -> Held {
        Held {
            holder: Some(Holder {
                id: id.into(),
                who: "root@web3".into(),
                pid: 4121,
                ..Holder::default()
            }),
            remaining: left.map(Duration::from_secs),
            revoked: true,
            age: None,
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

    fn watch(left: Option<u64>) -> Watch {
        let asked = held("a", left);
        let before = status(&[Some(asked.clone())]);
        Watch::new("x", &before, &[Unlocked::Asked(asked)], at(0))
    }

    #[test]
    fn a_place_that_is_free_before_the_lease_has_ended_was_released() {
        let mut watch = watch(Some(52));
        assert!(
            watch
                .see(&status(&[Some(held("a", Some(50)))]), at(2))
                .is_empty()
        );
        let lines = watch.see(&status(&[None]), at(3));
        assert_eq!(lines, ["x: it has released the lock, after 3s; free"]);
        assert!(watch.is_over());
    }

    #[test]
    fn a_place_that_is_free_when_the_lease_has_ended_was_left_by_a_dead_holder() {
        let mut watch = watch(Some(52));
        assert!(!watch.leases_ended(at(51)));
        let lines = watch.see(&status(&[None]), at(52));
        assert_eq!(lines, ["x: its lease has ended, after 52s; free"]);
    }

    #[test]
    fn a_lease_that_runs_longer_than_at_first_is_waited_for() {
        let mut watch = watch(Some(5));
        watch.see(&status(&[Some(held("a", Some(60)))]), at(4));
        let lines = watch.see(&status(&[None]), at(6));
        assert_eq!(lines, ["x: it has released the lock, after 6s; free"]);
    }

    #[test]
    fn whoever_comes_next_is_named_and_not_waited_for() {
        let mut watch = watch(None);
        let lines = watch.see(&status(&[Some(held("b", Some(60)))]), at(1));
        assert_eq!(lines.len(), 1);
        let start = "x: it has released the lock, after 1s; now held by root@web3 pid 4121";
        assert!(lines[0].starts_with(start), "{lines:?}");
        assert!(watch.is_over());
    }

    #[test]
    fn each_place_is_told_of_when_it_is_free() {
        let (a, b) = (held("a", Some(60)), held("b", Some(60)));
        let before = status(&[Some(a.clone()), Some(b.clone())]);
        let asked = [Unlocked::Asked(a.clone()), Unlocked::Asked(b)];
        let mut watch = Watch::new("x", &before, &asked, at(0));
        let lines = watch.see(&status(&[Some(a), None]), at(1));
        assert_eq!(
            lines,
            ["x slot 1: it has released the lock, after 1s; free"]
        );
        assert!(!watch.is_over());
        let mut cooling = status(&[None, None]);
        cooling.slots[0].cooling_down = Some(Duration::from_secs(40));
        let lines = watch.see(&cooling, at(2));
        let text = "x slot 0: it has released the lock, after 2s; cooling down for another 40s";
        assert_eq!(lines, [text]);
    }

    #[test]
    fn a_request_that_the_store_forgot_is_repeated_unless_others_would_be_asked_too() {
        let watch = watch(Some(60));
        let forgotten = Held {
            revoked: false,
            ..held("a", Some(60))
        };
        let other = Held {
            revoked: false,
            ..held("b", Some(60))
        };
        assert!(!watch.is_forgotten(&status(&[Some(held("a", None))])));
        assert!(watch.is_forgotten(&status(&[Some(forgotten.clone()), None])));
        assert!(!watch.is_forgotten(&status(&[Some(forgotten), Some(other)])));
        assert!(!watch.is_forgotten(&status(&[None])));
    }
}
