//! What the tests stand on: servers, a network that fails on demand, the program, a terminal.
//!
//! Nothing here sleeps to let something happen: a test waits for an event, or polls
//! in [`wait_until`], which fails loudly when the event does not come.
//! What is started here ends with the value that stands for it, also when the test panics.

#![allow(dead_code, reason = "not every test file uses every part")]

use std::thread;
use std::time::{Duration, Instant};

pub(crate) mod clock;
pub(crate) mod cluster;
pub(crate) mod monitor;
pub(crate) mod port;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod pty;
pub(crate) mod redis;
pub(crate) mod resp;
pub(crate) mod running;
pub(crate) mod scratch;
pub(crate) mod sentinel;
pub(crate) mod store;
pub(crate) mod tasklock;
pub(crate) mod tls;

/// How long a test waits for an event before it fails: far more than a loaded machine needs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How often a condition is looked at: short against everything a test measures.
const LOOK: Duration = Duration::from_millis(2);

/// Returns once `condition` holds.
///
/// # Panics
/// After [`PATIENCE`], naming the line that waited.
#[track_caller]
pub(crate) fn wait_until(mut condition: impl FnMut() -> bool) {
    wait_for_some(|| condition().then_some(()));
}

/// Returns the value that `look` finds.
///
/// # Panics
/// After [`PATIENCE`], naming the line that waited.
#[track_caller]
pub(crate) fn wait_for_some<T>(look: impl FnMut() -> Option<T>) -> T {
    some_within(PATIENCE, look)
        .unwrap_or_else(|| panic!("what was waited for did not come in {PATIENCE:?}"))
}

/// Returns the value that `look` finds, or `None` when `limit` has passed without one.
pub(crate) fn some_within<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if start.elapsed() > limit {
            return None;
        }
        thread::sleep(LOOK);
    }
}
