//! What is wrong in a file: one line with file, line and key, 78, and nothing run.

use super::{Host, refused};

/// A file, and what is said of it after its name.
const WRONG: &[(&str, &[&str])] = &[
    // Keys.
    (
        "tttl = 5",
        &[":1: tttl: there is no such key; did you mean ttl?"],
    ),
    (
        "\n\nkill_after = 5",
        &[":3: kill_after: ", "did you mean kill-after?"],
    ),
    ("TTL = 5", &[":1: TTL: ", "did you mean ttl?"]),
    ("interval = 5", &[":1: interval: ", "see tasklock.toml(5)"]),
    ("name = \"x\"", &[":1: name: there is no such key"]),
    (
        "[lock.backup]\nwaitt = 5",
        &[":2: lock.backup.waitt: ", "did you mean wait?"],
    ),
    (
        "[locks.backup]\nttl = 5",
        &[":1: locks: ", "did you mean lock?"],
    ),
    ("[lock]\nttl = 5", &[":2: lock.ttl: ", "[lock.NAME]"]),
    ("lock = 5", &[":1: lock: ", "[lock.NAME]"]),
    (
        "[[lock.backup]]\nttl = 5",
        &[":1: lock.backup: ", "[lock.NAME]"],
    ),
    ("[lock.a.b]\nttl = 5", &[":1: lock.a.b: ", "[lock.\"a.b\"]"]),
    (
        "\"\\u001b[2J\" = 1",
        &[":1: \"\\u{1b}[2J\": there is no such key"],
    ),
    // What belongs to one lock.
    (
        "slots = 4",
        &[":1: slots: belongs to a lock: write it below [lock.NAME]"],
    ),
    ("once-key = \"v\"", &[":1: once-key: belongs to a lock"]),
    ("report = \"/x\"", &[":1: report: belongs to a lock"]),
    // Names.
    (
        "[lock.\"a{b}\"]",
        &[":1: lock.\"a{b}\": a lock name cannot contain"],
    ),
    (
        "[lock.\"\"]",
        &[":1: lock.\"\": a lock name cannot be empty"],
    ),
    (
        "[lock.\"a\\nb\"]",
        &[":1: lock.\"a\\nb\": a lock name cannot contain control"],
    ),
    // Types.
    (
        "ttl = true",
        &[":1: ttl: a duration is wanted: \"5m\" in quotes"],
    ),
    ("ttl = [1]", &[":1: ttl: a duration is wanted"]),
    ("wait = 2026-11-23", &[":1: wait: a duration is wanted"]),
    ("quiet = \"yes\"", &[":1: quiet: true or false is wanted"]),
    ("quiet = 1", &[":1: quiet: true or false"]),
    ("holder = 5", &[":1: holder: a text in quotes is wanted"]),
    (
        "[lock.x]\nonce-key = 2026-11-23",
        &[":2: lock.x.once-key: a text in quotes"],
    ),
    (
        "[lock.x]\nslots = \"4\"",
        &[":2: lock.x.slots: a whole number is wanted"],
    ),
    (
        "[lock.x]\nslots = 1.5",
        &[":2: lock.x.slots: a whole number"],
    ),
    ("url = 5", &[":1: url: a URL in quotes is wanted"]),
    ("url = []", &[":1: url: a URL in quotes is wanted"]),
    (
        "url = [\"redis://a\", 5]",
        &[":1: url: a URL in quotes is wanted"],
    ),
    (
        "url-file = \"hunter2\"",
        &[":1: url-file: the absolute path of a file"],
    ),
    ("tls-ca = \"\"", &[":1: tls-ca: the absolute path"]),
    (
        "[lock.x]\nreport = \"fd:3\"",
        &[":2: lock.x.report: the absolute path"],
    ),
    (
        "allow-readable-secrets = 1",
        &[":1: allow-readable-secrets: true or false"],
    ),
    (
        "url = \"local:\"\nurl-file = \"/x\"",
        &[":1: url: does not go with url-file"],
    ),
    // Values.
    (
        "ttl = \"5x\"",
        &[":1: ttl: \"5x\" is not a duration", "1h30m"],
    ),
    ("ttl = 0", &[":1: ttl: \"0\" is no time at all"]),
    ("ttl = 0.5", &[":1: ttl: 500ms is too short"]),
    ("ttl = -5", &[":1: ttl: \"-5\" is not a duration"]),
    ("ttl = inf", &[":1: ttl: \"inf\" is not a duration"]),
    (
        "ttl = 99999999999999999999999999999999999999999999",
        &[":1: ttl: "],
    ),
    ("ttl = 1e300", &[":1: ttl: ", "too long"]),
    ("wait = \"never\"", &[":1: wait: ", "or forever"]),
    ("jitter = \"\"", &[":1: jitter: \"\" is not a duration"]),
    ("signal = \"NONE\"", &[":1: signal: "]),
    (
        "on-lost = \"explode\"",
        &[":1: on-lost: \"explode\" is not one of stop, continue"],
    ),
    (
        "conflict-exit-code = 256",
        &[":1: conflict-exit-code: \"256\" is not a number from 0 to 255"],
    ),
    ("replicas = -1", &[":1: replicas: \"-1\" is not a number"]),
    ("key-prefix = \"{x}\"", &[":1: key-prefix: a prefix cannot"]),
    ("url = \"ftp://h\"", &[":1: url: unknown store \"ftp\""]),
    ("url = \"\"", &[":1: url: the store URL is empty"]),
    ("url = \"redis://:hunter2@h#x\"", &[":1: url: "]),
    (
        "url-file = \"/nonexistent/url\"",
        &[":1: url-file: cannot read /nonexistent/url: no such"],
    ),
    (
        "url = \"rediss://h\"\ntls-ca = \"/nonexistent/ca\"",
        &[":2: tls-ca: cannot read tls-ca /nonexistent/ca: no such"],
    ),
    (
        "[lock.job]\nslots = 0",
        &[":2: lock.job.slots: \"0\" is not a number from 1"],
    ),
    (
        "[lock.job]\nonce-key = \"\"",
        &[":2: lock.job.once-key: a key cannot be empty"],
    ),
    (
        "[lock.job]\nonce-attempts = 3",
        &[":2: lock.job.once-attempts: ", "--once-per"],
    ),
    (
        "on-unavailable = \"run\"\n[lock.job]\nslots = 2",
        &[":1: on-unavailable: \"run\" does not go with --slots"],
    ),
    (
        "kill-after = \"1m\"",
        &[
            ":1: kill-after: a ttl of 1m leaves no room",
            "the least ttl",
        ],
    ),
    (
        "ttl = \"1m\"\nkill-after = \"1m\"",
        &[":1: ttl: a ttl of 1m leaves no room"],
    ),
    // What is not TOML.
    ("ttl = ", &[":1:", ": not TOML: "]),
    ("ttl = 5\nttl = 6", &[":2:1: not TOML: duplicate key"]),
    ("quiet = true\n[lock.x\nttl = 5", &[":2:8: not TOML: "]),
    ("ttl = 5m", &[":1:7: not TOML: "]),
    ("ttl = \"5m", &[":1:", ": not TOML: "]),
    ("\u{feff}ttl = \u{1}", &[":1:", ": not TOML: "]),
    ("redis://:hunter2@host", &[":1:", ": not TOML: "]),
];

#[test]
fn what_is_wrong_in_a_file_is_told_with_file_line_and_key_and_nothing_is_run() {
    for (text, fragments) in WRONG {
        let host = Host::with_user(text);
        let run = host.at_home().args(["--name", "job", "--", "echo", "ran"]);
        let run = run.run();
        let start = format!("tasklock: {}:", host.user_file().display());
        assert!(run.stderr.starts_with(&start), "{text:?}: {run}");
        refused(&run, 78, fragments);
    }
}

#[test]
fn the_first_key_that_is_wrong_is_told() {
    let host = Host::with_user("ttl = 5\nzebra = 1\nquiet = 3\naardvark = 1\n");
    let run = host.at_home().args(["status", "job"]).run();
    refused(&run, 78, &["config.toml:2: zebra: "]);
}

#[test]
fn a_wrong_value_says_nothing_where_another_one_counts() {
    let host = Host::with_user("ttl = \"x\"\n[lock.sane]\nttl = \"2m\"\n");
    let job = || host.at_home().args(["--url", "local:", "--name", "sane"]);
    job().arg("true").run().expect_code(0).expect_silent();
    let other = host.at_home().args(["--url", "local:", "--name", "other"]);
    refused(&other.arg("true").run(), 78, &["config.toml:1: ttl: "]);
    let flag = host.at_home().args(["--url", "local:", "--name", "other"]);
    let flag = flag.args(["--ttl", "2m", "true"]).run();
    flag.expect_code(0).expect_silent();
}

#[test]
fn without_a_name_config_checks_every_section() {
    let host = Host::with_user("[lock.a]\nttl = \"2m\"\n[lock.b]\nttl = \"x\"\n");
    let config = |words: &[&str]| host.at_home().arg("config").args(words.to_vec()).run();
    refused(&config(&[]), 78, &["config.toml:4: lock.b.ttl: \"x\""]);
    refused(&config(&["b"]), 78, &["config.toml:4: lock.b.ttl: \"x\""]);
    config(&["a"]).expect_code(0).expect_silent();
}

#[test]
fn the_format_that_a_file_asks_for_holds_for_what_is_wrong_after_it() {
    let host = Host::with_user("log-format = \"json\"\nttl = \"x\"\n");
    let run = |words: &[&str]| {
        let run = host.at_home().args(words.to_vec());
        run.args(["--name", "job", "true"]).run()
    };
    let json = run(&[]);
    json.expect_code(78);
    let event: serde_json::Value = serde_json::from_str(&json.stderr).unwrap();
    assert!(event["message"].as_str().unwrap().contains(":2: ttl: "));
    let text = run(&["--log-format", "text"]);
    refused(&text, 78, &[":2: ttl: "]);
}
