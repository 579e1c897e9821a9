//! From the words that a script answers with to the values of the store.
//!
//! Every reader returns `None` for an answer that no script of ours gives.

use std::time::Duration;

use redis::Value;

use crate::store::{
    Acquire, Fence, Grant, Held, Holder, Loss, Refresh, Release, Slot, Status, Unlocked,
};

/// How many characters of an error of the server's are shown.
const ERROR_MAX_CHARS: usize = 200;

/// The words of one answer, read from the front.
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

    fn number(&mut self) -> Option<u64> {
        self.text()?.parse().ok()
    }

    fn millis(&mut self) -> Option<Duration> {
        self.number().map(Duration::from_millis)
    }

    /// A number, or the empty word for "none".
    fn number_if_any(&mut self) -> Option<Option<u64>> {
        match self.text()?.as_str() {
            "" => Some(None),
            digits => digits.parse().ok().map(Some),
        }
    }

    fn millis_if_any(&mut self) -> Option<Option<Duration>> {
        Some(self.number_if_any()?.map(Duration::from_millis))
    }

    /// What `held()` of `state.lua` answers, or `None` inside for its `false`.
    fn held_if_any(&mut self) -> Option<Option<Held>> {
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
        b"foreign" => "is not a lock's: it holds another type of value",
        b"newer" => "was written by a newer tasklock",
        _ => return None,
    };
    Some((String::from_utf8_lossy(key).into_owned(), what))
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

pub(super) fn acquire(words: &mut Words) -> Option<Acquire> {
    Some(match words.text()?.as_str() {
        "granted" => Acquire::Granted(Grant {
            fence: Fence(words.number()?),
            end_ms: words.number()?,
            slot: 0,
        }),
        "held" => Acquire::Held(words.held()?),
        "cooling" => Acquire::CoolingDown {
            remaining: words.millis()?,
        },
        "withdrawn" => Acquire::Withdrawn,
        _ => return None,
    })
}

pub(super) fn refresh(words: &mut Words, fence: Fence) -> Option<Refresh> {
    Some(match words.text()?.as_str() {
        "held" => Refresh::Held(Grant {
            fence,
            end_ms: words.number()?,
            slot: 0,
        }),
        "retaken" => Refresh::Retaken(Grant {
            fence,
            end_ms: words.number()?,
            slot: 0,
        }),
        "revoked" => Refresh::Revoked { by: words.text()? },
        "taken" => Refresh::Lost(Loss::TakenOver(words.held()?)),
        "moved" => Refresh::Lost(Loss::FenceMoved),
        "expired" => Refresh::Lost(Loss::Expired),
        _ => return None,
    })
}

pub(super) fn release(words: &mut Words) -> Option<Release> {
    Some(match words.text()?.as_str() {
        "released" => Release::Released,
        "forgotten" => Release::Forgotten,
        "other" => Release::NotOurs(words.held_if_any()?),
        _ => return None,
    })
}

pub(super) fn status(words: &mut Words) -> Option<Status> {
    if words.text()? != "status" {
        return None;
    }
    Some(Status {
        slots: vec![Slot {
            fence: words.number_if_any()?.map(Fence),
            cooling_down: words.millis_if_any()?,
            held: words.held_if_any()?,
        }],
        waiting: None,
    })
}

pub(super) fn unlocked(words: &mut Words) -> Option<Vec<Unlocked>> {
    Some(vec![match words.text()?.as_str() {
        "free" => return Some(Vec::new()),
        "asked" => Unlocked::Asked(words.held()?),
        "freed" => Unlocked::Freed(words.held()?),
        "recipe" => Unlocked::CannotAsk(words.held()?),
        _ => return None,
    }])
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
        assert_eq!(acquire(&mut words(&[])), None);
        assert_eq!(acquire(&mut words(&["granted", "1"])), None);
        assert_eq!(acquire(&mut words(&["granted", "nan", "2"])), None);
        assert_eq!(acquire(&mut words(&["held", "who"])), None);
        assert_eq!(refresh(&mut words(&["held", "-5"]), Fence(1)), None);
        assert_eq!(status(&mut words(&["granted"])), None);
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
