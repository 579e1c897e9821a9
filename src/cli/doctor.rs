//! The arguments of `tasklock doctor`.

use clap::Args;

use super::StoreArgs;

/// The arguments of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// A lock to look at, too
    #[arg(value_name = "NAME")]
    pub operand: Option<String>,

    /// A lock to look at, too, as a run names it
    #[arg(long, value_name = "NAME", conflicts_with = "operand")]
    pub name: Option<String>,

    /// Where the locks live.
    #[command(flatten)]
    pub store: StoreArgs,

    /// The ttl of the runs that the store is for [default: 60s]
    #[arg(
        long,
        value_name = "DUR",
        env = "TASKLOCK_TTL",
        hide_env_values = true,
        allow_negative_numbers = true
    )]
    pub ttl: Option<String>,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,

    /// Give what crashed runs left behind its 30 days
    #[arg(long)]
    pub fix: bool,
}
