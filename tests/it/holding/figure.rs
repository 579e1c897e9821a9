//! The figure that the guarantee is about: when the server is gone for good, the whole tree of
//! the job is dead before anybody else can be granted the lock.

use std::fs::File;
use std::io::Read;
use std::thread;
use std::time::Duration;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use tasklock::clock::{self, Tick};

use super::REFRESH;
use crate::support::proxy::{Mode, Proxy};
use crate::support::redis::Server;
use crate::support::running::Running;
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

/// What was seen of one run.
struct Seen {
    /// From the look that found all of its processes dead to the end of the lease.
    margin: Duration,
    /// From the end of the lease to the last look that found one alive: zero as it should be.
    late: Duration,
    story: String,
}

/// Runs one job into the end of its server.
fn run(ttl: Duration, gone: Gone, number: usize) -> Seen {
    let server = Server::start();
    let proxy = Proxy::start(server.address());
    let scratch = Scratch::new();
    drop(scratch.gate("alive"));
    let alive = scratch.file("alive");
    let mut running = Tasklock::named("job", &proxy.url())
        .args(["--ttl", &format!("{}ms", ttl.as_millis())])
        .args(["--", "/bin/sh", "-c", TREE])
        .arg(&alive)
        .start();
    // Opens as soon as the command has opened its end.
    let mut witness = File::open(&alive).unwrap();
    fcntl(&witness, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
    // The sh, three below it, and what these have started: nine with tasklock itself. On a busy
    // machine a lease of a second may be lost before: what has to be true then is the same.
    wait_until(|| running.processes().len() >= 9 || !running.is_running());
    let refreshes = || {
        let requests = proxy.requests();
        requests
            .iter()
            .filter(|words| words[1].contains(REFRESH))
            .count()
    };
    let wanted = 1 + number % 3;
    wait_until(|| refreshes() >= wanted || !running.is_running());
    // Runs of one batch meet the end in different moments between two refreshes.
    thread::sleep(ttl / 60 * u32::try_from(number % 10).unwrap());
    match gone {
        Gone::Frozen => server.freeze(),
        Gone::BlackHole => proxy.set(Mode::BlackHole),
        Gone::Mute => proxy.set(Mode::SwallowReplies),
    }
    let mut seen_alive = clock::now();
    wait_until(|| {
        let now = clock::now();
        let dead = matches!(witness.read(&mut [0]), Ok(0));
        seen_alive = if dead { seen_alive } else { now };
        dead
    });
    let dead = clock::now();
    let confirmed: Tick = proxy.last_confirmed().unwrap();
    let finished = running.wait();
    finished
        .expect_code(79)
        .expect_stderr("lost \"job\" after ");
    assert_eq!(finished.survivors(), [0; 0], "{finished}");
    let end = confirmed + ttl;
    Seen {
        margin: end.since(dead),
        // Looked at after that moment, something lived.
        late: seen_alive.since(end),
        story: format!("{gone:?}: {finished}"),
    }
}

/// The smallest margin of `count` runs at the same time.
///
/// The guarantee holds while tasklock and those who are to die get the CPU. Whether they did is
/// measured beside them: what the machine withheld is allowed for, and nothing else.
fn smallest(ttl: Duration, count: usize) -> Duration {
    let gone = [Gone::Frozen, Gone::BlackHole, Gone::Frozen, Gone::Mute];
    // As many as there are runs, each a session of its own, as a job is: the kernel may share
    // the CPU between sessions (sched_autogroup), and then it withholds it from one and not from another.
    let controls: Vec<Running> = (0..count)
        .map(|_| Tasklock::instead("/bin/sh").args(["-c", CONTROL]).start())
        .collect();
    let seen: Vec<Seen> = thread::scope(|scope| {
        let start = |number| scope.spawn(move || run(ttl, gone[number % 4], number));
        let runs: Vec<_> = (0..count).map(start).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    let withheld = controls.iter().map(longest_gap).max().unwrap();
    for Seen { late, story, .. } in &seen {
        assert!(
            *late <= withheld,
            "alive {late:?} after the end, {withheld:?} were withheld: {story}"
        );
        if *late > Duration::ZERO {
            println!("ttl {ttl:?}: {late:?} late on a machine that withheld {withheld:?}");
        }
    }
    seen.iter().map(|seen| seen.margin).min().unwrap()
}

/// Writes the time since boot again and again.
const CONTROL: &str = "while read now _ < /proc/uptime; do echo $now; sleep 0.05; done";

/// The longest pause between two lines of a control.
fn longest_gap(control: &Running) -> Duration {
    let text = control.stdout();
    let times: Vec<f64> = text.lines().filter_map(|line| line.parse().ok()).collect();
    let gaps = times.windows(2).map(|pair| pair[1] - pair[0]);
    Duration::from_secs_f64(gaps.fold(0.0, f64::max))
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
