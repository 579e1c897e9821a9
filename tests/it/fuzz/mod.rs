//! Input that nobody meant: arguments, variables, URLs, configuration files, and the answers of
//! hostile servers, made at random. No panic, no hang, no password shown, no command that runs
//! without a grant.
//!
//! Each target takes [`BRIEF`], or `FUZZ_SECONDS`. A case that fails is made smaller, told, and
//! kept in `corpus/TARGET`, from where it is tried first from then on.

mod arguments;
mod bytes;
mod config_file;
mod environment;
mod hostile;
mod looks;
mod program;
mod quorum;
mod reply;
mod stores;
mod subcommands;
mod urls;

use std::fmt::Debug;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// How long each target goes on in the suite.
const BRIEF: Duration = Duration::from_secs(3);
/// How long a failing case is made smaller.
const SHRINKING: Duration = Duration::from_secs(60);

/// A part of each password: it must not turn up where people read.
const SECRET: &str = "S3cr3t";

/// Checks random cases until the time is over, after those that once failed.
#[track_caller]
fn fuzz<S>(target: &str, cases: S, check: impl Fn(&S::Value) -> Result<(), String>)
where
    S: Strategy,
    S::Value: Serialize + DeserializeOwned,
{
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fuzz/corpus");
    let corpus = corpus.join(target);
    for path in files_of(&corpus) {
        let case = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        if let Err(why) = attempt(&check, &case) {
            panic!("{}: {why}", path.display());
        }
    }
    let seconds = std::env::var("FUZZ_SECONDS").ok();
    let limit = seconds.map_or(BRIEF, |text| Duration::from_secs(text.parse().unwrap()));
    let (start, mut count) = (Instant::now(), 0u64);
    let mut runner = TestRunner::default();
    while start.elapsed() < limit {
        let tree = cases.new_tree(&mut runner).unwrap();
        count += 1;
        if let Err(why) = attempt(&check, &tree.current()) {
            let (case, why) = shrink(tree, &check, why);
            let path = keep(&corpus, &case);
            panic!(
                "{why}\nafter {count} cases, kept in {}: {case:?}",
                path.display()
            );
        }
    }
    println!("{target}: {count} cases in {:?}", start.elapsed());
}

/// A panic is a failure like others.
fn attempt<T>(check: &impl Fn(&T) -> Result<(), String>, case: &T) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(|| check(case))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or(panic.downcast_ref::<&str>().copied());
        Err(format!("panicked: {}", text.unwrap_or_default()))
    })
}

/// The smallest case that is found to fail, and how it does.
fn shrink<T: ValueTree>(
    mut tree: T,
    check: &impl Fn(&T::Value) -> Result<(), String>,
    why: String,
) -> (T::Value, String) {
    let start = Instant::now();
    let mut worst = (tree.current(), why);
    let mut goes_on = tree.simplify();
    while goes_on && start.elapsed() < SHRINKING {
        let case = tree.current();
        goes_on = match attempt(check, &case) {
            Err(why) => {
                worst = (case, why);
                tree.simplify()
            }
            Ok(()) => tree.complicate(),
        };
    }
    worst
}

fn keep(corpus: &Path, case: &(impl Serialize + Debug)) -> PathBuf {
    let text = serde_json::to_string_pretty(case).unwrap();
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    fs::create_dir_all(corpus).unwrap();
    let path = corpus.join(format!("{:016x}.json", hasher.finish()));
    fs::write(&path, text + "\n").unwrap();
    path
}

fn files_of(corpus: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(corpus).into_iter().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// An error as people read it: one line that tells no password.
fn fit_to_read(text: &str) -> Result<(), String> {
    one_line(text)?;
    without_secret(text)
}

fn one_line(text: &str) -> Result<(), String> {
    if text.chars().any(char::is_control) {
        return Err(format!(
            "more than one line, or control characters: {text:?}"
        ));
    }
    if text.trim().is_empty() {
        return Err("an error without words".to_owned());
    }
    Ok(())
}

fn without_secret(text: &str) -> Result<(), String> {
    match text.contains(SECRET) {
        true => Err(format!("a password is told: {text:?}")),
        false => Ok(()),
    }
}
