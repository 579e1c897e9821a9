//! What a run was asked to do.

use std::time::Duration;

use crate::lease::Terms;
use crate::signals::Signal;

/// The settings that decide what a run does.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The timing of the lease.
    pub terms: Terms,
    /// The lock lives as long as this process (the local store): no deadline.
    pub unending: bool,
    /// How long to wait for a busy lock: zero is a single try, [`Duration::MAX`] for ever.
    pub wait: Duration,
    /// How long to go on trying to reach the store, without `wait`.
    pub reach_for: Duration,
    /// How long to put off the first request (`--jitter`).
    pub delay: Duration,
    /// What happens when the store cannot be reached before the start.
    pub on_unavailable: OnUnavailable,
    /// What happens to the child when the lock is lost.
    pub on_lost: OnLost,
    /// The signal that stops the child.
    pub stop_signal: Signal,
    /// How long the child may run.
    pub max_runtime: Option<Duration>,
    /// The child shares our group and our terminal, whose signals the kernel delivers.
    pub shares_terminal: bool,
    /// How many places of the lock it may choose from.
    pub places: u32,
    /// The ids of the holders this run descends from.
    pub ancestors: Vec<String>,
}

/// `--on-unavailable`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnUnavailable {
    /// Run nothing, exit 69.
    #[default]
    Fail,
    /// Run without the lock, with a warning.
    Run,
    /// Run nothing, exit as if somebody else had the lock.
    Skip,
}

/// `--on-lost`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnLost {
    /// Stop the child.
    #[default]
    Stop,
    /// Let it run on.
    Continue,
}
