//! The recipes of the README, run as they stand there.
//!
//! A fenced block after `<!-- recipe: NAME -->` is one. Of its text only the server's address is
//! replaced; the jobs it names are scripts of the test's own, in a directory that is in `PATH`.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use yaml_rust2::{Yaml, YamlLoader};

use crate::docs::{file, readme_section, text};
use crate::support::redis::Server;
use crate::support::running::Running;
use crate::support::scratch::Scratch;
use crate::support::tasklock::Tasklock;

mod configured;
mod steps;
mod waiting;

/// The server that the recipes speak of.
const EXAMPLE_URL: &str = "redis://redis.example.com";

/// The block after `<!-- recipe: NAME -->`.
#[track_caller]
fn recipe(name: &str) -> String {
    let readme = text("README.md");
    let mark = format!("<!-- recipe: {name} -->\n```");
    let (_, rest) = readme
        .split_once(&mark)
        .unwrap_or_else(|| panic!("README.md has no recipe {name}"));
    let (_, rest) = rest.split_once('\n').unwrap();
    rest.split("\n```").next().unwrap().to_owned()
}

/// A server, and a directory of jobs beside a `tasklock` that PATH finds.
struct Site {
    server: Server,
    scratch: Scratch,
}

impl Site {
    fn new() -> Site {
        let scratch = Scratch::new();
        let link = scratch.file("tasklock");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_tasklock"), link).unwrap();
        Site {
            server: Server::start(),
            scratch,
        }
    }

    fn job(&self, name: &str, script: &str) {
        let path = self.scratch.write(name, format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn url(&self) -> String {
        self.server.url()
    }

    /// The words of a program, to be run at this site.
    fn program<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Tasklock {
        let mut words = words.into_iter();
        let path = std::env::var("PATH").unwrap();
        Tasklock::instead(words.next().unwrap())
            .args(words)
            .env("PATH", format!("{}:{path}", self.scratch.path().display()))
            .env("TASKLOCK_URL", self.url())
            .directory(self.scratch.path())
    }

    fn shell(&self, shell: &str, script: &str) -> Tasklock {
        let script = script.replace(EXAMPLE_URL, &self.url());
        let words: Vec<&str> = shell.split(' ').collect();
        self.program(words).arg("-c").arg(script)
    }

    /// Somebody else who has the lock.
    fn holder(&self, name: &str) -> Running {
        let script = format!(
            "echo held >'{}'; exec sleep 600",
            self.scratch.file("held").display()
        );
        let holder = Tasklock::named(name, &self.url()).sh(&script).start();
        self.scratch.wait_for_line("held");
        holder
    }
}

#[test]
fn the_readme_has_no_recipe_that_is_not_run_here() {
    let readme = text("README.md");
    let marks = readme.split("<!-- recipe: ").skip(1);
    let named: BTreeSet<_> = marks.map(|rest| rest.split(' ').next().unwrap()).collect();
    let run = [
        "backup.service",
        "backup.timer",
        "case",
        "config",
        "cron",
        "fence",
        "github",
        "github-steps",
        "gitlab",
        "gpu",
        "install",
        "kubernetes",
        "migrate",
        "named",
        "nightly",
        "redis",
        "short",
        "slots",
        "steps",
        "unlock",
        "wait",
    ];
    assert_eq!(named, BTreeSet::from(run));
    // Each block is a recipe, but for the two that .ci/run runs.
    let blocks = readme
        .lines()
        .filter(|line| line.starts_with("```") && line.len() > 3)
        // Those are what is printed, and compared in looking/screenshots.rs.
        .filter(|line| *line != "```console");
    assert_eq!(blocks.count(), run.len() + 2, "a block without a mark");
}

#[test]
fn the_quick_start_has_two_blocks_of_which_the_second_runs_the_tests() {
    let section = readme_section("## Quick start");
    let blocks: Vec<_> = section.split("```sh\n").skip(1).collect();
    assert_eq!(blocks.len(), 2);
    assert!(
        blocks[0].starts_with("cargo run --release -- --name "),
        "{}",
        blocks[0]
    );
    assert!(blocks[1].starts_with("tests/run\n```"), "{}", blocks[1]);
}

#[test]
fn install_puts_the_files_where_they_are_looked_for() {
    let scratch = Scratch::new();
    let prefix = scratch.path().to_str().unwrap();
    let script = recipe("install").replace("/usr/local", prefix);
    let done = Command::new("bash")
        .args(["-euc", &script])
        .current_dir(file("."))
        .status();
    assert!(done.unwrap().success());
    assert!(scratch.file("share/man/man1/tasklock.1").is_file());
    assert!(
        scratch
            .file("share/bash-completion/completions/tasklock")
            .is_file()
    );
}

#[test]
fn redis_runs_the_job_and_then_the_lock_is_free() {
    let site = Site::new();
    site.job("backup.sh", "echo backing up");
    let run = site.shell("bash -e", &recipe("redis")).run();
    run.expect_code(0).expect_silent();
    assert!(run.stdout.starts_with("backing up\nbackup: free"), "{run}");
}

#[test]
fn cron_runs_the_job_and_says_nothing_when_it_is_skipped() {
    let site = Site::new();
    site.job("backup.sh", "echo ran >>jobs");
    let table = recipe("cron");
    let (variable, line) = table.split_once('\n').unwrap();
    assert_eq!(variable, format!("TASKLOCK_URL={EXAMPLE_URL}"));
    let command: Vec<&str> = line.splitn(6, ' ').collect();
    // cron runs it so.
    let run = || site.shell("/bin/sh", command[5]).run();
    run().expect_code(0).expect_silent();
    let _holder = site.holder("backup");
    run().expect_code(75).expect_silent();
    assert_eq!(site.scratch.read("jobs"), "ran\n");
}

#[test]
fn case_tells_the_exit_codes_apart() {
    let site = Site::new();
    let script = recipe("case");
    let said = |expected: &str| {
        let run = site.shell("bash", &script).run();
        assert!(run.stdout.ends_with(expected), "{run}");
    };
    said("import.sh cannot be run, or it says so itself of a command\n");
    site.job("import.sh", "exit 0");
    said("imported\n");
    site.job("import.sh", "exit 3");
    said("the import failed with 3\n");
    {
        let _holder = site.holder("import");
        said("skipped: another host is importing\n");
    }
    // The holder was killed: its lease goes on.
    site.program(["tasklock", "unlock", "--force", "import"])
        .run()
        .expect_code(0);
    site.job(
        "import.sh",
        "tasklock unlock import >/dev/null; exec sleep 600",
    );
    said("lost the lock: the import was stopped, and may be half done\n");
    let down = site
        .shell("bash", &script)
        .env("TASKLOCK_STORE_TIMEOUT", "100ms")
        .env("TASKLOCK_URL", "redis://127.0.0.1:1")
        .run();
    down.expect_stdout("the store is down: nothing was run\n");
}

#[test]
fn systemd_accepts_the_units_and_their_command_runs() {
    let site = Site::new();
    let service = recipe("backup.service");
    let command = service
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="));
    site.job("backup.sh", "echo backing up");
    let command = command.unwrap().replace("/usr/local/bin/", "");
    site.program(command.split(' '))
        .run()
        .expect_stdout("backing up\n");
    assert!(
        service.contains("\nKillMode=mixed\n") && service.contains("\nSuccessExitStatus=TEMPFAIL")
    );

    let scratch = Scratch::new();
    let service = scratch.write("backup.service", service);
    let timer = scratch.write("backup.timer", recipe("backup.timer"));
    let verify = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .args([&service, &timer])
        .output();
    let Ok(verify) = verify else {
        println!("NOT TESTED: the units of the README (systemd-analyze is not installed)");
        return;
    };
    // What the recipe names is not installed here.
    let complaints = String::from_utf8_lossy(&verify.stderr).into_owned();
    let about_us: Vec<&str> = complaints
        .lines()
        .filter(|line| line.contains("backup.") && !line.contains("is not executable"))
        .collect();
    assert!(about_us.is_empty(), "{complaints}");
}

/// The recipe as data.
fn yaml(name: &str) -> Yaml {
    let mut documents = YamlLoader::load_from_str(&recipe(name)).unwrap();
    assert_eq!(documents.len(), 1);
    documents.remove(0)
}

#[test]
fn the_gitlab_job_allows_the_code_of_a_skipped_run() {
    let site = Site::new();
    site.job("deploy.sh", "echo deploying");
    let job = &yaml("gitlab")["deploy"];
    let lines = job["script"].as_vec().unwrap();
    let script: Vec<&str> = lines.iter().map(|line| line.as_str().unwrap()).collect();
    let run = || {
        site.shell("bash -e", &script.join("\n"))
            .env("CI_PIPELINE_ID", "17")
            .run()
    };
    run().expect_code(0).expect_stdout("deploying\n");
    let _holder = site.holder("deploy");
    let allowed = job["allow_failure"]["exit_codes"].as_i64().unwrap();
    run().expect_code(allowed.try_into().unwrap());
}

#[test]
fn the_github_step_becomes_tasklock() {
    let site = Site::new();
    site.job("build.sh", "echo building");
    site.job("deploy.sh", "cat /proc/$PPID/comm");
    let step = yaml("github");
    let script = step[0]["run"].as_str().unwrap();
    assert!(step[0]["env"]["TASKLOCK_URL"].as_str().is_some());
    // The runner starts it as a file: of `-c` text, bash may execute the last command in its place.
    site.scratch.write("step", script);
    let run = || site.program(["bash", "-e", "step"]);
    run()
        .run()
        .expect_code(0)
        .expect_stdout("building\ntasklock\n");
    let running = site.scratch.gate("gate");
    site.job(
        "deploy.sh",
        &format!("echo $PPID >parent; read _ <{}", running.path().display()),
    );
    let shell = run().start();
    assert_eq!(site.scratch.wait_for_pid("parent"), shell.pid());
}

#[test]
fn the_kubernetes_container_succeeds_when_it_is_skipped() {
    let site = Site::new();
    site.job("backup.sh", "echo backing up");
    let document = yaml("kubernetes");
    assert_eq!(document["kind"].as_str(), Some("CronJob"));
    let container = &document["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0];
    let pod_name = &container["env"][0];
    assert_eq!(pod_name["name"].as_str(), Some("POD_NAME"));
    let field = &pod_name["valueFrom"]["fieldRef"]["fieldPath"];
    assert_eq!(field.as_str(), Some("metadata.name"));
    assert_eq!(container["env"][1]["name"].as_str(), Some("TASKLOCK_URL"));
    let words: Vec<String> = container["command"]
        .as_vec()
        .unwrap()
        .iter()
        .map(|word| {
            word.as_str()
                .expect("a word that is no string")
                .replace("$(POD_NAME)", "backup-28391")
        })
        .collect();
    let run = || site.program(words.iter().map(String::as_str)).run();
    run().expect_code(0).expect_stdout("backing up\n");
    let _holder = site.holder("backup");
    run()
        .expect_code(0)
        .expect_stdout("")
        .expect_stderr("skipped");
}

#[test]
fn the_fence_refuses_whoever_comes_late() {
    let site = Site::new();
    let write = |fence: &str, data: &str| {
        let run = site
            .shell("bash", &recipe("fence"))
            .env("TASKLOCK_FENCE", fence);
        run.input(data).run().code
    };
    assert_eq!(write("7", "first"), Some(0));
    assert_eq!(write("7", "again"), Some(0));
    assert_eq!(write("1795392429777586", "later"), Some(0));
    assert_eq!(write("7", "late"), Some(1));
    assert_eq!(site.scratch.read("data"), "later");
    site.job("write.sh", &recipe("fence"));
    // The fence of a real run is larger still, and it is not the example's.
    let run = site.program(["tasklock", "--name", "fence", "--", "bash", "write.sh"]);
    run.input("real").run().expect_code(0);
    assert_eq!(site.scratch.read("data"), "real");
}

#[test]
fn unlock_frees_the_lock() {
    let site = Site::new();
    let mut holder = site.holder("backup");
    let run = site.shell("bash", &recipe("unlock")).run();
    run.expect_code(0);
    for said in [
        "held by",
        "asked to stop",
        "it has released the lock",
        "already free",
    ] {
        assert!(run.stdout.contains(said), "{run}");
    }
    holder.wait_for_stderr("lost \"backup\"");
    holder.wait().expect_code(79);
}

#[test]
fn files_that_the_readme_names_exist() {
    let readme = text("README.md");
    for path in [
        "LICENSE",
        "man/tasklock.1",
        "benches/overhead",
        "tests/run",
        ".ci/run",
        "tests/it/docs.rs",
    ] {
        assert!(readme.contains(path), "{path}");
        assert!(Path::new(&file(path)).is_file(), "{path}");
    }
}
