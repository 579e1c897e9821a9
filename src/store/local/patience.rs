//! How long a refusal that may not mean anything is tried again.

use std::thread;
use std::time::Duration;

use crate::clock::{self, Tick};

/// How long a refusal that nobody stands behind is tried again: a holder is a
/// few system calls away from writing its name, or somebody looks at the lock
/// (50 µs). 20 ms are hundreds of such moments, and too short for a person to notice.
const PATIENCE: Duration = Duration::from_millis(20);

/// How long we wait for an onlooker to finish. It is not a holder, so that
/// skipping a run because of it would be wrong; a loaded machine may keep it off
/// the processor for a while. After a second it is another program that shares
/// the lock on purpose (`flock -s`).
const ONLOOKER_PATIENCE: Duration = Duration::from_secs(1);

/// How long we wait for the command of a run that was killed to be dead. The kernel has told
/// it to die, which takes milliseconds, on a busy machine tens of them. One that lives
/// longer was not told (it changed its user), or is stuck in the kernel.
const ORPHAN_PATIENCE: Duration = Duration::from_millis(250);

/// Between two tries. Even a refusal by a named holder is tried once more after
/// it: in the first moments of a run the file still names its predecessor, and
/// jobs of the same cron minute meet exactly there.
const PAUSE: Duration = Duration::from_millis(1);

/// The patience of one request.
pub(super) struct Patience {
    start: Tick,
    tried_before: bool,
}

impl Patience {
    pub(super) fn new() -> Patience {
        Patience {
            start: clock::now(),
            tried_before: false,
        }
    }

    /// Whether a refusal by a holder, named or not, is to be believed.
    pub(super) fn settles(&self, named: bool) -> bool {
        (named && self.tried_before) || self.is_over()
    }

    /// Whether it is over with refusals that nobody stands behind.
    pub(super) fn is_over(&self) -> bool {
        self.waited() >= PATIENCE
    }

    /// Whether it is over with onlookers.
    pub(super) fn is_over_with_onlookers(&self) -> bool {
        self.waited() >= ONLOOKER_PATIENCE
    }

    /// Whether it is over with commands whose run was killed.
    pub(super) fn is_over_with_orphans(&self) -> bool {
        self.waited() >= ORPHAN_PATIENCE
    }

    fn waited(&self) -> Duration {
        clock::now().since(self.start)
    }

    /// Pauses before the next try.
    pub(super) fn pause(&mut self) {
        self.tried_before = true;
        thread::sleep(PAUSE);
    }
}
