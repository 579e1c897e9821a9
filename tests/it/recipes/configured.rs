//! The configuration file of the README, and the line of a crontab that goes with it.

use serde_json::Value;

use super::{EXAMPLE_URL, Site, recipe};

#[test]
fn a_cron_line_with_nothing_but_the_name_runs_by_the_file() {
    let site = Site::new();
    site.job(
        "backup.sh",
        "tasklock status \"$TASKLOCK_NAME\" >seen; true",
    );
    let text = recipe("config").replace(EXAMPLE_URL, &site.url());
    let file = site.scratch.write("config.toml", text);
    let line = recipe("named");
    let command = line.trim().strip_prefix("0 2 * * * ").unwrap();
    // What cron sets, and where the file is: cron's HOME is the tests'.
    let words = ["env", "-u", "TASKLOCK_URL", "sh", "-c", command];
    let run = site.program(words).env("TASKLOCK_CONFIG", &file);
    run.run().expect_code(0).expect_silent();
    assert!(site.scratch.read("seen").starts_with("backup: held by"));
    // It succeeded, and once-per holds; quiet says nothing of it.
    let again = site.program(words).env("TASKLOCK_CONFIG", &file).run();
    again.expect_code(75).expect_silent();
}

#[test]
fn every_key_of_the_example_counts() {
    let site = Site::new();
    let file = site.scratch.write("config.toml", recipe("config"));
    let settings = |name: &str| -> Value {
        let words = [
            "env",
            "-u",
            "TASKLOCK_URL",
            "tasklock",
            "config",
            "--json",
            name,
        ];
        let run = site.program(words).env("TASKLOCK_CONFIG", &file).run();
        run.expect_code(0);
        serde_json::from_str(&run.stdout).unwrap()
    };
    let value = |of: &Value, key: &str| of["settings"][key]["value"].clone();
    let backup = settings("backup");
    for (key, expected) in [
        ("ttl", "5m"),
        ("wait", "10m"),
        ("max-runtime", "6h"),
        ("once-per", "1d"),
    ] {
        assert_eq!(value(&backup, key), expected, "{key}");
    }
    let import = settings("import.eu");
    assert_eq!(value(&import, "ttl"), "2m");
    assert_eq!(value(&import, "slots"), 4);
    assert_eq!(value(&import, "kill-after"), "20");
    assert_eq!(value(&import, "on-lost"), "continue");
    for lock in [&backup, &import] {
        assert_eq!(value(lock, "url"), EXAMPLE_URL);
        assert_eq!(value(lock, "quiet"), true);
    }
}
