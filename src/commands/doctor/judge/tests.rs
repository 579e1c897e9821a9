//! Each rule, with a case in which it speaks and one in which it does not.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::commands::doctor::facts::{
    Certificate, Clock, Cluster, Directory, Fields, Leftovers, Local, Mark, Seen, Sentinel,
};
use crate::exit::Code;
use crate::store::StoreErrorKind;
use crate::store::redis::probe::Refusal;

mod topology;

const DENIED: Level = Level::Error(Code::Denied);
const UNAVAILABLE: Level = Level::Error(Code::Unavailable);
const CONFIG: Level = Level::Error(Code::Config);

fn fields(pairs: &[(&str, &str)]) -> Fields {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

/// A master to be content with, with one replica.
fn healthy() -> Server {
    let info = fields(&[
        ("role", "master"),
        ("redis_version", "7.2.4"),
        ("run_id", "abc"),
        ("aof_enabled", "1"),
        ("maxmemory", "1000"),
        ("maxmemory_policy", "noeviction"),
        ("used_memory", "100"),
        ("connected_slaves", "1"),
        (
            "slave0",
            "ip=10.0.0.2,port=6379,state=online,offset=5,lag=1",
        ),
    ]);
    let setting = |value: &str| Ok(value.to_owned());
    Server {
        name: "redis://a".to_owned(),
        user: None,
        round_trip: Ok(Duration::from_millis(1)),
        info: Ok(info),
        config: HashMap::from([
            ("appendonly", setting("yes")),
            ("maxmemory-policy", setting("noeviction")),
            ("save", setting("3600 1")),
            ("min-replicas-to-write", setting("1")),
            ("min-replicas-max-lag", setting("10")),
            ("cluster-node-timeout", setting("15000")),
            ("cluster-require-full-coverage", setting("yes")),
        ]),
        refused: Vec::new(),
        clock: Ok(clock(0, 0.0)),
        tls: Some(certificate(90)),
        mark: Ok(None),
    }
}

fn clock(ahead: i64, faster: f64) -> Clock {
    Clock {
        ahead,
        ahead_error: 100,
        faster: Some(faster),
        faster_error: 200.0,
    }
}

fn certificate(days: i64) -> Certificate {
    Certificate {
        protocol: "TLSv1_3".to_owned(),
        days_left: Ok(days),
    }
}

fn with(change: impl FnOnce(&mut Server)) -> Server {
    let mut server = healthy();
    change(&mut server);
    server
}

fn info(server: &mut Server, name: &str, value: &str) {
    let info = server.info.as_mut().unwrap();
    info.insert(name.to_owned(), value.to_owned());
}

fn set(server: &mut Server, name: &'static str, value: &str) {
    server.config.insert(name, Ok(value.to_owned()));
}

fn sentinel(pairs: &[(&str, &str)]) -> Shape {
    let mut master = fields(&[
        ("num-other-sentinels", "2"),
        ("quorum", "2"),
        ("down-after-milliseconds", "5000"),
        ("failover-timeout", "60000"),
    ]);
    master.extend(fields(pairs));
    Shape::Sentinel(vec![Ok(Sentinel {
        name: "redis://s1".to_owned(),
        master: Ok(master),
    })])
}

fn cluster(state: &str, slots: &str, replicas: usize) -> Shape {
    Shape::Cluster(Cluster {
        info: Ok(fields(&[
            ("cluster_state", state),
            ("cluster_slots_ok", slots),
        ])),
        masters: Ok(vec![("redis://a".to_owned(), replicas)]),
    })
}

fn judged(shape: Shape, servers: Vec<Server>) -> Vec<Finding> {
    let facts = facts(Place::Servers {
        shape,
        servers: servers.into_iter().map(Ok).collect(),
        leftovers: Vec::new(),
        own_certificate: None,
    });
    judge(&facts, how(&terms(60), false))
}

fn facts(place: Place) -> Facts {
    Facts {
        store: "redis://a".to_owned(),
        unconfigured: false,
        look: Ok(Status::default()),
        name: None,
        place,
    }
}

fn terms(secs: u64) -> Terms {
    Terms::new(Duration::from_secs(secs), None, None)
}

fn how(terms: &Terms, fixing: bool) -> Use<'_> {
    Use {
        terms,
        key_prefix: "task_lock:",
        fixing,
    }
}

/// The worst that was found by `check`.
#[track_caller]
fn worst<'f>(findings: &'f [Finding], check: &str) -> &'f Finding {
    let rank = |finding: &&Finding| match finding.level {
        Level::Ok => 0,
        Level::Unknown => 1,
        Level::Warning => 2,
        Level::Error(_) => 3,
    };
    let of_check = findings.iter().filter(|finding| finding.check == check);
    of_check
        .max_by_key(rank)
        .unwrap_or_else(|| panic!("no {check}: {findings:#?}"))
}

#[track_caller]
fn expect(findings: &[Finding], check: &str, level: Level, fragment: &str) {
    let finding = worst(findings, check);
    assert_eq!(finding.level, level, "{finding:?}");
    assert!(finding.text.contains(fragment), "{finding:?}");
    let needs_advice = matches!(level, Level::Warning | Level::Error(_));
    assert!(finding.advice.is_some() || !needs_advice, "{finding:?}");
}

#[test]
fn a_healthy_server_has_nothing_but_good_findings() {
    for shape in [
        Shape::One,
        sentinel(&[]),
        cluster("ok", "16384", 1),
        Shape::Quorum(3),
    ] {
        let findings = judged(shape, vec![healthy()]);
        let bad: Vec<_> = findings.iter().filter(|it| it.level != Level::Ok).collect();
        assert!(bad.is_empty() && findings.len() > 8, "{bad:#?}");
    }
}

#[test]
fn each_trouble_of_a_server_is_told() {
    type Change = fn(&mut Server);
    let cases: [(Change, &str, Level, &str); 16] = [
        (
            |s| s.round_trip = Ok(Duration::from_millis(300)),
            "latency",
            Level::Warning,
            "300.00ms",
        ),
        (
            |s| info(s, "redis_version", "6.0.9"),
            "version",
            Level::Warning,
            "Redis 6.0.9",
        ),
        (
            |s| info(s, "dragonfly_version", "1.2"),
            "version",
            Level::Warning,
            "Dragonfly",
        ),
        (
            |s| info(s, "valkey_version", "8.0.1"),
            "version",
            Level::Ok,
            "Valkey 8.0.1",
        ),
        (
            |s| info(s, "role", "slave"),
            "topology",
            UNAVAILABLE,
            "a replica of",
        ),
        (
            |s| {
                info(s, "aof_enabled", "0");
                set(s, "save", "");
            },
            "persistence",
            Level::Warning,
            "nothing is saved",
        ),
        (
            |s| info(s, "aof_enabled", "0"),
            "persistence",
            Level::Ok,
            "snapshots",
        ),
        (
            |s| info(s, "rdb_last_bgsave_status", "err"),
            "persistence",
            Level::Warning,
            "failed",
        ),
        (
            |s| info(s, "maxmemory_policy", "allkeys-lru"),
            "eviction",
            Level::Warning,
            "state and all",
        ),
        (
            |s| info(s, "maxmemory_policy", "volatile-lru"),
            "eviction",
            Level::Ok,
            "but not its state",
        ),
        (
            |s| {
                info(s, "maxmemory_policy", "allkeys-lru");
                info(s, "maxmemory", "0");
            },
            "eviction",
            Level::Ok,
            "nothing is dropped",
        ),
        (
            |s| info(s, "used_memory", "950"),
            "memory",
            Level::Warning,
            "95%",
        ),
        (
            |s| info(s, "slave0", "ip=h,port=1,state=wait_bgsave,offset=0,lag=0"),
            "replicas",
            Level::Warning,
            "h:1 is not in step",
        ),
        (
            |s| info(s, "slave0", "ip=h,port=1,state=online,offset=0,lag=30"),
            "replicas",
            Level::Warning,
            "silent for 30s",
        ),
        (
            |s| s.tls = Some(certificate(13)),
            "tls",
            Level::Warning,
            "ends in 13 days",
        ),
        (
            |s| s.tls = Some(certificate(14)),
            "tls",
            Level::Ok,
            "TLS 1.3",
        ),
    ];
    for (change, check, level, fragment) in cases {
        expect(
            &judged(Shape::One, vec![with(change)]),
            check,
            level,
            fragment,
        );
    }
}

#[test]
fn a_clock_that_is_wrong_or_fast_is_told() {
    for (ahead, faster, check, level, fragment) in [
        (-900_000, 0.0, "clock", Level::Ok, "behind"),
        (5_000_000, 0.0, "clock", Level::Warning, "5s ahead of"),
        (0, 9_000.0, "drift", Level::Ok, "+9000 ppm"),
        (0, -15_000.0, "drift", Level::Warning, "-15000 ppm"),
    ] {
        let server = with(|s| s.clock = Ok(clock(ahead, faster)));
        expect(&judged(Shape::One, vec![server]), check, level, fragment);
    }
    let vague = Clock {
        faster_error: 50_000.0,
        ..clock(0, 30_000.0)
    };
    let server = with(|s| s.clock = Ok(vague));
    expect(
        &judged(Shape::One, vec![server]),
        "drift",
        Level::Unknown,
        "too long",
    );
}

#[test]
fn what_an_acl_hides_is_said_and_is_no_trouble() {
    let why = || "NOPERM no".to_owned();
    let server = with(|s| {
        s.info = Err(why());
        s.clock = Err(why());
        s.round_trip = Err(why());
        s.tls = None;
        for value in s.config.values_mut() {
            *value = Err(why());
        }
    });
    let findings = judged(sentinel(&[]), vec![server]);
    for check in [
        "version",
        "topology",
        "persistence",
        "eviction",
        "clock",
        "latency",
    ] {
        expect(&findings, check, Level::Unknown, "NOPERM no");
    }
    expect(
        &findings,
        "eviction",
        Level::Unknown,
        "+config|get would show it",
    );
    assert!(
        findings
            .iter()
            .all(|it| matches!(it.level, Level::Ok | Level::Unknown))
    );
    let server = with(|s| {
        s.config.insert("min-replicas-to-write", Err(why()));
    });
    expect(
        &judged(sentinel(&[]), vec![server]),
        "min-replicas",
        Level::Unknown,
        "NOPERM",
    );
}

#[test]
fn a_missing_right_is_an_error_if_every_run_needs_it_and_a_warning_if_some_do() {
    let refusal = |name: &str, kind| {
        let text = format!("NOPERM {name}");
        (name.to_owned(), Refusal { kind, text })
    };
    let denied = |name| refusal(name, StoreErrorKind::Denied);
    for (refused, level, fragment, advice) in [
        (
            vec![denied("publish")],
            Level::Warning,
            "publish (for a waiter",
            "ACL SETUSER job ~",
        ),
        (
            vec![denied("publish"), denied("hset")],
            DENIED,
            "NOPERM hset",
            "+hset",
        ),
        (
            vec![refusal("eval", StoreErrorKind::Misconfigured)],
            CONFIG,
            "eval",
            "rename-command",
        ),
        (
            vec![refusal("set", StoreErrorKind::Unavailable)],
            UNAVAILABLE,
            "set",
            "not taken",
        ),
    ] {
        let server = with(|s| {
            s.refused = refused;
            s.user = Some("job".to_owned());
        });
        let findings = judged(Shape::One, vec![server]);
        expect(&findings, "rights", level, fragment);
        let told = worst(&findings, "rights").advice.as_deref().unwrap();
        assert!(told.contains(advice), "{told}");
    }
}

#[test]
fn a_node_that_cannot_be_asked_is_told_once() {
    let error = || StoreError::new(StoreErrorKind::Unavailable, "cannot reach b");
    let place = || Place::Servers {
        shape: Shape::Quorum(3),
        servers: vec![Ok(healthy()), Err(error())],
        leftovers: Vec::new(),
        own_certificate: Some(Ok(3)),
    };
    let terms = terms(60);
    let findings = judge(&facts(place()), how(&terms, false));
    expect(&findings, "reach", Level::Warning, "cannot reach b");
    expect(
        &findings,
        "tls",
        Level::Warning,
        "--tls-cert ends in 3 days",
    );
    let alone = facts(Place::Servers {
        shape: Shape::One,
        servers: vec![Err(error())],
        leftovers: Vec::new(),
        own_certificate: None,
    });
    expect(
        &judge(&alone, how(&terms, false)),
        "reach",
        UNAVAILABLE,
        "cannot reach b",
    );
    let failed = Facts {
        look: Err(error()),
        ..facts(place())
    };
    let findings = judge(&failed, how(&terms, false));
    expect(&findings, "reach", UNAVAILABLE, "cannot reach b");
    let told = findings
        .iter()
        .filter(|it| it.text.contains("cannot reach b"));
    assert_eq!(told.count(), 1);
}

#[test]
fn leftovers_are_told_or_mended() {
    let walk = |names: &[&str], mended| -> Vec<Seen<Leftovers>> {
        vec![Ok(Leftovers {
            states: 9,
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            mended,
            trouble: None,
            complete: true,
        })]
    };
    let terms = terms(60);
    let of = |walks: &[Seen<Leftovers>], fixing| {
        leftover::judge(walks, &Shape::One, how(&terms, fixing)).unwrap()
    };
    assert_eq!(of(&walk(&[], 0), false).level, Level::Ok);
    let found = of(&walk(&["a", "b", "c", "d"], 0), false);
    assert_eq!(found.level, Level::Warning);
    assert!(
        found
            .text
            .contains("4 left by crashed runs without an end: a, b, c, …"),
        "{found:?}"
    );
    assert_eq!(of(&walk(&["a"], 1), true).level, Level::Ok);
    let mut half = walk(&["a", "b"], 1);
    half[0].as_mut().unwrap().trouble = Some("NOPERM".to_owned());
    assert_eq!(of(&half, true).level, Level::Warning);
    assert_eq!(of(&[Err("NOPERM".to_owned())], false).level, Level::Unknown);
}

#[test]
fn leftovers_of_a_quorum_are_counted_once_and_those_of_a_cluster_together() {
    let walk = |states, names: &[&str], mended| {
        Ok(Leftovers {
            states,
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            mended,
            trouble: (mended < names.len()).then(|| "NOPERM".to_owned()),
            complete: true,
        })
    };
    let walks = [
        walk(4, &["a", "b"], 2),
        walk(5, &["b", "a"], 1),
        walk(3, &[], 0),
    ];
    let terms = terms(60);
    let text = |shape: &Shape, fixing| {
        let found = leftover::judge(&walks, shape, how(&terms, fixing));
        found.unwrap().text
    };
    let quorum = text(&Shape::Quorum(3), true);
    assert_eq!(
        quorum,
        "up to 5 locks have a state on a node, 2 left by crashed runs without an end: a, b; \
         1 end in 30 days now, the others not: NOPERM"
    );
    let cluster = text(&cluster("ok", "16384", 1), false);
    assert!(
        cluster.starts_with("12 locks have a state, 4 left by"),
        "{cluster}"
    );
}

#[test]
fn a_directory_is_judged_by_its_rights_and_its_file_system() {
    let directory = |magic, writable: Seen<()>| {
        let local = Local {
            path: PathBuf::from("/locks"),
            exists: true,
            directory: Ok(Directory {
                owner: 0,
                mode: 0o700,
                magic: Ok(magic),
                writable,
            }),
            inotify: Ok(()),
        };
        local::judge(&local, false)
    };
    expect(
        &directory(0x0102_1994, Ok(())),
        "filesystem",
        Level::Ok,
        "tmpfs",
    );
    expect(
        &directory(0xEF53, Ok(())),
        "filesystem",
        Level::Ok,
        "of this host",
    );
    expect(
        &directory(0x6969, Ok(())),
        "filesystem",
        Level::Warning,
        "NFS",
    );
    // CIFS, where the number is a signed int.
    expect(
        &directory(-11_317_950, Ok(())),
        "filesystem",
        Level::Warning,
        "SMB",
    );
    let closed = directory(0xEF53, Err("Read-only file system".to_owned()));
    expect(&closed, "directory", DENIED, "Read-only");
    let missing = Local {
        path: PathBuf::from("/locks"),
        exists: false,
        directory: Err("no such".to_owned()),
        inotify: Err("too many".to_owned()),
    };
    let findings = local::judge(&missing, true);
    expect(&findings, "directory", CONFIG, "no such");
    expect(&findings, "inotify", Level::Warning, "too many");
    expect(&findings, "store", Level::Warning, "this host only");
}

#[test]
fn a_lock_that_was_asked_about_is_told_with_what_it_rides_out() {
    let local = Place::Local(Local {
        path: PathBuf::from("/locks"),
        exists: true,
        directory: Err("x".to_owned()),
        inotify: Ok(()),
    });
    let remote = Place::Servers {
        shape: Shape::One,
        servers: Vec::new(),
        leftovers: Vec::new(),
        own_certificate: None,
    };
    let terms = terms(90);
    for (place, text) in [
        (local, "backup: free"),
        (
            remote,
            "backup: free; a ttl of 1m30s rides out an outage of 1m2s",
        ),
    ] {
        let named = Facts {
            name: Some("backup".to_owned()),
            ..facts(place)
        };
        let findings = judge(&named, how(&terms, false));
        assert_eq!(worst(&findings, "lock").text, text);
    }
}
