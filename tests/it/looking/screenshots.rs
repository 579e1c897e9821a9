//! The terminals in the README show what the program prints.
//!
//! `SCREENSHOTS=write cargo test --test it screenshots` writes them anew; without that variable they
//! are compared. Numbers, times and the lengths of bars differ from run to run, words do not.

use std::fs;

use super::Site;
use crate::docs::{file, text};
use crate::support::scratch::Scratch;
use crate::support::tasklock::Tasklock;

/// How wide the terminals of the README are.
const COLUMNS: u16 = 120;

const SHOWN: [(&str, &str); 4] = [
    ("status", "status backup"),
    ("list", "list"),
    ("history", "history backup"),
    ("probe", "status --max-age 26h backup import"),
];

/// A job of the name `name` on `host`, which is a script in `jobs`.
fn job(site: &Site, jobs: &Scratch, name: &str, host: &str) -> Tasklock {
    let script = format!("./{name}.sh");
    let run = site
        .job(name)
        .args(["-q", "--holder", &format!("root@{host}")]);
    run.directory(jobs.path()).args(["--", &script])
}

fn script(jobs: &Scratch, name: &str, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    let path = jobs.write(&format!("{name}.sh"), format!("#!/bin/sh\n{text}\n"));
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// What a terminal shows in which each of the commands is typed, after a night of jobs.
fn screenshots() -> Vec<(&'static str, String)> {
    let site = Site::redis();
    let jobs = Scratch::new();
    for (text, host, code) in [
        ("sleep 0.7", "web3", 0),
        ("sleep 0.9", "web4", 0),
        ("sleep 0.2; exit 3", "web3", 3),
        ("sleep 0.8", "web3", 0),
    ] {
        script(&jobs, "backup", text);
        job(&site, &jobs, "backup", host).run().expect_code(code);
    }
    script(&jobs, "import", "sleep 0.1; exit 1");
    job(&site, &jobs, "import", "web1").run().expect_code(1);
    script(&jobs, "reindex", "sleep 0.4");
    job(&site, &jobs, "reindex", "web2").run().expect_code(0);

    let _gate = jobs.gate("gate");
    script(&jobs, "backup", "echo up >up; read _ <gate");
    let nightly = job(&site, &jobs, "backup", "web3");
    let _holder = nightly.clone().start();
    jobs.wait_for_line("up");
    for _ in 0..2 {
        job(&site, &jobs, "backup", "web4").run().expect_code(75);
    }
    let waiter = site
        .job("backup")
        .args(["--holder", "root@web4", "--wait", "forever"]);
    let mut waiter = waiter
        .directory(jobs.path())
        .args(["--", "./backup.sh"])
        .start();
    waiter.wait_for_stderr("waiting for");
    SHOWN
        .map(|(name, words)| {
            let shown = site.shown(words, COLUMNS, "export NO_COLOR=1");
            (name, format!("$ tasklock {words}\n{shown}"))
        })
        .into()
}

/// The words, without what differs from run to run: numbers, times, bars.
fn words(shown: &str) -> Vec<&str> {
    let varies = |word: &&str| {
        let word = word.trim_start_matches('(');
        !word.starts_with(|c: char| c.is_ascii_digit() || "█▏▎▍▌▋▊▉▒".contains(c))
    };
    shown.split_whitespace().filter(varies).collect()
}

#[test]
fn the_terminals_in_the_readme_show_what_is_printed() {
    let mut readme = text("README.md");
    let write = std::env::var_os("SCREENSHOTS").is_some_and(|what| what == "write");
    let marks = readme.matches("<!-- screenshot: ").count();
    assert_eq!(marks, SHOWN.len());
    for (name, shown) in screenshots() {
        let mark = format!("<!-- screenshot: {name} -->\n```console\n");
        let (before, rest) = readme.split_once(&mark).unwrap();
        let (there, after) = rest.split_once("```\n").unwrap();
        if write {
            readme = format!("{before}{mark}{shown}```\n{after}");
        } else {
            assert_eq!(words(there), words(&shown), "{name}:\n{shown}");
        }
    }
    if write {
        fs::write(file("README.md"), readme).unwrap();
    }
}
