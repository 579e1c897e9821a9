//! A run, from the claim to the outcome: the loop that performs what the supervisor decides.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::iter;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;

use crate::child::{AfterOurDeath, Child, Group, Start};
use crate::clock::{self, Tick};
use crate::config::{ConfigError, Run};
use crate::exit::{ChildStatus, Ending, Outcome, Skip};
use crate::identity::user_at_host;
use crate::inbox::{Inbox, Incoming, Post};
use crate::keeper::Timeouts;
use crate::log::Log;
use crate::message::{Message, hide_urls, plain, show_path, skip_word};
use crate::pursuit::{CHAIN, Pursuit, ancestors, chain};
use crate::report::{Destination, Report};
use crate::signals::{Signal, Signals};
use crate::store::target::Distance;
use crate::store::{Claim, Grant, Holder, Lasts, Queued, Token, random_hex};
use crate::supervisor::{Action, Event, OnLost, Plan, Supervisor};

/// How much of a command's name is shown to others.
const COMMAND_MAX_CHARS: usize = 120;

/// Runs the command under the lock, and says how tasklock has to end.
#[must_use]
pub fn run(run: &Run) -> Ending {
    let log = Log::new(run.lock.name.to_string(), run.log_format, run.log_level);
    attempt(run, &log).unwrap_or_else(|error| {
        log.say(&Message::Failed(format!("{error:#}")));
        crate::code_of(&error).into()
    })
}

/// The run itself. An error: the system refused something that every run needs.
fn attempt(run: &Run, log: &Log) -> Result<Ending> {
    // Before signals are held: a FIFO that nobody reads from holds us up here,
    // as it does a shell, and has to remain interruptible.
    let report = run.report.as_deref().map(check_report).transpose()?;
    // This may ask the network for our name.
    let holder = holder(run)?;
    // From here on no signal is lost: before, one ends us, and nothing is held.
    let signals = Signals::hold().context("cannot receive signals")?;
    let started_at = Timestamp::now();
    if run.lock.unconfigured {
        log.say(&Message::LocalOnly);
    }
    let (inbox, post) = Inbox::new(signals).context("cannot wait for events")?;
    let mut work = Work::new(run, holder, log, (inbox, post))?;
    let asked_at = clock::now();
    let outcome = work.supervise()?;
    if let (Some(destination), Some(path)) = (report, &run.report) {
        let report = work.report_of(&outcome, asked_at, started_at);
        if destination.may_block() {
            // Nothing is held any more, and whoever waits for us can end it.
            work.inbox.signals().let_go();
        }
        if let Err(error) = destination.write(&report) {
            log.say(&Message::NotReported {
                path: show_path(path),
                error: plain(&error),
            });
        }
    }
    Ok(outcome.ending(run.codes))
}

/// Everything that a run has in hand.
struct Work<'a> {
    run: &'a Run,
    inbox: Inbox,
    supervisor: Supervisor,
    pursuit: Pursuit<'a>,
    group: Group,
    child: Option<Child>,
}

impl<'a> Work<'a> {
    fn new(
        run: &'a Run,
        holder: Holder,
        log: &'a Log,
        (inbox, post): (Inbox, Post),
    ) -> Result<Work<'a>> {
        let claim = Claim {
            name: run.lock.name.clone(),
            token: Token::fresh().context("cannot make a token")?,
            ttl: run.terms.ttl,
            holder,
            slots: run.slots.unwrap_or(1),
            min_hold: run.min_hold,
            once: run.once.clone(),
            replicas: run.replicas,
            history: run.history,
            lasts: Lasts::Process,
        };
        let timeouts = Timeouts {
            acquire: run.lock.store_timeout,
            held: run.terms.store_timeout,
        };
        // `</dev/null` at a prompt must share the terminal's group, too: the
        // controlling terminal decides, not where standard input leads.
        let shares_terminal = OpenOptions::new().read(true).open("/dev/tty").is_ok();
        let group = if shares_terminal || run.foreground {
            Group::Ours
        } else {
            Group::Own
        };
        let pursuit = Pursuit::new((&run.lock, claim), log, timeouts, post);
        let supervisor = Supervisor::new(Plan {
            terms: run.terms,
            unending: run.lock.target.distance() == Distance::Here,
            wait: run.wait,
            places: run.slots.unwrap_or(1),
            reach_for: run.lock.store_timeout,
            delay: random_below(run.jitter)?,
            on_unavailable: run.on_unavailable,
            on_lost: run.on_lost,
            stop_signal: run.stop_signal,
            max_runtime: run.max_runtime,
            shares_terminal,
            ancestors: ancestors(),
        });
        Ok(Work {
            run,
            inbox,
            supervisor,
            pursuit,
            group,
            child: None,
        })
    }

    /// The loop: wait, decide, perform.
    fn supervise(&mut self) -> Result<Outcome> {
        // A request to end that is already there goes before the start.
        let mut events: VecDeque<Event> = iter::from_fn(|| self.inbox.signal())
            .map(Event::Signal)
            .collect();
        events.push_back(Event::Start);
        loop {
            let Some(event) = events.pop_front() else {
                events.extend(self.wait()?);
                continue;
            };
            if let Event::Answer(_) = event {
                self.pursuit.answered();
            }
            for action in self.supervisor.handle(clock::now(), event) {
                if let Action::Finish(outcome) = action {
                    return Ok(outcome);
                }
                events.extend(self.perform(action));
            }
        }
    }

    fn wait(&mut self) -> Result<Vec<Event>> {
        let wake = self.supervisor.next_wake();
        let bell = if self.supervisor.listens() {
            self.pursuit.bell()
        } else {
            None
        };
        let incoming = self.inbox.next(wake, bell);
        Ok(match incoming.context("cannot wait for events")? {
            Incoming::Signal(received) => vec![Event::Signal(received)],
            Incoming::ChildChanged => self.child.iter_mut().flat_map(Child::reap).collect(),
            Incoming::Posted(event) => vec![event],
            Incoming::Rung => vec![Event::Rung],
            Incoming::Time => vec![Event::Wake],
        })
    }

    /// Does one thing, and says what came of it if that is known at once.
    fn perform(&mut self, action: Action) -> Option<Event> {
        self.pursuit.perform(&action);
        match action {
            Action::Spawn { grant } => return Some(self.spawn(grant)),
            Action::Forward(signal) => self.child.iter().for_each(|child| child.forward(signal)),
            Action::StopTree(signal) => {
                self.child
                    .iter()
                    .for_each(|child| child.signal_tree(signal));
            }
            Action::KillTree => {
                self.child
                    .iter()
                    .for_each(|child| child.signal_tree(Signal::KILL));
            }
            Action::StopSelf => self.child.iter().for_each(Child::stop_along),
            // The pursuit's, and taken out by the loop.
            _ => {}
        }
        None
    }

    fn spawn(&mut self, grant: Option<Grant>) -> Event {
        let chain = chain()
            .into_iter()
            .chain(grant.map(|_| self.pursuit.claim.holder.id.clone()));
        let chain = chain.collect::<Vec<_>>().join(",");
        let claim = &self.pursuit.claim;
        let token = grant.map(|_| claim.token.as_str().to_owned());
        let slot = grant.map(|grant| grant.slot.to_string());
        let slot = slot.filter(|_| self.run.slots.is_some());
        let held = if grant.is_some() { "1" } else { "0" };
        let variables = [
            ("TASKLOCK_NAME", Some(claim.name.to_string())),
            ("TASKLOCK_FENCE", grant.map(|grant| grant.fence.to_string())),
            ("TASKLOCK_TOKEN", token),
            ("TASKLOCK_HELD", Some(held.to_owned())),
            ("TASKLOCK_SLOT", slot),
            (CHAIN, Some(chain).filter(|chain| !chain.is_empty())),
        ];
        let variables = variables.map(|(name, value)| (name, value.map(OsString::from)));
        let exports = self.run.exports.iter().cloned();
        let start = Start {
            command: &self.run.command,
            environment: variables.into_iter().chain(exports).collect(),
            group: self.group,
            after_our_death: match self.run.on_lost {
                OnLost::Stop => AfterOurDeath::Dies,
                OnLost::Continue => AfterOurDeath::Lives,
            },
            track: self.pursuit.track(),
            mask: self.inbox.signals().original_mask(),
        };
        match Child::start(start) {
            Ok(child) => {
                let pid = child.pid();
                self.child = Some(child);
                Event::Started { pid }
            }
            Err(error) => Event::StartFailed(error),
        }
    }

    fn report_of<'b>(
        &'b self,
        outcome: &'b Outcome,
        asked_at: Tick,
        started_at: Timestamp,
    ) -> Report<'b> {
        let now = clock::now();
        let granted_at = self.supervisor.granted_at();
        let status = outcome.status();
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Report {
            name: self.pursuit.claim.name.as_str(),
            outcome: outcome.word(),
            cause: match outcome {
                Outcome::Skipped(skip) => Some(skip_word(skip)),
                _ => None,
            },
            child_exit: match status {
                Some(ChildStatus::Exited(code)) => Some(code),
                _ => None,
            },
            child_signal: match status {
                Some(ChildStatus::Killed(signal)) => Some(signal.number()),
                _ => None,
            },
            child_alive: self.supervisor.child_alive(),
            fence: self.supervisor.fence(),
            slot: self.supervisor.slot().filter(|_| self.run.slots.is_some()),
            holder: match outcome {
                Outcome::Skipped(
                    Skip::Held(held)
                    | Skip::WaitOver {
                        queued:
                            Queued {
                                held: Some(held), ..
                            },
                        ..
                    },
                ) => held.holder.as_ref(),
                _ => None,
            },
            waited_ms: millis(granted_at.unwrap_or(now).since(asked_at)),
            held_ms: granted_at.map_or(0, |at| millis(now.since(at))),
            started_at: format!("{started_at:.3}"),
            store: self.run.lock.target.to_string(),
        }
    }
}

fn check_report(path: &Path) -> Result<Destination> {
    Destination::check(path).map_err(|error| {
        let message = Message::NotReported {
            path: show_path(path),
            error: match error.kind() {
                ErrorKind::NotFound => "its directory does not exist".to_owned(),
                _ => plain(&error),
            },
        };
        ConfigError::config(message.text("")).into()
    })
}

/// A random duration below `limit`, down to the millisecond.
fn random_below(limit: Duration) -> Result<Duration> {
    if limit.is_zero() {
        return Ok(limit);
    }
    let random = getrandom::u64().context("cannot make a random delay")?;
    Ok(limit.mul_f64(random as f64 / u64::MAX as f64))
}

/// Who we are, for whoever is skipped. Of the command the name alone: its
/// arguments may hold a password, and other hosts' logs are no place for it.
fn holder(run: &Run) -> Result<Holder> {
    let command = run.command.first().map(|name| name.to_string_lossy());
    let command = hide_urls(&command.unwrap_or_default());
    Ok(Holder {
        id: random_hex::<8>().context("cannot make an id")?,
        who: run.holder.clone().unwrap_or_else(user_at_host),
        pid: std::process::id(),
        command: command.chars().take(COMMAND_MAX_CHARS).collect(),
        reason: run.reason.clone(),
    })
}
