//! The figure that the guarantee is about: when the server is gone for good, the whole tree of
//! the job is dead before anybody else can be granted the lock.

use std::fs::File;
use std::io::Read;
use std::thread;
use std::time::Duration;

use tasklock::clock::{self, Tick};

use super::REFRESH;
use crate::support::proxy::{Mode, Proxy};
use crate::support::redis::Server;
use crate::support::scratch::Scratch;
use crate::support::tasklock::Tasklock;
use crate::support::wait_until;

/// How the server goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gone {
    Frozen,
    BlackHole,
    /// It goes on refreshing the lock, and we never hear of it.
    Mute,
}

/// A command that ignores TERM, with a child, a grandchild in a session of its own, and one that
/// goes on forking. Each of them has descriptor 9 open until it is dead: `alive` reads its end
/// only when none is left, by the kernel's account.
const TREE: &str = r#"
trap '' TERM INT HUP
exec 9> "$0"
sh -c 'sleep 1000; :' &
setsid sh -c 'sleep 1000 & sleep 1000; :' &
setsid sh -c 'setsid sh -c "while :; do sleep 0.02; done" & wait' &
while :; do sleep 1000; done
"#;

/// Runs one job into the end of its server, and says how long before the end of the lease its
/// last process was dead, in nanoseconds: negative if it came too late.
fn margin(ttl: Duration, gone: Gone, number: usize) -> Duration {
    let server = Server::start();
    let proxy = Proxy::start(server.address());
    let scratch = Scratch::new();
    drop(scratch.gate("alive"));
    let alive = scratch.file("alive");
    let running = Tasklock::named("job", &proxy.url())
        .args(["--ttl", &format!("{}ms", ttl.as_millis())])
        .args(["--", "/bin/sh", "-c", TREE])
        .arg(&alive)
        .start();
    // Opens as soon as the command has opened its end.
    let mut witness = File::open(&alive).unwrap();
    // The sh, three below it, and what these have started: nine with tasklock itself.
    wait_until(|| running.processes().len() >= 9);
    let refreshes = || {
        let requests = proxy.requests();
        requests
            .iter()
            .filter(|words| words[1].contains(REFRESH))
            .count()
    };
    let wanted = 1 + number % 3;
    wait_until(|| refreshes() >= wanted);
    // Runs of one batch meet the end in different moments between two refreshes.
    thread::sleep(ttl / 60 * u32::try_from(number % 10).unwrap());
    match gone {
        Gone::Frozen => server.freeze(),
        Gone::BlackHole => proxy.set(Mode::BlackHole),
        Gone::Mute => proxy.set(Mode::SwallowReplies),
    }
    assert_eq!(witness.read(&mut [0]).unwrap(), 0);
    let dead = clock::now();
    let confirmed: Tick = proxy.last_confirmed().unwrap();
    let finished = running.wait();
    finished
        .expect_code(79)
        .expect_stderr("lost \"job\" after ");
    assert_eq!(finished.survivors(), [0; 0], "{finished}");
    let end = confirmed + ttl;
    assert!(
        dead < end,
        "{gone:?}: {:?} too late: {finished}",
        dead.since(end)
    );
    end.since(dead)
}

/// The smallest margin of `count` runs at the same time.
fn smallest(ttl: Duration, count: usize) -> Duration {
    let gone = [Gone::Frozen, Gone::BlackHole, Gone::Frozen, Gone::Mute];
    thread::scope(|scope| {
        let start = |number| scope.spawn(move || margin(ttl, gone[number % 4], number));
        let runs: Vec<_> = (0..count).map(start).collect();
        let margins = runs.into_iter().map(|run| run.join().unwrap());
        margins.min().unwrap()
    })
}

#[test]
fn twenty_trees_are_dead_before_their_lease_can_end() {
    let ttl = Duration::from_secs(5);
    let margin = (0..2).map(|_| smallest(ttl, 10)).min().unwrap();
    println!("ttl 5s: the last process was dead {margin:?} before the end, at the least of 20");
}

#[test]
fn with_the_shortest_ttl_too() {
    let ttl = Duration::from_secs(1);
    let margin = smallest(ttl, 4);
    println!("ttl 1s: the last process was dead {margin:?} before the end, at the least of 4");
}
