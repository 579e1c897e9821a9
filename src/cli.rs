//! The command line: declarations only. What the values mean is config.rs' business.

mod acquire;
pub mod config;
mod doctor;
mod history;
mod list;
mod status;
mod token;
mod unlock;

pub use acquire::AcquireArgs;
pub use history::HistoryArgs;
pub use list::ListArgs;
pub use status::StatusArgs;
pub use token::{CheckArgs, FormArgs, RefreshArgs, TokenArgs};
pub use unlock::UnlockArgs;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{FalseyValueParser, OsStringValueParser, TypedValueParser};
use clap::{Args, Command, ValueHint};

use self::config::ConfigArgs;
pub use doctor::DoctorArgs;

/// The definition of the command line: a run, unless a subcommand word comes first.
///
/// The arguments of the subcommands are defined when one is called: a run, which
/// is what cron starts a thousand times a day, does without.
#[must_use]
pub fn command() -> Command {
    let status = Command::new(STATUS)
        .about("Say whether a lock is free (exit 0) or held, and by whom (exit 75)")
        .defer(with_arguments::<StatusArgs>);
    let list = Command::new(LIST)
        .about("List all locks: who holds them, who waits, how the last run ended")
        .defer(with_arguments::<ListArgs>);
    let history = Command::new(HISTORY)
        .about("Show the last runs of a lock, how long they took and how they ended")
        .defer(with_arguments::<HistoryArgs>);
    let unlock = Command::new(UNLOCK)
        .about("Ask the holder of a lock to stop, and wait until it has released the lock")
        .defer(with_arguments::<UnlockArgs>);
    let config = Command::new(CONFIG)
        .about("Show the settings of a lock and where they come from, and check the configuration")
        .defer(with_arguments::<ConfigArgs>);
    let doctor = Command::new(DOCTOR)
        .about("Look at the store as a run would find it, and say what to do about it")
        .defer(with_arguments::<DoctorArgs>);
    let acquire = Command::new(ACQUIRE)
        .about("Take a lock and leave it held, from one step of a job to another")
        .defer(with_arguments::<AcquireArgs>);
    let refresh = Command::new(REFRESH)
        .about("Let the lease of a lock that is held by its token run from now")
        .defer(with_arguments::<RefreshArgs>);
    let release = Command::new(RELEASE)
        .about("Give back a lock that is held by its token")
        .defer(with_arguments::<TokenArgs>);
    let check = Command::new(CHECK)
        .about("Say whether a lock is still held (exit 0) or not any more (exit 79)")
        .defer(with_arguments::<CheckArgs>);
    let command = Command::new("tasklock")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Run a command while holding a lock, on this host or across hosts through Redis")
        .override_usage(
            "tasklock [OPTIONS] --name NAME [--] COMMAND [ARG]...\n       \
             tasklock status|list|history|unlock [OPTIONS] [NAME]\n       \
             tasklock acquire|refresh|release|check [OPTIONS] NAME\n       \
             tasklock config|doctor [OPTIONS] [NAME]",
        )
        .after_help(
            "Exit status: that of COMMAND; 75 skipped (-E changes it); 79 the lock was lost; \
             69 the store cannot be reached; 124 --max-runtime; 126, 127 COMMAND cannot be \
             executed, not found; 64, 78 wrong usage, wrong configuration; 77 refused by the \
             store. See tasklock(1).",
        )
        .args_conflicts_with_subcommands(true)
        .subcommand_negates_reqs(true)
        .disable_help_subcommand(true)
        // As in flock and timeout, the last of a repeated option counts.
        .args_override_self(true)
        .max_term_width(100);
    with_arguments::<RunArgs>(command).subcommands([
        status, list, history, unlock, acquire, refresh, release, check, config, doctor,
    ])
}

/// `command` with the arguments that `T` declares, and its own description.
fn with_arguments<T: Args>(command: Command) -> Command {
    let about = command.get_about().cloned();
    T::augment_args(command).about(about.unwrap_or_default())
}

/// All subcommands.
pub const SUBCOMMANDS: [&str; 10] = [
    STATUS, LIST, HISTORY, UNLOCK, ACQUIRE, REFRESH, RELEASE, CHECK, CONFIG, DOCTOR,
];
/// The subcommand that looks at a lock.
pub const STATUS: &str = "status";
/// The subcommand that takes a lock and leaves it held.
pub const ACQUIRE: &str = "acquire";
/// The subcommand that lets its lease run from now.
pub const REFRESH: &str = "refresh";
/// The subcommand that gives it back.
pub const RELEASE: &str = "release";
/// The subcommand that asks whether it is still held.
pub const CHECK: &str = "check";
/// The subcommand that lists all locks.
pub const LIST: &str = "list";
/// The subcommand that shows the last runs of a lock.
pub const HISTORY: &str = "history";
/// The subcommand that frees the lock of somebody else.
pub const UNLOCK: &str = "unlock";
/// The subcommand that shows the settings.
pub const CONFIG: &str = "config";
/// The subcommand that looks at the store.
pub const DOCTOR: &str = "doctor";

/// The arguments of a run.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The lock: 1 to 200 characters
    #[arg(long, value_name = "NAME", required = true)]
    pub name: Option<String>,

    /// How it is run.
    #[command(flatten)]
    pub options: RunOptions,

    /// The command and its arguments, executed directly, not by a shell
    #[arg(
        value_name = "COMMAND",
        required = true,
        trailing_var_arg = true,
        value_hint = ValueHint::CommandWithArguments
    )]
    pub command: Vec<OsString>,
}

/// How a command is run.
#[derive(Clone, Debug, Args)]
pub struct RunOptions {
    /// Where the lock lives.
    #[command(flatten)]
    pub store: StoreArgs,

    /// How long the lease outlives its last refresh [default: 60s]
    #[arg(
        long,
        value_name = "DUR",
        env = "TASKLOCK_TTL",
        hide_env_values = true,
        allow_negative_numbers = true
    )]
    pub ttl: Option<String>,

    /// Stand in line for the lock this long, or forever [default: try once]
    #[arg(
        short,
        long,
        value_name = "DUR|forever",
        allow_negative_numbers = true,
        overrides_with = "nonblock"
    )]
    pub wait: Option<String>,

    /// Try once; this is the default, the flag is for flock's habit
    #[arg(short = 'n', long)]
    pub nonblock: bool,

    /// Take one of N places, so that N runs hold the lock at a time [default: 1]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub slots: Option<String>,

    /// Keep the lock this long from the start, even when the command ends sooner [default: 0]
    #[arg(long, value_name = "DUR", allow_negative_numbers = true)]
    pub min_hold: Option<String>,

    /// Once per tick of a schedule of this period: skip when a run of the same tick has succeeded
    #[arg(long, value_name = "DUR", allow_negative_numbers = true)]
    pub once_per: Option<String>,

    /// Once per KEY, such as a date or a release: skip when the last success had the same
    #[arg(long, value_name = "KEY")]
    pub once_key: Option<String>,

    /// How many runs may try in one tick, as long as none succeeds [default: 2]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub once_attempts: Option<String>,

    /// How many replicas must have the lock before the command is started, and each refresh [default: 0]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub replicas: Option<String>,

    /// How many runs are remembered, 0 to 200 [default: 100]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub history: Option<String>,

    /// Start after a random delay up to this [default: 0]
    #[arg(long, value_name = "DUR", allow_negative_numbers = true)]
    pub jitter: Option<String>,

    /// Exit code of a skipped run [default: 75]
    #[arg(short = 'E', long, value_name = "N", allow_negative_numbers = true)]
    pub conflict_exit_code: Option<String>,

    /// Exit code after the lock was lost [default: 79]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub lost_exit_code: Option<String>,

    /// The signal that stops the command [default: TERM]
    #[arg(long, value_name = "SIG", allow_negative_numbers = true)]
    pub signal: Option<String>,

    /// From that signal to KILL [default: 10s, or a fifth of a short ttl]
    #[arg(short = 'k', long, value_name = "DUR", allow_negative_numbers = true)]
    pub kill_after: Option<String>,

    /// What happens to the command when the lock is lost: stop or continue [default: stop]
    #[arg(long, value_name = "WHAT")]
    pub on_lost: Option<String>,

    /// Stop the command after this long, exit 124
    #[arg(long, value_name = "DUR", allow_negative_numbers = true)]
    pub max_runtime: Option<String>,

    /// When the store cannot be reached: fail, run or skip [default: fail]
    #[arg(long, value_name = "WHAT")]
    pub on_unavailable: Option<String>,

    /// Never give the command its own process group
    #[arg(long)]
    pub foreground: bool,

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

    /// Write one JSON line with the outcome to FILE, or to the open descriptor fd:N
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, value_parser = path())]
    pub report: Option<PathBuf>,

    /// Do not say that a run waits, or was skipped because of somebody else
    #[arg(short, long, env = "TASKLOCK_QUIET", hide_env_values = true, value_parser = FalseyValueParser::new())]
    pub quiet: bool,

    /// Tell of acquire and release; twice: of each refresh
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,

    /// text or json [default: text]
    #[arg(
        long,
        value_name = "FORMAT",
        env = "TASKLOCK_LOG_FORMAT",
        hide_env_values = true
    )]
    pub log_format: Option<String>,
}

/// Where the lock lives.
#[derive(Clone, Debug, Args)]
pub struct StoreArgs {
    /// Read the settings that are not given here from FILE, and not from ~/.config/tasklock/config.toml
    // A text, as the command is told of it in a variable.
    #[arg(long, value_name = "FILE", env = "TASKLOCK_CONFIG", hide_env_values = true, value_hint = ValueHint::AnyPath)]
    pub config: Option<String>,

    /// local:[/dir], redis://[user:pass@]host[:port][/db], rediss://…, unix:///path,
    /// redis+sentinel://host[,host…]/master, redis+cluster://host[,host…];
    /// three times or more: a quorum of single servers
    /// [default: lock files of this user on this host]
    #[arg(
        short,
        long,
        value_name = "URL",
        env = "TASKLOCK_URL",
        hide_env_values = true
    )]
    pub url: Vec<String>,

    /// Read the URL from FILE
    #[arg(long, value_name = "FILE", env = "TASKLOCK_URL_FILE", hide_env_values = true, value_hint = ValueHint::FilePath, value_parser = path())]
    pub url_file: Option<PathBuf>,

    /// What stands before the name in Redis [default: task_lock:]
    #[arg(
        long,
        value_name = "P",
        env = "TASKLOCK_KEY_PREFIX",
        hide_env_values = true
    )]
    pub key_prefix: Option<String>,

    /// The longest that one request to the store may take [default: 5s, or a twelfth of a short ttl]
    #[arg(
        long,
        value_name = "DUR",
        env = "TASKLOCK_STORE_TIMEOUT",
        hide_env_values = true,
        allow_negative_numbers = true
    )]
    pub store_timeout: Option<String>,

    /// Trust the certificates in FILE [default: those of the system]
    #[arg(long, value_name = "FILE", env = "TASKLOCK_TLS_CA", hide_env_values = true, value_hint = ValueHint::FilePath, value_parser = path())]
    pub tls_ca: Option<PathBuf>,

    /// Our own certificate, for servers that ask for one
    #[arg(long, value_name = "FILE", env = "TASKLOCK_TLS_CERT", hide_env_values = true, value_hint = ValueHint::FilePath, value_parser = path())]
    pub tls_cert: Option<PathBuf>,

    /// The key of our own certificate
    #[arg(long, value_name = "FILE", env = "TASKLOCK_TLS_KEY", hide_env_values = true, value_hint = ValueHint::FilePath, value_parser = path())]
    pub tls_key: Option<PathBuf>,
}

/// A lock, for the subcommands that look at one.
#[derive(Debug, Args)]
pub struct LockArgs {
    /// The lock
    #[arg(value_name = "NAME", required_unless_present = "name")]
    pub operand: Option<String>,

    /// The lock, as a run names it
    #[arg(long, value_name = "NAME", conflicts_with = "operand")]
    pub name: Option<String>,

    /// Where the lock lives.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// Also the empty path: a variable that is set to nothing is not set, which is for config.rs to say.
fn path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}
