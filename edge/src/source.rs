//! A miss's way to the origin: directory, fetch, and one second try.
//!
//! An origin that cannot be reached, or answers that it has no such stream, may be the wrong one:
//! the directory asks anew then (no more often than its own limit allows), and another one that it
//! names is asked, once.
//!
//! A playlist's request says how many viewers the stream has here ([`weir_cluster::audience`]).
//!
//! Runs inside the one fetch that all waiting viewers share, so a look-up or a retry happens once
//! however many wait. Where a stream was when it ended is the directory's to know: it goes on
//! telling the place for as long as ended playlists linger at the origin.

use crate::viewers::Viewers;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use std::sync::Arc;
use weir_cache::{EmptyBody, Fetch, FetchError, FetchRequest, FetchResponse};
use weir_cluster::{Directory, StreamKey, audience};

const PLAYLIST_SUFFIX: &str = ".m3u8";

/// Where objects come from.
pub(crate) struct Source {
    pub(crate) directory: Directory,
    pub(crate) fetch: Arc<dyn Fetch>,
    pub(crate) viewers: Arc<Viewers>,
}

impl Source {
    /// Asks the stream's origin for `target`. An unknown stream is a 404 without a fetch; where a
    /// playlist is at hand to stand in, of the epoch `stand_in` or older, "no such object" is a 503,
    /// unless the stream has begun anew since.
    ///
    /// # Errors
    /// The [`FetchError`] of the last try; [`FetchError::NoRoute`] when the directory cannot
    /// answer and does not know the stream from before.
    pub(crate) async fn open(
        self: Arc<Self>,
        stream: StreamKey,
        target: String,
        stand_in: Option<u64>,
    ) -> Result<FetchResponse, FetchError> {
        let answer = self.ask_owner(&stream, &target).await?;
        let gone = matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::GONE);
        if let Some(epoch) = stand_in
            && gone
            && !self.has_begun_since(&stream, epoch).await
        {
            return Ok(nothing(StatusCode::SERVICE_UNAVAILABLE));
        }
        Ok(answer)
    }

    async fn ask_owner(
        &self,
        stream: &StreamKey,
        target: &str,
    ) -> Result<FetchResponse, FetchError> {
        let Some(origin) = self.locate(stream).await? else {
            return Ok(nothing(StatusCode::NOT_FOUND));
        };
        let first = self.ask(stream, &origin, target).await;
        let wrong = match &first {
            Err(error) => error.retryable(),
            Ok(answer) => is_elsewhere(answer.status),
        };
        if !wrong {
            return first;
        }
        let heir = self.directory.refresh(stream).await.ok().flatten();
        match heir.map(|heir| heir.origin_adress) {
            Some(heir) if heir != origin => {
                tracing::debug!(%stream, %origin, %heir, "the stream has moved");
                self.ask(stream, &heir, target).await
            }
            _ => first,
        }
    }

    async fn has_begun_since(&self, stream: &StreamKey, epoch: u64) -> bool {
        let located = self.directory.locate(stream).await;
        located.is_ok_and(|it| it.is_some_and(|it| it.epoch > epoch))
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

    async fn ask(
        &self,
        stream: &StreamKey,
        origin: &str,
        target: &str,
    ) -> Result<FetchResponse, FetchError> {
        let mut headers = HeaderMap::new();
        if target.ends_with(PLAYLIST_SUFFIX) {
            let told = self
                .viewers
                .told_of(stream.app.as_str(), stream.id.as_str());
            // Digits and a blank always are a header's value.
            if let Ok(value) = HeaderValue::from_str(&told.to_string()) {
                headers.insert(HeaderName::from_static(audience::HEADER), value);
            }
        }
        let request = FetchRequest {
            origin: origin.to_owned(),
            target: target.to_owned(),
            headers,
        };
        self.fetch.fetch(request).await
    }
}

/// What an origin answers that does not have the stream, or not any more.
fn is_elsewhere(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::NOT_FOUND | StatusCode::MISDIRECTED_REQUEST | StatusCode::SERVICE_UNAVAILABLE
    )
}

/// "No such stream" or "not now", shared by those who wait but not stored: the directory remembers
/// it already, and the names a scanner makes up shall not push segments out.
fn nothing(status: StatusCode) -> FetchResponse {
    let mut headers = HeaderMap::new();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=0"));
    FetchResponse {
        status,
        headers,
        content_length: Some(0),
        body: Box::new(EmptyBody),
    }
}
