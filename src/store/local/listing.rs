//! What there is to be seen: of one lock, and which locks there are.

use std::collections::HashMap;
use std::ops::ControlFlow;

use super::directory::{Access, Directory};
use super::file_name::{self, Listed};
use super::history::{Past, RunsFile};
use super::line::Line;
use super::lock_file::{LockFile, Look};
use super::record::{self, Record};
use crate::store::pattern::Pattern;
use crate::store::{LockName, Slot, Status, StoreError, WAITERS_MAX, Waiter};

/// The last place of `name` that was ever used.
pub(super) fn last_slot(directory: &Directory, name: &LockName) -> Result<u32, StoreError> {
    let files = directory.file_names()?;
    let slots = files
        .iter()
        .filter_map(|file| file_name::slot_of(name, file));
    Ok(slots.max().unwrap_or(0))
}

/// The places of `name` up to `last`, as far as they still exist.
pub(super) fn places(
    directory: &Directory,
    name: &LockName,
    last: u32,
) -> Result<Vec<Option<Look>>, StoreError> {
    (0..=last)
        .map(|slot| LockFile::new(directory, name, slot).look())
        .collect()
}

/// What is remembered of `name`, whose places look like this now.
pub(super) fn past(directory: &Directory, name: &LockName, looks: &[Option<Look>]) -> Past {
    let mut past = RunsFile::new(directory, name).read();
    for (slot, look) in (0..).zip(looks) {
        if let Some(Look {
            record: Some(record),
            held,
        }) = look
        {
            past.and_now(slot, record, held.is_some());
        }
    }
    past
}

/// What there is to be seen of `name`, whose last place is `last`.
pub(super) fn status(
    directory: &Directory,
    name: &LockName,
    last: u32,
) -> Result<Status, StoreError> {
    let looks = places(directory, name, last)?;
    let past = past(directory, name, &looks);
    let line = Line::new(directory, name);
    let waiters = line.waiters()?;
    let slot = |look: Option<Look>| {
        look.map_or_else(Slot::default, |look| Slot {
            fence: look.fence(),
            cooling_down: look.cooling_down(),
            held: look.held,
        })
    };
    let first = waiters.iter().take(WAITERS_MAX);
    let told = (1..).zip(line.details_of(first)).map(|(place, details)| {
        let (holder, age) = details.unzip();
        Waiter { holder, place, age }
    });
    Ok(Status {
        slots: looks.into_iter().map(slot).collect(),
        waiting: u32::try_from(waiters.len()).ok(),
        waiters: told.collect(),
        last: past.last(),
        last_success: past.last_success(),
        skips: past.skips(),
    })
}

/// See [`crate::store::Store::list`].
pub(super) fn list(
    directory: &Directory,
    pattern: &Pattern,
    tell: &mut dyn FnMut(&LockName, &Status) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    let files = directory.file_names()?;
    let mut last_slots: HashMap<&str, u32> = HashMap::new();
    for file in &files {
        if let Some(Listed::Slot(stem, slot)) = file_name::listed(file) {
            let last = last_slots.entry(stem).or_default();
            *last = slot.max(*last);
        }
    }
    for file in &files {
        let name = match file_name::listed(file) {
            Some(Listed::Lock(name)) => name,
            Some(Listed::Hashed) => match name_in(directory, file)? {
                Some(name) => name,
                None => continue,
            },
            Some(Listed::Slot(..)) | None => continue,
        };
        if !pattern.matches(name.as_str()) {
            continue;
        }
        let last = last_slots.get(&*file_name::stem_of(&name));
        let status = status(directory, &name, last.copied().unwrap_or(0))?;
        if tell(&name, &status).is_break() {
            return Ok(());
        }
    }
    Ok(())
}

/// The name of the lock that stands in its file.
fn name_in(directory: &Directory, file_name: &str) -> Result<Option<LockName>, StoreError> {
    let Some(file) = directory.open_file(file_name, Access::Look)? else {
        return Ok(None);
    };
    let record: Option<Record> = record::read_in(directory, file_name, &file)?;
    let name = record.and_then(|record| LockName::new(&record.name?).ok());
    Ok(name.filter(|name| file_name::lock_file(name, 0) == file_name))
}
