//! What a hostile server may say.

use proptest::collection::vec;
use proptest::prelude::{BoxedStrategy, Just, Strategy, any, prop_oneof};
use proptest::sample::select;

use super::bytes::{Bytes, mutated, random};
use super::hostile::{PORT, Reply, Then};
use super::looks;

pub(super) const NUMBERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "5",
    "+5",
    "",
    "nan",
    "1.5",
    "1e3",
    "1000",
    "2500",
    "1999999999999",
    "1790000000000000",
    "9007199254740991",
    "9007199254740992",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "4294967295",
    "4294967296",
    "99999999999999999999999999",
];

const COUNTS: &[&str] = &[
    "-9223372036854775808",
    "-2",
    "-1",
    "0",
    "1",
    "2",
    "4096",
    "1048576",
    "2000000000",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "4611686018427387904",
    "x",
    "",
];

const ERRORS: &[&str] = &[
    "ERR",
    "NOAUTH",
    "WRONGPASS",
    "NOPERM",
    "LOADING",
    "READONLY",
    "CLUSTERDOWN",
    "MASTERDOWN",
    "TRYAGAIN",
    "OOM",
    "BUSY",
    "MISCONF",
    "NOSCRIPT",
    "NOREPLICAS",
    "UNBLOCKED",
    "CROSSSLOT",
    "EXECABORT",
    "DENIED",
    "ERR unknown command 'EVAL', with args beginning with: 'S3cr3t'",
    "ERR invalid password S3cr3t",
    "ERR max number of clients reached",
    "ERR Error running script: @user_script:1: OOM no",
    "",
];

const PLACES: &[&str] = &[
    "127.0.0.1:PORT5",
    "[::1]:PORT5",
    ":PORT5",
    "?:1",
    "127.0.0.1:1",
    "127.0.0.1:0",
    "127.0.0.1:70000",
    "",
    "h",
];

pub(super) fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

pub(super) fn array(parts: &[String]) -> String {
    format!("*{}\r\n{}", parts.len(), parts.concat())
}

pub(super) fn number() -> impl Strategy<Value = String> {
    select(NUMBERS).prop_map(bulk)
}

/// Who has the lock, more or less.
pub(super) fn who() -> BoxedStrategy<String> {
    let details = prop_oneof![
        Just("{}".to_owned()),
        Just(
            r#"{"id":"0123456789abcdef","who":"root@h","pid":7,"command":"x","reason":"y"}"#
                .to_owned()
        ),
        "\\PC{0,20}",
        looks::details(),
        Just("{\"who\":\"\u{1b}[2J\\n\",\"id\":\"\",\"pid\":4294967295}".to_owned()),
    ];
    let kind = select(&["holder", "recipe", "other"][..]);
    let whole = (kind, details, number(), number(), select(&["", "1"][..]));
    let whole = whole.prop_map(|(kind, details, age, left, revoked)| {
        array(&[bulk(kind), bulk(&details), age, left, bulk(revoked)])
    });
    prop_oneof![4 => whole, 1 => Just("$-1\r\n".to_owned()), 1 => number()].boxed()
}

/// What a script may say, with the numbers that it should not.
fn script() -> BoxedStrategy<String> {
    let words = select(
        &[
            "granted",
            "held",
            "queued",
            "reserved",
            "cooling",
            "recently",
            "samekey",
            "attempts",
            "withdrawn",
            "retaken",
            "revoked",
            "taken",
            "moved",
            "expired",
            "released",
            "forgotten",
            "other",
            "status",
            "unlocked",
            "foreign",
            "newer",
            "new",
            "away",
            "otherset",
            "twin",
            "healed",
            "noted",
            "marked",
        ][..],
    );
    let part = prop_oneof![4 => number(), 2 => who(), 1 => vec(number(), 0..4).prop_map(|all| array(&all))];
    let any_words = (words, vec(part, 0..6))
        .prop_map(|(word, parts)| array(&[vec![bulk(word)], parts].concat()));
    let granted = (
        number(),
        number(),
        select(&["0", "0", "1", "-1", "4294967295"][..]),
    );
    let granted =
        granted.prop_map(|(fence, end, place)| array(&[bulk("granted"), fence, end, bulk(place)]));
    let held = who().prop_map(|who| array(&[bulk("held"), who]));
    let queued = (number(), number(), number(), who()).prop_map(|(ticket, place, ask_in, who)| {
        array(&[bulk("queued"), ticket, place, ask_in, who])
    });
    let good = Just(array(
        &["granted", "1790000000000000", "1790000000000", "0"].map(bulk),
    ));
    let unlocked = vec((select(&["asked", "freed", "recipe"][..]), who()), 0..4).prop_map(|all| {
        let all = all.into_iter().map(|(word, who)| array(&[bulk(word), who]));
        array(
            &[bulk("unlocked")]
                .into_iter()
                .chain(all)
                .collect::<Vec<_>>(),
        )
    });
    prop_oneof![3 => any_words, 3 => granted, 2 => good, 2 => held, 2 => queued, 1 => looks::status(), 1 => unlocked]
    .boxed()
}

/// Any value of RESP2 and RESP3.
fn value() -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        select(NUMBERS).prop_map(|number| format!(":{number}\r\n")),
        select(NUMBERS).prop_map(|number| format!(",{number}\r\n")),
        select(NUMBERS).prop_map(|number| format!("({number}\r\n")),
        select(
            &[
                "_\r\n",
                "#t\r\n",
                "#x\r\n",
                "$-1\r\n",
                "*-1\r\n",
                "+OK\r\n",
                "+PONG\r\n"
            ][..]
        )
        .prop_map(str::to_owned),
        "\\PC{0,8}".prop_map(|text| bulk(&text)),
        "\\PC{0,8}".prop_map(|text| format!("!{}\r\n{text}\r\n", text.len())),
        "txt:\\PC{0,8}".prop_map(|text| format!("={}\r\n{text}\r\n", text.len())),
    ];
    leaf.prop_recursive(8, 64, 6, |inner| {
        (select(&["*", "%", "~", ">", "|"][..]), vec(inner, 0..6)).prop_map(|(kind, parts)| {
            let count = if matches!(kind, "%" | "|") {
                parts.len() / 2
            } else {
                parts.len()
            };
            format!("{kind}{count}\r\n{}", parts.concat())
        })
    })
    .boxed()
}

fn error() -> BoxedStrategy<String> {
    let plain =
        (select(ERRORS), "\\PC{0,10}").prop_map(|(code, text)| format!("-{code} {text}\r\n"));
    let moved = (
        select(&["MOVED", "ASK"][..]),
        select(NUMBERS),
        select(PLACES),
    );
    let moved = moved.prop_map(|(code, slot, place)| format!("-{code} {slot} {place}\r\n"));
    prop_oneof![plain, moved].boxed()
}

/// Names of servers, as Sentinel and Cluster give them.
fn named() -> BoxedStrategy<String> {
    let host = || select(&["127.0.0.1", "", "::1", "?", "256.1.1.1", "\u{1b}[2J"][..]);
    let port = || select(&[PORT, "1", "0", "-1", "70000", "x"][..]);
    let master = (host(), port()).prop_map(|(host, port)| array(&[bulk(host), bulk(port)]));
    let epoch = select(NUMBERS).prop_map(|epoch| array(&["config-epoch", epoch].map(bulk)));
    let role = select(&["master", "slave", "sentinel", "handshake", ""][..]);
    let role = role.prop_map(|role| array(&[bulk(role), ":0\r\n".to_owned(), "*0\r\n".to_owned()]));
    let range = (
        select(NUMBERS),
        select(NUMBERS),
        vec((host(), port()), 0..3),
    );
    let range = range.prop_map(|(first, last, nodes)| {
        let nodes = nodes
            .into_iter()
            .map(|(host, port)| array(&[bulk(host), format!(":{port}\r\n"), bulk("id")]));
        let ends = [first, last].map(|end| format!(":{end}\r\n"));
        array(&ends.into_iter().chain(nodes).collect::<Vec<_>>())
    });
    let slots = vec(range, 0..4).prop_map(|ranges| array(&ranges));
    prop_oneof![master, epoch, role, slots].boxed()
}

/// The beginning of what is as long as that.
fn header() -> BoxedStrategy<String> {
    let kind = select(
        &[
            "*", "$", "%", "~", ">", "|", "!", "=", "+", "-", ":", "(", ",",
        ][..],
    );
    (kind, select(COUNTS))
        .prop_map(|(kind, count)| format!("{kind}{count}\r\n"))
        .boxed()
}

fn text() -> BoxedStrategy<String> {
    let deep = (
        select(
            &[
                "*1\r\n",
                "*2\r\n_\r\n",
                "%1\r\n",
                "|1\r\n",
                "~1\r\n",
                ">1\r\n",
                "*4096\r\n",
            ][..],
        ),
        1..5000usize,
    );
    let deep = deep.prop_map(|(piece, depth)| piece.repeat(depth));
    let wide = (
        select(
            &[
                "_\r\n",
                "*0\r\n",
                "+\r\n",
                "$0\r\n\r\n",
                "*1\r\n_\r\n",
                ":1\r\n",
            ][..],
        ),
        1..20_000usize,
    );
    let wide = wide.prop_map(|(piece, count)| format!("*{}\r\n{}", count + 1, piece.repeat(count)));
    let two = (script(), prop_oneof![script(), value()]).prop_map(|(one, other)| one + &other);
    prop_oneof![
        6 => script(),
        3 => named(),
        3 => error(),
        2 => value(),
        2 => header(),
        1 => deep,
        1 => wide,
        1 => two,
    ]
    .boxed()
}

pub(super) fn bytes() -> BoxedStrategy<Bytes> {
    prop_oneof![
        5 => text().prop_map(Bytes::from),
        3 => mutated(text().prop_map(Bytes::from)),
        1 => random(300),
        1 => "[-*$%|~>+:!=(,#_\r\n0-9ab ]{0,60}".prop_map(Bytes::from),
        // A record of TLS, or the beginning of one.
        1 => (select(&[0x14u8, 0x15, 0x16, 0x17, 0x80][..]), random(60)).prop_map(|(kind, rest)| {
            Bytes([&[kind, 3, 3, 0], &[rest.0.len() as u8][..], &rest.0].concat())
        }),
    ]
    .boxed()
}

pub(super) fn said(bytes: impl Strategy<Value = Bytes> + 'static) -> BoxedStrategy<Reply> {
    let then = prop_oneof![
        6 => Just(Then::Read),
        2 => Just(Then::Close),
        1 => Just(Then::Hold),
        1 => Just(Then::Repeat),
    ];
    let piece = prop_oneof![3 => Just(0), 1 => 1..40usize];
    (bytes, piece, then)
        .prop_map(|(bytes, piece, then)| {
            // Of a long answer single bytes would take longer than anybody waits.
            let piece = if bytes.0.len() > 2000 { 0 } else { piece };
            Reply::Bytes { bytes, piece, then }
        })
        .boxed()
}

/// Some replies, one after the other.
pub(super) fn replies() -> BoxedStrategy<Vec<Reply>> {
    let reply = prop_oneof![1 => Just(Reply::Honest), 3 => said(bytes())];
    // Half of them get to the second request with what the first one needs.
    (any::<bool>(), vec(reply, 1..6))
        .prop_map(|(honest, rest)| match honest {
            true => [vec![Reply::Honest], rest].concat(),
            false => rest,
        })
        .boxed()
}

/// The same without anything that a script says.
pub(super) fn garbage() -> BoxedStrategy<Vec<Reply>> {
    let text = prop_oneof![error(), value(), header()].prop_map(Bytes::from);
    vec(said(prop_oneof![3 => text, 1 => random(300)]), 1..4).boxed()
}
