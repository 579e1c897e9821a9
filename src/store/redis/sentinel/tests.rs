use super::*;

fn bulk(text: &str) -> Value {
    Value::BulkString(text.as_bytes().to_vec())
}

/// Sentinels on the host `h`, with ports from 1 on.
pub(super) fn sentinels(count: u16) -> Sentinels {
    let node = |port| {
        let host = "h".to_owned();
        Arc::new(Server {
            address: Address::Tcp { host, port },
            tls: None,
            user: None,
            password: None,
            database: 0,
            named_by: None,
        })
    };
    Sentinels {
        nodes: (1..=count).map(node).collect(),
        name: "m".to_owned(),
        login: Login {
            tls: None,
            user: None,
            password: None,
            database: 0,
        },
    }
}

#[test]
fn an_address_is_host_and_port() {
    let address = reply::address_of(&[bulk("::1"), bulk("6379")]);
    let host = "::1".to_owned();
    assert_eq!(address, Some(Address::Tcp { host, port: 6379 }));
    for words in [
        vec![],
        vec![bulk("h")],
        vec![bulk(""), bulk("1")],
        vec![bulk("h"), bulk("65536")],
        vec![bulk("h"), Value::Nil],
        vec![bulk("h"), bulk("1"), bulk("2")],
    ] {
        assert_eq!(reply::address_of(&words), None, "{words:?}");
    }
}

#[test]
fn the_epoch_is_one_of_many_fields() {
    let fields = ["name", "config-epoch", "config-epoch", "7", "quorum", "2"];
    let answer = Value::Array(fields.iter().map(|text| bulk(text)).collect());
    assert_eq!(reply::epoch_of(&answer), Some(7));
    assert_eq!(
        reply::epoch_of(&Value::Array(vec![bulk("config-epoch")])),
        None
    );
    assert_eq!(reply::epoch_of(&Value::Nil), None);
}

#[test]
fn what_time_does_not_mend_comes_before_what_it_does() {
    let error = |kind, text: &str| StoreError::new(kind, text);
    let timeout = Duration::from_secs(5);
    let told = |errors| sentinels(2).nobody_named_one(errors, timeout);
    let away = error(StoreErrorKind::Unavailable, "away");
    let denied = error(StoreErrorKind::Denied, "denied");
    assert_eq!(told(vec![away.clone(), denied.clone()]), denied);
    let text = "cannot reach any Sentinel of redis+sentinel://h:1,h:2/m: away";
    assert_eq!(told(vec![away]).text, text);
    assert_eq!(told(Vec::new()).kind, StoreErrorKind::Unavailable);
}
