//! A lock that is held by its token: which, whose, and how to tell of it.

use std::env;
use std::time::Duration;

use super::ConfigError;
use super::reader::Reader;
use super::run::MIN_TTL;
use super::store::Lock;
use crate::cli::{self, FormArgs, RefreshArgs, TokenArgs};
use crate::message::escape;
use crate::store::{LockName, Token};

/// A lock and the token that is said to hold it.
#[derive(Debug)]
pub struct Owned {
    /// The lock and its store.
    pub lock: Lock,
    /// The token.
    pub token: Token,
}

/// The settings of `refresh`.
#[derive(Debug)]
pub struct Refresh {
    /// The lock and its token.
    pub owned: Owned,
    /// `--ttl`. None: as it was before.
    pub ttl: Option<Duration>,
    /// `--store-timeout`, on which the timing of a lease depends.
    pub store_timeout: Option<Duration>,
    /// `--format`, `--json`
    pub form: Form,
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// Words on one line, for `read`.
    #[default]
    Plain,
    /// One JSON object.
    Json,
    /// Lines of `NAME=value`, for `eval` and for `$GITHUB_ENV`.
    Env,
}

impl Form {
    /// `$GITHUB_ENV` takes a value as it is, a shell takes quotes away: the name must
    /// be one that needs none.
    pub(super) fn expect_plain_name(self, name: &LockName) -> Result<(), ConfigError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._/:@%+,=-".contains(c);
        if name.as_str().chars().all(plain) {
            return Ok(());
        }
        Err(ConfigError::usage(format!(
            "--format env: the name \"{}\" would have to be quoted for a shell, and must not be for \
             $GITHUB_ENV: take one of A-Z a-z 0-9 . _ / : @ % + , = - or another format",
            escape(name.as_str())
        )))
    }
}

const NAME: &str = "TASKLOCK_NAME";

fn env_name() -> Option<String> {
    env::var(NAME).ok().filter(|name| !name.is_empty())
}

/// The name of the lock that a subcommand is about when none is given: the one that is held.
pub(super) fn inherited_name(subcommand: &str) -> Option<String> {
    let of_tokens = [cli::REFRESH, cli::RELEASE, cli::CHECK];
    env_name().filter(|_| of_tokens.contains(&subcommand))
}

impl Reader<'_> {
    /// Name and token may come from the environment of a run's command or of a CI step.
    pub(super) fn owned(&self, args: TokenArgs) -> Result<Owned, ConfigError> {
        let store_timeout = self.store_timeout(&args.store)?;
        let name = match args.name.or(args.operand) {
            Some(name) => self.name(&name)?,
            None => match env_name() {
                Some(name) => LockName::new(&name)
                    .map_err(|error| ConfigError::config(format!("{NAME}: {error}")))?,
                None => {
                    let text = "missing NAME: name the lock, or set TASKLOCK_NAME";
                    return Err(ConfigError::usage(text));
                }
            },
        };
        let Some(token) = self.given("token", args.token.as_deref()) else {
            let text = "--token is missing: give what acquire printed, best in TASKLOCK_TOKEN";
            return Err(ConfigError::usage(text));
        };
        let token = Token::chosen(token).map_err(|error| self.wrong("token", &error))?;
        let lock = self.store(name, args.store, store_timeout)?;
        Ok(Owned { lock, token })
    }

    pub(super) fn refresh(&self, args: RefreshArgs) -> Result<Refresh, ConfigError> {
        let store_timeout = self.store_timeout(&args.token.store)?;
        // That of a configuration file is meant for runs.
        let ttl = args.ttl.as_deref().filter(|_| self.on_command_line("ttl"));
        let ttl = ttl.and_then(|_| self.at_least("ttl", ttl, MIN_TTL).transpose());
        let ttl = ttl.transpose()?;
        let form = self.form(&args.form)?;
        let owned = self.owned(args.token)?;
        if let Some(ttl) = ttl {
            self.fits_target(ttl, &owned.lock.target)?;
        }
        Ok(Refresh {
            owned,
            ttl,
            store_timeout,
            form,
        })
    }

    pub(super) fn form(&self, args: &FormArgs) -> Result<Form, ConfigError> {
        let forms = [
            ("plain", Form::Plain),
            ("json", Form::Json),
            ("env", Form::Env),
        ];
        let form = self.choice("format", args.format.as_deref(), &forms)?;
        Ok(form.unwrap_or(if args.json { Form::Json } else { Form::Plain }))
    }
}
