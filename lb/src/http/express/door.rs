//! The loop of a connection: request after request, each by the short way or by Pingora's.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pingora::server::ShutdownWatch;
use tokio::io::AsyncWriteExt as _;
use tokio_util::sync::CancellationToken;
use weir_conf::nginx::model;

use super::exchange::{Done, Failed};
use super::head::{self, Head, Parsed};
use super::known::Known;
use super::plan::Express;
use crate::http::conn::{Conn, Deadline};
use crate::http::downstream::Downstream;
use crate::http::host::host_name;
use crate::http::log::Logs;
use crate::http::route::Found;
use crate::http::site::{Do, Location, Proxy, Server, Site};

/// What the short way needs of an `http` block.
#[derive(Debug)]
pub(crate) struct Short {
    pub(super) site: Arc<Site>,
    pub(super) logs: Option<Arc<Logs>>,
    /// Connections that wait for a next request are to end.
    closing: CancellationToken,
}

/// What is to be done about the bytes a client has sent.
enum Look {
    /// Read on.
    More,
    /// Hand on so many bytes; `gated` if nothing of the request comes after them.
    Over {
        len: usize,
        gated: bool,
    },
    Go(Job),
}

/// A plain request on its way.
pub(super) struct Job {
    pub(super) server: usize,
    pub(super) location: usize,
    /// What the upstream gets, but for `Connection` and the empty line.
    pub(super) request: Vec<u8>,
    /// Bytes of the client's header.
    pub(super) len: usize,
    pub(super) is_head: bool,
    /// The client's connection ends after it.
    pub(super) close: bool,
    /// The upstream's connection is not to be kept.
    pub(super) close_upstream: bool,
}

/// Where a connection goes from the short way.
#[derive(Debug)]
pub(crate) enum Next {
    /// Nowhere: it is done.
    End,
    /// To Pingora for a request; then back, if nothing of it can come after what it was given.
    Pingora {
        back: bool,
        failed: Option<Box<Failed>>,
    },
}

impl Short {
    pub(crate) fn new(site: Arc<Site>, logs: Option<Arc<Logs>>) -> Self {
        Self {
            site,
            logs,
            closing: CancellationToken::new(),
        }
    }

    /// Ends the connections that wait for a next request, now and later.
    pub(crate) fn close_idle(&self) {
        self.closing.cancel();
    }

    /// Serves until a request is for Pingora, or the connection is done.
    pub(crate) async fn run(
        &self,
        down: &mut Downstream,
        conn: &Conn,
        header_timeout: Duration,
        shutdown: &ShutdownWatch,
    ) -> Next {
        loop {
            let mut job = match self.look(down.ahead(), conn) {
                Look::More => match self.more(down, conn, header_timeout).await {
                    true => continue,
                    false => return Next::End,
                },
                Look::Over { len, gated } => {
                    down.hand_over(len, gated);
                    return Next::Pingora {
                        back: gated,
                        failed: None,
                    };
                }
                Look::Go(job) => job,
            };
            conn.header_done();
            let Some(location) = self.location(&job) else {
                return Next::End;
            };
            let common = &location.common;
            job.close |= conn.requests() >= u64::from(common.keepalive_requests)
                || conn.age() >= Duration::from_millis(common.guard.keepalive_time_ms)
                || common.keepalive_timeout_ms == 0
                || *shutdown.borrow();
            conn.keep(common.keepalive_timeout_ms);
            match self.exchange(down, conn, &job, location).await {
                Done::Kept => {
                    down.consume(job.len);
                    conn.request_done();
                    if !down.ahead().is_empty() {
                        conn.header_began(down.ahead().len());
                    }
                }
                Done::Close => {
                    conn.request_done();
                    // The client may be gone; there is nothing to be done about it.
                    let _ = down.shutdown().await;
                    return Next::End;
                }
                Done::Over(failed) => {
                    conn.header_undone();
                    down.hand_over(job.len, true);
                    return Next::Pingora { back: true, failed };
                }
            }
        }
    }

    /// Reads some more of a header. False if the connection is done.
    async fn more(&self, down: &mut Downstream, conn: &Conn, header_timeout: Duration) -> bool {
        let idle = conn.is_idle();
        let limit = if idle {
            conn.kept_for()
        } else {
            match conn.deadline(header_timeout) {
                Deadline::Passed => Duration::ZERO,
                Deadline::At(end) => end.saturating_duration_since(tokio::time::Instant::now()),
            }
        };
        let silent = down.ahead().is_empty();
        let read = tokio::time::timeout(limit, down.read_ahead());
        // One that has yet to send its first byte waits just so.
        let read = if silent {
            tokio::select! {
                biased;
                read = read => read,
                () = self.closing.cancelled() => return false,
            }
        } else {
            read.await
        };
        match read {
            Ok(Ok(count)) => count > 0,
            Ok(Err(_)) => false,
            Err(_) => {
                if !idle {
                    tracing::info!(client = %conn.remote_text, "client timed out");
                }
                false
            }
        }
    }

    /// Judges what a client has sent so far.
    fn look(&self, bytes: &[u8], conn: &Conn) -> Look {
        if bytes.is_empty() {
            return Look::More;
        }
        let mut room = head::room();
        let all = Look::Over {
            len: bytes.len(),
            gated: false,
        };
        let head = match head::parse(bytes, &mut room) {
            Parsed::Partial if bytes.len() as u64 <= conn.header_bytes_max() => return Look::More,
            Parsed::Partial | Parsed::Odd => return all,
            Parsed::Whole(head) => head,
        };
        match self.job(&head, conn) {
            Some(job) => Look::Go(job),
            None => Look::Over {
                len: head.len,
                gated: head.bodiless,
            },
        }
    }

    /// What becomes of a header; `None` if it is for Pingora.
    fn job(&self, head: &Head<'_, '_>, conn: &Conn) -> Option<Job> {
        if !head.plain || conn.plain_on_tls {
            return None;
        }
        let host = host_name(head.host)?;
        let (place, None) = conn.hosts.find(&host) else {
            return None;
        };
        let server = self.site.servers.get(place)?;
        if head.len as u64 > server.model.header_bytes_max
            || head.headers.len() > server.model.headers_max
        {
            return None;
        }
        if let Some(tls) = &conn.tls
            && (tls.server != place || tls.info.refused)
        {
            return None;
        }
        let path = head.path();
        let Found::Location(found) = server.tree.find(path, |regex| regex.is_match(path)) else {
            return None;
        };
        let location = server.locations.get(found)?;
        let express = location.express.as_ref()?;
        let Do::Proxy(proxy) = &location.action else {
            return None;
        };
        if express.closed.load(Ordering::Relaxed) {
            return None;
        }
        let known = self.known(head, conn, &host, server, &proxy.model);
        let (request, asks_close) = write_request(&known, location, proxy)?;
        Some(Job {
            server: place,
            location: found,
            request,
            len: head.len,
            is_head: head.is_head(),
            close: head.close,
            close_upstream: asks_close || express.group.keepalive == 0,
        })
    }

    /// What variables are made of.
    pub(super) fn known<'a>(
        &'a self,
        head: &'a Head<'a, 'a>,
        conn: &'a Conn,
        host: &'a str,
        server: &'a Server,
        proxy: &'a model::Proxy,
    ) -> Known<'a> {
        Known {
            head,
            conn,
            host,
            server_name: server.model.names.first().map_or("", String::as_str),
            proxy,
            variables: &self.site.variables,
            peer: "",
            status: 0,
        }
    }

    pub(super) fn location(&self, job: &Job) -> Option<&Location> {
        self.site
            .servers
            .get(job.server)?
            .locations
            .get(job.location)
    }

    pub(super) fn way<'l>(&self, location: &'l Location) -> Option<(&'l Express, &'l Proxy)> {
        match (&location.express, &location.action) {
            (Some(express), Do::Proxy(proxy)) => Some((express, proxy)),
            _ => None,
        }
    }
}

/// The request as the upstream gets it, but for its end, and whether `proxy_set_header` asks for
/// the connection to be closed. `None` if the path cannot be replaced here.
fn write_request(known: &Known<'_>, location: &Location, proxy: &Proxy) -> Option<(Vec<u8>, bool)> {
    use super::answer::line;
    let head = known.head;
    let mut out = Vec::with_capacity(head.len + 256);
    out.extend_from_slice(head.method.as_bytes());
    out.push(b' ');
    write_target(head, location, proxy, &mut out)?;
    out.extend_from_slice(b" HTTP/1.1\r\n");
    let mut close = false;
    let mut value = Vec::new();
    for (name, written, template) in &proxy.set_headers {
        value.clear();
        known.write(template, &mut value);
        if *name == http::header::CONNECTION {
            let mut tokens = value.split(|byte| *byte == b',');
            close = tokens.any(|token| token.trim_ascii().eq_ignore_ascii_case(b"close"));
        } else if *name != http::header::UPGRADE && !value.is_empty() {
            line(written, &value, &mut out);
        }
    }
    for header in head.headers {
        let name = header.name;
        let replaced =
            |it: &(http::HeaderName, String, _)| it.0.as_str().eq_ignore_ascii_case(name);
        if !name.eq_ignore_ascii_case("connection") && !proxy.set_headers.iter().any(replaced) {
            line(name, header.value, &mut out);
        }
    }
    Some((out, close))
}

/// The request target: the client's, or what `proxy_pass` puts in place of the location's path.
fn write_target(
    head: &Head<'_, '_>,
    location: &Location,
    proxy: &Proxy,
    out: &mut Vec<u8>,
) -> Option<()> {
    use crate::http::uri;
    let Some(replacement) = &proxy.model.uri else {
        out.extend_from_slice(head.target);
        return Some(());
    };
    if location.pathless {
        return None;
    }
    let (path, args) = uri::split(head.target);
    let rest = if location.exact {
        &[][..]
    } else {
        path.get(location.path.len()..)?
    };
    if !replacement.starts_with('/') {
        out.push(b'/');
    }
    out.extend_from_slice(replacement.as_bytes());
    uri::escape(rest, out);
    if !args.is_empty() {
        out.push(b'?');
        out.extend_from_slice(args);
    }
    Some(())
}
