//! What happens to a run, and what it does about it.

use crate::clock::Tick;
use crate::exit::{ChildStatus, Outcome, StartError};
use crate::message::Message;
use crate::signals::{Received, Signal};
use crate::store::{Acquire, Ask, End, Grant, Queued, Refresh, Release, StoreError};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The run begins.
    Start,
    /// The time that `next_wake` named has come, or some other reason to look at the clock.
    Wake,
    /// A signal reached us.
    Signal(Received),
    /// The store answered.
    Answer(Answer),
    /// The store's bell rang: it is worth asking again.
    Rung,
    /// The thread that owns the store is gone.
    KeeperGone,
    /// The child was started.
    Started {
        /// Its process id.
        pid: u32,
    },
    /// The child could not be started.
    StartFailed(StartError),
    /// The child stopped (not: ended), by itself or from its terminal.
    ChildStopped,
    /// The child ended and was reaped.
    ChildEnded(ChildStatus),
    /// No descendant is left.
    TreeGone,
}

/// What the store said to a request. `sent_at` is the time just before it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To [`Action::Acquire`].
    Acquired {
        /// Just before the request was sent.
        sent_at: Tick,
        /// The answer.
        result: Result<Acquire, StoreError>,
    },
    /// To [`Action::Refresh`].
    Refreshed {
        /// Just before the request was sent.
        sent_at: Tick,
        /// The answer.
        result: Result<Refresh, StoreError>,
    },
    /// To [`Action::Release`].
    Released(Result<Release, StoreError>),
    /// To [`Action::Withdraw`], whatever came of it.
    Withdrawn,
}

/// Something to do now, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Ask the store for the lock.
    Acquire(Ask),
    /// Tell the user that we wait.
    Wait {
        /// Where in line, and for whom.
        queued: Queued,
        /// When the wait is over; [`Tick::NEVER`]: it has no limit.
        until: Tick,
    },
    /// Ask the store to let the lease run from now.
    Refresh,
    /// Give the lock back.
    Release(End),
    /// Give back what may have been granted, past a request that may be under way.
    Withdraw(End),
    /// Start the child, with the grant in its environment (None: it runs unlocked).
    Spawn {
        /// What was granted.
        grant: Option<Grant>,
    },
    /// Pass a signal on to the child, or to its group where it has its own.
    Forward(Signal),
    /// Send the stop signal to the child and all of its descendants, and wake those that sleep.
    StopTree(Signal),
    /// Send KILL to the child and all of its descendants.
    KillTree,
    /// Stop ourselves, until somebody sends CONT.
    StopSelf,
    /// Tell the user.
    Say(Message),
    /// The run is over.
    Finish(Outcome),
}
