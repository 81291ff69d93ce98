//! Playlists, initialization sections and segments.
//!
//! The cache is asked by path before anything else is known of the request. Segments stream while
//! they fill; a playlist is answered when it is whole, because a stale one can then stand in for a
//! fill that breaks off (or for an origin that died: [`stand_in`](crate::stand_in)), and because it
//! gets an entity tag.
//!
//! What caches behind us are told: segments as the origin says (immutable, with Age); playlists
//! `no-cache` with an entity tag. A lifetime on a playlist would add itself to the latency at
//! every cache on the way; asking each time costs one conditional request that ends here. A stale
//! playlist is `no-store`, with its Age and what Cache-Status says of it: nobody shall keep it.

use crate::answer::{Broken, Reply, allow_all, preflight, send_body, send_head};
use crate::connection::Viewer;
use crate::describe::{content_range, entity_tag, failed, headers, matches_tag, passed_on, value};
use crate::edge::{Edge, not_media};
use crate::path::{Kind, Media};
use crate::range::{self, Plan, Span};
use crate::stand_in::MULTIVARIANT_MS;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use pingora::protocols::http::ServerSession;
use std::sync::Arc;
use tokio::time::Instant;
use weir_cache::{Answer, Ask, FetchError, Key, Outcome};
use weir_cluster::StreamKey;

/// The methods media objects know.
pub(crate) const ALLOWED: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");
/// How long an origin's "no such playlist" is remembered, ms: so long a stream's first segment may
/// go unnoticed by those who wait for it, and so often an edge asks. A stream that nobody owns is not
/// asked for at all; the directory remembers that.
const NOT_YET_MS: u64 = 80;
/// Parts the ranges of a multipart answer; the object's tag makes it unlike any media.
const BOUNDARY_STEM: &str = "weir-range-";

/// What of the request shapes the answer.
struct Wish {
    head_only: bool,
    http_10: bool,
    range: Option<HeaderValue>,
    if_range: Option<HeaderValue>,
    if_none_match: Option<HeaderValue>,
}

impl Wish {
    fn of(session: &ServerSession) -> Self {
        let head = session.req_header();
        let field = |name| head.headers.get(name).cloned();
        let head_only = head.method == Method::HEAD;
        Self {
            head_only,
            http_10: head.version == Version::HTTP_10,
            // RFC 9110 section 14.2: ranges are for GET.
            range: field(header::RANGE).filter(|_| !head_only),
            if_range: field(header::IF_RANGE),
            if_none_match: field(header::IF_NONE_MATCH),
        }
    }
}

impl Edge {
    pub(crate) async fn media(
        self: &Arc<Self>,
        session: &mut ServerSession,
        path: &str,
        media: Media<'_>,
        viewer: Viewer<'_>,
    ) -> Result<(), Broken> {
        let method = &session.req_header().method;
        if method != Method::GET && method != Method::HEAD {
            let reply = if method == Method::OPTIONS {
                preflight()
            } else {
                let mut reply = Reply::plain(StatusCode::METHOD_NOT_ALLOWED);
                allow_all(&mut reply.headers);
                reply.with(header::ALLOW, ALLOWED)
            };
            self.metrics.request("nothing", reply.status, "none");
            return reply.send(session).await;
        }
        let started = Instant::now();
        let found = match self.cache.hit(path) {
            Some(answer) => Ok(answer),
            None => match StreamKey::parse(media.app, media.id) {
                Ok(stream) => self.miss(path, stream, media).await,
                Err(_) => {
                    self.metrics
                        .request("nothing", StatusCode::NOT_FOUND, "none");
                    return not_media().send(session).await;
                }
            },
        };
        let outcome = match &found {
            Ok(answer) => answer.outcome,
            Err(error) => Outcome::Error(error.label()),
        };
        let sent = match found {
            Ok(answer) => self.send(session, media, &answer, viewer).await,
            Err(error) => failed(&error, outcome).send(session).await,
        };
        let status = session
            .response_written()
            .map_or(StatusCode::BAD_GATEWAY, |written| written.status);
        self.metrics
            .first_byte_seconds
            .observe(started.elapsed().as_secs_f64());
        self.metrics
            .request(kind_label(media.kind), status, outcome.label());
        if sent.is_err() {
            self.metrics.answers_broken.inc();
        }
        tracing::debug!(
            peer = %viewer.peer.0, app = media.app, stream = media.id, kind = %media.kind, path,
            status = status.as_u16(), outcome = outcome.label(), "media request"
        );
        sent
    }

    async fn miss(
        self: &Arc<Self>,
        path: &str,
        stream: StreamKey,
        media: Media<'_>,
    ) -> Result<Answer, FetchError> {
        let playlist = media.kind.is_playlist();
        let multivariant = matches!(media.kind, Kind::Multivariant);
        let ask = Ask {
            key: Key::from_path(path),
            ttl_override_ms: self.options.playlist_ttl_ms.filter(|_| playlist),
            stale_if_error_override_ms: multivariant.then_some(MULTIVARIANT_MS),
            negative_ttl_override_ms: playlist.then_some(NOT_YET_MS),
            whole: playlist,
        };
        let stand_in = self.stand_in(path, media);
        let (source, target) = (Arc::clone(&self.source), path.to_owned());
        let answer = self
            .cache
            .get(ask, move || source.open(stream, target, stand_in))
            .await?;
        self.forget_older(media, &answer);
        Ok(answer)
    }

    async fn send(
        &self,
        session: &mut ServerSession,
        media: Media<'_>,
        answer: &Answer,
        viewer: Viewer<'_>,
    ) -> Result<(), Broken> {
        let kind = media.kind;
        let status = answer.object.head().status;
        if status != StatusCode::OK {
            return passed_on(status, answer.outcome).send(session).await;
        }
        if kind.is_playlist() {
            let headers = &session.req_header().headers;
            self.viewers
                .saw(viewer.peer.0, headers, media.app, media.id);
        }
        let wish = Wish::of(session);
        // What needs the length before the first byte waits for the last one.
        let unknown = answer.object.len_bytes().is_none();
        if unknown
            && (wish.range.is_some() || wish.http_10)
            && let Err(error) = answer.object.wait_whole().await
        {
            return failed(&error, answer.outcome).send(session).await;
        }
        // What is still filling goes out as it comes; what is whole leaves with its head.
        viewer.watch.hold_back(answer.object.whole().is_some());
        let tag = entity_tag(kind, answer);
        let headers = headers(kind, answer, tag.as_ref());
        if let (Some(tag), Some(asked)) = (&tag, &wish.if_none_match)
            && matches_tag(asked, tag)
        {
            let mut reply = Reply::new(StatusCode::NOT_MODIFIED);
            reply.headers = headers;
            return reply.send(session).await;
        }
        match plan(&wish, tag.as_ref(), answer.object.len_bytes()) {
            Plan::Full => {
                self.send_full(session, answer, headers, wish.head_only)
                    .await
            }
            Plan::Part(span) => self.send_part(session, answer, headers, span).await,
            Plan::Parts(spans) => self.send_parts(session, answer, headers, &spans).await,
            Plan::Unsatisfiable => {
                let len_bytes = answer.object.len_bytes().unwrap_or(0);
                let mut reply = Reply::plain(StatusCode::RANGE_NOT_SATISFIABLE).with(
                    header::CONTENT_RANGE,
                    value(&format!("bytes */{len_bytes}")),
                );
                allow_all(&mut reply.headers);
                reply.send(session).await
            }
        }
    }

    async fn send_full(
        &self,
        session: &mut ServerSession,
        answer: &Answer,
        mut headers: HeaderMap,
        head_only: bool,
    ) -> Result<(), Broken> {
        match answer.object.len_bytes() {
            Some(len_bytes) => {
                headers.insert(header::CONTENT_LENGTH, HeaderValue::from(len_bytes));
            }
            // Otherwise chunked, whose missing last chunk tells a body that broke off. A HEAD has
            // no framing to tell.
            None if !head_only => {
                let chunked = HeaderValue::from_static("chunked");
                headers.insert(header::TRANSFER_ENCODING, chunked);
            }
            None => {}
        }
        send_head(session, StatusCode::OK, headers).await?;
        if head_only {
            return Ok(());
        }
        self.send_span(session, answer, 0, None).await
    }

    async fn send_part(
        &self,
        session: &mut ServerSession,
        answer: &Answer,
        mut headers: HeaderMap,
        span: Span,
    ) -> Result<(), Broken> {
        let total = answer.object.len_bytes().unwrap_or(span.end);
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(span.len_bytes()));
        headers.insert(header::CONTENT_RANGE, value(&content_range(span, total)));
        send_head(session, StatusCode::PARTIAL_CONTENT, headers).await?;
        self.send_span(session, answer, span.from, Some(span.end))
            .await
    }

    /// RFC 9110 section 14.6.
    async fn send_parts(
        &self,
        session: &mut ServerSession,
        answer: &Answer,
        mut headers: HeaderMap,
        spans: &[Span],
    ) -> Result<(), Broken> {
        let total = answer.object.len_bytes().unwrap_or(0);
        let boundary = format!(
            "{BOUNDARY_STEM}{:016x}",
            answer.object.digest().unwrap_or(total)
        );
        let part_type = headers
            .get(header::CONTENT_TYPE)
            .and_then(|v| v.to_str().ok())
            .unwrap_or("application/octet-stream")
            .to_owned();
        let part_heads: Vec<String> = spans
            .iter()
            .map(|span| {
                let range = content_range(*span, total);
                format!(
                    "\r\n--{boundary}\r\nContent-Type: {part_type}\r\nContent-Range: {range}\r\n\r\n"
                )
            })
            .collect();
        let tail = format!("\r\n--{boundary}--\r\n");
        let len_bytes = part_heads.iter().map(|h| h.len() as u64).sum::<u64>()
            + spans.iter().map(|s| s.len_bytes()).sum::<u64>()
            + tail.len() as u64;
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(len_bytes));
        let multipart = format!("multipart/byteranges; boundary={boundary}");
        headers.insert(header::CONTENT_TYPE, value(&multipart));
        send_head(session, StatusCode::PARTIAL_CONTENT, headers).await?;
        for (head, span) in part_heads.into_iter().zip(spans) {
            session
                .write_response_body(Bytes::from(head), false)
                .await?;
            self.send_span(session, answer, span.from, Some(span.end))
                .await?;
        }
        session
            .write_response_body(Bytes::from(tail), false)
            .await?;
        Ok(())
    }

    async fn send_span(
        &self,
        session: &mut ServerSession,
        answer: &Answer,
        from: u64,
        end: Option<u64>,
    ) -> Result<(), Broken> {
        let sent_bytes = send_body(session, &mut answer.reader(from, end)).await?;
        self.metrics.sent_bytes.inc_by(sent_bytes);
        Ok(())
    }
}

/// What to send of an object of `len_bytes`; `None`: not known, which no range gets this far with.
fn plan(wish: &Wish, tag: Option<&HeaderValue>, len_bytes: Option<u64>) -> Plan {
    let (Some(range), Some(len_bytes)) = (&wish.range, len_bytes) else {
        return Plan::Full;
    };
    // RFC 9110 section 13.1.5: strong comparison; a date never matches, we send none.
    let unchanged = match &wish.if_range {
        None => true,
        Some(asked) => tag.is_some_and(|tag| tag == asked),
    };
    if unchanged {
        range::plan(range.as_bytes(), len_bytes)
    } else {
        Plan::Full
    }
}

fn kind_label(kind: Kind<'_>) -> &'static str {
    match kind {
        Kind::Multivariant | Kind::Playlist => "playlist",
        Kind::Init(_) => "init",
        Kind::Segment(_) => "segment",
    }
}
