//! A publisher: one stream, published in real time until the run ends.
//!
//! Frames go out when they are due by the run's clock, those due together in one write. A publish
//! that is lost or refused is an error, and is begun again as encoders do: after a wait that
//! doubles from [`RETRY_FIRST`] to [`RETRY_MAX`], timestamps from 0, sequence headers first.

mod session;

use crate::clip::Clip;
use crate::fault::{Fault, Kind};
use crate::tally::Tally;
use crate::target::{RtmpTarget, connect};
use bytes::{Buf as _, BytesMut};
use session::{Event, Session};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// First wait before a publish is begun again.
const RETRY_FIRST: Duration = Duration::from_millis(500);
/// Longest wait before a publish is begun again.
const RETRY_MAX: Duration = Duration::from_secs(5);
/// A publish that lived this long is begun again after the first wait.
const SETTLED: Duration = Duration::from_secs(30);
/// Time from a standing connection to an accepted publish.
const ACCEPT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time in which the server must take what is due.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a write may wait for the server before it is an error.
const BEHIND: Duration = Duration::from_secs(2);
/// Written at once, about; what is due beyond it goes out next.
const WRITE_BYTES_MAX: usize = 1 << 20;
/// Time for the goodbye at the end.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(2);
/// Read at once from the server, which says little.
const READ_BYTES: usize = 4096;

/// One stream's publisher.
pub(crate) struct Publisher {
    pub(crate) target: Arc<RtmpTarget>,
    pub(crate) addresses: Arc<[SocketAddr]>,
    pub(crate) stream: String,
    pub(crate) clip: Arc<Clip>,
    pub(crate) tally: Arc<Tally>,
    /// Told once the publish was accepted for the first time.
    pub(crate) live: watch::Sender<bool>,
    pub(crate) rng: fastrand::Rng,
}

/// How a publish ended that was not asked to.
struct Lost {
    fault: Fault,
    /// Since it was accepted.
    lived: Duration,
}

impl Publisher {
    /// Publishes until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut wait = RETRY_FIRST;
        let mut begun_before = false;
        loop {
            if begun_before {
                self.tally.publish_reconnects.add(1);
            }
            begun_before = true;
            let Err(lost) = self.publish(&stop).await else {
                return;
            };
            self.tally.fault(&self.stream, &self.target.url, lost.fault);
            if lost.lived >= SETTLED {
                wait = RETRY_FIRST;
            }
            let jitter = wait.mul_f64(0.2 * self.rng.f64());
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(wait + jitter) => {}
            }
            wait = (wait * 2).min(RETRY_MAX);
        }
    }

    /// One connection's life; ends well only when it is stopped.
    async fn publish(&self, stop: &CancellationToken) -> Result<(), Lost> {
        let asked = Instant::now();
        let opened = tokio::select! {
            // Before it is accepted there is nothing to say goodbye to.
            () = stop.cancelled() => return Ok(()),
            opened = self.open() => opened,
        };
        let (mut socket, mut session) = opened.map_err(|fault| Lost {
            fault,
            lived: Duration::ZERO,
        })?;
        let accepted = Instant::now();
        self.tally.publish_latency.record(asked.elapsed());
        let first = !self.live.send_replace(true);
        self.tally.streams_accepted.add(u64::from(first));
        self.tally.streams_live.add(1);
        let ended = self.pump(&mut socket, &mut session, stop).await;
        self.tally.streams_live.subtract(1);
        ended.map_err(|fault| Lost {
            fault,
            lived: accepted.elapsed(),
        })
    }

    /// A connection with an accepted publish.
    async fn open(&self) -> Result<(TcpStream, Session), Fault> {
        let mut socket = connect(&self.addresses)
            .await
            .map_err(|e| Fault::new(Kind::PublishUnreachable, e.to_string()))?;
        let mut session = Session::new(&self.target.app, &self.target.url, &self.stream);
        match timeout(ACCEPT_TIMEOUT, open(&mut socket, &mut session)).await {
            Ok(opened) => opened.map(|()| (socket, session)),
            Err(_) => {
                let text = format!("not accepted within {} s", ACCEPT_TIMEOUT.as_secs());
                Err(Fault::new(Kind::PublishRefused, text))
            }
        }
    }

    /// Sends frames as they become due.
    async fn pump(
        &self,
        socket: &mut TcpStream,
        session: &mut Session,
        stop: &CancellationToken,
    ) -> Result<(), Fault> {
        let began = Instant::now();
        let mut frames = self.clip.looped();
        let mut input = BytesMut::with_capacity(READ_BYTES);
        if let Some(metadata) = &self.clip.metadata {
            session.metadata(metadata);
        }
        for (kind, body) in &self.clip.headers {
            session.media(*kind, 0, body);
        }
        loop {
            let due = began + Duration::from_micros(frames.due_us());
            tokio::select! {
                () = stop.cancelled() => {
                    session.unpublish();
                    let _ = timeout(GOODBYE_TIMEOUT, goodbye(socket, session)).await;
                    return Ok(());
                }
                read = socket.read_buf(&mut input) => {
                    take(read, &mut input, session).map_err(as_lost)?;
                    send(socket, session).await?;
                }
                () = sleep_until(due) => {
                    let now = Instant::now();
                    while began + Duration::from_micros(frames.due_us()) <= now
                        && session.output().len() < WRITE_BYTES_MAX {
                        let frame = frames.take();
                        session.media(frame.kind, frame.timestamp_ms(), &frame.body);
                        self.tally.frames_sent.add(1);
                        self.tally.published_bytes.add(frame.body.len() as u64);
                    }
                    send(socket, session).await?;
                    self.judge_write(now.elapsed());
                }
            }
        }
    }

    /// Frames that are late because this machine is busy are not the server's fault (the report's
    /// own delay tells of them); a write that waits is.
    fn judge_write(&self, taken: Duration) {
        if taken > BEHIND {
            let text = format!("a write had to wait for {:.1} s", taken.as_secs_f64());
            let fault = Fault::new(Kind::PublishBehind, text);
            self.tally.fault(&self.stream, &self.target.url, fault);
        }
    }
}

/// From the handshake to an accepted publish.
async fn open(socket: &mut TcpStream, session: &mut Session) -> Result<(), Fault> {
    let mut input = BytesMut::with_capacity(READ_BYTES);
    loop {
        send(socket, session).await?;
        let read = socket.read_buf(&mut input).await;
        if let Some(Event::Accepted) = take(read, &mut input, session)? {
            return Ok(());
        }
    }
}

/// Gives the session what was read; an answer of no, an end or an error is a fault.
fn take(
    read: std::io::Result<usize>,
    input: &mut BytesMut,
    session: &mut Session,
) -> Result<Option<Event>, Fault> {
    let lost = |text: String| Fault::new(Kind::PublishLost, text);
    if read.map_err(|e| lost(e.to_string()))? == 0 {
        return Err(lost("the server closed the connection".to_owned()));
    }
    let event = session.receive(input).map_err(|e| lost(e.to_string()))?;
    input.clear();
    match event {
        Some(Event::Refused(words)) => Err(Fault::new(Kind::PublishRefused, words)),
        event => Ok(event),
    }
}

/// A no after the yes is a loss.
fn as_lost(fault: Fault) -> Fault {
    Fault::new(Kind::PublishLost, fault.detail)
}

/// Sends what waits.
async fn send(socket: &mut TcpStream, session: &mut Session) -> Result<(), Fault> {
    let output = session.output();
    while output.has_remaining() {
        let written = timeout(WRITE_TIMEOUT, socket.write_buf(output)).await;
        let written = written.map_err(|_| {
            let text = format!("the server took nothing for {} s", WRITE_TIMEOUT.as_secs());
            Fault::new(Kind::PublishLost, text)
        })?;
        written.map_err(|e| Fault::new(Kind::PublishLost, e.to_string()))?;
    }
    Ok(())
}

/// Sends the goodbye and waits for the server to close, so that it reads all of it.
async fn goodbye(socket: &mut TcpStream, session: &mut Session) {
    if send(socket, session).await.is_ok() && socket.shutdown().await.is_ok() {
        let mut rest = [0; READ_BYTES];
        while socket.read(&mut rest).await.is_ok_and(|read| read > 0) {}
    }
}
