//! What `tasklock doctor` is to look at.

use super::reader::Reader;
use super::run::{DEFAULT_TTL, MIN_TTL};
use super::{ConfigError, Lock};
use crate::cli::DoctorArgs;
use crate::lease::Terms;
use crate::store::{LockName, random_hex};

/// A store, and what for.
#[derive(Debug)]
pub struct Doctor {
    /// The store, and the lock to look at: one that nobody uses if no name was given.
    pub lock: Lock,
    /// Whether a name was given.
    pub is_named: bool,
    /// The terms of the runs that the store is for.
    pub terms: Terms,
    /// `--json`
    pub json: bool,
    /// `--fix`
    pub fix: bool,
}

impl Reader<'_> {
    pub(super) fn doctor(&self, args: DoctorArgs) -> Result<Doctor, ConfigError> {
        let given = args.name.or(args.operand);
        let name = match &given {
            Some(name) => self.name(name)?,
            None => nobodys_name()?,
        };
        let store_timeout = self.store_timeout(&args.store)?;
        let ttl = self.at_least("ttl", args.ttl.as_deref(), MIN_TTL)?;
        let terms = self.terms(ttl.unwrap_or(DEFAULT_TTL), None, store_timeout)?;
        let lock = self.store(name, args.store, store_timeout)?;
        self.fits_target(terms.ttl, &lock.target)?;
        Ok(Doctor {
            lock,
            is_named: given.is_some(),
            terms,
            json: args.json,
            fix: args.fix,
        })
    }
}

/// The name of a lock that nobody else uses.
fn nobodys_name() -> Result<LockName, ConfigError> {
    let digits = random_hex::<8>().map_err(|error| ConfigError::config(error.to_string()))?;
    LockName::new(&format!("tasklock-doctor-{digits}")).map_err(ConfigError::config)
}
