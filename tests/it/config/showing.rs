//! What `tasklock config` shows, and what it hides.

use super::{Host, Settings, refused, write};

#[test]
fn every_option_is_shown_with_its_source_and_no_password() {
    let host = Host::with_user(
        "url = \"redis+sentinel://job:hunter2@a,b/main?sentinel_password=hunter2\"\n\
         [lock.job]\nslots = 3\nreason = \"tab\\there \\u007f\"\n",
    );
    let run = host.at_home().env("TASKLOCK_HOLDER", "me");
    let run = run.args(["config", "--ttl", "10s", "job"]).run();
    run.expect_code(0).expect_silent();
    assert!(!run.stdout.contains("hunter2"), "{run}");
    let file = host.user_file().display().to_string();
    let line = |start: &str| {
        let line = run.stdout.lines().find(|line| line.starts_with(start));
        line.unwrap_or_else(|| panic!("no {start:?}: {run}"))
            .to_owned()
    };
    for (start, source) in [
        (
            "url = \"redis+sentinel://job:***@a,b/main?sentinel_password=***\"",
            &format!("{file}:1")[..],
        ),
        ("slots = 3 ", &format!("{file}:3")),
        ("reason = \"tab\\there \\u007F\"", &format!("{file}:4")),
        ("ttl = \"10s\" ", "--ttl"),
        ("holder = \"me\" ", "TASKLOCK_HOLDER"),
        // A fifth and a twelfth of the ttl.
        ("kill-after = \"2s\" ", "default for this ttl"),
        ("store-timeout = \"833ms\" ", "default for this ttl"),
        ("wait = \"0\" ", "default"),
        ("# no once-per ", "default"),
    ] {
        assert!(
            line(start).ends_with(&format!("# {source}")),
            "{}",
            line(start)
        );
    }
    assert_eq!(line(&format!("# {file}")), format!("# {file}: read"));
    line("# /etc/tasklock/config.toml: ");
    line("[lock.\"job\"]");
}

#[test]
fn a_url_of_a_variable_is_masked_and_one_in_a_file_of_its_own_not_shown() {
    let host = Host::new();
    let run = host.at_home().env(
        "TASKLOCK_URL",
        "redis://:hunter2@a redis://:hunter2@b redis://c",
    );
    let run = run.args(["config", "job"]).run();
    run.expect_code(0).expect_silent();
    assert!(!run.stdout.contains("hunter2"), "{run}");
    assert!(
        run.stdout
            .contains("url = [\"redis://:***@a\",\"redis://:***@b\",\"redis://c\"]"),
        "{run}"
    );
    let file = write(&host.home.file("url"), "redis://:hunter2@h/2");
    let run = host.at_home().env("TASKLOCK_URL_FILE", &file);
    let run = run.args(["config", "job"]).run();
    assert!(!run.stdout.contains("hunter2"), "{run}");
    assert!(run.stdout.contains("# store: redis://h:6379/2\n"), "{run}");
    assert!(run.stdout.contains("# no url "), "{run}");
}

#[test]
fn what_is_shown_is_a_file_that_says_the_same() {
    let host = Host::with_user(
        "url = [\"redis://a\", \"redis://b\", \"redis://c\"]\nttl = 90\nwait = \"forever\"\n\
         quiet = true\n[lock.\"a job\"]\nonce-per = \"1d\"\nreason = \"\\\"quoted\\\" \\u009b\"\n",
    );
    let shown = |run: crate::support::tasklock::Tasklock| {
        let run = run.args(["config", "a job"]).run();
        run.expect_code(0).expect_silent();
        run.stdout.clone()
    };
    let settings = |text: &str| -> Vec<String> {
        let lines = text.lines().skip_while(|line| !line.starts_with('['));
        let values = lines.map(|line| line.rsplit_once("  #").map_or(line, |it| it.0));
        values.map(|line| line.trim().to_owned()).collect()
    };
    let first = shown(host.at_home());
    let copy = write(&host.home.file("copy.toml"), &first);
    let again = shown(host.at_home().env("TASKLOCK_CONFIG", copy));
    assert_eq!(settings(&first), settings(&again));
    assert!(settings(&first).len() > 25, "{first}");
}

#[test]
fn json_has_the_same_in_one_line() {
    let host = Host::with_user("ttl = \"4m\"\n[lock.job]\nslots = 3\n");
    let run = host.at_home().args(["config", "--json", "job"]).run();
    run.expect_code(0).expect_silent();
    assert_eq!(run.stdout.lines().count(), 1);
    let Settings(json) = Settings(serde_json::from_str(&run.stdout).unwrap());
    assert_eq!(json["name"], "job");
    assert_eq!(json["store"], "local:");
    assert_eq!(json["files"][0]["path"], host.user_file().to_str().unwrap());
    assert_eq!(json["files"][0]["found"], true);
    assert_eq!(json["settings"]["slots"]["value"], 3);
    assert_eq!(
        json["settings"]["max-runtime"]["value"],
        serde_json::Value::Null
    );
    assert_eq!(json["settings"].as_object().unwrap().len(), 30);
}

#[test]
fn names_are_those_of_both_files_and_a_broken_file_has_none() {
    let host = Host::new();
    host.system("[lock.b]\n[lock.a]\n");
    host.user("[lock.\"c d\"]\n[lock.a]\n");
    let names = || host.tasklock().args(["config", "--names"]).run();
    names()
        .expect_code(0)
        .expect_silent()
        .expect_stdout("a\nb\nc d\n");
    host.user("[lock.\"c d\"\n");
    refused(&names(), 78, &["config.toml:1:"]);
    let none = Host::new();
    let names = none
        .at_home()
        .args(["config", "--names", "--config", "/dev/null"]);
    names.run().expect_code(0).expect_silent();
}

#[test]
fn status_and_unlock_go_by_the_section_of_their_lock() {
    let host = Host::with_user("[lock.job]\nurl = \"local:/nonexistent/locks\"\n");
    for subcommand in ["status", "unlock"] {
        let ask = |words: &[&str]| host.at_home().arg(subcommand).args(words.to_vec()).run();
        for words in [&["job"][..], &["--name", "job"]] {
            refused(&ask(words), 78, &["/nonexistent/locks"]);
        }
        ask(&["other"]).expect_code(0);
    }
}
