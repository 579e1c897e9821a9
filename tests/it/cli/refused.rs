//! Wrong words on the command line: one line, the right code, and nothing done.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::{Site, refused};
use crate::support::tasklock::Tasklock;

#[test]
fn every_wrong_value_is_refused_with_its_flag_and_what_would_be_right() {
    let site = Site::new();
    const DURATION: &str = "500ms, 30s, 5m, 1h30m, 1d";
    for (words, fragments) in [
        (
            &["--ttl", "0"][..],
            ["--ttl: \"0\" is no time at all", DURATION],
        ),
        (
            &["--ttl", "0.5"],
            ["--ttl: 500ms is too short", "at least 1s"],
        ),
        (
            &["--ttl", "-1"],
            ["--ttl: \"-1\" is not a duration", DURATION],
        ),
        (&["--ttl=-1"], ["--ttl: \"-1\" is not a duration", DURATION]),
        (
            &["--ttl", "abc"],
            ["--ttl: \"abc\" is not a duration", DURATION],
        ),
        (
            &["--ttl", "1x"],
            ["--ttl: \"1x\" is not a duration", DURATION],
        ),
        (&["--ttl", ""], ["--ttl: \"\" is not a duration", DURATION]),
        (
            &["--ttl", "NaN"],
            ["--ttl: \"NaN\" is not a duration", DURATION],
        ),
        (
            &["--ttl", "99999999999999999999"],
            ["--ttl: ", "too long: the limit is 100 years"],
        ),
        (
            &["-k", "0"],
            ["--kill-after: \"0\" is no time at all", DURATION],
        ),
        (
            &["--kill-after", "x"],
            ["--kill-after: \"x\" is not a duration", DURATION],
        ),
        (
            &["--max-runtime", "0"],
            ["--max-runtime: \"0\" is no time", DURATION],
        ),
        (
            &["--store-timeout", "0"],
            ["--store-timeout: \"0\" is no time", DURATION],
        ),
        (
            &["-E", "256"],
            ["--conflict-exit-code: \"256\"", "a number from 0 to 255"],
        ),
        (
            &["-E", "-1"],
            ["--conflict-exit-code: \"-1\"", "a number from 0 to 255"],
        ),
        (
            &["-E", "x"],
            ["--conflict-exit-code: \"x\"", "a number from 0 to 255"],
        ),
        (
            &["-E", ""],
            ["--conflict-exit-code: \"\"", "a number from 0 to 255"],
        ),
        (
            &["--lost-exit-code", "300"],
            ["--lost-exit-code: \"300\"", "from 0 to 255"],
        ),
        (
            &["--signal", "NOSUCH"],
            ["--signal: \"NOSUCH\" is not a signal", "like TERM"],
        ),
        (
            &["--signal", "0"],
            ["--signal: \"0\" is not a signal", "like TERM"],
        ),
        (
            &["--on-lost", "maybe"],
            ["--on-lost: \"maybe\" is not one of", "stop, continue"],
        ),
        (
            &["--on-unavailable", "maybe"],
            ["--on-unavailable: \"maybe\"", "fail, run, skip"],
        ),
        (
            &["--log-format", "xml"],
            ["--log-format: \"xml\" is not one of", "text, json"],
        ),
        (
            &["--log-format", ""],
            ["--log-format: \"\" is not one of", "text, json"],
        ),
        (
            &["--key-prefix", "a{b"],
            ["--key-prefix: ", "\"{\" or \"}\""],
        ),
        (
            &["--wait", "-1"],
            ["--wait: \"-1\" is not a duration", "1d, or forever"],
        ),
        (
            &["-w", "never"],
            ["--wait: \"never\" is not a duration", "1d, or forever"],
        ),
        (
            &["--wait", ""],
            ["--wait: \"\" is not a duration", "1d, or forever"],
        ),
        (
            &["-n", "--wait", "x"],
            ["--wait: \"x\" is not a duration", "1d, or forever"],
        ),
        (
            &["--wait", "101000d"],
            ["--wait: \"101000d\" is too long", "100 years, or forever"],
        ),
        (
            &["--slots", "0"],
            ["--slots: \"0\" is not", "a number from 1 to 1000"],
        ),
        (
            &["--slots", "-1"],
            ["--slots: \"-1\" is not", "a number from 1 to 1000"],
        ),
        (
            &["--slots", "1001"],
            ["--slots: \"1001\" is not", "a number from 1 to 1000"],
        ),
        (
            &["--slots", "2.5"],
            ["--slots: \"2.5\" is not", "a number from 1 to 1000"],
        ),
        (
            &["--slots", ""],
            ["--slots: \"\" is not", "a number from 1 to 1000"],
        ),
        (
            &["--slots", "99999999999999999999"],
            ["--slots: \"99999999999999999999\"", "from 1 to 1000"],
        ),
        (
            &["--min-hold", "-1"],
            ["--min-hold: \"-1\" is not a duration", DURATION],
        ),
        (
            &["--min-hold", "101000d"],
            ["--min-hold: \"101000d\" is", "the limit is 100 years"],
        ),
        (
            &["--min-hold", "forever"],
            ["--min-hold: \"forever\" is not a duration", DURATION],
        ),
        (
            &["--once-per", "0"],
            ["--once-per: \"0\" is no time at all", DURATION],
        ),
        (
            &["--once-per", "999ms"],
            ["--once-per: 999ms is too short", "at least 1s"],
        ),
        (
            &["--once-per", "daily"],
            ["--once-per: \"daily\" is not a duration", DURATION],
        ),
        (
            &["--once-key", ""],
            ["--once-key: a key cannot be empty", "a date"],
        ),
        (
            &["--once-key", "a\nb"],
            ["--once-key: a key cannot contain", "control characters"],
        ),
        (
            &["--once-attempts", "3"],
            ["--once-attempts: counts", "give its period with --once-per"],
        ),
        (
            &["--once-per", "1d", "--once-attempts", "0"],
            [
                "--once-attempts: \"0\" is not",
                "a number from 1 to 1000000",
            ],
        ),
        (
            &["--once-per", "1d", "--once-attempts", "-2"],
            ["--once-attempts: \"-2\" is not", "a number from 1 to"],
        ),
        (
            &["--history", "-1"],
            ["--history: \"-1\" is not", "a number from 0 to 200"],
        ),
        (
            &["--history", "201"],
            ["--history: \"201\" is not", "a number from 0 to 200"],
        ),
        (
            &["--replicas", "-1"],
            ["--replicas: \"-1\" is not", "a number from 0 to 1000"],
        ),
        (
            &["--replicas", "two"],
            ["--replicas: \"two\" is not", "a number from 0 to 1000"],
        ),
        (
            &["--replicas", "1"],
            ["--replicas: lock files have no replicas", "--url"],
        ),
        (
            &["--jitter", "-1"],
            ["--jitter: \"-1\" is not a duration", DURATION],
        ),
        (
            &["--jitter", "x"],
            ["--jitter: \"x\" is not a duration", DURATION],
        ),
    ] {
        site.refuses(site.job().args(words.iter().copied()), 64, &fragments);
    }
}

#[test]
fn a_key_has_as_many_characters_as_a_name() {
    let site = Site::new();
    let long = "ü".repeat(201);
    let fragments = ["--once-key: a key has at most 200 characters, this one has 201"];
    site.refuses(site.job().args(["--once-key", &long]), 64, &fragments);
    let just = "ü".repeat(200);
    let run = site.job().args(["--once-key", &just, "true"]).run();
    run.expect_code(0).expect_silent();
}

#[test]
fn to_run_without_the_store_does_not_go_with_what_only_the_store_knows() {
    for (words, fragments) in [
        (
            &["--slots", "1"][..],
            ["\"run\" does not go with --slots", "which places are free"],
        ),
        (
            &["--once-per", "1d"],
            ["\"run\" does not go with --once-per", "what has been done"],
        ),
        (
            &["--once-key", "v1"],
            ["\"run\" does not go with --once-key", "what has been done"],
        ),
    ] {
        let site = Site::new();
        let run = || site.job().args(words.iter().copied());
        site.refuses(run().args(["--on-unavailable", "run"]), 64, &fragments);
        let skip = run().args(["--on-unavailable", "skip", "true"]).run();
        skip.expect_code(0).expect_silent();
    }
}

#[test]
fn wrong_names_are_refused() {
    let site = Site::new();
    let long = "x".repeat(201);
    for (name, fragment) in [
        ("", "--name: a lock name cannot be empty"),
        (
            &long,
            "--name: a lock name has at most 200 characters, this one has 201",
        ),
        (
            "a\nb",
            "--name: a lock name cannot contain control characters",
        ),
        (
            "a\x1b[31mb",
            "--name: a lock name cannot contain control characters",
        ),
        ("a{b", "--name: a lock name cannot contain \"{\" or \"}\""),
        ("b}", "--name: a lock name cannot contain \"{\" or \"}\""),
    ] {
        site.refuses(Tasklock::named(name, &site.url()), 64, &[fragment]);
        let status = Tasklock::new().args(["status", "--url", &site.url(), "--", name]);
        refused(&status.run(), 64, &["a lock name "]);
    }
}

#[test]
fn missing_words_are_asked_for() {
    let url = Site::new().url();
    let run = |words: &[&str]| Tasklock::new().args(words.iter().copied()).run();
    for words in [&["--name", "x"][..], &["--name", "x", "--"]] {
        refused(&run(words), 64, &["missing COMMAND (see tasklock --help)"]);
    }
    refused(
        &run(&[]),
        64,
        &[
            "missing --name NAME and COMMAND",
            "or a subcommand (status, ",
        ],
    );
    refused(
        &run(&["--url", &url, "true"]),
        64,
        &["missing --name NAME: "],
    );
    refused(&run(&["statos", "x"]), 64, &[" doctor) as the first word"]);
    refused(
        &run(&["status"]),
        64,
        &["missing NAME (see tasklock --help)"],
    );
    refused(
        &run(&["history", "x", "--name", "y"]),
        64,
        &["--name", "cannot be used with"],
    );
    refused(
        &run(&["--name", "x", "--url", &url, ""]),
        64,
        &["COMMAND is empty"],
    );
    refused(
        &run(&["--name", "x", "--url", &url, "--", ""]),
        64,
        &["COMMAND is empty"],
    );
    refused(
        &run(&["--name"]),
        64,
        &["a value is required for '--name <NAME>'"],
    );
}

#[test]
fn unknown_flags_are_refused_with_a_hint_that_reads_well() {
    let site = Site::new();
    let flag = |flag: &str| site.job().arg(flag);
    site.refuses(
        flag("--repot"),
        64,
        &["unexpected argument '--repot' found; tip: a similar argument exists: '--report' (see tasklock --help)"],
    );
    let fragments = ["unexpected argument '--nonsense' found (see tasklock --help)"];
    site.refuses(flag("--nonsense"), 64, &fragments);
    site.refuses(flag("-Z"), 64, &["unexpected argument '-Z' found (see"]);
}

#[test]
fn a_url_in_the_wrong_place_does_not_show_its_password() {
    for words in [
        &["history", "x", "redis://:secret@h"][..],
        &["history", "x", "redis://:a secret' b@h"],
        &["history", "x", "unix:///s?pass=secret"],
        &["--name", "x", "--urls=redis://:secret@h", "true"],
        &["--name", "x", "--quiet=redis://:secret@h", "true"],
    ] {
        let finished = Tasklock::new().args(words.iter().copied()).run();
        refused(&finished, 64, &["found"]);
    }
    for word in [
        "redis://:secret@h",
        "redis://:a secret' b@h",
        "unix:///s?pass=secret",
    ] {
        for words in [&["status", "x", word][..], &["list", word]] {
            let finished = Tasklock::new().args(words.iter().copied()).run();
            refused(
                &finished,
                64,
                &["that looks like the URL of a store, give it with --url"],
            );
        }
    }
}

#[test]
fn a_ttl_without_room_is_refused_with_the_sum_and_the_least_that_fits() {
    let site = Site::new();
    for (ttl, kill_after, store_timeout) in [
        ("5s", "4s", None),
        ("60s", "10m", None),
        ("1s", "1s", Some("30s")),
    ] {
        let run = |ttl: &str| {
            let run = site.job().args(["--ttl", ttl, "-k", kill_after]);
            run.args(store_timeout.iter().flat_map(|it| ["--store-timeout", it]))
        };
        let finished = run(ttl).arg("true").run();
        refused(
            &finished,
            64,
            &["--ttl: a ttl of ", "kill-after ", " + drift ", " = "],
        );
        let (_, least) = finished
            .stderr
            .rsplit_once("the least ttl that fits is ")
            .unwrap();
        run(least.trim())
            .arg("true")
            .run()
            .expect_code(0)
            .expect_silent();
    }
    let sum = "kill-after 4s + margin 100ms + drift 250ms + 2 x store-timeout 416ms = 5.2s";
    let finished = site.job().args(["--ttl", "5s", "-k", "4s", "true"]).run();
    refused(&finished, 64, &[sum, "the least ttl that fits is 9s"]);
    let finished = site.job().args(["-k", "36000d", "true"]).run();
    refused(
        &finished,
        64,
        &[
            "--kill-after: a ttl of 1m",
            "no ttl fits, make the others shorter",
        ],
    );
    let run = site.job().env("TASKLOCK_STORE_TIMEOUT", "1h").arg("true");
    refused(
        &run.run(),
        78,
        &["TASKLOCK_STORE_TIMEOUT: a ttl of 1m leaves no room"],
    );
}

fn not_utf8(before: &str) -> OsString {
    let mut bytes = before.as_bytes().to_vec();
    bytes.push(0xff);
    OsString::from_vec(bytes)
}

#[test]
fn text_that_is_not_utf_8_is_refused_by_the_name_of_its_flag() {
    let site = Site::new();
    let invalid = || site.job().arg("--report").arg(site.work.file("r"));
    for (flag, named) in [
        ("--name", "--name: the value is not valid UTF-8"),
        ("--url", "--url: the value"),
        ("-u", "-u: the value"),
        ("--ttl", "--ttl: the value"),
        ("--reason", "--reason: the value"),
    ] {
        let run = Tasklock::new().arg(flag).arg(not_utf8("redis://:secret@h"));
        refused(&run.arg("true").run(), 64, &[named]);
    }
    let attached = [
        ("--ttl=secret", "--ttl: the value"),
        ("-usecret", "-u: the value"),
    ];
    for (words, named) in attached {
        refused(
            &invalid().arg(not_utf8(words)).arg("true").run(),
            64,
            &[named],
        );
    }
    let path = site.work.path().join(not_utf8("report"));
    let run = site
        .job()
        .arg("--report")
        .arg(path)
        .arg("--holder")
        .arg(not_utf8("x"));
    refused(&run.arg("true").run(), 64, &["--holder: the value"]);
    let status = Tasklock::new().arg("status").arg(not_utf8("x")).run();
    refused(&status, 64, &["an argument: the value is not valid UTF-8"]);
}

#[test]
fn where_no_text_is_needed_any_bytes_do() {
    let site = Site::new();
    let path = site.work.path().join(not_utf8("report"));
    let run = site
        .job()
        .arg("--report")
        .arg(&path)
        .arg("printf")
        .arg("%s");
    let finished = run.arg(not_utf8("x")).run();
    finished.expect_code(0).expect_silent();
    assert!(path.exists());
}
