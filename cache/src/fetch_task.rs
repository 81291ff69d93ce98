//! One fetch, from asking to the last byte, in a task of its own.
//!
//! However it ends (an error, a panic in the transport, the runtime going away), it leaves the
//! table of flights and fails those who still wait: the drop of [`FetchTask`] and of the body's
//! writer see to it.

use crate::body::Writer;
use crate::engine::Cache;
use crate::fetch::{FetchError, FetchResponse};
use crate::flight::Flight;
use crate::key::Key;
use crate::object::{Head, Object};
use crate::policy::{PassReason, Rules, Verdict, judge};
use std::future::Future;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

pub(crate) struct FetchTask {
    cache: Arc<Cache>,
    flight: Arc<Flight>,
    /// `None`: for one request only, not to be stored.
    key: Option<Key>,
    rules: Rules,
}

impl Drop for FetchTask {
    fn drop(&mut self) {
        if let Some(key) = &self.key {
            self.cache.flights.leave(key, &self.flight);
        }
        self.flight.fail(FetchError::Abandoned);
        self.cache.metrics.fetches_in_flight.dec();
    }
}

impl FetchTask {
    pub(crate) fn new(
        cache: Arc<Cache>,
        flight: Arc<Flight>,
        key: Option<Key>,
        rules: Rules,
    ) -> Self {
        cache.metrics.fetches_in_flight.inc();
        Self {
            cache,
            flight,
            key,
            rules,
        }
    }

    /// `opened` asks the origin; the permit is one of the fetches allowed at once.
    pub(crate) async fn run<O>(self, _permit: OwnedSemaphorePermit, opened: O)
    where
        O: Future<Output = Result<FetchResponse, FetchError>>,
    {
        let metrics = Arc::clone(&self.cache.metrics);
        metrics.fetches.inc();
        let started = Instant::now();
        match opened.await {
            Ok(response) => {
                metrics
                    .fetch_head_seconds
                    .observe(started.elapsed().as_secs_f64());
                self.fill(response, started).await;
                metrics
                    .fetch_seconds
                    .observe(started.elapsed().as_secs_f64());
            }
            Err(error) => {
                tracing::debug!(key = self.key.as_ref().map(Key::as_str), %error, "fetch failed");
                self.flight.fail(error);
            }
        }
    }

    async fn fill(&self, mut response: FetchResponse, started: Instant) {
        let limit_bytes = self.cache.options.object_bytes_max;
        if response.content_length.is_some_and(|len| len > limit_bytes) {
            self.flight.fail(FetchError::TooLarge { limit_bytes });
            return;
        }
        let delay_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let verdict = match &self.key {
            Some(_) => judge(response.status, &response.headers, delay_ms, &self.rules),
            None => Verdict::Pass(PassReason::Disabled),
        };
        let head = Head {
            status: response.status,
            headers: std::mem::take(&mut response.headers),
            content_length: response.content_length,
        };
        let object = Arc::new(Object::filling(head, verdict, self.cache.now_ms()));
        let writer = Writer::new(Arc::clone(object.body()));
        self.flight.ready(Arc::clone(&object));
        match self.copy(&mut response, writer, verdict).await {
            Ok(()) => self.store(object, verdict),
            Err(error) => {
                tracing::debug!(key = self.key.as_ref().map(Key::as_str), %error, "fill failed");
            }
        }
    }

    async fn copy(
        &self,
        response: &mut FetchResponse,
        mut writer: Writer,
        verdict: Verdict,
    ) -> Result<(), FetchError> {
        let limit_bytes = self.cache.options.object_bytes_max;
        let finish_unwatched = matches!(verdict, Verdict::Store(_))
            && response
                .content_length
                .is_some_and(|len| len <= self.cache.options.unwatched_bytes_max);
        while let Some(piece) = response.body.next().await {
            let error = match piece {
                Ok(piece) => {
                    self.cache.metrics.fetched_bytes.inc_by(piece.len() as u64);
                    if writer.push(piece) > limit_bytes {
                        FetchError::TooLarge { limit_bytes }
                    } else if !finish_unwatched && self.is_unwatched() {
                        FetchError::Abandoned
                    } else {
                        continue;
                    }
                }
                Err(error) => error,
            };
            self.leave();
            writer.fail(error.clone());
            return Err(error);
        }
        writer.complete();
        Ok(())
    }

    fn store(&self, object: Arc<Object>, verdict: Verdict) {
        match (&self.key, verdict) {
            (Some(key), Verdict::Store(_)) => self.cache.store.insert(key.clone(), object),
            _ => self.cache.metrics.not_stored.inc(),
        }
    }

    /// Before a failure is told, so that the next request starts anew instead of joining it.
    fn leave(&self) {
        if let Some(key) = &self.key {
            self.cache.flights.leave(key, &self.flight);
        }
    }

    fn is_unwatched(&self) -> bool {
        match &self.key {
            Some(key) => self.cache.flights.leave_if_unwatched(key, &self.flight),
            None => Arc::strong_count(&self.flight.interest()) <= 2,
        }
    }
}
