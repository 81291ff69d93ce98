//! The publish on a connection: asked for, accepted or refused, and over.

use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::info;
use weir_cluster::PublishType;

use super::{Connection, End};
use crate::ingest::rtmp::session::{PublishCommand, status};
use crate::ingest::{PublishRefusal, PublishRequest, Publisher};

/// Longest name that goes into the log, bytes.
const LOG_TEXT_BYTES_MAX: usize = 300;

/// An accepted publish.
pub(super) struct Live {
    pub(super) publisher: Publisher,
    /// Ends when the owner closes its end.
    closed: Pin<Box<dyn Future<Output = ()> + Send + Sync>>,
    since: Instant,
    bytes_before: u64,
    pub(super) frames: u64,
    pub(super) dropped: u64,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Connection<S> {
    /// Asks the admission, and answers the encoder.
    pub(super) async fn publish(
        &mut self,
        command: PublishCommand,
        stop: &CancellationToken,
    ) -> Result<(), End> {
        self.flush().await?;
        self.stream = for_log(&command.stream);
        let info = self.session.connect_info();
        let user_agent = info.and_then(|info| info.flash_ver.clone());
        let request = PublishRequest {
            peer: self.peer,
            app: command.app,
            stream: command.stream,
            query: command.query,
            publish_type: PublishType::Rtmp,
            user_agent: user_agent.clone(),
        };
        let limit = self.shared.options.admission_timeout;
        let answer = tokio::select! {
            () = stop.cancelled() => return Err(End::Shutdown),
            answer = timeout(limit, self.shared.admission.open(request)) => answer,
        };
        let answer = answer.unwrap_or_else(|_| {
            let why = "no answer in time".to_owned();
            Err(PublishRefusal::Unavailable(why))
        });
        match answer {
            Ok(publisher) => {
                self.session.accept_publish();
                self.shared.metrics.publishing.inc();
                self.unpublished = false;
                let events = publisher.events.clone();
                self.live = Some(Live {
                    publisher,
                    closed: Box::pin(async move { events.closed().await }),
                    since: Instant::now(),
                    bytes_before: self.received_bytes,
                    frames: 0,
                    dropped: 0,
                });
                let user_agent = user_agent.as_deref().map(for_log);
                info!(peer = %self.peer, app = self.app, stream = self.stream, user_agent, "rtmp publish started");
                Ok(())
            }
            Err(refusal) => {
                let words = refusal.to_string();
                let (code, label) = refusal_code(&refusal);
                self.session.refuse_publish(code, &words);
                Err(End::Refused { label, words })
            }
        }
    }

    /// Closes the door to the stream, if one is open, and says so in the log.
    pub(super) fn publish_over(&mut self, reason: &str) {
        let Some(live) = self.live.take() else {
            return;
        };
        self.shared.metrics.publishing.dec();
        info!(
            peer = %self.peer,
            app = self.app,
            stream = self.stream,
            reason,
            duration_ms = live.since.elapsed().as_millis(),
            received_bytes = self.received_bytes - live.bytes_before,
            frames = live.frames,
            dropped = live.dropped,
            "rtmp publish stopped"
        );
    }
}

impl Live {
    /// How it ends when the stream's owner has closed its end.
    pub(super) fn dismissed(&self) -> End {
        End::OwnerClosed(self.publisher.farewell.reason())
    }
}

/// Ends when the stream's owner closes its end; never, when there is none.
pub(super) async fn owner_closed(live: Option<&mut Live>) -> End {
    match live {
        Some(live) => {
            live.closed.as_mut().await;
            live.dismissed()
        }
        None => std::future::pending().await,
    }
}

/// Which status code tells an encoder of a refusal, and the metric's label.
fn refusal_code(refusal: &PublishRefusal) -> (&'static str, &'static str) {
    match refusal {
        PublishRefusal::InvalidName(_) => (status::BAD_NAME, "invalid_name"),
        PublishRefusal::StreamIdInUse => (status::BAD_NAME, "stream_id_in_use"),
        PublishRefusal::OwnerSilent => (status::BAD_NAME, "owner_silent"),
        PublishRefusal::UnknownApp(_) => (status::REJECTED, "unknown_app"),
        PublishRefusal::Unavailable(_) => (status::REJECTED, "unavailable"),
    }
}

/// Names are the peer's: clipped, and control characters escaped.
pub(super) fn for_log(text: &str) -> String {
    let end = text.floor_char_boundary(LOG_TEXT_BYTES_MAX);
    text.get(..end).unwrap_or(text).escape_default().to_string()
}
