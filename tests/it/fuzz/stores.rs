//! Stores, asked in this process: many cases in little time.

use std::time::{Duration, Instant};

use tasklock::exit::Skip;
use tasklock::message::Message;
use tasklock::store::redis::TlsFiles;
use tasklock::store::{Acquire, Ask, Fence, Grant, Loss, Refresh, StoreError, Unlock};

use super::hostile::{Hostile, Reply};
use super::reply::replies;
use super::{SECRET, fit_to_read, fuzz, one_line};
use crate::support::store::{FAILED, IN_LINE, claim, name, target};
use crate::support::tls::Certificates;

/// The bound of a request.
const TIMEOUT: Duration = Duration::from_millis(40);
/// What a busy machine adds to it.
const LATE: Duration = Duration::from_secs(5);

/// Asks for all there is to ask for on the store of `url`.
fn ask_all(hostile: &Hostile, url: &str, tls: &TlsFiles) -> Result<(), String> {
    let target = target(&url.replace("HERE", &hostile.place()), tls);
    let mine = claim("a", "root@h");
    let last = Grant {
        fence: Fence(7),
        end_ms: 8,
        slot: 0,
    };
    let check = Check {
        has_secret: url.contains(SECRET),
    };
    for ask in [Ask::default(), IN_LINE] {
        let mut store = target.open("task_lock:");
        match check.timed(|| store.acquire(&mine, ask, TIMEOUT))? {
            Some(Acquire::Granted(grant)) if !hostile.granted() => {
                return Err(format!("{grant:?} out of what is none"));
            }
            Some(answer) => check.told(answer)?,
            None => {}
        }
        if let Some(Refresh::Lost(Loss::TakenOver(held))) =
            check.timed(|| store.refresh(&mine, &last, TIMEOUT))?
        {
            check.told(Acquire::Held(held))?;
        }
        check.timed(|| store.release(&mine, FAILED, TIMEOUT))?;
        check.timed(|| store.inspect(&name("a"), TIMEOUT))?;
        check.timed(|| store.unlock(&name("a"), Unlock::Force, "root@h", TIMEOUT))?;
    }
    Ok(())
}

/// What is looked at in answers.
struct Check {
    /// The URL has a password, which the server may repeat.
    has_secret: bool,
}

impl Check {
    /// The answer, if it came in time; an error that did, if it is fit to read.
    fn timed<T>(&self, ask: impl FnOnce() -> Result<T, StoreError>) -> Result<Option<T>, String> {
        let start = Instant::now();
        let answer = ask();
        if start.elapsed() > TIMEOUT + LATE {
            return Err(format!("it took {:?}", start.elapsed()));
        }
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if error.text.len() > 2000 => Err(format!("too long: {error}")),
            Err(error) => self.read(&error.text).map(|()| None),
        }
    }

    /// What people are told of an answer.
    fn told(&self, answer: Acquire) -> Result<(), String> {
        let (left, places) = (None, 2);
        let skipped = |skip| Message::Skipped { skip, places };
        let message = match answer {
            Acquire::Held(held) => skipped(Skip::Held(held)),
            Acquire::Queued(queued) => Message::Waiting {
                queued,
                left,
                places,
            },
            Acquire::Reserved { first } => skipped(Skip::Reserved(first)),
            Acquire::CoolingDown { remaining } => skipped(Skip::CoolingDown(remaining)),
            Acquire::Done(done) => skipped(Skip::AlreadyDone(done)),
            Acquire::Granted(_) | Acquire::Withdrawn => return Ok(()),
        };
        // As data it needs no words, but must not panic either.
        drop(message.fields());
        self.read(&message.text("a"))
    }

    fn read(&self, text: &str) -> Result<(), String> {
        match self.has_secret {
            true => fit_to_read(text),
            false => one_line(text),
        }
    }
}

fn fuzz_store(kind: &str, url: &str, tls: &TlsFiles) {
    fuzz(kind, replies(), |replies: &Vec<Reply>| {
        ask_all(&Hostile::start(replies), url, tls)
    });
}

#[test]
fn a_hostile_server_gives_an_error_in_time() {
    fuzz_store("server", "redis://u:S3cr3t@HERE/1", &TlsFiles::default());
    fuzz_store("server_without_login", "redis://HERE", &TlsFiles::default());
}

#[test]
fn hostile_sentinels_give_an_error_in_time() {
    let url = "redis+sentinel://u:S3cr3t@HERE/m?sentinel_password=S3cr3t";
    fuzz_store("sentinel_with_login", url, &TlsFiles::default());
    fuzz_store("sentinel", "redis+sentinel://HERE/m", &TlsFiles::default());
}

#[test]
fn a_hostile_cluster_gives_an_error_in_time() {
    fuzz_store("cluster", "redis+cluster://HERE", &TlsFiles::default());
}

#[test]
fn garbage_instead_of_tls_gives_an_error_in_time() {
    let certificates = Certificates::new();
    let tls = TlsFiles {
        ca: Some(certificates.ca()),
        ..TlsFiles::default()
    };
    fuzz_store("tls", "rediss://HERE", &tls);
}
