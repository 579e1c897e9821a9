//! What can be done to the file of a place by whoever has the token of its holder.

use std::time::Duration;

use super::{Access, Entry, FreedBy, InTheWay, LockFile};
use crate::store::local::history::RunsFile;
use crate::store::local::lease::{Lease, Proof};
use crate::store::local::patience::Patience;
use crate::store::local::record::{self, Record};
use crate::store::past::{HISTORY_DEFAULT, PastOutcome};
use crate::store::{Checked, Grant, Release, StoreError, StoreErrorKind, Tenure};

impl LockFile<'_> {
    /// What the file says of the holder that `proof` is of. None: it has another, or none.
    pub(in crate::store::local) fn check(
        &self,
        proof: &Proof,
    ) -> Result<Option<Checked>, StoreError> {
        let look = self.look()?.filter(|look| look.held.is_some());
        let record = look.and_then(|look| look.record);
        let Some(record) = record.filter(|record| record.proof.as_ref() == Some(proof)) else {
            return Ok(None);
        };
        Ok(Some(match self.marker(record.fence) {
            Some(marker) => Checked::Revoked { by: marker.by },
            None => Checked::Held(self.tenure(&record)),
        }))
    }

    fn tenure(&self, record: &Record) -> Tenure {
        Tenure {
            slot: self.slot,
            ttl: record.lease.as_ref().map(Lease::ttl).unwrap_or_default(),
            remaining: record.leased(),
        }
    }

    /// Lets the lease of `proof` run from now. The lock of a run lasts as long as that, and
    /// is left alone. None: it is nobody's that `proof` is of.
    pub(in crate::store::local) fn extend(
        &self,
        proof: &Proof,
        ttl: Option<Duration>,
    ) -> Result<Option<Checked>, StoreError> {
        match self.check(proof)? {
            Some(Checked::Held(Tenure {
                remaining: Some(_), ..
            })) => {}
            answer => return Ok(answer),
        }
        let extended = self.change(proof, |record| {
            let last = record.lease.as_ref().map(Lease::ttl).unwrap_or_default();
            record.lease = Some(Lease::of(ttl.unwrap_or(last)));
        })?;
        Ok(extended.map(|record| Checked::Held(self.tenure(&record))))
    }

    /// Grants the lock again to whoever has its lease already.
    pub(in crate::store::local) fn grant_again(
        &self,
        proof: &Proof,
        ttl: Duration,
    ) -> Result<Option<Grant>, StoreError> {
        let again = self.change(proof, |record| record.lease = Some(Lease::of(ttl)))?;
        Ok(again.map(|record| Grant {
            fence: record.fence,
            end_ms: 0,
            slot: self.slot,
        }))
    }

    /// Frees the place for the holder that `proof` is of, also while its run goes on. None:
    /// it is not its own.
    pub(in crate::store::local) fn give_back(
        &self,
        proof: &Proof,
        runs: &RunsFile<'_>,
    ) -> Result<Option<Release>, StoreError> {
        match self.check(proof)? {
            None => return Ok(None),
            Some(Checked::Held(Tenure {
                remaining: None, ..
            })) => return self.take_from_run(proof),
            Some(_) => {}
        }
        let freed = self.change(proof, |record| {
            let ended = (&*record, self.slot);
            runs.ended(ended, PastOutcome::Released, HISTORY_DEFAULT);
            let mut freed = record.released();
            freed.spent = freed.spent.with(proof, true);
            *record = freed;
        })?;
        self.directory.remove(&self.marker_name);
        Ok(freed.map(|_| Release::Released))
    }

    /// The run keeps the kernel's lock on a file that is not the lock any more, and learns
    /// that at its next refresh.
    fn take_from_run(&self, proof: &Proof) -> Result<Option<Release>, StoreError> {
        // In its first moments a run's file still names its predecessor.
        let mut patience = Patience::new();
        patience.pause();
        let record = self.look()?.and_then(|look| look.held.and(look.record));
        let Some(record) = record.filter(|record| record.proof.as_ref() == Some(proof)) else {
            return Ok(None);
        };
        self.replace(Some(record), FreedBy::Owner)?;
        Ok(Some(Release::Released))
    }

    /// Changes the record of the lease that `proof` is of, with the file locked. None: there
    /// is no such lease (any more).
    fn change(
        &self,
        proof: &Proof,
        change: impl FnOnce(&mut Record),
    ) -> Result<Option<Record>, StoreError> {
        let mut patience = Patience::new();
        loop {
            let Some(file) = self.directory.open_file(&self.file_name, Access::Change)? else {
                return Ok(None);
            };
            if self.try_lock(&file)? == InTheWay::Nobody && self.entry(&file)? == Entry::Same {
                let changed = self.read(&file).and_then(|record| {
                    let ours = record.filter(|it| it.is_leased_to(proof));
                    let Some(before) = ours else { return Ok(None) };
                    let mut record = before.clone();
                    change(&mut record);
                    self.write(&file, &record).inspect_err(|_| {
                        // Half a line would hide who holds it.
                        let _ = record::write(&file, &before);
                    })?;
                    Ok(Some(record))
                });
                // Freed by force while we wrote: then this is not the lock any more.
                let is_lock = self.entry(&file)? == Entry::Same;
                let _ = file.unlock();
                return changed.map(|record| record.filter(|_| is_lock));
            }
            let record = self.read(&file)?;
            if patience.is_over() && !record.is_some_and(|it| it.is_leased_to(proof)) {
                return Ok(None);
            }
            if patience.is_over_with_onlookers() {
                let path = self.directory.path_of(&self.file_name);
                return Err(StoreError::new(
                    StoreErrorKind::Unavailable,
                    format!("cannot lock {}: something else uses it", path.display()),
                ));
            }
            patience.pause();
        }
    }
}

impl Record {
    /// Whether it is of a hold without a process that goes on, and `proof` of its token.
    fn is_leased_to(&self, proof: &Proof) -> bool {
        self.proof.as_ref() == Some(proof) && self.leased().is_some()
    }
}
