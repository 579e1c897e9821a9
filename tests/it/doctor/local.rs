//! Lock files, and how findings look at a terminal.

use super::{Report, doctor};
use crate::support::scratch::Scratch;
use crate::support::tasklock::Tasklock;

#[test]
fn a_directory_of_this_host_is_healthy_and_stays_as_it_is() {
    let locks = Scratch::new();
    let report = Report::of(doctor(&format!("local:{}", locks.path().display())));
    report.expect_code(0).expect_only(&[]);
    report.expect(
        "directory",
        "ok",
        &format!("{}, owner ", locks.path().display()),
    );
    report
        .expect("filesystem", "ok", "")
        .expect("inotify", "ok", "at once");
    assert_eq!(std::fs::read_dir(locks.path()).unwrap().count(), 0);
}

#[test]
fn a_file_system_in_memory_is_known() {
    let report = Report::of(doctor("local:/dev/shm"));
    report.expect_code(0).expect("filesystem", "ok", "tmpfs");
}

#[test]
fn a_directory_that_does_not_exist_is_a_wrong_set_up() {
    let missing = Scratch::new().file("missing");
    let report = Report::of(doctor(&format!("local:{}", missing.display())));
    report
        .expect_code(78)
        .expect("reach", "error", "does not exist");
    report.expect("directory", "error", "o such file");
}

#[test]
fn without_a_url_it_says_for_whom_locks_hold() {
    let report = Report::of(Tasklock::new().args(["doctor", "--json"]));
    report
        .expect_code(1)
        .expect("store", "warning", "this user on this host only");
    let chosen = Report::of(doctor("local:"));
    chosen.expect_code(0);
}

#[test]
fn colours_are_for_terminals_whose_owner_wants_them() {
    let run = || Tasklock::new().arg("doctor");
    let mut coloured = run().on_terminal();
    coloured.wait_for("\x1b[33mwarning  \x1b[0mstore");
    let mut plain = run().env("NO_COLOR", "1").on_terminal();
    let text = plain.wait_for("warning  store");
    assert!(!text.contains('\x1b'), "{text}");
}
