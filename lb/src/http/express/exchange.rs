//! One plain request: a peer is chosen, asked, and its answer passed on.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::time::Instant;
use weir_conf::nginx::model::proxy::Pattern;
use weir_conf::nginx::model::{self, Method};

use super::answer::{self, Answer, Framing, Parsed, Rules};
use super::chunks::{self, Chunks};
use super::door::{Job, Short};
use super::known::Known;
use super::relay::{Stop, flush, give, pull, push};
use crate::balance::{Outcome, Walk, address_key};
use crate::group::{Group, Lease};
use crate::http::conn::{Conn, Downstream};
use crate::http::reply;
use crate::http::site::{Location, Proxy};
use crate::http::tries::Tries;
use crate::io::Io;
use crate::metrics::UpstreamFault;

/// Longest header of an answer.
pub(crate) const HEAD_BYTES_MAX: usize = 64 << 10;

/// What is read of a body at once.
pub(crate) const PIECE_BYTES: usize = 64 << 10;

/// What is read at first: a header, and a small body with it.
const FIRST_BYTES: usize = 8 << 10;

/// Kept connections found dead before a new one is made.
const STALE_TRIES_MAX: u32 = 3;

/// What became of a request.
pub(super) enum Done {
    /// It is answered, and the connection goes on.
    Kept,
    /// The connection ends.
    Close,
    /// Nothing has gone to the client: Pingora is to go on, from a try that failed if one did.
    Over(Option<Box<Failed>>),
}

/// A try that failed.
#[derive(Debug)]
pub(crate) struct Failed {
    /// Number and name of the peer.
    pub(crate) peer: usize,
    pub(crate) name: String,
    pub(crate) fault: UpstreamFault,
    pub(crate) reason: String,
    pub(crate) started: Instant,
    pub(crate) tries: Tries,
}

/// Times of a proxy.
struct Limits {
    connect: Duration,
    send: Duration,
    read: Duration,
    /// For the client.
    give: Duration,
}

/// A request at its peer.
struct Try<'t> {
    short: &'t Short,
    down: &'t mut Downstream,
    conn: &'t Conn,
    job: &'t Job,
    location: &'t Location,
    proxy: &'t Proxy,
    group: &'t Group,
    lease: Lease,
    limits: Limits,
    started: Instant,
    /// The client's status and the bytes of its body, once there are some.
    status: u16,
    sent: u64,
}

/// A connection to a peer, and what was read of it.
struct Upstream {
    io: Io,
    reused: bool,
    last: bool,
    buf: BytesMut,
}

/// The beginning of an answer.
struct Begun {
    framing: Framing,
    keeps: bool,
    /// What the client gets first.
    out: Vec<u8>,
}

impl Short {
    /// Serves a plain request.
    pub(super) async fn exchange(
        &self,
        down: &mut Downstream,
        conn: &Conn,
        job: &Job,
        location: &Location,
    ) -> Done {
        let Some((express, proxy)) = self.way(location) else {
            return Done::Over(None);
        };
        let group = &express.group;
        let mut walk = match group.method {
            Method::IpHash => Walk::new(address_key(conn.remote.map(|it| it.ip())), None),
            _ => Walk::default(),
        };
        let Some(lease) = group.acquire_for(&mut walk, &[]) else {
            return Done::Over(None);
        };
        let ms = Duration::from_millis;
        let one = Try {
            short: self,
            down,
            conn,
            job,
            location,
            proxy,
            group,
            lease,
            limits: Limits {
                connect: ms(proxy.model.connect_timeout_ms),
                send: ms(proxy.model.send_timeout_ms),
                read: ms(proxy.model.read_timeout_ms),
                give: ms(location.common.send_timeout_ms),
            },
            started: Instant::now(),
            status: 0,
            sent: 0,
        };
        one.run().await
    }
}

impl Try<'_> {
    async fn run(mut self) -> Done {
        let mut stale = 0;
        let (up, begun) = loop {
            let mut up = match self.connect(stale < STALE_TRIES_MAX).await {
                Ok(up) => up,
                Err(stop) => return self.fail(stop, true),
            };
            match self.ask(&mut up).await {
                Ok(Some(begun)) => break (up, begun),
                Ok(None) => return self.leave(),
                // Closed by the peer at the same moment: nobody's failure.
                Err(Stop::Broken(_)) if up.reused && up.buf.is_empty() => stale += 1,
                Err(stop) => return self.fail(stop, false),
            }
        };
        if self.is_passed_over() {
            return self.pass_over();
        }
        self.lease.answer_began();
        self.answer(up, begun).await
    }

    async fn connect(&mut self, kept: bool) -> Result<Upstream, Stop> {
        let peer = self.lease.peer();
        let waiting = if kept {
            self.group.pool.take(peer.number)
        } else {
            None
        };
        let reused = waiting.is_some();
        let io = match waiting {
            Some(io) => io,
            None => {
                let keepalive = self.proxy.model.passing.socket_keepalive;
                let connecting = Io::connect_from(&peer.addr, None, keepalive);
                match tokio::time::timeout(self.limits.connect, connecting).await {
                    Ok(io) => io.map_err(Stop::Broken)?,
                    Err(_) => return Err(Stop::Timeout),
                }
            }
        };
        use std::os::fd::AsRawFd as _;
        let last = self.job.close_upstream || self.group.kept.is_last(io.as_raw_fd(), reused);
        Ok(Upstream {
            io,
            reused,
            last,
            buf: BytesMut::with_capacity(FIRST_BYTES),
        })
    }

    /// Sends the request and reads the answer's header. `None` if it is not for the short way.
    async fn ask(&mut self, up: &mut Upstream) -> Result<Option<Begun>, Stop> {
        const CLOSE: &[u8] = b"Connection: close\r\n\r\n";
        let end = if up.last { CLOSE } else { b"\r\n" };
        let mut request = Vec::with_capacity(self.job.request.len() + end.len());
        request.extend_from_slice(&self.job.request);
        request.extend_from_slice(end);
        push(&mut up.io, &request, self.limits.send).await?;
        loop {
            if pull(&mut up.io, &mut up.buf, self.down, self.limits.read).await? == 0 {
                return Err(Stop::Broken(std::io::ErrorKind::UnexpectedEof.into()));
            }
            loop {
                let mut room = answer::room();
                match answer::parse(&up.buf, self.job.is_head, &mut room) {
                    Parsed::Partial if up.buf.len() <= HEAD_BYTES_MAX => break,
                    Parsed::Partial | Parsed::Odd => return Ok(None),
                    Parsed::Whole(answer) if answer.status == 101 => return Ok(None),
                    Parsed::Whole(answer) if answer.status < 200 => {
                        let len = answer.len;
                        up.buf.advance(len);
                    }
                    Parsed::Whole(answer) => {
                        self.status = answer.status;
                        let begun = self.begin(&answer);
                        let len = answer.len;
                        up.buf.advance(len);
                        return Ok(begun);
                    }
                }
            }
        }
    }

    /// The header that the client gets.
    fn begin(&self, answer: &Answer<'_, '_>) -> Option<Begun> {
        let mut out = Vec::with_capacity(answer.len + 256 + FIRST_BYTES);
        self.short
            .with_known(self.down, self.conn, self.job, |known| {
                let known = Known {
                    peer: &self.lease.peer().name,
                    status: answer.status,
                    ..known
                };
                let redirect = |url: &[u8]| replace(url, &self.proxy.model, &known);
                let rules = Rules {
                    hide: &self.proxy.model.hide_headers,
                    server: reply::SERVER,
                    redirect: &redirect,
                };
                answer.write(&rules, &mut out);
                let usual = reply::is_usual(answer.status);
                for header in &self.location.common.add_headers {
                    let value = if usual || header.always {
                        known.value(&header.value)
                    } else {
                        Vec::new()
                    };
                    if !value.is_empty() {
                        answer::line(&header.name, &value, &mut out);
                    }
                }
            })?;
        if matches!(answer.framing, Framing::Chunked | Framing::Close) {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        out.extend_from_slice(if self.job.close {
            b"Connection: close\r\n\r\n"
        } else {
            b"Connection: keep-alive\r\n\r\n"
        });
        Some(Begun {
            framing: answer.framing,
            keeps: answer.keeps,
            out,
        })
    }

    async fn answer(mut self, mut up: Upstream, begun: Begun) -> Done {
        let Begun {
            framing,
            mut keeps,
            out,
        } = begun;
        let relayed = match framing {
            Framing::None => self.length(&mut up, out, 0).await,
            Framing::Length(length) => self.length(&mut up, out, length).await,
            Framing::Chunked => self.chunked(&mut up, out).await,
            Framing::Close => self.to_the_end(&mut up, out).await,
        };
        let flushed = match relayed {
            Ok(()) => flush(self.down, self.limits.give).await,
            stopped => stopped,
        };
        // Bytes that nobody asked for.
        keeps &= up.buf.is_empty();
        match flushed {
            Ok(()) => {
                if keeps && !up.last {
                    self.group.pool.put(self.lease.peer().number, up.io);
                }
                let close = self.job.close;
                self.end(Outcome::Answered);
                if close { Done::Close } else { Done::Kept }
            }
            Err(stop) => {
                self.broke_off(&stop);
                // An answer that broke off may be its object's fault.
                self.end(Outcome::Abandoned);
                Done::Close
            }
        }
    }

    /// A body of known length.
    async fn length(
        &mut self,
        up: &mut Upstream,
        mut out: Vec<u8>,
        length: u64,
    ) -> Result<(), Stop> {
        let mut left = length;
        let first = split(&mut up.buf, left);
        out.extend_from_slice(&first);
        left -= first.len() as u64;
        drop(first);
        give(self.down, &out, self.limits.give).await?;
        self.sent += length - left;
        drop(out);
        while left > 0 {
            self.refill(up).await?;
            let piece = split(&mut up.buf, left);
            give(self.down, &piece, self.limits.give).await?;
            left -= piece.len() as u64;
            self.sent += piece.len() as u64;
        }
        Ok(())
    }

    /// A body in chunks, which goes on in chunks of our own.
    async fn chunked(&mut self, up: &mut Upstream, mut out: Vec<u8>) -> Result<(), Stop> {
        let mut chunks = Chunks::default();
        loop {
            let mut input = &up.buf[..];
            loop {
                match chunks.next(&mut input) {
                    Ok(Some(data)) => {
                        chunks::write(data, &mut out);
                        self.sent += data.len() as u64;
                    }
                    Ok(None) => break,
                    Err(chunks::Malformed) => {
                        return Err(Stop::Broken(std::io::ErrorKind::InvalidData.into()));
                    }
                }
            }
            let taken = up.buf.len() - input.len();
            up.buf.advance(taken);
            if chunks.is_done() {
                out.extend_from_slice(chunks::LAST);
                return give(self.down, &out, self.limits.give).await;
            }
            give(self.down, &out, self.limits.give).await?;
            out.clear();
            self.refill(up).await?;
        }
    }

    /// A body that ends with the connection; the client gets it in chunks.
    async fn to_the_end(&mut self, up: &mut Upstream, mut out: Vec<u8>) -> Result<(), Stop> {
        loop {
            if !up.buf.is_empty() {
                chunks::write(&up.buf, &mut out);
                self.sent += up.buf.len() as u64;
                up.buf.clear();
            }
            give(self.down, &out, self.limits.give).await?;
            out.clear();
            up.buf.reserve(PIECE_BYTES);
            if pull(&mut up.io, &mut up.buf, self.down, self.limits.read).await? == 0 {
                return give(self.down, chunks::LAST, self.limits.give).await;
            }
        }
    }

    /// Reads more of a body that has not ended.
    async fn refill(&mut self, up: &mut Upstream) -> Result<(), Stop> {
        up.buf.reserve(PIECE_BYTES);
        match pull(&mut up.io, &mut up.buf, self.down, self.limits.read).await? {
            0 => Err(Stop::Broken(std::io::ErrorKind::UnexpectedEof.into())),
            _ => Ok(()),
        }
    }

    /// Whether the answer's status sends the request to the next peer, if there is one.
    fn is_passed_over(&self) -> bool {
        let model = &self.proxy.model;
        model.next.statuses.contains(&self.status) && {
            let tries = match model.next_tries {
                0 => self.group.tries(),
                tries => self.group.tries().min(tries as usize),
            };
            let limit_ms = u128::from(model.next_timeout_ms);
            tries > 1 && (limit_ms == 0 || self.started.elapsed().as_millis() < limit_ms)
        }
    }

    fn pass_over(mut self) -> Done {
        let harmless = matches!(self.status, 403 | 404);
        let failed = self.failed(UpstreamFault::Status, String::new(), Some(self.status));
        self.status = 0;
        self.lease.finish(if harmless {
            Outcome::Abandoned
        } else {
            Outcome::Failed
        });
        Done::Over(Some(failed))
    }

    /// The answer is for the long way, which asks once more; and so will the next requests go.
    fn leave(self) -> Done {
        if let Some((express, _)) = self.short.way(self.location) {
            express.closed.store(true, Ordering::Relaxed);
        }
        self.lease.finish(Outcome::Abandoned);
        Done::Over(None)
    }

    /// A try failed before an answer began.
    fn fail(self, stop: Stop, connecting: bool) -> Done {
        let (fault, reason) = match stop {
            Stop::Client => {
                self.end(Outcome::Abandoned);
                return Done::Close;
            }
            Stop::Timeout => (UpstreamFault::Timeout, String::new()),
            // No socket to be had: no peer's fault, and the long way says so.
            Stop::Broken(error) if connecting && is_ours(&error) => {
                self.lease.finish(Outcome::Abandoned);
                return Done::Over(None);
            }
            Stop::Broken(error) if connecting => (UpstreamFault::Connect, error.to_string()),
            Stop::Broken(error) => (UpstreamFault::Broken, error.to_string()),
        };
        let failed = self.failed(fault, reason, None);
        self.lease.finish(Outcome::Failed);
        Done::Over(Some(failed))
    }

    fn failed(&self, fault: UpstreamFault, reason: String, status: Option<u16>) -> Box<Failed> {
        let peer = self.lease.peer();
        let mut tries = Tries::default();
        tries.begin_at(&peer.name, self.started);
        if let Some(status) = status {
            tries.answered(status, 0);
        }
        Box::new(Failed {
            peer: peer.number,
            name: peer.name.clone(),
            fault,
            reason,
            started: self.started,
            tries,
        })
    }

    /// An answer ended before its end.
    fn broke_off(&self, stop: &Stop) {
        let (fault, reason) = match stop {
            Stop::Client => return,
            Stop::Timeout => (UpstreamFault::Timeout, None),
            Stop::Broken(error) => (UpstreamFault::Broken, Some(error)),
        };
        self.group.metrics.failed(fault);
        let what = match fault {
            UpstreamFault::Timeout => "upstream timed out (110: Connection timed out)",
            _ => "upstream prematurely closed connection",
        };
        tracing::error!(
            connection = self.conn.serial,
            client = %self.conn.remote_text,
            group = %self.group.name,
            upstream = %self.lease.peer().name,
            reason = reason.map(tracing::field::display),
            "{what} while reading upstream"
        );
    }

    /// Gives the peer back, counts and logs.
    fn end(self, outcome: Outcome) {
        self.group.metrics.answered(self.status);
        self.short.site.metrics.plain.inc();
        self.short.logged(&super::logged::Ended {
            down: self.down,
            conn: self.conn,
            job: self.job,
            location: self.location,
            peer: &self.lease.peer().name,
            status: self.status,
            sent: self.sent,
            started: self.started,
        });
        self.lease.finish(outcome);
    }
}

/// What `proxy_redirect` makes of a URL.
fn replace(url: &[u8], proxy: &model::Proxy, known: &Known<'_>) -> Option<Vec<u8>> {
    proxy.redirects.iter().find_map(|(from, to)| match from {
        Pattern::Text(from) => {
            let rest = url.strip_prefix(&*known.value(from))?;
            Some([&*known.value(to), rest].concat())
        }
        // See `plan`.
        Pattern::Regex(_) => None,
    })
}

/// The first bytes of a buffer, so many at most.
fn split(buf: &mut BytesMut, most: u64) -> BytesMut {
    let count = usize::try_from(most).unwrap_or(usize::MAX).min(buf.len());
    buf.split_to(count)
}

fn is_ours(error: &std::io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc_errno::EMFILE | libc_errno::ENFILE | libc_errno::EADDRNOTAVAIL)
    )
}

/// Linux's numbers of what a socket can fail for before anything goes to the network.
mod libc_errno {
    pub(super) const ENFILE: i32 = 23;
    pub(super) const EMFILE: i32 = 24;
    pub(super) const EADDRNOTAVAIL: i32 = 99;
}
