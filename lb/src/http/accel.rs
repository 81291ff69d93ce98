//! `X-Accel-…`: what an upstream's answer asks of the balancer.
//!
//! `X-Accel-Redirect` gives the answer up for another place here: a named location, or a path,
//! which is decoded and refused (404) if it climbs (`..`), for the answer may have been made of
//! what a client sent. Some of the answer's headers go along: see [`KEPT`].

use http::HeaderMap;
use weir_conf::nginx::model::proxy::Rate;

use super::machine::Phase;
use super::proxy::{Ctx, Gateway};
use super::uri;

/// What of an answer that is given up goes with the one in its place.
const KEPT: [(&str, &str); 5] = [
    ("set-cookie", "Set-Cookie"),
    ("content-disposition", "Content-Disposition"),
    ("cache-control", "Cache-Control"),
    ("expires", "Expires"),
    ("accept-ranges", "Accept-Ranges"),
];

/// Headers of an answer that was given up for another.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) content_type: Option<String>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
}

impl Gateway {
    /// `X-Accel-Limit-Rate`, unless it is to be ignored: how fast the client is answered.
    pub(crate) fn accel_rate(&self, ctx: &Ctx, headers: &HeaderMap) -> Option<u64> {
        let value = self.accel(ctx, headers, "x-accel-limit-rate")?;
        std::str::from_utf8(value).ok()?.parse().ok()
    }

    /// `proxy_limit_rate`: how fast an answer may come, in bytes a second; zero is no limit.
    pub(crate) fn rate(&self, session: &pingora::proxy::Session, ctx: &Ctx) -> u64 {
        let Some((_, proxy)) = self.proxy(ctx) else {
            return 0;
        };
        match &proxy.model.passing.limit_rate {
            Rate::Fixed(rate) => *rate,
            Rate::Variable(template) => {
                let text = self.values(session, ctx).value(template).into_owned();
                let text = String::from_utf8_lossy(&text).into_owned();
                weir_conf::nginx::size_bytes(&text).unwrap_or(0)
            }
        }
    }

    /// `X-Accel-Redirect`, unless it is to be ignored.
    pub(crate) fn accel_redirect(&self, ctx: &Ctx, headers: &HeaderMap) -> Option<Vec<u8>> {
        self.accel(ctx, headers, "x-accel-redirect")
            .map(<[u8]>::to_vec)
    }

    fn accel<'h>(&self, ctx: &Ctx, headers: &'h HeaderMap, name: &str) -> Option<&'h [u8]> {
        let value = headers.get(name)?;
        let (_, proxy) = self.proxy(ctx)?;
        let mut ignored = proxy.model.passing.ignore_headers.iter();
        (!ignored.any(|it| it == name)).then(|| value.as_bytes())
    }

    /// Goes where an answer said.
    pub(crate) fn sent_on(&self, ctx: &mut Ctx, target: &[u8]) -> Phase {
        ctx.kept = ctx.upstream_headers.as_ref().map(kept).map(Box::new);
        if target.first() == Some(&b'@') {
            return self.to_named(ctx, target);
        }
        let Some((path, args)) = uri::safe(target) else {
            tracing::error!(
                "unsafe URI \"{}\" was detected",
                String::from_utf8_lossy(target)
            );
            return Phase::Fail(404);
        };
        ctx.flow.as_get = true;
        let phase = self.redirect_inside(ctx, &[]);
        ctx.flow.path = Some(path);
        ctx.flow.args = Some(args);
        phase
    }
}

fn kept(headers: &HeaderMap) -> Kept {
    let content_type = headers.get(http::header::CONTENT_TYPE);
    let all = KEPT.iter().flat_map(|(name, written)| {
        let values = headers.get_all(*name).iter();
        values.map(|value| ((*written).to_owned(), value.as_bytes().to_vec()))
    });
    Kept {
        content_type: content_type.and_then(|it| Some(it.to_str().ok()?.to_owned())),
        headers: all.collect(),
    }
}
