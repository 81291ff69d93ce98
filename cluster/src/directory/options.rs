//! How the directory keeps what it knows, and why it may not know.

use crate::store::StoreError;
use std::sync::Arc;
use std::time::Duration;

/// How the directory keeps what it knows.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether answers are kept at all (`metadata.cache.enabled`). If not, each look-up asks; those
    /// that come while one is asking still share its answer. Where streams were last is remembered
    /// all the same, for those that have ended and for a source that is away.
    pub cache_enabled: bool,
    /// Known streams kept; the least used go first.
    pub known_max: u64,
    /// Names remembered as unknown, and queries under way, at most.
    pub negative_max: u64,
    /// How old an answer may be before it is asked again, where the source tells no changes; where
    /// it can be asked for many streams at once, how often it is, but not oftener
    /// than each [`crate::follow::PERIOD_MIN`].
    pub ttl: Duration,
    /// How long "no such stream" is kept, and how long a failing source is left alone.
    pub negative_ttl: Duration,
    /// Up to this age a known stream is answered at once while it is asked again.
    pub serve_while_asking: Duration,
    /// How long one query may take.
    pub query_timeout: Duration,
    /// How long the place of an ended stream is still told.
    pub ended_kept: Duration,
    /// How long after its last look-up a stream is asked for along with the others.
    pub interest: Duration,
    /// How often [`super::Directory::refresh`] asks about one stream.
    pub refresh_min: Duration,
}

impl Options {
    /// Step of the directory's coarse time.
    pub(super) const TICK: Duration = Duration::from_secs(1);
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_enabled: true,
            known_max: 50_000,
            negative_max: 10_000,
            ttl: Duration::from_secs(1),
            negative_ttl: Duration::from_secs(1),
            serve_while_asking: Duration::from_secs(60),
            query_timeout: Duration::from_secs(2),
            ended_kept: Duration::from_secs(60),
            interest: Duration::from_secs(30),
            refresh_min: Duration::from_secs(1),
        }
    }
}

/// Why a stream could not be looked up, and nothing older was known of it either.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// The source cannot tell now; try again in a second.
    #[error("the directory cannot ask: {reason}")]
    Unavailable {
        /// What the source said.
        reason: Arc<str>,
    },
    /// The source has a record that cannot be read.
    #[error("the stream's record cannot be read: {reason}")]
    Damaged {
        /// What is wrong with it.
        reason: Arc<str>,
    },
}

impl From<StoreError> for DirectoryError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Damaged { reason, .. } => Self::Damaged {
                reason: reason.into(),
            },
            other => Self::Unavailable {
                reason: other.to_string().into(),
            },
        }
    }
}
