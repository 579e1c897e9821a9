//! The settings of `acquire`.

use std::time::Duration;

use super::ConfigError;
use super::reader::Reader;
use super::run::{MIN_TTL, REPLICAS_MAX, SLOTS_MAX, cut};
use super::store::Lock;
use super::token::Form;
use crate::cli::AcquireArgs;
use crate::duration;
use crate::exit::Codes;
use crate::lease::Terms;
use crate::message::Level;
use crate::store::Token;

/// The settings of `acquire`.
#[derive(Debug)]
pub struct Acquire {
    /// The lock and its store.
    pub lock: Lock,
    /// The timing of its lease: no command has to be stopped in it.
    pub terms: Terms,
    /// `--token`. None: a fresh one.
    pub token: Option<Token>,
    /// `--wait`: zero is a single try, [`Duration::MAX`] for ever.
    pub wait: Duration,
    /// `--slots`
    pub slots: Option<u32>,
    /// `--replicas`
    pub replicas: u32,
    /// `-E`
    pub codes: Codes,
    /// `--reason`
    pub reason: Option<String>,
    /// `--holder`
    pub holder: Option<String>,
    /// How many runs of the lock are remembered.
    pub history: u32,
    /// `-q`
    pub log_level: Level,
    /// `--format`, `--json`
    pub form: Form,
}

impl Reader<'_> {
    pub(super) fn acquire(&self, args: AcquireArgs) -> Result<Acquire, ConfigError> {
        let store_timeout = self.store_timeout(&args.lock.store)?;
        let name = args.lock.name.or(args.lock.operand).unwrap_or_default();
        let lock = self.store(self.name(&name)?, args.lock.store, store_timeout)?;
        // That of a configuration file is meant for runs.
        let ttl = args.ttl.as_deref().filter(|_| self.on_command_line("ttl"));
        let Some(ttl) = self
            .at_least("ttl", ttl, MIN_TTL)?
            .filter(|_| ttl.is_some())
        else {
            let text = "--ttl is missing: nobody refreshes the lock between two steps, so say for \
                        how long it is to be held (for instance --ttl 20m)";
            return Err(ConfigError::usage(text));
        };
        self.fits_target(ttl, &lock.target)?;
        let replicas = self.number("replicas", args.replicas.as_deref(), 0..=REPLICAS_MAX)?;
        let replicas = replicas.unwrap_or(0);
        self.has_replicas(replicas, &lock.target)?;
        let token = args.token.as_deref().map(Token::chosen).transpose();
        // Whoever says --nonblock now does not wait, whatever a file says.
        let wait = Some(()).filter(|()| !args.nonblock);
        let wait = wait.and_then(|()| self.given("wait", args.wait.as_deref()));
        let wait = wait.map(duration::parse_or_forever);
        let form = self.form(&args.form)?;
        if form == Form::Env {
            form.expect_plain_name(&lock.name)?;
        }
        Ok(Acquire {
            terms: Terms::new(ttl, Some(Duration::ZERO), store_timeout),
            token: token.map_err(|error| self.wrong("token", &error))?,
            wait: wait
                .transpose()
                .map_err(|error| self.wrong("wait", &error))?
                .unwrap_or(Duration::ZERO),
            slots: self.number("slots", args.slots.as_deref(), 1..=SLOTS_MAX)?,
            replicas,
            codes: self.codes(args.conflict_exit_code.as_deref(), None)?,
            reason: self.given("reason", args.reason.as_deref()).and_then(cut),
            holder: self.given("holder", args.holder.as_deref()).and_then(cut),
            history: self.history(None)?,
            log_level: if self.flag("quiet")? {
                Level::Error
            } else {
                Level::Notice
            },
            form,
            lock,
        })
    }
}
