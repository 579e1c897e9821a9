//! The arguments of `acquire`.

use clap::Args;
use clap::builder::FalseyValueParser;

use super::{FormArgs, LockArgs};

/// The arguments of `acquire`.
#[derive(Debug, Args)]
pub struct AcquireArgs {
    /// Which lock.
    #[command(flatten)]
    pub lock: LockArgs,

    /// How long the lock is held unless it is refreshed; nobody does that by itself
    #[arg(long, value_name = "DUR", allow_negative_numbers = true)]
    pub ttl: Option<String>,

    /// What proves that the lock is yours: 8 to 128 of A-Z a-z 0-9 . _ - [default: 32 random digits]
    #[arg(long, value_name = "T")]
    pub token: Option<String>,

    /// Stand in line for the lock this long, or forever [default: try once]
    #[arg(
        short,
        long,
        value_name = "DUR|forever",
        allow_negative_numbers = true,
        overrides_with = "nonblock"
    )]
    pub wait: Option<String>,

    /// Try once; this is the default
    #[arg(short = 'n', long)]
    pub nonblock: bool,

    /// Take one of N places [default: 1]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub slots: Option<String>,

    /// How many replicas must have the lock [default: 0]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub replicas: Option<String>,

    /// Exit code when the lock is not to be had [default: 75]
    #[arg(short = 'E', long, value_name = "N", allow_negative_numbers = true)]
    pub conflict_exit_code: Option<String>,

    /// Shown to whoever is skipped
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,

    /// Who holds the lock, for people [default: user@host]
    #[arg(
        long,
        value_name = "TEXT",
        env = "TASKLOCK_HOLDER",
        hide_env_values = true
    )]
    pub holder: Option<String>,

    /// Do not say that we wait, or that somebody else has the lock
    #[arg(short, long, env = "TASKLOCK_QUIET", hide_env_values = true, value_parser = FalseyValueParser::new())]
    pub quiet: bool,

    /// How to tell the token.
    #[command(flatten)]
    pub form: FormArgs,
}
