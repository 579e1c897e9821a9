//! Tries to break what tasklock promises, and prints one table of what came of it.
//!
//! ```text
//! cargo run --release --example torture -- [--topology NAME] [--seconds N] [--seed N]
//! ```
//!
//! The work is in `tests/it/torture`, a part of the test binary: this builds that one and has it
//! play. Exit code 0: nothing that is promised was broken.

use std::process::{Command, ExitCode};

use clap::Parser;
use serde_json::json;

/// The test of `tests/it/torture` that plays what is asked for instead.
const STAGE: &str = "torture::a_job_is_seen_by_the_next_until_it_is_dead";

const TOPOLOGIES: [&str; 5] = ["local", "single", "sentinel", "cluster", "quorum"];

/// Many runs of tasklock at a time, and someone who does harm to all of them.
#[derive(Debug, Parser)]
struct Args {
    /// Where the locks are
    #[arg(long, default_value = "all", value_parser = ["local", "single", "sentinel", "cluster", "quorum", "all"])]
    topology: String,
    /// How long harm is done on each of them
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Repeats a schedule; a round takes 30 seconds, the next one has the next number
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(..1 << 53))]
    seed: u64,
}

fn main() -> std::io::Result<ExitCode> {
    let args = Args::parse();
    let topologies = match args.topology.as_str() {
        "all" => TOPOLOGIES.to_vec(),
        one => vec![one],
    };
    let order = json!({"torture": {
        "topologies": topologies,
        "seconds": args.seconds,
        "seed": args.seed,
    }});
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["test", "--locked", "--quiet", "--test", "it"]);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    cargo.args(["--", STAGE, "--exact", "--nocapture"]);
    // Of this program: a build script that looks at them would take them for a change.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(name);
        }
    }
    let played = cargo
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("TORTURE_ROLE", order.to_string())
        .status()?;
    Ok(match played.success() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
