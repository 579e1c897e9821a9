//! Speaking to a store directly: claims, and the answers that a test expects.

use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tasklock::store::past::{self, PastOutcome};
use tasklock::store::redis::TlsFiles;
use tasklock::store::target::Target;
use tasklock::store::{
    Acquire, Ask, Claim, End, Grant, Held, Holder, Lasts, LockName, Once, Queued, Refresh, Release,
    Slot, Status, Store, Token, Unlock, Unlocked,
};

use super::PATIENCE;

/// How long a request may take that is to be answered.
pub(crate) const TIMEOUT: Duration = PATIENCE;

/// What [`claim`] asks for.
pub(crate) const TTL: Duration = Duration::from_secs(60);

/// Standing in line for a run that was asked for just now.
pub(crate) const IN_LINE: Ask = Ask {
    in_line: true,
    waited: Duration::ZERO,
};

/// A run that ended without success.
pub(crate) const FAILED: End = End::Ran {
    outcome: PastOutcome::Exit(1),
    waited: Duration::ZERO,
};

/// A run that was asked for so long ago, and succeeded.
pub(crate) const fn succeeded(waited: Duration) -> End {
    End::Ran {
        outcome: PastOutcome::Exit(0),
        waited,
    }
}

/// What stands before a name in Redis unless something else is chosen.
pub(crate) const PREFIX: &str = "task_lock:";

/// A store of its own on `url`.
#[track_caller]
pub(crate) fn open(url: &str) -> Box<dyn Store> {
    target(url, &TlsFiles::default()).open(PREFIX)
}

/// A store of its own on `url`, with the files that `--tls-ca` and its like name.
#[track_caller]
pub(crate) fn open_tls(url: &str, files: &TlsFiles) -> Box<dyn Store> {
    target(url, files).open(PREFIX)
}

/// What `url` names, or several of them with spaces between.
#[track_caller]
pub(crate) fn target(url: &str, files: &TlsFiles) -> Target {
    let urls: Vec<String> = url.split(' ').map(str::to_owned).collect();
    Target::parse(&urls, files).unwrap_or_else(|error| panic!("{url}: {error}"))
}

/// A lock's name.
#[track_caller]
pub(crate) fn name(text: &str) -> LockName {
    LockName::new(text).unwrap()
}

/// A claim of `who` on the lock `of`, with a token and a public name of its own.
#[track_caller]
pub(crate) fn claim(of: &str, who: &str) -> Claim {
    Claim {
        name: name(of),
        token: Token::fresh().unwrap(),
        ttl: TTL,
        holder: Holder {
            id: Token::fresh().unwrap().as_str()[..16].to_owned(),
            who: who.to_owned(),
            pid: 42,
            command: "./job.sh".to_owned(),
            reason: Some("nightly".to_owned()),
        },
        slots: 1,
        min_hold: Duration::ZERO,
        once: Once::default(),
        replicas: 0,
        history: past::HISTORY_DEFAULT,
        lasts: Lasts::Process,
    }
}

/// Takes the lock, which is free.
#[track_caller]
pub(crate) fn grant(store: &mut dyn Store, claim: &Claim) -> Grant {
    match store.acquire(claim, Ask::default(), TIMEOUT) {
        Ok(Acquire::Granted(grant)) => grant,
        other => panic!("{} was not granted: {other:?}", claim.name),
    }
}

/// Tries to take the lock, which is somebody else's.
#[track_caller]
pub(crate) fn held(store: &mut dyn Store, claim: &Claim) -> Held {
    match store.acquire(claim, Ask::default(), TIMEOUT) {
        Ok(Acquire::Held(held)) => held,
        other => panic!("{} was not held: {other:?}", claim.name),
    }
}

/// Stands in line for the lock, which is not to be had now.
#[track_caller]
pub(crate) fn queue(store: &mut dyn Store, claim: &Claim) -> Queued {
    match store.acquire(claim, IN_LINE, TIMEOUT) {
        Ok(Acquire::Queued(queued)) => queued,
        other => panic!("{} is not in line: {other:?}", claim.holder.who),
    }
}

/// What becomes of standing in line, as a run does it: asks, and asks again when the bell rings
/// or when it is time to.
#[track_caller]
pub(crate) fn wait_in_line(store: &mut dyn Store, claim: &Claim) -> Acquire {
    let start = Instant::now();
    loop {
        match store.acquire(claim, IN_LINE, TIMEOUT).unwrap() {
            Acquire::Queued(queued) if start.elapsed() < PATIENCE => {
                rings_within(store, queued.ask_in);
            }
            other => return other,
        }
    }
}

/// Waits in line until the lock is ours.
#[track_caller]
pub(crate) fn grant_in_line(store: &mut dyn Store, claim: &Claim) -> Grant {
    match wait_in_line(store, claim) {
        Acquire::Granted(grant) => grant,
        other => panic!("{} was not granted: {other:?}", claim.holder.who),
    }
}

/// Whether the bell rings before `limit` has passed.
pub(crate) fn rings_within(store: &dyn Store, limit: Duration) -> bool {
    let bell = store
        .bell()
        .expect("a store that is asked in line has a bell");
    let mut fds = [PollFd::new(bell, PollFlags::POLLIN)];
    // Rounded up: a time that is nearly over must not be asked for again and again.
    let limit = PollTimeout::try_from(limit.as_millis() + 1).unwrap();
    poll(&mut fds, limit).unwrap() > 0
}

/// Waits for the bell.
#[track_caller]
pub(crate) fn wait_for_bell(store: &dyn Store) {
    assert!(rings_within(store, PATIENCE), "the bell did not ring");
}

/// Refreshes, and is answered.
#[track_caller]
pub(crate) fn refresh(store: &mut dyn Store, claim: &Claim, grant: &Grant) -> Refresh {
    store.refresh(claim, grant, TIMEOUT).unwrap()
}

/// Refreshes a lock that is still ours.
#[track_caller]
pub(crate) fn keep(store: &mut dyn Store, claim: &Claim, grant: &Grant) -> Grant {
    match refresh(store, claim, grant) {
        Refresh::Held(grant) => grant,
        other => panic!("{} was not kept: {other:?}", claim.name),
    }
}

/// Releases, and is answered.
#[track_caller]
pub(crate) fn release(store: &mut dyn Store, claim: &Claim) -> Release {
    store.release(claim, FAILED, TIMEOUT).unwrap()
}

/// Releases a lock that is ours, with what became of the run.
#[track_caller]
pub(crate) fn end(store: &mut dyn Store, claim: &Claim, end: End) {
    let answer = store.release(claim, end, TIMEOUT).unwrap();
    assert_eq!(answer, Release::Released, "{}", claim.holder.who);
}

/// Looks at a lock, and is answered.
#[track_caller]
pub(crate) fn status(store: &mut dyn Store, of: &str) -> Status {
    store.inspect(&name(of), TIMEOUT).unwrap()
}

/// Looks at a lock of one place, and is answered.
#[track_caller]
pub(crate) fn inspect(store: &mut dyn Store, of: &str) -> Slot {
    let mut slots = status(store, of).slots;
    assert_eq!(slots.len(), 1);
    slots.remove(0)
}

/// The administrator `root@adm` frees a lock of one place. None: nobody held it.
#[track_caller]
pub(crate) fn unlock(store: &mut dyn Store, of: &str, how: Unlock) -> Option<Unlocked> {
    let unlocked = store.unlock(&name(of), how, "root@adm", TIMEOUT).unwrap();
    assert!(unlocked.len() <= 1, "{unlocked:?}");
    unlocked.into_iter().next()
}

/// A server that does `serve` with each connection, until the test is over; its URL.
pub(crate) fn fake(serve: impl Fn(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            serve(stream.unwrap());
        }
    });
    url
}

/// Answers whatever is asked with `bytes`, and closes.
pub(crate) fn answer(mut stream: TcpStream, bytes: &[u8]) {
    use std::io::{Read, Write};
    // The client may have gone before it has read everything.
    let _ = stream.read(&mut [0; 65536]);
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
}
