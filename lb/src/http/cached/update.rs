//! What becomes of an answer that was fetched: kept, passed to its asker alone, or the sign that
//! the old one still holds.

use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use pingora::http::ResponseHeader;
use weir_cache::zone::{Failure, Filler, Meta, Plan, Ticket, Times};

use super::fetch::{Incoming, Told};
use super::visit::Visit;
use super::wish::now_ms;
use super::zones::{Caching, Head, Kept};

/// What a header is reckoned to weigh beside its text, bytes a line.
const LINE_BYTES: usize = 64;

/// What became of it.
pub(super) enum Settled {
    /// It is kept, or will be when it is whole.
    Kept(Arc<Kept>),
    /// The old one is good again.
    Renewed(Arc<Kept>),
    /// It is for its asker alone.
    Alone(Box<Told>, Incoming),
}

/// Settles it. A body that is kept is filled by a task of its own.
pub(super) fn settle(
    (mut told, mut incoming, ticket): (Box<Told>, Incoming, Ticket<Head>),
    caching: &Caching,
    stale: Option<&Arc<Kept>>,
    request: &HeaderMap,
    bodiless: bool,
) -> Settled {
    let now_ms = now_ms();
    let status = told.header.status;
    if let (StatusCode::NOT_MODIFIED, Some(kept), true) = (status, stale, caching.model.revalidate)
    {
        let plan = Plan::read(&told.header.headers, caching.ignored, now_ms);
        renew(ticket, caching, kept, &plan, now_ms);
        incoming.finish();
        return Settled::Renewed(Arc::clone(kept));
    }
    let Some(mut meta) = plan(&told, caching, request, now_ms) else {
        ticket.pass();
        return Settled::Alone(told, incoming);
    };
    if bodiless {
        meta.content_length = None;
    }
    let head = head(&mut told, bodiless);
    match ticket.fill(head, meta) {
        Ok(filler) => {
            let kept = Arc::clone(filler.kept());
            tokio::spawn(async move { copy(&mut incoming, filler).await });
            Settled::Kept(kept)
        }
        Err((ticket, head)) => {
            ticket.pass();
            told.header = head.header;
            Settled::Alone(told, incoming)
        }
    }
}

impl Visit<'_> {
    /// Remembers a failure, if `proxy_cache_valid` says so of its status.
    pub(super) fn keep_failure(&self, ticket: Ticket<Head>, failure: Failure) {
        let status = failure.status;
        let valid_ms = self
            .caching
            .valid_ms(status)
            .filter(|_| self.stale.is_none());
        let header = ResponseHeader::build(status, None);
        let (Some(valid_ms), 502 | 504, Ok(header)) = (valid_ms, status, header) else {
            ticket.fail(failure);
            return;
        };
        let head = Head {
            header,
            etag: None,
            modified: None,
            failed: true,
            bodiless: true,
        };
        let meta = Meta {
            times: Times {
                fresh_until_ms: now_ms().saturating_add(valid_ms),
                ..Times::default()
            },
            framed: true,
            ..Meta::default()
        };
        if let Ok(filler) = ticket.fill(head, meta) {
            filler.done();
        }
    }
}

fn renew(ticket: Ticket<Head>, caching: &Caching, kept: &Arc<Kept>, plan: &Plan, now_ms: u64) {
    // Where the 304 names no time, the answer it speaks of does, else the file.
    let old = &kept.head().header;
    let own = Plan::read(&old.headers, caching.ignored, now_ms);
    let named = plan.fresh_until_ms.or(own.fresh_until_ms);
    let valid_ms = caching.valid_ms(old.status.as_u16());
    let fresh_until_ms = named.or(valid_ms.map(|ms| now_ms.saturating_add(ms)));
    let Some(fresh_until_ms) = fresh_until_ms.filter(|_| plan.may_keep) else {
        ticket.pass();
        return;
    };
    let source = if plan.fresh_until_ms.is_some() {
        plan
    } else {
        &own
    };
    let times = Times {
        fresh_until_ms,
        updating_ms: source.updating_ms,
        error_ms: source.error_ms,
    };
    ticket.renew(kept, times);
}

/// How an answer is kept; `None` if it is not.
fn plan(told: &Told, caching: &Caching, request: &HeaderMap, now_ms: u64) -> Option<Meta> {
    let headers = &told.header.headers;
    let plan = Plan::read(headers, caching.ignored, now_ms);
    if !plan.may_keep || told.no_cache {
        return None;
    }
    let valid_ms = caching.valid_ms(told.header.status.as_u16());
    let by_file = valid_ms.map(|ms| now_ms.saturating_add(ms));
    let fresh_until_ms = plan.fresh_until_ms.or(by_file)?;
    let lines = headers.iter();
    let head_bytes: usize = lines
        .map(|(name, value)| name.as_str().len() + value.len() + LINE_BYTES)
        .sum();
    let length = headers.get(http::header::CONTENT_LENGTH);
    Some(Meta {
        times: Times {
            fresh_until_ms,
            updating_ms: plan.updating_ms,
            error_ms: plan.error_ms,
        },
        variant: plan.variant(request),
        vary: plan.vary,
        head_bytes: head_bytes as u64,
        content_length: length.and_then(|it| it.to_str().ok()?.parse().ok()),
        framed: told.framed,
    })
}

fn head(told: &mut Told, bodiless: bool) -> Head {
    let empty = ResponseHeader::build_no_case(told.header.status, None);
    let mut header = match empty {
        Ok(empty) => std::mem::replace(&mut told.header, empty),
        Err(_) => told.header.clone(),
    };
    strip(&mut header);
    let status = header.status;
    let whole = matches!(status, StatusCode::OK | StatusCode::PARTIAL_CONTENT);
    let validator = |name: &str| header.headers.get(name).filter(|_| whole).cloned();
    Head {
        etag: validator("etag"),
        modified: validator("last-modified"),
        failed: false,
        bodiless,
        header,
    }
}

/// Takes off what is between two neighbours only (RFC 9110 section 7.6.1).
pub(super) fn strip(header: &mut ResponseHeader) {
    let named = header.headers.get_all(http::header::CONNECTION).iter();
    let named: Vec<String> = named
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    for name in named {
        header.remove_header(name.as_str());
    }
    for name in [
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ] {
        header.remove_header(name);
    }
}

async fn copy(incoming: &mut Incoming, mut filler: Filler<Head>) {
    loop {
        match incoming.next().await {
            Ok(Some(piece)) => {
                if let Err(error) = filler.push(piece) {
                    tracing::warn!(%error, "an answer is too large to be kept, and is cut off");
                    filler.broken(error);
                    return;
                }
            }
            Ok(None) => {
                filler.done();
                return;
            }
            Err(error) => {
                filler.broken(error);
                return;
            }
        }
    }
}

impl Incoming {
    /// Reads what is left in the background, so that the connection can be kept.
    pub(super) fn finish(mut self) {
        tokio::spawn(async move { while let Ok(Some(_)) = self.next().await {} });
    }
}
