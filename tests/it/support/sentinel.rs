//! A master with two replicas, and three Sentinels that watch them.

use std::collections::HashMap;
use std::net::SocketAddr;

use redis::Value;

pub(crate) use self::fake::Fake;
use super::redis::{Builder, Server};
use super::{wait_for_some, wait_until};

mod fake;

/// By which name the Sentinels know the master.
pub(crate) const MASTER: &str = "the-master";

/// After this many milliseconds without an answer a Sentinel takes a server for dead.
const DOWN_AFTER: &str = "2000";

/// As whom replicas and Sentinels log in to a server; each is its own password.
const LOGINS: (&str, &str) = ("follower", "watcher");

/// One master, two replicas, three Sentinels. Killed on drop.
pub(crate) struct Watched {
    /// The first of them was the first master.
    pub(crate) servers: Vec<Server>,
    pub(crate) sentinels: Vec<Server>,
}

impl Watched {
    /// Starts all of them and returns when they know each other.
    #[track_caller]
    pub(crate) fn start() -> Watched {
        Watched::with(|server| server, |sentinel| sentinel)
    }

    /// The same with more to the configuration of the servers and of the Sentinels.
    #[track_caller]
    pub(crate) fn with(
        server: impl Fn(Builder) -> Builder,
        sentinel: impl Fn(Builder) -> Builder,
    ) -> Watched {
        let server = || {
            // A full copy is sent at once, not when more replicas may have come.
            let quick = Server::with().config("repl-diskless-sync-delay", "0");
            let (replica, sentinel) = LOGINS;
            let known = quick
                .user(&format!("{replica} on >{replica} ~* &* +@all"))
                .user(&format!("{sentinel} on >{sentinel} ~* &* +@all"))
                .config("masteruser", replica)
                .config("masterauth", replica);
            server(known)
        };
        let first = server().start();
        let port = first.address().port().to_string();
        let replica = || {
            let master = format!("127.0.0.1 {port}");
            server().config("replicaof", &master).start()
        };
        let servers = vec![first, replica(), replica()];
        // Otherwise a Sentinel finds a replica at its next look, ten seconds later.
        wait_until(|| has_replicas(&servers[0], 2));
        let start = || {
            let lines = [
                format!("monitor {MASTER} 127.0.0.1 {port} 2"),
                format!("down-after-milliseconds {MASTER} {DOWN_AFTER}"),
                format!("failover-timeout {MASTER} 4000"),
                format!("auth-user {MASTER} {}", LOGINS.1),
                format!("auth-pass {MASTER} {}", LOGINS.1),
            ];
            let mut builder = Server::with().sentinel();
            for line in lines {
                builder = builder.config("sentinel", &line);
            }
            sentinel(builder).start()
        };
        let watched = Watched {
            servers,
            sentinels: (0..3).map(|_| start()).collect(),
        };
        for sentinel in &watched.sentinels {
            hurry(sentinel);
        }
        watched.wait_until_whole();
        watched
    }

    /// `redis+sentinel://HOSTS/the-master` with all Sentinels.
    pub(crate) fn url(&self) -> String {
        let all: Vec<SocketAddr> = self.sentinels.iter().map(Server::address).collect();
        url_of(&all)
    }

    /// The server that the Sentinels name, those that live and do not stand still.
    #[track_caller]
    pub(crate) fn master(&self) -> &Server {
        wait_for_some(|| {
            let port = self.sentinels.iter().find_map(named_port)?;
            self.servers.iter().find(|one| one.address().port() == port)
        })
    }

    /// The others.
    #[track_caller]
    pub(crate) fn replicas(&self) -> Vec<&Server> {
        let master = self.master().address();
        let others = self.servers.iter().filter(|one| one.address() != master);
        others.collect()
    }

    /// Has the Sentinels change the master, and returns the new one when all name it.
    #[track_caller]
    pub(crate) fn fail_over(&self) -> &Server {
        let old = self.master();
        let sentinel = &self.sentinels[0];
        wait_until(|| {
            // Refused as long as another is not over, and given up if no replica is fit for it.
            let begun = sentinel.try_command(&["SENTINEL", "FAILOVER", MASTER]);
            wait_until(|| !seen_by(sentinel)["flags"].contains("failover_in_progress"));
            begun.is_ok() && named_port(sentinel) != Some(old.address().port())
        });
        let new = self.wait_for_successor_of(old);
        // It is told last, and is as good as cut off until then.
        wait_until(|| role(old) == "slave");
        new
    }

    /// Waits until all Sentinels that can be asked name another master, and it is one.
    #[track_caller]
    pub(crate) fn wait_for_successor_of(&self, old: &Server) -> &Server {
        let old = old.address().port();
        wait_for_some(|| {
            let mut named = self.sentinels.iter().filter_map(named_port);
            let port = named.next().filter(|port| *port != old)?;
            let new = self
                .servers
                .iter()
                .find(|one| one.address().port() == port)?;
            (named.all(|other| other == port) && role(new) == "master").then_some(new)
        })
    }

    /// Waits until both replicas have what their master has.
    #[track_caller]
    pub(crate) fn wait_for_copies(&self) {
        let master = self.master();
        for replica in self.replicas() {
            wait_for_copy(master, replica);
        }
    }

    /// Has its replicas hear nothing more from `server`.
    #[track_caller]
    pub(crate) fn cut_off_replicas_of(&self, server: &Server) {
        // Whoever is logged in as this user is thrown out.
        server.command(&["ACL", "DELUSER", LOGINS.0]);
    }

    /// Has neither replicas nor Sentinels reach `server`, nor anybody else who is not connected yet.
    #[track_caller]
    pub(crate) fn cut_off(&self, server: &Server) {
        server.command(&["ACL", "SETUSER", "default", "off"]);
        server.command(&["ACL", "DELUSER", LOGINS.0, LOGINS.1]);
    }

    /// Ends a [`Watched::cut_off`].
    #[track_caller]
    pub(crate) fn connect_again(&self, server: &Server) {
        server.command(&["ACL", "SETUSER", "default", "on"]);
        for user in [LOGINS.0, LOGINS.1] {
            let password = format!(">{user}");
            server.command(&["ACL", "SETUSER", user, "on", &password, "~*", "&*", "+@all"]);
        }
    }

    /// Starts a server that was killed again, as a replica of today's master.
    #[track_caller]
    pub(crate) fn bring_back(&self, server: &Server) {
        server.restart();
        let port = self.master().address().port().to_string();
        server.command(&["REPLICAOF", "127.0.0.1", &port]);
        self.wait_until_whole();
    }

    /// Waits until every Sentinel sees a healthy master with two replicas that follow it.
    #[track_caller]
    pub(crate) fn wait_until_whole(&self) {
        wait_until(|| has_replicas(self.master(), 2));
        for sentinel in &self.sentinels {
            wait_until(|| sees_all(sentinel));
        }
    }
}

/// `redis+sentinel://HOSTS/the-master`
pub(crate) fn url_of(sentinels: &[SocketAddr]) -> String {
    let hosts: Vec<String> = sentinels.iter().map(SocketAddr::to_string).collect();
    format!("redis+sentinel://{}/{MASTER}", hosts.join(","))
}

/// `master` or `slave`, by the server's own account.
#[track_caller]
pub(crate) fn role(server: &Server) -> String {
    server.info("replication")["role"].clone()
}

/// Waits until `replica` has what `master` has. (WAIT is about what its own connection wrote.)
#[track_caller]
pub(crate) fn wait_for_copy(master: &Server, replica: &Server) {
    let offset = |server: &Server| -> u64 {
        let offset = &server.info("replication")["master_repl_offset"];
        offset.parse().unwrap()
    };
    let wanted = offset(master);
    wait_until(|| offset(replica) >= wanted);
}

/// Has a Sentinel look around more often than it does by itself. Not more than that: it
/// promotes no replica that it has not heard of for five pings, and asks for that once a second.
fn hurry(sentinel: &Server) {
    let mut words = vec!["SENTINEL", "DEBUG"];
    words.extend(["info-period", "500", "publish-period", "200"]);
    words.extend(["ping-period", "500", "ask-period", "200"]);
    // Unknown before Redis 7: it only takes longer then.
    let _ = sentinel.try_command(&words);
}

fn has_replicas(master: &Server, count: usize) -> bool {
    let info = master.info("replication");
    let online = |number: usize| {
        let replica = info.get(&format!("slave{number}"));
        replica.is_some_and(|fields| fields.contains("state=online"))
    };
    info["role"] == "master" && (0..count).all(online)
}

/// The port of the master that this Sentinel names; None if it cannot be asked.
fn named_port(sentinel: &Server) -> Option<u16> {
    if !sentinel.can_answer() {
        return None;
    }
    let command = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER];
    match sentinel.command(&command) {
        Value::Array(words) => text(&words[1]).parse().ok(),
        other => panic!("{command:?} answered {other:?}"),
    }
}

/// Whether this Sentinel sees a master, two replicas that follow it, and two other Sentinels.
fn sees_all(sentinel: &Server) -> bool {
    let master = seen_by(sentinel);
    let Value::Array(replicas) = sentinel.command(&["SENTINEL", "REPLICAS", MASTER]) else {
        return false;
    };
    let follows = |replica: &Value| {
        let replica = fields(replica);
        replica["flags"] == "slave"
            && replica["master-link-status"] == "ok"
            && replica["master-port"] == master["port"]
    };
    master["flags"] == "master"
        && master["num-other-sentinels"] == "2"
        && replicas.iter().filter(|replica| follows(replica)).count() == 2
}

/// What this Sentinel knows of the master.
fn seen_by(sentinel: &Server) -> HashMap<String, String> {
    fields(&sentinel.command(&["SENTINEL", "MASTER", MASTER]))
}

fn fields(answer: &Value) -> HashMap<String, String> {
    let Value::Array(words) = answer else {
        panic!("{answer:?} is no list of fields");
    };
    let pairs = words.chunks_exact(2);
    pairs.map(|pair| (text(&pair[0]), text(&pair[1]))).collect()
}

fn text(value: &Value) -> String {
    match value {
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => panic!("{other:?} is no string"),
    }
}
