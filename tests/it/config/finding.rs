//! Where files are looked for, and what a place may hold that is no file.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::{Host, refused, settings, write};
use crate::support::running::Finished;
use crate::support::scratch::Scratch;
use crate::support::tasklock::Tasklock;

#[test]
fn a_cron_line_needs_nothing_but_the_name() {
    let host = Host::new();
    let locks = Scratch::new();
    let text = format!(
        "url = \"local:{}\"\n[lock.backup]\nslots = 2\n",
        locks.path().display()
    );
    host.user(text);
    // All that cron sets.
    let line = "tasklock --name backup -- sh -c 'echo \"$TASKLOCK_NAME $TASKLOCK_SLOT\"'";
    let bin = host.home.path().display();
    symlink(env!("CARGO_BIN_EXE_tasklock"), host.home.file("tasklock")).unwrap();
    let run = Tasklock::instead("env").args([
        "-i".to_owned(),
        format!("HOME={bin}"),
        "LOGNAME=root".to_owned(),
        "SHELL=/bin/sh".to_owned(),
        format!("PATH={bin}:/usr/bin:/bin"),
        "/bin/sh".to_owned(),
        "-c".to_owned(),
        line.to_owned(),
    ]);
    run.run()
        .expect_code(0)
        .expect_silent()
        .expect_stdout("backup 0\n");
}

#[test]
fn without_home_the_system_knows_where_the_user_lives() {
    let host = Host::with_user("ttl = \"4m\"\n");
    let home = host.home.path().display();
    let uid = nix::unistd::geteuid();
    let passwd = format!("nobody:x:65534:65534::/:/bin/false\nme:x:{uid}:0::{home}:/bin/sh\n");
    write(&host.etc.file("passwd"), passwd);
    fs::set_permissions(host.etc.file("passwd"), fs::Permissions::from_mode(0o644)).unwrap();
    for home in ["", ".", "relative/home"] {
        assert_eq!(
            settings(host.tasklock().env("HOME", home), "job").value("ttl"),
            "4m",
            "{home:?}"
        );
    }
    let program = env!("CARGO_BIN_EXE_tasklock");
    let mount = format!(
        "mount --bind '{}' /etc && exec env -i {program} config job",
        host.etc.path().display()
    );
    let namespace = if uid.is_root() { "-m" } else { "-rm" };
    let bare = Tasklock::instead("unshare")
        .args([namespace, "sh", "-c", &mount])
        .run();
    bare.expect_code(0).expect_silent();
    assert!(bare.stdout.contains("ttl = \"4m\""), "{bare}");
}

#[test]
fn where_a_shell_keeps_its_settings_makes_no_difference() {
    let host = Host::with_user("ttl = \"4m\"\n");
    let elsewhere = Scratch::new();
    fs::create_dir(elsewhere.file("tasklock")).unwrap();
    write(&elsewhere.file("tasklock/config.toml"), "ttl = \"3m\"\n");
    let run = host.at_home().env("XDG_CONFIG_HOME", elsewhere.path());
    assert_eq!(settings(run, "job").value("ttl"), "4m");
}

#[test]
fn a_host_without_files_is_no_error() {
    let host = Host::new();
    let job = || {
        host.at_home()
            .args(["--url", "local:", "--name", "no-files", "true"])
    };
    job().run().expect_code(0).expect_silent();
    // Nor is a file where a directory would be.
    fs::remove_dir_all(host.home.file(".config")).unwrap();
    job().run().expect_code(0).expect_silent();
    host.home.write(".config", "");
    job().run().expect_code(0).expect_silent();
    let nowhere = job().env("HOME", "/nonexistent");
    nowhere.run().expect_code(0).expect_silent();
}

#[test]
fn a_url_in_a_file_is_a_choice() {
    let host = Host::new();
    let job = || host.at_home().args(["--name", "a-choice", "true"]).run();
    job().expect_code(0).expect_stderr("no store is configured");
    host.user("url = \"local:\"\n");
    job().expect_code(0).expect_silent();
}

#[test]
fn a_file_that_was_named_has_to_be_there() {
    let host = Host::new();
    let run = |words: &[&str]| {
        let run = host.at_home().args(["--name", "job"]).args(words.to_vec());
        run.args(["echo", "ran"]).run()
    };
    let missing = run(&["--config", "/nonexistent/x.toml"]);
    refused(
        &missing,
        78,
        &["--config: cannot read /nonexistent/x.toml: no such file"],
    );
    refused(
        &run(&["--config="]),
        64,
        &["--config: the file name is empty"],
    );
    let variable = host.at_home().env("TASKLOCK_CONFIG", "/nonexistent/x.toml");
    let variable = variable.args(["status", "job"]).run();
    refused(
        &variable,
        78,
        &["TASKLOCK_CONFIG: cannot read /nonexistent/x.toml"],
    );
}

#[test]
fn what_is_no_text_is_refused_and_holds_nobody_up() {
    let host = Host::new();
    let file = host.user_file();
    let job = || {
        host.at_home()
            .args(["--name", "no-text", "--", "echo", "ran"])
            .run()
    };
    let named = |path: &str| {
        let run = host.at_home().args(["--config", path, "--name", "no-text"]);
        run.args(["echo", "ran"]).run()
    };
    let shown = file.display().to_string();
    let expect = |finished: &Finished, what: &str| refused(finished, 78, &[&shown, what]);
    fs::create_dir(&file).unwrap();
    expect(&job(), "is a directory, not a configuration file");
    fs::remove_dir(&file).unwrap();
    mkfifo(&file, Mode::S_IRWXU).unwrap();
    expect(&job(), "is a FIFO, not a configuration file");
    expect(&named(&shown), "--config: ");
    fs::remove_file(&file).unwrap();
    symlink(&file, &file).unwrap();
    expect(&job(), "cannot read");
    fs::remove_file(&file).unwrap();
    host.user(b"ttl = \"5m\"\nholder = \"\xff\"\n");
    expect(&job(), "config.toml:2: the text is not valid UTF-8");
    host.user(b"\0\0\0");
    expect(&job(), "config.toml:1:4: not TOML: ");
    host.user("#".repeat(1 << 20));
    job().expect_code(0);
    host.user("#".repeat((1 << 20) + 1));
    expect(
        &job(),
        "is too long for a configuration file: the limit is 1 MiB",
    );
    host.user("x = ".to_owned() + &"[".repeat(100_000));
    expect(&job(), "config.toml:1:");
    fs::remove_file(&file).unwrap();
    refused(&named("/dev/zero"), 78, &["/dev/zero is a device"]);
    named("/dev/null").expect_code(0).expect_stdout("ran\n");
}

#[test]
fn the_command_reads_the_file_that_was_named_wherever_it_goes() {
    let host = Host::new();
    write(
        &host.home.file("named.toml"),
        "url = \"local:\"\nttl = \"4m\"\n",
    );
    let inner = format!("cd / && {} config inner", env!("CARGO_BIN_EXE_tasklock"));
    let run = host.at_home().directory(host.home.path());
    let run = run.args(["--config", "named.toml", "--name", "outer-named"]);
    let run = run.sh(&inner).run();
    run.expect_code(0).expect_silent();
    assert!(run.stdout.contains("ttl = \"4m\""), "{run}");
    // One that was not named is found in the same way by everybody.
    let run = host
        .at_home()
        .args(["--url", "local:", "--name", "outer", "env"])
        .run();
    assert!(!run.stdout.contains("TASKLOCK_CONFIG"), "{run}");
}
