//! What came of a number of rounds, and the table of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use super::checker::{Breach, Findings, Rule};
use super::fault::{Fault, Topology};
use super::history::Record;

type ByRule = BTreeMap<Rule, usize>;
type Kind = (&'static str, fn(&Toll) -> &ByRule);

/// What came of the rounds on one store.
#[derive(Debug, Default)]
pub(crate) struct Toll {
    topology: Option<Topology>,
    /// In which harm was done.
    time: Duration,
    rounds: usize,
    grants: usize,
    skipped: usize,
    joined: usize,
    fences: usize,
    writes: usize,
    waits: usize,
    deadlines: usize,
    faults: BTreeMap<Fault, usize>,
    /// By promise: those that are broken, those that the table of faults lets go, and those that
    /// were not kept when a witness, too, was not given the CPU.
    breaches: ByRule,
    allowed: ByRule,
    starved: ByRule,
    /// Rounds that came to no end, for a reason of the harness' own.
    pub(crate) given_up: usize,
}

impl Toll {
    /// Nothing yet.
    pub(crate) fn of(topology: Topology) -> Toll {
        Toll {
            topology: Some(topology),
            ..Toll::default()
        }
    }

    /// Were there jobs, was harm done, and was no promise broken?
    pub(crate) fn is_good(&self) -> bool {
        // Rounds in which nothing happens show nothing.
        let happened = self.grants > 0 && !self.faults.is_empty();
        happened && self.breaches.is_empty() && self.given_up == 0
    }

    /// Adds a round that lasted for `time`.
    pub(crate) fn add(&mut self, history: &[Record], findings: &Findings, time: Duration) {
        self.time += time;
        self.rounds += 1;
        self.grants += findings.grants;
        self.skipped += findings.skipped;
        self.joined += findings.joined;
        self.fences += findings.fences;
        self.writes += findings.writes;
        self.waits += findings.waits;
        self.deadlines += findings.deadlines;
        for record in history {
            if let Record::Fault { fault, .. } = record {
                *self.faults.entry(*fault).or_default() += 1;
            }
        }
        count(&mut self.breaches, &findings.breaches);
        count(&mut self.allowed, &findings.allowed);
        count(&mut self.starved, &findings.starved);
    }
}

fn count(by_rule: &mut ByRule, found: &[Breach]) {
    for breach in found {
        *by_rule.entry(breach.rule).or_default() += 1;
    }
}

/// One column a store, one row a number.
pub(crate) fn table(tolls: &[Toll]) -> String {
    let mut rows: Vec<(String, Vec<String>)> = Vec::new();
    let mut row = |title: &str, number: &dyn Fn(&Toll) -> String| {
        rows.push((title.to_owned(), tolls.iter().map(number).collect()));
    };
    row("", &|it| it.topology.map_or(String::new(), word));
    row("seconds of harm", &|it| it.time.as_secs().to_string());
    row("rounds", &|it| it.rounds.to_string());
    row("grants", &|it| it.grants.to_string());
    row("skipped runs", &|it| it.skipped.to_string());
    row("times in a server's line", &|it| it.joined.to_string());
    row("fences compared", &|it| it.fences.to_string());
    row("fenced writes", &|it| it.writes.to_string());
    row("waits watched", &|it| it.waits.to_string());
    row("deadlines watched", &|it| it.deadlines.to_string());
    row("faults", &|it| {
        it.faults.values().sum::<usize>().to_string()
    });
    let faults: BTreeSet<Fault> = tolls
        .iter()
        .flat_map(|it| it.faults.keys().copied())
        .collect();
    for fault in faults {
        let number = |it: &Toll| it.faults.get(&fault).copied().unwrap_or(0).to_string();
        row(&format!("  {}", word(fault)), &number);
    }
    let kinds: [Kind; 3] = [
        ("allowed by the table of faults", |it| &it.allowed),
        ("with the machine short of CPU", |it| &it.starved),
        ("BREACHES", |it| &it.breaches),
    ];
    for (title, of) in kinds {
        row(title, &|it| of(it).values().sum::<usize>().to_string());
        let rules: BTreeSet<Rule> = tolls.iter().flat_map(|it| of(it).keys().copied()).collect();
        for rule in rules {
            let number = |it: &Toll| of(it).get(&rule).copied().unwrap_or(0).to_string();
            row(&format!("  {}", word(rule)), &number);
        }
    }
    row("rounds given up", &|it| it.given_up.to_string());
    let mut table = String::new();
    for (title, numbers) in rows {
        write!(table, "{title:32}").unwrap();
        numbers
            .iter()
            .for_each(|number| write!(table, "{number:>10}").unwrap());
        table.push('\n');
    }
    table
}

/// `KillTasklock` as `kill tasklock`.
fn word(name: impl std::fmt::Debug) -> String {
    let mut words = String::new();
    for letter in format!("{name:?}").chars() {
        if letter.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}

#[test]
fn a_table_shows_each_number_below_its_store() {
    let fault = Record::Fault {
        from: 1,
        to: 2,
        fault: Fault::FlushAll,
        run: None,
        name: None,
    };
    let breach = Breach {
        rule: Rule::Fence,
        at: 1,
        story: String::new(),
    };
    let findings = Findings {
        grants: 42,
        breaches: vec![breach],
        ..Findings::default()
    };
    let mut single = Toll::of(Topology::Single);
    single.add(&[fault], &findings, Duration::from_secs(9));
    assert!(!single.is_good());
    let table = table(&[Toll::default(), single]);
    for (title, numbers) in [
        ("seconds of harm", "0 9"),
        ("grants", "0 42"),
        ("  flush all", "0 1"),
        ("BREACHES", "0 1"),
        ("  fence", "0 1"),
    ] {
        let line = table.lines().find_map(|line| line.strip_prefix(title));
        let line = line.unwrap_or_else(|| panic!("no {title:?} in {table}"));
        let found: Vec<&str> = line.split_ascii_whitespace().collect();
        assert_eq!(found.join(" "), numbers, "{table}");
    }
}
