//! An upstream's answer as the client gets it: checked, and rewritten as `proxy_redirect`, the
//! `proxy_cookie_` family and `proxy_hide_header` say.
//!
//! Refused (502, as nginx): a length that is no number or stands twice, a transfer coding that is
//! not `chunked` or stands twice, both of them together: what the next hop would read in another
//! way. (Pingora drops a length that stands beside a transfer coding before this is asked; the
//! answer then goes on with new framing.) Of other headers that may stand once the first counts.

use std::time::Duration;

use http::header::{
    CONTENT_LENGTH, CONTENT_TYPE, DATE, ETAG, EXPIRES, HeaderName, LAST_MODIFIED, LOCATION,
    REFRESH, SERVER, SET_COOKIE, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderValue};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use weir_conf::nginx::model::proxy::{CookieFlags, Passing};
use weir_conf::nginx::template::Template;

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
    /// `X-Accel-Limit-Rate`, unless it is to be ignored.
    pub(crate) fn accel_rate(&self, ctx: &Ctx, headers: &HeaderMap) -> Option<u64> {
        let value = self.accel(ctx, headers, "x-accel-limit-rate")?;
        std::str::from_utf8(value).ok()?.parse().ok()
    }

    /// `X-Accel-Redirect`, unless it is to be ignored: a path here, or a named location.
    pub(crate) fn accel_redirect(&self, ctx: &Ctx, headers: &HeaderMap) -> Option<Vec<u8>> {
        let value = self.accel(ctx, headers, "x-accel-redirect")?;
        matches!(value.first(), Some(b'/' | b'@')).then(|| value.to_vec())
    }

    fn accel<'h>(&self, ctx: &Ctx, headers: &'h HeaderMap, name: &str) -> Option<&'h [u8]> {
        let value = headers.get(name)?;
        let (_, proxy) = self.proxy(ctx)?;
        let mut ignored = proxy.model.passing.ignore_headers.iter();
        (!ignored.any(|it| it == name)).then(|| value.as_bytes())
    }

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
    pairs: &[(Template, Template)],
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
        let replaced = replace_prefix(url, pairs, values);
        let replaced =
            replaced.and_then(|url| HeaderValue::from_bytes(&[before, &url].concat()).ok());
        if let Some(replaced) = replaced {
            response.insert_header(written, replaced)?;
        }
    }
    Ok(())
}

fn replace_prefix(
    text: &[u8],
    pairs: &[(Template, Template)],
    values: &Values<'_>,
) -> Option<Vec<u8>> {
    pairs.iter().find_map(|(from, to)| {
        let rest = text.strip_prefix(&*values.value(from))?;
        Some([&*values.value(to), rest].concat())
    })
}

/// `proxy_cookie_domain`, `proxy_cookie_path`, `proxy_cookie_flags`.
fn cookies(
    response: &mut ResponseHeader,
    passing: &Passing,
    values: &Values<'_>,
) -> pingora::Result<()> {
    let untouched = passing.cookie_domains.is_empty()
        && passing.cookie_paths.is_empty()
        && passing.cookie_flags.is_empty();
    if untouched || !response.headers.contains_key(SET_COOKIE) {
        return Ok(());
    }
    let all = response.headers.get_all(SET_COOKIE).iter();
    let rewritten: Vec<Vec<u8>> = all
        .map(|it| cookie(it.as_bytes(), passing, values))
        .collect();
    response.remove_header(&SET_COOKIE);
    for line in rewritten {
        if let Ok(value) = HeaderValue::from_bytes(&line) {
            response.append_header("Set-Cookie", value)?;
        }
    }
    Ok(())
}

fn cookie(line: &[u8], passing: &Passing, values: &Values<'_>) -> Vec<u8> {
    let mut parts = line.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let pair = parts.next().unwrap_or_default();
    let mut attributes: Vec<Vec<u8>> = parts.map(<[u8]>::to_vec).collect();
    for attribute in &mut attributes {
        if let Some(domain) = value_of(attribute, b"domain") {
            let bare = |text: &[u8]| text.strip_prefix(b".").unwrap_or(text).to_ascii_lowercase();
            let found = passing.cookie_domains.iter().find_map(|(from, to)| {
                let same = bare(&values.value(from)) == bare(domain);
                same.then(|| values.value(to).into_owned())
            });
            if let Some(found) = found {
                *attribute = [b"domain=", found.as_slice()].concat();
            }
        } else if let Some(path) = value_of(attribute, b"path")
            && let Some(found) = replace_prefix(path, &passing.cookie_paths, values)
        {
            *attribute = [b"path=", found.as_slice()].concat();
        }
    }
    let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
    let flags = passing
        .cookie_flags
        .iter()
        .find(|(other, _)| name.eq_ignore_ascii_case(other.as_bytes()));
    if let Some((_, flags)) = flags {
        flag(&mut attributes, flags);
    }
    attributes.insert(0, pair.to_vec());
    attributes.join(&b"; "[..])
}

fn value_of<'a>(attribute: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let at = attribute.iter().position(|byte| *byte == b'=')?;
    let (key, value) = attribute.split_at(at);
    let found = key.trim_ascii().eq_ignore_ascii_case(name);
    found.then(|| value.get(1..).unwrap_or_default().trim_ascii())
}

fn flag(attributes: &mut Vec<Vec<u8>>, flags: &CookieFlags) {
    let mut set = |name: &[u8], wanted: Option<bool>| {
        let Some(wanted) = wanted else { return };
        let here = attributes.iter().any(|it| it.eq_ignore_ascii_case(name));
        if wanted && !here {
            attributes.push(name.to_vec());
        } else if !wanted {
            attributes.retain(|it| !it.eq_ignore_ascii_case(name));
        }
    };
    set(b"Secure", flags.secure);
    set(b"HttpOnly", flags.http_only);
    if let Some(word) = &flags.same_site {
        attributes.retain(|it| value_of(it, b"samesite").is_none());
        if !word.is_empty() {
            attributes.push(format!("SameSite={word}").into_bytes());
        }
    }
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

    #[test]
    fn flags_come_and_go() {
        let all = |text: &str| text.split(' ').map(|it| it.as_bytes().to_vec()).collect();
        let mut attributes: Vec<Vec<u8>> = all("path=/ httponly SameSite=Lax");
        let flags = CookieFlags {
            secure: Some(true),
            http_only: Some(false),
            same_site: Some("Strict".to_owned()),
        };
        flag(&mut attributes, &flags);
        assert_eq!(attributes, all("path=/ Secure SameSite=Strict"));
    }
}
