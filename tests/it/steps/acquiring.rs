//! What `acquire` takes, refuses and prints.

use std::time::Duration;

use jiff::Timestamp;

use super::Site;
use crate::support::redis::Server;
use crate::support::tasklock::Tasklock;

#[test]
fn the_lock_stays_held_and_the_answer_is_words_for_read() {
    for site in Site::both() {
        for shell in ["sh", "bash"] {
            let script = "
                answer=$(tasklock acquire job --ttl 5m) || exit
                set -- $answer
                [ ${#1} = 32 ] && [ \"$2\" -gt 0 ] && [ \"$4\" -le 300000 ] && [ $# = 4 ] || exit 1
                case $3 in 20*T*Z) ;; *) exit 2 ;; esac
                tasklock status job; [ $? = 75 ] || exit 3
                tasklock release job --token \"$1\" || exit 4
                tasklock status job";
            let run = site.script(shell, script);
            run.expect_code(0).expect_silent();
            assert!(run.stdout.contains("(tasklock acquire)"), "{run}");
        }
    }
}

#[test]
fn with_slots_the_place_comes_last() {
    for site in Site::both() {
        for place in ["0", "1"] {
            let run = site.run("acquire --ttl 5m --slots 2");
            run.expect_code(0).expect_silent();
            assert_eq!(run.stdout.split_whitespace().nth(4), Some(place), "{run}");
        }
        site.run("acquire --ttl 5m --slots 2").expect_code(75);
    }
}

#[test]
fn the_deadline_keeps_the_drift_in_hand() {
    for site in Site::both() {
        let before = Timestamp::now();
        let answer = site.acquire("");
        // 2 % and 150 ms.
        let most = Duration::from_millis(300_000 - 6_150);
        let left = Duration::from_millis(answer["remaining_ms"].as_u64().unwrap());
        assert!(
            left <= most && left + Duration::from_secs(60) > most,
            "{answer}"
        );
        let deadline: Timestamp = answer["deadline"].as_str().unwrap().parse().unwrap();
        assert!(
            deadline + Duration::from_millis(1) >= before + left,
            "{answer}"
        );
        assert!(deadline <= Timestamp::now() + most, "{answer}");
        assert_eq!(answer["name"], "job");
        assert!(answer["slot"].is_null() && answer["fence"].is_u64());
    }
}

#[test]
fn lines_of_variables_go_through_eval_in_every_shell() {
    for site in Site::both() {
        for shell in ["sh", "bash"] {
            let script = "
                lock=$(tasklock acquire a/b:c@d --ttl 5m --format env) || exit
                set -a; eval \"$lock\"; set +a
                [ \"$TASKLOCK_NAME\" = a/b:c@d ] || exit 1
                tasklock check && tasklock refresh > /dev/null && tasklock release || exit 2
                tasklock check; [ $? = 79 ]";
            site.script(shell, script).expect_code(0);
        }
    }
}

#[test]
fn lines_of_variables_are_plain_as_github_env_wants_them() {
    let site = Site::local();
    let run = site.run("acquire --ttl 5m --slots 3 --format env --token run-42.attempt_1");
    run.expect_code(0).expect_silent();
    let lines = run.stdout.lines().map(|line| line.split_once('=').unwrap());
    let (names, values): (Vec<_>, Vec<_>) = lines.unzip();
    let expected =
        ["NAME", "TOKEN", "FENCE", "DEADLINE", "SLOT"].map(|it| format!("TASKLOCK_{it}"));
    assert_eq!(names, expected);
    assert_eq!(values[..2], ["job", "run-42.attempt_1"]);
    assert!(
        values[2].parse::<u64>().is_ok() && values[4] == "0",
        "{run}"
    );
    assert!(values[3].parse::<Timestamp>().is_ok(), "{run}");
}

#[test]
fn a_name_that_would_have_to_be_quoted_is_refused_before_anything_is_done() {
    let site = Site::local();
    for name in [
        "a b", "a'b", "a$b", "a`b", "a\\b", "~", "a;b", "ü", "a\"b", "*", "a&b", "#a", "!a",
    ] {
        let acquire = |form| {
            let run = Tasklock::new().args(["acquire", "--ttl", "5m", "--format", form]);
            run.args(["--name", name]).url(&site.url).run()
        };
        let refused = acquire("env");
        refused.expect_code(64).expect_stdout("");
        refused.expect_stderr("--format env: the name");
        // Nothing was taken.
        acquire("plain").expect_code(0);
    }
}

#[test]
fn without_a_ttl_nothing_is_taken_whatever_the_environment_says() {
    let site = Site::local();
    for run in [
        site.ask("acquire"),
        site.ask("acquire").env("TASKLOCK_TTL", "5m"),
    ] {
        let run = run.run();
        run.expect_code(64).expect_stderr("--ttl is missing");
        run.expect_stderr("nobody refreshes the lock");
    }
    for (ttl, why) in [
        ("0", "no time at all"),
        ("500ms", "at least 1s"),
        ("x", "--ttl"),
    ] {
        let run = site.run(&format!("acquire --ttl {ttl}"));
        run.expect_code(64).expect_stderr(why);
    }
    site.expect_free();
}

#[test]
fn a_token_that_will_not_do_is_refused_and_the_line_says_which_will() {
    let site = Site::local();
    for token in ["1", "seven77", "a,b,c,d,e", "~abcdefgh", "a/b/c/d/e", ""] {
        let run = Tasklock::new().args(["acquire", "job", "--ttl", "5m", "--token", token]);
        let run = run.url(&site.url).run();
        run.expect_code(64).expect_stderr("--token: ");
        run.expect_stderr("8 to 128 of the characters A-Z a-z 0-9 . _ -");
    }
    site.expect_free();
}

#[test]
fn what_belongs_to_an_outer_run_is_not_taken_for_our_own() {
    let site = Site::local();
    let run = Tasklock::new().args(["acquire", "--ttl", "5m"]);
    let run = run.url(&site.url).env("TASKLOCK_NAME", "outer");
    run.run().expect_code(64);
    let run = site.ask("acquire --ttl 5m");
    let run = run.env("TASKLOCK_TOKEN", "outer-token").run();
    run.expect_code(0);
    assert!(!run.stdout.contains("outer-token"), "{run}");
}

#[test]
fn a_held_lock_is_refused_as_to_a_run() {
    for site in Site::both() {
        site.acquire("--reason deploying --holder ci@runner");
        let run = site.run("acquire --ttl 5m");
        run.expect_code(75).expect_stdout("");
        run.expect_stderr("skipped: \"job\" is held by ci@runner pid ");
        run.expect_stderr("reason: deploying");
        let quiet = site.run("acquire --ttl 5m -E 3 -q");
        quiet.expect_code(3).expect_silent();
        let job = Tasklock::named("job", &site.url).arg("true").run();
        job.expect_code(75).expect_stderr("held by ci@runner");
        let wait = site.run("acquire --ttl 5m --wait 200ms");
        wait.expect_code(75).expect_stderr("in vain");
    }
}

#[test]
fn the_same_token_again_is_the_same_hold() {
    for site in Site::both() {
        let first = site.acquire("--token ci-run-4711");
        let again = site.acquire("--token ci-run-4711");
        assert_eq!(first["token"], "ci-run-4711");
        assert_eq!(first["fence"], again["fence"]);
        site.run("release --token ci-run-4711").expect_code(0);
        let spent = site.run("acquire --ttl 5m --token ci-run-4711");
        spent.expect_code(64).expect_stdout("");
        spent.expect_stderr("it is never granted again, choose another");
        site.expect_free();
    }
}

/// The commands, each as far as it can be said without a name.
const ALL: [&[&str]; 4] = [
    &["acquire", "x", "--ttl", "5m"],
    &["refresh", "x"],
    &["release", "x"],
    &["check", "x"],
];

#[test]
fn a_store_that_cannot_be_used_ends_it_as_a_run() {
    let server = Server::start();
    server.command(&["CONFIG", "SET", "requirepass", "needed"]);
    for words in ALL {
        let run = |url: &str| {
            let run = Tasklock::new().args(words.iter().copied());
            let run = run.args(["--store-timeout", "300ms", "--token", "some-token"]);
            run.url(url).run()
        };
        let ended = run("redis://:secret@127.0.0.1:1");
        ended.expect_code(69).expect_stdout("");
        ended.expect_stderr("cannot reach redis://127.0.0.1:1");
        assert!(!ended.stderr.contains("secret"), "{ended}");
        run("redis://").expect_code(78).expect_stdout("");
        run(&server.url()).expect_code(77).expect_stdout("");
    }
}

#[test]
fn a_job_inside_a_run_does_not_wait_for_its_own_ancestor() {
    for site in Site::both() {
        let run = Tasklock::named("job", &site.url).args(["--", super::TASKLOCK]);
        let run = run.args(["acquire", "job", "--ttl", "5m", "--wait", "1m"]);
        let run = run.run();
        run.expect_code(64)
            .expect_stderr("already held by this job");
        site.expect_free();
    }
}

#[test]
fn a_quorum_holds_it_while_a_minority_is_down() {
    let servers = [Server::start(), Server::start(), Server::start()];
    let url = servers.each_ref().map(Server::url).join(" ");
    let ask = |words: &str| {
        let run = Tasklock::new().args(words.split_whitespace());
        let run = run.arg("job").args(["--token", "over-three"]);
        run.url(&url).run()
    };
    let too_long = ask("acquire --ttl 10m");
    too_long
        .expect_code(64)
        .expect_stderr("on a quorum a ttl is at most 5m");
    ask("acquire --ttl 4m").expect_code(0).expect_silent();
    ask("check").expect_code(0).expect_silent();
    servers[0].stop();
    ask("check").expect_code(0).expect_silent();
    ask("refresh --ttl 5m").expect_code(0).expect_silent();
    ask("refresh --ttl 10m").expect_code(64);
    ask("release").expect_code(0).expect_silent();
    ask("check").expect_code(79);
    servers[1].stop();
    ask("check --store-timeout 500ms").expect_code(69);
}
