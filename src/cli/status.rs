//! The arguments of `status`.

use clap::Args;

use super::StoreArgs;

/// The arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The locks
    #[arg(value_name = "NAME", required_unless_present = "name")]
    pub operands: Vec<String>,

    /// A lock, as a run names it; may be given several times
    #[arg(long, value_name = "NAME")]
    pub name: Vec<String>,

    /// Where the locks live.
    #[command(flatten)]
    pub store: StoreArgs,

    /// Exit 1 unless the last success ended less than this ago
    #[arg(long, value_name = "DUR", allow_negative_numbers = true)]
    pub max_age: Option<String>,

    /// Print one JSON object for each lock
    #[arg(long, conflicts_with = "max_age")]
    pub json: bool,
}
