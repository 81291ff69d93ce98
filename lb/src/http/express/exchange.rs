//! One plain request: a peer is chosen, asked, and its answer passed on.

use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::time::Instant;
use weir_conf::nginx::model::proxy::Pattern;
use weir_conf::nginx::model::{self, Method};

use super::answer::{self, Answer, Framing, Parsed, Rules};
use super::door::{Job, Short};
use super::known::Known;
use super::relay::{Stop, pull, push};
use crate::balance::{Walk, address_key};
use crate::group::{Group, Lease};
use crate::http::conn::Conn;
use crate::http::downstream::Downstream;
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
pub(super) struct Limits {
    pub(super) connect: Duration,
    pub(super) send: Duration,
    pub(super) read: Duration,
    /// For the client.
    pub(super) give: Duration,
}

/// A request at its peer.
pub(super) struct Try<'t> {
    pub(super) short: &'t Short,
    pub(super) down: &'t mut Downstream,
    pub(super) conn: &'t Conn,
    pub(super) job: &'t Job,
    pub(super) location: &'t Location,
    pub(super) proxy: &'t Proxy,
    pub(super) group: &'t Group,
    pub(super) lease: Lease,
    pub(super) limits: Limits,
    pub(super) started: Instant,
    /// The client's status and the bytes of its body, once there are some.
    pub(super) status: u16,
    pub(super) sent: u64,
}

/// A connection to a peer, and what was read of it.
pub(super) struct Upstream {
    pub(super) io: Io,
    pub(super) reused: bool,
    pub(super) last: bool,
    pub(super) buf: BytesMut,
}

/// The beginning of an answer.
pub(super) struct Begun {
    pub(super) framing: Framing,
    pub(super) keeps: bool,
    /// What the client gets first.
    pub(super) out: Vec<u8>,
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
        self.lease.connected();
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
                    Parsed::Partial | Parsed::Invalid => return Err(Stop::Invalid),
                    Parsed::Odd => return Ok(None),
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
                        reply::without_line_end(known.value(&header.value))
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
        let kept_s = self.location.common.guard.keepalive_header_s;
        if kept_s > 0 && !self.job.close {
            answer::line(
                "Keep-Alive",
                format!("timeout={kept_s}").as_bytes(),
                &mut out,
            );
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
