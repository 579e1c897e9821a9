//! What comes from the environment, and what never does.

use super::{NOBODY, Site, events};
use crate::support::tasklock::Tasklock;

/// What a site may set for all of its runs.
const SITE: [&str; 11] = [
    "URL",
    "URL_FILE",
    "TTL",
    "KEY_PREFIX",
    "STORE_TIMEOUT",
    "TLS_CA",
    "TLS_CERT",
    "TLS_KEY",
    "LOG_FORMAT",
    "QUIET",
    "HOLDER",
];

fn job() -> Tasklock {
    Tasklock::new().args(["--name", "job"])
}

#[test]
fn a_variable_set_to_nothing_is_not_set() {
    let site = Site::new();
    let empty = |run: Tasklock| {
        SITE.into_iter()
            .fold(run, |run, name| run.env(&format!("TASKLOCK_{name}"), ""))
    };
    let finished = empty(site.job()).arg("true").run();
    finished.expect_code(0).expect_silent();
    let status = empty(Tasklock::new().args(["status", "job"])).url(&site.url());
    status.run().expect_code(0).expect_silent();
    let tls = empty(Tasklock::named("job", "rediss://127.0.0.1:1"));
    let tls = tls.args(["--store-timeout", "100ms", "true"]).run();
    tls.expect_code(69)
        .expect_stderr("cannot reach rediss://127.0.0.1:1");
    for name in SITE {
        let run = site.job().env(&format!("TASKLOCK_{name}"), "");
        run.arg("true").run().expect_code(0).expect_silent();
    }
    // Two ways to name a store, one of them empty.
    for (set, unset) in [("URL", "URL_FILE"), ("URL_FILE", "URL")] {
        let value = match set {
            "URL" => site.url(),
            _ => site.work.write("url", site.url()).display().to_string(),
        };
        let run = job().env(&format!("TASKLOCK_{set}"), value);
        let run = run.env(&format!("TASKLOCK_{unset}"), "").arg("true").run();
        run.expect_code(0).expect_silent();
    }
}

#[test]
fn a_flag_goes_before_its_variable() {
    let site = Site::new();
    let url = site.url();
    let file = site.work.write("url", &url);
    let file = file.to_str().unwrap();
    for (name, wrong, flag) in [
        ("URL", NOBODY, ["--url", &url]),
        ("URL", NOBODY, ["--url-file", file]),
        ("URL_FILE", "/no/such", ["--url", &url]),
        ("URL_FILE", "/no/such", ["--url-file", file]),
        ("TTL", "0", ["--ttl", "9s"]),
        ("KEY_PREFIX", "{", ["--key-prefix", "a:"]),
        ("STORE_TIMEOUT", "0", ["--store-timeout", "1s"]),
        ("LOG_FORMAT", "xml", ["--log-format", "text"]),
    ] {
        let variable = job().env(&format!("TASKLOCK_{name}"), wrong);
        let run = if flag[0].starts_with("--url") {
            variable.args(flag)
        } else {
            variable.args(flag).url(&url)
        };
        run.arg("true").run().expect_code(0).expect_silent();
    }
}

#[test]
fn each_variable_has_the_effect_of_its_flag() {
    let site = Site::new();
    let set = |name: &str, value: &str| site.job().env(&format!("TASKLOCK_{name}"), value);
    let ttl = set("TTL", "5s").args(["-k", "4s", "true"]).run();
    ttl.expect_code(64)
        .expect_stderr("a ttl of 5s leaves no room");
    let timeout = set("STORE_TIMEOUT", "7s")
        .args(["--ttl", "5s", "true"])
        .run();
    timeout
        .expect_code(64)
        .expect_stderr("2 x store-timeout 7s");
    let json = set("LOG_FORMAT", "json").args(["-v", "true"]).run();
    assert_eq!(events(&json)[0]["event"], "acquired");

    let file = site.work.write("url", format!("\n{}\n", site.url()));
    for run in [
        job().env("TASKLOCK_URL", site.url()),
        job().env("TASKLOCK_URL", format!(" {}\n", site.url())),
        job().env("TASKLOCK_URL_FILE", file),
    ] {
        run.arg("true").run().expect_code(0).expect_silent();
    }
    let (_running, _gate) = site.hold(set("HOLDER", "pod-7"));
    let skipped = site.job().arg("true").run();
    skipped.expect_stderr("\"job\" is held by pod-7 pid ");
}

#[test]
fn certificates_of_the_site_do_not_bind_runs_that_go_elsewhere() {
    let site = Site::new();
    for name in ["TLS_CA", "TLS_CERT", "TLS_KEY"] {
        let run = site.job().env(&format!("TASKLOCK_{name}"), "/no/such");
        run.arg("true").run().expect_code(0).expect_silent();
    }
}

#[test]
fn what_belongs_to_one_run_is_not_read_from_the_environment() {
    let site = Site::new();
    let report = site.work.file("report");
    let inherited = |run: Tasklock| {
        [
            ("NAME", "other"),
            ("MAX_RUNTIME", "0"),
            ("KILL_AFTER", "0"),
            ("SIGNAL", "NOSUCH"),
            ("CONFLICT_EXIT_CODE", "x"),
            ("LOST_EXIT_CODE", "x"),
            ("ON_LOST", "x"),
            ("ON_UNAVAILABLE", "x"),
            ("REASON", "inherited"),
            ("FOREGROUND", "1"),
            ("NONBLOCK", "x"),
            ("WAIT", "forever"),
            ("SLOTS", "0"),
            ("MIN_HOLD", "x"),
            ("ONCE_PER", "0"),
            ("ONCE_KEY", "inherited"),
            ("ONCE_ATTEMPTS", "0"),
            ("JITTER", "x"),
            ("VERBOSE", "2"),
            ("COMMAND", "false"),
        ]
        .into_iter()
        .fold(run, |run, (name, value)| {
            run.env(&format!("TASKLOCK_{name}"), value)
        })
        .env("TASKLOCK_REPORT", &report)
    };
    let finished = inherited(site.job()).sh("echo $TASKLOCK_NAME").run();
    finished
        .expect_code(0)
        .expect_stdout("job\n")
        .expect_silent();
    assert!(!report.exists());
    let nameless = inherited(Tasklock::new().url(&site.url()))
        .arg("true")
        .run();
    nameless
        .expect_code(64)
        .expect_stderr("missing --name NAME");

    let (_running, _gate) = site.hold(inherited(site.job()));
    let skipped = inherited(site.job()).arg("true").run();
    skipped.expect_code(75);
    assert!(!skipped.stderr.contains("inherited"), "{skipped}");
}
