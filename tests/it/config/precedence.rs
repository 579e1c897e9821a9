//! A flag goes before a variable, a variable before the user's file, that before
//! the system's, and all of them before the default; in a file the section first.

use super::{Host, settings};

#[test]
fn each_source_goes_before_the_next() {
    let host = Host::new();
    let system = host.system("ttl = \"6m\"\n[lock.job]\nttl = \"5m\"\n");
    let user = host.user("ttl = \"4m\"\n[lock.job]\nttl = \"3m\"\n");
    let at = |path: &std::path::Path, line: u32| format!("{}:{line}", path.display());
    let etc = |line: u32| format!("/etc/tasklock/config.toml:{line}");
    let flag = || host.tasklock().env("TASKLOCK_TTL", "2m");
    let with_flag = flag()
        .args(["config", "--json", "--ttl", "1m", "job"])
        .run();
    assert!(
        with_flag
            .stdout
            .contains("\"source\":\"--ttl\",\"value\":\"1m\""),
        "{with_flag}"
    );
    let shown = |settings: super::Settings| (settings.value("ttl"), settings.source("ttl"));
    let expected = |value: &str, source: String| (value.to_owned(), source);
    assert_eq!(
        shown(settings(flag(), "job")),
        expected("2m", "TASKLOCK_TTL".into())
    );
    assert_eq!(
        shown(host.settings("job")),
        expected("3m", at(&user, 4 - 1))
    );
    host.user("ttl = \"4m\"\n");
    assert_eq!(shown(host.settings("job")), expected("4m", at(&user, 1)));
    host.user("");
    assert_eq!(shown(host.settings("job")), expected("5m", etc(3)));
    assert_eq!(shown(host.settings("other")), expected("6m", etc(1)));
    std::fs::remove_file(system).unwrap();
    assert_eq!(
        shown(host.settings("job")),
        expected("1m", "default".into())
    );
}

#[test]
fn the_user_goes_before_the_system_key_by_key() {
    let host = Host::new();
    host.system("ttl = \"6m\"\nquiet = true\n[lock.job]\nslots = 3\n");
    host.user("[lock.job]\nttl = \"3m\"\n");
    let job = host.settings("job");
    for (key, value) in [("ttl", "3m"), ("quiet", "true"), ("slots", "3")] {
        assert_eq!(job.value(key), value, "{key}");
    }
    assert_eq!(host.settings("other").value("ttl"), "6m");
}

#[test]
fn a_named_file_stands_in_for_the_user_s_and_not_for_the_system_s() {
    let host = Host::new();
    host.system("ttl = \"6m\"\njitter = 1\n");
    host.user("ttl = \"4m\"\nholder = \"user\"\n");
    let named = super::write(&host.home.file("named.toml"), "ttl = \"3m\"\n");
    let other = super::write(&host.home.file("other.toml"), "ttl = \"2m\"\n");
    let by_variable = || host.tasklock().env("TASKLOCK_CONFIG", &other);
    let by_flag = by_variable().arg("config").arg("--config").arg(&named);
    let by_flag = by_flag.args(["--json", "job"]).run();
    by_flag.expect_code(0).expect_silent();
    assert!(by_flag.stdout.contains("\"value\":\"3m\""), "{by_flag}");
    let by_variable = settings(by_variable(), "job");
    assert_eq!(by_variable.value("ttl"), "2m");
    assert_eq!(by_variable.value("jitter"), "1");
    assert_eq!(by_variable.source("holder"), "default");
    let none = settings(host.tasklock().env("TASKLOCK_CONFIG", "/dev/null"), "job");
    assert_eq!(none.value("ttl"), "6m");
    let empty = settings(host.tasklock().env("TASKLOCK_CONFIG", ""), "job");
    assert_eq!(empty.value("ttl"), "4m");
}

#[test]
fn an_empty_variable_is_not_set_and_one_that_says_no_is() {
    let host =
        Host::with_user("quiet = true\nttl = \"4m\"\nkey-prefix = \"p:\"\nholder = \"me\"\n");
    let names = ["QUIET", "TTL", "KEY_PREFIX", "HOLDER"];
    let empty = names.into_iter().fold(host.at_home(), |run, name| {
        run.env(&format!("TASKLOCK_{name}"), "")
    });
    let empty = settings(empty, "job");
    for (key, value) in [
        ("quiet", "true"),
        ("ttl", "4m"),
        ("key-prefix", "p:"),
        ("holder", "me"),
    ] {
        assert_eq!(empty.value(key), value, "{key}");
    }
    let no = settings(host.at_home().env("TASKLOCK_QUIET", "0"), "job");
    assert_eq!(
        (no.value("quiet"), no.source("quiet")),
        ("false".into(), "TASKLOCK_QUIET".into())
    );
}

#[test]
fn a_url_and_a_file_with_one_are_one_setting() {
    let host = Host::new();
    let file = super::write(&host.home.file("url"), "local:/from-file\n");
    let url_file = format!("url-file = \"{}\"\n", file.display());
    host.system(&url_file);
    assert_eq!(host.settings("job").0["store"], "local:/from-file");
    // The user's URL sets aside the system's file, a section's file the URL around it.
    host.user("url = \"local:/from-user\"\n");
    assert_eq!(host.settings("job").0["store"], "local:/from-user");
    assert_eq!(host.settings("job").value("url-file"), "null");
    host.user(format!(
        "url = \"local:/from-user\"\n[lock.job]\n{url_file}"
    ));
    assert_eq!(host.settings("job").0["store"], "local:/from-file");
    assert_eq!(host.settings("job").value("url"), "null");
    // A variable goes before either, in whichever way it names the store.
    let by_url = host.tasklock().env("TASKLOCK_URL", "local:/from-variable");
    assert_eq!(settings(by_url, "job").0["store"], "local:/from-variable");
    host.user("url = \"local:/from-user\"\n");
    let by_file = host.tasklock().env("TASKLOCK_URL_FILE", &file);
    assert_eq!(settings(by_file, "job").0["store"], "local:/from-file");
    // And a flag before both.
    let by_flag = host.tasklock().env("TASKLOCK_URL_FILE", &file);
    let by_flag = by_flag
        .args(["--url", "local:/none", "--name", "job", "true"])
        .run();
    by_flag.expect_code(78).expect_stderr("/none");
}

#[test]
fn nonblock_sets_aside_a_wait_and_a_wait_that_is_given_does_not() {
    let host = Host::with_user("wait = \"10m\"\n");
    let shown = |words: &[&str]| {
        let run = host
            .at_home()
            .args(["config", "--json"])
            .args(words.to_vec());
        let run = run.arg("job").run();
        run.expect_code(0);
        let settings = super::Settings(serde_json::from_str(&run.stdout).unwrap());
        (settings.value("wait"), settings.source("wait"))
    };
    assert_eq!(shown(&["-n"]), ("0".into(), "--nonblock".into()));
    assert_eq!(shown(&["-n", "-w", "5m"]), ("5m".into(), "--wait".into()));
    assert_eq!(
        shown(&["-w", "5m", "-n"]),
        ("0".into(), "--nonblock".into())
    );
    assert_eq!(shown(&[]).0, "10m");
}

#[test]
fn certificates_of_a_file_do_not_bind_a_run_that_goes_elsewhere() {
    let host = Host::with_user("url = \"rediss://h\"\ntls-ca = \"/nonexistent/ca\"\n");
    let run = host
        .at_home()
        .args(["--url", "local:", "--name", "elsewhere", "true"]);
    run.run().expect_code(0).expect_silent();
}

#[test]
fn several_urls_in_an_array_are_a_quorum() {
    let urls = "url = [\"redis://a\", \"redis://b\", \"redis://c\"]\n";
    let host = Host::with_user(urls);
    let shown = settings(host.at_home(), "job");
    assert_eq!(
        shown.value("url"),
        "[\"redis://a\",\"redis://b\",\"redis://c\"]"
    );
    host.user("url = [\"redis://a\", \"redis://b\"]\n");
    let two = host.at_home().args(["status", "job"]).run();
    super::refused(&two, 78, &["config.toml:1: url: "]);
}
