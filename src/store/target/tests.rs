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
        ("redis+sentinel://h/m", "not supported by this version"),
        ("rediss+sentinel://h/m", "not supported by this version"),
        ("redis+cluster://h", "not supported by this version"),
        ("rediss+cluster://h", "not supported by this version"),
    ] {
        let error = refusal(url);
        assert!(error.contains(hint), "{url:?}: {error}");
        assert!(!error.contains('\n') && !error.ends_with('.'), "{error}");
    }
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
        "redis+sentinel://u:hunter2@host/m",
    ] {
        assert!(!refusal(url).contains("hunter2"), "{url}: {}", refusal(url));
    }
    assert!(!format!("{:?}", parse("redis://u:hunter2@host")).contains("hunter2"));
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
