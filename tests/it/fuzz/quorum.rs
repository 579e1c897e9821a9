//! A quorum with one hostile node among three.

use std::time::{Duration, Instant};

use tasklock::store::redis::TlsFiles;
use tasklock::store::{Acquire, Ask, Refresh, Release, Store};

use super::hostile::Hostile;
use super::reply::{garbage, replies};
use super::{fuzz, one_line};
use crate::support::redis::Server;
use crate::support::store::{FAILED, TIMEOUT, claim, target};

/// The honest nodes: they have served before.
fn honest() -> [Server; 2] {
    [Server::start(), Server::start()].map(|server| {
        let run = server.info("server")["run_id"].clone();
        server.command(&["SET", "{task_lock:}:node", &format!("{run} 0 0")]);
        server
    })
}

fn open(honest: &[Server; 2], hostile: &Hostile) -> Box<dyn Store> {
    let [one, other] = honest.each_ref().map(Server::url);
    let urls = format!("{one} redis://{} {other}", hostile.place());
    target(&urls, &TlsFiles::default()).open("task_lock:")
}

#[test]
fn a_hostile_node_cannot_fake_a_grant() {
    let honest = honest();
    fuzz("quorum", replies(), |replies| {
        let mine = claim("held", "root@h");
        for server in &honest {
            server.command(&["DEL", "{task_lock:held}:st"]);
            server.command(&["SET", "task_lock:held", "1", "PX", "60000"]);
        }
        let timeout = Duration::from_millis(200);
        let hostile = Hostile::start(replies);
        let start = Instant::now();
        let answer = open(&honest, &hostile).acquire(&mine, Ask::default(), timeout);
        if start.elapsed() > timeout * 2 + Duration::from_secs(5) {
            return Err(format!("it took {:?}", start.elapsed()));
        }
        match answer {
            Ok(Acquire::Granted(grant)) => Err(format!("{grant:?} of a lock that is held")),
            Ok(_) => Ok(()),
            Err(error) => one_line(&error.text),
        }
    });
}

#[test]
fn a_node_that_talks_nonsense_prevents_nothing() {
    let honest = honest();
    fuzz("quorum_nonsense", garbage(), |replies| {
        for server in &honest {
            server.command(&["DEL", "{task_lock:free}:st", "task_lock:free"]);
        }
        let hostile = Hostile::start(replies);
        let mut store = open(&honest, &hostile);
        let mine = claim("free", "root@h");
        let granted = patiently(|| match store.acquire(&mine, Ask::default(), TIMEOUT) {
            Ok(Acquire::Granted(grant)) => Ok(grant),
            other => Err(format!("not granted: {other:?}")),
        })?;
        patiently(|| match store.refresh(&mine, &granted, TIMEOUT) {
            Ok(Refresh::Held(_)) => Ok(()),
            other => Err(format!("not kept: {other:?}")),
        })?;
        patiently(|| match store.release(&mine, FAILED, TIMEOUT) {
            Ok(Release::Released) if granted.fence.0 < 1 << 53 => Ok(()),
            other => Err(format!("{granted:?} not released: {other:?}")),
        })
    });
}

/// What comes of asking a few times: on a busy machine an honest node may be late, too.
fn patiently<T>(mut ask: impl FnMut() -> Result<T, String>) -> Result<T, String> {
    for _ in 0..5 {
        if let Ok(answer) = ask() {
            return Ok(answer);
        }
    }
    ask()
}
