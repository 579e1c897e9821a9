//! The records of runs that the scripts write (see `runs.lua`), as values of the store.

use std::time::Duration;

use super::answer::Words;
use crate::store::past::{History, PastRun};
use crate::store::{Fence, Holder};

/// Reads the answer of HISTORY.
pub(super) fn history(mut words: Words) -> Option<History> {
    if words.text()? != "history" {
        return None;
    }
    let now_ms = words.number()?;
    let skips = words.number()?;
    let mut runs = runs(words.group()?);
    runs.extend(self::runs(words.group()?));
    Some(History {
        runs,
        skips,
        now_ms,
    })
}

/// The run of these that ended last. Of one that vanished only the beginning is known.
pub(super) fn last(records: Words) -> Option<PastRun> {
    runs(records).into_iter().max_by_key(PastRun::ended_ms)
}

/// The runs of these records; what is no record is passed over.
fn runs(records: Words) -> Vec<PastRun> {
    let texts = records.texts();
    texts.iter().filter_map(|text| run(text)).collect()
}

/// `place start ms outcome fence skips pid id bytes-of-who who` and the command.
fn run(record: &str) -> Option<PastRun> {
    let mut words = record.splitn(10, ' ');
    let mut word = || words.next();
    let slot = word()?.parse().ok()?;
    let started_ms = word()?.parse().ok()?;
    let lasted = known(word()?).map(str::parse).transpose().ok()?;
    let outcome = word()?.parse().ok()?;
    let fence = known(word()?).map(str::parse).transpose().ok()?;
    let skips = word()?.parse().ok()?;
    let pid = word()?.parse().ok()?;
    let id = known(word()?).unwrap_or_default().to_owned();
    let length: usize = word()?.parse().ok()?;
    let (who, command) = word()?.split_at_checked(length)?;
    Some(PastRun {
        holder: Holder {
            id,
            who: who.to_owned(),
            pid,
            command: command.to_owned(),
            reason: None,
        },
        fence: fence.map(Fence),
        slot,
        started_ms,
        lasted: lasted.map(Duration::from_millis),
        outcome,
        skips,
    })
}

/// A word that does not stand for something unknown.
fn known(word: &str) -> Option<&str> {
    Some(word).filter(|word| *word != "-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::past::PastOutcome;

    #[test]
    fn a_record_is_read_whatever_stands_in_its_texts() {
        let read = run("3 1700000000000 1500 exit:7 99 2 42 ab12 7 a b\u{1b}ü~ -c\n").unwrap();
        assert_eq!((read.slot, read.started_ms), (3, 1_700_000_000_000));
        assert_eq!(read.lasted, Some(Duration::from_millis(1500)));
        assert_eq!(read.outcome, PastOutcome::Exit(7));
        assert_eq!((read.fence, read.skips), (Some(Fence(99)), 2));
        assert_eq!((read.holder.pid, &*read.holder.id), (42, "ab12"));
        assert_eq!(read.holder.who, "a b\u{1b}ü~");
        assert_eq!(read.holder.command, " -c\n");
    }

    #[test]
    fn what_is_not_known_is_left_out_and_what_is_no_record_passed_over() {
        let read = run("0 1 - vanished - 0 0 - 0 ").unwrap();
        assert_eq!((read.lasted, read.fence), (None, None));
        assert_eq!(read.holder, Holder::default());
        for text in [
            "",
            "x",
            "0 1 - gone - 0 0 - 0 ",
            "0 1 - lost - 0 0 - 9 a",
            "0 1 - lost - 0 0 - 1 ü",
        ] {
            assert_eq!(run(text), None, "{text}");
        }
    }
}
