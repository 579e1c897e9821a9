//! The man page of doctor has the checks that there are.

use std::collections::BTreeSet;
use std::process::Command;

use crate::docs::{file, text};

/// The words in quotes that follow `before` in the rules.
fn checks_after(rules: &str, before: &str) -> BTreeSet<String> {
    let named = rules.split(before).skip(1);
    let named = named.filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next());
    named.map(str::to_owned).collect()
}

#[test]
fn the_page_of_doctor_names_every_check_and_no_others() {
    let mut rules = text("src/commands/doctor/judge.rs");
    for rule in [
        "clock", "leftover", "local", "memory", "quorum", "reach", "replica", "topology",
    ] {
        rules += &text(&format!("src/commands/doctor/judge/{rule}.rs"));
    }
    let mut checks = BTreeSet::new();
    for before in [
        "Finding::ok(",
        "Finding::warning(",
        "Finding::hidden(",
        "Finding::new(",
        "const CHECK: &str =",
        "error_of(",
    ] {
        checks.extend(checks_after(&rules, before));
    }
    let page = text("man/tasklock-doctor.1").replace("\\-", "-");
    let (_, section) = page.split_once(".SH CHECKS\n").unwrap();
    let section = section.split(".SH ").next().unwrap();
    let tags = section
        .split(".TP\n.B ")
        .skip(1)
        .filter_map(|entry| entry.lines().next());
    let named: BTreeSet<String> = tags
        .flat_map(|tag| tag.split(", "))
        .map(str::to_owned)
        .collect();
    assert_eq!(named, checks);
    assert!(checks.len() > 15, "{checks:?}");
}

#[test]
fn the_page_of_doctor_is_clean() {
    let mut groff = Command::new("groff");
    groff
        .args(["-man", "-ww", "-z", "-Tascii"])
        .arg(file("man/tasklock-doctor.1"));
    let output = groff.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(output.status.success());
}
