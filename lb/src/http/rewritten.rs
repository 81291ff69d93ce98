//! An upstream's answer as the client gets it: checked, and rewritten as `proxy_redirect` and
//! `proxy_hide_header` say; `cookies` has the `proxy_cookie_` family.
//!
//! Refused (502, as nginx): a length that is no number or stands twice, a transfer coding that is
//! not `chunked` or stands twice, both of them together: what the next hop would read in another
//! way. (Pingora drops a length that stands beside a transfer coding before this is asked; the
//! answer then goes on with new framing.) Of other headers that may stand once the first counts.

use std::time::Duration;

use http::header::{
    CONTENT_LENGTH, CONTENT_TYPE, DATE, ETAG, EXPIRES, HeaderName, LAST_MODIFIED, LOCATION,
    REFRESH, SERVER, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderValue};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use weir_conf::nginx::model::proxy::Pattern;
use weir_conf::nginx::template::Template;

use super::cookies::cookies;
use super::proxy::{Ctx, Gateway};
use super::reply;
use super::vars::Values;

/// Headers of which nginx takes the first alone.
const ONCE: [(HeaderName, &str); 7] = [
    (CONTENT_TYPE, "Content-Type"),
    (DATE, "Date"),
    (ETAG, "ETag"),
    (EXPIRES, "Expires"),
    (LAST_MODIFIED, "Last-Modified"),
    (LOCATION, "Location"),
    (SERVER, "Server"),
];

/// Whether an answer's body can be read in one way only.
pub(crate) fn is_sound(headers: &HeaderMap) -> bool {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let (length, coding) = (lengths.next(), codings.next());
    let digits =
        length.is_none_or(|it| !it.is_empty() && it.as_bytes().iter().all(u8::is_ascii_digit));
    let chunked = coding.is_none_or(|it| it.as_bytes().eq_ignore_ascii_case(b"chunked"));
    let once = lengths.next().is_none() && codings.next().is_none();
    digits && chunked && once && !(length.is_some() && coding.is_some())
}

/// How long to wait after a piece of an answer, so that it comes no faster than its rate in bytes
/// a second; zero is no limit.
pub(crate) fn pause(bytes: usize, rate: u64) -> Option<Duration> {
    let wait_ms = (bytes as u64).saturating_mul(1000).checked_div(rate);
    wait_ms.filter(|ms| *ms > 0).map(Duration::from_millis)
}

impl Gateway {
    /// Rewrites an answer's header for the client. 1xx pass as they are.
    pub(crate) fn adjust(
        &self,
        session: &Session,
        response: &mut ResponseHeader,
        ctx: &Ctx,
    ) -> pingora::Result<()> {
        if response.status.is_informational() {
            return Ok(());
        }
        if let Some((_, proxy)) = self.proxy(ctx) {
            for (name, written) in &ONCE {
                keep_first(response, name, written)?;
            }
            for name in &proxy.hide_headers {
                response.remove_header(name);
            }
            let values = self.values(session, ctx);
            redirect(response, &proxy.model.redirects, &values)?;
            cookies(response, &proxy.model.passing, &values)?;
            if !response.headers.contains_key(SERVER) {
                response.insert_header("Server", reply::SERVER)?;
            }
            if !response.headers.contains_key(DATE) {
                let date = pingora::protocols::http::date::get_cached_date();
                response.insert_header("Date", date)?;
            }
        }
        if let Some(cookie) = self.sticky_cookie(session, ctx) {
            response.append_header("Set-Cookie", cookie)?;
        }
        if ctx.flow.err_status != 0 {
            let status = http::StatusCode::from_u16(ctx.flow.err_status);
            response.set_status(status.unwrap_or(response.status))?;
        }
        self.add_to(session, ctx, response)
    }
}

fn keep_first(
    response: &mut ResponseHeader,
    name: &HeaderName,
    written: &'static str,
) -> pingora::Result<()> {
    let mut all = response.headers.get_all(name).iter();
    if let (Some(first), Some(_)) = (all.next(), all.next()) {
        let first = first.clone();
        response.insert_header(written, first)?;
    }
    Ok(())
}

/// `proxy_redirect`: the first prefix that fits is replaced, in `Location` and in the URL of
/// `Refresh`.
fn redirect(
    response: &mut ResponseHeader,
    pairs: &[(Pattern, Template)],
    values: &Values<'_>,
) -> pingora::Result<()> {
    for (name, written) in [(LOCATION, "Location"), (REFRESH, "Refresh")] {
        let Some(value) = response.headers.get(&name) else {
            continue;
        };
        let url_at = if name == LOCATION {
            Some(0)
        } else {
            let lower = value.as_bytes().to_ascii_lowercase();
            lower
                .windows(4)
                .position(|it| it == b"url=")
                .map(|at| at + 4)
        };
        let Some((before, url)) = url_at.and_then(|at| value.as_bytes().split_at_checked(at))
        else {
            continue;
        };
        let mut replaced = replace(url, pairs, values);
        if name == LOCATION {
            // As nginx: one that was rewritten is made whole, as our own are.
            replaced = replaced.map(|url| values.absolute(url));
        }
        let replaced =
            replaced.and_then(|url| HeaderValue::from_bytes(&[before, &url].concat()).ok());
        if let Some(replaced) = replaced {
            response.insert_header(written, replaced)?;
        }
    }
    Ok(())
}

/// What the first pattern that fits makes of a text: a beginning is replaced, an expression
/// replaces the whole.
pub(super) fn replace(
    text: &[u8],
    pairs: &[(Pattern, Template)],
    values: &Values<'_>,
) -> Option<Vec<u8>> {
    pairs.iter().find_map(|(from, to)| match from {
        Pattern::Text(from) => {
            let rest = text.strip_prefix(&*values.value(from))?;
            Some([&*values.value(to), rest].concat())
        }
        Pattern::Regex(regex) => values
            .matches(regex, text)
            .then(|| values.value(to).into_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = lines.iter().map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        });
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(name, value);
        }
        map
    }

    #[test]
    fn bodies_are_read_in_one_way_or_not_at_all() {
        let (length, coding) = ("content-length", "transfer-encoding");
        for sound in [
            &[][..],
            &[(length, "5")],
            &[(coding, "chunked")],
            &[(coding, "Chunked")],
        ] {
            assert!(is_sound(&headers(sound)), "{sound:?}");
        }
        for bad in [
            &[(length, "foo")][..],
            &[(length, "")],
            &[(length, "+1")],
            &[(length, "5"), (length, "5")],
            &[(length, "5, 5")],
            &[(coding, "foo")],
            &[(coding, "gzip, chunked")],
            &[(coding, "chunked"), (coding, "chunked")],
            &[(length, "0"), (coding, "chunked")],
        ] {
            assert!(!is_sound(&headers(bad)), "{bad:?}");
        }
    }

    #[test]
    fn a_rate_is_a_pause_after_each_piece() {
        assert_eq!(pause(3000, 10_000), Some(Duration::from_millis(300)));
        for (bytes, rate) in [(3000, 0), (0, 10), (1, 100_000)] {
            assert_eq!(pause(bytes, rate), None);
        }
        assert!(pause(usize::MAX, 1).is_some());
    }
}
