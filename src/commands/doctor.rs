//! `tasklock doctor`: look at the store as a run would find it, and say what to do.
//!
//! Three steps: [`collect`] sees, [`judge`] draws conclusions (pure), [`show`]
//! tells. It writes nothing but a key of a random name that ends after a second,
//! by which it learns whether it may; and with `--fix` what it says it mends.

mod collect;
mod facts;
mod finding;
mod judge;
mod show;

use crate::config::Doctor;
use crate::exit::Ending;

/// Looks, and prints a line for each check. Exit 0 if all is well, 1 with
/// warnings, and where a run would fail the code that it would fail with.
#[must_use]
pub fn doctor(doctor: &Doctor) -> Ending {
    let facts = collect::collect(doctor);
    let findings = judge::judge(&facts, judge::Use::of(doctor));
    let ending = finding::ending(&findings);
    if doctor.json {
        show::json(&facts.store, &findings, ending);
    } else {
        show::lines(&findings);
    }
    ending
}
