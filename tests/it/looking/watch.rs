//! `tasklock list --watch`, at a real terminal.

use std::os::unix::process::ExitStatusExt;

use nix::sys::signal::Signal;

use super::{Site, TASKLOCK};
use crate::support::process;
use crate::support::pty::Terminal;
use crate::support::redis::Server;
use crate::support::tasklock::Tasklock;
use crate::support::wait_until;

const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// The last thing on the screen is that it was left as it was.
#[track_caller]
fn expect_left(terminal: &Terminal) {
    wait_until(|| terminal.screen().ends_with(LEAVE));
    let screen = terminal.screen();
    assert_eq!(
        screen.matches(ENTER).count(),
        screen.matches(LEAVE).count(),
        "{screen:?}"
    );
}

#[test]
fn the_view_follows_what_happens_until_it_is_interrupted() {
    Site::each(|site| {
        site.ran("job", 0);
        let mut view = site.at_terminal(&["list", "--watch=100ms"]);
        view.wait_for(ENTER);
        view.wait_for("free");
        let (_running, _gate) = site.hold(site.job("job").args(["--holder", "pod-7"]));
        view.wait_for("pod-7 pid ");
        view.type_keys("\x03");
        assert_eq!(view.wait().code(), Some(0));
        expect_left(&view);
    });
}

#[test]
fn a_signal_ends_the_view_in_order() {
    let site = Site::local();
    for signal in [
        Signal::SIGTERM,
        Signal::SIGHUP,
        Signal::SIGINT,
        Signal::SIGQUIT,
    ] {
        let mut view = site.at_terminal(&["list", "--watch"]);
        view.wait_for("0 locks in ");
        process::send(view.pid(), signal);
        let status = view.wait();
        assert_eq!(
            (status.code(), status.signal()),
            (Some(0), None),
            "{signal}"
        );
        expect_left(&view);
    }
}

#[test]
fn a_view_that_is_suspended_gives_the_terminal_back_and_takes_it_again() {
    let site = Site::local();
    let mut shell = Terminal::bash();
    shell.shell(&format!("export TASKLOCK_URL='{}' TERM=xterm", site.url));
    shell.type_line(&format!("'{TASKLOCK}' list --watch=100ms"));
    shell.wait_for(ENTER);
    shell.wait_for("0 locks in ");
    shell.type_keys("\x1a");
    let left = shell.wait_for_prompt();
    assert!(left.contains(LEAVE) && !left.contains(ENTER), "{left:?}");
    site.ran("job", 0);
    shell.type_line("fg");
    shell.wait_for(ENTER);
    shell.wait_for("1 lock in ");
    shell.type_keys("\x03");
    let left = shell.wait_for_prompt();
    assert!(left.ends_with(LEAVE), "{left:?}");
    assert_eq!(shell.shell("echo $?").trim(), "0");
}

#[test]
fn where_nobody_could_continue_it_the_view_is_not_suspended() {
    // The leader of a session has nobody who would.
    let site = Site::local();
    let mut view = site.at_terminal(&["list", "--watch=100ms"]);
    view.wait_for("0 locks in ");
    view.type_keys("\x1a");
    view.wait_for(LEAVE);
    view.wait_for(ENTER);
    view.wait_for("0 locks in ");
    view.type_keys("\x03");
    assert_eq!(view.wait().code(), Some(0));
}

#[test]
fn the_view_fits_the_window_also_when_it_changes() {
    let site = Site::local();
    for number in 0..6 {
        site.ran(&format!("job-{number}"), 0);
    }
    let mut view = site.at_terminal(&["list", "--watch=1h"]);
    view.wait_for("job-5");
    view.resize(5, 40);
    view.wait_for("and 4 more");
    let from = view.screen().len();
    view.resize(24, 80);
    view.wait_for("job-5");
    let drawn = &view.screen()[from..];
    assert!(!drawn.contains(" more"), "{drawn:?}");
    view.type_keys("\x03");
    view.wait();
}

#[test]
fn a_store_that_goes_away_is_told_and_the_view_goes_on() {
    let server = Server::start();
    let run = Tasklock::named("job", &server.url()).arg("true").run();
    run.expect_code(0);
    let words = ["list", "--watch=100ms", "--store-timeout", "1s"];
    let view = Tasklock::new().args(words).url(&server.url());
    let mut view = view.env("TERM", "xterm").on_terminal();
    view.wait_for("1 lock in ");
    server.kill();
    view.wait_for("; trying again");
    view.wait_for("job");
    server.restart();
    // Without its data there are none.
    view.wait_for("0 locks in ");
    view.type_keys("\x03");
    assert_eq!(view.wait().code(), Some(0));
}

#[test]
fn what_is_no_terminal_has_no_view() {
    let site = Site::local();
    let refused = site.ask(&["list", "--watch"]);
    refused.expect_code(64).expect_stdout("");
    refused.expect_stderr("tasklock: --watch: standard output is no terminal");
    let shown = site.shown("list --watch; echo $?", 80, "export TERM=dumb");
    assert!(
        shown.ends_with("\n64\n") && !shown.contains('\x1b'),
        "{shown:?}"
    );
    let short = site.ask(&["list", "--watch=1ms"]);
    short
        .expect_code(64)
        .expect_stderr("--watch: 1ms is too short: give at least 100ms");
}
