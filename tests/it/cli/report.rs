//! `--report`: one JSON line, whole or not at all.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::{Value, json};

use super::{NOBODY, Site, TASKLOCK};
use crate::support::redis::Server;
use crate::support::scratch::Scratch;
use crate::support::tasklock::Tasklock;
use crate::support::wait_until;

const FIELDS: [&str; 13] = [
    "name",
    "outcome",
    "cause",
    "child_exit",
    "child_signal",
    "child_alive",
    "fence",
    "slot",
    "holder",
    "waited_ms",
    "held_ms",
    "started_at",
    "store",
];

impl Site {
    fn reporting(&self, run: Tasklock) -> Tasklock {
        run.arg("--report").arg(self.work.file("report"))
    }

    /// The report, with every field of it and no other.
    #[track_caller]
    fn report(&self) -> Value {
        parse(&self.work.read("report"))
    }
}

#[track_caller]
fn parse(text: &str) -> Value {
    assert_eq!(text.lines().count(), 1, "{text:?}");
    assert!(text.ends_with('\n'), "{text:?}");
    let report: Value = serde_json::from_str(text).unwrap();
    let named: BTreeSet<&str> = FIELDS.into_iter().collect();
    let found: BTreeSet<&str> = report
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(found, named);
    for millis in ["waited_ms", "held_ms"] {
        assert!(report[millis].is_u64(), "{report}");
    }
    let started_at = report["started_at"].as_str().unwrap();
    assert!(
        started_at.starts_with("20") && started_at.ends_with('Z'),
        "{report}"
    );
    report
}

#[test]
fn a_run_reports_how_its_command_ended() {
    let site = Site::new();
    let run = site
        .reporting(site.job())
        .sh("echo $TASKLOCK_FENCE; exit 3")
        .run();
    run.expect_code(3).expect_silent();
    let report = site.report();
    assert_eq!(report["name"], "job");
    assert_eq!(report["outcome"], "ran");
    assert_eq!(report["child_exit"], 3);
    assert_eq!(report["child_signal"], Value::Null);
    assert_eq!(report["child_alive"], false);
    assert_eq!(report["fence"], run.stdout.trim().parse::<u64>().unwrap());
    assert_eq!(report["slot"], Value::Null);
    assert_eq!(report["holder"], Value::Null);
    assert_eq!(report["store"], json!(site.url()));

    let run = site.reporting(site.job()).sh("kill -9 $$").run();
    run.expect_signal(Signal::SIGKILL);
    let report = site.report();
    assert_eq!(report["outcome"], "ran");
    assert_eq!(report["child_exit"], Value::Null);
    assert_eq!(report["child_signal"], 9);
}

#[test]
fn a_skipped_run_reports_the_holder() {
    let site = Site::new();
    let holder = site
        .job()
        .args(["--holder", "pod-7", "--reason", "nightly"]);
    let (_running, _gate) = site.hold(holder);
    site.reporting(site.job()).arg("true").run().expect_code(75);
    let report = site.report();
    assert_eq!(report["outcome"], "skipped");
    assert_eq!(report["cause"], "held");
    assert_eq!(report["holder"]["who"], "pod-7");
    assert_eq!(report["holder"]["reason"], "nightly");
    assert_eq!(report["fence"], Value::Null);
    assert_eq!(report["child_exit"], Value::Null);
    assert_eq!(report["held_ms"], 0);
}

#[test]
fn runs_that_ran_nothing_or_were_stopped_report_why() {
    let site = Site::new();
    let run = |run: Tasklock, code: i32, outcome: &str| {
        site.reporting(run)
            .args(["sleep", "1000"])
            .run()
            .expect_code(code);
        let report = site.report();
        assert_eq!(report["outcome"], outcome);
        report
    };
    let timeout = run(site.job().args(["--max-runtime", "0.2"]), 124, "timeout");
    assert_eq!(timeout["child_signal"], 15);
    assert!(timeout["held_ms"].as_u64().unwrap() >= 200);
    let nobody = Tasklock::named("job", NOBODY).args(["--store-timeout", "200ms"]);
    let unavailable = run(nobody.clone(), 69, "unavailable");
    assert_eq!(unavailable["store"], "redis://127.0.0.1:1");
    run(nobody.args(["--on-unavailable", "skip"]), 75, "skipped");
    let failed = site.reporting(site.job()).arg("/no/such").run();
    failed.expect_code(127);
    assert_eq!(site.report()["outcome"], "failed");
    assert_eq!(site.report()["child_exit"], Value::Null);
}

#[test]
fn a_run_that_loses_its_lock_reports_that() {
    let site = Site::new();
    let (running, _gate) = site.hold(site.reporting(site.job().args(["--ttl", "1s"])));
    site.ask(&["unlock", "--force"]).expect_code(0);
    running.wait().expect_code(79);
    let report = site.report();
    assert_eq!(report["outcome"], "lost");
    assert_eq!(report["child_signal"], 15);
}

#[test]
fn a_run_that_a_signal_ends_before_it_has_its_lock_reports_interrupted() {
    let site = Site::new();
    let server = Server::start();
    server.freeze();
    let run = site.reporting(Tasklock::named("job", &server.url()));
    let running = run.arg("true").start();
    let status = format!("/proc/{}/status", running.pid());
    wait_until(|| {
        let status = fs::read_to_string(&status).unwrap();
        let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
        let blocked = u64::from_str_radix(blocked.unwrap().trim(), 16).unwrap();
        blocked & (1 << (Signal::SIGTERM as u32 - 1)) != 0
    });
    running.signal(Signal::SIGTERM);
    running.wait().expect_signal(Signal::SIGTERM);
    assert_eq!(site.report()["outcome"], "interrupted");
}

#[test]
fn a_path_that_cannot_be_written_is_found_before_the_command_starts() {
    let site = Site::new();
    let directory = site.work.path().to_str().unwrap();
    let inside = format!("{}/report", site.work.write("file", "").display());
    for (path, fragment) in [
        (
            "/no/such/report",
            "--report: cannot write /no/such/report: its directory does not exist",
        ),
        (directory, "is a directory"),
        (&inside, "not a directory"),
        ("", "--report: the file name is empty"),
    ] {
        let code = if path.is_empty() { 64 } else { 78 };
        site.refuses(site.job().args(["--report", path]), code, &[fragment]);
    }
}

#[test]
fn an_old_report_stays_until_the_new_one_is_complete() {
    let (site, away) = (Site::new(), Scratch::new());
    let sub = site.work.file("sub");
    fs::create_dir(&sub).unwrap();
    fs::write(sub.join("report"), "old\n").unwrap();
    let run = || site.job().arg("--report").arg(sub.join("report"));
    let script = format!("cat {}/report", sub.display());
    run()
        .sh(&script)
        .run()
        .expect_code(0)
        .expect_stdout("old\n");
    assert_eq!(parse(&site.work.read("sub/report"))["outcome"], "ran");
    assert_eq!(fs::read_dir(&sub).unwrap().count(), 1);

    let moved = format!("mv {} {}/sub", sub.display(), away.path().display());
    let finished = run().sh(&format!("{moved}; exit 4")).run();
    finished
        .expect_code(4)
        .expect_stderr("--report: cannot write ");
    finished.expect_stderr("sub/report");
    assert_eq!(finished.stderr.lines().count(), 1, "{finished}");
    assert_eq!(fs::read_dir(away.file("sub")).unwrap().count(), 1);
    parse(&away.read("sub/report"));
}

#[test]
fn a_report_that_cannot_take_its_place_leaves_no_temporary_file() {
    let site = Site::new();
    let path = site.work.file("report");
    let script = format!("mkdir {}", path.display());
    let finished = site.reporting(site.job()).sh(&script).run();
    finished.expect_code(0).expect_stderr("is a directory");
    assert_eq!(fs::read_dir(site.work.path()).unwrap().count(), 1);
}

#[test]
fn a_relative_path_starts_where_the_run_did_and_a_link_stays_a_link() {
    let site = Site::new();
    let run = |path: &str| {
        let run = site.job().directory(site.work.path());
        run.args(["--report", path]).sh("cd /").run().expect_code(0);
    };
    run("report");
    site.report();
    symlink("report", site.work.file("link")).unwrap();
    site.work.write("report", "");
    run("link");
    site.report();
    assert!(site.work.file("link").is_symlink());
}

#[test]
fn a_report_may_go_to_a_pipe() {
    let site = Site::new();
    let fifo = site.work.file("fifo");
    mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    let mut reader = Tasklock::instead("cat").arg(&fifo).start();
    let run = site.job().arg("--report").arg(&fifo).sh("exit 6").run();
    run.expect_code(6).expect_silent();
    wait_until(|| !reader.is_running());
    assert_eq!(parse(&reader.stdout())["child_exit"], 6);
}

#[test]
fn a_pipe_that_nobody_reads_can_be_given_up() {
    let site = Site::new();
    let fifo = site.work.file("fifo");
    mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    let running = site.job().arg("--report").arg(&fifo).arg("true").start();
    let at_rest = format!("/proc/{}/stat", running.pid());
    wait_until(|| fs::read_to_string(&at_rest).unwrap().contains(") S "));
    running.signal(Signal::SIGTERM);
    running.wait().expect_signal(Signal::SIGTERM);
}

#[test]
fn a_report_on_standard_error_follows_what_stands_there() {
    let site = Site::new();
    for path in ["/dev/stderr", "/dev/fd/2", "/proc/self/fd/2"] {
        let run = site
            .job()
            .args(["--report", path])
            .sh("echo before >&2")
            .run();
        run.expect_code(0);
        let (first, report) = run.stderr.split_once('\n').unwrap();
        assert_eq!(first, "before");
        parse(report);
        assert!(fs::symlink_metadata("/dev/stderr").unwrap().is_symlink());
    }
    let finished = site
        .job()
        .args(["--report", "/dev/stdout"])
        .arg("true")
        .run();
    parse(&finished.stdout);
    site.job()
        .args(["--report", "/dev/fd/77", "true"])
        .run()
        .expect_code(78)
        .expect_stderr("--report: cannot write /dev/fd/77: bad file descriptor");
}

#[test]
fn a_report_may_go_to_a_descriptor_that_the_command_does_not_get() {
    let site = Site::new();
    // What the command leaves behind does not keep the reader from its end.
    let script = format!(
        "(readlink /proc/self/fd/3 > pipe; {TASKLOCK} --name job --url {} --report fd:3 -- /bin/sh -c \
         'ls -l /proc/self/fd > fds; sleep 600 & exit 4') 3>&1 >/dev/null | cat > report",
        site.url()
    );
    let run = Tasklock::instead("/bin/sh")
        .directory(site.work.path())
        .args(["-c", &script]);
    run.run().expect_code(0).expect_silent();
    assert_eq!(site.report()["child_exit"], 4);
    let fds = site.work.read("fds");
    let pipe = site.work.read("pipe");
    assert!(
        pipe.starts_with("pipe:") && !fds.contains(pipe.trim()),
        "{pipe}{fds}"
    );
}

#[test]
fn a_descriptor_that_cannot_be_written_is_found_before_the_command_starts() {
    let site = Site::new();
    for (report, redirection, why) in [
        ("fd:77", "", "fd:77: bad file descriptor"),
        (
            "fd:3",
            "3</dev/null",
            "fd:3: that descriptor is open for reading only",
        ),
        ("fd:x", "", "fd: takes the number of an open descriptor"),
        ("fd:-1", "", "fd: takes the number of an open descriptor"),
        ("fd:", "", "fd: takes the number of an open descriptor"),
    ] {
        let script = format!(
            "{TASKLOCK} --name job --url {} --report {report} touch ran {redirection}",
            site.url()
        );
        let run = Tasklock::instead("/bin/sh")
            .directory(site.work.path())
            .args(["-c", &script]);
        run.run().expect_code(78).expect_stderr(why);
        assert!(!site.work.file("ran").exists());
    }
}

#[test]
fn a_report_to_standard_error_by_its_number_leaves_that_to_the_command() {
    let site = Site::new();
    let run = site
        .job()
        .args(["--report", "fd:2"])
        .sh("echo before >&2")
        .run();
    run.expect_code(0);
    let (first, report) = run.stderr.split_once('\n').unwrap();
    assert_eq!(first, "before");
    parse(report);
}
