//! The arguments of `list`.

use clap::Args;

use super::StoreArgs;

/// The arguments of `list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only names that match, with the * ? [a-z] of a shell
    #[arg(value_name = "PATTERN")]
    pub pattern: Option<String>,

    /// Only this lock, as a run names it
    #[arg(long, value_name = "NAME", conflicts_with = "pattern")]
    pub name: Option<String>,

    /// Where the locks live.
    #[command(flatten)]
    pub store: StoreArgs,

    /// Print one JSON object for each lock
    #[arg(long, conflicts_with = "format")]
    pub json: bool,

    /// table, json or prometheus [default: table]
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,

    /// Keep the table up to date, every DUR [default: 2s]
    #[arg(
        long,
        value_name = "DUR",
        num_args = 0..=1,
        require_equals = true,
        allow_negative_numbers = true,
        conflicts_with_all = ["json", "format"]
    )]
    pub watch: Option<Option<String>>,
}
