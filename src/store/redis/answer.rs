//! From the words that a script answers with to the values of the store.
//!
//! Every reader returns `None` for an answer that no script of ours gives.

use std::str::FromStr;
use std::time::Duration;

use redis::Value;

use super::past;
use crate::store::{
    Acquire, Checked, Done, Fence, Grant, Held, Holder, Loss, Queued, Refresh, Release, Slot,
    Status, Tenure, Unlocked, Waiter,
};

/// Numbers from here on are not exact in a script, which would give the next holder the same.
const FENCE_END: u64 = 1 << 53;

/// How many characters of an error of the server's are shown.
const ERROR_MAX_CHARS: usize = 200;

/// What is wrong with a key of another type.
const FOREIGN: &str = "is not a lock's: it holds another type of value";

/// The words of one answer, read from the front.
#[derive(Clone)]
pub(super) struct Words(std::vec::IntoIter<Value>);

impl Words {
    pub(super) fn new(value: Value) -> Option<Words> {
        match value {
            Value::Array(words) => Some(Words(words.into_iter())),
            _ => None,
        }
    }

    pub(super) fn text(&mut self) -> Option<String> {
        match self.0.next()? {
            Value::BulkString(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            _ => None,
        }
    }

    pub(super) fn number<T: FromStr>(&mut self) -> Option<T> {
        self.text()?.parse().ok()
    }

    pub(super) fn fence(&mut self) -> Option<Fence> {
        let fence = self.number()?;
        (1..FENCE_END).contains(&fence).then_some(Fence(fence))
    }

    pub(super) fn millis(&mut self) -> Option<Duration> {
        self.number().map(Duration::from_millis)
    }

    /// A number, or the empty word for "none".
    fn number_if_any<T: FromStr>(&mut self) -> Option<Option<T>> {
        match self.text()?.as_str() {
            "" => Some(None),
            digits => digits.parse().ok().map(Some),
        }
    }

    fn millis_if_any(&mut self) -> Option<Option<Duration>> {
        Some(self.number_if_any()?.map(Duration::from_millis))
    }

    /// What `held()` of `state.lua` answers, or `None` inside for its `false`.
    pub(super) fn held_if_any(&mut self) -> Option<Option<Held>> {
        let value = self.0.next()?;
        if value == Value::Nil {
            return Some(None);
        }
        let mut words = Words::new(value)?;
        let kind = words.text()?;
        let details = words.text()?;
        Some(Some(Held {
            holder: (kind == "holder").then(|| holder(&details)),
            age: words.millis_if_any()?,
            remaining: words.millis_if_any()?,
            revoked: !words.text()?.is_empty(),
        }))
    }

    fn held(&mut self) -> Option<Held> {
        self.held_if_any()?
    }

    /// The next word, which is some words itself.
    pub(super) fn group(&mut self) -> Option<Words> {
        Words::new(self.0.next()?)
    }

    /// The texts that are left.
    pub(super) fn texts(mut self) -> Vec<String> {
        std::iter::from_fn(|| self.text()).collect()
    }

    /// The words that are left, each of them some words again.
    fn groups<T>(self, read: impl Fn(&mut Words) -> Option<T>) -> Option<Vec<T>> {
        self.0.map(|value| read(&mut Words::new(value)?)).collect()
    }
}

/// Reads the details that the holder left; an unreadable text is an unknown holder, never an error.
fn holder(details: &str) -> Holder {
    serde_json::from_str(details).unwrap_or_else(|_| Holder {
        who: "unknown".to_owned(),
        ..Holder::default()
    })
}

/// The key that a script stopped at, and why: not ours to read or to write.
pub(super) fn refused_key(answer: &Value) -> Option<(String, &'static str)> {
    let Value::Array(words) = answer else {
        return None;
    };
    let [Value::BulkString(word), Value::BulkString(key)] = words.as_slice() else {
        return None;
    };
    let what = match word.as_slice() {
        b"foreign" => FOREIGN,
        b"newer" => "was written by a newer tasklock",
        _ => return None,
    };
    Some((String::from_utf8_lossy(key).into_owned(), what))
}

/// Whether a script stopped at a key that holds something else than a lock's.
pub(super) fn is_foreign(answer: &Value) -> bool {
    refused_key(answer).is_some_and(|(_, what)| what == FOREIGN)
}

/// An error of the server's as it may stand in a message: on one line, of
/// bounded length, and without what would drive the terminal.
pub(super) fn shown(text: &str) -> String {
    let clean = |c: char| if c.is_control() { '?' } else { c };
    let mut short: String = text.chars().take(ERROR_MAX_CHARS).map(clean).collect();
    if text.chars().nth(ERROR_MAX_CHARS).is_some() {
        short.push('…');
    }
    short
}

/// To a run that may have the places below `slots`. Answers with the ticket as well, where we are
/// in line.
pub(super) fn acquire(mut words: Words, slots: u32) -> Option<(Acquire, Option<u64>)> {
    let answer = match words.text()?.as_str() {
        "granted" => Acquire::Granted(Grant {
            fence: words.fence()?,
            end_ms: words.number()?,
            slot: words.number().filter(|slot| *slot < slots.max(1))?,
        }),
        "held" => Acquire::Held(words.held()?),
        "queued" => {
            let ticket = words.number()?;
            let place = words.number_if_any()?;
            let ask_in = words.millis()?;
            let held = words.held_if_any()?;
            let queued = Queued {
                held,
                place,
                ask_in,
            };
            return Some((Acquire::Queued(queued), Some(ticket)));
        }
        "reserved" => {
            let details = words.text()?;
            let first = (!details.is_empty()).then(|| holder(&details));
            Acquire::Reserved { first }
        }
        "cooling" => Acquire::CoolingDown {
            remaining: words.millis()?,
        },
        "recently" => Acquire::Done(Done::Recently {
            ago: words.millis()?,
        }),
        "samekey" => Acquire::Done(Done::SameKey),
        "attempts" => Acquire::Done(Done::Attempts {
            count: words.number()?,
        }),
        "withdrawn" => Acquire::Withdrawn,
        _ => return None,
    };
    Some((answer, None))
}

pub(super) fn refresh(mut words: Words, last: &Grant) -> Option<Refresh> {
    let until = |end_ms| Grant { end_ms, ..*last };
    Some(match words.text()?.as_str() {
        "held" => Refresh::Held(until(words.number()?)),
        "retaken" => Refresh::Retaken(until(words.number()?)),
        "revoked" => Refresh::Revoked { by: words.text()? },
        "taken" => Refresh::Lost(Loss::TakenOver(words.held()?)),
        "moved" => Refresh::Lost(Loss::FenceMoved),
        "expired" => Refresh::Lost(Loss::Expired),
        _ => return None,
    })
}

pub(super) fn release(mut words: Words) -> Option<Release> {
    Some(match words.text()?.as_str() {
        "released" => Release::Released,
        "forgotten" => Release::Forgotten,
        "other" => Release::NotOurs(words.held_if_any()?),
        _ => return None,
    })
}

pub(super) fn checked(mut words: Words) -> Option<Checked> {
    Some(match words.text()?.as_str() {
        "held" => Checked::Held(Tenure {
            slot: words.number()?,
            ttl: words.millis()?,
            remaining: words.millis_if_any()?,
        }),
        "revoked" => Checked::Revoked { by: words.text()? },
        "other" => Checked::NotHeld(words.held_if_any()?),
        _ => return None,
    })
}

pub(super) fn extended(mut words: Words) -> Option<Checked> {
    Some(match words.text()?.as_str() {
        "held" | "retaken" => {
            // The end is of the server's clock, which nobody needs who has the ttl.
            words.number::<u64>()?;
            let (slot, ttl) = (words.number()?, words.millis()?);
            Checked::Held(Tenure {
                slot,
                ttl,
                remaining: Some(ttl),
            })
        }
        "revoked" => Checked::Revoked { by: words.text()? },
        "taken" => Checked::NotHeld(Some(words.held()?)),
        "moved" | "expired" => Checked::NotHeld(None),
        "other" => Checked::NotHeld(words.held_if_any()?),
        _ => return None,
    })
}

pub(super) fn status(mut words: Words) -> Option<Status> {
    if words.text()? != "status" {
        return None;
    }
    let waiting = words.number_if_any()?;
    let skips = words.number()?;
    let last_success = words.millis_if_any()?;
    let last = past::last(words.group()?);
    let waiters = words.group()?.groups(|words| {
        let details = words.text()?;
        let age = words.millis_if_any()?;
        Some((holder(&details), age))
    })?;
    let slots = words.groups(|words| {
        Some(Slot {
            fence: words.number_if_any()?.map(Fence),
            cooling_down: words.millis_if_any()?,
            held: words.held_if_any()?,
        })
    })?;
    (!slots.is_empty()).then(|| Status {
        slots,
        waiting,
        waiters: in_line(waiters),
        last,
        last_success,
        skips,
    })
}

fn in_line(waiters: Vec<(Holder, Option<Duration>)>) -> Vec<Waiter> {
    let numbered = (1..).zip(waiters);
    let waiter = |(place, (holder, age))| Waiter {
        holder: Some(holder),
        place,
        age,
    };
    numbered.map(waiter).collect()
}

/// A status for a list. None inside: there is nothing to list.
pub(super) fn listed(words: Words) -> Option<Option<Status>> {
    if words.clone().text()? == "unlisted" {
        return Some(None);
    }
    status(words).map(Some)
}

pub(super) fn unlocked(mut words: Words) -> Option<Vec<Unlocked>> {
    if words.text()? != "unlocked" {
        return None;
    }
    words.groups(|words| {
        Some(match words.text()?.as_str() {
            "asked" => Unlocked::Asked(words.held()?),
            "freed" => Unlocked::Freed(words.held()?),
            "recipe" => Unlocked::CannotAsk(words.held()?),
            _ => return None,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(texts: &[&str]) -> Words {
        let bulk = |text: &&str| Value::BulkString(text.as_bytes().to_vec());
        Words::new(Value::Array(texts.iter().map(bulk).collect())).unwrap()
    }

    #[test]
    fn an_answer_that_is_cut_short_or_of_the_wrong_kind_is_no_answer() {
        assert!(Words::new(Value::Nil).is_none());
        let granted = Grant {
            fence: Fence(1),
            end_ms: 2,
            slot: 3,
        };
        let whole = ["granted", "1", "2", "3"];
        let read = Some((Acquire::Granted(granted), None));
        assert_eq!(acquire(words(&whole), 4), read);
        for count in 0..whole.len() {
            assert_eq!(acquire(words(&whole[..count]), 4), None);
        }
        assert_eq!(acquire(words(&whole), 3), None);
        for fence in ["nan", "0", "-1", "9007199254740992", "18446744073709551616"] {
            assert_eq!(acquire(words(&["granted", fence, "2", "3"]), 4), None);
        }
        let far = words(&["granted", "1", "2", "4294967296"]);
        assert_eq!(acquire(far, u32::MAX), None);
        assert_eq!(acquire(words(&["held", "who"]), 1), None);
        assert_eq!(acquire(words(&["queued", "1", "2", "3"]), 1), None);
        assert_eq!(refresh(words(&["held", "-5"]), &granted), None);
        assert_eq!(status(words(&["granted"])), None);
        assert_eq!(status(words(&["status", "0"])), None);
        assert_eq!(status(words(&["status", "0", "who"])), None);
        assert_eq!(unlocked(words(&["unlocked", "who"])), None);
    }

    #[test]
    fn an_error_is_shortened_and_cannot_drive_a_terminal() {
        assert_eq!(shown("a\u{1b}[2Jb\n"), "a?[2Jb?");
        assert_eq!(
            shown(&"x".repeat(1000)).chars().count(),
            ERROR_MAX_CHARS + 1
        );
    }

    #[test]
    fn unreadable_details_are_an_unknown_holder() {
        for details in ["", "{", "[1]", "{\"who\":3}"] {
            assert_eq!(holder(details).who, "unknown", "{details}");
        }
    }
}
