//! Stores, asked in this process: many cases in little time.

use std::time::{Duration, Instant};

use tasklock::store::redis::TlsFiles;
use tasklock::store::{Acquire, Ask, End, Fence, Grant, StoreError, Unlock};

use super::hostile::{Hostile, Reply};
use super::reply::replies;
use super::{fit_to_read, fuzz};
use crate::support::store::{IN_LINE, claim, name, target};
use crate::support::tls::Certificates;

/// The bound of a request.
const TIMEOUT: Duration = Duration::from_millis(100);
/// What a busy machine adds to it.
const LATE: Duration = Duration::from_secs(5);

/// What the answers come to; `None` for what only its error tells.
type Answer<T> = Result<T, StoreError>;

/// Asks for all there is to ask for on the store of `url`.
fn ask_all(hostile: &Hostile, url: &str, tls: &TlsFiles) -> Result<(), String> {
    let url = url.replace("HERE", &hostile.place());
    let target = target(&url, tls);
    let mine = claim("a", "root@h");
    let last = Grant {
        fence: Fence(7),
        end_ms: 8,
        slot: 0,
    };
    for ask in [Ask::default(), IN_LINE] {
        let mut store = target.open("task_lock:");
        if let Acquire::Granted(grant) =
            timed(|| store.acquire(&mine, ask, TIMEOUT))?.unwrap_or(Acquire::Withdrawn)
        {
            if !hostile.granted() {
                return Err(format!("{grant:?} out of what is none"));
            }
        }
        timed(|| store.refresh(&mine, &last, TIMEOUT))?;
        timed(|| store.release(&mine, End::Failed, TIMEOUT))?;
        timed(|| store.inspect(&name("a"), TIMEOUT))?;
        timed(|| store.unlock(&name("a"), Unlock::Force, "root@h", TIMEOUT))?;
    }
    Ok(())
}

/// The answer, if it came in time and any error is fit to read.
fn timed<T>(ask: impl FnOnce() -> Answer<T>) -> Result<Option<T>, String> {
    let start = Instant::now();
    let answer = ask();
    if start.elapsed() > TIMEOUT + LATE {
        return Err(format!("it took {:?}", start.elapsed()));
    }
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.text.len() > 2000 => Err(format!("too long: {error}")),
        Err(error) => fit_to_read(&error.text).map(|()| None),
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
