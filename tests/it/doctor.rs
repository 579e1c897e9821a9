//! `tasklock doctor`, on real servers of many kinds.

use serde_json::Value;

use crate::support::running::Finished;
use crate::support::tasklock::Tasklock;

mod local;
mod page;
mod rights;
mod server;
mod topology;

/// `tasklock doctor --json --url URL`
fn doctor(url: &str) -> Tasklock {
    Tasklock::new().args(["doctor", "--json"]).url(url)
}

/// What it found.
struct Report {
    checks: Vec<Value>,
    run: Finished,
}

impl Report {
    #[track_caller]
    fn of(run: Tasklock) -> Report {
        let run = run.run();
        run.expect_silent();
        let object: Value =
            serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run}"));
        assert_eq!(object["exit"], run.code.unwrap(), "{run}");
        let checks = object["checks"].as_array().unwrap().clone();
        Report { checks, run }
    }

    /// Some finding of `check` is of this level and has these words.
    #[track_caller]
    fn expect(&self, check: &str, level: &str, fragment: &str) -> &Report {
        self.find(check, level, fragment);
        self
    }

    #[track_caller]
    fn find(&self, check: &str, level: &str, fragment: &str) -> &Value {
        let is_it = |it: &&Value| {
            let text = it["text"].as_str().unwrap();
            it["check"] == check && it["level"] == level && text.contains(fragment)
        };
        let found = self.checks.iter().find(is_it);
        found.unwrap_or_else(|| panic!("no {level} {check} {fragment:?}: {}", self.run))
    }

    #[track_caller]
    fn expect_code(&self, code: i32) -> &Report {
        self.run.expect_code(code);
        self
    }

    /// Nothing but this was found fault with.
    #[track_caller]
    fn expect_only(&self, troubles: &[&str]) -> &Report {
        let bad = |it: &&Value| it["level"] == "warning" || it["level"] == "error";
        let found = self
            .checks
            .iter()
            .filter(bad)
            .map(|it| it["check"].as_str().unwrap());
        let mut found: Vec<&str> = found.collect();
        found.dedup();
        assert_eq!(found, troubles, "{}", self.run);
        self
    }
}
