//! A command that becomes another user, as under sudo: our signals do not reach it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

use super::Bench;
use crate::support::process::alive;
use crate::support::redis::Server;

const AS_NOBODY: [&str; 4] = [
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
];

/// A program with which everybody becomes root.
fn way_up(bench: &Bench) -> String {
    let up = bench.scratch.file("up");
    fs::copy("/usr/bin/setpriv", &up).expect("no setpriv: apt-get install util-linux");
    let open = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    open(&up, 0o4755);
    open(bench.scratch.path(), 0o777);
    up.display().to_string()
}

#[test]
fn what_cannot_be_killed_keeps_the_lock_and_is_reported() {
    let server = Server::start();
    let bench = Bench::on(server.url());
    let run = bench.tasklock().args([
        "--ttl",
        "1s",
        "--max-runtime",
        "1s",
        "--kill-after",
        "100ms",
    ]);
    let is_root = geteuid().is_root();
    let run = match is_root {
        true => run.under(AS_NOBODY).args([
            "--",
            &way_up(&bench),
            "--reuid=0",
            "--regid=0",
            "--clear-groups",
        ]),
        // Nobody can give a program away then; that nothing else is reported so is left to see.
        false => run.args(["--", "env"]),
    };
    let run = run.args(["sh", "-c", "trap '' TERM; echo $$ > pid; read _ < gate"]);
    let mut run = run.start();
    let pid = bench.child();
    if !is_root {
        let finished = run.wait();
        assert!(!finished.stderr.contains("survived"), "{finished}");
        return;
    }
    run.wait_for_stderr("survived KILL");
    // For two seconds by now, which is longer than a lease.
    let other = bench.tasklock().args(["--", "true"]).run();
    other.expect_code(75);
    assert!(alive(pid));
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    let finished = run.wait();
    finished.expect_code(124);
    finished.expect_stderr(&format!("pid {pid} of \"job\" survived KILL"));
    bench.expect_free();
}
