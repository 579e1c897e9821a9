//! What a hostile server may say to whoever looks, at locks or at the server itself.

use proptest::collection::vec;
use proptest::prelude::{BoxedStrategy, Just, Strategy, any, prop_oneof};
use proptest::sample::select;
use serde_json::json;

use super::bytes::{Bytes, mutated};
use super::hostile::Rule;
use super::reply::{NUMBERS, array, bulk, bytes, replies, said, who};

/// The first words of what asks about locks.
const OF_LOCKS: &[&str] = &["EVAL", "EVAL", "EVAL", "SCAN", "SCAN", "EVALSHA"];
/// The first words of what asks about a server.
const OF_SERVERS: &[&str] = &[
    "INFO", "INFO", "INFO", "CONFIG", "TIME", "TIME", "SCAN", "PTTL", "HMGET", "GET", "SET",
    "PING", "CLUSTER", "SENTINEL", "AUTH", "EVAL",
];

/// Texts that should reach nobody as they are.
const TEXTS: &[&str] = &[
    "",
    "x",
    "\u{1b}[2J\u{1b}]0;t\u{7}",
    "a\nb\r\tc",
    "\u{9b}2J\u{7f}\u{85}",
    "\"\\{}",
    "{task_lock:a}:st",
];

const FIELDS: &[&str] = &[
    "aof_enabled",
    "aof_last_write_status",
    "cluster_enabled",
    "cluster_state",
    "cluster_slots_ok",
    "connected_slaves",
    "master_host",
    "master_link_status",
    "master_port",
    "maxmemory",
    "maxmemory_policy",
    "min_slaves_good_slaves",
    "rdb_last_bgsave_status",
    "redis_version",
    "role",
    "run_id",
    "slave0",
    "used_memory",
    "valkey_version",
    "flags",
    "quorum",
    "num-slaves",
    "num-other-sentinels",
    "down-after-milliseconds",
    "save",
    "maxmemory-policy",
    "min-replicas-to-write",
];

fn text() -> BoxedStrategy<String> {
    prop_oneof![select(TEXTS).prop_map(str::to_owned), "\\PC{0,12}"].boxed()
}

/// The value of a field.
fn word() -> BoxedStrategy<String> {
    let words = select(
        &[
            "yes",
            "no",
            "ok",
            "err",
            "master",
            "slave",
            "up",
            "down",
            "7.2.4",
            "noeviction",
            "allkeys-lru",
            "3600 1",
            "ip=127.0.0.1,port=PORT5,state=online,offset=1,lag=0",
        ][..],
    );
    let number = select(NUMBERS).prop_map(str::to_owned);
    prop_oneof![words.prop_map(str::to_owned), number, text()].boxed()
}

fn texts(least: usize, most: usize) -> BoxedStrategy<String> {
    vec(word(), least..most)
        .prop_map(|all| array(&all.iter().map(|it| bulk(it)).collect::<Vec<_>>()))
        .boxed()
}

/// A number that may be what it should be.
fn likely() -> BoxedStrategy<&'static str> {
    prop_oneof![3 => select(&["0", "5", "1790000000000"][..]), 1 => select(NUMBERS)].boxed()
}

/// The record of a run that ended.
fn record() -> BoxedStrategy<String> {
    let outcome = select(
        &[
            "exit:0",
            "exit:3",
            "exit:256",
            "signal:9",
            "signal:-2147483648",
            "timeout",
            "lost",
            "unstarted",
            "released",
            "vanished",
            "",
        ][..],
    );
    let unknown = || prop_oneof![3 => likely(), 1 => Just("-")];
    let head = (likely(), likely(), unknown(), outcome, unknown());
    let odd = prop_oneof![9 => Just(None), 1 => (0..9usize).prop_map(Some)];
    (head, likely(), likely(), text(), odd, text())
        .prop_map(
            |((slot, start, lasted, outcome, fence), skips, pid, who, odd, command)| {
                let length = odd.unwrap_or(who.len());
                bulk(&format!(
                    "{slot} {start} {lasted} {outcome} {fence} {skips} {pid} ab12 {length} {who}{command}"
                ))
            },
        )
        .boxed()
}

/// What somebody left of himself, JSON.
pub(super) fn details() -> BoxedStrategy<String> {
    let pid = select(&[0, 7, u32::MAX][..]);
    (text(), pid, text(), proptest::option::of(text()))
        .prop_map(|(who, pid, command, reason)| {
            let id = "0123456789abcdef";
            json!({"id": id, "who": who, "pid": pid, "command": command, "reason": reason})
                .to_string()
        })
        .boxed()
}

fn records(most: usize) -> BoxedStrategy<String> {
    let good = Just(bulk(
        "0 1790000000000 1500 exit:0 7 0 42 ab12 6 root@hsleep",
    ));
    let record = prop_oneof![3 => record(), 1 => good, 1 => text().prop_map(|text| bulk(&text))];
    vec(record, 0..most).prop_map(|all| array(&all)).boxed()
}

/// How a lock stands.
pub(super) fn status() -> BoxedStrategy<String> {
    let none_or = || prop_oneof![2 => likely().prop_map(bulk), 1 => Just(bulk(""))];
    let waiter = (prop_oneof![3 => details(), 1 => text()], none_or())
        .prop_map(|(details, age)| array(&[bulk(&details), age]));
    let waiters = vec(waiter, 0..4).prop_map(|all| array(&all));
    let place =
        (none_or(), none_or(), who()).prop_map(|(fence, cools, who)| array(&[fence, cools, who]));
    let head = (
        none_or(),
        likely().prop_map(bulk),
        none_or(),
        records(3),
        waiters,
    );
    (head, vec(place, 0..4))
        .prop_map(|((waiting, skips, ago, records, waiters), places)| {
            array(
                &[
                    vec![bulk("status"), waiting, skips, ago, records, waiters],
                    places,
                ]
                .concat(),
            )
        })
        .boxed()
}

/// What a script says to a subcommand.
fn script() -> BoxedStrategy<String> {
    let count = || likely().prop_map(bulk);
    let history =
        (count(), count(), records(40), records(3)).prop_map(|(now, skips, runs, vanished)| {
            array(&[bulk("history"), now, skips, runs, vanished])
        });
    let held = (count(), count(), count(), count())
        .prop_map(|(one, two, three, four)| array(&[bulk("held"), one, two, three, four]));
    let other =
        (select(&["other", "taken"][..]), who()).prop_map(|(word, who)| array(&[bulk(word), who]));
    let revoked = text().prop_map(|by| array(&[bulk("revoked"), bulk(&by)]));
    let refused = (select(&["foreign", "newer"][..]), text(), 1..400usize)
        .prop_map(|(word, key, times)| array(&[bulk(word), bulk(&key.repeat(times))]));
    let reserved = text().prop_map(|details| array(&[bulk("reserved"), bulk(&details)]));
    prop_oneof![4 => status(), 3 => history, 2 => held, 2 => other, 1 => revoked, 1 => refused, 1 => reserved]
        .boxed()
}

/// A page of keys, and the cursor of the next one: the first again, the same, or none.
fn page() -> BoxedStrategy<String> {
    let cursor = prop_oneof![4 => Just("0"), 2 => Just("7"), 1 => select(NUMBERS)];
    let name =
        prop_oneof![2 => select(&["a", "b", "x y"][..]).prop_map(str::to_owned), 1 => text()];
    let key = (name, any::<bool>()).prop_map(|(name, of_state)| match of_state {
        true => bulk(&format!("{{task_lock:{name}}}:st")),
        false => bulk(&format!("task_lock:{name}")),
    });
    let form = select(&["task_lock:N", "{task_lock:N}:st"][..]);
    let many = (1..3000usize, form).prop_map(|(count, form)| {
        (0..count)
            .map(|it| bulk(&form.replace('N', &it.to_string())))
            .collect()
    });
    let keys = prop_oneof![9 => vec(key, 0..9), 1 => many];
    (cursor, keys)
        .prop_map(|(cursor, keys): (_, Vec<String>)| array(&[bulk(cursor), array(&keys)]))
        .boxed()
}

/// `name:value` lines, with a length or as one of RESP3's texts.
fn info() -> BoxedStrategy<String> {
    let line = (select(FIELDS), word()).prop_map(|(name, value)| format!("{name}:{value}\r\n"));
    (vec(line, 0..30), any::<bool>())
        .prop_map(|(lines, plain)| match (plain, lines.concat()) {
            (true, text) => bulk(&text),
            (false, text) => format!("={}\r\ntxt:{text}\r\n", text.len() + 4),
        })
        .boxed()
}

/// Names and values in turn.
fn pairs() -> BoxedStrategy<String> {
    vec((select(FIELDS), word()), 0..12)
        .prop_map(|pairs| {
            let words = pairs
                .iter()
                .flat_map(|(name, value)| [bulk(name), bulk(value)]);
            array(&words.collect::<Vec<_>>())
        })
        .boxed()
}

/// What somebody may say who was asked that.
fn fitting(command: &str) -> BoxedStrategy<String> {
    match command {
        "EVAL" | "EVALSHA" => script(),
        "SCAN" => page(),
        "INFO" => info(),
        "CONFIG" => prop_oneof![pairs(), texts(2, 3)].boxed(),
        "SENTINEL" => pairs(),
        "CLUSTER" => prop_oneof![info(), pairs()].boxed(),
        "TIME" => vec(likely().prop_map(bulk), 2)
            .prop_map(|all| array(&all))
            .boxed(),
        "PTTL" => select(NUMBERS)
            .prop_map(|number| format!(":{number}\r\n"))
            .boxed(),
        "GET" => (text(), select(NUMBERS), select(NUMBERS))
            .prop_map(|(id, founded, serves)| bulk(&format!("{id} {founded} {serves}")))
            .boxed(),
        _ => texts(0, 4),
    }
}

fn rule(commands: &'static [&'static str]) -> BoxedStrategy<Rule> {
    select(commands)
        .prop_flat_map(|command| {
            let fits = || fitting(command).prop_map(Bytes::from);
            let bytes = prop_oneof![12 => fits(), 1 => mutated(fits()), 2 => bytes()];
            let replies = vec(said(bytes), 1..4);
            replies.prop_map(move |replies| Rule {
                command: command.to_owned(),
                replies,
            })
        })
        .boxed()
}

fn rules(commands: &'static [&'static str]) -> BoxedStrategy<Vec<Rule>> {
    let any_reply = replies().prop_map(|replies| {
        vec![Rule {
            command: String::new(),
            replies,
        }]
    });
    prop_oneof![5 => vec(rule(commands), 1..4), 1 => any_reply].boxed()
}

/// What is said to who asks about locks: to some requests all that, honestly to the others; or
/// anything to any.
pub(super) fn about_locks() -> BoxedStrategy<Vec<Rule>> {
    rules(OF_LOCKS)
}

/// The same to who asks about the server as well.
pub(super) fn about_servers() -> BoxedStrategy<Vec<Rule>> {
    rules(OF_SERVERS)
}
