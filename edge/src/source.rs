//! A miss's way to the origin: directory, fetch, and one second try.
//!
//! Runs inside the one fetch that all waiting viewers share, so a look-up or a retry happens once
//! however many wait. Where a stream was when it ended is the directory's to know: it goes on
//! telling the place for as long as ended playlists linger at the origin.

use http::{HeaderMap, HeaderValue, StatusCode, header};
use std::sync::Arc;
use weir_cache::{EmptyBody, Fetch, FetchError, FetchRequest, FetchResponse};
use weir_cluster::{Directory, StreamKey};

/// Where objects come from.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) directory: Directory,
    pub(crate) fetch: Arc<dyn Fetch>,
}

impl Source {
    /// Asks the stream's origin for `target`. An unknown stream is a 404 without a fetch. When the
    /// origin cannot be reached and the directory, asked again, names another, that one is asked;
    /// once.
    ///
    /// # Errors
    /// The [`FetchError`] of the last try; [`FetchError::NoRoute`] when the directory cannot
    /// answer and does not know the stream from before.
    pub(crate) async fn open(
        self: Arc<Self>,
        stream: StreamKey,
        target: String,
    ) -> Result<FetchResponse, FetchError> {
        let Some(origin) = self.locate(&stream).await? else {
            return Ok(not_found());
        };
        let error = match self.ask(&origin, &target).await {
            Err(error) if error.retryable() => error,
            result => return result,
        };
        match self.locate(&stream).await {
            Ok(Some(heir)) if heir != origin => {
                tracing::debug!(%stream, %origin, %heir, %error, "the stream has moved");
                self.ask(&heir, &target).await
            }
            _ => Err(error),
        }
    }

    async fn locate(&self, stream: &StreamKey) -> Result<Option<Arc<str>>, FetchError> {
        let located = self.directory.locate(stream).await;
        match located {
            Ok(located) => Ok(located.map(|located| located.origin_adress)),
            Err(error) => Err(FetchError::NoRoute {
                reason: error.to_string(),
            }),
        }
    }

    async fn ask(&self, origin: &str, target: &str) -> Result<FetchResponse, FetchError> {
        let request = FetchRequest {
            origin: origin.to_owned(),
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
