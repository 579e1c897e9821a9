//! A directory of the test's own, and the two ways to meet a child process in it.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::wait_for_some;

/// A new directory with a short path (socket paths are limited to 108 bytes), removed on drop.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Makes the directory, readable by this user only.
    pub(crate) fn new() -> Scratch {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("tasklock-it-{}-{number}", std::process::id());
            let path = std::env::temp_dir().join(name);
            match fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Scratch(path),
                // Left by an earlier process with our pid.
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                Err(e) => panic!("cannot make {}: {e}", path.display()),
            }
        }
    }

    /// The directory itself.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The path of `name` in it, existing or not.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes `content` to `name` and returns the path.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.file(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// What `name` holds; empty if it does not exist.
    pub(crate) fn read(&self, name: &str) -> String {
        match fs::read(self.file(name)) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(e) if e.kind() == ErrorKind::NotFound => String::new(),
            Err(e) => panic!("cannot read {name}: {e}"),
        }
    }

    /// Waits until a child has written a whole line to `name`, and returns what stands there.
    #[track_caller]
    pub(crate) fn wait_for_line(&self, name: &str) -> String {
        let content = wait_for_some(|| Some(self.read(name)).filter(|text| text.ends_with('\n')));
        content.trim_end().to_owned()
    }

    /// Waits for a line that is a process id, as written by `echo $$ > name`.
    #[track_caller]
    pub(crate) fn wait_for_pid(&self, name: &str) -> i32 {
        self.wait_for_line(name).parse().unwrap()
    }

    /// A gate in which a child waits with `read _ < name`.
    pub(crate) fn gate(&self, name: &str) -> Gate {
        let path = self.file(name);
        mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        // Open for reading too: otherwise the open would wait for the child, and the child's for us.
        let fifo = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .unwrap();
        Gate { path, fifo }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A process that is still going down may write once more.
        for _ in 0..3 {
            if fs::remove_dir_all(&self.0).is_ok() {
                return;
            }
        }
    }
}

/// Holds children back until the test lets one through; on drop all of them see the end of the file.
#[derive(Debug)]
pub(crate) struct Gate {
    path: PathBuf,
    fifo: File,
}

impl Gate {
    /// Where the child reads.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Lets one child pass, the next one to come if none waits yet.
    pub(crate) fn open(&mut self) {
        self.fifo.write_all(b"\n").unwrap();
    }
}
