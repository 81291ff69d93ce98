//! A stored (or passing) answer: its head, its time, its body.

use crate::body::Body;
use crate::fetch::FetchError;
use crate::policy::{Lifetime, Standing, Verdict};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use std::hash::Hasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// What a header map and the bookkeeping of one object are reckoned to weigh, bytes.
pub(crate) const OBJECT_OVERHEAD_BYTES: u64 = 1024;

/// The head of an answer.
#[derive(Clone, Debug)]
pub struct Head {
    /// Status.
    pub status: StatusCode,
    /// End-to-end headers as the origin sent them.
    pub headers: HeaderMap,
    /// The body's length if it was announced, bytes.
    pub content_length: Option<u64>,
}

/// An answer that many may read; complete, or still filling.
#[derive(Debug)]
pub struct Object {
    head: Head,
    verdict: Verdict,
    arrived_ms: u64,
    body: Arc<Body>,
    /// Until then a stale answer is served without asking the failed origin again.
    retry_at_ms: AtomicU64,
    digest: OnceLock<u64>,
}

impl Object {
    pub(crate) fn filling(mut head: Head, verdict: Verdict, arrived_ms: u64) -> Self {
        drop_hop_by_hop(&mut head.headers);
        Self {
            head,
            verdict,
            arrived_ms,
            body: Arc::default(),
            retry_at_ms: AtomicU64::new(0),
            digest: OnceLock::new(),
        }
    }

    /// Status and headers.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// All of the body, when it is complete.
    pub fn whole(&self) -> Option<&Bytes> {
        self.body.whole()
    }

    /// Waits until the body is complete.
    ///
    /// # Errors
    /// [`FetchError`] when the fill broke off.
    pub async fn wait_whole(&self) -> Result<&Bytes, FetchError> {
        self.body.wait_whole().await
    }

    /// The body's length: counted when complete, else as announced; `None` when not known yet.
    pub fn len_bytes(&self) -> Option<u64> {
        self.whole()
            .map(|whole| whole.len() as u64)
            .or(self.head.content_length)
    }

    /// A digest of the complete body, the same on every node that runs the same build; `None`
    /// while it fills. Not cryptographic: for entity tags.
    pub fn digest(&self) -> Option<u64> {
        let whole = self.whole()?;
        Some(*self.digest.get_or_init(|| {
            let mut hasher = std::hash::DefaultHasher::new();
            hasher.write(whole);
            hasher.finish()
        }))
    }

    pub(crate) fn body(&self) -> &Arc<Body> {
        &self.body
    }

    pub(crate) fn verdict(&self) -> Verdict {
        self.verdict
    }

    pub(crate) fn lifetime(&self) -> Option<Lifetime> {
        match self.verdict {
            Verdict::Store(lifetime) => Some(lifetime),
            Verdict::Pass(_) => None,
        }
    }

    pub(crate) fn standing(&self, now_ms: u64) -> Standing {
        self.lifetime().map_or(Standing::Expired, |life| {
            life.standing(now_ms.saturating_sub(self.arrived_ms))
        })
    }

    /// How long after its arrival it may be used for anything.
    pub(crate) fn usable(&self) -> Duration {
        let usable_ms = self.lifetime().map_or(0, |life| {
            let all_ms = life.fresh_ms.saturating_add(life.stale_if_error_ms);
            all_ms.saturating_sub(life.initial_age_ms)
        });
        Duration::from_millis(usable_ms)
    }

    /// Current age, ms (RFC 9111 section 4.2.3).
    pub(crate) fn age_ms(&self, now_ms: u64) -> u64 {
        let resident_ms = now_ms.saturating_sub(self.arrived_ms);
        self.lifetime()
            .map_or(resident_ms, |life| life.age_ms(resident_ms))
    }

    pub(crate) fn weight_bytes(&self) -> u64 {
        OBJECT_OVERHEAD_BYTES + self.whole().map_or(0, |whole| whole.len() as u64)
    }

    pub(crate) fn hold_off(&self, until_ms: u64) {
        self.retry_at_ms.store(until_ms, Ordering::Relaxed);
    }

    pub(crate) fn is_held_off(&self, now_ms: u64) -> bool {
        now_ms < self.retry_at_ms.load(Ordering::Relaxed)
    }
}

/// Removes what is between two neighbours only (RFC 9111 section 3.1, RFC 9110 section 7.6.1).
fn drop_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<String> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    for name in named {
        headers.remove(name.as_str());
    }
    for name in [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ] {
        headers.remove(name);
    }
}
