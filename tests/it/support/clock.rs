//! A clock of a server's own, which steps when it is told to.
//!
//! A library that is loaded before all others (`LD_PRELOAD`) answers for the kernel. It is made
//! on the spot, by the C compiler that linking needs anyway.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use super::scratch::Scratch;

const SOURCE: &str = include_str!("clock.c");

/// The clock of the servers that are started with it.
#[derive(Debug)]
pub(crate) struct SteppingClock {
    dir: Scratch,
    file: File,
    /// Of the machine's, in microseconds.
    ahead: AtomicI64,
}

impl SteppingClock {
    /// One that shows the machine's time.
    #[track_caller]
    pub(crate) fn start() -> SteppingClock {
        let dir = Scratch::new();
        let source = dir.write("clock.c", SOURCE);
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(dir.file("clock.so"))
            .arg(source)
            .output()
            .unwrap_or_else(|e| panic!("cannot run cc, which tests/run installs: {e}"));
        let said = String::from_utf8_lossy(&built.stderr);
        assert!(built.status.success(), "cc: {said}");
        let file = File::create(dir.file("ahead")).unwrap();
        let clock = SteppingClock {
            dir,
            file,
            ahead: AtomicI64::new(0),
        };
        clock.step(0);
        clock
    }

    /// What a server's environment needs.
    pub(crate) fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        vec![
            ("LD_PRELOAD", self.dir.file("clock.so")),
            ("CLOCK_AHEAD", self.dir.file("ahead")),
        ]
    }

    /// Sets it ahead.
    pub(crate) fn step_ahead(&self, by: Duration) {
        self.step(i64::try_from(by.as_micros()).unwrap());
    }

    /// Sets it back.
    pub(crate) fn step_back(&self, by: Duration) {
        self.step(-i64::try_from(by.as_micros()).unwrap());
    }

    fn step(&self, micros: i64) {
        let ahead = self.ahead.fetch_add(micros, Ordering::Relaxed) + micros;
        self.file.write_all_at(&ahead.to_ne_bytes(), 0).unwrap();
    }
}
