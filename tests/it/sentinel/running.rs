//! Runs of the program through fail-overs of every kind.

use std::time::Duration;

use super::{KEY, NAME, STATE};
use crate::holding::{DONE, Job, wait_for_refresh};
use crate::support::process;
use crate::support::redis::Server;
use crate::support::sentinel::Watched;
use crate::support::store;
use crate::support::tasklock::Tasklock;
use crate::support::{PATIENCE, wait_until};

/// How a master goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Killed,
    Frozen,
    Relieved,
}

impl End {
    /// Brings it about, and returns the new master when the Sentinels name it.
    #[track_caller]
    pub(super) fn befall<'a>(self, watched: &'a Watched, master: &Server) -> &'a Server {
        match self {
            End::Killed => master.kill(),
            End::Frozen => master.freeze(),
            End::Relieved => return watched.fail_over(),
        }
        watched.wait_for_successor_of(master)
    }

    /// Undoes it: the old master is a replica of the new one then.
    #[track_caller]
    pub(super) fn mend(self, watched: &Watched, master: &Server) {
        match self {
            End::Killed => watched.bring_back(master),
            End::Frozen => {
                master.thaw();
                watched.wait_until_whole();
            }
            End::Relieved => watched.wait_until_whole(),
        }
    }
}

/// `tasklock --name job` with a lease that rides out a fail-over of five seconds.
fn tasklock(watched: &Watched) -> Tasklock {
    Tasklock::named(NAME, &watched.url()).args(["--ttl", "30s"])
}

#[test]
fn a_job_outlives_its_master_however_that_ends() {
    let watched = Watched::start();
    for end in [End::Killed, End::Frozen, End::Relieved] {
        let job = Job::start(tasklock(&watched));
        wait_for_refresh(watched.master());
        let old = watched.master();
        let new = end.befall(&watched, old);
        // Nobody else gets in, and the lease goes on.
        tasklock(&watched).sh("echo ran").run().expect_code(75);
        wait_for_refresh(new);
        let finished = job.finish();
        finished.expect_code(DONE);
        assert_eq!(new.text(&["GET", KEY]), None, "{end:?}: {finished}");
        end.mend(&watched, old);
    }
}

#[test]
fn a_run_that_begins_while_there_is_no_master_waits_for_one() {
    let watched = Watched::start();
    let old = watched.master();
    old.kill();
    let finished = tasklock(&watched)
        .args(["--store-timeout", "8s", "--ttl", "60s"])
        .sh("echo ran")
        .run();
    finished
        .expect_code(0)
        .expect_stdout("ran\n")
        .expect_silent();
    // It heard of it from some of them; this is from all.
    let new = watched.wait_for_successor_of(old);
    assert_eq!(new.number(&["EXISTS", STATE]), 1);
}

#[test]
fn a_job_that_ends_while_there_is_no_master_keeps_its_code_and_says_so() {
    let watched = Watched::start();
    let job = Job::start(tasklock(&watched));
    for server in &watched.servers {
        server.kill();
    }
    let finished = job.finish();
    finished
        .expect_code(DONE)
        .expect_stderr("could not release \"job\"");
    assert!(finished.elapsed < Duration::from_secs(20), "{finished}");
}

#[test]
fn a_master_that_comes_back_empty_gets_the_lock_back_with_its_fence() {
    let watched = Watched::start();
    let master = watched.master();
    for empties in [true, false] {
        let mut job = Job::start(tasklock(&watched));
        if empties {
            master.command(&["FLUSHALL"]);
        } else {
            // Before the Sentinels take it for dead; its replicas copy the void.
            master.kill();
            master.restart();
        }
        wait_until(|| master.text(&["GET", KEY]).is_some());
        let fence = master.text(&["HGET", STATE, "f0"]).unwrap();
        assert_eq!(fence, job.fence.to_string());
        job.running.wait_for_stderr("had vanished");
        job.finish().expect_code(DONE);
    }
    assert_eq!(watched.master().address(), master.address());
}

#[test]
fn a_grant_that_no_replica_saw_is_lost_when_another_has_the_lock_by_then() {
    let watched = Watched::start();
    let old = watched.master();
    watched.cut_off_replicas_of(old);
    let mut job = Job::start(tasklock(&watched));
    // Else it takes the lock again before anybody else can.
    process::freeze(job.running.pid());
    old.kill();
    let new = watched.wait_for_successor_of(old);
    let thief = Job::start(tasklock(&watched));
    process::thaw(job.running.pid());
    assert!(thief.fence > job.fence);
    job.running.wait_for_stderr("lost \"job\" after");
    job.end().expect_code(79).expect_stderr("taken over by");
    thief.finish().expect_code(DONE);
    assert_eq!(new.text(&["GET", KEY]), None);
}

#[test]
fn a_grant_that_no_replica_saw_is_taken_again_or_lost_by_what_the_new_master_remembers() {
    let watched = Watched::start();
    for (has_history, code, word) in [(false, DONE, "had vanished"), (true, 79, "lost \"job\"")] {
        let old = watched.master();
        watched.cut_off_replicas_of(old);
        let mut job = Job::start(tasklock(&watched));
        old.kill();
        let new = watched.wait_for_successor_of(old);
        job.running.wait_for_stderr(word);
        if !has_history {
            assert_eq!(
                new.text(&["HGET", STATE, "f0"]),
                Some(job.fence.to_string())
            );
        }
        job.finish().expect_code(code);
        watched.bring_back(old);
    }
}

#[test]
fn a_waiter_gets_the_lock_from_the_new_master() {
    let watched = Watched::start();
    for end in [End::Killed, End::Relieved] {
        let old = watched.master();
        let job = Job::start(tasklock(&watched));
        let waiter = tasklock(&watched).args(["--wait", "60s"]);
        let waiter = waiter.sh("echo $TASKLOCK_FENCE").start();
        // What no replica has seen is forgotten with its master.
        wait_until(|| {
            let replicas = watched.replicas();
            replicas.iter().all(|replica| waiters(replica) == 1)
        });
        let new = end.befall(&watched, old);
        wait_until(|| waiters(new) == 1);
        let fence = job.fence;
        job.finish().expect_code(DONE);
        let finished = waiter.wait();
        finished.expect_code(0);
        let larger: u64 = finished.stdout.trim().parse().unwrap();
        assert!(larger > fence, "{finished}");
        end.mend(&watched, old);
    }
}

/// How many stand in line, by this server's account.
fn waiters(server: &Server) -> usize {
    let status = store::open(&server.url()).inspect(&store::name(NAME), PATIENCE);
    status
        .unwrap()
        .waiting
        .map_or(0, |count| usize::try_from(count).unwrap())
}
