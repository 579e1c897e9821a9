//! Waiting until those who were asked to stop are gone.

mod watch;

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Request, code};
use crate::clock::{self, Tick};
use crate::commands::interrupt;
use crate::config::{Place, Unlock};
use crate::exit::Ending;
use crate::identity::user_at_host;
use crate::log::{Format, Log};
use crate::message::{Level, Message};
use crate::output;
use crate::signals::Signal;
use crate::store::{self, LockName, Status, Store, StoreError, StoreErrorKind, Unlocked};
use watch::Watch;

/// How often the store is asked: soon enough for a person, seldom enough for a server.
const LOOK_EVERY: Duration = Duration::from_millis(250);

enum Event {
    /// How the lock stands, and when it was asked.
    Looked(Tick, Result<Box<Status>, StoreError>),
    /// Ctrl-C and its like.
    Interrupted,
}

/// What happens meanwhile: how the lock stands, and Ctrl-C.
pub(super) struct Events {
    sender: Sender<Event>,
    receiver: Receiver<Event>,
}

impl Events {
    /// From now on Ctrl-C does not end the process, but is an event.
    pub(super) fn new() -> Events {
        let (sender, receiver) = mpsc::channel();
        interrupt::report(sender.clone(), || Event::Interrupted);
        Events { sender, receiver }
    }
}

/// Waits, and says how each of them went. Interrupted, it says that the request stands.
///
/// # Errors
/// [`StoreError`] when the store does not answer any more and the leases have ended.
pub(super) fn wait(
    request: Request,
    events: Events,
    before: &Status,
    unlocked: &[Unlocked],
) -> Result<Ending> {
    let Unlock { name, place, .. } = request.settings;
    let mut watch = Watch::new(name.as_str(), before, unlocked, clock::now());
    let Events {
        sender,
        receiver: happened,
    } = events;
    let orders = look_again(request.store, name, place, sender)?;
    let log = Log::new(name.to_string(), Format::Text, Level::Notice);
    let mut told = false;
    while !watch.is_over() {
        match happened.recv() {
            Ok(Event::Looked(at, Ok(status))) => {
                output::lines(&watch.see(&status, at));
                told = false;
                if watch.is_forgotten(&status) {
                    // A thread that has died is noticed by its events.
                    let _ = orders.send(AskAgain);
                }
            }
            Ok(Event::Looked(at, Err(error))) => {
                let gone = watch.leases_ended(at) || error.kind != StoreErrorKind::Unavailable;
                if gone {
                    return Err(error.into());
                }
                if !told {
                    told = true;
                    let text = format!("{error}; the request to stop stands, trying again");
                    log.say(&Message::Failed(text));
                }
            }
            Ok(Event::Interrupted) => {
                output::lines(&watch.given_up());
                // Which signal it was is not known; this is the one of the keyboard.
                return Ok(Ending::Signal(Signal::INT));
            }
            Err(_) => break,
        }
    }
    drop(orders);
    Ok(code(unlocked).into())
}

/// Has the holders asked once more.
struct AskAgain;

/// Looks again and again, until the answer is dropped.
fn look_again(
    mut store: Box<dyn Store>,
    name: &LockName,
    place: &Place,
    events: Sender<Event>,
) -> Result<Sender<AskAgain>> {
    let (orders, order) = mpsc::channel();
    let (name, timeout) = (name.clone(), place.store_timeout);
    let work = move || {
        loop {
            let looked = match order.recv_timeout(LOOK_EVERY) {
                Err(RecvTimeoutError::Timeout) => Ok(()),
                Ok(AskAgain) => store
                    .unlock(&name, store::Unlock::Ask, &user_at_host(), timeout)
                    .map(drop),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let looked = looked.and_then(|()| store.inspect(&name, timeout).map(Box::new));
            if events.send(Event::Looked(clock::now(), looked)).is_err() {
                return;
            }
        }
    };
    let thread = thread::Builder::new().name("look".to_owned());
    thread.spawn(work).context("the system refuses a thread")?;
    Ok(orders)
}
