//! The recipes of holding a lock across steps.

use std::collections::BTreeMap;
use std::process::Command;

use super::{Site, recipe, yaml};

/// The jobs of both recipes, which note that they ran under the lock.
fn site() -> Site {
    let site = Site::new();
    let note = |what: &str| format!("tasklock status deploy > seen-by-{what}; echo {what} >> ran");
    for what in ["build", "deploy"] {
        site.job(what, &note(what));
    }
    site
}

/// A shell in the site, with this environment on top.
fn shell(site: &Site, script: &str, more: &BTreeMap<String, String>) -> i32 {
    let path = std::env::var("PATH").unwrap();
    let here = site.scratch.path();
    let mut command = Command::new("bash");
    command.args(["-ec", script]).current_dir(here);
    command.env("PATH", format!("{}:{path}", here.display()));
    command.env("TASKLOCK_URL", site.url()).envs(more);
    command.status().unwrap().code().unwrap()
}

#[track_caller]
fn expect_done(site: &Site) {
    assert_eq!(site.scratch.read("ran"), "build\ndeploy\n");
    for what in ["build", "deploy"] {
        let seen = site.scratch.read(&format!("seen-by-{what}"));
        assert!(seen.contains("held by"), "{what}: {seen}");
    }
    let key = site.server.text(&["GET", "task_lock:deploy"]);
    assert_eq!(key, None);
}

#[test]
fn the_steps_of_a_shell_run_under_one_lock() {
    let site = site();
    assert_eq!(shell(&site, &recipe("steps"), &BTreeMap::new()), 0);
    expect_done(&site);
}

#[test]
fn the_steps_of_a_shell_end_where_the_lock_is_not_to_be_had() {
    let site = site();
    site.server
        .command(&["SET", "task_lock:deploy", "1", "PX", "60000"]);
    let script = recipe("steps").replace("--wait 10m", "");
    assert_eq!(shell(&site, &script, &BTreeMap::new()), 75);
    assert_eq!(site.scratch.read("ran"), "");
}

#[test]
fn the_steps_of_a_github_job_carry_the_lock_on() {
    let site = site();
    let job = yaml("github-steps");
    assert!(
        job["env"]["TASKLOCK_URL"]
            .as_str()
            .unwrap()
            .contains("secrets.")
    );
    let file = site.scratch.file("github-env");
    let mut environment = BTreeMap::new();
    for step in job["steps"].as_vec().unwrap() {
        environment.insert("GITHUB_ENV".to_owned(), file.display().to_string());
        let script = step["run"].as_str().unwrap();
        assert_eq!(shell(&site, script, &environment), 0, "{script}");
        // Each line is a variable of the steps after it, as it stands.
        for line in site.scratch.read("github-env").lines() {
            let (name, value) = line.split_once('=').unwrap();
            environment.insert(name.to_owned(), value.to_owned());
        }
    }
    expect_done(&site);
}
