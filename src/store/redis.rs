//! One Redis or Valkey server.
//!
//! Promises: each request is one EVAL, bounded by its timeout with everything
//! that it needs (name resolution, connect, TLS, AUTH, SELECT); a request may be
//! sent twice and means the same. Does not promise more than the server keeps: see
//! the contract on lost data and fail-over.
//!
//! # Keys
//! `PREFIX` + name: the lock, a plain string that is exactly the holder's token,
//! with a time to live; `~` and the token while a cooldown runs. Jobs on the plain
//! recipe set and delete the same key.
//!
//! `{PREFIX` + name `}:st`: its state, a hash in the same Cluster slot, without
//! time to live while the lock is held or waited for. Times are in ms of the
//! server's clock. Format version 1:
//!
//! | field | what |
//! |---|---|
//! | `v` | format version; a larger one than ours is refused |
//! | `n` | places ever used (1 without `--slots`) |
//! | `o0` | token of the holder of place 0, `''` when free |
//! | `f0` | fence of its last grant; absent: no grant is remembered |
//! | `e0` | end of its lease |
//! | `t0` | ttl of its lease in ms |
//! | `s0` | held since |
//! | `h0` | details of its holder, JSON |
//! | `c0` | end of its cooldown, which counts once it is not held any more |
//! | `x0`, `y0` | the fence that was revoked, and by whom |
//! | `w0` | the lowest ticket that may still want it |
//! | `o1`, `f1`… | the same of further places, which have no key of their own |
//! | `q` | the last ticket given in line |
//! | `q1`, `q2`… | of who has that ticket: in line until then unless it asks again, told that a place is free at (0: not yet), uses the places below this number, its public id |
//! | `i` + id | its ticket, in line since, its details as JSON |
//! | `g0`, `u` | on a node of a quorum: token, set of nodes and round of the grant; rounds that were taken back |
//! | `off` | the last 8 tokens that were freed by force, like `rel` |
//! | `rel` | the last 8 tokens that were released or withdrawn, newest first, with commas: never granted again; with `!` before one that held nothing then |
//! | `os`, `ok` | when the last success was asked for, and the last once-key that succeeded |
//! | `oa` | when the first attempt of this tick was asked for, a colon, how many there were |
//! | `r`, `rs` | the record of the last run that ended (see `runs.lua`); when a success last ended |
//! | `skips` | how many runs were skipped since the last grant, and the ids of the last of them |
//! | `k0` | how many were before the grant of place 0, and how many runs its holder wants remembered |
//!
//! `{PREFIX` + name `}:runs`: a list of the records of the last runs, for 30 days after
//! the last of them. No script declares it: a Cluster would answer TRYAGAIN for it
//! while its slot moves, for as long as it does not exist.
//!
//! With `os`, `ok` or `oa` a hash is kept for ever, else for 30 days after its last use.
//!
//! `PREFIX` + name `:w:` + id: the channel on which a waiter is told that it is
//! worth asking again. Whatever is sent there means no more than that.

mod answer;
mod cluster;
mod eval;
mod failure;
mod line;
mod link;
mod listing;
pub(crate) mod node;
mod past;
pub(crate) mod probe;
mod replicas;
pub(crate) mod rights;
mod script;
mod sentinel;
pub(crate) mod tls;
mod walk;
mod wire;

use std::fmt;
use std::ops::ControlFlow;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::Value;

pub use cluster::Seeds;
pub(crate) use sentinel::Login;
pub use sentinel::Sentinels;
pub use tls::TlsFiles;

use self::answer::Words;
use self::eval::Eval;
use self::line::Line;
use self::link::Link;
use self::script::{ACQUIRE, CHECK, EXTEND, GIVE_BACK, HISTORY, INSPECT, REFRESH, RELEASE, UNLOCK};
use self::tls::Tls;
use super::past::{History, PastOutcome};
use super::pattern::Pattern;
use super::{
    Acquire, Ask, Checked, Claim, End, Grant, LockName, Refresh, Release, Status, Store,
    StoreError, StoreErrorKind, Token, Unlock, Unlocked,
};

/// Where a server is and how to log in.
#[derive(Debug)]
pub struct Server {
    pub(crate) address: Address,
    pub(crate) tls: Option<Arc<Tls>>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Secret>,
    pub(crate) database: u32,
    /// Who gave the address, if it was not the user.
    pub(crate) named_by: Option<String>,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// A host name or a literal address (without brackets), and a port.
    Tcp { host: String, port: u16 },
    /// A unix socket.
    Unix(PathBuf),
}

/// Whether a host that a server names could be one: it is told, and must not drive the terminal.
fn is_plain(host: &str) -> bool {
    !host.contains(char::is_control)
}

/// A password. Its `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn new(text: String) -> Secret {
        Secret(text)
    }

    fn reveal(&self) -> &str {
        &self.0
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Server {
    /// `host:port`; nothing for a unix socket.
    fn host_and_port(&self) -> String {
        match &self.address {
            Address::Tcp { host, port } if host.contains(':') => format!("[{host}]:{port}"),
            Address::Tcp { host, port } => format!("{host}:{port}"),
            Address::Unix(_) => String::new(),
        }
    }

    /// The URL without user and password.
    fn url(&self) -> String {
        let database = self.database;
        match &self.address {
            Address::Tcp { .. } => {
                let scheme = if self.tls.is_some() {
                    "rediss"
                } else {
                    "redis"
                };
                let place = self.host_and_port();
                match database {
                    0 => format!("{scheme}://{place}"),
                    _ => format!("{scheme}://{place}/{database}"),
                }
            }
            Address::Unix(path) => match database {
                0 => format!("unix://{}", path.display()),
                _ => format!("unix://{}?db={database}", path.display()),
            },
        }
    }

    /// Which server it is, whatever is looked at there.
    pub(crate) fn node(&self) -> String {
        match &self.address {
            Address::Tcp { .. } => self.host_and_port().to_ascii_lowercase(),
            Address::Unix(path) => path.display().to_string(),
        }
    }

    /// The same with the database.
    pub(crate) fn identity(&self) -> String {
        format!("{}/{}", self.node(), self.database)
    }

    /// Some answers repeat what they were sent: "unknown command 'AUTH', with args…".
    fn without_password(&self, text: &str) -> String {
        let secret = match &self.password {
            // A user alone may be a password that lacks its colon.
            Some(password) if password.is_empty() => self.user.as_deref(),
            Some(password) => Some(password.reveal()),
            None => None,
        };
        // "…with args beginning with: '…'": of a long password only a piece.
        let text = text
            .split("with args beginning with")
            .next()
            .unwrap_or_default();
        match secret {
            Some(secret) if !secret.is_empty() => text.replace(secret, "***"),
            _ => text.to_owned(),
        }
    }

    /// Does the URL name a user and no password?
    fn names_only_a_user(&self) -> bool {
        self.user.is_some() && self.password.as_ref().is_some_and(Secret::is_empty)
    }
}

/// The URL without user and password, and who gave it if that was not the user.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url())?;
        match &self.named_by {
            Some(name) => write!(f, " (named by {name})"),
            None => Ok(()),
        }
    }
}

/// The locks of one server, of the one that is the master, or of the node of a
/// Cluster that has their slot.
/// Connects at the first request and stays connected.
pub struct RedisStore {
    key_prefix: String,
    link: Link,
    /// Of the run that stands in line.
    line: Option<Line>,
    /// Of the run that holds a lock: its place.
    place: Option<(Token, u32)>,
}

impl RedisStore {
    /// The locks on `server` whose keys begin with `key_prefix` (without braces,
    /// which would move the hash tag).
    #[must_use]
    pub fn new(server: Arc<Server>, key_prefix: String) -> RedisStore {
        RedisStore::by(Link::to(server), key_prefix)
    }

    /// The same on the master that `sentinels` name.
    #[must_use]
    pub fn by_sentinel(sentinels: Arc<Sentinels>, key_prefix: String) -> RedisStore {
        RedisStore::by(Link::by_sentinel(sentinels), key_prefix)
    }

    /// The same in the Cluster of `seeds`.
    #[must_use]
    pub fn in_cluster(seeds: Arc<Seeds>, key_prefix: String) -> RedisStore {
        RedisStore::by(Link::into_cluster(seeds), key_prefix)
    }

    /// A store whose requests go behind the one that `self` waits for; see [`Link::behind`].
    fn behind(&self) -> Option<RedisStore> {
        let key_prefix = self.key_prefix.clone();
        Some(RedisStore::by(self.link.behind()?, key_prefix))
    }

    fn by(link: Link, key_prefix: String) -> RedisStore {
        RedisStore {
            key_prefix,
            link,
            line: None,
            place: None,
        }
    }

    /// The server that gave the last answer.
    pub(crate) fn server(&self) -> &Arc<Server> {
        self.link.server()
    }

    fn key(&self, name: &LockName) -> String {
        format!("{}{name}", self.key_prefix)
    }

    /// Runs `script` on the keys of its name, and reads the answer with `read`.
    fn step<T>(
        &mut self,
        script: &Script<'_>,
        limit: Limit,
        read: impl FnOnce(Words) -> Option<T>,
    ) -> Result<T, StoreError> {
        let value = self.send(script, limit)?;
        self.read(value, read)
    }

    fn send(&mut self, script: &Script<'_>, limit: Limit) -> Result<Value, StoreError> {
        let eval = Eval {
            text: script.text,
            key: &self.key(script.name),
            mark: script.mark,
            args: script.args,
        };
        let answer = self.link.request(&eval, limit.deadline);
        let server = self.link.server();
        let value = answer.map_err(|fault| failure::of_fault(server, fault, limit.timeout))?;
        match &value {
            Value::ServerError(error) => Err(failure::of_answer(server, &wire::error_text(error))),
            _ => Ok(value),
        }
    }

    fn read<T>(
        &self,
        value: Value,
        read: impl FnOnce(Words) -> Option<T>,
    ) -> Result<T, StoreError> {
        let server = self.link.server();
        if let Some((key, what)) = answer::refused_key(&value) {
            return Err(StoreError::new(
                StoreErrorKind::Misconfigured,
                format!("the key {:?} on {server} {what}", answer::shown(&key)),
            ));
        }
        Words::new(value).and_then(read).ok_or_else(|| {
            StoreError::new(
                StoreErrorKind::Defect,
                format!("a script on {server} gave an answer that is none of its own"),
            )
        })
    }

    /// Asks for the lock once; in line, if we stand there.
    fn ask(&mut self, claim: &Claim, ask: Ask, limit: Limit) -> Result<Acquire, StoreError> {
        let args = self.acquire_args(claim, ask);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let script = Script {
            text: ACQUIRE,
            name: &claim.name,
            mark: None,
            args: &args,
        };
        let (answer, ticket) =
            self.step(&script, limit, |words| answer::acquire(words, claim.slots))?;
        Ok(self.acquired(claim, answer, ticket))
    }

    /// The arguments of ACQUIRE, but for those of a node of a quorum.
    fn acquire_args(&self, claim: &Claim, ask: Ask) -> Vec<String> {
        let line = self.line.as_ref();
        let manner = match line {
            Some(line) if line.may_be_told() => "line",
            _ if ask.in_line => "look",
            _ => "try",
        };
        let attempts = claim.once.per.map_or(0, |per| per.attempts);
        vec![
            claim.token.as_str().to_owned(),
            millis(claim.ttl),
            details(claim),
            claim.slots.max(1).to_string(),
            claim.min_hold.as_millis().to_string(),
            ask.waited.as_millis().to_string(),
            manner.to_owned(),
            claim.holder.id.clone(),
            line.map_or(0, |line| line.ticket).to_string(),
            per_millis(claim),
            attempts.to_string(),
            once_key(claim),
            claim.history.to_string(),
        ]
    }

    /// Takes note of what was answered, and of the ticket that came with it.
    fn acquired(&mut self, claim: &Claim, answer: Acquire, ticket: Option<u64>) -> Acquire {
        match (&answer, ticket, &mut self.line) {
            (_, Some(ticket), Some(line)) => line.ticket = ticket,
            // Closed when there is time for it: now the server would be busy
            // with that while the command starts.
            (Acquire::Granted(_), ..) => {}
            _ => self.line = None,
        }
        if let Acquire::Granted(grant) = &answer {
            self.place = Some((claim.token.clone(), grant.slot));
        }
        answer
    }

    /// Asks, and takes our stand in line if that is wanted and the lock is not to be had.
    fn ask_or_stand(
        &mut self,
        claim: &Claim,
        ask: Ask,
        limit: Limit,
    ) -> Result<Acquire, StoreError> {
        let stands = |line: &mut Line| ask.in_line && line.is_of(&claim.token);
        self.line = self.line.take_if(stands);
        // Silent first: what changes after the answer rings again.
        let silent = self
            .line
            .as_mut()
            .is_some_and(|line| line.silence(limit.deadline));
        // A free lock costs one request, in line or not.
        let answer = self.ask(claim, ask, limit)?;
        let refused = matches!(
            answer,
            Acquire::Held(_) | Acquire::Reserved { .. } | Acquire::Queued(_)
        );
        let server = self.link.server();
        let listens = silent
            && self
                .line
                .as_ref()
                .is_some_and(|line| line.listens_to(server));
        if listens || !(ask.in_line && refused) {
            return Ok(answer);
        }
        self.listen(claim, limit)?;
        self.ask(claim, ask, limit)
    }

    /// Makes sure that we are told when it is worth asking again: by the server
    /// that answered last, as only what listens there counts as awake.
    fn listen(&mut self, claim: &Claim, limit: Limit) -> Result<(), StoreError> {
        let channel = format!("{}:w:{}", self.key(&claim.name), claim.holder.id);
        let line = self
            .line
            .get_or_insert_with(|| Line::new(claim.token.clone(), channel));
        let server = self.link.server();
        line.listen(server, limit.deadline)
            .map_err(|fault| failure::of_listening(server, line.channel(), fault, limit.timeout))
    }
}

/// When a request is given up, and how long that is from its beginning.
#[derive(Clone, Copy)]
struct Limit {
    deadline: Instant,
    timeout: Duration,
}

impl Limit {
    fn new(timeout: Duration) -> Limit {
        /// More than any request needs, and little enough to be added to an `Instant`.
        const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 60 * 60);
        Limit {
            deadline: Instant::now() + timeout.min(TIMEOUT_MAX),
            timeout,
        }
    }
}

/// A script to run on the keys of a name.
struct Script<'a> {
    text: &'a str,
    name: &'a LockName,
    /// A third key, of a node of a quorum.
    mark: Option<&'a str>,
    args: &'a [&'a str],
}

/// `ttl` for the scripts. PX refuses a zero.
fn millis(ttl: Duration) -> String {
    ttl.as_millis().max(1).to_string()
}

/// The period of the schedule for the scripts, which take nothing for none.
fn per_millis(claim: &Claim) -> String {
    claim
        .once
        .per
        .map_or_else(String::new, |per| millis(per.length))
}

/// The once-key for the scripts: marked, as nothing stands for none.
fn once_key(claim: &Claim) -> String {
    let key = claim.once.key.as_ref();
    key.map_or_else(String::new, |key| format!("={key}"))
}

fn details(claim: &Claim) -> String {
    // A Holder is plain strings and a number, which always have a JSON form.
    serde_json::to_string(&claim.holder).unwrap_or_default()
}

impl Store for RedisStore {
    fn acquire(
        &mut self,
        claim: &Claim,
        ask: Ask,
        timeout: Duration,
    ) -> Result<Acquire, StoreError> {
        let limit = Limit::new(timeout);
        let answer = self.ask_or_stand(claim, ask, limit)?;
        if let Acquire::Granted(_) = answer {
            self.expect_replicated_grant(claim, limit.deadline)?;
        }
        Ok(answer)
    }

    fn bell(&self) -> Option<BorrowedFd<'_>> {
        self.line.as_ref().and_then(Line::bell)
    }

    fn refresh(
        &mut self,
        claim: &Claim,
        grant: &Grant,
        timeout: Duration,
    ) -> Result<Refresh, StoreError> {
        let args = [
            claim.token.as_str(),
            &millis(claim.ttl),
            &grant.fence.to_string(),
            &grant.end_ms.to_string(),
            &details(claim),
            &grant.slot.to_string(),
        ];
        let script = Script {
            text: REFRESH,
            name: &claim.name,
            mark: None,
            args: &args,
        };
        let limit = Limit::new(timeout);
        let answer = self.step(&script, limit, |words| answer::refresh(words, grant));
        self.line = None;
        let answer = answer?;
        if let Refresh::Held(_) | Refresh::Retaken(_) = answer {
            self.expect_replicated_refresh(claim, limit.deadline)?;
        }
        Ok(answer)
    }

    fn release(
        &mut self,
        claim: &Claim,
        end: End,
        timeout: Duration,
    ) -> Result<Release, StoreError> {
        let held = self.place.as_ref().filter(|(of, _)| *of == claim.token);
        let place = held.map_or_else(String::new, |(_, place)| place.to_string());
        let (how, waited) = match end {
            End::Ran { outcome, waited } => (outcome.to_string(), waited),
            End::Unstarted => (PastOutcome::Unstarted.to_string(), Duration::ZERO),
            End::Withdrawn => ("withdrawn".to_owned(), Duration::ZERO),
            End::Skipped => ("skipped".to_owned(), Duration::ZERO),
        };
        let args = [
            claim.token.as_str(),
            &place,
            &how,
            &waited.as_millis().to_string(),
            &claim.holder.id,
            &per_millis(claim),
            &once_key(claim),
            &claim.history.to_string(),
        ];
        let script = Script {
            text: RELEASE,
            name: &claim.name,
            mark: None,
            args: &args,
        };
        let answer = self.step(&script, Limit::new(timeout), answer::release);
        // Whatever came of it: who releases does not wait any more.
        self.line = None;
        answer
    }

    fn check(
        &mut self,
        name: &LockName,
        token: &Token,
        timeout: Duration,
    ) -> Result<Checked, StoreError> {
        let script = Script {
            text: CHECK,
            name,
            mark: None,
            args: &[token.as_str()],
        };
        self.step(&script, Limit::new(timeout), answer::checked)
    }

    fn extend(
        &mut self,
        name: &LockName,
        token: &Token,
        ttl: Option<Duration>,
        timeout: Duration,
    ) -> Result<Checked, StoreError> {
        let ttl = ttl.map_or_else(String::new, millis);
        let script = Script {
            text: EXTEND,
            name,
            mark: None,
            args: &[token.as_str(), &ttl],
        };
        self.step(&script, Limit::new(timeout), answer::extended)
    }

    fn give_back(
        &mut self,
        name: &LockName,
        token: &Token,
        timeout: Duration,
    ) -> Result<Release, StoreError> {
        let script = Script {
            text: GIVE_BACK,
            name,
            mark: None,
            args: &[token.as_str()],
        };
        self.step(&script, Limit::new(timeout), answer::release)
    }

    fn inspect(&mut self, name: &LockName, timeout: Duration) -> Result<Status, StoreError> {
        let script = Script {
            text: INSPECT,
            name,
            mark: None,
            args: &[],
        };
        self.step(&script, Limit::new(timeout), answer::status)
    }

    fn history(&mut self, name: &LockName, timeout: Duration) -> Result<History, StoreError> {
        let script = Script {
            text: HISTORY,
            name,
            mark: None,
            args: &[],
        };
        self.step(&script, Limit::new(timeout), past::history)
    }

    fn list(
        &mut self,
        pattern: &Pattern,
        tell: &mut dyn FnMut(&LockName, &Status) -> ControlFlow<()>,
        timeout: Duration,
    ) -> Result<(), StoreError> {
        self.walk(pattern, tell, timeout)
    }

    fn unlock(
        &mut self,
        name: &LockName,
        how: Unlock,
        by: &str,
        timeout: Duration,
    ) -> Result<Vec<Unlocked>, StoreError> {
        let how = match how {
            Unlock::Ask => "ask",
            Unlock::Force => "force",
        };
        let script = Script {
            text: UNLOCK,
            name,
            mark: None,
            args: &[how, by],
        };
        self.step(&script, Limit::new(timeout), answer::unlocked)
    }
}
