//! The arguments of `history`.

use clap::Args;

use super::LockArgs;

/// The arguments of `history`.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// Which lock.
    #[command(flatten)]
    pub lock: LockArgs,

    /// Only the last N runs
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub limit: Option<String>,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}
