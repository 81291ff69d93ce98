//! The nodes' leases: in memory only, since none outlives the process that keeps the store.

use super::NODES_MAX;
use crate::lease::{LEASE_KEPT_MS, Lease, Leases};
use crate::store::StoreError;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Leases by node. Its lock is held for one look or one change.
#[derive(Debug, Default)]
pub(super) struct LeaseBook {
    leases: Mutex<BTreeMap<String, Lease>>,
}

impl LeaseBook {
    pub(super) fn renew(&self, node_id: &str, now_ms: i64) -> Result<Lease, StoreError> {
        let mut leases = self.lock();
        if leases.len() >= NODES_MAX && !leases.contains_key(node_id) {
            leases.retain(|_, lease| now_ms.saturating_sub(lease.renewed_ms) <= LEASE_KEPT_MS);
        }
        if leases.len() >= NODES_MAX && !leases.contains_key(node_id) {
            return Err(StoreError::Limit {
                what: "leases",
                max: NODES_MAX,
            });
        }
        let lease = Lease::renewed(leases.get(node_id), node_id, now_ms);
        leases.insert(node_id.to_owned(), lease.clone());
        Ok(lease)
    }

    pub(super) fn end(&self, node_id: &str) {
        if let Some(lease) = self.lock().get_mut(node_id) {
            *lease = lease.ended();
        }
    }

    pub(super) fn get(&self, node_id: &str, now_ms: i64) -> Option<Lease> {
        let lease = self.lock().get(node_id).cloned();
        lease.map(|lease| Lease { now_ms, ..lease })
    }

    pub(super) fn all(&self, now_ms: i64) -> Leases {
        let leases = self.lock();
        let leases = leases.values().cloned();
        Leases {
            now_ms,
            leases: leases.map(|lease| Lease { now_ms, ..lease }).collect(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Lease>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
