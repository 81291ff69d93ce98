//! Failed logins: after more than [`FREE`] in a row a name is refused for [`BLOCK_MS`], as in Ant Media.
//!
//! Names that do not exist are counted like those that do, so that nobody learns which is which. Counted in the store
//! for all nodes together, so that a crowd of them gives nobody more tries, and in this node's memory as well, which
//! decides alone while the store does not answer.
//!
//! **Bounds.** In memory at most [`NAMES_MAX`] names; beyond that the oldest count is forgotten first. In the store a
//! name's count is that of its bucket, one of [`BUCKETS`], by the name's SHA-256: so the records are bounded whatever
//! names are invented, need no sweeping, and tell nobody which names were tried. Two names that share a bucket share
//! a count; to block a name on purpose one can name it.
//!
//! **Order.** An attempt is counted in the store after the password was compared and before anything is told of it:
//! what reaches the store is bounded by how many passwords a node compares, and tries on many nodes at once are still
//! [`FREE`] + 1 that get an answer. The count is one atomic addition; an attempt costs one read and two writes.

use crate::state::bounded;
use ring::digest::{SHA256, digest};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use weir_cluster::{Fields, Kind, Place, Records};

/// Failures without consequence.
const FREE: u32 = 2;
/// How long a name is refused, ms.
pub(crate) const BLOCK_MS: i64 = 300_000;
/// Names remembered.
const NAMES_MAX: usize = 10_000;
/// Counts in the store: as many as two bytes have values.
#[cfg(test)]
const BUCKETS: usize = 1 << 16;
const COUNT: &str = "failed";
const LAST: &str = "lastMs";

/// Failures by name.
#[derive(Debug)]
pub(crate) struct Attempts {
    here: Mutex<HashMap<String, Failed>>,
    records: Arc<dyn Records>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Failed {
    times: u32,
    last_ms: i64,
}

impl Failed {
    fn is_blocked(self, now_ms: i64) -> bool {
        self.times > FREE && !self.is_over(now_ms)
    }

    fn is_over(self, now_ms: i64) -> bool {
        now_ms.saturating_sub(self.last_ms) >= BLOCK_MS
    }

    fn read(fields: &Fields) -> Self {
        let number = |name: &str| fields.get(name).and_then(serde_json::Value::as_i64);
        Self {
            times: u32::try_from(number(COUNT).unwrap_or(0)).unwrap_or(0),
            last_ms: number(LAST).unwrap_or(0),
        }
    }
}

impl Attempts {
    pub(crate) fn new(records: Arc<dyn Records>) -> Self {
        Self {
            here: Mutex::default(),
            records,
        }
    }

    /// Whether `name` is refused at `now_ms`.
    pub(crate) async fn is_blocked(&self, name: &str, now_ms: i64) -> bool {
        let here = self.names().get(name).copied().unwrap_or_default();
        here.is_blocked(now_ms) || self.everywhere(name).await.is_blocked(now_ms)
    }

    /// What all nodes count of `name`; nothing while the store does not answer.
    async fn everywhere(&self, name: &str) -> Failed {
        let record = bounded(self.records.get(&bucket(name))).await;
        let record = record.ok().flatten();
        record.map_or_else(Failed::default, |fields| Failed::read(&fields))
    }

    /// An attempt was made, whatever comes of it: counted in the store. Says whether it was one too many, whose
    /// outcome nobody may learn.
    pub(crate) async fn count(&self, name: &str, now_ms: i64) -> bool {
        let place = bucket(name);
        let set = |field: &str, value: i64| Fields::from_iter([(field.to_owned(), value.into())]);
        let before = self.everywhere(name).await;
        if before.times > 0 && before.is_over(now_ms) {
            let _ = bounded(self.records.patch(&place, set(COUNT, 0))).await;
        }
        if bounded(self.records.add(&place, &[(COUNT, 1)]))
            .await
            .is_err()
        {
            return false;
        }
        let after = bounded(self.records.patch(&place, set(LAST, now_ms))).await;
        let after = after.ok().flatten();
        after.is_some_and(|fields| Failed::read(&fields).times > FREE + 1)
    }

    /// A login failed, or is about to be tried: counted here.
    pub(crate) fn failed(&self, name: &str, now_ms: i64) {
        let mut names = self.names();
        if names.len() >= NAMES_MAX && !names.contains_key(name) {
            let oldest = names.iter().min_by_key(|(_, failed)| failed.last_ms);
            if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                names.remove(&oldest);
            }
        }
        let failed = names.entry(name.to_owned()).or_insert(Failed {
            times: 0,
            last_ms: now_ms,
        });
        if now_ms - failed.last_ms >= BLOCK_MS {
            failed.times = 0;
        }
        failed.times = failed.times.saturating_add(1);
        failed.last_ms = now_ms;
    }

    /// A login succeeded.
    pub(crate) async fn succeeded(&self, name: &str) {
        self.names().remove(name);
        let none = Fields::from_iter([(COUNT.to_owned(), 0.into())]);
        let _ = bounded(self.records.patch(&bucket(name), none)).await;
    }

    fn names(&self) -> std::sync::MutexGuard<'_, HashMap<String, Failed>> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the store counts `name`.
fn bucket(name: &str) -> Place {
    let hash = digest(&SHA256, name.as_bytes());
    let text: String = hash
        .as_ref()
        .iter()
        .take(2)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Place::of_cluster(Kind::Login, &text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_cluster::ManualClock;
    use weir_cluster::embedded::EmbeddedStore;

    fn store() -> (tempfile::TempDir, Arc<EmbeddedStore>) {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(1));
        let store = EmbeddedStore::open(&folder.path().join("s"), clock).unwrap();
        (folder, Arc::new(store))
    }

    #[tokio::test]
    async fn the_third_failure_blocks_for_300_s_on_every_node() {
        let (_folder, store) = store();
        let nodes = [(); 2].map(|()| Attempts::new(store.clone()));
        let mut at_ms = 1_000;
        for node in [0, 1, 0] {
            assert!(!nodes[node].is_blocked("a", at_ms).await);
            nodes[node].failed("a", at_ms);
            assert!(!nodes[node].count("a", at_ms).await);
            at_ms += 1_000;
        }
        for node in &nodes {
            assert!(node.is_blocked("a", 4_000).await && !node.is_blocked("b", 4_000).await);
            assert!(node.is_blocked("a", 302_999).await && !node.is_blocked("a", 303_000).await);
        }
        assert!(nodes[1].count("a", 4_000).await, "a try that was under way");
        assert!(!nodes[1].count("a", 304_000).await, "counted anew");
        assert!(!nodes[1].is_blocked("a", 304_000).await);
        nodes[1].count("a", 304_001).await;
        nodes[1].count("a", 304_002).await;
        assert!(nodes[0].is_blocked("a", 304_003).await);
        nodes[1].succeeded("a").await;
        assert!(!nodes[0].is_blocked("a", 304_004).await);
    }

    #[tokio::test]
    async fn a_crowd_of_names_is_bounded() {
        let (_folder, store) = store();
        let attempts = Attempts::new(store);
        for n in 0..NAMES_MAX + 7 {
            attempts.failed(&n.to_string(), i64::try_from(n).unwrap());
        }
        let names = attempts.names();
        assert_eq!(names.len(), NAMES_MAX);
        assert!(!names.contains_key("0") && names.contains_key("7"));
        let most = weir_cluster::embedded::records_max(Kind::Login);
        assert!(BUCKETS < most, "each bucket has room");
        assert_eq!(bucket("a").key[0].len(), 4);
    }
}
