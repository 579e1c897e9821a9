//! `tasklock unlock NAME`: free the lock of somebody else. Never a bare DEL.

mod question;
mod text;
mod waiting;

use anyhow::Result;

use crate::config::{Unlock, Way};
use crate::exit::{Code, Ending};
use crate::identity::user_at_host;
use crate::message::escape;
use crate::output;
use crate::store::{self, Slot, Status, Store, StoreError, Unlocked};
use crate::terminal;
use question::Answer;

/// Asks the holder to stop and waits until the lock is free, or frees it at
/// once. Exit 0 when nobody holds it any more (or was only to be asked), 75
/// when somebody still does.
///
/// # Errors
/// [`StoreError`] when the store does not answer.
pub fn unlock(settings: &Unlock) -> Result<Ending> {
    super::tell_where(settings.place.unconfigured);
    let mut request = Request {
        settings,
        store: settings.place.open(),
    };
    // Asked before, as force ends a cooldown, and to name the places.
    let mut before = request.look()?;
    let how = match settings.way {
        Way::Ask | Way::AskOnly => store::Unlock::Ask,
        Way::Force => store::Unlock::Force,
        Way::ForceIfAgreed => {
            while is_held(&before) && terminal::has_somebody() {
                output::lines(&text::holders(settings.name.as_str(), &before));
                if question::ask() == Answer::No {
                    let name = escape(settings.name.as_str());
                    output::line(&format!("{name}: nothing was freed"));
                    return Ok(Code::Skipped.into());
                }
                // Whoever has come since then was not meant.
                let now = request.look()?;
                if same_holders(&before, &now) {
                    break;
                }
                before = now;
            }
            store::Unlock::Force
        }
    };
    let unlocked = request.unlock(how)?;
    // Once it is told that the holder was asked, Ctrl-C says that the request stands.
    let waits = (settings.way == Way::Ask).then(waiting::Events::new);
    let name = settings.name.as_str();
    output::lines(&text::unlocked(name, &before, &unlocked, settings.way));
    let asked = unlocked.iter().any(|it| matches!(it, Unlocked::Asked(_)));
    if let Some(events) = waits.filter(|_| asked) {
        return waiting::wait(request, events, &before, &unlocked);
    }
    Ok(code(&unlocked).into())
}

/// What is asked of the store.
struct Request<'a> {
    settings: &'a Unlock,
    store: Box<dyn Store>,
}

impl Request<'_> {
    fn look(&mut self) -> Result<Status, StoreError> {
        let timeout = self.settings.place.store_timeout;
        self.store.inspect(&self.settings.name, timeout)
    }

    fn unlock(&mut self, how: store::Unlock) -> Result<Vec<Unlocked>, StoreError> {
        let timeout = self.settings.place.store_timeout;
        self.store
            .unlock(&self.settings.name, how, &user_at_host(), timeout)
    }
}

/// A holder that cannot be asked is one that stays.
fn code(unlocked: &[Unlocked]) -> Code {
    if unlocked
        .iter()
        .any(|it| matches!(it, Unlocked::CannotAsk(_)))
    {
        Code::Skipped
    } else {
        Code::Ok
    }
}

fn is_held(status: &Status) -> bool {
    status.slots.iter().any(|slot| slot.held.is_some())
}

/// Whether everybody who holds a place now held it before. A job that leaves no
/// details is taken for the same one.
fn same_holders(before: &Status, now: &Status) -> bool {
    let id = |slot: &Slot| {
        let held = slot.held.as_ref()?;
        Some(held.holder.as_ref().map(|holder| holder.id.clone()))
    };
    now.slots.iter().enumerate().all(|(number, slot)| {
        slot.held.is_none() || before.slots.get(number).map(id) == Some(id(slot))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Held, Holder};

    fn held(ids: &[Option<&str>]) -> Status {
        let slot = |id: &Option<&str>| Slot {
            held: id.map(|id| Held {
                holder: (!id.is_empty()).then(|| Holder {
                    id: id.to_owned(),
                    ..Holder::default()
                }),
                ..Held::default()
            }),
            ..Slot::default()
        };
        Status {
            slots: ids.iter().map(slot).collect(),
            ..Status::default()
        }
    }

    #[test]
    fn who_came_after_the_question_is_somebody_else() {
        let same = |before: &[_], now: &[_]| same_holders(&held(before), &held(now));
        assert!(same(&[Some("a")], &[Some("a")]));
        assert!(same(&[Some("a")], &[None]));
        assert!(same(&[Some("")], &[Some("")]));
        assert!(!same(&[Some("a")], &[Some("b")]));
        assert!(!same(&[None], &[Some("b")]));
        assert!(!same(&[Some("a")], &[Some("")]));
        assert!(!same(&[Some("a")], &[Some("a"), Some("b")]));
    }

    #[test]
    fn who_cannot_be_asked_decides_the_code() {
        let (asked, recipe) = (Held::default(), Held::default());
        assert_eq!(code(&[Unlocked::Asked(asked.clone())]), Code::Ok);
        assert_eq!(
            code(&[Unlocked::Asked(asked), Unlocked::CannotAsk(recipe)]),
            Code::Skipped
        );
    }
}
