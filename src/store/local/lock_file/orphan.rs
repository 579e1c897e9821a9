//! The command of a run that was killed.
//!
//! The kernel frees the lock of a process that dies, and then tells its children to
//! die. So the command stands in the lock file, in a second line that older versions
//! do not read and every grant cuts off: who finds the file free, but not given back,
//! looks whether that command is dead.
//!
//! The command writes the line itself before it is executed. Until then it has the file
//! open like us, and with it the kernel's lock: nobody finds the file free sooner.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::Hold;
use crate::footprint::{Footprint, Track};
use crate::store::local::record::{self, LINE_MAX_BYTES, Moment, Record};

impl Hold {
    /// Where the command of this hold is to leave its footprint. None: that is of no use here.
    pub(in crate::store::local) fn track(&mut self) -> Option<Track<'_>> {
        let offset = self.end_of_record().ok()?;
        let footprint = Footprint::to_be_left(self.record.fence)?;
        Some(Track {
            file: &self.file,
            offset,
            footprint: self.footprint.insert(footprint),
        })
    }

    /// Writes all that is to stand in `file` while the hold lasts.
    pub(super) fn write(&self, file: &File) -> io::Result<()> {
        record::write(file, &self.record)?;
        match &self.footprint {
            Some(footprint) => footprint.write(file, self.end_of_record()?),
            None => Ok(()),
        }
    }

    fn end_of_record(&self) -> io::Result<u64> {
        Ok(record::line(&self.record)?.len() as u64)
    }
}

/// Whether the command of the run in `record` lives, though nobody has locked `file`.
pub(super) fn lives(file: &File, record: &Record) -> bool {
    record.holder.is_some()
        && record.since.is_of_the_boot_of(&Moment::now())
        && footprint(file).is_some_and(|it| it.fence == record.fence && it.is_of_the_living())
}

fn footprint(file: &File) -> Option<Footprint> {
    let mut bytes = vec![0; LINE_MAX_BYTES];
    let count = file.read_at(&mut bytes, 0).ok()?;
    let second = bytes[..count].split(|byte| *byte == b'\n').nth(1)?;
    serde_json::from_slice(second).ok()
}
