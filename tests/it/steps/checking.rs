//! `check`, above all in the command of a run: nothing but its environment says which lock.

use std::fs;

use super::{Site, TASKLOCK};
use crate::support::redis::Server;
use crate::support::scratch::Scratch;
use crate::support::tasklock::Tasklock;

/// A run of `job` whose settings are flags, with the question as `$CHECK`.
fn run(site: &Site) -> Tasklock {
    Tasklock::named("job", &site.url)
        .env("CHECK", format!("{TASKLOCK} check"))
        .directory(site.work.path())
}

#[test]
fn the_command_of_a_run_needs_no_arguments() {
    for site in Site::both() {
        let silent = run(&site).sh("cd / && $CHECK").run();
        silent.expect_code(0).expect_silent().expect_stdout("");
        let told = run(&site).sh("$CHECK -v").run();
        told.expect_code(0).expect_silent();
        assert!(
            told.stdout.starts_with("job: held by this token, "),
            "{told}"
        );
        // What the environment said of another store is not believed.
        for (variable, value) in [
            ("TASKLOCK_URL", "redis://127.0.0.1:1"),
            ("TASKLOCK_URL_FILE", "/nonexistent"),
        ] {
            let misled = run(&site).env(variable, value).sh("$CHECK").run();
            misled.expect_code(0).expect_silent();
        }
    }
}

#[test]
fn a_prefix_and_a_file_with_a_relative_name_reach_the_command() {
    let site = Site::redis();
    site.work.write("url", &site.url);
    let script = format!("cd / && {TASKLOCK} check && echo ${{TASKLOCK_URL-unset}}");
    let run = Tasklock::new()
        .args(["--name", "job", "--url-file", "url"])
        .args(["--key-prefix", "other:"])
        .directory(site.work.path())
        .sh(&script)
        .run();
    run.expect_code(0).expect_silent().expect_stdout("unset\n");
    assert_eq!(site.server().number(&["EXISTS", "{other:job}:st"]), 1);
}

#[test]
fn a_prefix_of_nothing_or_blanks_reaches_the_command_and_the_runs_inside_it() {
    for prefix in ["", " "] {
        let site = Site::redis();
        let config = format!("{TASKLOCK} config | grep key-prefix");
        let script = format!("{TASKLOCK} check && {TASKLOCK} --name inner true && {config}");
        let run = Tasklock::named("job", &site.url)
            .args(["--key-prefix", prefix])
            .env("TASKLOCK_KEY_PREFIX", "inherited:")
            .sh(&script)
            .run();
        run.expect_code(0).expect_silent();
        let shown = format!("key-prefix = \"{prefix}\"");
        assert!(run.stdout.starts_with(&shown), "{run}");
        assert!(run.stdout.ends_with("# TASKLOCK_KEY_PREFIX\n"), "{run}");
        for name in ["job", "inner"] {
            let key = format!("{{{prefix}{name}}}:st");
            assert_eq!(site.server().number(&["EXISTS", &key]), 1, "{key}: {run}");
        }
        for elsewhere in ["{inherited:inner}:st", "{task_lock:inner}:st"] {
            assert_eq!(site.server().number(&["EXISTS", elsewhere]), 0, "{run}");
        }
    }
}

#[test]
fn several_urls_reach_the_command() {
    let servers = [Server::start(), Server::start(), Server::start()];
    let urls = servers.each_ref().map(Server::url).join(" ");
    let run = Tasklock::named("job", &urls);
    let run = run.sh(&format!("{TASKLOCK} check && echo $TASKLOCK_URL"));
    let run = run.run();
    run.expect_code(0).expect_silent();
    run.expect_stdout(&format!("{urls}\n"));
}

#[test]
fn what_came_from_the_environment_stays_as_it_was() {
    let site = Site::redis();
    let script = format!("{TASKLOCK} check; echo $? ${{TASKLOCK_URL-unset}}");
    let run = || Tasklock::new().args(["--name", "job"]).sh(&script);
    let told = run().env("TASKLOCK_URL", &site.url).run();
    told.expect_stdout(&format!("0 {}\n", site.url));
    run().run().expect_stdout("0 unset\n");
}

#[test]
fn a_directory_with_a_blank_in_its_name_reaches_the_command() {
    let scratch = Scratch::new();
    let directory = scratch.file("with a blank");
    fs::create_dir(&directory).unwrap();
    let url = format!("local:{}", directory.display());
    let run = Tasklock::new().args(["--name", "job", "--url", &url]);
    let run = run.args(["--", TASKLOCK, "check"]).run();
    run.expect_code(0).expect_silent();
}

#[test]
fn of_nested_runs_each_command_asks_for_its_own_lock() {
    for site in Site::both() {
        let inner = format!("{TASKLOCK} --name inner -- {TASKLOCK} check -v");
        let run = run(&site).sh(&format!("{inner} && $CHECK -v")).run();
        run.expect_code(0).expect_silent();
        let names = run.stdout.lines().map(|line| line.split(':').next());
        let names: Vec<_> = names.flatten().collect();
        assert_eq!(names, ["inner", "job"], "{run}");
    }
}

#[test]
fn a_command_whose_lock_was_freed_by_force_is_told_so() {
    for site in Site::both() {
        let unlock = format!("{TASKLOCK} unlock --force job > unlocked");
        let run = run(&site).sh(&format!("{unlock}; $CHECK; echo $?")).run();
        run.expect_stderr("\"job\" is not held by this token");
        assert_eq!(run.stdout, "79\n", "{run}");
    }
}

#[test]
fn a_command_may_give_its_own_lock_back_and_its_run_has_lost_it_then() {
    for site in Site::both() {
        let script = format!("{TASKLOCK} release && exec sleep 600");
        let run = run(&site).args(["--ttl", "6s"]).sh(&script).run();
        run.expect_code(79).expect_stderr("lost \"job\"");
        site.expect_free();
    }
}

#[test]
fn asking_takes_one_request_and_writes_nothing() {
    let site = Site::redis();
    site.acquire("--token only-looked-at");
    let monitor = site.server().monitor();
    site.run("check --token only-looked-at").expect_code(0);
    site.run("check --token somebody-elses").expect_code(79);
    assert_eq!(monitor.names(), ["EVAL", "EVAL"]);
    let inside = monitor.in_scripts();
    // What a replica refuses deletes a field that does not exist.
    let reads = ["TIME", "GET", "HMGET", "HGET", "PTTL", "HDEL"];
    let is_read = |words: &Vec<String>| reads.contains(&words[0].to_uppercase().as_str());
    assert!(inside.iter().all(is_read), "{inside:?}");
}
