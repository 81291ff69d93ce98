//! What the client gets of an answer that is kept, or that comes for him alone.
//!
//! A body that is there goes out in one piece, uncopied. One that still comes is written as it
//! comes; in between the client is listened to, so that one who has gone is noticed.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Method, Version};
use pingora::http::ResponseHeader;
use pingora::protocols::http::HttpTask;
use pingora::proxy::Session;
use pingora::{Error, ErrorType};
use tokio::time::Instant;
use weir_cache::{FetchError, Reader};

use super::super::machine::Phase;
use super::super::pace::Pace;
use super::super::proxy::{Ctx, Gateway};
use super::super::reply::{Reply, rest};
use super::fetch::{Incoming, Told};
use super::parts::{announced, multipart, partial, stick, validators};
use super::ranges::{Cut, condition, cut};
use super::update::strip;
use super::zones::{Kept, Zone};

/// How much is written at once of an answer that has a pace, bytes.
const PIECE_BYTES: usize = 64 << 10;

/// How an offer ended.
pub(super) enum End {
    /// The client has it.
    Sent,
    /// Something else is answered.
    On(Phase),
}

/// Where a body comes from.
enum Source {
    Kept(Reader),
    Parts(VecDeque<Bytes>),
    /// With so many bytes to leave out, and so many to give after that.
    Incoming(Incoming, u64, u64),
}

impl Source {
    async fn next(&mut self) -> Result<Option<Bytes>, FetchError> {
        match self {
            Self::Kept(reader) => reader.next().await,
            Self::Parts(parts) => Ok(parts.pop_front()),
            Self::Incoming(incoming, skip, left) => loop {
                if *left == 0 {
                    return Ok(None);
                }
                let Some(mut piece) = incoming.next().await? else {
                    return Ok(None);
                };
                let skipped = (piece.len() as u64).min(*skip);
                *skip -= skipped;
                let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
                let mut piece = piece.split_off(skipped);
                let room = usize::try_from(*left).unwrap_or(usize::MAX);
                piece.truncate(room);
                *left -= piece.len() as u64;
                if !piece.is_empty() {
                    return Ok(Some(piece));
                }
            },
        }
    }
}

impl Gateway {
    /// Gives a kept answer.
    pub(super) async fn offer(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
        (zone, kept): (&Arc<Zone>, &Arc<Kept>),
        sticky: Option<HeaderValue>,
    ) -> pingora::Result<End> {
        let head = kept.head();
        let status = head.header.status.as_u16();
        if head.failed {
            return Ok(End::On(Phase::Fail(status)));
        }
        if let Some(end) = self.intercept(ctx, &head.header) {
            return Ok(end);
        }
        let mut header = head.header.clone();
        let mut wanted = Cut::Whole;
        if status == 200 && ctx.flow.err_status == 0 {
            let request = &session.req_header().headers;
            let its = validators(&head.header);
            let web = self.web(ctx);
            match condition(request, its, web.modified) {
                Some(412) => return Ok(End::On(Phase::Fail(412))),
                Some(_) => return self.not_modified(session, ctx, header).await,
                None => {}
            }
            let many = kept.whole().is_some();
            if let Some(size) = kept.len_bytes().filter(|_| self.may_cut(ctx, &head.header)) {
                wanted = cut(request, size, its, many, web.max_ranges);
                header.insert_header("Accept-Ranges", "bytes")?;
            }
        }
        let size = kept.len_bytes();
        if let Some(end) = self.unsatisfied(session, ctx, &wanted, size).await? {
            return Ok(end);
        }
        let parts = multipart(&wanted, kept, &mut header)?;
        let length = match &parts {
            Some(parts) => Some(parts.iter().map(|part| part.len() as u64).sum()),
            None if head.bodiless && session.req_header().method == Method::HEAD => {
                announced(&header)
            }
            None => partial(&wanted, size, &mut header)?,
        };
        self.adjust(session, &mut header, ctx)?;
        stick(&mut header, sticky)?;
        if !self.begin(session, ctx, header, length).await? {
            return Ok(End::Sent);
        }
        let pace = self.pace(session, ctx);
        if let Some(parts) = parts {
            pump(session, Source::Parts(parts.into()), pace).await?;
            return Ok(End::Sent);
        }
        let (from, end) = match wanted {
            Cut::Part(from, end) => (from, Some(end)),
            _ => (0, None),
        };
        let mut reader = zone.reader(kept, from, end);
        if kept.whole().is_some() && pace.is_none() {
            let piece = reader.next().await.map_err(|error| broken(&error))?;
            session.write_response_body(piece, true).await?;
        } else {
            pump(session, Source::Kept(reader), pace).await?;
        }
        Ok(End::Sent)
    }

    /// Gives an answer that is for this request alone.
    pub(super) async fn pass_on(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
        mut told: Told,
        incoming: Incoming,
    ) -> pingora::Result<End> {
        if let Some(target) = self.accel_redirect(ctx, &told.header.headers) {
            ctx.upstream_headers = Some(told.header.headers.clone());
            return Ok(End::On(self.sent_on(ctx, &target)));
        }
        strip(&mut told.header);
        if let Some(end) = self.intercept(ctx, &told.header) {
            return Ok(end);
        }
        let mut header = told.header;
        let size = announced(&header);
        let mut wanted = Cut::Whole;
        let forced = self.is_forced(ctx);
        if header.status == 200 && ctx.flow.err_status == 0 && forced {
            let its = validators(&header);
            let request = &session.req_header().headers;
            if let Some(size) = size {
                wanted = cut(request, size, its, false, self.web(ctx).max_ranges);
            }
        }
        if let Some(end) = self.unsatisfied(session, ctx, &wanted, size).await? {
            return Ok(end);
        }
        let length = partial(&wanted, size, &mut header)?;
        self.adjust(session, &mut header, ctx)?;
        stick(&mut header, told.sticky)?;
        if !self.begin(session, ctx, header, length).await? {
            incoming.finish_if_short(length);
            return Ok(End::Sent);
        }
        let (skip, left) = match wanted {
            Cut::Part(from, end) => (from, end - from),
            _ => (0, u64::MAX),
        };
        let pace = self.pace(session, ctx);
        pump(session, Source::Incoming(incoming, skip, left), pace).await?;
        Ok(End::Sent)
    }

    /// Keeps what variables may want of the answer, and sees whether an error page takes its place.
    fn intercept(&self, ctx: &mut Ctx, header: &ResponseHeader) -> Option<End> {
        ctx.upstream_headers = Some(header.headers.clone());
        let status = header.status.as_u16();
        ctx.status = Some(status);
        if let Some(rate) = self.accel_rate(ctx, &header.headers) {
            ctx.flow.limit_rate = Some(rate);
        }
        if status < 300 || !self.web(ctx).intercept_errors || !self.has_page(ctx, status) {
            return None;
        }
        let all = header.headers.get_all("www-authenticate").iter();
        let texts = all.filter_map(|it| Some(it.to_str().ok()?.to_owned()));
        ctx.flow.challenges = texts.collect();
        Some(End::On(Phase::Fail(status)))
    }

    /// Whether ranges may be cut out of a kept answer.
    fn may_cut(&self, ctx: &Ctx, header: &ResponseHeader) -> bool {
        header.headers.contains_key("accept-ranges") || self.is_forced(ctx)
    }

    /// `proxy_force_ranges`
    fn is_forced(&self, ctx: &Ctx) -> bool {
        let caching = self.proxy(ctx).and_then(|(_, proxy)| proxy.cache.as_ref());
        caching.is_some_and(|caching| caching.model.force_ranges)
    }

    async fn not_modified(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
        mut header: ResponseHeader,
    ) -> pingora::Result<End> {
        header.set_status(304)?;
        ctx.status = Some(304);
        for name in [
            "content-length",
            "content-type",
            "content-encoding",
            "accept-ranges",
        ] {
            header.remove_header(name);
        }
        self.adjust(session, &mut header, ctx)?;
        header.set_version(Version::HTTP_11);
        write_header(session, header, true).await?;
        Ok(End::Sent)
    }

    async fn unsatisfied(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
        wanted: &Cut,
        size: Option<u64>,
    ) -> pingora::Result<Option<End>> {
        if *wanted != Cut::Nothing {
            return Ok(None);
        }
        let mut reply = Reply::page(416);
        let value = format!("bytes */{}", size.unwrap_or(0)).into_bytes();
        reply.headers.push(("Content-Range".to_owned(), value));
        self.give(session, ctx, reply).await?;
        Ok(Some(End::Sent))
    }

    /// Writes the header. Says whether a body follows.
    async fn begin(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
        mut header: ResponseHeader,
        length: Option<u64>,
    ) -> pingora::Result<bool> {
        let status = header.status.as_u16();
        ctx.status = Some(status);
        header.set_version(Version::HTTP_11);
        let request = session.req_header();
        let (head, version) = (request.method == Method::HEAD, request.version);
        let none = matches!(status, 204 | 304);
        match length {
            _ if none => {
                header.remove_header(&CONTENT_LENGTH);
            }
            Some(length) => header.insert_header("Content-Length", length)?,
            None if head => {}
            None if version == Version::HTTP_11 => {
                header.insert_header("Transfer-Encoding", "chunked")?;
            }
            // The end of the connection is the end of the body, or of the stream in HTTP/2.
            None if version < Version::HTTP_11 => session.set_keepalive(None),
            None => {}
        }
        self.recode(session, ctx, &mut header)?;
        let empty = length == Some(0) && header.headers.contains_key(CONTENT_LENGTH);
        let bare = head || none || empty;
        write_header(session, header, bare).await?;
        Ok(!bare)
    }
}

impl Incoming {
    /// The client wants no body: a short one is read to its end, so that the connection is kept.
    fn finish_if_short(self, length: Option<u64>) {
        /// What is worth reading to keep a connection, bytes.
        const SHORT_BYTES: u64 = 64 << 10;
        if length.is_some_and(|length| length <= SHORT_BYTES) {
            self.finish();
        }
    }
}

/// Writes a header. In HTTP/2 one without a body is the end of the stream.
async fn write_header(
    session: &mut Session,
    header: ResponseHeader,
    bare: bool,
) -> pingora::Result<()> {
    let header = Box::new(header);
    if bare && session.req_header().version == Version::HTTP_2 {
        let tasks = vec![HttpTask::Header(header, true)];
        return session.write_response_tasks(tasks).await.map(|_| ());
    }
    session.write_response_header(header, bare).await
}

/// Writes a body as it comes, at its pace if it has one.
async fn pump(
    session: &mut Session,
    mut source: Source,
    mut pace: Option<Pace>,
) -> pingora::Result<()> {
    loop {
        let piece = tokio::select! {
            biased;
            piece = source.next() => piece,
            // Also what has been held back is written out by this.
            told = session.as_mut().read_body_or_idle(false) => match told {
                Ok(_) => continue,
                Err(error) => return Err(error.into_down()),
            },
        };
        match piece {
            Ok(Some(piece)) => write(session, piece, &mut pace).await?,
            Ok(None) => return session.write_response_body(None, true).await,
            Err(error) => {
                // What came before goes out first.
                tokio::select! {
                    biased;
                    _ = session.as_mut().read_body_or_idle(false) => {}
                    () = std::future::ready(()) => {}
                }
                return Err(broken(&error));
            }
        }
    }
}

/// Writes a piece, cut and held back as its pace wants.
async fn write(
    session: &mut Session,
    mut piece: Bytes,
    pace: &mut Option<Pace>,
) -> pingora::Result<()> {
    let Some(pace) = pace else {
        return session.write_response_body(Some(piece), false).await;
    };
    while !piece.is_empty() {
        let count = pace.piece_bytes(PIECE_BYTES).min(piece.len());
        let cut = piece.split_to(count);
        if let Some(time) = pace.wait(count, Instant::now()) {
            rest(session, time).await?;
        }
        session.write_response_body(Some(cut), false).await?;
    }
    Ok(())
}

fn broken(error: &FetchError) -> Box<Error> {
    Error::explain(ErrorType::ReadError, error.to_string()).into_up()
}
