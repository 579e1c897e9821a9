//! The command line of `tasklock config`.

use clap::Args;

use super::RunOptions;

/// The arguments of `config`: those of a run, to see what becomes of them.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// The lock; without it what holds for a lock without a section, and every section is checked
    #[arg(value_name = "NAME")]
    pub operand: Option<String>,

    /// The lock, as a run names it
    #[arg(long, value_name = "NAME", conflicts_with = "operand")]
    pub name: Option<String>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    /// Print the locks that have a section, one a line: for the completions
    #[arg(long, hide = true)]
    pub names: bool,

    /// How it would be run.
    #[command(flatten)]
    pub options: RunOptions,
}
