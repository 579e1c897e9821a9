//! A quorum of real servers, of which some freeze, die, forget or cannot be reached.

use std::time::{Duration, Instant};

use tasklock::store::{Acquire, Ask, Claim, Store};

use crate::support::proxy::Proxy;
use crate::support::redis::Server;
use crate::support::store::{FAILED, TIMEOUT, claim, open};

mod competing;
mod failing;
mod figures;
mod forgetting;
mod refusing;
mod running;

/// Servers in the order that clients use, each behind a network of its own.
struct Quorum {
    servers: Vec<Server>,
    proxies: Vec<Proxy>,
}

impl Quorum {
    #[track_caller]
    fn of(nodes: usize) -> Quorum {
        let quorum = Quorum::unused((0..nodes).map(|_| Server::start()).collect());
        // The first use needs all nodes, and is not what most tests are about.
        let mut store = quorum.open();
        let first = claim("first", "nobody");
        assert!(is_granted(&mut *store, &first));
        store.release(&first, FAILED, TIMEOUT).unwrap();
        // That was long ago.
        for server in &quorum.servers {
            let run = server.info("server")["run_id"].clone();
            server.command(&["SET", MARK, &format!("{run} 0 0")]);
        }
        quorum
    }

    fn unused(servers: Vec<Server>) -> Quorum {
        let pair = |server: Server| (Proxy::start(server.address()), server);
        let mut pairs: Vec<(Proxy, Server)> = servers.into_iter().map(pair).collect();
        pairs.sort_by_key(|(proxy, _)| proxy.address().to_string());
        let (proxies, servers) = pairs.into_iter().unzip();
        Quorum { servers, proxies }
    }

    fn urls(&self) -> Vec<String> {
        self.proxies.iter().map(Proxy::url).collect()
    }

    fn open(&self) -> Box<dyn Store> {
        open(&self.urls().join(" "))
    }

    /// Nothing gets through to this node: connections are refused at once.
    fn cut_off(&self, node: usize) {
        self.proxies[node].refuse();
        self.proxies[node].cut();
    }

    fn join(&self, node: usize) {
        self.proxies[node].accept();
    }

    /// Who has the lock at a node.
    fn owner(&self, node: usize, name: &str) -> Option<String> {
        self.servers[node].text(&["GET", &format!("task_lock:{name}")])
    }

    /// Ends the time in which a node may not vote.
    fn let_vote(&self, node: usize) {
        let mark = self.servers[node].text(&["GET", MARK]).unwrap();
        let words: Vec<&str> = mark.split(' ').collect();
        let over = format!("{} {} 1", words[0], words[1]);
        self.servers[node].command(&["SET", MARK, &over]);
    }
}

/// The key by which a node knows that it has served.
const MARK: &str = "{task_lock:}:node";

/// All choices of `count` nodes among `nodes`.
fn choices(nodes: usize, count: usize) -> Vec<Vec<usize>> {
    (0u32..1 << nodes)
        .filter(|set| set.count_ones() as usize == count)
        .map(|set| (0..nodes).filter(|node| set >> node & 1 == 1).collect())
        .collect()
}

fn ask(store: &mut dyn Store, claim: &Claim) -> Acquire {
    store.acquire(claim, Ask::default(), TIMEOUT).unwrap()
}

fn is_granted(store: &mut dyn Store, claim: &Claim) -> bool {
    matches!(ask(store, claim), Acquire::Granted(_))
}

/// How long something takes.
fn time<T>(what: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let result = what();
    (start.elapsed(), result)
}
