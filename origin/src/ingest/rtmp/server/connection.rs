//! One connection: its socket, its session, its stream.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::BytesMut;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use weir_cluster::PublishType;

use super::deadline::Watch;
use super::end::End;
use super::peers::Slot;
use super::{IDLE_READ_BYTES, Shared, proxy};
use crate::ingest::rtmp::handshake::PACKET_BYTES;
use crate::ingest::rtmp::session::{Event, PublishCommand, Session, status};
use crate::ingest::{PublishEvent, PublishRefusal, PublishRequest, Publisher};

/// Room in the read buffer under which a new one is taken, bytes.
const READ_ROOM_BYTES_MIN: usize = 8 * 1024;
/// Bytes a refused peer may still send before we stop listening.
const LINGER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Longest name that goes into the log, bytes.
const LOG_TEXT_BYTES_MAX: usize = 300;

/// A connection under way.
pub(super) struct Connection<S> {
    io: S,
    input: BytesMut,
    session: Session,
    peer: SocketAddr,
    shared: Arc<Shared>,
    watch: Watch,
    timer: Pin<Box<Sleep>>,
    live: Option<Live>,
    received_bytes: u64,
    messages: u64,
    /// Whether a publish ended in due form.
    unpublished: bool,
    /// Asked for last, for logs; not the query.
    app: String,
    stream: String,
}

/// An accepted publish.
struct Live {
    publisher: Publisher,
    since: Instant,
    bytes_before: u64,
    frames: u64,
    dropped: u64,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Connection<S> {
    pub(super) fn new(io: S, peer: SocketAddr, shared: Arc<Shared>) -> Self {
        let now = Instant::now();
        Self {
            io,
            input: BytesMut::with_capacity(IDLE_READ_BYTES),
            session: Session::new(shared.options.session.clone(), noise()),
            peer,
            watch: Watch::new(now),
            timer: Box::pin(sleep_until(now)),
            shared,
            live: None,
            received_bytes: 0,
            messages: 0,
            unpublished: false,
            app: String::new(),
            stream: String::new(),
        }
    }

    /// The encoder's address, as far as it is known.
    pub(super) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The application last asked for.
    pub(super) fn app(&self) -> &str {
        &self.app
    }

    /// The stream last asked for.
    pub(super) fn stream(&self) -> &str {
        &self.stream
    }

    /// Runs to the end.
    pub(super) async fn run(&mut self, mut slot: Slot, stop: &CancellationToken) -> End {
        let Err(end) = self.run_inner(&mut slot, stop).await;
        self.publish_over(&end.to_string());
        end
    }

    async fn run_inner(
        &mut self,
        slot: &mut Slot,
        stop: &CancellationToken,
    ) -> Result<Infallible, End> {
        if self.shared.options.proxy_protocol {
            self.read_proxy_header(stop).await?;
        }
        slot.claim(self.peer.ip()).map_err(End::PeerFull)?;
        loop {
            self.drain(stop).await?;
            self.flush().await?;
            self.wait(stop).await?;
        }
    }

    async fn read_proxy_header(&mut self, stop: &CancellationToken) -> Result<(), End> {
        loop {
            self.wait(stop).await?;
            if let Some(peer) = proxy::read(&mut self.input).map_err(End::ProxyHeader)? {
                self.peer = peer.unwrap_or(self.peer);
                return Ok(());
            }
        }
    }

    /// Handles all that the bytes at hand say.
    async fn drain(&mut self, stop: &CancellationToken) -> Result<(), End> {
        while let Some(event) = self.session.poll(&mut self.input)? {
            self.handle(event, stop).await?;
        }
        let messages = self.session.messages();
        self.shared
            .metrics
            .messages
            .inc_by(messages - self.messages);
        self.messages = messages;
        let stage = self.session.stage();
        if self.watch.progress(Instant::now(), stage, messages) {
            self.arm_timer();
        }
        Ok(())
    }

    async fn handle(&mut self, event: Event, stop: &CancellationToken) -> Result<(), End> {
        match event {
            Event::Frame(frame) => {
                if let Some(live) = &mut self.live {
                    live.frames += 1;
                }
                self.send(PublishEvent::Frame(frame), stop).await
            }
            Event::Params(params) => {
                debug!(peer = %self.peer, app = self.app, stream = self.stream, ?params, "rtmp track");
                self.send(PublishEvent::Params(params), stop).await
            }
            Event::Dropped(reason) => {
                let dropped = &self.shared.metrics.dropped;
                dropped.with_label_values(&[reason.label()]).inc();
                if let Some(live) = &mut self.live {
                    live.dropped += 1;
                }
                debug!(peer = %self.peer, app = self.app, stream = self.stream, %reason, "rtmp message dropped");
                Ok(())
            }
            Event::Connected => {
                if let Some(info) = self.session.connect_info() {
                    self.app = for_log(&info.app);
                }
                Ok(())
            }
            Event::Metadata => {
                let metadata = self.session.metadata();
                debug!(peer = %self.peer, app = self.app, stream = self.stream, ?metadata, "rtmp metadata");
                Ok(())
            }
            Event::PublishRequested(command) => self.publish(command, stop).await,
            Event::Unpublished(command) => {
                self.send(PublishEvent::Unpublish, stop).await?;
                self.unpublished = true;
                self.publish_over(command);
                Ok(())
            }
            Event::Refused(refusal) => {
                // A publish with a codec we cannot carry will not come back cured by itself.
                self.send(PublishEvent::Unpublish, stop).await?;
                Err(End::Refused {
                    label: refusal.label(),
                    words: refusal.to_string(),
                })
            }
        }
    }

    /// Asks the admission, and answers the encoder.
    async fn publish(
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
                self.live = Some(Live {
                    publisher,
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

    /// Hands an event to the stream; waits while the stream is busy, which holds back the encoder.
    async fn send(&mut self, event: PublishEvent, stop: &CancellationToken) -> Result<(), End> {
        let Some(live) = &self.live else {
            return Ok(());
        };
        match live.publisher.events.try_send(event) {
            Ok(()) => Ok(()),
            Err(TrySendError::Closed(_)) => Err(End::OwnerClosed),
            Err(TrySendError::Full(event)) => tokio::select! {
                () = stop.cancelled() => Err(End::Shutdown),
                sent = live.publisher.events.send(event) => sent.map_err(|_| End::OwnerClosed),
            },
        }
    }

    /// Waits for bytes and reads them.
    async fn wait(&mut self, stop: &CancellationToken) -> Result<(), End> {
        self.make_room();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Err(End::Shutdown),
                () = owner_closed(self.live.as_ref()) => return Err(End::OwnerClosed),
                () = &mut self.timer => {
                    let (deadline, end) = self.watch.deadline(&self.shared.options);
                    if deadline <= Instant::now() {
                        return Err(end);
                    }
                    self.timer.as_mut().reset(deadline);
                }
                read = self.io.read_buf(&mut self.input) => return self.count(read),
            }
        }
    }

    fn count(&mut self, read: std::io::Result<usize>) -> Result<(), End> {
        match read {
            Ok(0) if self.live.is_some() => Err(End::Lost),
            Ok(0) if self.unpublished => Err(End::Unpublished),
            Ok(0) => Err(End::Left {
                received_bytes: self.received_bytes,
            }),
            Ok(bytes) => {
                self.received_bytes += bytes as u64;
                self.shared.metrics.received_bytes.inc_by(bytes as u64);
                Ok(())
            }
            Err(error) => Err(End::Io(error)),
        }
    }

    /// Frames are slices of the read buffer, so it is filled to its end before a new one is taken;
    /// once no frame holds it, it is used again from the start.
    fn make_room(&mut self) {
        let publishing = self.live.is_some();
        let (room_min, buffer_bytes) = if publishing {
            (READ_ROOM_BYTES_MIN, self.shared.options.read_buffer_bytes)
        } else {
            (1, IDLE_READ_BYTES)
        };
        if self.input.capacity() - self.input.len() < room_min {
            self.input.reserve(buffer_bytes.max(room_min));
        }
    }

    async fn flush(&mut self) -> Result<(), End> {
        if !self.session.has_output() {
            return Ok(());
        }
        let output = self.session.take_output();
        let limit = self.shared.options.write_timeout;
        match timeout(limit, self.io.write_all(&output)).await {
            Ok(written) => Ok(written?),
            Err(_) => Err(End::WriteTimeout(limit)),
        }
    }

    fn arm_timer(&mut self) {
        let (deadline, _) = self.watch.deadline(&self.shared.options);
        self.timer.as_mut().reset(deadline);
    }

    /// Closes the door to the stream, if one is open, and says so in the log.
    fn publish_over(&mut self, reason: &str) {
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

    /// Tells the peer why, if there is something to tell, and sees that it can be read: closing a
    /// socket with unread bytes in it would reset the connection and destroy the answer.
    pub(super) async fn say_goodbye(&mut self, end: &End) {
        let (code, words) = match end {
            End::Refused { .. } => ("", String::new()), // told already
            End::Malformed(error) => (status::FAILED, error.to_string()),
            End::OwnerClosed => (status::FAILED, end.to_string()),
            End::Shutdown => (status::CLOSED, end.to_string()),
            End::PublishTimeout(_) => (status::CLOSED, end.to_string()),
            _ => return,
        };
        self.session.close(code, &words);
        if let Err(error) = self.flush().await {
            debug!(peer = %self.peer, %error, "peer did not take our last words");
            return;
        }
        let linger = self.shared.options.linger_timeout;
        // Elapsed or not, the socket is closed next.
        let _ = timeout(linger, self.linger()).await;
    }

    async fn linger(&mut self) {
        if self.io.shutdown().await.is_err() {
            return;
        }
        let mut heard_bytes = 0;
        while heard_bytes < LINGER_BYTES_MAX {
            self.input.clear();
            self.input.reserve(IDLE_READ_BYTES);
            match self.io.read_buf(&mut self.input).await {
                Ok(bytes) if bytes > 0 => heard_bytes += bytes,
                _ => return,
            }
        }
    }
}

/// Ends when the stream's owner closes its end; never, when there is none.
async fn owner_closed(live: Option<&Live>) {
    match live {
        Some(live) => live.publisher.events.closed().await,
        None => std::future::pending().await,
    }
}

/// Which status code tells an encoder of a refusal, and the metric's label.
fn refusal_code(refusal: &PublishRefusal) -> (&'static str, &'static str) {
    match refusal {
        PublishRefusal::InvalidName(_) => (status::BAD_NAME, "invalid_name"),
        PublishRefusal::StreamIdInUse => (status::BAD_NAME, "stream_id_in_use"),
        PublishRefusal::UnknownApp(_) => (status::REJECTED, "unknown_app"),
        PublishRefusal::Unavailable(_) => (status::REJECTED, "unavailable"),
    }
}

/// Names are the peer's: clipped, and control characters escaped.
fn for_log(text: &str) -> String {
    let end = text.floor_char_boundary(LOG_TEXT_BYTES_MAX);
    text.get(..end).unwrap_or(text).escape_default().to_string()
}

fn noise() -> Box<[u8; PACKET_BYTES]> {
    let mut noise = Box::new([0; PACKET_BYTES]);
    if SystemRandom::new().fill(noise.as_mut_slice()).is_err() {
        // The handshake's randomness guards nothing; zeros do.
        warn!("system random generator failed");
    }
    noise
}
