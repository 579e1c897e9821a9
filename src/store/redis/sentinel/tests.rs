use super::*;

fn bulk(text: &str) -> Value {
    Value::BulkString(text.as_bytes().to_vec())
}

fn named(port: u16, epoch: u64) -> Named {
    let host = "h".to_owned();
    Named {
        address: Address::Tcp { host, port },
        epoch,
    }
}

fn follower(nodes: usize, found: Option<Named>) -> Follower {
    let node = |port| {
        Arc::new(Server {
            address: named(port, 0).address,
            tls: None,
            user: None,
            password: None,
            database: 0,
            named_by: None,
        })
    };
    let sentinels = Sentinels {
        nodes: (1..).take(nodes).map(node).collect(),
        name: "m".to_owned(),
        login: Login {
            tls: None,
            user: None,
            password: None,
            database: 0,
        },
    };
    Follower {
        found,
        ..Follower::new(Arc::new(sentinels))
    }
}

#[test]
fn an_address_is_host_and_port() {
    let address = address_of(&[bulk("::1"), bulk("6379")]);
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
        assert_eq!(address_of(&words), None, "{words:?}");
    }
}

#[test]
fn the_epoch_is_one_of_many_fields() {
    let fields = ["name", "config-epoch", "config-epoch", "7", "quorum", "2"];
    let answer = Value::Array(fields.iter().map(|text| bulk(text)).collect());
    assert_eq!(epoch_of(&answer), Some(7));
    assert_eq!(epoch_of(&Value::Array(vec![bulk("config-epoch")])), None);
    assert_eq!(epoch_of(&Value::Nil), None);
}

#[test]
fn the_largest_epoch_counts_and_names_are_tried_once_in_the_order_they_came() {
    let all = vec![named(1, 4), named(2, 5), named(3, 5), named(2, 5)];
    assert_eq!(follower(5, None).newest(all), [named(2, 5), named(3, 5)]);
}

#[test]
fn a_name_from_before_the_epoch_we_have_seen_counts_only_if_all_say_so() {
    let follower = follower(2, Some(named(2, 5)));
    assert_eq!(follower.newest(vec![named(1, 4)]), []);
    assert_eq!(follower.newest(vec![named(1, 5)]), [named(1, 5)]);
    let anew = vec![named(1, 0), named(1, 0)];
    assert_eq!(follower.newest(anew), [named(1, 0)]);
}

#[test]
fn what_time_does_not_mend_comes_before_what_it_does() {
    let error = |kind, text: &str| StoreError::new(kind, text);
    let told = |errors| follower(2, None).nobody_named_one(errors, Instant::now());
    let away = error(StoreErrorKind::Unavailable, "away");
    let denied = error(StoreErrorKind::Denied, "denied");
    assert_eq!(told(vec![away.clone(), denied.clone()]), denied);
    let text = "cannot reach any Sentinel of redis+sentinel://h:1,h:2/m: away";
    assert_eq!(told(vec![away]).text, text);
    assert_eq!(told(Vec::new()).kind, StoreErrorKind::Unavailable);
}
