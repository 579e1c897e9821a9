//! What is no Cluster, or no Cluster for us: one line, and nothing is run.

use tasklock::store::redis::TlsFiles;
use tasklock::store::{Release, StoreErrorKind};

use super::{KEY, STATE, claim, failure_of};
use crate::support::cluster::{Cluster, url_of};
use crate::support::redis::Server;
use crate::support::store::{grant, keep, open, open_tls, release};
use crate::support::tasklock::Tasklock;
use crate::support::tls::Certificates;

#[track_caller]
fn refuses(url: &str, code: i32, line: &str) {
    let finished = Tasklock::named("job", url).sh("echo ran").run();
    finished.expect_code(code).expect_stdout("");
    assert_eq!(finished.stderr.lines().count(), 1, "{finished}");
    finished.expect_stderr(line);
}

#[test]
fn a_server_that_is_no_cluster_is_refused_before_anything_is_done() {
    let server = Server::start();
    let line = format!("{0} is not a Redis Cluster, use {0}: ", server.url());
    refuses(&url_of([&server]), 78, &line);
    assert_eq!(server.number(&["DBSIZE"]), 0);
    // Not even what nobody withdraws.
    let mut store = open(&url_of([&server]));
    let error = failure_of(&mut *store);
    assert_eq!(error.kind, StoreErrorKind::Misconfigured, "{error}");
    assert_eq!(server.number(&["DBSIZE"]), 0);
}

#[test]
fn a_cluster_behind_the_url_of_one_server_is_refused_with_the_right_url() {
    let cluster = Cluster::start();
    let node = cluster.other_than(KEY);
    let line = format!(
        "{} is a Redis Cluster, use {}: ",
        node.url(),
        url_of([node])
    );
    refuses(&node.url(), 78, &line);
    let with_database = format!("{}/2", node.url());
    refuses(&with_database, 78, &format!("use {}: ", url_of([node])));
    for node in &cluster.nodes {
        assert_eq!(node.number(&["DBSIZE"]), 0);
    }
}

#[test]
fn credentials_are_those_of_the_url_on_every_node() {
    let password = format!("s3cret-{}", std::process::id());
    let rules = format!(
        "job on >{password} ~task_lock:* ~{{task_lock:* resetchannels &task_lock:* +@all -@admin -@dangerous"
    );
    let cluster = Cluster::with(|node| {
        node.password("another")
            .config("masterauth", "another")
            .user(&rules)
    });
    for node in &cluster.nodes {
        let url = url_of([node]).replace("//", &format!("//job:{password}@"));
        let mut store = open(&url);
        let mine = claim("a");
        let granted = grant(&mut *store, &mine);
        keep(&mut *store, &mine, &granted);
        assert_eq!(release(&mut *store, &mine), Release::Released);

        let wrong = url_of([node]).replace("//", &format!("//job:x{password}@"));
        refuses(&wrong, 77, "refused the credentials: WRONGPASS");
        refuses(&url_of([node]), 77, "refused the credentials: NOAUTH");
        let error = failure_of(&mut *open(&wrong));
        assert!(!error.text.contains(&password), "{error}");
    }
}

#[test]
fn a_user_without_leave_to_ask_for_slots_is_served_all_the_same() {
    let rules = "job on >pw ~task_lock:* ~{task_lock:* resetchannels &task_lock:* +@all -cluster";
    let cluster = Cluster::with(|node| node.user(rules));
    let mut store = open(&cluster.url().replace("//", "//job:pw@"));
    let mine = claim("a");
    grant(&mut *store, &mine);
    assert_eq!(release(&mut *store, &mine), Release::Released);
}

#[test]
fn a_cluster_by_tls_is_followed_from_node_to_node() {
    let good = Certificates::new();
    // Otherwise a node that is asked by TLS names the plain ports of the others.
    let cluster = Cluster::with(|node| {
        let among_themselves = good.client();
        node.tls(&good, "no")
            .config("tls-cluster", "yes")
            .config("tls-replication", "yes")
            .config(
                "tls-client-cert-file",
                &among_themselves.cert.to_string_lossy(),
            )
            .config(
                "tls-client-key-file",
                &among_themselves.key.to_string_lossy(),
            )
    });
    let files = TlsFiles {
        ca: Some(good.ca()),
        ..TlsFiles::default()
    };
    for node in &cluster.nodes {
        let url = node.tls_url().replace("rediss:", "rediss+cluster:");
        let mut store = open_tls(&url, &files);
        let mine = claim("a");
        let granted = grant(&mut *store, &mine);
        keep(&mut *store, &mine, &granted);
        assert_eq!(release(&mut *store, &mine), Release::Released);
        let error = failure_of(&mut *open_tls(&url, &TlsFiles::default()));
        assert_eq!(error.kind, StoreErrorKind::Misconfigured, "{error}");
        let what = format!("cannot trust {}: ", node.tls_url());
        assert!(error.text.starts_with(&what), "{error}");
    }
    let state = cluster.master_of(KEY).number(&["EXISTS", STATE]);
    assert_eq!(state, 1);
}
