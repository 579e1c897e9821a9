//! The recipes that wait, share places, and keep to schedules.

use super::{Site, recipe};
use crate::docs::text;
use crate::support::running::Running;
use crate::support::tasklock::Tasklock;
use crate::support::wait_until;

/// A line without its numbers, which differ from run to run.
fn shape(line: &str) -> String {
    let is_number = |word: &str| {
        let word = word.trim_start_matches('(');
        word.starts_with(|c: char| c.is_ascii_digit())
    };
    let words = line.split_whitespace();
    let words: Vec<_> = words
        .map(|word| if is_number(word) { "#" } else { word })
        .collect();
    words.join(" ")
}

/// The README shows this line, with other numbers.
#[track_caller]
fn expect_in_readme(line: &str) {
    let readme = text("README.md");
    let shown = readme.lines().any(|shown| shape(shown) == shape(line));
    assert!(shown, "the README does not show: {line}");
}

/// The command of the only job in a crontab, as cron runs it.
fn command_of(crontab: &str) -> String {
    let (_, line) = crontab.split_once('\n').unwrap();
    line.splitn(6, ' ').nth(5).unwrap().to_owned()
}

impl Site {
    /// Waits until `count` runs stand in line for the lock.
    #[track_caller]
    fn wait_for_line_of(&self, count: usize, name: &str) {
        let told = format!("{count} waiting");
        wait_until(|| {
            let status = self.program(["tasklock", "status", name]).run();
            status.stdout.contains(&told)
        });
    }

    /// Waits until the jobs have written `count` lines to `file`.
    #[track_caller]
    fn wait_for_lines(&self, count: usize, file: &str) {
        wait_until(|| self.scratch.read(file).lines().count() == count);
    }

    /// Starts several runs of one script, as different hosts would.
    fn start_all(&self, count: usize, script: &str) -> Vec<Running> {
        (0..count)
            .map(|_| self.shell("bash", script).start())
            .collect()
    }
}

/// The CI job of the README, as pipeline 4711 on one runner.
fn ci_job(site: &Site, script: &str) -> Tasklock {
    let job = site.shell("bash", script);
    job.env("CI_PIPELINE_ID", "4711")
        .env("TASKLOCK_HOLDER", "ci@runner3")
}

#[test]
fn a_ci_job_waits_its_turn() {
    let site = Site::new();
    let mut gate = site.scratch.gate("gate");
    site.job("deploy.sh", "echo deploying | tee -a jobs; read _ <gate");
    let first = ci_job(&site, &recipe("wait")).start();
    site.wait_for_lines(1, "jobs");
    let mut second = ci_job(&site, &recipe("wait")).start();
    second.wait_for_stderr("\n");
    expect_in_readme(&second.stderr());
    gate.open();
    first
        .wait()
        .expect_code(0)
        .expect_stdout("deploying\ndeployed\n");
    gate.open();
    let second = second.wait();
    second.expect_code(0).expect_stdout("deploying\ndeployed\n");
    assert_eq!(second.stderr.lines().count(), 1, "{second}");
}

#[test]
fn a_ci_job_tells_apart_what_became_of_it() {
    let site = Site::new();
    // Nobody waits ten minutes for this test.
    let script = recipe("wait").replace("--wait 10m", "--wait 300ms");
    let expect = |run: Tasklock, code: i32, said: &str| {
        let run = run.run();
        run.expect_code(code);
        assert!(run.stdout.ends_with(said), "{run}");
        run
    };
    site.job("deploy.sh", "exit 3");
    expect(ci_job(&site, &script), 3, "the deployment failed with 3\n");
    site.job(
        "deploy.sh",
        "tasklock unlock deploy >/dev/null; exec sleep 600",
    );
    let said = "lost the lock: the deployment was stopped half-way\n";
    expect(ci_job(&site, &script), 79, said);

    site.job("deploy.sh", "echo up >up; exec sleep 600");
    let _holder = ci_job(&site, &script).start();
    site.scratch.wait_for_line("up");
    let said = "not deployed: others were deploying for all of 10 minutes\n";
    let run = expect(ci_job(&site, &script), 75, said);
    let lines: Vec<_> = run.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{run}");
    lines.into_iter().for_each(expect_in_readme);

    let down = ci_job(&site, &script).env("TASKLOCK_URL", "redis://127.0.0.1:1");
    let said = "not deployed: no answer from the store in 10 minutes\n";
    expect(down, 69, said);
}

#[test]
fn four_deploy_and_the_fifth_waits_for_one_of_them() {
    let site = Site::new();
    let mut gate = site.scratch.gate("gate");
    site.job("deploy.sh", "echo $TASKLOCK_SLOT >>slots; read _ <gate");
    let script = recipe("slots");
    let four = site.start_all(4, &script);
    site.wait_for_lines(4, "slots");
    let mut fifth = site.shell("bash", &script).start();
    fifth.wait_for_stderr(
        "waiting for \"deploy\" for at most 30m: next in line; one of 4 places is held by ",
    );
    let status = site.program(["tasklock", "status", "deploy"]).run();
    status.expect_code(75);
    assert_eq!(status.stdout.lines().count(), 6, "{status}");
    assert!(status.stdout.contains("4 of 4 places"), "{status}");
    let mut slots: Vec<_> = site
        .scratch
        .read("slots")
        .lines()
        .map(str::to_owned)
        .collect();
    slots.sort();
    assert_eq!(slots, ["0", "1", "2", "3"]);
    gate.open();
    site.wait_for_lines(5, "slots");
    (0..4).for_each(|_| gate.open());
    for run in four.into_iter().chain([fifth]) {
        run.wait().expect_code(0);
    }
}

#[test]
fn each_training_has_a_gpu_of_its_own() {
    let site = Site::new();
    let mut gate = site.scratch.gate("gate");
    let job = "echo $CUDA_VISIBLE_DEVICES | tee -a gpus; read _ <gate";
    site.job("train.sh", job);
    let script = recipe("gpu");
    let mut two = site.start_all(2, &script);
    site.wait_for_lines(2, "gpus");
    let mut third = site.shell("bash", &script).start();
    third.wait_for_stderr("waiting for \"gpu-");
    gate.open();
    site.wait_for_lines(3, "gpus");
    let ended = two.iter_mut().position(|run| !run.is_running());
    let ended = two.remove(ended.expect("two at a time")).wait();
    gate.open();
    gate.open();
    let other = two.remove(0).wait();
    third
        .wait()
        .expect_code(0)
        .expect_stdout(ended.stdout.as_str());
    let mut gpus = [ended.stdout, other.stdout];
    gpus.sort();
    assert_eq!(gpus, ["0\n", "1\n"]);
}

#[test]
fn a_nightly_backup_is_tried_by_the_next_host_until_it_succeeds() {
    let site = Site::new();
    let mut gate = site.scratch.gate("gate");
    site.job(
        "backup.sh",
        "echo ran >>jobs; read _ <gate; test ! -e broken",
    );
    site.scratch.write("broken", "");
    let command = command_of(&recipe("nightly"));
    let first = site.shell("/bin/sh", &command).start();
    site.wait_for_lines(1, "jobs");
    let others = site.start_all(2, &command);
    site.wait_for_line_of(2, "nightly");
    gate.open();
    first.wait().expect_code(1).expect_silent();
    site.wait_for_lines(2, "jobs");
    std::fs::remove_file(site.scratch.file("broken")).unwrap();
    gate.open();
    let mut codes: Vec<_> = others
        .into_iter()
        .map(|run| run.wait().expect_silent().code)
        .collect();
    codes.sort();
    assert_eq!(codes, [Some(0), Some(75)]);
    assert_eq!(site.scratch.read("jobs"), "ran\nran\n");
    // And a host that is still later.
    let late = site.shell("/bin/sh", &command.replace(" -q ", " ")).run();
    late.expect_code(75);
    expect_in_readme(&late.stderr);
}

#[test]
fn a_short_job_does_not_run_again_for_a_clock_that_is_late() {
    let site = Site::new();
    site.job("poll.sh", "echo ran >>jobs");
    let command = command_of(&recipe("short"));
    let run = |command: &str| site.shell("/bin/sh", command).run();
    run(&command).expect_code(0).expect_silent();
    run(&command).expect_code(75).expect_silent();
    let told = run(&command.replace(" -q ", " "));
    told.expect_code(75);
    expect_in_readme(&told.stderr);
    // Nor does a waiter wait for it.
    run(&command.replace(" -q ", " --wait 10m "))
        .expect_code(75)
        .expect_stderr("cooling down");
    assert_eq!(site.scratch.read("jobs"), "ran\n");
    site.program(["tasklock", "unlock", "--force", "poll"])
        .run()
        .expect_code(0);
    run(&command).expect_code(0).expect_silent();
}

#[test]
fn a_migration_runs_once_per_release_and_every_replica_starts() {
    let site = Site::new();
    let mut gate = site.scratch.gate("gate");
    site.job("server.sh", "echo serving");
    let replica = |release: &str| {
        let shell = site.shell("bash", &recipe("migrate"));
        shell.env("RELEASE", release)
    };
    site.job("migrate.sh", "echo $RELEASE >>jobs; read _ <gate");
    let first = replica("1.4").start();
    site.wait_for_lines(1, "jobs");
    let second = replica("1.4").start();
    site.wait_for_line_of(1, "migrate");
    gate.open();
    first.wait().expect_code(0).expect_stdout("serving\n");
    let second = second.wait();
    second.expect_code(0).expect_stdout("serving\n");
    expect_in_readme(second.stderr.lines().last().unwrap());
    assert_eq!(site.scratch.read("jobs"), "1.4\n");

    site.job("migrate.sh", "echo $RELEASE >>jobs; exit 3");
    replica("1.5").run().expect_code(3).expect_stdout("");
    site.job("migrate.sh", "echo $RELEASE >>jobs");
    for _ in 0..2 {
        replica("1.5")
            .run()
            .expect_code(0)
            .expect_stdout("serving\n");
    }
    assert_eq!(site.scratch.read("jobs"), "1.4\n1.5\n1.5\n");
}
