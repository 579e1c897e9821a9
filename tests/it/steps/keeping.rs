//! `refresh` and `release`: 0 for the real holder alone.

use serde_json::Value;

use super::Site;
use crate::support::proxy::{Loss, Proxy};
use crate::support::tasklock::Tasklock;
use crate::support::wait_until;

#[test]
fn the_holder_refreshes_and_is_told_the_new_deadline() {
    for site in Site::both() {
        site.acquire("--token step-one-two");
        let minutes_left = |words: &str| {
            let run = site.run(&format!("refresh --json --token step-one-two {words}"));
            run.expect_code(0).expect_silent();
            let answer: Value = serde_json::from_str(&run.stdout).unwrap();
            assert!(answer["deadline"].is_string(), "{answer}");
            // The minute that has begun is not whole any more.
            answer["remaining_ms"].as_u64().unwrap() / 60_000 + 1
        };
        assert_eq!(minutes_left(""), 5);
        assert_eq!(minutes_left("--ttl 10m"), 10);
        assert_eq!(minutes_left(""), 10);
        let plain = site.run("refresh --token step-one-two");
        assert_eq!(plain.stdout.split_whitespace().count(), 2, "{plain}");
        let env = site.run("refresh --format env --token step-one-two");
        assert!(env.stdout.starts_with("TASKLOCK_DEADLINE=20"), "{env}");
        assert_eq!(env.stdout.lines().count(), 1);
    }
}

#[test]
fn a_wrong_token_gets_79_and_the_name_of_the_holder() {
    for site in Site::both() {
        site.acquire("--token the-right-one --holder ci@runner");
        for word in ["refresh", "release", "check", "release", "refresh"] {
            let run = site.run(&format!("{word} --token the-wrong-one"));
            run.expect_code(79).expect_stdout("");
            run.expect_stderr("\"job\" is not held by this token: it is held by ci@runner pid ");
            assert_eq!(run.stderr.lines().count(), 1, "{run}");
        }
        site.run("check --token the-right-one").expect_code(0);
    }
}

#[test]
fn a_lease_that_has_ended_is_lost_to_every_one_of_them() {
    for site in Site::both() {
        let run = site.run("acquire --ttl 1s --token too-late-now");
        run.expect_code(0);
        wait_until(|| site.run("check --token too-late-now").code == Some(79));
        for word in ["refresh", "release", "check", "release"] {
            let run = site.run(&format!("{word} --token too-late-now"));
            run.expect_code(79).expect_stderr("nobody holds it");
        }
        site.expect_free();
    }
}

#[test]
fn a_release_can_be_repeated() {
    for site in Site::both() {
        site.acquire("--token once-and-again");
        for _ in 0..3 {
            let run = site.run("release --token once-and-again");
            run.expect_code(0).expect_silent().expect_stdout("");
        }
        let late = site.run("refresh --token once-and-again");
        late.expect_code(79);
        site.expect_free();
    }
}

#[test]
fn an_administrator_is_heard_at_the_next_refresh_and_force_is_final() {
    for site in Site::both() {
        site.acquire("--token asked-to-stop");
        site.run("unlock --no-wait").expect_code(0);
        for word in ["refresh", "check"] {
            let run = site.run(&format!("{word} --token asked-to-stop"));
            run.expect_code(79)
                .expect_stderr("asked for it to be unlocked");
        }
        site.expect_held();
        site.run("release --token asked-to-stop").expect_code(0);
        site.acquire("--token freed-by-force");
        site.run("unlock --force").expect_code(0);
        for word in ["refresh", "check", "release", "release"] {
            let run = site.run(&format!("{word} --token freed-by-force"));
            run.expect_code(79);
        }
        site.expect_free();
    }
}

#[test]
fn name_and_token_may_come_from_the_environment() {
    for site in Site::both() {
        site.acquire("--token of-the-ci-step");
        let ask = |word: &str| {
            let run = Tasklock::new().arg(word).url(&site.url);
            let run = run.env("TASKLOCK_NAME", "job");
            run.env("TASKLOCK_TOKEN", "of-the-ci-step")
        };
        for word in ["check", "refresh"] {
            ask(word).run().expect_code(0).expect_silent();
        }
        // What stands on the command line goes before.
        let stranger = ask("check").args(["--token", "of-somebody-else"]);
        stranger.run().expect_code(79);
        ask("check").arg("another").run().expect_code(79);
        let by_flag = |name| ask("check").args(["--name", name]).run();
        by_flag("another").expect_code(79);
        by_flag("job").expect_code(0);
        ask("release").run().expect_code(0).expect_silent();
    }
}

#[test]
fn what_is_missing_or_malformed_is_said_in_a_line() {
    let site = Site::local();
    for word in ["check", "refresh", "release"] {
        let run = site.run(word);
        run.expect_code(64).expect_stderr("--token is missing");
        let run = site.run(&format!("{word} --token short"));
        run.expect_code(64).expect_stderr("--token: a token is");
        let run = site.ask(word).env("TASKLOCK_TOKEN", "short").run();
        run.expect_code(78)
            .expect_stderr("TASKLOCK_TOKEN: a token is");
        let nameless = || {
            let run = Tasklock::new().arg(word).url(&site.url);
            run.args(["--token", "long-enough"])
        };
        let run = nameless().run();
        run.expect_code(64).expect_stderr("missing NAME");
        let run = nameless().env("TASKLOCK_NAME", "{}").run();
        run.expect_code(78).expect_stderr("TASKLOCK_NAME: ");
    }
}

#[test]
fn a_server_that_lost_its_memory_holds_nothing_and_one_that_is_away_says_nothing() {
    let site = Site::redis();
    site.acquire("--token in-memory-only");
    site.server().kill();
    for word in ["refresh", "release", "check"] {
        let options = "--store-timeout 300ms --token in-memory-only";
        site.run(&format!("{word} {options}")).expect_code(69);
    }
    site.server().restart();
    for word in ["refresh", "check", "release", "release"] {
        let run = site.run(&format!("{word} --token in-memory-only"));
        run.expect_code(79).expect_stderr("nobody holds it");
    }
}

#[test]
fn a_request_whose_answer_was_lost_is_made_again_and_means_the_same() {
    let site = Site::redis();
    site.acquire("--token said-only-once");
    let proxy = Proxy::start(site.server().address());
    for word in ["refresh", "check", "release"] {
        proxy.lose_reply_to("said-only-once", Loss::Cut);
        let run = Tasklock::new().args([word, "job", "--token", "said-only-once"]);
        let run = run.url(&proxy.url()).start();
        proxy.wait_for_loss();
        run.wait().expect_code(0).expect_silent();
    }
    site.expect_free();
}

#[test]
fn a_refresh_keeps_a_waiter_waiting_beyond_the_end_that_it_knew_of() {
    for site in Site::both() {
        let brief = site.run("acquire --ttl 3s --token not-yet-over");
        brief.expect_code(0);
        // Of the same length, so that its end says when the first would have ended.
        let clock = || Tasklock::new().arg("acquire").url(&site.url);
        let clock = clock().args(["clock", "--ttl", "3s", "--token", "the-clock"]);
        clock.run().expect_code(0);
        let mut waiter = site.ask("acquire --ttl 5m --wait 1m").start();
        waiter.wait_for_stderr("waiting for");
        let longer = site.run("refresh --ttl 5m --token not-yet-over");
        longer.expect_code(0);
        wait_until(|| {
            let check = Tasklock::new().args(["check", "clock", "--token", "the-clock"]);
            check.url(&site.url).run().code == Some(79)
        });
        assert!(waiter.is_running());
        site.run("check --token not-yet-over").expect_code(0);
        site.run("release --token not-yet-over").expect_code(0);
        waiter.wait().expect_code(0);
        site.expect_held();
    }
}
