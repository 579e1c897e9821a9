//! A run that was killed, and the command that it left.

use std::process::{self, Child, Command};

use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::*;

/// What stands in the file of "backup" after a run was killed whose command is this process.
fn orphan(scratch: &Scratch) -> (Claim, Vec<Value>) {
    let (mut store, run) = (scratch.store(), claim("backup"));
    granted(&mut store, &run);
    store.track(&run).unwrap().tread();
    (run, lines(scratch))
}

fn lines(scratch: &Scratch) -> Vec<Value> {
    let text = fs::read_to_string(scratch.file("backup")).unwrap();
    let lines = text.lines().map(serde_json::from_str);
    lines.map(Result::unwrap).collect()
}

/// The same after `change` has been at it.
fn changed(change: impl FnOnce(&mut [Value])) -> Scratch {
    let scratch = Scratch::new();
    let (_, mut lines) = orphan(&scratch);
    assert_eq!(lines.len(), 2);
    change(&mut lines);
    let text = format!("{}\n{}\n", lines[0], lines[1]);
    fs::write(scratch.file("backup"), text).unwrap();
    scratch
}

/// The end of this process that nobody has been told of yet.
fn zombie() -> Child {
    let child = Command::new("true").spawn().unwrap();
    let pid = Pid::from_raw(child.id().cast_signed());
    waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).unwrap();
    child
}

#[test]
fn a_lock_is_held_for_the_command_that_outlives_its_run() {
    let scratch = Scratch::new();
    let (run, _) = orphan(&scratch);
    let (mut store, next) = (scratch.store(), claim("backup"));
    assert_eq!(refused(&mut store, &next).holder, Some(run.holder.clone()));
    assert_eq!(
        queued(&mut store, &next).held.unwrap().holder,
        Some(run.holder.clone())
    );
    let seen = status(&mut store, &next).held.unwrap();
    assert_eq!(seen.holder, Some(run.holder.clone()));
    let two = Claim {
        slots: 2,
        ..claim("backup")
    };
    assert_eq!(granted(&mut scratch.store(), &two).slot, 1);
    // An administrator may know better.
    assert!(unlock(&mut store, &next, Unlock::Force).is_some());
    granted_in_line(&mut store, &next);
}

#[test]
fn a_command_that_is_dead_or_is_not_known_keeps_nobody_out() {
    let mut zombie = zombie();
    let pid = zombie.id();
    let scratches = [
        changed(|lines| lines[1]["pid"] = json!(0)),
        changed(|lines| lines[1]["pid"] = json!(pid)),
        changed(|lines| lines[1]["pid_ns"] = json!(1)),
        // Its pid has been given to us later.
        changed(|lines| lines[1]["boot_ms"] = json!(0)),
        // Left by an earlier run, under the record of one that started no command.
        changed(|lines| lines[1]["fence"] = json!(lines[0]["fence"].as_u64().unwrap() - 1)),
        changed(|lines| lines[0]["since"]["boot_id"] = json!("another boot")),
        changed(|lines| lines[0]["holder"] = Value::Null),
        changed(|lines| lines[1] = json!("something else")),
    ];
    for scratch in scratches {
        let before = fs::read_to_string(scratch.file("backup")).unwrap();
        let answer = scratch
            .store()
            .acquire(&claim("backup"), Ask::default(), NO_TIMEOUT);
        assert!(matches!(answer, Ok(Acquire::Granted(_))), "{before}");
        assert_eq!(lines(&scratch).len(), 1, "{before}");
    }
    zombie.wait().unwrap();
}

#[test]
fn nothing_is_left_of_the_command_of_a_run_that_ended() {
    let scratch = Scratch::new();
    let (mut store, run) = (scratch.store(), claim("backup"));
    granted(&mut store, &run);
    assert_eq!(lines(&scratch).len(), 1);
    store.track(&run).unwrap().tread();
    assert_eq!(lines(&scratch)[1]["pid"], json!(process::id()));
    release(&mut store, &run);
    assert_eq!(lines(&scratch).len(), 1);
    assert!(store.track(&run).is_none(), "without a hold");
}

#[test]
fn a_refresh_puts_the_command_back_on_file() {
    let damages: [fn(&Path); 2] = [
        |file| fs::write(file, "").unwrap(),
        |file| fs::remove_file(file).unwrap(),
    ];
    for damage in damages {
        let scratch = Scratch::new();
        let (mut store, run) = (scratch.store(), claim("backup"));
        let grant = granted(&mut store, &run);
        store.track(&run).unwrap().tread();
        let before = lines(&scratch);
        damage(&scratch.file("backup"));
        refresh(&mut store, &run, &grant);
        assert_eq!(lines(&scratch), before);
        drop(store);
        refused(&mut scratch.store(), &claim("backup"));
    }
}
