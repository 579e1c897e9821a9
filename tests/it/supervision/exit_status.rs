//! The code of a run is the code of its command.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;

use nix::sys::signal::Signal;

use super::Bench;

/// Writes an executable file.
fn program(bench: &Bench, name: &str, content: &[u8]) {
    // Written by another process: a descriptor of ours could be inherited by a
    // process that another test is just starting, and nobody could execute the file.
    let source = bench.scratch.write("source", content);
    let target = bench.scratch.file(name);
    let install = std::process::Command::new("install")
        .args(["-m", "755"])
        .args([source, target])
        .status();
    assert!(install.unwrap().success());
}

#[test]
fn a_run_exits_with_the_code_of_its_command() {
    let bench = Bench::new();
    for code in [0, 1, 2, 42, 64, 75, 79, 124, 125, 126, 127, 128, 143, 255] {
        let finished = bench.tasklock().sh(&format!("exit {code}")).run();
        finished.expect_code(code).expect_silent();
    }
    bench.expect_free();
}

#[test]
fn a_run_dies_of_the_signal_that_its_command_died_of() {
    let bench = Bench::new();
    for number in [1, 2, 3, 6, 9, 11, 13, 14, 15, 40, 64] {
        let finished = bench
            .tasklock()
            .sh(&format!("ulimit -c 0; kill -{number} $$"))
            .run();
        assert_eq!(finished.signal, Some(number), "{finished}");
        finished.expect_silent();
        bench.expect_free();
    }
}

#[test]
fn a_run_adds_no_core_of_its_own_to_that_of_its_command() {
    // Where a core goes is the machine's setting, so the kernel is asked instead:
    // the wait status of a process tells whether it dumped one.
    let bench = Bench::new();
    let script = "ulimit -c unlimited 2> /dev/null; \"$@\"; exit 0";
    let words = ["bash", "-c", script, "bash"];
    let run = bench.tasklock().sh("ulimit -c 0; kill -QUIT $$");
    let finished = run.under(words).run();
    // The shell tells of every death, and says so when there was a core.
    finished.expect_code(0).expect_stderr("Quit");
    assert!(!finished.stderr.contains("core"), "{finished}");
}

#[test]
fn what_cannot_be_run_is_126_and_what_is_not_there_127() {
    let bench = Bench::new();
    let plain = bench.scratch.write("plain", "#!/bin/sh\n");
    fs::set_permissions(plain, Permissions::from_mode(0o644)).unwrap();
    program(&bench, "orphan", b"#!/no/such/interpreter\n");
    for (command, code, fragment) in [
        ("./missing", 127, "cannot run ./missing"),
        ("no-such-program-in-path", 127, "cannot run no-such-program"),
        ("./orphan", 127, "interpreter"),
        ("", 64, "COMMAND is empty"),
        ("./plain", 126, "cannot run ./plain"),
        ("./locks", 126, "cannot run ./locks"),
        ("./plain/below", 126, "cannot run ./plain/below"),
    ] {
        let finished = bench.tasklock().args(["--", command]).run();
        finished.expect_code(code).expect_stderr(fragment);
        assert_eq!(finished.stderr.lines().count(), 1, "{finished}");
        bench.expect_free();
    }
}

#[test]
fn an_argument_list_that_is_too_long_is_126() {
    let bench = Bench::new();
    // One argument may not be longer than 128 KiB; the program itself is given less.
    let script = "exec \"$@\" -- env \"$(head -c 100000 /dev/zero | tr '\\0' x)\"";
    let words = ["sh", "-c", script, "sh"];
    let limit = bench.tasklock().under(words).run();
    // `env` looks for a program of that name.
    limit.expect_code(126);
    bench.expect_free();
}

#[test]
fn a_script_without_a_first_line_is_run_by_the_shell() {
    let bench = Bench::new();
    program(&bench, "script", b"echo \"$# $1\"; exit 5\n");
    for command in ["./script", "script"] {
        let path = format!("{}:/usr/bin:/bin", bench.scratch.path().display());
        let run = bench
            .tasklock()
            .args(["--", command, "a b"])
            .env("PATH", path);
        run.run().expect_code(5).expect_stdout("1 a b\n");
    }
    bench.expect_free();
}

#[test]
fn a_file_that_is_neither_program_nor_script_fails_as_under_env() {
    let bench = Bench::new();
    program(&bench, "garbage", b"\x7fELF\0\0\x01\x02\0garbage\0\0\n");
    let direct = crate::support::tasklock::Tasklock::instead("env")
        .arg("./garbage")
        .directory(bench.scratch.path())
        .run();
    let finished = bench.tasklock().args(["--", "./garbage"]).run();
    assert_eq!(finished.code, direct.code, "{finished}");
    assert_ne!(finished.code, Some(0));
    bench.expect_free();
}

#[test]
fn arguments_reach_the_command_unchanged() {
    let bench = Bench::new();
    let strange = OsStr::from_bytes(b"not \xff\xfe UTF-8");
    let words = [
        "",
        " a  b ",
        "two\nlines",
        "*",
        "$HOME",
        "--name",
        "--",
        "-n",
    ];
    let script = r#"for word do printf '<%s>' "$word"; done | od -An -v -tx1 | tr -d ' \n'"#;
    let run = bench
        .tasklock()
        .args(["--", "sh", "-c", script, "sh"])
        .args(words)
        .arg(strange);
    let mut expected = Vec::new();
    for word in words
        .iter()
        .map(|word| word.as_bytes())
        .chain([strange.as_bytes()])
    {
        expected.extend([b"<", word, b">"].concat());
    }
    let hex: String = expected.iter().map(|byte| format!("{byte:02x}")).collect();
    run.run().expect_code(0).expect_stdout(&hex);
}

#[test]
fn an_option_of_the_command_is_not_ours_even_without_the_dashes() {
    let bench = Bench::new();
    let run = bench.tasklock().args(["echo", "-n", "--name", "x"]);
    run.run().expect_code(0).expect_stdout("--name x");
}

#[test]
fn the_standard_streams_are_the_command_s() {
    let bench = Bench::new();
    let text = "one\ntwo\n".repeat(50_000);
    let run = bench.tasklock().args(["--", "cat"]).input(&text).run();
    run.expect_code(0).expect_stdout(&text).expect_silent();
    let run = bench.tasklock().sh("echo out; echo err >&2").run();
    run.expect_code(0).expect_stdout("out\n");
    assert_eq!(run.stderr, "err\n");
    let run = bench.tasklock().sh("yes").under([
        "bash",
        "-c",
        "\"$@\" | head -n 1; echo \"${PIPESTATUS[0]}\"",
        "bash",
    ]);
    let pipe = 128 + Signal::SIGPIPE as i32;
    run.run()
        .expect_code(0)
        .expect_stdout(&format!("y\n{pipe}\n"));
}
