//! Addresses of the cluster's nodes, whose word about a client is believed.
//!
//! Read from the store when somebody else than this machine forwards a request, at most once in [`AGE_MAX`] however
//! many ask; while the store is away the last known stay. A node counts as long as its record is there, dead or
//! alive: being slow is no reason to be disbelieved. Nodes known by a host name instead of an address are not found
//! here; `trusted.proxies` is for them.

use crate::extract::LIST_SIZE_MAX;
use crate::state::bounded;
use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;
use weir_cluster::Store;

/// How old the list may be.
const AGE_MAX: Duration = Duration::from_secs(5);
/// The most nodes that are looked at.
const NODES_MAX: usize = 4 * LIST_SIZE_MAX;

/// The nodes' addresses.
#[derive(Debug)]
pub(crate) struct NodeAddresses {
    store: Arc<dyn Store>,
    known: Mutex<Option<(Instant, Arc<HashSet<IpAddr>>)>>,
}

impl NodeAddresses {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            known: Mutex::default(),
        }
    }

    /// The addresses, at most [`AGE_MAX`] old while the store answers.
    pub(crate) async fn get(&self) -> Arc<HashSet<IpAddr>> {
        let mut known = self.known.lock().await;
        if let Some((at, addresses)) = known.as_ref()
            && at.elapsed() < AGE_MAX
        {
            return Arc::clone(addresses);
        }
        let addresses = match self.read().await {
            Some(addresses) => Arc::new(addresses),
            None => known
                .as_ref()
                .map(|(_, old)| Arc::clone(old))
                .unwrap_or_default(),
        };
        *known = Some((Instant::now(), Arc::clone(&addresses)));
        addresses
    }

    async fn read(&self) -> Option<HashSet<IpAddr>> {
        let mut all = HashSet::new();
        let mut offset = 0;
        while offset < NODES_MAX {
            let page = bounded(self.store.nodes(offset, LIST_SIZE_MAX))
                .await
                .ok()?;
            offset += page.len();
            let full = page.len() >= LIST_SIZE_MAX;
            all.extend(
                page.iter()
                    .filter_map(|node| node.ip.parse::<IpAddr>().ok()),
            );
            if !full {
                break;
            }
        }
        Some(all)
    }
}
