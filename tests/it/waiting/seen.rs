//! What a person sees of a wait, and what a log gets.

use super::{Place, on_every_store, start_waiting};
use crate::support::pty::Terminal;

on_every_store! {
    a_log_gets_one_line_when_the_wait_begins
    a_quiet_wait_is_silent
    a_wait_is_an_event_in_json
    a_terminal_shows_one_line_that_stays_up_to_date_and_goes_away
    a_quiet_wait_shows_nothing_at_a_terminal
    a_terminal_that_cannot_take_a_line_away_gets_it_once
}

fn a_log_gets_one_line_when_the_wait_begins(place: &Place) {
    let holder = place.hold();
    let waiter = start_waiting(place.patient(), "echo ran");
    holder.finish();
    let finished = waiter.wait();
    finished.expect_code(0).expect_stdout("ran\n");
    let lines: Vec<_> = finished.stderr.lines().collect();
    assert_eq!(lines.len(), 1, "{finished}");
    let start = "tasklock: waiting for \"job\" ";
    assert!(lines[0].starts_with(start), "{finished}");
    // As long as it was asked to, less what it took to say so.
    let limit = lines[0].contains("for at most 9m59s") || lines[0].contains("for at most 10m");
    assert!(limit, "{finished}");
    assert!(lines[0].contains("held by root@web3 pid "), "{finished}");
}

fn a_quiet_wait_is_silent(place: &Place) {
    let holder = place.hold();
    let waiter = place.patient().arg("-q").sh("echo ran").start();
    let witness = start_waiting(place.patient(), "true");
    holder.finish();
    waiter.wait().expect_stdout("ran\n").expect_silent();
    witness.wait().expect_code(0);
}

fn a_wait_is_an_event_in_json(place: &Place) {
    let holder = place.hold();
    let json = place.patient().args(["--log-format", "json"]);
    let mut waiter = json.sh("true").start();
    waiter.wait_for_stderr("\"waiting\"");
    holder.finish();
    let finished = waiter.wait();
    let event: serde_json::Value = serde_json::from_str(&finished.stderr).unwrap();
    assert_eq!(event["event"], "waiting");
    assert_eq!(event["name"], "job");
    assert_eq!(event["holder"]["who"], "root@web3");
    let left = event["left_ms"].as_u64().unwrap();
    assert!((1..=600_000).contains(&left), "{event}");
}

/// What takes a line away again: back to its start, and erased.
const ERASED: &str = "\r\x1b[2K";

/// The part of the screen after the line was taken away for the last time.
fn after_the_line(terminal: &Terminal) -> String {
    let screen = terminal.screen();
    let at = screen.rfind(ERASED).unwrap_or_else(|| panic!("{screen:?}"));
    screen[at + ERASED.len()..].to_owned()
}

fn a_terminal_shows_one_line_that_stays_up_to_date_and_goes_away(place: &Place) {
    let holder = place.hold();
    let run = place.patient().env("TERM", "xterm").sh("echo it runs");
    let mut terminal = run.on_terminal();
    terminal.wait_for("waiting for \"job\": ");
    for _ in 0..2 {
        let shown = terminal.wait_for(" by root@web3 pid ");
        assert!(shown.contains(" left; held "), "{shown:?}");
        assert!(!shown.contains('\n'), "{shown:?}");
        terminal.wait_for(ERASED);
    }
    holder.finish();
    terminal.wait_for("it runs");
    assert_eq!(terminal.wait().code(), Some(0));
    assert_eq!(after_the_line(&terminal), "it runs\r\n");
    assert!(!terminal.screen().replace("it runs\r\n", "").contains('\n'));
}

fn a_quiet_wait_shows_nothing_at_a_terminal(place: &Place) {
    let holder = place.hold();
    let run = place.patient().env("TERM", "xterm").arg("-q");
    let mut terminal = run.sh("echo it runs").on_terminal();
    let witness = start_waiting(place.patient(), "true");
    holder.finish();
    assert_eq!(terminal.wait().code(), Some(0));
    terminal.wait_for("it runs");
    assert_eq!(terminal.screen(), "it runs\r\n");
    witness.wait().expect_code(0);
}

fn a_terminal_that_cannot_take_a_line_away_gets_it_once(place: &Place) {
    let holder = place.hold();
    let run = place.patient().env("TERM", "dumb").sh("echo it runs");
    let mut terminal = run.on_terminal();
    terminal.wait_for("waiting for \"job\" for at most ");
    holder.finish();
    assert_eq!(terminal.wait().code(), Some(0));
    terminal.wait_for("it runs");
    let screen = terminal.screen();
    assert_eq!(screen.lines().count(), 2, "{screen:?}");
    assert!(!screen.contains('\x1b'), "{screen:?}");
}
