//! Users under access control lists.

use super::{Report, doctor};
use crate::support::cluster::Cluster;
use crate::support::redis::Server;
use crate::support::sentinel::Watched;
use crate::support::tasklock::Tasklock;
use crate::support::wait_until;

/// The rule that doctor advises, as the words of a command.
#[track_caller]
fn advised() -> Vec<String> {
    let server = Server::with().user("default on nopass ~* &* -@all").start();
    let report = Report::of(doctor(&server.url()));
    report.expect_code(77);
    let rights = report.find("rights", "error", "refused: set");
    let advice = rights["advice"]
        .as_str()
        .unwrap()
        .replace("PASSWORD", "secret");
    advice.split(' ').map(str::to_owned).collect()
}

/// What follows `user` in a configuration file.
fn rule() -> String {
    advised()[2..].join(" ")
}

fn as_user(url: &str) -> String {
    url.replace("//", "//tasklock:secret@")
}

#[test]
fn a_user_with_the_rights_that_are_advised_needs_no_others() {
    let server = Server::with().persistent().start();
    let words = advised();
    server.command(&words.iter().map(String::as_str).collect::<Vec<_>>());
    let url = as_user(&server.url());

    let report = Report::of(doctor(&url));
    report
        .expect_code(0)
        .expect("rights", "ok", "\"tasklock\" may do all");
    // No errors, and what cannot be seen is said.
    report.expect("persistence", "ok", "appendonly");

    let named = || Tasklock::named("job", &url);
    let ask = |word: &str| Tasklock::new().args([word, "job", "--url", &url]).run();
    let holder = named()
        .args(["--ttl", "1s", "--slots", "1"])
        .sh("echo up; sleep 60")
        .start();
    wait_until(|| holder.stdout() == "up\n");
    ask("status").expect_code(75);
    let waiter = named().args(["--wait", "forever", "--once-per", "1h", "--once-key", "a"]);
    let mut waiter = waiter.args(["--min-hold", "1ms", "echo", "mine"]).start();
    waiter.wait_for_stderr("waiting for \"job\"");
    ask("unlock").expect_code(0);
    holder.wait().expect_code(79);
    waiter.wait().expect_code(0).expect_stdout("mine\n");
    ask("status").expect_code(0);
    named()
        .args(["--once-key", "a", "true"])
        .run()
        .expect_code(75);
    let forced = Tasklock::new().args(["unlock", "--force", "job", "--url", &url]);
    forced.run().expect_code(0);
    Tasklock::named("o", &(url.clone() + "/3"))
        .arg("true")
        .run()
        .expect_code(0);
}

#[test]
fn the_same_rights_do_for_a_quorum() {
    let rule = rule();
    let nodes: Vec<Server> = (0..3).map(|_| Server::with().user(&rule).start()).collect();
    let urls: Vec<String> = nodes.iter().map(|node| as_user(&node.url())).collect();
    let urls = urls.join(" ");
    for _ in 0..2 {
        Tasklock::named("job", &urls)
            .arg("true")
            .run()
            .expect_code(0);
    }
    let run_id = &nodes[0].info("server")["run_id"];
    let mark = nodes[0].text(&["GET", "{task_lock:}:node"]).unwrap();
    assert!(mark.starts_with(run_id.as_str()), "{mark}");
    Report::of(doctor(&urls))
        .expect_code(0)
        .expect("quorum", "ok", "3 nodes");
}

#[test]
fn the_same_rights_do_with_sentinel_and_in_a_cluster() {
    let rule = rule();
    let watched = Watched::with(|server| server.user(&rule), |sentinel| sentinel);
    let run = Tasklock::named("job", &as_user(&watched.url())).args(["--replicas", "1", "true"]);
    run.run().expect_code(0);
    drop(watched);
    let cluster = Cluster::with(|node| node.user(&rule));
    let url = as_user(&cluster.url());
    // Long enough to ask for replicas by the way.
    let run = Tasklock::named("job", &url).args(["--ttl", "6s", "sleep", "2.5"]);
    run.run().expect_code(0).expect_silent();
    Report::of(doctor(&url)).expect("rights", "ok", "may do all");
}

#[test]
fn missing_rights_are_named_and_nothing_is_left_behind() {
    let base = "on nopass resetchannels +@all -@dangerous ~task_lock:* ~{task_lock:* &task_lock:*";
    let server = Server::with()
        .user(&format!("mute {base} -publish -subscribe +info +role"))
        .user(&format!("stuck {base} -del -pexpire -persist +info +role"))
        .user("lost on nopass resetchannels &task_lock:* +@all ~other:*")
        .start();
    let of = |user: &str| Report::of(doctor(&server.url().replace("//", &format!("//{user}@"))));
    let mute = of("mute");
    mute.expect_code(1).expect(
        "rights",
        "warning",
        "publish (for a waiter to be told at once), subscribe",
    );
    // CONFIG is dangerous: the user may not, which is no fault.
    mute.expect("persistence", "unknown", "+config|get would show it");
    let stuck = of("stuck");
    stuck
        .expect_code(77)
        .expect("rights", "error", "refused: persist, pexpire, del;");
    let lost = of("lost");
    lost.expect_code(77)
        .expect("rights", "error", "refused: set, ");
    let advice = lost.find("rights", "error", "refused")["advice"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        advice.starts_with("ACL SETUSER lost ~task_lock:* ~{task_lock:* &task_lock:* +"),
        "{advice}"
    );
    // The key of the user that may not delete ends by itself.
    wait_until(|| server.number(&["DBSIZE"]) == 0);
}

#[test]
fn a_prefix_of_its_own_is_in_the_rule() {
    let server = Server::with()
        .user("job on nopass +@all ~task_lock:*")
        .start();
    let url = server.url().replace("//", "//job@");
    let report = Report::of(doctor(&url).args(["--key-prefix", "team:"]));
    let advice = report.find("rights", "error", "refused")["advice"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        advice.starts_with("ACL SETUSER job ~team:* ~{team:* &team:* +"),
        "{advice}"
    );
}
