//! `acquire` that is interrupted: nothing is held whose token nobody knows.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::Signal;
use nix::unistd::pipe;

use super::{Site, TASKLOCK};
use crate::support::process;
use crate::support::proxy::Proxy;
use crate::support::redis::Server;
use crate::support::tasklock::Tasklock;
use crate::support::wait_until;

/// What stands in every request for the lock, and in no other.
const MARK: &str = "marked-by-the-test";

/// Far less than the lease that would end otherwise.
const AT_ONCE: Duration = Duration::from_secs(10);

#[test]
fn a_signal_ends_the_wait_and_the_place_in_line_with_it() {
    for site in Site::both() {
        site.acquire("--token the-holder");
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            let mut waiter = site.ask("acquire --ttl 5m --wait forever").start();
            waiter.wait_for_stderr("waiting for \"job\"");
            waiter.signal(signal);
            let ended = waiter.wait();
            ended.expect_signal(signal).expect_stdout("");
            let status = site.run("status");
            assert!(!status.stdout.contains("waiting"), "{status}");
        }
        site.run("release --token the-holder").expect_code(0);
        site.expect_free();
    }
}

#[test]
fn a_request_that_arrives_after_the_signal_does_not_become_a_holder() {
    let server = Server::start();
    let proxy = Proxy::start(server.address());
    proxy.hold_request(MARK);
    let run = Tasklock::new().args(["acquire", "job", "--ttl", "5m", "--wait", "1m"]);
    let run = run.args(["--store-timeout", "20s", "--reason", MARK]);
    let run = run.url(&proxy.url()).start();
    proxy.wait_for_hold();
    run.signal(Signal::SIGINT);
    let ended = run.wait();
    ended.expect_signal(Signal::SIGINT).expect_stdout("");
    let taken_back = || {
        server
            .text(&["HGET", "{task_lock:job}:st", "rel"])
            .is_some()
    };
    wait_until(taken_back);
    let monitor = server.monitor();
    proxy.let_go();
    wait_until(|| monitor.names().iter().any(|name| name == "EVAL"));
    assert_eq!(server.text(&["GET", "task_lock:job"]), None);
}

#[test]
fn who_waits_is_served_when_the_lock_is_given_back() {
    for site in Site::both() {
        site.acquire("--token the-holder");
        let waiter = "acquire --ttl 5m --wait 1m --token the-next-one";
        let mut waiter = site.ask(waiter).start();
        waiter.wait_for_stderr("waiting for \"job\"");
        let released = Instant::now();
        site.run("release --token the-holder").expect_code(0);
        waiter.wait().expect_code(0);
        assert!(released.elapsed() < AT_ONCE);
        site.run("check --token the-next-one").expect_code(0);
    }
}

/// A pipe that takes no more: its two ends.
fn full_pipe() -> (OwnedFd, OwnedFd) {
    let (reader, writer) = pipe().unwrap();
    let mut file = File::from(writer.try_clone().unwrap());
    fcntl(&file, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
    for size in [4096, 1] {
        while file.write(&vec![b'x'; size]).is_ok() {}
    }
    fcntl(&file, FcntlArg::F_SETFL(OFlag::empty())).unwrap();
    (reader, writer)
}

/// `acquire` that has the lock, and cannot print its token.
fn stuck(site: &Site, output: OwnedFd) -> Child {
    let child = Command::new(TASKLOCK)
        .args(["acquire", "job", "--ttl", "5m"])
        .args(["--token", "before-the-print"])
        .args(["--url", &site.url])
        .stdout(Stdio::from(output))
        .spawn()
        .unwrap();
    wait_until(|| site.run("status").code == Some(75));
    child
}

#[test]
fn killed_before_it_printed_the_token_it_leaves_a_hold_that_the_chosen_token_finds() {
    for site in Site::both() {
        let (_reader, writer) = full_pipe();
        let mut child = stuck(&site, writer);
        child.kill().unwrap();
        child.wait().unwrap();
        site.run("check --token before-the-print").expect_code(0);
        site.acquire("--token before-the-print");
        let release = site.run("release --token before-the-print");
        release.expect_code(0);
        site.expect_free();
    }
}

#[test]
fn a_signal_before_the_token_is_printed_gives_the_lock_back() {
    for site in Site::both() {
        let (_reader, writer) = full_pipe();
        let mut child = stuck(&site, writer);
        process::send(child.id() as i32, Signal::SIGTERM);
        let status = child.wait().unwrap();
        assert_eq!(status.signal(), Some(Signal::SIGTERM as i32));
        site.expect_free();
    }
}

#[test]
fn a_token_that_cannot_be_printed_is_given_back() {
    for site in Site::both() {
        let script = "
            tasklock acquire job --ttl 5m > /dev/full; [ $? = 71 ] || exit 1
            tasklock acquire job --ttl 5m --token of-no-use-now > /dev/full; [ $? = 71 ] || exit 2
            tasklock acquire job --ttl 5m >&-; [ $? = 64 ] || exit 3
            tasklock acquire job --ttl 5m > /dev/null; [ $? = 64 ] || exit 4
            tasklock status job";
        let run = site.script("sh", script);
        run.expect_code(0);
        run.expect_stderr("cannot print the token: no space left on device");
        run.expect_stderr("nobody would know the token (choose one with --token)");
    }
}

#[test]
fn a_reader_that_has_gone_gives_it_back() {
    for site in Site::both() {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let mut command = Command::new(TASKLOCK);
        command.args(["acquire", "job", "--ttl", "5m", "--url", &site.url]);
        command.stdout(Stdio::from(writer)).stderr(Stdio::piped());
        let output = command.spawn().unwrap().wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(71));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            said.contains("broken pipe; \"job\" is given back"),
            "{said}"
        );
        site.expect_free();
    }
}

#[test]
fn a_chosen_token_need_not_be_printed() {
    for site in Site::both() {
        let script = "
            tasklock acquire job --ttl 5m --token known-before > /dev/null || exit 1
            tasklock release job --token known-before";
        site.script("sh", script).expect_code(0).expect_silent();
    }
}
