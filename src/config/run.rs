//! The settings of a run.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::ConfigError;
use super::export::Change;
use super::reader::Reader;
use super::store::Lock;
use crate::cli::RunOptions;
use crate::duration;
use crate::exit::Codes;
use crate::lease::Terms;
use crate::log::Format;
use crate::message::Level;
use crate::signals::Signal;
use crate::store::target::Target;
use crate::store::{LockName, Once, Period, past, quorum};
use crate::supervisor::{OnLost, OnUnavailable};

pub(super) const DEFAULT_TTL: Duration = Duration::from_secs(60);
/// Below it the defaults that scale with the ttl would be shorter than what a
/// busy machine needs to schedule us.
pub(super) const MIN_TTL: Duration = Duration::from_secs(1);
/// No schedule has shorter periods.
const MIN_PERIOD: Duration = Duration::from_secs(1);
/// Texts that are stored for people are cut to this many characters.
const TEXT_MAX_CHARS: usize = 200;
/// As many places as anybody needs; a store looks at each of them at every request.
pub(super) const SLOTS_MAX: u32 = 1000;
/// A failed run may be retried once in each tick.
const DEFAULT_ATTEMPTS: u32 = 2;
/// In practice no limit.
const ATTEMPTS_MAX: u32 = 1_000_000;
/// The longest key of `--once-key`, in characters: as long as a lock's name.
const KEY_MAX_CHARS: usize = 200;
/// More than any server has.
pub(super) const REPLICAS_MAX: u32 = 1000;

/// The settings of a run.
#[derive(Debug)]
pub struct Run {
    /// The lock and its store.
    pub lock: Lock,
    /// The timing of its lease.
    pub terms: Terms,
    /// `--wait`: zero is a single try, [`Duration::MAX`] for ever.
    pub wait: Duration,
    /// `--slots`
    pub slots: Option<u32>,
    /// `--min-hold`
    pub min_hold: Duration,
    /// `--once-per`, `--once-key`, `--once-attempts`
    pub once: Once,
    /// `--replicas`
    pub replicas: u32,
    /// `--history`
    pub history: u32,
    /// `--jitter`
    pub jitter: Duration,
    /// `--on-lost`
    pub on_lost: OnLost,
    /// `--on-unavailable`
    pub on_unavailable: OnUnavailable,
    /// `--signal`
    pub stop_signal: Signal,
    /// `--max-runtime`
    pub max_runtime: Option<Duration>,
    /// `-E`, `--lost-exit-code`
    pub codes: Codes,
    /// `--foreground`
    pub foreground: bool,
    /// `--reason`
    pub reason: Option<String>,
    /// `--holder`
    pub holder: Option<String>,
    /// `--report`
    pub report: Option<PathBuf>,
    /// `--log-format`
    pub log_format: Format,
    /// `-q`, `-v`
    pub log_level: Level,
    /// What the command is told of the store.
    pub exports: Vec<Change>,
    /// The command and its arguments, at least one.
    pub command: Vec<OsString>,
}

impl Reader<'_> {
    pub(super) fn run(
        &self,
        name: LockName,
        args: RunOptions,
        command: Vec<OsString>,
    ) -> Result<Run, ConfigError> {
        let store_timeout = self.store_timeout(&args.store)?;
        let ttl = self.at_least("ttl", args.ttl.as_deref(), MIN_TTL)?;
        let kill_after = self.some_time("kill_after", args.kill_after.as_deref())?;
        let terms = self.terms(ttl.unwrap_or(DEFAULT_TTL), kill_after, store_timeout)?;
        // Whoever says --nonblock now does not wait, whatever a file says.
        let wait = Some(()).filter(|()| !args.nonblock);
        let wait = wait.and_then(|()| self.given("wait", args.wait.as_deref()));
        let wait = wait
            .map(duration::parse_or_forever)
            .transpose()
            .map_err(|error| self.wrong("wait", &error))?;
        let slots = self.number("slots", args.slots.as_deref(), 1..=SLOTS_MAX)?;
        let once_per = self.at_least("once_per", args.once_per.as_deref(), MIN_PERIOD)?;
        let attempts = args.once_attempts.as_deref();
        let attempts = self.number("once_attempts", attempts, 1..=ATTEMPTS_MAX)?;
        let replicas = self.number("replicas", args.replicas.as_deref(), 0..=REPLICAS_MAX)?;
        let on_lost = [("stop", OnLost::Stop), ("continue", OnLost::Continue)];
        let on_unavailable = [
            ("fail", OnUnavailable::Fail),
            ("run", OnUnavailable::Run),
            ("skip", OnUnavailable::Skip),
        ];
        let formats = [("text", Format::Text), ("json", Format::Json)];
        let exports = self.exports(&args.store)?;
        let run = Run {
            terms,
            wait: wait.unwrap_or(Duration::ZERO),
            slots,
            min_hold: self
                .duration("min_hold", args.min_hold.as_deref())?
                .unwrap_or(Duration::ZERO),
            once: Once {
                per: self.period(once_per, attempts)?,
                key: self.once_key(args.once_key.as_deref())?,
            },
            replicas: replicas.unwrap_or(0),
            history: self.history(args.history.as_deref())?,
            jitter: self
                .duration("jitter", args.jitter.as_deref())?
                .unwrap_or(Duration::ZERO),
            on_lost: self
                .choice("on_lost", args.on_lost.as_deref(), &on_lost)?
                .unwrap_or_default(),
            on_unavailable: self
                .choice(
                    "on_unavailable",
                    args.on_unavailable.as_deref(),
                    &on_unavailable,
                )?
                .unwrap_or_default(),
            stop_signal: match self.given("signal", args.signal.as_deref()) {
                Some(text) => text
                    .parse()
                    .map_err(|error: String| self.wrong("signal", &error))?,
                None => Signal::TERM,
            },
            max_runtime: self.some_time("max_runtime", args.max_runtime.as_deref())?,
            codes: self.codes(
                args.conflict_exit_code.as_deref(),
                args.lost_exit_code.as_deref(),
            )?,
            foreground: self.flag("foreground")?,
            reason: self.given("reason", args.reason.as_deref()).and_then(cut),
            holder: self.given("holder", args.holder.as_deref()).and_then(cut),
            report: self.path("report", args.report)?,
            log_format: self
                .choice("log_format", args.log_format.as_deref(), &formats)?
                .unwrap_or_default(),
            log_level: match (self.flag("quiet")?, args.verbose) {
                (true, 0) => Level::Error,
                (_, 0) => Level::Notice,
                (_, 1) => Level::Info,
                _ => Level::Debug,
            },
            command,
            exports,
            lock: self.store(name, args.store, store_timeout)?,
        };
        self.check(&run)?;
        Ok(run)
    }

    /// How many runs are remembered.
    pub(super) fn history(&self, text: Option<&str>) -> Result<u32, ConfigError> {
        let history = self.number("history", text, 0..=past::HISTORY_MAX)?;
        Ok(history.unwrap_or(past::HISTORY_DEFAULT))
    }

    pub(super) fn codes(
        &self,
        conflict: Option<&str>,
        lost: Option<&str>,
    ) -> Result<Codes, ConfigError> {
        let defaults = Codes::default();
        let any = 0..=u8::MAX;
        Ok(Codes {
            conflict: self
                .number("conflict_exit_code", conflict, any.clone())?
                .unwrap_or(defaults.conflict),
            lost: self
                .number("lost_exit_code", lost, any)?
                .unwrap_or(defaults.lost),
        })
    }

    fn period(
        &self,
        length: Option<Duration>,
        attempts: Option<u32>,
    ) -> Result<Option<Period>, ConfigError> {
        match (length, attempts) {
            (None, Some(_)) => {
                let text =
                    "counts the runs in one tick of a schedule: give its period with --once-per";
                Err(self.wrong("once_attempts", text))
            }
            (length, attempts) => Ok(length.map(|length| Period {
                length,
                attempts: attempts.unwrap_or(DEFAULT_ATTEMPTS),
            })),
        }
    }

    fn once_key(&self, key: Option<&str>) -> Result<Option<String>, ConfigError> {
        let Some(key) = self.given("once_key", key) else {
            return Ok(None);
        };
        let chars = key.chars().count();
        let error = if chars == 0 {
            "a key cannot be empty: give a date, a release or the like".to_owned()
        } else if chars > KEY_MAX_CHARS {
            format!("a key has at most {KEY_MAX_CHARS} characters, this one has {chars}")
        } else if key.chars().any(char::is_control) {
            "a key cannot contain control characters".to_owned()
        } else {
            return Ok(Some(key.to_owned()));
        };
        Err(self.wrong("once_key", &error))
    }

    pub(super) fn has_replicas(&self, count: u32, target: &Target) -> Result<(), ConfigError> {
        if count > 0 && matches!(target, Target::Local(_)) {
            let text = "lock files have no replicas: give the URL of a server with --url";
            return Err(self.wrong("replicas", text));
        }
        Ok(())
    }

    /// Whether the store takes leases of this ttl.
    pub(super) fn fits_target(&self, ttl: Duration, target: &Target) -> Result<(), ConfigError> {
        if matches!(target, Target::Quorum(_)) && ttl > quorum::TTL_MAX {
            let most = duration::show(quorum::TTL_MAX);
            let text = format!("on a quorum a ttl is at most {most}");
            return Err(self.wrong("ttl", &text));
        }
        Ok(())
    }

    /// What is right for itself, but not together.
    fn check(&self, run: &Run) -> Result<(), ConfigError> {
        if run.command.first().is_some_and(|name| name.is_empty()) {
            let text = "COMMAND is empty: give the command to run";
            return Err(ConfigError::usage(text));
        }
        self.has_replicas(run.replicas, &run.lock.target)?;
        self.fits_target(run.terms.ttl, &run.lock.target)?;
        // It would break the promise that the other option makes.
        let (flag, unknown) = match (run.slots, &run.once) {
            _ if run.on_unavailable != OnUnavailable::Run => return Ok(()),
            (Some(_), _) => ("slots", "which places are free"),
            (_, Once { per: Some(_), .. }) => ("once-per", "what has been done"),
            (_, Once { key: Some(_), .. }) => ("once-key", "what has been done"),
            _ => return Ok(()),
        };
        let text =
            format!("\"run\" does not go with --{flag}: without the store nobody knows {unknown}");
        Err(self.wrong("on_unavailable", &text))
    }
}

/// The first characters of a text, if it has any.
pub(super) fn cut(text: &str) -> Option<String> {
    let text: String = text.chars().take(TEXT_MAX_CHARS).collect();
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Settings, read};

    fn run(options: &str) -> Box<Run> {
        let words = format!("tasklock --config /dev/null --name x --url local: {options} true");
        match read(words.split_whitespace().map(OsString::from)) {
            Ok(Settings::Run(run)) => run,
            other => panic!("{options}: {other:?}"),
        }
    }

    #[test]
    fn a_run_tries_once_unless_it_is_told_to_wait_and_the_last_word_on_it_counts() {
        let hour = Duration::from_secs(3600);
        for (options, wait) in [
            ("", Duration::ZERO),
            ("-n", Duration::ZERO),
            ("--wait 0", Duration::ZERO),
            ("-w 1h", hour),
            ("-w1h", hour),
            ("--wait=1h", hour),
            ("--wait forever", Duration::MAX),
            ("-w infinity", Duration::MAX),
            ("-n --wait 1h", hour),
            ("--wait 1h -n", Duration::ZERO),
            ("--nonblock -w 1m -w 1h", hour),
            ("-w 1h --nonblock -w 1h", hour),
        ] {
            assert_eq!(run(options).wait, wait, "{options}");
        }
    }

    #[test]
    fn a_schedule_allows_two_attempts_in_each_tick_unless_told_otherwise() {
        let period = |length, attempts| {
            let length = Duration::from_secs(length);
            Some(Period { length, attempts })
        };
        for (options, per, key) in [
            ("", None, None),
            ("--once-per 1d", period(86_400, 2), None),
            ("--once-attempts 5 --once-per 1", period(1, 5), None),
            ("--once-key 2026-11-23", None, Some("2026-11-23")),
            ("--once-per 60 --once-key=v1", period(60, 2), Some("v1")),
        ] {
            let key = key.map(str::to_owned);
            assert_eq!(run(options).once, Once { per, key }, "{options}");
        }
    }

    #[test]
    fn places_holds_and_delays_are_read_and_none_is_the_default() {
        let plain = run("");
        assert_eq!(plain.slots, None);
        assert_eq!((plain.min_hold, plain.jitter), Default::default());
        let zero = run("--slots 1 --min-hold 0 --jitter 0");
        assert_eq!(zero.slots, Some(1));
        assert_eq!((zero.min_hold, zero.jitter), Default::default());
        let full = run("--slots=1000 --min-hold=36500d --jitter=1.5s");
        assert_eq!(full.slots, Some(1000));
        assert_eq!(full.min_hold, Duration::from_secs(36_500 * 86_400));
        assert_eq!(full.jitter, Duration::from_millis(1500));
    }
}
