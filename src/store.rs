//! Where a lock lives: the [`Store`] trait and the values it speaks in.
//!
//! *An answer is a value; an error means that the answer is unknown or that the
//! set-up is wrong.* "Somebody else holds it" is an answer. A timeout is an
//! error, after which the request may or may not have been carried out: every
//! request can therefore be sent again with the same token and means the same.

pub mod local;
pub mod past;
pub mod pattern;
pub mod quorum;
pub mod redis;
pub mod target;

use std::fmt;
use std::ops::ControlFlow;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::past::{History, PastOutcome, PastRun};
use self::pattern::Pattern;
use crate::footprint::Track;

/// The longest lock name, in characters.
const NAME_MAX_CHARS: usize = 200;

/// A valid lock name: 1 to 200 characters, no control characters, no braces
/// (a brace would move the hash tag that keeps a lock's keys in one Cluster slot).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LockName(String);

impl LockName {
    /// Checks `name`.
    ///
    /// # Errors
    /// What is wrong with it and what would be right, fit to stand after the name of the flag.
    pub fn new(name: &str) -> Result<LockName, String> {
        let chars = name.chars().count();
        if chars == 0 {
            return Err("a lock name cannot be empty".to_owned());
        }
        if chars > NAME_MAX_CHARS {
            return Err(format!(
                "a lock name has at most {NAME_MAX_CHARS} characters, this one has {chars}"
            ));
        }
        if name.chars().any(char::is_control) {
            return Err("a lock name cannot contain control characters".to_owned());
        }
        if name.contains(['{', '}']) {
            return Err("a lock name cannot contain \"{\" or \"}\"".to_owned());
        }
        Ok(LockName(name.to_owned()))
    }

    /// The name as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LockName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The shortest token that a caller may choose: nobody meets it by chance.
const TOKEN_MIN_CHARS: usize = 8;
/// The longest: a store keeps the last few of each lock.
const TOKEN_MAX_CHARS: usize = 128;

/// The proof of holding: 128 random bits as 32 hexadecimal digits, fresh for
/// every run, or what the caller of `tasklock acquire` chose. Its `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A token that the caller chose: 8 to 128 of the characters A-Z a-z 0-9 . _ -
    /// The scripts keep tokens in lists with commas, blanks and slashes between, `~`
    /// and `!` before one have a meaning, and the value of a job on the recipe is `1`.
    ///
    /// # Errors
    /// What is wrong with it and what would be right, without the token itself.
    pub fn chosen(text: &str) -> Result<Token, String> {
        let form = format!(
            "a token is {TOKEN_MIN_CHARS} to {TOKEN_MAX_CHARS} of the characters A-Z a-z 0-9 . _ -"
        );
        let allowed = |c: char| c.is_ascii_alphanumeric() || ['.', '_', '-'].contains(&c);
        match text.chars().count() {
            0 => Err(format!("the token is empty: {form}")),
            count if !(TOKEN_MIN_CHARS..=TOKEN_MAX_CHARS).contains(&count) => {
                Err(format!("{form}, this one has {count}"))
            }
            _ if !text.chars().all(allowed) => Err(format!("{form}, this one has others")),
            _ => Ok(Token(text.to_owned())),
        }
    }

    /// A fresh token.
    ///
    /// # Errors
    /// When the kernel has no random bytes to give.
    pub fn fresh() -> Result<Token, getrandom::Error> {
        random_hex::<16>().map(Token)
    }

    /// Its characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// `N` random bytes as hexadecimal digits.
pub(crate) fn random_hex<const N: usize>() -> Result<String, getrandom::Error> {
    let mut bytes = [0u8; N];
    getrandom::fill(&mut bytes)?;
    Ok(hex(&bytes))
}

/// `bytes` as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A fencing number: larger for every later holder of the same lock. A
/// resource that remembers the highest one it saw can refuse a holder of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fence(pub u64);

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who holds a lock, for people to read. Nothing is decided by it, except that
/// `id` tells a run that its own ancestor is the holder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// A random public name of this hold (16 hexadecimal digits); stands in `TASKLOCK_CHAIN`.
    pub id: String,
    /// `user@host`, or what `--holder` said.
    pub who: String,
    /// Process id of tasklock on its host.
    pub pid: u32,
    /// The command of the job, without its arguments.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub command: String,
    /// What `--reason` said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What one run asks for; the same in each of its requests.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The lock.
    pub name: LockName,
    /// The run's proof of holding.
    pub token: Token,
    /// How long the lease outlives its last refresh.
    pub ttl: Duration,
    /// Shown to whoever is skipped.
    pub holder: Holder,
    /// How many places of the lock this run may choose from: it uses those below this number.
    pub slots: u32,
    /// From the grant, the place stays closed to others for at least this long.
    pub min_hold: Duration,
    /// What makes the run unnecessary.
    pub once: Once,
    /// How many replicas have to acknowledge the grant and each refresh. A store
    /// that has none of its own has no use for it.
    pub replicas: u32,
    /// How many runs of the lock are remembered after this one, itself among them.
    pub history: u32,
    /// What the hold lasts as long as.
    pub lasts: Lasts,
}

/// What a hold lasts as long as, where a store can tell the difference. To one
/// that is asked over a network every hold is a lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lasts {
    /// The process that took it.
    #[default]
    Process,
    /// Its ttl: it outlives the process, for whoever has the token (`tasklock acquire`).
    Lease,
}

/// What makes a run unnecessary: an earlier one that succeeded. The default: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Once {
    /// The period of a schedule, which is to run once per tick: a success that
    /// was asked for less than half of it before this run was.
    pub per: Option<Period>,
    /// The last success carried this key.
    pub key: Option<String>,
}

/// A schedule's period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// From one tick to the next.
    pub length: Duration,
    /// How many runs may be granted the lock in one tick, as long as none succeeds.
    pub attempts: u32,
}

/// How one request for the lock is meant. The default: a single try.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// Stand in line, if the lock is not granted at once. A run in line that no
    /// longer wants the lock is taken out of it by [`Store::release`].
    pub in_line: bool,
    /// How long ago the run was asked for.
    pub waited: Duration,
}

/// How a hold, or the wait for one, ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The run came to an end.
    Ran {
        /// What became of it.
        outcome: PastOutcome,
        /// How long ago it was asked for.
        waited: Duration,
    },
    /// The command could not be started: neither a minimum hold nor an attempt
    /// is left of it, but that it happened is remembered.
    Unstarted,
    /// Nothing is wanted any more, and nothing is left.
    Withdrawn,
    /// The same, because the wait ran out: one more run was skipped.
    Skipped,
}

impl End {
    /// Whether the run did what it was started for.
    #[must_use]
    pub fn is_success(self) -> bool {
        matches!(self, End::Ran { outcome, .. } if outcome.is_success())
    }
}

/// A lock that is held, as the store granted or last confirmed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The fencing number of this hold; a refresh never changes it.
    pub fence: Fence,
    /// End of the lease in milliseconds of the *store's* clock, sent along with
    /// the next refresh. Zero where the lock does not expire (the local store).
    pub end_ms: u64,
    /// The place: 0 unless the lock has several.
    pub slot: u32,
}

/// The lock of somebody else, as the store sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// None: a job on the plain recipe (`SET … NX EX`), which leaves no details.
    pub holder: Option<Holder>,
    /// How long it has been held, by the store's clock.
    pub age: Option<Duration>,
    /// Until its lease ends unless it is refreshed. None: it does not expire.
    pub remaining: Option<Duration>,
    /// An administrator has asked the holder to stop (`tasklock unlock`).
    pub revoked: bool,
}

/// The answer to [`Store::acquire`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acquire {
    /// The lock is ours.
    Granted(Grant),
    /// Somebody else has it (of several places, all; this is one of them).
    Held(Held),
    /// We stand in line for it; only with [`Ask::in_line`].
    Queued(Queued),
    /// It is free, but for the first in line, who has been told and has a
    /// moment to take it. Only to a single try, which may ask again.
    Reserved {
        /// Who is first in line.
        first: Option<Holder>,
    },
    /// Nobody has it, but its last holder asked for a minimum hold that still
    /// runs. Whoever was in line is so no more.
    CoolingDown {
        /// Until it can be taken.
        remaining: Duration,
    },
    /// There is no need to run. Whoever was in line is so no more.
    Done(Done),
    /// This token was released or withdrawn before; it is never granted again.
    Withdrawn,
}

/// Our place in line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Queued {
    /// Who has the lock (of several places, one of them). None: nobody just now.
    pub held: Option<Held>,
    /// 1 is next. None: the store cannot tell.
    pub place: Option<u32>,
    /// When to ask again at the latest, if the [`Store::bell`] does not ring before.
    pub ask_in: Duration,
}

impl Queued {
    /// The same after `passed` without any news.
    #[must_use]
    pub fn after(self, passed: Duration) -> Queued {
        Queued {
            held: self.held.map(|held| Held {
                age: held.age.map(|age| age + passed),
                remaining: held.remaining.map(|left| left.saturating_sub(passed)),
                ..held
            }),
            ..self
        }
    }
}

/// Why there is no need to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// A run of this tick has succeeded.
    Recently {
        /// How long ago it was asked for, by the store's clock.
        ago: Duration,
    },
    /// The last success carried the same key.
    SameKey,
    /// This tick's attempts are used up, and none succeeded.
    Attempts {
        /// How many there were.
        count: u32,
    },
}

/// The answer to [`Store::refresh`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refresh {
    /// Still ours, and its lease runs from now.
    Held(Grant),
    /// The key had vanished (evicted, deleted, data lost), nobody was granted
    /// the lock since, and it was taken again with the same fence.
    Retaken(Grant),
    /// Still ours but not extended: an administrator asks us to stop.
    Revoked {
        /// Who asked.
        by: String,
    },
    /// Not ours any more. Definite, never retried.
    Lost(Loss),
}

/// How a lock was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Somebody else holds it now.
    TakenOver(Held),
    /// It was granted to somebody since, or freed by force; nobody holds it now.
    FenceMoved,
    /// Its lease had ended before the store could be asked to keep it.
    Expired,
}

/// The answer to [`Store::release`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Release {
    /// It was ours and is free now (also the answer to a repeated request).
    Released,
    /// The store knows nothing of the lock: it lost its data since the last refresh.
    Forgotten,
    /// It was not ours any more. Another has it, if `Some`.
    NotOurs(Option<Held>),
}

/// The answer to [`Store::check`] and [`Store::extend`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checked {
    /// Whoever has the token holds the lock.
    Held(Tenure),
    /// The same, but an administrator asks for the lock; it is not extended.
    Revoked {
        /// Who asked.
        by: String,
    },
    /// The token holds nothing (any more). Another has the lock, if `Some`.
    NotHeld(Option<Held>),
}

/// A hold, as its token alone finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tenure {
    /// The place: 0 unless the lock has several.
    pub slot: u32,
    /// How long the lease outlives its last refresh.
    pub ttl: Duration,
    /// Until it ends unless it is refreshed. None: it lasts as long as the run that has it.
    pub remaining: Option<Duration>,
}

/// The answer to [`Store::inspect`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The places of the lock that were ever used, from 0 on; at least one.
    pub slots: Vec<Slot>,
    /// How many stand in line. None: the store cannot tell.
    pub waiting: Option<u32>,
    /// The first of them, at most [`WAITERS_MAX`].
    pub waiters: Vec<Waiter>,
    /// The last run that ended, as far as it is remembered.
    pub last: Option<PastRun>,
    /// How long ago the last success ended, by the store's clock.
    pub last_success: Option<Duration>,
    /// How many runs were skipped since the lock was last granted. A run that
    /// found its work done already ([`Acquire::Done`]) was not skipped.
    pub skips: u32,
}

/// How many of those in line a [`Status`] tells of.
pub const WAITERS_MAX: usize = 100;

/// Somebody in line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waiter {
    /// Who. None: the store cannot tell.
    pub holder: Option<Holder>,
    /// 1 is next.
    pub place: u32,
    /// How long it has stood there, by the store's clock. None: the store cannot tell.
    pub age: Option<Duration>,
}

/// One place of a lock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    /// Who has it; None: it is free.
    pub held: Option<Held>,
    /// The fence of the last grant; None: never granted, or forgotten.
    pub fence: Option<Fence>,
    /// A minimum hold that still runs.
    pub cooling_down: Option<Duration>,
}

/// How an administrator frees a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unlock {
    /// Ask the holder to stop its job and release; it learns of it at its next refresh.
    Ask,
    /// Free it now. The old job may run on beside the next one until its next refresh.
    Force,
}

/// What [`Store::unlock`] did about one place that was held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unlocked {
    /// The holder has been asked.
    Asked(Held),
    /// It is free now; this one held it.
    Freed(Held),
    /// The holder is a job on the plain recipe, which cannot be asked.
    CannotAsk(Held),
}

/// A place where locks live. Requests block, each for at most `timeout`.
pub trait Store: Send {
    /// Takes the lock if it is free, or ours already (a repeated request); else
    /// stands in line for it, if that is what `ask` means.
    ///
    /// # Errors
    /// [`StoreError`]: unknown whether it was granted.
    fn acquire(
        &mut self,
        claim: &Claim,
        ask: Ask,
        timeout: Duration,
    ) -> Result<Acquire, StoreError>;

    /// A descriptor that becomes readable when it is worth asking again, while
    /// we stand in line. Asking silences it.
    fn bell(&self) -> Option<BorrowedFd<'_>>;

    /// Where a command that is started now and dies with us is to put who it is, where a lock
    /// ends with our process: a moment before the command does. None: there is no need.
    fn track(&mut self, _claim: &Claim) -> Option<Track<'_>> {
        None
    }

    /// Lets the lease run from now. `grant` is the last one confirmed.
    ///
    /// # Errors
    /// [`StoreError`]: unknown whether it was extended; never means "lost".
    fn refresh(
        &mut self,
        claim: &Claim,
        grant: &Grant,
        timeout: Duration,
    ) -> Result<Refresh, StoreError>;

    /// Gives the lock back, if it is ours, leaves the line, and has the token
    /// refused from now on.
    ///
    /// # Errors
    /// [`StoreError`]: unknown whether it is free; the lease ends by itself.
    fn release(
        &mut self,
        claim: &Claim,
        end: End,
        timeout: Duration,
    ) -> Result<Release, StoreError>;

    /// Whether `token` still holds the lock. Looks, and changes nothing.
    ///
    /// # Errors
    /// [`StoreError`]: unknown whether it does.
    fn check(
        &mut self,
        name: &LockName,
        token: &Token,
        timeout: Duration,
    ) -> Result<Checked, StoreError>;

    /// Lets the lease of `token` run from now, for `ttl` or else for as long as it
    /// did before. Of the hold the caller needs to know nothing else; a lease that
    /// has ended is not taken again.
    ///
    /// # Errors
    /// [`StoreError`]: unknown whether it was extended.
    fn extend(
        &mut self,
        name: &LockName,
        token: &Token,
        ttl: Option<Duration>,
        timeout: Duration,
    ) -> Result<Checked, StoreError>;

    /// Gives the lock back for whoever has `token`, and has the token refused from now
    /// on. A lease that has ended is not given back any more. The lock of a run that
    /// goes on is lost to it.
    ///
    /// # Errors
    /// [`StoreError`]: unknown whether it is free; the lease ends by itself.
    fn give_back(
        &mut self,
        name: &LockName,
        token: &Token,
        timeout: Duration,
    ) -> Result<Release, StoreError>;

    /// Looks, and changes nothing.
    ///
    /// # Errors
    /// [`StoreError`]: no answer.
    fn inspect(&mut self, name: &LockName, timeout: Duration) -> Result<Status, StoreError>;

    /// The last runs of a lock, and what was skipped in between. Changes nothing.
    ///
    /// # Errors
    /// [`StoreError`]: no answer.
    fn history(&mut self, name: &LockName, timeout: Duration) -> Result<History, StoreError>;

    /// Tells of every lock that the store knows of and whose name `pattern`
    /// matches, in no particular order, until `tell` says to stop. Changes nothing.
    /// Each request on the way takes at most `timeout`.
    ///
    /// A lock that is made or forgotten meanwhile may be told of or not; one that
    /// is there all the time is told of, once, but twice if the server grows its
    /// tables or a Cluster moves its slot just then. A quorum holds all names in
    /// memory, as do lock files; a server a page of some thousand.
    ///
    /// # Errors
    /// [`StoreError`]: no answer, so that some may be missing.
    fn list(
        &mut self,
        pattern: &Pattern,
        tell: &mut dyn FnMut(&LockName, &Status) -> ControlFlow<()>,
        timeout: Duration,
    ) -> Result<(), StoreError>;

    /// Frees the lock of somebody else, on behalf of `by` (`user@host`): every
    /// place that is held, and says what became of each. A cooldown ends by force only.
    ///
    /// # Errors
    /// [`StoreError`]: unknown whether the request was noted.
    fn unlock(
        &mut self,
        name: &LockName,
        how: Unlock,
        by: &str,
        timeout: Duration,
    ) -> Result<Vec<Unlocked>, StoreError>;
}

/// Why there is no answer. Each text fits after `tasklock: ` and holds no password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreError {
    /// What kind of failure it is, which decides between trying again and giving up.
    pub kind: StoreErrorKind,
    /// What was attempted, on what, and what came of it.
    pub text: String,
}

/// The kinds of [`StoreError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// No connection, no answer in time, or a server that cannot serve just now
    /// (LOADING, READONLY, CLUSTERDOWN, out of memory…). Worth trying again.
    Unavailable,
    /// Too few replicas acknowledged the lock; it was given back, and with it the token.
    Unreplicated,
    /// Credentials or a permission refused.
    Denied,
    /// A wrong certificate, a key of the wrong type, a directory that cannot be trusted.
    Misconfigured,
    /// An answer that no server should give: a defect.
    Defect,
}

impl StoreError {
    /// An error of `kind`.
    #[must_use]
    pub fn new(kind: StoreErrorKind, text: impl Into<String>) -> StoreError {
        StoreError {
            kind,
            text: text.into(),
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for StoreError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_up_to_200_characters_are_valid_whatever_their_alphabet() {
        assert!(LockName::new(&"ü".repeat(200)).is_ok());
        assert!(LockName::new("nightly backup/../etc").is_ok());
    }

    #[test]
    fn invalid_names_are_refused_with_a_reason() {
        for (name, reason) in [
            ("", "empty"),
            (&"x".repeat(201), "at most 200"),
            ("a\nb", "control"),
            ("a\u{9b}b", "control"),
            ("a{b}", "\"{\""),
        ] {
            let error = LockName::new(name).expect_err(name);
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn a_chosen_token_has_no_character_that_means_something_to_a_script() {
        for text in ["ci-run_4.2", &"x".repeat(128), "12345678"] {
            assert_eq!(Token::chosen(text).unwrap().as_str(), text);
        }
        for text in [
            "",
            "1",
            "1234567",
            &"x".repeat(129),
            "with,comma",
            "with blank",
            "a/b/c/d/e",
            "~cooldown",
            "!withdrawn",
            "new\nline",
            "zürich-12",
        ] {
            let error = Token::chosen(text).unwrap_err();
            assert!(error.contains("8 to 128 of the characters"), "{error}");
            assert!(text.len() < 2 || !error.contains(text), "{error}");
        }
    }

    #[test]
    fn tokens_are_32_digits_never_the_same_and_hidden_from_debug() {
        let (one, two) = (Token::fresh().unwrap(), Token::fresh().unwrap());
        assert_ne!(one, two);
        assert_eq!(one.as_str().len(), 32);
        assert!(!format!("{one:?}").contains(one.as_str()));
    }
}
