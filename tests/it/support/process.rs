//! What the kernel says about other processes, read from /proc.

use std::fs;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};

use super::wait_until;

/// Is there such a process, and is it more than a zombie?
pub(crate) fn alive(pid: i32) -> bool {
    state(pid).is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

/// Is it held by SIGSTOP or its like?
pub(crate) fn stopped(pid: i32) -> bool {
    state(pid) == Some('T')
}

/// Is it dead, but not waited for?
pub(crate) fn zombie(pid: i32) -> bool {
    state(pid) == Some('Z')
}

/// When it started, in clock ticks since boot: with the pid, a name that is never used twice.
pub(crate) fn start_time(pid: i32) -> Option<u64> {
    field(pid, 22)?.parse().ok()
}

/// The process that would be told of its death.
pub(crate) fn parent(pid: i32) -> Option<i32> {
    field(pid, 4)?.parse().ok()
}

/// Its process group.
pub(crate) fn group(pid: i32) -> Option<i32> {
    field(pid, 5)?.parse().ok()
}

/// Its session.
pub(crate) fn session(pid: i32) -> Option<i32> {
    field(pid, 6)?.parse().ok()
}

/// The living processes below `pid`, nearest first. Orphans that went to init are not among them.
pub(crate) fn descendants(pid: i32) -> Vec<i32> {
    let all: Vec<(i32, i32)> = pids()
        .into_iter()
        .filter(|&candidate| alive(candidate))
        .filter_map(|candidate| Some((candidate, parent(candidate)?)))
        .collect();
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(&above) = found.get(next) {
        found.extend(all.iter().filter(|(_, p)| *p == above).map(|(c, _)| *c));
        next += 1;
    }
    found.split_off(1)
}

/// The living processes whose environment, as they started, had `entry` (`HOME=/a/b`): orphans included.
pub(crate) fn with_environment(entry: &str) -> Vec<i32> {
    let has = |pid: &i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let mut entries = environment.split(|&byte| byte == 0);
        entries.any(|found| found == entry.as_bytes())
    };
    pids()
        .into_iter()
        .filter(|&pid| alive(pid))
        .filter(has)
        .collect()
}

/// Sends `signal`; a process that is gone already is not an error.
pub(crate) fn send(pid: i32, signal: Signal) {
    match kill(Pid::from_raw(pid), signal) {
        Ok(()) | Err(nix::errno::Errno::ESRCH) => {}
        Err(e) => panic!("cannot send {signal} to {pid}: {e}"),
    }
}

/// Waits until `pid` is dead, whether or not it has been waited for.
#[track_caller]
pub(crate) fn wait_for_end(pid: i32) {
    wait_until(|| !alive(pid));
}

/// Stops `pid` and returns once the kernel has stopped it.
#[track_caller]
pub(crate) fn freeze(pid: i32) {
    send(pid, Signal::SIGSTOP);
    wait_until(|| stopped(pid));
}

/// Lets a stopped process go on.
pub(crate) fn thaw(pid: i32) {
    send(pid, Signal::SIGCONT);
}

/// The words to put before a program so that it becomes PID 1 of a namespace of its own.
///
/// `unshare` stays outside as its parent, dies when it does and takes it along.
///
/// # Panics
/// If this machine does not allow it: a test that cannot run has not passed.
pub(crate) fn pid_one() -> Vec<String> {
    let mut words = vec!["unshare"];
    if !Uid::effective().is_root() {
        words.extend(["--user", "--map-root-user"]);
    }
    words.extend(["--pid", "--fork", "--kill-child", "--mount-proc", "--"]);
    let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
    let trial = Command::new(&words[0])
        .args(&words[1..])
        .arg("true")
        .output();
    match trial {
        Ok(output) if output.status.success() => words,
        Ok(output) => panic!(
            "no process may be PID 1 here: {}: {}",
            words.join(" "),
            String::from_utf8_lossy(&output.stderr).trim_end()
        ),
        Err(e) => panic!("cannot run unshare (package util-linux): {e}"),
    }
}

/// Every process id in /proc.
fn pids() -> Vec<i32> {
    let entries = fs::read_dir("/proc").unwrap();
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}

fn state(pid: i32) -> Option<char> {
    field(pid, 3)?.chars().next()
}

/// Field `number` of /proc/PID/stat, as proc(5) counts them, from 3 on.
fn field(pid: i32, number: usize) -> Option<String> {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
    // Field 2 is the program's name in parentheses, and may itself hold spaces and parentheses.
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split_ascii_whitespace()
        .nth(number - 3)
        .map(str::to_owned)
}
