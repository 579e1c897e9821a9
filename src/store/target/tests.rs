use super::*;

fn parse(url: &str) -> Result<Target, String> {
    Target::parse(&[url.to_owned()], &TlsFiles::default())
}

fn server(url: &str) -> Arc<Server> {
    match parse(url) {
        Ok(Target::Redis(server)) => server,
        other => panic!("{url}: {other:?}"),
    }
}

fn refusal(url: &str) -> String {
    parse(url).expect_err(url)
}

#[test]
fn no_url_and_local_are_the_local_store() {
    assert!(matches!(
        Target::parse(&[], &TlsFiles::default()),
        Ok(Target::Local(None))
    ));
    assert!(matches!(parse("local:"), Ok(Target::Local(None))));
    let target = parse("local:/var/lock/jobs").unwrap();
    assert!(matches!(&target, Target::Local(Some(dir)) if dir == &PathBuf::from("/var/lock/jobs")));
    assert_eq!(target.to_string(), "local:/var/lock/jobs");
}

#[test]
fn a_local_directory_is_absolute() {
    assert!(refusal("local:jobs").contains("local:/dir"));
    assert!(refusal("local://jobs").contains("local:/dir"));
}

#[test]
fn a_redis_url_is_taken_apart() {
    let server = server("redis://job:p%40ss%2Fw%23rd@db.example:7000/3");
    assert_eq!(
        server.address,
        Address::Tcp {
            host: "db.example".to_owned(),
            port: 7000
        }
    );
    assert_eq!(server.user.as_deref(), Some("job"));
    assert_eq!(server.password, Some(Secret::new("p@ss/w#rd".to_owned())));
    assert_eq!(server.database, 3);
    assert_eq!(server.to_string(), "redis://db.example:7000/3");
}

#[test]
fn the_port_is_6379_and_the_database_0_unless_given() {
    for url in [
        "redis://10.1.2.3",
        "redis://10.1.2.3/",
        "REDIS://10.1.2.3/0",
    ] {
        assert_eq!(server(url).to_string(), "redis://10.1.2.3:6379", "{url}");
    }
    assert_eq!(
        server("redis://:pw@[::1]").to_string(),
        "redis://[::1]:6379"
    );
    assert_eq!(
        server("redis://[::1]").address,
        Address::Tcp {
            host: "::1".to_owned(),
            port: 6379
        }
    );
    assert!(server("rediss://h").tls.is_some());
}

#[test]
fn a_password_alone_belongs_to_the_default_user() {
    let server = server("redis://:pass@host");
    assert_eq!(
        (server.user.clone(), server.password.clone()),
        (None, Some(Secret::new("pass".to_owned())))
    );
}

#[test]
fn a_user_alone_logs_in_with_an_empty_password() {
    for url in [
        "redis://job@host",
        "redis://job:@host",
        "unix:///s?user=job",
    ] {
        let server = server(url);
        assert_eq!(server.user.as_deref(), Some("job"), "{url}");
        assert_eq!(server.password, Some(Secret::new(String::new())), "{url}");
    }
}

#[test]
fn a_unix_url_takes_a_path_and_options() {
    let server = server("unix:///run/my%20redis.sock?db=2&user=u&pass=a+b%26c");
    assert_eq!(
        server.address,
        Address::Unix(PathBuf::from("/run/my redis.sock"))
    );
    assert_eq!(server.password, Some(Secret::new("a+b&c".to_owned())));
    assert_eq!((server.user.as_deref(), server.database), (Some("u"), 2));
    assert_eq!(server.to_string(), "unix:///run/my redis.sock?db=2");
}

#[test]
fn what_cannot_be_right_is_refused_with_what_would_be() {
    for (url, hint) in [
        ("10.1.2.3:6379", "no scheme"),
        ("secret:pw@host", "no scheme"),
        ("host", "no scheme"),
        ("", "is empty"),
        ("http://host", "redis://"),
        ("redis://", "host"),
        ("redis:///2", "no host"),
        ("redis:host", "redis://[user:pass@]host"),
        ("redis://host:99999", "port"),
        ("redis://host:abc", "port"),
        ("redis://host/two", "number"),
        ("redis://host/-1", "number"),
        ("redis://host/1/2", "number"),
        ("redis://host?db=2", "redis://host/db"),
        ("redis://host?unknown=1", "takes no options"),
        ("rediss://host#insecure", "fragment (\"insecure\")"),
        ("redis://ho st", "white space"),
        ("redis://a redis://b redis://c", "white space"),
        ("unix://run/redis.sock", "unix:///path"),
        ("unix://", "unix:///path"),
        (
            "unix:///run/redis.sock?timeout=3",
            "unknown option (\"timeout\")",
        ),
        ("redis+cluster:h", "write redis+cluster://[user:pass@]host"),
        ("redis+cluster://", "no host"),
        ("redis+cluster://h,", "no host"),
        ("redis+cluster://,h", "no host"),
        ("redis+cluster://h:99999", "invalid port"),
        ("redis+cluster://h:0", "invalid port"),
        ("redis+cluster://h:", "invalid port"),
        ("redis+cluster://h:abc", "invalid port"),
        ("redis+cluster://::1", "no host"),
        ("redis+cluster://fe80::1", "an IPv6 address is [::1]"),
        ("redis+cluster://[h]:1", "without an IPv6 address"),
        ("redis+cluster://h;h", "cannot be one"),
        ("redis+cluster://h/0", "has no others than 0"),
        ("redis+cluster://h/2", "names a database"),
        ("rediss+cluster://h/master", "goes on after its hosts"),
        ("redis+cluster://h?db=2", "goes on after its hosts"),
        ("redis+cluster://h#x", "goes on after its hosts"),
        ("redis+cluster://h h", "white space"),
    ] {
        let error = refusal(url);
        assert!(error.contains(hint), "{url:?}: {error}");
        assert!(!error.contains('\n') && !error.ends_with('.'), "{error}");
    }
}

fn seeds(url: &str) -> Arc<Seeds> {
    match parse(url) {
        Ok(Target::Cluster(seeds)) => seeds,
        other => panic!("{url}: {other:?}"),
    }
}

#[test]
fn a_cluster_url_names_several_nodes_with_one_login() {
    let url = "redis+cluster://job:p%40ss@h-1.example:7000,10.0.0.1,[::1]:7002/";
    let seeds = seeds(url);
    assert_eq!(
        seeds.to_string(),
        "redis+cluster://h-1.example:7000,10.0.0.1:6379,[::1]:7002"
    );
    for server in seeds.servers() {
        assert_eq!(server.user.as_deref(), Some("job"));
        assert_eq!(server.password, Some(Secret::new("p@ss".to_owned())));
        assert!(server.tls.is_none());
    }
    assert!(!format!("{:?}", parse(url)).contains("p@ss"));
}

#[test]
fn a_cluster_login_is_read_like_that_of_one_server() {
    for (url, user, password) in [
        ("redis+cluster://h", None, None),
        ("redis+cluster://:pw@h", None, Some("pw")),
        ("redis+cluster://job@h", Some("job"), Some("")),
        ("REDIS+CLUSTER://a:b@c@h", Some("a"), Some("b@c")),
    ] {
        let seeds = seeds(url);
        let first = seeds.first();
        assert_eq!(first.user.as_deref(), user, "{url}");
        let expected = password.map(|text| Secret::new(text.to_owned()));
        assert_eq!(first.password, expected, "{url}");
    }
}

#[test]
fn a_cluster_by_tls_is_far() {
    let target = parse("rediss+cluster://a,b").unwrap();
    assert_eq!(target.to_string(), "rediss+cluster://a:6379,b:6379");
    assert_eq!(target.distance(), Distance::Far);
    let target = parse("redis+cluster://a,b").unwrap();
    assert_eq!(target.distance(), Distance::Near);
}

#[test]
fn several_urls_are_a_quorum_and_far() {
    let urls = ["redis://c", "redis://u:p@b", "redis://a/1"].map(str::to_owned);
    let target = Target::parse(&urls, &TlsFiles::default()).unwrap();
    assert_eq!(
        target.to_string(),
        "redis://a:6379/1 redis://b:6379 redis://c:6379"
    );
    assert_eq!(target.distance(), Distance::Far);
    assert!(!format!("{target:?}").contains("Secret(\"p"));
}

#[test]
fn no_refusal_and_no_debug_text_shows_a_password() {
    for url in [
        "redis://u:hunter2@host:99999",
        "redis://u:hunter2@host/x",
        "redis://u:hunter2@host?x=1",
        "redis://u:hunter2@host#x",
        "redis://u:hun?hunter2@host",
        "redis://u:1?hunter2@host",
        "redis://u:1#hunter2@host",
        "redis://u:1/hunter2@host",
        "redis://u:hunter2@",
        "redis://:hunter2@ho st",
        "u:hunter2@host",
        "hunter2:x@host",
        "http://u:hunter2@host",
        "unix://u:hunter2@/sock",
        "unix:///sock?pass=hunter2&nope=1",
        "unix:///sock?pass=1&hunter2",
        "redis+sentinel://u:hunter2@host",
        "redis+sentinel://u:hunter2@host:x/m",
        "redis+sentinel://u:hun/hunter2@host/m",
        "redis+sentinel://u:hun?hunter2@host/m",
        "redis+sentinel://u:hun#hunter2@host/m",
        "redis+sentinel://u:1@hunter2:2@ho*st/m",
        "redis+sentinel://hunter2:x,y/m",
        "redis+sentinel://host/m?sentinel_password=1&hunter2",
        "redis+sentinel://host/m?sentinel_passwort=hunter2",
        "redis+sentinel://host/m/hunter2",
        "redis+sentinel:u:hunter2@host/m",
        "redis+cluster://u:hunter2@host/2",
        "redis+cluster://u:hunter2@host:x",
        "redis+cluster://u:1/hunter2@host",
        "redis+cluster://u:1#hunter2@host",
        "redis+cluster://u:1?hunter2@host",
        "redis+cluster://u:hunter2%ff@host",
        "redis+cluster://u:hunter2@",
        "redis+cluster://u:hunter2",
        "redis+cluster://u,hunter2:x@host:",
    ] {
        assert!(!refusal(url).contains("hunter2"), "{url}: {}", refusal(url));
    }
    for url in [
        "redis://u:hunter2@host",
        "redis+sentinel://u:hunter2@host/m?sentinel_password=hunter2",
    ] {
        assert!(!format!("{:?}", parse(url)).contains("hunter2"), "{url}");
    }
}

#[test]
fn tls_files_are_read_when_the_url_is_and_only_for_rediss() {
    let with = |url: &str, files: &TlsFiles| Target::parse(&[url.to_owned()], files).map(|_| ());
    let missing = PathBuf::from("/nonexistent/ca.pem");
    let ca = TlsFiles {
        ca: Some(missing.clone()),
        ..TlsFiles::default()
    };
    let cert = TlsFiles {
        cert: Some(missing.clone()),
        ..TlsFiles::default()
    };
    let key = TlsFiles {
        key: Some(missing),
        ..TlsFiles::default()
    };
    let error = with("rediss://h", &ca).unwrap_err();
    assert!(
        error.contains("--tls-ca /nonexistent/ca.pem: no such file"),
        "{error}"
    );
    assert!(
        with("redis://h", &ca)
            .unwrap_err()
            .contains("--tls-ca needs")
    );
    assert!(
        with("local:", &cert)
            .unwrap_err()
            .contains("--tls-cert needs")
    );
    assert!(with("rediss://h", &cert).unwrap_err().contains("--tls-key"));
    assert!(with("rediss://h", &key).unwrap_err().contains("--tls-cert"));
    let empty = TlsFiles {
        ca: Some(PathBuf::from("/dev/null")),
        ..TlsFiles::default()
    };
    assert!(
        with("rediss://h", &empty)
            .unwrap_err()
            .contains("no certificate inside")
    );
}

fn sentinels(url: &str) -> Arc<Sentinels> {
    match parse(url) {
        Ok(Target::Sentinel(sentinels)) => sentinels,
        other => panic!("{url}: {other:?}"),
    }
}

#[test]
fn a_sentinel_url_is_taken_apart() {
    let found = sentinels(
        "redis+sentinel://job:p%40s%2Cs@h1,10.0.0.2:5000,[fe80::1],[::1]:7/my%20master/3?sentinel_user=watch&sentinel_password=a%26b",
    );
    assert_eq!(
        found.to_string(),
        "redis+sentinel://h1:26379,10.0.0.2:5000,[fe80::1]:26379,[::1]:7/my master/3"
    );
    assert_eq!(found.name, "my master");
    assert_eq!(found.login.user.as_deref(), Some("job"));
    assert_eq!(found.login.password, Some(Secret::new("p@s,s".to_owned())));
    assert_eq!(found.login.database, 3);
    for node in &found.nodes {
        assert_eq!(node.user.as_deref(), Some("watch"));
        assert_eq!(node.password, Some(Secret::new("a&b".to_owned())));
        assert_eq!(node.database, 0);
    }
    assert!(matches!(&found.nodes[2].address, Address::Tcp { host, .. } if host == "fe80::1"));
}

#[test]
fn a_sentinel_url_needs_no_more_than_a_host_and_a_name() {
    let found = sentinels("redis+sentinel://h/m");
    assert_eq!(found.to_string(), "redis+sentinel://h:26379/m");
    assert_eq!(
        (found.login.user.as_ref(), found.login.password.as_ref()),
        (None, None)
    );
    assert_eq!(found.nodes[0].password, None);
    let found = sentinels("redis+sentinel://:pw@h,h:26379,h:1/m/");
    assert_eq!(found.nodes.len(), 2, "who is named twice has one voice");
    assert_eq!(found.login.password, Some(Secret::new("pw".to_owned())));
    let found = sentinels("rediss+sentinel://h/m");
    assert!(found.login.tls.is_some() && found.nodes[0].tls.is_some());
    assert_eq!(found.to_string(), "rediss+sentinel://h:26379/m");
}

#[test]
fn a_sentinel_url_that_cannot_be_right_is_refused_with_what_would_be() {
    let many: Vec<String> = (0..33).map(|number| format!("h{number}")).collect();
    for (url, hint) in [
        ("redis+sentinel://h", "does not name the master"),
        ("redis+sentinel://h/", "does not name the master"),
        ("redis+sentinel://h//0", "does not name the master"),
        ("redis+sentinel:///m", "no host where it needs one"),
        ("redis+sentinel://a,,b/m", "no host where it needs one"),
        ("redis+sentinel://a,/m", "no host where it needs one"),
        ("redis+sentinel://:26379/m", "no host where it needs one"),
        ("redis+sentinel:h/m", "is not valid"),
        ("redis+sentinel:/h/m", "is not valid"),
        ("redis+sentinel://h:0/m", "invalid port number"),
        ("redis+sentinel://h:99999/m", "invalid port number"),
        ("redis+sentinel://h:/m", "invalid port number"),
        ("redis+sentinel://::1/m", "no host where it needs one"),
        ("redis+sentinel://fe80::1/m", "an IPv6 address is [::1]"),
        ("redis+sentinel://[::1/m", "without an IPv6 address"),
        ("redis+sentinel://[h]/m", "without an IPv6 address"),
        ("redis+sentinel://[::1]1/m", "invalid port number"),
        ("redis+sentinel://h*/m", "cannot be one"),
        ("redis+sentinel://h/m/x", "number"),
        ("redis+sentinel://h/m/1/2", "number"),
        ("redis+sentinel://h/m%0a", "control characters"),
        ("redis+sentinel://h/m?db=1", "unknown option (\"db\")"),
        ("redis+sentinel://h/m#x", "fragment"),
        ("redis+sentinel://h, i/m", "white space"),
        (
            &format!("redis+sentinel://{}/m", many.join(",")),
            "more than 32",
        ),
    ] {
        let error = refusal(url);
        assert!(error.contains(hint), "{url:?}: {error}");
        assert!(!error.contains('\n') && !error.ends_with('.'), "{error}");
    }
}
