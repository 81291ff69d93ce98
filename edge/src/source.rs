//! A miss's way to the origin: directory, fetch, and one second try.
//!
//! Runs inside the one fetch that all waiting viewers share, so a look-up or a retry happens once
//! however many wait.

use crate::locate::{Locate, Memory};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use std::sync::Arc;
use weir_cache::{EmptyBody, Fetch, FetchError, FetchRequest, FetchResponse};
use weir_cluster::StreamKey;

/// Where objects come from.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) locate: Arc<dyn Locate>,
    pub(crate) fetch: Arc<dyn Fetch>,
    pub(crate) memory: Memory,
}

impl Source {
    /// Asks the stream's origin for `target`. An unknown stream is a 404 without a fetch. When the
    /// origin cannot be reached, the directory is asked anew and the fetch tried once more.
    ///
    /// # Errors
    /// The [`FetchError`] of the last try; [`FetchError::NoRoute`] when the directory cannot
    /// answer and the stream was never seen.
    pub(crate) async fn open(
        self: Arc<Self>,
        stream: StreamKey,
        target: String,
    ) -> Result<FetchResponse, FetchError> {
        let Some(origin) = self.route(&stream).await? else {
            return Ok(not_found());
        };
        let error = match self.ask(origin.clone(), &target).await {
            Err(error) if error.retryable() => error,
            result => return result,
        };
        tracing::debug!(%stream, origin, %error, "asking the directory anew");
        self.locate.invalidate(&stream).await;
        match self.route(&stream).await? {
            Some(origin) => self.ask(origin, &target).await,
            None => Err(error),
        }
    }

    async fn route(&self, stream: &StreamKey) -> Result<Option<String>, FetchError> {
        match self.locate.locate(stream).await {
            Ok(Some(located)) => {
                self.memory.remember(stream, &located.origin_adress);
                Ok(Some(located.origin_adress))
            }
            Ok(None) => Ok(self.memory.lingering(stream)),
            Err(error) => match self.memory.last(stream) {
                Some(origin) => {
                    tracing::debug!(%stream, origin, %error, "using the last known origin");
                    Ok(Some(origin))
                }
                None => Err(FetchError::NoRoute {
                    reason: error.to_string(),
                }),
            },
        }
    }

    async fn ask(&self, origin: String, target: &str) -> Result<FetchResponse, FetchError> {
        let request = FetchRequest {
            origin,
            target: target.to_owned(),
            headers: HeaderMap::new(),
        };
        self.fetch.fetch(request).await
    }
}

/// "No such stream", shared by those who wait but not stored: the directory remembers it already,
/// and the names a scanner makes up shall not push segments out.
fn not_found() -> FetchResponse {
    let mut headers = HeaderMap::new();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=0"));
    FetchResponse {
        status: StatusCode::NOT_FOUND,
        headers,
        content_length: Some(0),
        body: Box::new(EmptyBody),
    }
}
