//! One connection: its socket, its session, its stream.

mod goodbye;
mod publish;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;

use bytes::BytesMut;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tracing::{debug, warn};

use super::deadline::Watch;
use super::end::End;
use super::peers::Slot;
use super::{IDLE_READ_BYTES, Shared, proxy};
use crate::ingest::PublishEvent;
use crate::ingest::rtmp::handshake::PACKET_BYTES;
use crate::ingest::rtmp::session::{Event, Session};
use publish::{Live, for_log, owner_closed};

/// Room in the read buffer under which a new one is taken, bytes.
const READ_ROOM_BYTES_MIN: usize = 8 * 1024;

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
        // Kept over the turns, as `Live::closed` is: registering anew for each read costs locks.
        let mut stopped = pin!(stop.clone().cancelled_owned());
        if self.shared.options.proxy_protocol {
            self.read_proxy_header(stopped.as_mut()).await?;
        }
        slot.claim(self.peer.ip()).map_err(End::PeerFull)?;
        loop {
            self.drain(stop).await?;
            self.flush().await?;
            self.wait(stopped.as_mut()).await?;
        }
    }

    async fn read_proxy_header(
        &mut self,
        mut stopped: Pin<&mut WaitForCancellationFutureOwned>,
    ) -> Result<(), End> {
        loop {
            self.wait(stopped.as_mut()).await?;
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

    /// Hands an event to the stream; waits while the stream is busy, which holds back the encoder.
    async fn send(&mut self, event: PublishEvent, stop: &CancellationToken) -> Result<(), End> {
        let Some(live) = &self.live else {
            return Ok(());
        };
        match live.publisher.events.try_send(event) {
            Ok(()) => Ok(()),
            Err(TrySendError::Closed(_)) => Err(live.dismissed()),
            Err(TrySendError::Full(event)) => tokio::select! {
                () = stop.cancelled() => Err(End::Shutdown),
                sent = live.publisher.events.send(event) => sent.map_err(|_| live.dismissed()),
            },
        }
    }

    /// Waits for bytes and reads them.
    async fn wait(
        &mut self,
        mut stopped: Pin<&mut WaitForCancellationFutureOwned>,
    ) -> Result<(), End> {
        self.make_room();
        loop {
            tokio::select! {
                biased;
                () = stopped.as_mut() => return Err(End::Shutdown),
                end = owner_closed(self.live.as_mut()) => return Err(end),
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
            Ok(0) => Err(self.gone("closed by the peer")),
            Ok(bytes) => {
                self.received_bytes += bytes as u64;
                self.shared.metrics.received_bytes.inc_by(bytes as u64);
                Ok(())
            }
            Err(error) => Err(self.gone(&error.to_string())),
        }
    }

    /// What it means that the peer is gone depends on what it was doing.
    fn gone(&self, how: &str) -> End {
        let how = how.to_owned();
        if self.live.is_some() {
            End::Lost { how }
        } else if self.unpublished {
            End::Unpublished
        } else {
            let received_bytes = self.received_bytes;
            End::Left {
                how,
                received_bytes,
            }
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
            Ok(written) => written.map_err(|error| self.gone(&error.to_string())),
            Err(_) => Err(End::WriteTimeout(limit)),
        }
    }

    fn arm_timer(&mut self) {
        let (deadline, _) = self.watch.deadline(&self.shared.options);
        self.timer.as_mut().reset(deadline);
    }
}

fn noise() -> Box<[u8; PACKET_BYTES]> {
    let mut noise = Box::new([0; PACKET_BYTES]);
    if SystemRandom::new().fill(noise.as_mut_slice()).is_err() {
        // The handshake's randomness guards nothing; zeros do.
        warn!("system random generator failed");
    }
    noise
}
