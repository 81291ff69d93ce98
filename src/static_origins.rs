//! Where an edge asks for streams when it shares no store with its origins: the origins themselves,
//! from the list `cluster.origin.nodes`, over the REST call that everybody else uses.
//!
//! All origins are asked at once; the first that broadcasts the stream is its origin, and nobody
//! waits for the others. One that does not answer is passed over as long as another knows the
//! stream; when none does and one was silent, the answer is "cannot tell", not "no such stream".

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use std::sync::Arc;
use tokio::sync::broadcast;
use weir_cache::{Fetch, FetchRequest};
use weir_cluster::{
    Broadcast, BroadcastStatus, Ownership, StoreError, StoreSource, StreamChange, StreamKey,
    StreamSource,
};

/// The longest record an origin may answer with, bytes.
const RECORD_BYTES_MAX: usize = 256 * 1024;
const LOOKUP: &str = "lookup at an origin";

/// A fixed list of origins.
#[derive(Debug)]
pub(crate) struct StaticOrigins {
    origins: Vec<String>,
    fetch: Arc<dyn Fetch>,
}

impl StaticOrigins {
    /// Asks `origins` (`host:port` or `unix:/path`) through `fetch`.
    pub(crate) fn new(origins: Vec<String>, fetch: Arc<dyn Fetch>) -> Self {
        Self { origins, fetch }
    }

    async fn ask(&self, origin: &str, key: &StreamKey) -> Result<Option<Broadcast>, StoreError> {
        let request = FetchRequest {
            origin: origin.to_owned(),
            target: format!("/{}/rest/v2/broadcasts/{}", key.app, key.id),
            headers: http::HeaderMap::new(),
        };
        let silent = |reason: String| StoreError::Unavailable {
            operation: LOOKUP,
            reason: format!("{origin}: {reason}"),
        };
        let mut response = self
            .fetch
            .fetch(request)
            .await
            .map_err(|e| silent(e.to_string()))?;
        match response.status {
            http::StatusCode::OK => {}
            http::StatusCode::NOT_FOUND => return Ok(None),
            status => return Err(silent(format!("status {status}"))),
        }
        let mut body = Vec::new();
        while let Some(piece) = response.body.next().await {
            let piece = piece.map_err(|e| silent(e.to_string()))?;
            if body.len() + piece.len() > RECORD_BYTES_MAX {
                return Err(silent(format!("a record over {RECORD_BYTES_MAX} bytes")));
            }
            body.extend_from_slice(&piece);
        }
        let told: Told = serde_json::from_slice(&body).map_err(|e| silent(e.to_string()))?;
        let live = matches!(
            told.status,
            BroadcastStatus::Broadcasting | BroadcastStatus::Preparing
        );
        Ok(live.then(|| Broadcast {
            status: told.status,
            // Reachable from here at this address, whatever it calls itself.
            origin_adress: Some(origin.to_owned()),
            // The list tells where a stream is, not who wrote it when.
            owner: Some(Ownership {
                node_id: origin.to_owned(),
                ..Ownership::default()
            }),
            ..Broadcast::new(&key.id, 0)
        }))
    }
}

/// What matters of an origin's answer.
#[derive(serde::Deserialize)]
struct Told {
    status: BroadcastStatus,
}

#[async_trait]
impl StreamSource for StaticOrigins {
    async fn lookup(&self, key: &StreamKey) -> Result<Option<Broadcast>, StoreError> {
        let asked = self.origins.iter().map(|origin| self.ask(origin, key));
        let mut answers: FuturesUnordered<_> = asked.collect();
        let mut silent = None;
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(Some(found)) => return Ok(Some(found)),
                Ok(None) => {}
                Err(error) => silent = Some(error),
            }
        }
        silent.map_or(Ok(None), Err)
    }
}

/// The node's own store first, then the list: an origin in the same process is found at once.
#[derive(Debug)]
pub(crate) struct AnySource {
    store: StoreSource,
    origins: StaticOrigins,
}

impl AnySource {
    /// `store` outranks `origins`.
    pub(crate) fn new(store: StoreSource, origins: StaticOrigins) -> Self {
        Self { store, origins }
    }
}

#[async_trait]
impl StreamSource for AnySource {
    async fn lookup(&self, key: &StreamKey) -> Result<Option<Broadcast>, StoreError> {
        match self.store.lookup(key).await? {
            Some(found) => Ok(Some(found)),
            None => self.origins.lookup(key).await,
        }
    }

    fn changes(&self) -> Option<broadcast::Receiver<StreamChange>> {
        // The list tells none, so answers must age even where the store would tell.
        None
    }
}
