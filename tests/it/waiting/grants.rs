//! How a wait ends with the lock.

use nix::sys::signal::Signal;

use super::{Holder, Place, on_every_store, start_waiting, tasklock};
use crate::support::proxy::{Loss, Proxy};
use crate::support::redis::Server;
use crate::support::scratch::Scratch;

/// A word that stands in this script only.
const ACQUIRE: &str = "'granted'";

on_every_store! {
    first_come_first_served
    the_report_tells_how_long_it_waited
    a_killed_holder_is_followed_by_the_waiter
    a_killed_waiter_is_passed_over
    each_of_several_places_is_given_once
    a_single_try_beside_waiters_is_skipped
    a_command_that_cannot_be_started_leaves_neither_cooldown_nor_attempt
    a_delayed_start_runs
}

fn first_come_first_served(place: &Place) {
    let scratch = Scratch::new();
    let holder = place.hold();
    let note = |number: u32| format!("echo {number} >> {}/order", scratch.path().display());
    let waiters: Vec<_> = (0..6)
        .map(|number| start_waiting(place.patient(), &note(number)))
        .collect();
    holder.finish();
    for waiter in waiters {
        waiter.wait().expect_code(0);
    }
    assert_eq!(scratch.read("order"), "0\n1\n2\n3\n4\n5\n");
}

fn the_report_tells_how_long_it_waited(place: &Place) {
    let scratch = Scratch::new();
    let report = scratch.file("report");
    let holder = place.hold();
    let begun = std::time::Instant::now();
    let run = place.patient().arg("--report").arg(&report);
    let waiter = start_waiting(run, "exit 3");
    let waited = begun.elapsed();
    holder.finish();
    waiter.wait().expect_code(3);
    let report: serde_json::Value = serde_json::from_str(&scratch.read("report")).unwrap();
    assert_eq!(report["outcome"], "ran");
    // It cannot be longer than from before its start to after its end.
    let told = u128::from(report["waited_ms"].as_u64().unwrap());
    assert!(told <= begun.elapsed().as_millis(), "{report}");
    assert!(told > 0 || waited.as_millis() < 2, "{report}");
}

fn a_killed_holder_is_followed_by_the_waiter(place: &Place) {
    let holder = Holder::start(place.tasklock().args(["--ttl", "2s"]));
    let waiter = start_waiting(place.patient(), "echo ran");
    holder.running.signal(Signal::SIGKILL);
    waiter.wait().expect_code(0).expect_stdout("ran\n");
}

fn a_killed_waiter_is_passed_over(place: &Place) {
    let holder = place.hold();
    let killed = start_waiting(place.patient(), "echo ran");
    let next = start_waiting(place.patient(), "echo ran");
    killed.signal(Signal::SIGKILL);
    killed
        .wait()
        .expect_signal(Signal::SIGKILL)
        .expect_stdout("");
    holder.finish();
    next.wait().expect_code(0).expect_stdout("ran\n");
    place.expect_free();
}

fn each_of_several_places_is_given_once(place: &Place) {
    let slotted = || place.patient().args(["--slots", "3"]);
    let holders: Vec<_> = (0..3).map(|_| Holder::start(slotted())).collect();
    let slots: Vec<_> = holders.iter().map(|it| it.slot.as_str()).collect();
    assert_eq!(slots, ["0", "1", "2"]);
    let waiters: Vec<_> = (0..2)
        .map(|_| start_waiting(slotted(), "echo $TASKLOCK_SLOT"))
        .collect();
    // The place that becomes free is the one that is given.
    let mut holders = holders.into_iter();
    let (first, second) = (holders.next().unwrap(), holders.next().unwrap());
    second.finish();
    for waiter in waiters {
        waiter.wait().expect_code(0).expect_stdout("1\n");
    }
    first.finish();
    holders.for_each(|holder| drop(holder.finish()));
    let alone = place.tasklock().sh("echo ${TASKLOCK_SLOT-none}").run();
    alone.expect_stdout("none\n");
}

fn a_single_try_beside_waiters_is_skipped(place: &Place) {
    let holder = place.hold();
    let waiter = start_waiting(place.patient(), "echo ran");
    let refused = place.tasklock().sh("echo ran").run();
    refused.expect_code(75).expect_stdout("");
    holder.finish();
    waiter.wait().expect_stdout("ran\n");
}

fn a_command_that_cannot_be_started_leaves_neither_cooldown_nor_attempt(place: &Place) {
    let once = [
        "--once-per",
        "1h",
        "--once-attempts",
        "1",
        "--min-hold",
        "1h",
    ];
    let missing = place.tasklock().args(once).args(["--", "/nonexistent/job"]);
    missing.run().expect_code(127);
    let run = place.tasklock().args(once).sh("echo ran").run();
    run.expect_code(0).expect_stdout("ran\n");
    let again = place.tasklock().args(once).sh("echo ran").run();
    again.expect_code(75).expect_stdout("");
}

fn a_delayed_start_runs(place: &Place) {
    let run = place.tasklock().args(["--jitter", "50ms"]);
    run.sh("echo ran")
        .run()
        .expect_silent()
        .expect_stdout("ran\n");
}

#[test]
fn a_grant_whose_answer_is_lost_is_asked_for_again() {
    let server = Server::start();
    let proxy = Proxy::start(server.address());
    let holder = Holder::start(tasklock(&server.url()));
    let run = tasklock(&proxy.url()).args(["--wait", "10m"]);
    let waiter = start_waiting(run, "echo ran");
    proxy.lose_reply_to(ACQUIRE, Loss::Cut);
    holder.finish();
    proxy.wait_for_loss();
    waiter.wait().expect_code(0).expect_stdout("ran\n");
}
