//! A server that is killed and comes back, with what it had kept.

use std::fs;
use std::thread;
use std::time::Duration;

use super::fault::Fault;
use super::history::{Nanos, now};
use crate::support::redis::Server;
use crate::support::wait_until;

/// Written by SAVE, and read at a start where there is no AOF.
const SNAPSHOT: &str = "dump.rdb";

/// Every write is on the disk before it is answered.
const WITH_AOF: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

/// Kills it and has it back; in between, and from a copy to the KILL, `time` passes. Returns the
/// moment of the KILL.
pub(crate) fn restart(server: &Server, fault: Fault, time: Duration) -> Nanos {
    match fault {
        Fault::RestartRdb => {
            server.command(&["SAVE"]);
            thread::sleep(time);
        }
        Fault::RestartAof => {
            server.command(&["CONFIG", "SET", "appendfsync", "always"]);
            server.command(&["CONFIG", "SET", "appendonly", "yes"]);
            // It begins with a copy of everything, written by a child.
            wait_until(|| {
                let persistence = server.info("persistence");
                persistence["aof_rewrite_in_progress"] == "0"
                    && persistence["aof_rewrite_scheduled"] == "0"
            });
        }
        _ => {}
    }
    let from = now();
    server.kill();
    if fault == Fault::RestartEmpty {
        // There is none after a start from an AOF alone.
        let _ = fs::remove_file(server.directory().join(SNAPSHOT));
    }
    thread::sleep(time);
    match fault {
        Fault::RestartAof => {
            server.start_again(&WITH_AOF);
            server.command(&["CONFIG", "SET", "appendonly", "no"]);
        }
        _ => server.start_again(&[]),
    }
    from
}
