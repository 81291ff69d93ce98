//! One call to another node, whole: what a fetch is not, because it changes something there.
//!
//! A call may not be repeated by itself, so it never uses a kept connection, which may be dead
//! already; and its answer is small, so it is read before it is given back. Limits and failures as
//! for fetches.

use crate::fetch::FetchError;
use crate::http_fetch::{HttpFetch, uri};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use std::time::Duration;
use tokio::time::timeout;

impl HttpFetch {
    /// Sends `request` (its URI is path and query; Host is set here) to `origin`, `host:port` or
    /// `unix:/path`, and reads the answer, of at most `answer_bytes_max` bytes.
    ///
    /// # Errors
    /// [`FetchError`]; only where no connection came, nothing was done there.
    pub async fn call(
        &self,
        origin: &str,
        request: Request<Bytes>,
        answer_bytes_max: usize,
    ) -> Result<Response<Bytes>, FetchError> {
        let _place = self.places.take(origin)?;
        let target = request.uri().to_string();
        let mut message = request.map(Full::new);
        *message.uri_mut() = uri(origin, &target)?;
        let mut connection = self.connect(origin).await?;
        let answer = self.exchange(&mut connection, origin, message).await?;
        let (head, body) = answer.into_parts();
        let limit_ms = self.options.body_idle_timeout_ms;
        let whole = Limited::new(body, answer_bytes_max).collect();
        match timeout(Duration::from_millis(limit_ms), whole).await {
            Ok(Ok(body)) => Ok(Response::from_parts(head, body.to_bytes())),
            Ok(Err(error)) => Err(FetchError::BodyBroken {
                origin: origin.to_owned(),
                reason: error.to_string(),
            }),
            Err(_) => Err(FetchError::BodyTimeout {
                origin: origin.to_owned(),
                limit_ms,
            }),
        }
    }
}
