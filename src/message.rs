//! What tasklock tells people: every line it writes while it works, in words and as data.

use std::time::{Duration, SystemTime};

use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Map, Value, json};

use crate::duration::show;
use crate::exit::{Outcome, Skip, StartError};
use crate::signals::Signal;
use crate::store::{Done, Fence, Held, Holder, Queued, StoreError};

/// Something to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// No URL was configured.
    LocalOnly,
    /// We stand in line for the lock.
    Waiting {
        /// Where in line, and for whom.
        queued: Queued,
        /// How long we will wait at the most. None: for ever.
        left: Option<Duration>,
    },
    /// The lock is ours.
    Acquired {
        /// Its fencing number.
        fence: Fence,
        /// From the first request to the grant.
        waited: Duration,
    },
    /// The lease runs anew.
    Refreshed,
    /// The lease runs anew, after trouble.
    RefreshedAgain {
        /// The trouble was told.
        told: bool,
    },
    /// The key had vanished, and was taken again.
    Retaken,
    /// A refresh failed; it is tried again while there is room.
    RefreshFailed {
        /// Why.
        error: StoreError,
        /// Until the command has to be stopped, if it ever has to.
        left: Option<Duration>,
        /// It has become urgent, and has not been told in this outage.
        first: bool,
    },
    /// The lock is lost, or cannot be kept.
    Lost {
        /// From the grant to now.
        held_for: Duration,
        /// How.
        cause: LossCause,
        /// What is done about it.
        reaction: Reaction,
        /// The command, if it still runs.
        pid: Option<u32>,
    },
    /// The command ran too long.
    MaxRuntime {
        /// How long it was allowed.
        limit: Duration,
        /// The command.
        pid: u32,
        /// The signal it is stopped with.
        signal: Signal,
        /// Until KILL.
        kill_in: Duration,
    },
    /// KILL has no effect.
    Unkillable {
        /// The command; None: one of its descendants.
        pid: Option<u32>,
    },
    /// The lock is free.
    Released {
        /// From the grant to now.
        held_for: Duration,
    },
    /// The store knew nothing of the lock at the release.
    Forgotten,
    /// The release was not answered.
    ReleaseFailed {
        /// Why, if anything came back.
        error: Option<StoreError>,
        /// Until the lease ends by itself.
        frees_in: Option<Duration>,
    },
    /// The store cannot be reached; the command runs without the lock.
    RunsUnlocked {
        /// Why.
        error: StoreError,
    },
    /// Nothing was run, somebody else sees to it.
    Skipped(Skip),
    /// Nothing was run, for want of an answer.
    Unavailable(StoreError),
    /// The command could not be started.
    NotStarted(StartError),
    /// An ancestor of ours holds the lock.
    AlreadyHeld,
    /// A defect.
    Defect,
    /// Nothing was run: wrong usage, wrong configuration, or the system refused something.
    Failed(String),
    /// `--report` could not be written when the run was over.
    NotReported {
        /// The path, as it was given.
        path: String,
        /// Why.
        error: String,
    },
}

/// How a lock was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LossCause {
    /// Somebody else holds it.
    TakenOver(Held),
    /// It was granted to somebody else since, or freed by force.
    FenceMoved,
    /// The lease had ended before it could be refreshed.
    Expired,
    /// An administrator asked us to stop.
    Revoked {
        /// Who.
        by: String,
    },
    /// We, or the whole machine, were stopped past the end of the lease.
    Overslept,
    /// The lease cannot be refreshed, and would end before the command could be stopped.
    NoRoom,
    /// Our own thread died.
    KeeperGone,
}

/// What is done about a lost lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// The command is being stopped.
    Stops {
        /// With this signal.
        signal: Signal,
        /// Until KILL.
        kill_in: Duration,
    },
    /// The command is killed now.
    Kills,
    /// The command goes on, as asked.
    Continues,
    /// The command had ended already.
    Ended,
}

/// When a message is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Always, also with `-q`.
    Error,
    /// Not with `-q`.
    Notice,
    /// With `-v`.
    Info,
    /// With `-vv`.
    Debug,
}

impl Message {
    /// What an outcome has to say for itself. None: nothing, or it was said before.
    #[must_use]
    pub fn of(outcome: &Outcome) -> Option<Message> {
        match outcome {
            Outcome::Ran(_) | Outcome::Lost(_) | Outcome::TimedOut(_) | Outcome::Interrupted(_) => {
                None
            }
            Outcome::Skipped(skip) => Some(Message::Skipped(skip.clone())),
            Outcome::Unavailable(error) => Some(Message::Unavailable(error.clone())),
            Outcome::NotStarted(error) => Some(Message::NotStarted(error.clone())),
            Outcome::AlreadyHeld => Some(Message::AlreadyHeld),
            Outcome::Defect => Some(Message::Defect),
        }
    }

    /// When to show it.
    #[must_use]
    pub fn level(&self) -> Level {
        match self {
            Message::LocalOnly => Level::Error,
            // That a store is out of reach is no everyday skip.
            Message::Skipped(Skip::Unavailable(_)) => Level::Error,
            Message::Skipped(_) | Message::Waiting { .. } => Level::Notice,
            Message::RefreshedAgain { told: false } => Level::Info,
            Message::Acquired { .. } | Message::Released { .. } => Level::Info,
            Message::RefreshFailed { first: false, .. } => Level::Info,
            Message::Refreshed => Level::Debug,
            _ => Level::Error,
        }
    }

    /// The word for it in JSON.
    #[must_use]
    pub fn event(&self) -> &'static str {
        match self {
            Message::LocalOnly => "local_only",
            Message::Waiting { .. } => "waiting",
            Message::Acquired { .. } => "acquired",
            Message::Refreshed | Message::RefreshedAgain { .. } => "refreshed",
            Message::Retaken => "retaken",
            Message::RefreshFailed { .. } => "refresh_failed",
            Message::Lost { .. } => "lost",
            Message::MaxRuntime { .. } => "timeout",
            Message::Unkillable { .. } => "unkillable",
            Message::Released { .. } => "released",
            Message::Forgotten => "forgotten",
            Message::ReleaseFailed { .. } => "release_failed",
            Message::RunsUnlocked { .. } => "runs_unlocked",
            Message::Skipped(_) => "skipped",
            Message::Unavailable(_) => "unavailable",
            Message::NotStarted(_)
            | Message::AlreadyHeld
            | Message::Defect
            | Message::Failed(_) => "failed",
            Message::NotReported { .. } => "report_failed",
        }
    }

    /// The line for people, without the `tasklock: ` before it.
    #[must_use]
    pub fn text(&self, name: &str) -> String {
        let name = escape(name);
        match self {
            Message::LocalOnly => "no store is configured: the lock holds on this host and for \
                 this user only (set TASKLOCK_URL=redis://HOST for all hosts, or \
                 TASKLOCK_URL=local: to say that this is meant)"
                .to_owned(),
            Message::Waiting { queued, left } => waiting_text(&name, queued, *left),
            Message::Acquired { fence, waited } => {
                format!("acquired \"{name}\" in {}, fence {fence}", show(*waited))
            }
            Message::Refreshed => format!("refreshed \"{name}\""),
            Message::RefreshedAgain { .. } => {
                format!("refreshed \"{name}\" again, the trouble is over")
            }
            Message::Retaken => format!(
                "the key of \"{name}\" had vanished from the store (evicted, deleted or lost in \
                 a restart); no other tasklock was granted the lock, and it was taken again"
            ),
            Message::RefreshFailed { error, left, .. } => {
                let stop = left.map_or_else(String::new, |left| {
                    format!(", the command is stopped in {}", show(left))
                });
                format!("cannot refresh \"{name}\": {error}; trying again{stop}")
            }
            Message::Lost {
                held_for,
                cause,
                reaction,
                pid,
            } => {
                let command =
                    pid.map_or_else(|| "the command".to_owned(), |pid| format!("pid {pid}"));
                let reaction = match reaction {
                    Reaction::Stops { signal, kill_in } => {
                        format!("stopping {command} ({signal}, KILL in {})", show(*kill_in))
                    }
                    Reaction::Kills => format!("killing {command}"),
                    Reaction::Continues => format!("{command} goes on, as --on-lost asks"),
                    Reaction::Ended => "found when the command had ended".to_owned(),
                };
                format!(
                    "lost \"{name}\" after {}: {}; {reaction}",
                    show(*held_for),
                    cause.text()
                )
            }
            Message::MaxRuntime {
                limit,
                pid,
                signal,
                kill_in,
            } => format!(
                "\"{name}\" ran longer than --max-runtime {}: stopping pid {pid} ({signal}, KILL in {})",
                show(*limit),
                show(*kill_in)
            ),
            Message::Unkillable { pid } => {
                let what = pid.map_or_else(
                    || "a process that the command left behind".to_owned(),
                    |pid| format!("pid {pid}"),
                );
                format!(
                    "{what} of \"{name}\" survived KILL (another user's, or stuck in the kernel); \
                     the lock is kept as long as the store allows"
                )
            }
            Message::Released { held_for } => {
                format!("released \"{name}\" after {}", show(*held_for))
            }
            Message::Forgotten => format!(
                "the store had lost its memory of \"{name}\" by the time of the release; \
                 the command ended within its lease"
            ),
            Message::ReleaseFailed { error, frees_in } => {
                let error = error
                    .as_ref()
                    .map_or("no answer in time", |error| &error.text);
                let frees = frees_in.map_or_else(String::new, |frees_in| {
                    format!("; it frees itself in {}", show(frees_in))
                });
                format!("could not release \"{name}\": {error}{frees}")
            }
            Message::RunsUnlocked { error } => {
                format!("{error}; running without the lock, as --on-unavailable asks")
            }
            Message::Skipped(skip) => format!("skipped: {}", skip_text(&name, skip)),
            Message::Unavailable(error) => format!("{error} (nothing was run)"),
            Message::NotStarted(
                StartError::NotFound(text)
                | StartError::CannotExecute(text)
                | StartError::ForkRefused(text),
            ) => text.clone(),
            Message::AlreadyHeld => format!(
                "\"{name}\" is already held by this job: one of the tasklock runs that it descends \
                 from has it (take another --name for the inner one)"
            ),
            Message::Defect => "a defect in tasklock ended this run (nothing is known to be wrong \
                 with the command); please report it"
                .to_owned(),
            Message::Failed(text) => text.clone(),
            Message::NotReported { path, error } => {
                format!("--report: cannot write {}: {error}", escape(path))
            }
        }
    }

    /// The same as data, beside `event`, `name` and `message`.
    #[must_use]
    pub fn fields(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        let mut set = |key: &str, value: Value| {
            fields.insert(key.to_owned(), value);
        };
        match self {
            Message::Waiting { queued, left } => {
                set("place", json!(queued.place));
                if let Some(held) = &queued.held {
                    set("holder", json!(held.holder));
                    set("age_ms", held.age.map_or(Value::Null, millis));
                    set("remaining_ms", held.remaining.map_or(Value::Null, millis));
                }
                set("left_ms", left.map_or(Value::Null, millis));
            }
            Message::Acquired { fence, waited } => {
                set("fence", json!(fence));
                set("waited_ms", millis(*waited));
            }
            Message::RefreshFailed { error, left, .. } => {
                set("error", json!(error.text));
                set("left_ms", left.map_or(Value::Null, millis));
            }
            Message::Lost {
                held_for,
                cause,
                reaction,
                pid,
            } => {
                set("held_ms", millis(*held_for));
                set("cause", json!(cause.word()));
                if let LossCause::TakenOver(Held {
                    holder: Some(holder),
                    ..
                }) = cause
                {
                    set("holder", json!(holder));
                }
                if let Reaction::Stops { kill_in, .. } = reaction {
                    set("kill_in_ms", millis(*kill_in));
                }
                set("pid", json!(pid));
            }
            Message::MaxRuntime {
                limit,
                pid,
                kill_in,
                ..
            } => {
                set("limit_ms", millis(*limit));
                set("kill_in_ms", millis(*kill_in));
                set("pid", json!(pid));
            }
            Message::Unkillable { pid } => set("pid", json!(pid)),
            Message::Released { held_for } => set("held_ms", millis(*held_for)),
            Message::ReleaseFailed { error, frees_in } => {
                set("error", json!(error.as_ref().map(|error| &error.text)));
                set("frees_in_ms", frees_in.map_or(Value::Null, millis));
            }
            Message::RunsUnlocked { error }
            | Message::Unavailable(error)
            | Message::Skipped(Skip::Unavailable(error)) => set("error", json!(error.text)),
            Message::Skipped(Skip::Held(held)) => {
                set("holder", json!(held.holder));
                set("age_ms", held.age.map_or(Value::Null, millis));
                set("remaining_ms", held.remaining.map_or(Value::Null, millis));
            }
            Message::Skipped(Skip::WaitOver { queued, waited }) => {
                set(
                    "holder",
                    json!(queued.held.as_ref().map(|held| &held.holder)),
                );
                set("place", json!(queued.place));
                set("waited_ms", millis(*waited));
            }
            Message::Skipped(Skip::Reserved(first)) => set("first_in_line", json!(first)),
            Message::Skipped(Skip::CoolingDown(remaining)) => {
                set("remaining_ms", millis(*remaining));
            }
            Message::Skipped(Skip::AlreadyDone(done)) => match done {
                Done::Recently { ago } => set("done_ms_ago", millis(*ago)),
                Done::SameKey => set("done", json!("same_key")),
                Done::Attempts { count } => set("attempts", json!(count)),
            },
            _ => {}
        }
        fields
    }
}

impl LossCause {
    fn text(&self) -> String {
        match self {
            LossCause::TakenOver(Held {
                holder: Some(holder),
                ..
            }) => {
                format!("taken over by {}", who(holder))
            }
            LossCause::TakenOver(_) => "taken over by a job that leaves no details".to_owned(),
            LossCause::FenceMoved => "it was granted to another, or freed by force".to_owned(),
            LossCause::Expired => "the lease had ended before it could be refreshed".to_owned(),
            LossCause::Revoked { by } => format!("{} asked for it to be unlocked", escape(by)),
            LossCause::Overslept => {
                "tasklock or the whole machine was stopped past the end of the lease".to_owned()
            }
            LossCause::NoRoom => "it cannot be refreshed, and the lease is about to end".to_owned(),
            LossCause::KeeperGone => {
                "a defect in tasklock: nothing refreshes it any more".to_owned()
            }
        }
    }

    fn word(&self) -> &'static str {
        match self {
            LossCause::TakenOver(_) => "taken_over",
            LossCause::FenceMoved => "fence_moved",
            LossCause::Expired => "expired",
            LossCause::Revoked { .. } => "revoked",
            LossCause::Overslept => "overslept",
            LossCause::NoRoom => "no_room",
            LossCause::KeeperGone => "defect",
        }
    }
}

fn skip_text(name: &str, skip: &Skip) -> String {
    match skip {
        Skip::Held(held) => format!("\"{name}\" is {}", held_text(held)),
        Skip::WaitOver { queued, waited } => format!(
            "\"{name}\" is {}; waited {}",
            queued_text(queued),
            show(*waited)
        ),
        Skip::Reserved(first) => {
            let first = first.as_ref().map_or_else(|| "another run".to_owned(), who);
            format!("\"{name}\" is free, but {first} was in line for it first")
        }
        Skip::AlreadyDone(done) => match done {
            Done::Recently { ago } => format!(
                "\"{name}\" is done: a run that was asked for {} ago succeeded",
                show(*ago)
            ),
            Done::SameKey => format!("\"{name}\" is done: it succeeded with the same --once-key"),
            Done::Attempts { count } => format!(
                "\"{name}\" has failed for now: {count} attempts were made, --once-attempts allows no more"
            ),
        },
        Skip::CoolingDown(remaining) => {
            format!(
                "\"{name}\" is cooling down for another {}",
                show(*remaining)
            )
        }
        Skip::Unavailable(error) => error.to_string(),
    }
}

/// `held by root@web3 pid 4121 (./backup.sh) since 02:00:03 (14m), lease ends in 52s, reason: nightly`
#[must_use]
pub fn held_text(held: &Held) -> String {
    let mut text = String::from("held by ");
    match &held.holder {
        None => text.push_str("a job that leaves no details"),
        Some(holder) => {
            text.push_str(&who(holder));
            if !holder.command.is_empty() {
                text.push_str(&format!(" ({})", escape(&holder.command)));
            }
        }
    }
    if let Some(age) = held.age {
        text.push_str(&format!(" since {} ({})", clock_time(age), show(age)));
    }
    if held.revoked {
        text.push_str(", asked to stop");
    }
    if let Some(remaining) = held.remaining {
        text.push_str(&format!(", lease ends in {}", show(remaining)));
    }
    if let Some(reason) = held
        .holder
        .as_ref()
        .and_then(|holder| holder.reason.as_ref())
    {
        text.push_str(&format!(", reason: {}", escape(reason)));
    }
    text
}

/// `waiting for "backup": held by …; next in line; 10m left`
#[must_use]
pub fn waiting_text(name: &str, queued: &Queued, left: Option<Duration>) -> String {
    let left = left.map_or_else(String::new, |left| format!("; {} left", show(left)));
    format!("waiting for \"{name}\": {}{left}", queued_text(queued))
}

/// `held by root@web3 pid 4121 (./backup.sh) since 02:00:03 (14m), lease ends in 52s; number 2 in line`
#[must_use]
pub fn queued_text(queued: &Queued) -> String {
    let held = match &queued.held {
        Some(held) => held_text(held),
        None => "free, its turn is another's".to_owned(),
    };
    match queued.place {
        Some(1) => format!("{held}; next in line"),
        Some(place) => format!("{held}; number {place} in line"),
        None => held,
    }
}

fn who(holder: &Holder) -> String {
    format!("{} pid {}", escape(&holder.who), holder.pid)
}

/// The local time `age` ago: `02:00:03`, with the date when it is not today.
fn clock_time(age: Duration) -> String {
    let now = SystemTime::now();
    let zone = TimeZone::system();
    let local =
        |time: SystemTime| Timestamp::try_from(time).map(|time| time.to_zoned(zone.clone()));
    let (Some(Ok(then)), Ok(today)) = (now.checked_sub(age).map(local), local(now)) else {
        return "?".to_owned();
    };
    let form = if then.date() == today.date() {
        "%H:%M:%S"
    } else {
        "%Y-%m-%d %H:%M:%S"
    };
    then.strftime(form).to_string()
}

/// Text of others without the control characters that could steer a terminal.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            safe.extend(c.escape_default())
        } else {
            safe.push(c)
        }
    }
    safe
}

/// Text that quotes what stood on the command line, without what follows a
/// `redis://` in it: who forgets `-u` before a URL must not find its password in a log.
#[must_use]
pub fn hide_urls(text: &str) -> String {
    let Some(start) = text.find("://").map(|at| at + 3) else {
        return text.to_owned();
    };
    // The quote that clap puts after what it quotes.
    let end = text.rfind('\'').filter(|end| *end >= start);
    format!("{}…{}", &text[..start], &text[end.unwrap_or(text.len())..])
}

/// An I/O error without its number: `no such file or directory`.
#[must_use]
pub fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(chars).collect()
    })
}

fn millis(duration: Duration) -> Value {
    json!(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held() -> Held {
        Held {
            holder: Some(Holder {
                id: "0011223344556677".into(),
                who: "root@web3".into(),
                pid: 4121,
                command: "./backup.sh".into(),
                reason: Some("nightly".into()),
            }),
            age: Some(Duration::from_secs(14 * 60)),
            remaining: Some(Duration::from_secs(52)),
            revoked: false,
        }
    }

    #[test]
    fn the_skip_line_is_the_contract_s() {
        let text = Message::Skipped(Skip::Held(held())).text("backup");
        let (start, rest) = text.split_once(" since ").unwrap();
        assert_eq!(
            start,
            "skipped: \"backup\" is held by root@web3 pid 4121 (./backup.sh)"
        );
        let (_, end) = rest.split_once(" (").unwrap();
        assert_eq!(end, "14m), lease ends in 52s, reason: nightly");
    }

    #[test]
    fn the_lost_line_is_the_contract_s() {
        let mut held = held();
        held.holder = held.holder.map(|holder| Holder {
            who: "root@web4".into(),
            pid: 99,
            ..holder
        });
        let text = Message::Lost {
            held_for: Duration::from_secs(14 * 60),
            cause: LossCause::TakenOver(held),
            reaction: Reaction::Stops {
                signal: Signal::TERM,
                kill_in: Duration::from_secs(2),
            },
            pid: Some(4121),
        }
        .text("backup");
        assert_eq!(
            text,
            "lost \"backup\" after 14m: taken over by root@web4 pid 99; stopping pid 4121 (TERM, KILL in 2s)"
        );
    }

    #[test]
    fn quoted_urls_lose_what_may_be_a_password() {
        assert_eq!(
            hide_urls("unexpected argument 'redis://:a b'c@h' found"),
            "unexpected argument 'redis://…' found"
        );
        assert_eq!(hide_urls("redis://:secret@h"), "redis://…");
        assert_eq!(hide_urls("it's redis://:secret@h"), "it's redis://…");
        assert_eq!(hide_urls("./backup.sh"), "./backup.sh");
    }

    #[test]
    fn texts_of_others_cannot_steer_the_terminal() {
        let mut held = held();
        held.holder = held.holder.map(|holder| Holder {
            command: "\x1b[2J\nrm".into(),
            ..holder
        });
        let text = Message::Skipped(Skip::Held(held)).text("a\x07b");
        assert!(!text.contains(char::is_control), "{text:?}");
    }

    #[test]
    fn io_errors_are_told_without_their_number() {
        let error = std::io::Error::from_raw_os_error(2);
        assert_eq!(plain(&error), "no such file or directory");
    }
}
