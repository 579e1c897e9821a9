//! How servers belong together, by their own account.

use std::sync::Arc;

use super::at_once;
use super::server::{ask, fields};
use crate::commands::doctor::facts::{Cluster, Fields, Seen, Sentinel};
use crate::config::Doctor;
use crate::store::StoreError;
use crate::store::redis::probe::{Answer, Probe};
use crate::store::redis::{Sentinels, Server as Address};

/// Masters of a Cluster that are looked at.
const MASTERS_MAX: usize = 100;

/// What each Sentinel says of the master.
pub(super) fn sentinels(
    doctor: &Doctor,
    sentinels: &Sentinels,
) -> Vec<Result<Sentinel, StoreError>> {
    at_once(&sentinels.nodes, |node| {
        let mut probe = Probe::dial(node, doctor.lock.store_timeout)?;
        let master = ask(&mut probe, &["SENTINEL", "MASTER", &sentinels.name]);
        Ok(Sentinel {
            name: node.to_string(),
            master: master.map(|answer| pairs(&answer)),
        })
    })
}

fn pairs(answer: &Answer) -> Fields {
    let pairs = answer.list().chunks_exact(2);
    let text = |part: &Answer| part.text().unwrap_or_default().to_owned();
    pairs.map(|pair| (text(&pair[0]), text(&pair[1]))).collect()
}

/// What the first of `guides` that answers says of its Cluster, and its masters.
pub(super) fn cluster(doctor: &Doctor, guides: &[Arc<Address>]) -> (Cluster, Vec<Arc<Address>>) {
    let nobody = || "no node answered".to_owned();
    let mut cluster = Cluster {
        info: Err(nobody()),
        masters: Err(nobody()),
    };
    let timeout = doctor.lock.store_timeout;
    let probe = guides
        .iter()
        .find_map(|guide| Probe::dial(guide, timeout).ok());
    let Some(mut probe) = probe else {
        return (cluster, Vec::new());
    };
    let info = ask(&mut probe, &["CLUSTER", "INFO"]);
    cluster.info = info.map(|answer| fields(answer.text().unwrap_or_default()));
    let slots = ask(&mut probe, &["CLUSTER", "SLOTS"]);
    let masters: Seen<Vec<_>> = slots.map(|answer| masters(&answer, probe.server()));
    let mut addresses = vec![Arc::clone(probe.server())];
    if let Ok(masters) = &masters {
        addresses = masters
            .iter()
            .map(|(address, _)| Arc::clone(address))
            .collect();
        addresses.truncate(MASTERS_MAX);
    }
    cluster.masters = masters.map(|masters| {
        let named = masters.into_iter();
        named
            .map(|(address, replicas)| (address.to_string(), replicas))
            .collect()
    });
    (cluster, addresses)
}

/// The masters of an answer to `CLUSTER SLOTS`, each with the number of its replicas.
fn masters(answer: &Answer, by: &Arc<Address>) -> Vec<(Arc<Address>, usize)> {
    let mut masters: Vec<(Arc<Address>, usize)> = Vec::new();
    for range in answer.list() {
        let [_, _, master, replicas @ ..] = range.list() else {
            continue;
        };
        let [host, port, ..] = master.list() else {
            continue;
        };
        let Some(port) = port.int().and_then(|port| u16::try_from(port).ok()) else {
            continue;
        };
        // A node that does not know its own address leaves it out.
        let host = host.text().filter(|host| !host.is_empty());
        let address = Arc::new(by.beside(host, port));
        if masters
            .iter()
            .all(|(known, _)| known.node() != address.node())
        {
            masters.push((address, replicas.len()));
        }
    }
    masters
}
