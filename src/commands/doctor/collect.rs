//! Looks at a store. Whatever is not answered stands as hidden; a server that
//! does not answer at all is left after one store timeout.

mod certificate;
mod clock;
mod leftover;
mod local;
mod rights;
mod server;
mod topology;

use std::sync::Arc;
use std::thread;
use std::time::Instant;

use super::facts::{Facts, Place, Shape};
use crate::config::Doctor;
use crate::store::redis::{RedisStore, Server as Address};
use crate::store::target::Target;
use crate::store::{Status, Store, StoreError, StoreErrorKind};

/// Looks at the store that a run would use.
pub(super) fn collect(doctor: &Doctor) -> Facts {
    let prefix = || doctor.lock.key_prefix.clone();
    let (look, place) = match &doctor.lock.target {
        Target::Local(directory) => local::collect(doctor, directory.clone()),
        Target::Redis(address) => {
            let look = look(RedisStore::new(Arc::clone(address), prefix()), doctor);
            let addresses = look.addresses();
            (look.status, servers(doctor, Shape::One, &addresses))
        }
        Target::Sentinel(sentinels) => {
            let look = look(
                RedisStore::by_sentinel(Arc::clone(sentinels), prefix()),
                doctor,
            );
            // Before a master is found, it is a Sentinel that was spoken to.
            let is_sentinel =
                |it: &Arc<Address>| sentinels.nodes.iter().any(|s| Arc::ptr_eq(s, it));
            let mut addresses = look.addresses();
            addresses.retain(|address| !is_sentinel(address));
            let shape = Shape::Sentinel(topology::sentinels(doctor, sentinels));
            (look.status, servers(doctor, shape, &addresses))
        }
        Target::Cluster(seeds) => {
            let look = look(RedisStore::in_cluster(Arc::clone(seeds), prefix()), doctor);
            let guides = look.addresses();
            let (cluster, addresses) = topology::cluster(doctor, &guides);
            (
                look.status,
                servers(doctor, Shape::Cluster(cluster), &addresses),
            )
        }
        Target::Quorum(nodes) => {
            let mut store = doctor.lock.target.open(&doctor.lock.key_prefix);
            let status = store.inspect(&doctor.lock.name, doctor.lock.store_timeout);
            let shape = Shape::Quorum(nodes.servers().len());
            (status, servers(doctor, shape, nodes.servers()))
        }
    };
    Facts {
        store: doctor.lock.target.to_string(),
        unconfigured: doctor.lock.unconfigured,
        look,
        name: doctor.is_named.then(|| doctor.lock.name.to_string()),
        place,
    }
}

/// What came of looking at the lock as `tasklock status` does.
struct Look {
    status: Result<Status, StoreError>,
    /// The server that was spoken to last.
    server: Arc<Address>,
    /// The time was used up.
    in_vain: bool,
}

impl Look {
    /// The server, unless asking it again would only take as long again.
    fn addresses(&self) -> Vec<Arc<Address>> {
        let worth_it = !(self.in_vain && self.status.is_err());
        worth_it
            .then(|| Arc::clone(&self.server))
            .into_iter()
            .collect()
    }
}

fn look(mut store: RedisStore, doctor: &Doctor) -> Look {
    let start = Instant::now();
    let status = store.inspect(&doctor.lock.name, doctor.lock.store_timeout);
    Look {
        status,
        server: Arc::clone(store.server()),
        in_vain: start.elapsed() >= doctor.lock.store_timeout,
    }
}

/// Looks at all servers at the same time.
fn servers(doctor: &Doctor, shape: Shape, addresses: &[Arc<Address>]) -> Place {
    let in_quorum = matches!(shape, Shape::Quorum(_));
    let seen = at_once(addresses, |address| {
        server::examine(address, doctor, in_quorum)
    });
    let (mut servers, mut leftovers) = (Vec::new(), Vec::new());
    for seen in seen {
        servers.push(seen.map(|(server, found)| {
            leftovers.push(found);
            server
        }));
    }
    let tls = addresses.first().and_then(|address| address.tls.as_ref());
    Place::Servers {
        shape,
        servers,
        leftovers,
        own_certificate: tls
            .and_then(|tls| tls.certificate())
            .map(certificate::days_left),
    }
}

/// Does `work` with each of `addresses`, in a thread of its own: one that is slow
/// must not hold up the others.
fn at_once<T: Send>(
    addresses: &[Arc<Address>],
    work: impl Fn(&Arc<Address>) -> Result<T, StoreError> + Sync,
) -> Vec<Result<T, StoreError>> {
    let failed = |text: &str| Err(StoreError::new(StoreErrorKind::Defect, text));
    thread::scope(|scope| {
        let start = |address| {
            let thread = thread::Builder::new().name("doctor".to_owned());
            let work = &work;
            thread.spawn_scoped(scope, move || work(address))
        };
        let threads: Vec<_> = addresses.iter().map(start).collect();
        let end = |thread: Result<thread::ScopedJoinHandle<'_, _>, _>| match thread {
            Ok(thread) => thread
                .join()
                .unwrap_or_else(|_| failed("a thread has died")),
            Err(_) => failed("cannot start a thread"),
        };
        threads.into_iter().map(end).collect()
    })
}
