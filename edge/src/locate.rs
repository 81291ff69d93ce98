//! Which origin has a stream: what the edge asks of the directory.
//!
//! The directory answers from its own cache and shares one query among all who ask; this trait is
//! all the edge needs of it. What it says is remembered here per stream, for two cases: the
//! directory cannot answer (then the last origin is as good a guess as any, whatever its age), and
//! the stream's record is gone (a stream made by publishing loses its record when it ends, while
//! its ended playlists linger at the origin; then the last origin is asked for a bounded time).
//! An edge that never saw the stream live answers 404 then.

use async_trait::async_trait;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use weir_cluster::StreamKey;

/// Where a stream is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// `host:port` or `unix:/path` at which its origin serves objects.
    pub origin_adress: String,
}

/// The directory cannot say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the directory cannot answer: {reason}")]
pub struct LocateError {
    /// Why.
    pub reason: String,
}

/// Finds a stream's origin.
#[async_trait]
pub trait Locate: Send + Sync + std::fmt::Debug {
    /// Where the stream is; `None` when there is no such stream or nobody publishes it.
    ///
    /// # Errors
    /// [`LocateError`] when it cannot be said now.
    async fn locate(&self, key: &StreamKey) -> Result<Option<Located>, LocateError>;

    /// What was said of the stream has turned out wrong: ask the store next time.
    async fn invalidate(&self, key: &StreamKey);
}

/// Last known origins.
#[derive(Debug)]
pub(crate) struct Memory {
    origins: Cache<StreamKey, Arc<Remembered>>,
    linger: Duration,
}

#[derive(Debug)]
struct Remembered {
    origin: String,
    at: Instant,
}

impl Memory {
    pub(crate) fn new(streams_max: u64, linger_ms: u64) -> Self {
        Self {
            origins: Cache::builder()
                .max_capacity(streams_max)
                .eviction_policy(EvictionPolicy::lru())
                .build(),
            linger: Duration::from_millis(linger_ms),
        }
    }

    pub(crate) fn remember(&self, key: &StreamKey, origin: &str) {
        let remembered = Remembered {
            origin: origin.to_owned(),
            at: Instant::now(),
        };
        self.origins.insert(key.clone(), Arc::new(remembered));
    }

    /// The last origin, if the directory named it no longer ago than streams linger.
    pub(crate) fn lingering(&self, key: &StreamKey) -> Option<String> {
        let remembered = self.origins.get(key)?;
        (remembered.at.elapsed() <= self.linger).then(|| remembered.origin.clone())
    }

    /// The last origin, however long ago.
    pub(crate) fn last(&self, key: &StreamKey) -> Option<String> {
        Some(self.origins.get(key)?.origin.clone())
    }
}
