//! Compressing answers, and taking compression off them: `gzip`, `gunzip`.
//!
//! What is to be done with an answer is decided when its header is known; a module of the session
//! then does it to the body, whoever writes that. Limits: the coder's own memory (about 300 KiB
//! while it compresses), and [`PIECE_BYTES_MAX`] of what one piece may become. A small piece that
//! is not the last goes on at once: somebody waits for it.

use std::any::Any;
use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::{GzEncoder, MultiGzDecoder};
use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH,
    CONTENT_TYPE, DATE, ETAG, EXPIRES, HeaderName, LAST_MODIFIED, TRANSFER_ENCODING, USER_AGENT,
    VIA,
};
use http::{HeaderMap, Version};
use pingora::http::ResponseHeader;
use pingora::modules::http::{HttpModule, HttpModuleBuilder, Module};
use pingora::proxy::Session;
use pingora::{Error, ErrorType};
use weir_conf::nginx::model::gzip::{Gzip, Proxied};

use super::proxy::{Ctx, Gateway};
use super::reply::has_body;

/// Most that one piece of a body may become.
const PIECE_BYTES_MAX: usize = 64 << 20;
/// Pieces below this are not held back.
const SMALL_BYTES: usize = 4096;

/// Makes a [`Recoder`] for each session.
pub(super) struct Recoding;

/// What is done to a session's answer.
#[derive(Default)]
pub(super) struct Recoder(Option<Coder>);

enum Coder {
    Gzip(GzEncoder<Vec<u8>>),
    Gunzip(MultiGzDecoder<Vec<u8>>),
}

impl HttpModuleBuilder for Recoding {
    fn init(&self) -> Module {
        Box::<Recoder>::default()
    }
}

impl HttpModule for Recoder {
    fn response_body_filter(&mut self, body: &mut Option<Bytes>, end: bool) -> pingora::Result<()> {
        if self.0.is_some() {
            let piece = body.take().unwrap_or_default();
            let coded = self.code(&piece, end)?;
            *body = (!coded.is_empty()).then_some(coded);
        }
        Ok(())
    }

    fn response_trailer_filter(
        &mut self,
        _: &mut Option<Box<HeaderMap>>,
    ) -> pingora::Result<Option<Bytes>> {
        self.response_done_filter()
    }

    fn response_done_filter(&mut self) -> pingora::Result<Option<Bytes>> {
        if self.0.is_none() {
            return Ok(None);
        }
        self.code(&[], true).map(Some)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

impl Recoder {
    /// One piece; with the last the coder is done.
    fn code(&mut self, piece: &[u8], end: bool) -> pingora::Result<Bytes> {
        let Some(coder) = &mut self.0 else {
            return Ok(Bytes::copy_from_slice(piece));
        };
        let out = coder.code(piece, end).map_err(|error| {
            Error::because(ErrorType::InternalError, "while recoding an answer", error)
        })?;
        if end {
            self.0 = None;
        }
        Ok(out.into())
    }
}

impl Coder {
    fn code(&mut self, piece: &[u8], end: bool) -> std::io::Result<Vec<u8>> {
        match self {
            Self::Gzip(coder) => {
                coder.write_all(piece)?;
                if end {
                    coder.try_finish()?;
                } else if piece.len() < SMALL_BYTES {
                    coder.flush()?;
                }
                Ok(std::mem::take(coder.get_mut()))
            }
            Self::Gunzip(coder) => {
                let mut out = Vec::new();
                for part in piece.chunks(SMALL_BYTES) {
                    coder.write_all(part)?;
                    out.append(coder.get_mut());
                    if out.len() > PIECE_BYTES_MAX {
                        return Err(std::io::Error::other("a piece becomes too large"));
                    }
                }
                if end {
                    coder.try_finish()?;
                } else {
                    coder.flush()?;
                }
                out.append(coder.get_mut());
                Ok(out)
            }
        }
    }
}

impl Gateway {
    /// Decides what is done to an answer's body, and makes its header say so.
    pub(super) fn recode(
        &self,
        session: &mut Session,
        ctx: &Ctx,
        response: &mut ResponseHeader,
    ) -> pingora::Result<()> {
        let gzip = &self.common(ctx).gzip;
        if !gzip.is_used() || ctx.inner.is_some() {
            return Ok(());
        }
        let request = &session.req_header().headers;
        let version = session.req_header().version;
        let coded = response.headers.get(CONTENT_ENCODING);
        let coded = coded.map(|it| it.as_bytes().eq_ignore_ascii_case(b"gzip"));
        let compresses = gzip.on && coded.is_none() && is_worth_it(gzip, response);
        let status = response.status.as_u16();
        let inflates = gzip.gunzip && coded == Some(true) && has_body(status);
        if !(compresses || inflates || ctx.gzip_made) {
            return Ok(());
        }
        let takes = takes(gzip, request, version) && is_for_proxies(gzip, request, response);
        if gzip.vary {
            response.append_header("Vary", "Accept-Encoding")?;
        }
        let coder = if compresses && takes {
            response.insert_header("Content-Encoding", "gzip")?;
            Coder::Gzip(GzEncoder::new(Vec::new(), Compression::new(gzip.level)))
        } else if inflates && !takes {
            response.remove_header(&CONTENT_ENCODING);
            Coder::Gunzip(MultiGzDecoder::new(Vec::new()))
        } else {
            return Ok(());
        };
        reframe(session, response)?;
        if let Some(recoder) = session.downstream_modules_ctx.get_mut::<Recoder>() {
            recoder.0 = Some(coder);
        }
        Ok(())
    }

    /// Whether a request takes a file that is compressed already.
    pub(super) fn takes_gzip(&self, session: &Session, ctx: &Ctx) -> bool {
        let request = session.req_header();
        let gzip = &self.common(ctx).gzip;
        takes(gzip, &request.headers, request.version)
            && (gzip.proxied.any || !request.headers.contains_key(VIA))
    }
}

/// A body of a length that is not known before its end.
fn reframe(session: &mut Session, response: &mut ResponseHeader) -> pingora::Result<()> {
    response.remove_header(&CONTENT_LENGTH);
    response.remove_header(&ACCEPT_RANGES);
    let tag = response.headers.get(ETAG).map(|it| it.as_bytes().to_vec());
    if let Some(tag) = tag.filter(|tag| !tag.starts_with(b"W/")) {
        // It names this body no more, only what it says.
        response.insert_header("ETag", [b"W/", tag.as_slice()].concat())?;
    }
    match session.req_header().version {
        Version::HTTP_11 => response.insert_header("Transfer-Encoding", "chunked")?,
        Version::HTTP_2 => {}
        _ => {
            response.remove_header(&TRANSFER_ENCODING);
            session.set_keepalive(None);
        }
    }
    Ok(())
}

/// Whether an answer is of a status, type and length that are compressed.
fn is_worth_it(gzip: &Gzip, response: &ResponseHeader) -> bool {
    let text = |name: &HeaderName| response.headers.get(name)?.to_str().ok();
    let length = text(&CONTENT_LENGTH).and_then(|it| it.parse::<u64>().ok());
    matches!(response.status.as_u16(), 200 | 403 | 404)
        && length.is_none_or(|length| length >= gzip.min_bytes)
        && text(&CONTENT_TYPE).is_some_and(|kind| gzip.takes(kind))
}

/// Whether a client takes gzip.
fn takes(gzip: &Gzip, request: &HeaderMap, version: Version) -> bool {
    let version_fits =
        version >= Version::HTTP_11 || (gzip.http_1_0 && version == Version::HTTP_10);
    let mut lists = request.get_all(ACCEPT_ENCODING).iter();
    let accepts = lists.any(|list| list.to_str().is_ok_and(accepts));
    let agent = request.get(USER_AGENT).map_or(&b""[..], |it| it.as_bytes());
    version_fits && accepts && !gzip.disabled.iter().any(|regex| regex.is_match(agent))
}

/// Whether a list of codings has gzip, and not as one that is not wanted (RFC 9110 section 12.5.3).
fn accepts(list: &str) -> bool {
    let mut items = list.split(',').map(|item| {
        let mut parts = item.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
        (
            name,
            weight.map_or(Some(1.0_f32), |it| it.trim().parse().ok()),
        )
    });
    let gzip = items.find(|(name, _)| name.eq_ignore_ascii_case("gzip") || *name == "*");
    gzip.is_some_and(|(_, weight)| weight.is_some_and(|it| it > 0.0))
}

/// `gzip_proxied`
fn is_for_proxies(gzip: &Gzip, request: &HeaderMap, response: &ResponseHeader) -> bool {
    let Proxied {
        any,
        expired,
        no_cache,
        no_store,
        private,
        no_last_modified,
        no_etag,
        auth,
    } = gzip.proxied;
    if any || !request.contains_key(VIA) {
        return true;
    }
    let headers = &response.headers;
    let time = |name: &HeaderName| {
        let text = headers.get(name)?.to_str().ok()?;
        httpdate::parse_http_date(text).ok()
    };
    let control = headers.get_all(CACHE_CONTROL).iter();
    let control: Vec<String> = control
        .flat_map(|it| it.to_str().unwrap_or_default().split(','))
        .map(|it| it.trim().to_ascii_lowercase())
        .collect();
    let says = |word: &str| control.iter().any(|it| it.split('=').next() == Some(word));
    let is_expired = || {
        headers.contains_key(EXPIRES)
            && time(&EXPIRES).is_none_or(|it| it <= time(&DATE).unwrap_or_else(super::reply::now))
    };
    (auth && request.contains_key(AUTHORIZATION))
        || (expired && is_expired())
        || (no_cache && says("no-cache"))
        || (no_store && says("no-store"))
        || (private && says("private"))
        || (no_last_modified && !headers.contains_key(LAST_MODIFIED))
        || (no_etag && !headers.contains_key(ETAG))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_say_what_they_take() {
        for list in [
            "gzip",
            "deflate, gzip;q=0.5",
            "GZIP",
            "*",
            "br;q=1, gzip ; q=1.0",
        ] {
            assert!(accepts(list), "{list}");
        }
        for list in [
            "",
            "deflate",
            "gzip;q=0",
            "gzip; q=0.000, *",
            "xgzip",
            "gzip;q=x",
        ] {
            assert!(!accepts(list), "{list}");
        }
    }

    #[test]
    fn what_is_compressed_comes_out_again() {
        let mut gzip = Coder::Gzip(GzEncoder::new(Vec::new(), Compression::new(1)));
        let mut gunzip = Coder::Gunzip(MultiGzDecoder::new(Vec::new()));
        let mut plain = Vec::new();
        let pieces = [vec![b'x'; 100_000], b"small".to_vec(), vec![b'y'; 7]];
        for (place, piece) in pieces.iter().enumerate() {
            let coded = gzip.code(piece, place == 2).unwrap();
            if place > 0 {
                assert!(!coded.is_empty(), "a small piece is not held back");
            }
            plain.append(&mut gunzip.code(&coded, place == 2).unwrap());
        }
        assert_eq!(plain, pieces.concat());
        let mut gunzip = Coder::Gunzip(MultiGzDecoder::new(Vec::new()));
        assert!(gunzip.code(b"no gzip at all", false).is_err());
    }
}
