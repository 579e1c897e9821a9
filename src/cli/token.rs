//! The arguments of `refresh`, `release` and `check`: a lock that is held by its token.

use clap::Args;

use super::StoreArgs;

/// A lock, and the token that holds it.
#[derive(Debug, Args)]
pub struct TokenArgs {
    /// The lock [default: that of $TASKLOCK_NAME]
    #[arg(value_name = "NAME")]
    pub operand: Option<String>,

    /// The lock, as a run names it
    #[arg(long, value_name = "NAME", conflicts_with = "operand")]
    pub name: Option<String>,

    /// The token that it was acquired with
    #[arg(long, value_name = "T", env = "TASKLOCK_TOKEN", hide_env_values = true)]
    pub token: Option<String>,

    /// Where the lock lives.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// The arguments of `refresh`.
#[derive(Debug, Args)]
pub struct RefreshArgs {
    /// Which lock, and whose.
    #[command(flatten)]
    pub token: TokenArgs,

    /// How long the lock is held from now [default: as long as from the last time]
    #[arg(long, value_name = "DUR", allow_negative_numbers = true)]
    pub ttl: Option<String>,

    /// How to tell the new deadline.
    #[command(flatten)]
    pub form: FormArgs,
}

/// The arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Which lock, and whose.
    #[command(flatten)]
    pub token: TokenArgs,

    /// Say so when the lock is held, too
    #[arg(short, long)]
    pub verbose: bool,
}

/// How an answer is written.
#[derive(Debug, Args)]
pub struct FormArgs {
    /// plain: words on one line; json: one object; env: lines of NAME=value [default: plain]
    #[arg(long, value_name = "FORM", conflicts_with = "json")]
    pub format: Option<String>,

    /// The same as --format json
    #[arg(long)]
    pub json: bool,
}
