//! Which word is whose: tasklock's, or the command's.

use std::os::unix::fs::symlink;

use super::{NOBODY, Site, TASKLOCK, refused};
use crate::support::running::Finished;
use crate::support::tasklock::Tasklock;

#[test]
fn what_follows_the_command_belongs_to_it() {
    let site = Site::new();
    let echo = |words: &[&str]| site.job().args(words.iter().copied()).run();
    echo(&["echo", "-v", "--name", "y"]).expect_stdout("-v --name y\n");
    echo(&["--", "echo", "-v"]).expect_stdout("-v\n");
    echo(&["echo", "--", "x"]).expect_stdout("-- x\n");
    echo(&["sh", "-c", "echo $0 $1", "a", "--help"]).expect_stdout("a --help\n");
    echo(&["-q", "echo", "--ttl", "0"])
        .expect_code(0)
        .expect_silent();
}

#[test]
fn after_a_name_a_subcommand_s_word_is_a_command() {
    let site = Site::new();
    let bin = site.work.path();
    symlink("/bin/sh", bin.join("status")).unwrap();
    let path = format!("{}:/usr/bin:/bin", bin.display());
    for separator in [&["--"][..], &[]] {
        let run = site
            .job()
            .env("PATH", &path)
            .args(separator.iter().copied());
        let finished = run.args(["status", "-c", "echo the program"]).run();
        finished.expect_code(0).expect_stdout("the program\n");
    }
}

#[test]
fn a_subcommand_behind_its_options_is_told_where_it_belongs() {
    let run = |words: &[&str]| Tasklock::new().args(words.iter().copied()).run();
    for (words, subcommand) in [
        (&["--url", "redis://:secret@h", "status", "x"][..], "status"),
        (&["-qu", NOBODY, "unlock", "x"], "unlock"),
        (&["--key-prefix=a:", "list"], "list"),
        (&["-v", "check", "x"], "check"),
        (&["--json", "status", "x"], "status"),
        (&["--name", "x", "--max-age", "1d", "status"], "status"),
    ] {
        let line = format!(
            "a subcommand comes before its options: write tasklock {subcommand} [OPTIONS] ("
        );
        refused(&run(words), 64, &[&line]);
    }
    // What is asked for as a command may be one that is not there.
    let site = Site::new();
    let finished = site.job().env("PATH", "/nonexistent").arg("status").run();
    let hint = "(/nonexistent); the subcommand would come first: tasklock status --name NAME\n";
    refused(
        &finished,
        127,
        &["cannot run status: not found in PATH ", hint],
    );
    // An option that no subcommand has is told by its name.
    let finished = run(&["status", "x", "--frob", "check"]);
    refused(&finished, 64, &["unexpected argument '--frob'"]);
}

#[test]
fn a_subcommand_takes_its_lock_with_and_without_the_flag() {
    let site = Site::new();
    let url = site.url();
    let words: [&[&str]; 4] = [
        &["status", "job", "--url", &url],
        &["status", "--url", &url, "job"],
        &["status", "--name", "job", "-u", &url],
        &["unlock", "--name=job", "-u", &url],
    ];
    for words in words {
        let finished = Tasklock::new().args(words.iter().copied()).run();
        finished.expect_code(0).expect_silent();
        assert!(finished.stdout.starts_with("job: "), "{finished}");
    }
    let from_variable = Tasklock::new().env("TASKLOCK_URL", url.as_str());
    let finished = from_variable.args(["status", "job"]).run();
    finished.expect_code(0).expect_stdout("job: free\n");
}

/// All that comes from the environment, each with something secret or odd in it.
fn with_all_variables(run: Tasklock) -> Tasklock {
    [
        "TTL",
        "URL_FILE",
        "KEY_PREFIX",
        "STORE_TIMEOUT",
        "TLS_CA",
        "TLS_CERT",
        "TLS_KEY",
        "LOG_FORMAT",
    ]
    .into_iter()
    .fold(run, |run, name| {
        run.env(&format!("TASKLOCK_{name}"), "secret")
    })
    .env("TASKLOCK_HOLDER", "secret")
    .env("TASKLOCK_QUIET", "1")
    .env("TASKLOCK_URL", NOBODY)
}

#[test]
fn help_and_version_go_to_standard_output_and_give_nothing_away() {
    let shows = |finished: &Finished, text: &str| {
        finished.expect_code(0).expect_silent();
        assert!(finished.stdout.contains(text), "{finished}");
        assert!(!finished.stdout.contains("secret"), "{finished}");
    };
    for (words, text) in [
        (&["--help"][..], "TASKLOCK_URL"),
        (&["-h"], "TASKLOCK_URL"),
        (&["status", "--help"], "TASKLOCK_URL"),
        (&["unlock", "-h"], "--force"),
        (&["--version"], env!("CARGO_PKG_VERSION")),
        (&["-V"], env!("CARGO_PKG_VERSION")),
    ] {
        let run = Tasklock::new().args(words.iter().copied());
        shows(&run.clone().run(), text);
        shows(&with_all_variables(run.clone()).run(), text);
        shows(&run.env("COLUMNS", "40").run(), text);
    }
}

#[test]
fn help_bears_a_reader_that_leaves_and_streams_that_are_closed() {
    for script in [
        "{ \"$0\" --help; echo $? >&2; } | :",
        "{ \"$0\" --help; echo $? >&2; } | head -1 > /dev/null",
        "\"$0\" --help 2>&- > /dev/null; echo $? >&2",
        "\"$0\" --help >&-; echo $? >&2",
    ] {
        let finished = Tasklock::instead("/bin/sh")
            .args(["-c", script, TASKLOCK])
            .run();
        assert_eq!(finished.stderr, "0\n", "{script}: {finished}");
    }
}

#[test]
fn a_run_bears_a_closed_or_full_standard_error() {
    let site = Site::new();
    for redirection in ["2>&-", "2>/dev/full"] {
        let script = format!("\"$0\" -v --name job --url \"$1\" echo done {redirection}");
        let shell = Tasklock::instead("/bin/sh").args(["-c", &script, TASKLOCK, &site.url()]);
        shell.run().expect_code(0).expect_stdout("done\n");
    }
}

#[test]
fn what_cannot_be_printed_is_no_success() {
    let site = Site::new();
    for words in ["status a", "list", "history a", "config"] {
        let script = format!("\"$0\" {words} --url \"$1\" > /dev/full");
        let shell = Tasklock::instead("/bin/sh").args(["-c", &script, TASKLOCK, &site.url()]);
        let finished = shell.run();
        finished.expect_code(71);
        assert_eq!(
            finished.stderr, "tasklock: cannot print to standard output: no space left on device\n",
            "{words}"
        );
    }
    let help = Tasklock::instead("/bin/sh").args(["-c", "\"$0\" --help > /dev/full", TASKLOCK]);
    help.run().expect_code(71);
}
