use super::*;
use crate::store::redis::Secret;

fn server() -> Server {
    Server {
        address: Address::Tcp {
            host: "10.1.2.3".to_owned(),
            port: 6379,
        },
        tls: None,
        user: Some("job".to_owned()),
        password: Some(Secret::new("s3cret".to_owned())),
        database: 0,
        named_by: None,
    }
}

fn kind(answer: &str) -> StoreErrorKind {
    of_answer(&server(), answer).kind
}

#[test]
fn what_passes_by_itself_is_unavailable_also_from_inside_a_script() {
    for answer in [
        "LOADING Redis is loading the dataset in memory",
        "READONLY You can't write against a read only replica.",
        "ERR max number of clients reached",
        "ERR Error running script (call to f_0a): @user_script:12: @user_script: 12: -OOM command not allowed",
        "ERR Error running script (call to f_0a): @user_script:12: OOM command not allowed",
        "READONLY You can't write against a read only replica. script: 0a, on @user_script:70.",
        "MISCONF Redis is configured to save RDB snapshots, but it's unable to persist to disk.",
        "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
        "NOREPLICAS Not enough good replicas to write.",
        "CLUSTERDOWN The cluster is down",
        "MASTERDOWN Link with MASTER is down",
        "TRYAGAIN Multiple keys request during rehashing of slot",
        "SOMETHING nobody has heard of",
    ] {
        assert_eq!(kind(answer), StoreErrorKind::Unavailable, "{answer}");
    }
}

#[test]
fn refused_credentials_and_permissions_are_denied() {
    for answer in [
        "NOAUTH Authentication required.",
        "ERR Protocol error: unauthenticated multibulk length",
        "ERR Protocol error: unauthenticated bulk length",
        "WRONGPASS invalid username-password pair or user is disabled.",
        "NOPERM this user has no permissions to run the 'eval' command",
        "ERR AUTH <password> called without any password configured for the default user.",
        "ERR Client sent AUTH, but no password is set",
        "ERR invalid password",
        "ERR Error running script (call to f_0a): @user_script:5: The user executing the script can't access a key",
        "ERR The user executing the script can't run this command or subcommand script: 0a, on @user_script:5.",
    ] {
        assert_eq!(kind(answer), StoreErrorKind::Denied, "{answer}");
    }
}

#[test]
fn a_wrong_set_up_is_misconfigured() {
    for answer in [
        "ERR DB index is out of range",
        "ERR unknown command 'EVAL', with args beginning with: '--'",
        "MOVED 3999 127.0.0.1:6381",
        "CROSSSLOT Keys in request don't hash to the same slot",
        "ERR SELECT is not allowed in cluster mode",
        "ERR This instance has cluster support disabled",
    ] {
        assert_eq!(kind(answer), StoreErrorKind::Misconfigured, "{answer}");
    }
}

#[test]
fn a_script_that_fails_by_itself_is_a_defect() {
    let answer =
        "ERR Error running script (call to f_0a): @user_script:6: attempt to index a nil value";
    assert_eq!(kind(answer), StoreErrorKind::Defect);
    let answer = "ERR user_script:6: attempt to index a nil value script: 0a, on @user_script:6.";
    assert_eq!(kind(answer), StoreErrorKind::Defect);
}

#[test]
fn messages_name_the_server_and_never_the_password() {
    let error = of_answer(
        &server(),
        "ERR unknown command 'AUTH', with args beginning with: 'job' 's3cret'",
    );
    assert!(!error.text.contains("s3cret"), "{error}");
    assert!(error.text.contains("redis://10.1.2.3:6379"), "{error}");
    let error = of_answer(&server(), "MOVED 1 10.0.0.1:7000");
    assert!(
        error
            .text
            .contains("is a Redis Cluster, use redis+cluster://10.1.2.3:6379"),
        "{error}"
    );
}

#[test]
fn a_server_that_others_have_named_is_shown_with_who_did() {
    let server = Server {
        named_by: Some("redis://10.0.0.1:7000".to_owned()),
        ..server()
    };
    let error = of_fault(
        &server,
        Fault::Unreachable("connection refused".to_owned()),
        Duration::from_secs(5),
    );
    assert_eq!(
        error.text,
        "cannot reach redis://10.1.2.3:6379 (named by redis://10.0.0.1:7000): connection refused"
    );
    let error = of_answer(&server, "ERR This instance has cluster support disabled");
    assert!(
        error
            .text
            .contains("is not a Redis Cluster, use redis://10.1.2.3:6379: "),
        "{error}"
    );
}

#[test]
fn words_in_which_a_password_happens_to_stand_are_not_told() {
    for password in ["pair", "p", "invalid", "disabled"] {
        let server = Server {
            password: Some(Secret::new(password.to_owned())),
            ..server()
        };
        let answer = "WRONGPASS invalid username-password pair or user is disabled.";
        let error = of_answer(&server, answer);
        assert_eq!(error.kind, StoreErrorKind::Denied);
        assert!(
            error.text.ends_with("refused the credentials: WRONGPASS"),
            "{error}"
        );
    }
}

#[test]
fn a_user_without_a_password_that_is_refused_is_told_so_and_not_shown() {
    let server = Server {
        user: Some("s3cret".to_owned()),
        password: Some(Secret::new(String::new())),
        ..server()
    };
    let error = of_answer(&server, "WRONGPASS invalid username-password pair");
    assert_eq!(error.kind, StoreErrorKind::Denied);
    assert!(error.text.contains(":password@"), "{error}");
    let answer = "ERR unknown command 'AUTH', with args beginning with: 's3cret'";
    assert!(!of_answer(&server, answer).text.contains("s3cret"));
}

#[test]
fn what_a_server_thinks_of_our_certificate_is_no_lack_of_trust_in_it() {
    let text = |why: &str| {
        of_fault(
            &server(),
            Fault::Tls(why.to_owned()),
            Duration::from_secs(5),
        )
        .text
    };
    assert_eq!(
        text("received fatal alert: CertificateRequired"),
        "redis://10.1.2.3:6379 refused TLS: CertificateRequired (it asks for a certificate: --tls-cert and --tls-key)"
    );
    assert_eq!(
        text("invalid peer certificate: Expired"),
        "cannot trust redis://10.1.2.3:6379: invalid peer certificate: Expired"
    );
}

#[test]
fn faults_of_the_connection_say_what_was_attempted() {
    let text = |fault| of_fault(&server(), fault, Duration::from_secs(5)).text;
    assert_eq!(
        text(Fault::Unreachable("connection refused".to_owned())),
        "cannot reach redis://10.1.2.3:6379: connection refused"
    );
    assert_eq!(
        text(Fault::NoAnswer),
        "no reply from redis://10.1.2.3:6379 within 5s"
    );
    assert_eq!(
        text(Fault::NotConnected),
        "cannot reach redis://10.1.2.3:6379: no connection within 5s"
    );
}

#[test]
fn a_server_that_is_not_the_one_to_ask_is_known_by_its_words() {
    for answer in [
        "READONLY You can't write against a read only replica.",
        "ERR Error running script (call to f_0a): @user_script:12: -READONLY You can't write against a read only replica.",
        "LOADING Redis is loading the dataset in memory",
        "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "NOREPLICAS Not enough good replicas to write.",
    ] {
        assert!(is_declined(answer), "{answer}");
        assert_eq!(kind(answer), StoreErrorKind::Unavailable, "{answer}");
    }
    for answer in [
        "OOM command not allowed",
        "NOPERM no",
        "ERR unknown command",
    ] {
        assert!(!is_declined(answer), "{answer}");
    }
}
