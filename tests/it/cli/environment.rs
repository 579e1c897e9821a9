//! What the command finds in its environment, and what a job inside a job does.

use super::{NOBODY, Site, TASKLOCK};
use crate::support::redis::Server;
use crate::support::tasklock::Tasklock;

const SHOW: &str = "echo \"$TASKLOCK_NAME/$TASKLOCK_HELD/${TASKLOCK_SLOT-none}\"; \
                    echo \"$TASKLOCK_FENCE\"; echo \"$TASKLOCK_TOKEN\"; echo \"$TASKLOCK_CHAIN\"";

/// A run in an environment that an outer run might have left.
fn inherited(run: Tasklock) -> Tasklock {
    ["NAME", "FENCE", "TOKEN", "SLOT", "HELD"]
        .into_iter()
        .fold(run, |run, name| {
            run.env(&format!("TASKLOCK_{name}"), "bogus")
        })
}

fn lines(stdout: &str) -> Vec<&str> {
    stdout.lines().collect()
}

#[test]
fn a_command_learns_its_name_fence_token_and_chain() {
    let site = Site::new();
    let server = Server::start();
    for url in [site.url(), server.url()] {
        let run = || inherited(Tasklock::named("job", &url)).sh(SHOW).run();
        let (first, second) = (run(), run());
        let (first, second) = (lines(&first.stdout), lines(&second.stdout));
        assert_eq!(first[0], "job/1/none");
        let fence = |line: &str| line.parse::<u64>().unwrap();
        assert!(fence(first[1]) < fence(second[1]), "{first:?} {second:?}");
        for hexadecimal in [(first[2], 32), (first[3], 16)] {
            assert_eq!(hexadecimal.0.len(), hexadecimal.1, "{first:?}");
            assert!(hexadecimal.0.chars().all(|c| c.is_ascii_hexdigit()));
        }
        assert_ne!(first[2], second[2]);
        assert_ne!(first[3], second[3]);
    }
}

#[test]
fn a_run_without_its_lock_has_no_proof_of_it() {
    let run = inherited(Tasklock::named("job", NOBODY)).args(["--store-timeout", "200ms"]);
    let finished = run.args(["--on-unavailable", "run"]).sh(SHOW).run();
    finished.expect_code(0).expect_stdout("job/0/none\n\n\n\n");
    finished.expect_stderr("cannot reach redis://127.0.0.1:1: connection refused");
    finished.expect_stderr("running without the lock, as --on-unavailable asks");
}

#[test]
fn a_job_cannot_wait_for_the_lock_that_it_runs_under() {
    let site = Site::new();
    let server = Server::start();
    for url in [site.url(), server.url()] {
        let job = format!("{TASKLOCK} --name job --url {url}");
        let other = format!("{TASKLOCK} --name other --url {url}");
        for script in [
            format!("{job} true"),
            format!("{job} --wait forever true"),
            format!("{other} {job} true"),
            format!("sh -c 'sh -c \"{other} sh -c \\\"{job} true\\\"\"'"),
        ] {
            let finished = Tasklock::named("job", &url).sh(&script).run();
            finished.expect_code(64);
            assert_eq!(finished.stderr.lines().count(), 1, "{finished}");
            finished.expect_stderr("\"job\" is already held by this job");
        }
        // The locks of others are as free as ever.
        let finished = Tasklock::named("job", &url)
            .sh(&format!("{other} echo fine"))
            .run();
        finished
            .expect_code(0)
            .expect_stdout("fine\n")
            .expect_silent();
    }
}

#[test]
fn a_sibling_of_the_holder_is_skipped() {
    let site = Site::new();
    let outer = Tasklock::named("outer", &site.url());
    let job = format!("{TASKLOCK} --name job --url {}", site.url());
    let work = site.work.path().display();
    site.work.gate("unused");
    let script = format!(
        "mkfifo {work}/held {work}/done; \
         {job} sh -c 'echo > {work}/held; read _ < {work}/done' & \
         read _ < {work}/held; {job} true; echo $?; echo > {work}/done; wait"
    );
    let finished = outer.sh(&script).run();
    finished.expect_code(0).expect_stdout("75\n");
    finished.expect_stderr("skipped: \"job\" is held by ");
}

#[test]
fn a_chain_that_is_no_chain_does_no_harm() {
    use std::os::unix::ffi::OsStringExt;
    let site = Site::new();
    for value in [vec![b'x', 0xff], b",,,".to_vec(), Vec::new()] {
        let value = std::ffi::OsString::from_vec(value);
        let run = site.job().env("TASKLOCK_CHAIN", value).arg("true").run();
        run.expect_code(0).expect_silent();
    }
}
