//! A tasklock, or a machine, that slept.

use std::env;
use std::fs;
use std::process::Command;
use std::time::Duration;

use tasklock::clock;

use super::Bench;
use crate::support::process::{freeze, thaw};
use crate::support::redis::Server;
use crate::support::{wait_for_some, wait_until};

/// CLOCK_BOOTTIME in the kernel's numbers.
const BOOTTIME: &str = "clockid: 7";

#[test]
fn the_deadline_is_watched_by_a_clock_that_counts_a_suspend() {
    let server = Server::start();
    let bench = Bench::on(server.url());
    let run = bench.tasklock().sh("echo $$ > pid; read _ < gate").start();
    bench.child();
    let timer = wait_for_some(|| {
        let fds = fs::read_dir(format!("/proc/{}/fd", run.pid())).unwrap();
        fds.flatten().find(|fd| {
            let target = fs::read_link(fd.path()).unwrap_or_default();
            target.as_os_str() == "anon_inode:[timerfd]"
        })
    });
    let number = timer.file_name();
    let path = format!("/proc/{}/fdinfo/{}", run.pid(), number.display());
    let info = fs::read_to_string(path).unwrap();
    assert!(info.contains(BOOTTIME), "{info}");
}

#[test]
fn our_clock_is_the_time_since_boot() {
    let before = clock::now().since_boot();
    let uptime = fs::read_to_string("/proc/uptime").unwrap();
    let after = clock::now().since_boot();
    let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
    let uptime = Duration::from_secs_f64(uptime);
    // /proc/uptime is cut to hundredths of a second.
    let hundredth = Duration::from_millis(10);
    assert!(
        before <= uptime + hundredth && uptime <= after,
        "{uptime:?} not in {before:?}..{after:?}"
    );
}

/// A suspend leaves CLOCK_BOOTTIME ahead of CLOCK_MONOTONIC, and so does a time namespace.
#[test]
fn our_clock_counts_a_suspend() {
    let mut same_test = Command::new("unshare");
    same_test.args(["--user", "--map-root-user", "--time", "--fork"]);
    same_test.args(["--boottime", "86400"]);
    same_test.arg(env::current_exe().unwrap());
    let name = "supervision::sleeper::our_clock_is_the_time_since_boot";
    let inside = same_test.args(["--exact", name]).output().unwrap();
    let told = String::from_utf8_lossy(&inside.stdout);
    assert!(
        inside.status.success() && told.contains("1 passed"),
        "{inside:?}"
    );
}

#[test]
fn a_run_that_slept_through_its_lease_kills_the_command_when_it_wakes() {
    for taken in [false, true] {
        let server = Server::start();
        let bench = Bench::on(server.url());
        let run = bench.tasklock().args(["--ttl", "1s", "-k", "100ms"]);
        let run = run.sh("trap '' TERM; echo $$ > pid; while :; do read _ < gate; done");
        let run = run.start();
        bench.child();
        freeze(run.pid());
        let key = ["GET", "task_lock:job"];
        wait_until(|| server.text(&key).is_none());
        if taken {
            let other = bench.tasklock().args(["--", "true"]).run();
            other.expect_code(0);
        }
        thaw(run.pid());
        let finished = run.wait();
        finished.expect_code(79).expect_stderr("lost \"job\"");
        assert_eq!(finished.survivors(), [0; 0], "{finished}");
    }
}
