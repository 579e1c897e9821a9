//! The arguments of `unlock`.

use clap::Args;

use super::LockArgs;

/// The arguments of `unlock`.
#[derive(Debug, Args)]
pub struct UnlockArgs {
    /// Which lock.
    #[command(flatten)]
    pub lock: LockArgs,

    /// Only ask: do not wait until the lock is free
    #[arg(long, conflicts_with = "force")]
    pub no_wait: bool,

    /// Free it now, though the old job may run on until its next refresh
    #[arg(long)]
    pub force: bool,

    /// With --force: do not ask first, at a terminal
    #[arg(long, requires = "force")]
    pub yes: bool,
}
