//! `tasklock acquire`: take a lock and leave it held, for whoever has its token.
//!
//! It is got as a run gets it, by the same supervisor and with the same signals; where a
//! run would start its command, the token is printed. Until that is done the lock is given
//! back whatever happens: a lock whose token nobody knows is of no use to anybody.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::iter;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::stat::fstat;
use serde_json::{Map, Value, json};

use super::deadline::Deadline;
use crate::clock;
use crate::config::{Acquire, ConfigError, Form};
use crate::exit::{Code, Ending, Outcome, StartError};
use crate::identity::user_at_host;
use crate::inbox::{Inbox, Incoming, Post};
use crate::keeper::Timeouts;
use crate::lease::Lease;
use crate::log::Log;
use crate::message::{Message, escape, json_line, plain};
use crate::output;
use crate::pursuit::{Pursuit, ancestors};
use crate::signals::{Signal, Signals};
use crate::store::{self, Claim, Grant, Holder, Lasts, Once, Token, random_hex};
use crate::supervisor::{Action, Answer, Event, OnLost, OnUnavailable, Plan, Supervisor};

/// Takes the lock and prints the token; the exit codes are those of a run.
///
/// # Errors
/// The system refused something; or the token cannot be granted the lock any more.
pub fn acquire(settings: &Acquire) -> Result<Ending> {
    if settings.token.is_none() && leads_nowhere(io::stdout()) {
        let text = "standard output is closed or /dev/null: nobody would know the token (choose one with --token)";
        return Err(ConfigError::usage(text).into());
    }
    let lock = &settings.lock;
    let log = Log::new(
        lock.name.to_string(),
        Default::default(),
        settings.log_level,
    );
    // This may ask the network for our name.
    let claim = claim(settings)?;
    // From here on no signal is lost.
    let signals = Signals::hold().context("cannot receive signals")?;
    if lock.unconfigured {
        log.say(&Message::LocalOnly);
    }
    let (inbox, post) = Inbox::new(signals).context("cannot wait for events")?;
    let timeouts = Timeouts {
        acquire: lock.store_timeout,
        held: settings.terms.store_timeout,
    };
    let mut work = Work {
        settings,
        inbox,
        post: post.clone(),
        supervisor: Supervisor::new(plan(settings)),
        pursuit: Pursuit::new((lock, claim), &log, timeouts, post),
    };
    work.supervise()
}

/// Closed by whoever started us, it was opened to lead there by the runtime of Rust.
fn leads_nowhere(stream: impl AsFd) -> bool {
    let null = fs::metadata("/dev/null");
    let Ok(stat) = fstat(stream) else { return true };
    null.is_ok_and(|null| null.rdev() == stat.st_rdev && stat.st_mode & 0o170_000 == 0o020_000)
}

fn claim(settings: &Acquire) -> Result<Claim> {
    let token = match &settings.token {
        Some(token) => token.clone(),
        None => Token::fresh().context("cannot make a token")?,
    };
    Ok(Claim {
        name: settings.lock.name.clone(),
        token,
        ttl: settings.terms.ttl,
        holder: Holder {
            id: random_hex::<8>().context("cannot make an id")?,
            who: settings.holder.clone().unwrap_or_else(user_at_host),
            pid: std::process::id(),
            command: "tasklock acquire".to_owned(),
            reason: settings.reason.clone(),
        },
        slots: settings.slots.unwrap_or(1),
        min_hold: Duration::ZERO,
        once: Once::default(),
        replicas: settings.replicas,
        history: settings.history,
        lasts: Lasts::Lease,
    })
}

/// That of a run up to its start.
fn plan(settings: &Acquire) -> Plan {
    Plan {
        terms: settings.terms,
        unending: false,
        wait: settings.wait,
        places: settings.slots.unwrap_or(1),
        reach_for: settings.lock.store_timeout,
        delay: Duration::ZERO,
        on_unavailable: OnUnavailable::Fail,
        on_lost: OnLost::Stop,
        stop_signal: Signal::TERM,
        max_runtime: None,
        shares_terminal: false,
        ancestors: ancestors(),
    }
}

/// Everything in hand.
struct Work<'a> {
    settings: &'a Acquire,
    inbox: Inbox,
    post: Post,
    supervisor: Supervisor,
    pursuit: Pursuit<'a>,
}

impl Work<'_> {
    /// The loop: wait, decide, perform.
    fn supervise(&mut self) -> Result<Ending> {
        let mut events: VecDeque<Event> = iter::from_fn(|| self.inbox.signal())
            .map(Event::Signal)
            .collect();
        events.push_back(Event::Start);
        loop {
            let Some(event) = events.pop_front() else {
                events.extend(self.wait()?);
                continue;
            };
            let is_withdrawn = matches!(
                event,
                Event::Answer(Answer::Acquired {
                    result: Ok(store::Acquire::Withdrawn),
                    ..
                })
            );
            match &event {
                // The token has been printed.
                Event::Started { .. } => return Ok(Code::Ok.into()),
                Event::Answer(_) => self.pursuit.answered(),
                _ => {}
            }
            let actions = self.supervisor.handle(clock::now(), event);
            // Of a token of the caller's it is no defect; of one that we have just withdrawn, no news.
            if is_withdrawn && actions.contains(&Action::Finish(Outcome::Defect)) {
                return Err(self.spent().into());
            }
            for action in actions {
                self.pursuit.perform(&action);
                match action {
                    Action::Spawn { grant: Some(grant) } => self.print(grant),
                    Action::Finish(outcome) => return Ok(outcome.ending(self.settings.codes)),
                    _ => {}
                }
            }
        }
    }

    fn wait(&mut self) -> Result<Option<Event>> {
        let wake = self.supervisor.next_wake();
        let listens = self.supervisor.listens();
        let bell = self.pursuit.bell().filter(|_| listens);
        let incoming = self.inbox.next(wake, bell);
        Ok(match incoming.context("cannot wait for events")? {
            Incoming::Signal(received) => Some(Event::Signal(received)),
            Incoming::ChildChanged => None,
            Incoming::Posted(event) => Some(event),
            Incoming::Rung => Some(Event::Rung),
            Incoming::Time => Some(Event::Wake),
        })
    }

    fn spent(&self) -> ConfigError {
        let name = escape(self.settings.lock.name.as_str());
        ConfigError::usage(format!(
            "--token: this one was released or freed by force, or an earlier acquire of \"{name}\" gave \
             up with it: it is never granted again, choose another"
        ))
    }

    /// Prints the token, in a thread: nobody may be reading, and signals are to be heard. It
    /// posts `Started`, or why the token is not known to anybody.
    fn print(&self, grant: Grant) {
        let (text, post) = (self.text(grant), self.post.clone());
        let name = escape(self.settings.lock.name.as_str());
        let work = move || {
            post.send(match output::all(&text) {
                Ok(()) => Event::Started {
                    pid: std::process::id(),
                },
                Err(error) => Event::StartFailed(StartError::ForkRefused(format!(
                    "cannot print the token: {}; \"{name}\" is given back, for nobody would know it",
                    plain(&error)
                ))),
            });
        };
        if let Err(error) = thread::Builder::new().name("print".to_owned()).spawn(work) {
            let text = format!("cannot start a thread: {}", plain(&error));
            self.post
                .send(Event::StartFailed(StartError::ForkRefused(text)));
        }
    }

    fn text(&self, grant: Grant) -> String {
        let sent_at = self.supervisor.granted_at().unwrap_or_else(clock::now);
        let deadline = Deadline::at(Lease::granted(self.settings.terms, sent_at).deadline());
        let claim = &self.pursuit.claim;
        let (name, token) = (claim.name.as_str(), claim.token.as_str());
        let (fence, slot) = (grant.fence, self.settings.slots.map(|_| grant.slot));
        match self.settings.form {
            Form::Plain => {
                let slot = slot.map_or_else(String::new, |slot| format!(" {slot}"));
                format!("{token} {fence} {}{slot}", deadline.words())
            }
            Form::Env => {
                let slot = slot.map_or_else(String::new, |slot| format!("\nTASKLOCK_SLOT={slot}"));
                let deadline = deadline.variable();
                format!(
                    "TASKLOCK_NAME={name}\nTASKLOCK_TOKEN={token}\nTASKLOCK_FENCE={fence}\n{deadline}{slot}"
                )
            }
            Form::Json => {
                let mut object = Map::new();
                object.insert("name".to_owned(), json!(name));
                object.insert("token".to_owned(), json!(token));
                object.insert("fence".to_owned(), json!(fence));
                object.insert("slot".to_owned(), json!(slot));
                deadline.put_in(&mut object);
                json_line(&Value::Object(object))
            }
        }
    }
}
