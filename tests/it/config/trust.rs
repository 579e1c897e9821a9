//! Files that are not believed, and passwords that others could read.

use std::fs;
use std::os::unix::fs::chown;
use std::process::Command;

use nix::unistd::geteuid;

use super::{Host, mode, refused, write};
use crate::support::tasklock::Tasklock;

const SECRETS: [&str; 5] = [
    "url = \"redis://:hunter2@127.0.0.1:1\"",
    "url = \"redis://job:hunter2@127.0.0.1:1\"",
    "url = [\"redis://127.0.0.1:1\", \"redis://127.0.0.1:2\", \"redis://:hunter2@127.0.0.1:3\"]",
    "url = \"redis+sentinel://127.0.0.1:1/m?sentinel_password=hunter2\"",
    "url = \"unix:///nonexistent/redis.sock?pass=hunter2\"",
];

fn status(host: &Host) -> crate::support::running::Finished {
    host.at_home()
        .args(["status", "--store-timeout", "100ms", "job"])
        .run()
}

#[test]
fn a_password_that_others_can_read_is_refused_unless_told() {
    for secret in SECRETS {
        for text in [format!("{secret}\n"), format!("\n[lock.other]\n{secret}\n")] {
            let host = Host::with_user(&text);
            let line = if text.starts_with('u') {
                ":1: url: "
            } else {
                ":3: lock.other.url: "
            };
            for bits in [0o644, 0o640, 0o604] {
                mode(&host.user_file(), bits);
                let chmod = format!("chmod 600 {}", host.user_file().display());
                let told = ["holds a password that others can read", &chmod, line];
                refused(&status(&host), 78, &told);
            }
            mode(&host.user_file(), 0o600);
            assert_ne!(status(&host).code, Some(78), "{text}");
            host.user(format!("allow-readable-secrets = true\n{text}"));
            mode(&host.user_file(), 0o644);
            assert_ne!(status(&host).code, Some(78), "{text}");
        }
    }
}

#[test]
fn a_file_without_a_password_may_be_read_by_everybody() {
    for url in ["redis://127.0.0.1:1", "redis://job@127.0.0.1:1", "local:"] {
        let host = Host::with_user(&format!("url = \"{url}\"\n"));
        mode(&host.user_file(), 0o644);
        assert_ne!(status(&host).code, Some(78), "{url}");
    }
}

#[test]
fn a_named_file_is_guarded_as_well() {
    let host = Host::new();
    let named = write(&host.home.file("named"), SECRETS[0]);
    mode(&named, 0o644);
    let run = host.at_home().env("TASKLOCK_CONFIG", &named);
    let run = run.args(["status", "job"]).run();
    refused(
        &run,
        78,
        &["TASKLOCK_CONFIG: ", "holds a password", "chmod 600"],
    );
}

#[test]
fn a_file_that_everybody_can_write_to_is_refused_unless_it_was_named() {
    let host = Host::with_user("ttl = \"4m\"\n");
    mode(&host.user_file(), 0o666);
    refused(
        &status(&host),
        78,
        &["config.toml can be written by everybody: chmod o-w"],
    );
    let named = host.at_home().env("TASKLOCK_CONFIG", host.user_file());
    let named = named.args(["config", "job"]).run();
    named.expect_code(0).expect_silent();
    host.user("");
    let system = host.system("ttl = \"4m\"\n");
    mode(&system, 0o646);
    let run = host.tasklock().args(["config", "job"]).run();
    refused(
        &run,
        78,
        &["/etc/tasklock/config.toml can be written by everybody"],
    );
}

#[test]
fn another_user_s_file_is_refused_unless_it_was_named() {
    if !geteuid().is_root() {
        // Nobody else can give a file away; root's own file is what is left to see.
        let host = Host::with_user("ttl = \"4m\"\n");
        host.at_home().args(["config", "job"]).run().expect_code(0);
        return;
    }
    let host = Host::with_user("ttl = \"4m\"\n");
    chown(host.user_file(), Some(65534), None).unwrap();
    refused(
        &status(&host),
        78,
        &["belongs to user 65534", "(user 0)", "--config"],
    );
    let named = host.at_home().env("TASKLOCK_CONFIG", host.user_file());
    named.args(["config", "job"]).run().expect_code(0);
}

/// As user 65534, with the home of somebody else.
fn as_nobody(host: &Host) -> Tasklock {
    let nobody = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
    ];
    host.at_home().under(nobody)
}

#[test]
fn what_we_may_not_read_is_refused_but_a_home_that_is_closed_to_us_has_no_file_of_ours() {
    if !geteuid().is_root() {
        // The same without the change of user.
        let host = Host::with_user("ttl = \"4m\"\n");
        mode(&host.user_file(), 0o000);
        refused(&status(&host), 78, &["config.toml: permission denied"]);
        return;
    }
    let host = Host::with_user("ttl = \"4m\"\n");
    let program = Command::new("setpriv").arg("--version").output();
    assert!(program.is_ok(), "no setpriv: apt-get install util-linux");
    mode(host.home.path(), 0o755);
    refused(
        &as_nobody(&host).args(["config", "job"]).run(),
        78,
        &["cannot read", "config.toml: permission denied"],
    );
    mode(host.home.path(), 0o700);
    let closed = as_nobody(&host).args(["config", "job"]).run();
    closed.expect_code(0).expect_silent();
    assert!(closed.stdout.contains("config.toml: not there"), "{closed}");
    // The system's directory is closed on purpose: whoever did so has said something.
    host.system("ttl = \"4m\"\n");
    mode(&host.etc.file("tasklock"), 0o700);
    mode(host.etc.path(), 0o755);
    let mount = format!(
        "mount --bind '{}' /etc && exec setpriv --reuid=65534 --regid=65534 --clear-groups \"$@\"",
        host.etc.path().display()
    );
    let run = host
        .at_home()
        .under(["unshare", "-m", "sh", "-c", &mount, "sh"]);
    let run = run.args(["config", "job"]).run();
    refused(
        &run,
        78,
        &["cannot read /etc/tasklock/config.toml: permission denied"],
    );
    fs::metadata(host.user_file()).unwrap();
}
