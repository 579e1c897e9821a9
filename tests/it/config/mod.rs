//! Configuration files: what counts, what is refused, and what `tasklock config` shows.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;
use serde_json::Value;

use crate::support::running::Finished;
use crate::support::scratch::Scratch;
use crate::support::tasklock::Tasklock;

mod finding;
mod precedence;
mod random;
mod refused;
mod showing;
mod trust;

/// A host with a home directory and an /etc of its own. What runs on `local:` shares the locks
/// of the machine, so each test has names of its own.
struct Host {
    home: Scratch,
    etc: Scratch,
}

impl Host {
    fn new() -> Host {
        let (home, etc) = (Scratch::new(), Scratch::new());
        fs::create_dir_all(home.file(".config/tasklock")).unwrap();
        fs::create_dir(etc.file("tasklock")).unwrap();
        fs::copy("/etc/passwd", etc.file("passwd")).unwrap();
        Host { home, etc }
    }

    /// One whose user has this file.
    fn with_user(text: &str) -> Host {
        let host = Host::new();
        host.user(text);
        host
    }

    fn user_file(&self) -> PathBuf {
        self.home.file(".config/tasklock/config.toml")
    }

    fn user(&self, text: impl AsRef<[u8]>) -> PathBuf {
        write(&self.user_file(), text)
    }

    fn system(&self, text: &str) -> PathBuf {
        write(&self.etc.file("tasklock/config.toml"), text)
    }

    /// A program with this home, and the /etc of the machine.
    fn at_home(&self) -> Tasklock {
        Tasklock::new().env("HOME", self.home.path())
    }

    /// A program with this home, and this /etc in a mount namespace of its own.
    fn tasklock(&self) -> Tasklock {
        let namespace = if geteuid().is_root() { "-m" } else { "-rm" };
        let mount = format!(
            "mount --bind '{}' /etc && exec \"$@\"",
            self.etc.path().display()
        );
        self.at_home()
            .under(["unshare", namespace, "sh", "-c", &mount, "sh"])
    }

    /// What a run of `lock` would come to.
    #[track_caller]
    fn settings(&self, lock: &str) -> Settings {
        settings(self.tasklock(), lock)
    }
}

/// What `tasklock config --json` says.
struct Settings(Value);

impl Settings {
    fn value(&self, key: &str) -> String {
        match &self.0["settings"][key]["value"] {
            Value::String(text) => text.clone(),
            value => value.to_string(),
        }
    }

    fn source(&self, key: &str) -> String {
        self.0["settings"][key]["source"]
            .as_str()
            .unwrap()
            .to_owned()
    }
}

#[track_caller]
fn settings(tasklock: Tasklock, lock: &str) -> Settings {
    let shown = tasklock.args(["config", "--json", "--name", lock]).run();
    shown.expect_code(0).expect_silent();
    Settings(serde_json::from_str(&shown.stdout).unwrap())
}

/// A file for its owner alone.
fn write(path: &Path, text: impl AsRef<[u8]>) -> PathBuf {
    fs::write(path, text).unwrap();
    mode(path, 0o600);
    path.to_owned()
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// It did nothing and said one line, with each of `fragments` and no password.
#[track_caller]
fn refused(finished: &Finished, code: i32, fragments: &[&str]) {
    finished.expect_code(code).expect_stdout("");
    assert_eq!(finished.stderr.lines().count(), 1, "{finished}");
    assert!(finished.stderr.starts_with("tasklock: "), "{finished}");
    assert!(!finished.stderr.contains("hunter2"), "{finished}");
    for fragment in fragments {
        finished.expect_stderr(fragment);
    }
}
