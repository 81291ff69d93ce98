//! How the cache gets an answer: with a request of its own, through the same hooks as any other.
//!
//! It goes to the same location with the same variables, is balanced and tried again as the
//! location says, and reports the answer's head as soon as there is one. The body then comes
//! through a channel of few places: who is slow to take it slows the upstream. Dropping
//! [`Incoming`] gives the fetch up.

use bytes::Bytes;
use http::header::{
    CONTENT_LENGTH, HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, RANGE, TRANSFER_ENCODING,
};
use http::{HeaderValue, Method, Version};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::HttpTask;
use pingora::proxy::subrequest::{BodyMode, Ctx as SubCtx};
use pingora::proxy::{FailToProxy, Session};
use pingora::{Error, ErrorSource};
use tokio::sync::{mpsc, oneshot};
use weir_cache::FetchError;
use weir_cache::zone::{Failure, FailureKind};

use super::super::failure::{fault, not_reused, status_for};
use super::super::inner::in_http_1;
use super::super::proxy::{Ctx, Gateway};
use super::super::tries::Tries;
use super::wish::is_set;
use crate::metrics::UpstreamFault;

/// What is told of an upstream's answer.
#[derive(Debug)]
pub(crate) enum Report {
    /// It has one; the body follows.
    Head(Box<Told>),
    /// There is none.
    Failed(Failure, Tries),
}

/// The head of an answer.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) header: ResponseHeader,
    pub(crate) tries: Tries,
    /// `proxy_no_cache`
    pub(crate) no_cache: bool,
    /// For the client who asked, if he sticks to the peer.
    pub(crate) sticky: Option<HeaderValue>,
    /// Whether its end can be told from a connection that broke.
    pub(crate) framed: bool,
}

/// What a request that fetches for the cache has to do.
#[derive(Debug)]
pub(crate) struct Fetch {
    report: Option<oneshot::Sender<Report>>,
    /// For all, and not for one client: his conditions and ranges are left out.
    pub(crate) for_all: bool,
    /// What the upstream is asked whether it still holds.
    pub(crate) etag: Option<HeaderValue>,
    pub(crate) modified: Option<HeaderValue>,
    no_cache: Vec<weir_conf::nginx::template::Template>,
}

impl Fetch {
    /// Puts the conditions that the cache has in place of the client's.
    pub(crate) fn condition(&self, request: &mut RequestHeader) -> pingora::Result<()> {
        if !self.for_all {
            return Ok(());
        }
        const CONDITIONS: [HeaderName; 6] = [
            IF_MATCH,
            IF_MODIFIED_SINCE,
            IF_NONE_MATCH,
            IF_RANGE,
            IF_UNMODIFIED_SINCE,
            RANGE,
        ];
        for name in &CONDITIONS {
            request.remove_header(name);
        }
        if let Some(etag) = &self.etag {
            request.insert_header("If-None-Match", etag.clone())?;
        }
        if let Some(modified) = &self.modified {
            request.insert_header("If-Modified-Since", modified.clone())?;
        }
        Ok(())
    }
}

/// What a request is begun with that the cache makes.
struct Begun(Option<(Box<Ctx>, RequestHeader)>);

/// Takes over what the cache has begun, if the session is its own.
pub(crate) fn taken_over(session: &mut Session) -> Option<Ctx> {
    let begun = session.subrequest_ctx.as_mut()?.user_ctx_mut()?;
    let (ctx, header) = begun.downcast_mut::<Begun>()?.0.take()?;
    *session.req_header_mut() = header;
    Some(*ctx)
}

/// Tells that a fetch has failed.
pub(crate) fn bring_nothing(ctx: &mut Ctx, error: &Error) -> FailToProxy {
    let kind = match fault(error, ctx) {
        UpstreamFault::Timeout => FailureKind::Timeout,
        UpstreamFault::Invalid => FailureKind::InvalidHeader,
        UpstreamFault::Status => FailureKind::Status,
        UpstreamFault::Connect | UpstreamFault::Broken | UpstreamFault::NoLive => {
            FailureKind::Error
        }
    };
    let client = *error.esource() == ErrorSource::Downstream;
    let status = status_for(error).filter(|_| !client).unwrap_or(502);
    ctx.tries.end(None);
    let tries = ctx.tries.clone();
    let report = ctx.fetch.as_mut().and_then(|fetch| fetch.report.take());
    if let Some(report) = report {
        // Nobody waits only if he has gone.
        let _ = report.send(Report::Failed(Failure { status, kind }, tries));
    }
    not_reused(status)
}

/// What is asked for.
#[derive(Debug, Default)]
pub(crate) struct Order {
    /// See [`Fetch::for_all`].
    pub(crate) for_all: bool,
    /// Whether a HEAD becomes a GET.
    pub(crate) whole: bool,
    pub(crate) etag: Option<HeaderValue>,
    pub(crate) modified: Option<HeaderValue>,
    pub(crate) body: Option<Bytes>,
}

impl Gateway {
    /// Sends for an answer. `None` cannot be: such a session may always make requests.
    pub(crate) async fn order(
        &self,
        session: &Session,
        ctx: &Ctx,
        order: Order,
    ) -> Option<(oneshot::Receiver<Report>, Incoming)> {
        let spawner = session.subrequest_spawner.as_ref()?;
        let (_, proxy) = self.proxy(ctx)?;
        let caching = proxy.cache.as_ref()?;
        let (report, told) = oneshot::channel();
        let mut header = session.req_header().clone();
        if order.whole && header.method == Method::HEAD {
            header.set_method(Method::GET);
        }
        match &order.body {
            Some(body) => {
                header.remove_header(&TRANSFER_ENCODING);
                header.insert_header("Content-Length", body.len()).ok()?;
            }
            None => {
                header.remove_header(&TRANSFER_ENCODING);
                header.remove_header(&CONTENT_LENGTH);
            }
        }
        let bodiless = header.method == Method::HEAD;
        let fetch = Fetch {
            report: Some(report),
            for_all: order.for_all,
            etag: order.etag,
            modified: order.modified,
            no_cache: caching.model.no_cache.clone(),
        };
        let begun = Begun(Some((Box::new(ctx.for_fetch(fetch)), header)));
        let mode = match order.body {
            Some(_) => BodyMode::ExpectBody,
            None => BodyMode::NoBody,
        };
        let sub = SubCtx::builder().user_ctx(Box::new(begun));
        let spoken = match session.req_header().version {
            Version::HTTP_2 => Some(in_http_1(session).await?),
            _ => None,
        };
        let own = spoken.as_deref().unwrap_or(session.as_downstream());
        let (prepared, handle) = spawner.create_subrequest(own, sub.body_mode(mode).build());
        tokio::spawn(prepared.run());
        let sender = handle.tx.clone();
        if let Some(body) = order.body {
            tokio::spawn(async move {
                // A fetch that ended before it took the body has said why.
                let _ = sender.send(HttpTask::Body(Some(body), true)).await;
            });
        }
        Some((
            told,
            Incoming {
                rx: handle.rx,
                _tx: handle.tx,
                ended: bodiless,
            },
        ))
    }

    /// Tells the head of what the cache has sent for.
    pub(crate) fn bring(
        &self,
        session: &Session,
        ctx: &mut Ctx,
        response: &ResponseHeader,
    ) -> pingora::Result<()> {
        let status = response.status.as_u16();
        if self.passes_on(session, ctx, status) {
            ctx.passed_over = true;
            return Err(Error::new_up(pingora::ErrorType::HTTPStatus(status)));
        }
        let values = self.values(session, ctx);
        let mut templates = ctx.fetch.iter().flat_map(|fetch| &fetch.no_cache);
        let no_cache = templates.any(|template| is_set(&values.value(template)));
        let headers = &response.headers;
        let framed =
            headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING);
        let told = Told {
            header: response.clone(),
            tries: ctx.tries.clone(),
            no_cache,
            sticky: self.sticky_cookie(session, ctx),
            framed,
        };
        let report = ctx.fetch.as_mut().and_then(|fetch| fetch.report.take());
        if let Some(report) = report {
            // Nobody waits only if he has gone; the channel for the body says so.
            let _ = report.send(Report::Head(Box::new(told)));
        }
        Ok(())
    }
}

impl Ctx {
    /// One that fetches for this one.
    fn for_fetch(&self, fetch: Fetch) -> Self {
        Self {
            conn: self.conn.clone(),
            behind: self.behind.clone(),
            server: self.server,
            location: self.location,
            host: self.host.clone(),
            flow: self.flow.again(),
            target: self.target.clone(),
            cache: self.cache.clone(),
            fetch: Some(Box::new(fetch)),
            ..Self::new()
        }
    }
}

/// A body that comes from an upstream. Dropping it gives the fetch up.
#[derive(Debug)]
pub(crate) struct Incoming {
    rx: mpsc::Receiver<HttpTask>,
    /// The fetch reckons with a client who is there as long as this is.
    _tx: mpsc::Sender<HttpTask>,
    ended: bool,
}

impl Incoming {
    /// The next piece, `None` after the last. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`FetchError::Abandoned`] when it broke off.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, FetchError> {
        while !self.ended {
            match self.rx.recv().await {
                Some(HttpTask::Header(_, end)) => self.ended = end,
                Some(HttpTask::Body(piece, end)) => {
                    self.ended = end;
                    if let Some(piece) = piece.filter(|piece| !piece.is_empty()) {
                        return Ok(Some(piece));
                    }
                }
                Some(HttpTask::Done | HttpTask::Trailer(_)) => self.ended = true,
                Some(HttpTask::UpgradedBody(..) | HttpTask::Failed(_)) | None => {
                    return Err(FetchError::Abandoned);
                }
            }
        }
        Ok(None)
    }
}
