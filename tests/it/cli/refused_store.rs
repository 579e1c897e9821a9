//! Stores that cannot be: one line that says where the URL came from, and no password.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::{Site, refused};
use crate::support::tasklock::Tasklock;

fn job() -> Tasklock {
    Tasklock::new().args(["--name", "job"])
}

#[test]
fn wrong_urls_are_refused_by_the_name_of_where_they_came_from() {
    let site = Site::new();
    for (url, fragment) in [
        (
            "http://u:secret@h/",
            "unknown store \"http\", a store URL begins with local:, redis://",
        ),
        ("h:6379", "the store URL has no scheme"),
        (":secret@h", "the store URL has no scheme"),
        ("redis://:secret@h:99999", "invalid port number"),
        ("redis://:secret@h:abc", "invalid port number"),
        ("redis://:secret@h:-1", "invalid port number"),
        ("redis://:secret@", "host"),
        ("redis://:secret@:6379", "host"),
        ("redis://", "the redis URL has no host"),
        ("redis:///0", "the redis URL has no host"),
        (
            "redis://:secret@h/abc",
            "the database in the store URL is a number",
        ),
        (
            "redis://:secret@h/-1",
            "the database in the store URL is a number",
        ),
        ("redis://:sec#secret@h/0", "redis://[user:pass@]host"),
        ("redis://:sec/secret@h/0", "redis://[user:pass@]host"),
        ("redis://:secret@h?x=secret", "takes no options"),
        (
            "unix://h?pass=secret",
            "the unix URL takes an absolute path",
        ),
        ("unix:///s?x=secret", "unknown option"),
        (
            "redis+cluster://:secret@h/2",
            "the store URL names a database",
        ),
        ("redis+cluster://:secret@h,", "the store URL has no host"),
        ("redis+cluster://:sec/secret@h", "special characters as %XX"),
        (
            "local:relative",
            "local: takes an absolute directory, as in local:/dir",
        ),
        ("local://h/dir", "local: takes a directory, not a host"),
    ] {
        site.refuses(job().url(url), 78, &["--url: ", fragment]);
        let variable = job().env("TASKLOCK_URL", url);
        site.refuses(variable, 78, &["TASKLOCK_URL: ", fragment]);
        let file = site.work.write("url", format!("{url}\n"));
        let source = format!("--url-file {}: ", file.display());
        site.refuses(job().arg("--url-file").arg(&file), 78, &[&source, fragment]);
    }
    site.refuses(job().url(""), 78, &["--url: the store URL is empty"]);
    site.refuses(
        job().args(["--url", "redis://:secret@h redis://h"]),
        78,
        &["--url: ", "white space"],
    );
}

#[test]
fn two_urls_are_refused_in_every_form() {
    let site = Site::new();
    let several = ["two nodes are no quorum"];
    site.refuses(
        job().url("redis://:secret@a").url("redis://b"),
        78,
        &several,
    );
    let two = "redis://:secret@a redis://:secret@b";
    site.refuses(job().env("TASKLOCK_URL", two), 78, &several);
    let file = site.work.write("urls", two.replace(' ', "\n"));
    site.refuses(job().arg("--url-file").arg(file), 78, &several);
}

#[test]
fn only_one_way_to_name_a_store_is_taken() {
    let site = Site::new();
    let file = site.work.write("url", site.url());
    let both = site.job().arg("--url-file").arg(&file);
    site.refuses(both, 64, &["--url and --url-file: give only one of them"]);
    let both = job().env("TASKLOCK_URL", site.url());
    let both = both.env("TASKLOCK_URL_FILE", &file);
    site.refuses(
        both,
        78,
        &["TASKLOCK_URL and TASKLOCK_URL_FILE: set only one of them"],
    );
}

#[test]
fn a_file_that_gives_no_url_is_named() {
    let site = Site::new();
    let empty = site.work.write("empty", " \n\n");
    let binary = site.work.write("binary", b"redis://:secret\xff@h");
    let (missing, directory) = (site.work.file("missing"), site.work.path().to_owned());
    for (path, reason) in [
        (&missing, "no such file or directory"),
        (&directory, "is a directory"),
        (&empty, "holds no URL"),
        (&binary, "did not contain valid UTF-8"),
    ] {
        let path_text = path.to_str().unwrap();
        let flag = job().arg("--url-file").arg(path);
        site.refuses(flag, 78, &["--url-file: ", path_text, reason]);
        let variable = job().env("TASKLOCK_URL_FILE", path);
        site.refuses(variable, 78, &["TASKLOCK_URL_FILE: ", path_text, reason]);
    }
    let flag = job().args(["--url-file", ""]);
    site.refuses(flag, 64, &["--url-file: the file name is empty"]);
}

#[test]
fn a_lock_directory_that_is_missing_or_none_is_named() {
    let site = Site::new();
    let run = |path: &str| job().url(&format!("local:{path}"));
    let missing = site.work.file("missing");
    let missing = missing.to_str().unwrap();
    let fragments = [
        "cannot use the lock directory ",
        missing,
        "it does not exist; create it first",
    ];
    site.refuses(run(missing), 78, &fragments);
    assert!(!std::path::Path::new(missing).exists());
    let file = site.work.write("file", "");
    let file = file.to_str().unwrap();
    site.refuses(
        run(file),
        78,
        &["cannot use the lock directory ", file, "not a directory"],
    );
}

#[test]
fn certificates_that_cannot_be_read_are_named_by_flag_or_variable() {
    let site = Site::new();
    let empty = site.work.write("empty", "");
    let empty = empty.to_str().unwrap();
    let tls = || job().url("rediss://:secret@127.0.0.1:1");
    for (path, reason) in [
        ("/no/such", "no such file or directory"),
        (empty, "no certificate"),
    ] {
        site.refuses(
            tls().args(["--tls-ca", path]),
            78,
            &["--tls-ca ", path, reason],
        );
        let variable = tls().env("TASKLOCK_TLS_CA", path);
        site.refuses(variable, 78, &["TASKLOCK_TLS_CA ", path, reason]);
    }
    for (one, other) in [("cert", "key"), ("key", "cert")] {
        let flag = tls().args([&format!("--tls-{one}"), empty]);
        let needs = format!("--tls-{one} needs --tls-{other} as well");
        site.refuses(flag, 78, &[&needs]);
    }
    site.refuses(
        tls().args(["--tls-ca", ""]),
        64,
        &["--tls-ca: the file name is empty"],
    );
    let plain = job()
        .url("redis://:secret@127.0.0.1:1")
        .args(["--tls-ca", empty]);
    site.refuses(
        plain,
        78,
        &["--tls-ca needs a store URL that begins with rediss://"],
    );
}

#[test]
fn variables_with_wrong_values_are_refused_by_name() {
    let site = Site::new();
    for (name, value, fragment) in [
        ("TTL", "0", "TASKLOCK_TTL: \"0\" is no time at all"),
        (
            "TTL",
            "0.5",
            "TASKLOCK_TTL: 500ms is too short: give at least 1s",
        ),
        ("TTL", "abc", "TASKLOCK_TTL: \"abc\" is not a duration"),
        (
            "STORE_TIMEOUT",
            "0",
            "TASKLOCK_STORE_TIMEOUT: \"0\" is no time at all",
        ),
        (
            "STORE_TIMEOUT",
            "-1",
            "TASKLOCK_STORE_TIMEOUT: \"-1\" is not a duration",
        ),
        ("KEY_PREFIX", "a{", "TASKLOCK_KEY_PREFIX: "),
        (
            "LOG_FORMAT",
            "xml",
            "TASKLOCK_LOG_FORMAT: \"xml\" is not one of text, json",
        ),
        (
            "QUIET",
            "maybe",
            "TASKLOCK_QUIET: \"maybe\" is neither yes nor no: give 1 or 0, yes or no",
        ),
    ] {
        let run = site.job().env(&format!("TASKLOCK_{name}"), value);
        site.refuses(run, 78, &[fragment]);
    }
    let acquire = Tasklock::new().args(["acquire", "job", "--ttl", "9", "--url", &site.url()]);
    let acquire = acquire.env("TASKLOCK_QUIET", "2").run();
    refused(
        &acquire,
        78,
        &["TASKLOCK_QUIET: \"2\" is neither yes nor no"],
    );
    for name in [
        "TTL",
        "STORE_TIMEOUT",
        "KEY_PREFIX",
        "LOG_FORMAT",
        "HOLDER",
        "QUIET",
    ] {
        let variable = format!("TASKLOCK_{name}");
        let value = OsString::from_vec(b"secret\xff".to_vec());
        // A path may hold any bytes, and is not to be blamed.
        let run = site.job().env("TASKLOCK_TLS_CA", value.clone());
        let named = format!("{variable}: the value is not valid UTF-8");
        site.refuses(run.env(&variable, value), 78, &[&named]);
    }
    let value = OsString::from_vec(b"redis://:secret@\xff".to_vec());
    site.refuses(
        job().env("TASKLOCK_URL", value),
        78,
        &["TASKLOCK_URL: the value is not valid"],
    );
}
