//! Headers of an answer: `add_header`, `expires`; and for a file its `ETag`, conditions (304,
//! 412) and one range (206, 416).
//!
//! A request for several ranges gets the whole file, as RFC 9110 section 14.2 allows.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderMap;
use http::header::{
    HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use weir_conf::nginx::model::web::{Expires, IfModified, Web};

use super::proxy::{Ctx, Gateway};
use super::reply::{Body, FileBody, Reply, is_usual, now, without_line_end};

/// `expires max`: ten years, in seconds.
const TEN_YEARS_S: u64 = 315_360_000;

impl Gateway {
    /// Makes an answer of our own ready: status, conditions, headers.
    pub(crate) fn finish(&self, session: &Session, ctx: &mut Ctx, mut reply: Reply) -> Reply {
        if ctx.flow.err_status != 0 {
            reply.set_status(ctx.flow.err_status);
        }
        let mut modified = None;
        if let Body::File(file) = &mut reply.body {
            modified = Some(file.modified);
            let web = self.web(ctx);
            let headers = &session.req_header().headers;
            describe(file, web, &mut reply.headers);
            if reply.status == 200 {
                let (status, extra) = conditions(file, web, headers);
                reply.status = status;
                reply.headers.extend(extra);
            }
            if matches!(reply.status, 412 | 416) {
                let mut page = Reply::page(reply.status);
                page.headers = reply.headers;
                page.headers.retain(|(name, _)| name == "Content-Range");
                reply = page;
            }
        }
        if reply.status == 401 {
            for challenge in std::mem::take(&mut ctx.flow.challenges) {
                let name = "WWW-Authenticate".to_owned();
                reply.headers.push((name, challenge.into_bytes()));
            }
        }
        if let Some(kept) = ctx.kept.take() {
            reply.content_type = kept.content_type.unwrap_or(reply.content_type);
            reply.headers.extend(kept.headers);
        }
        ctx.status = Some(reply.status);
        let headers = self.added(session, ctx, reply.status, modified, Some(&reply));
        for (name, value) in headers {
            if is_single(&name) {
                reply
                    .headers
                    .retain(|(other, _)| !other.eq_ignore_ascii_case(&name));
            }
            if value.is_empty() {
                continue;
            }
            reply.headers.push((name, value));
        }
        reply
    }

    /// `add_header` and `expires`, for an answer of this status.
    pub(crate) fn added(
        &self,
        session: &Session,
        ctx: &Ctx,
        status: u16,
        modified: Option<SystemTime>,
        reply: Option<&Reply>,
    ) -> Vec<(String, Vec<u8>)> {
        let usual = is_usual(status);
        let mut values = self.values(session, ctx);
        values.reply = reply;
        let mut out = Vec::new();
        if usual && let Some(expires) = &self.web(ctx).expires {
            let given = match expires {
                Expires::Variable(template) => {
                    let text = values.value(template);
                    let text = String::from_utf8_lossy(&text).into_owned();
                    Expires::parse(&text, false).unwrap_or(Expires::Off)
                }
                other => other.clone(),
            };
            out.extend(expire(&given, modified));
        }
        let headers = self.add_headers(ctx).iter();
        for header in headers.filter(|header| usual || header.always) {
            let value = without_line_end(values.value(&header.value).into_owned());
            // An empty one takes a header off that there is once.
            if !value.is_empty() || is_single(&header.name) {
                out.push((header.name.clone(), value));
            }
        }
        out
    }

    /// Puts the headers of [`Self::added`] into an upstream's answer.
    pub(crate) fn add_to(
        &self,
        session: &Session,
        ctx: &Ctx,
        response: &mut ResponseHeader,
    ) -> pingora::Result<()> {
        let last = response.headers.get("last-modified");
        let modified = last.and_then(|it| httpdate::parse_http_date(it.to_str().ok()?).ok());
        for (name, value) in self.added(session, ctx, response.status.as_u16(), modified, None) {
            if value.is_empty() {
                response.remove_header(&name);
                continue;
            }
            // A value with a line break in it must not become two headers: it is left out.
            let Ok(value) = http::HeaderValue::from_bytes(&value) else {
                continue;
            };
            if is_single(&name) {
                response.insert_header(name, value)?;
            } else {
                response.append_header(name, value)?;
            }
        }
        Ok(())
    }
}

/// Headers that an answer has once: a later one takes the place of an earlier.
fn is_single(name: &str) -> bool {
    ["expires", "last-modified", "etag"]
        .iter()
        .any(|single| name.eq_ignore_ascii_case(single))
}

fn describe(file: &FileBody, web: &Web, headers: &mut Vec<(String, Vec<u8>)>) {
    let mut add = |name: &str, value: String| headers.push((name.to_owned(), value.into_bytes()));
    add("Last-Modified", httpdate::fmt_http_date(file.modified));
    if web.etag {
        add("ETag", etag(file));
    }
    if web.max_ranges > 0 {
        add("Accept-Ranges", "bytes".to_owned());
    }
}

fn etag(file: &FileBody) -> String {
    format!("\"{:x}-{:x}\"", seconds(file.modified), file.size)
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs())
}

/// The status that a request's conditions make of a whole file, and headers for it.
fn conditions(
    file: &mut FileBody,
    web: &Web,
    headers: &HeaderMap,
) -> (u16, Vec<(String, Vec<u8>)>) {
    let time = |name: HeaderName| {
        let text = headers.get(name)?.to_str().ok()?;
        httpdate::parse_http_date(text).ok().map(seconds)
    };
    let modified = seconds(file.modified);
    let tag = web.etag.then(|| etag(file));
    if time(IF_UNMODIFIED_SINCE).is_some_and(|since| modified > since)
        || lists(headers, &IF_MATCH).is_some_and(|list| !has_tag(&list, tag.as_deref(), true))
    {
        return (412, Vec::new());
    }
    let none = lists(headers, &IF_NONE_MATCH);
    let since = headers.contains_key(IF_MODIFIED_SINCE);
    if none.is_some() || since {
        let unchanged_time = match (web.modified, time(IF_MODIFIED_SINCE)) {
            _ if !since => true,
            (IfModified::Off, _) | (_, None) => false,
            (IfModified::Exact, Some(time)) => time == modified,
            (IfModified::Before, Some(time)) => modified <= time,
        };
        let unchanged_tag = none.is_none_or(|list| has_tag(&list, tag.as_deref(), false));
        if unchanged_time && unchanged_tag {
            return (304, Vec::new());
        }
    }
    range(file, web, headers, tag.as_deref(), modified)
}

fn range(
    file: &mut FileBody,
    web: &Web,
    headers: &HeaderMap,
    tag: Option<&str>,
    modified: u64,
) -> (u16, Vec<(String, Vec<u8>)>) {
    let text = headers.get(RANGE).and_then(|it| it.to_str().ok());
    let Some(list) = text.and_then(|text| text.strip_prefix("bytes=")) else {
        return (200, Vec::new());
    };
    if let Some(condition) = headers.get(IF_RANGE).and_then(|it| it.to_str().ok()) {
        let holds = if condition.ends_with('"') {
            tag == Some(condition)
        } else {
            httpdate::parse_http_date(condition).is_ok_and(|time| seconds(time) == modified)
        };
        if !holds {
            return (200, Vec::new());
        }
    }
    if web.max_ranges == 0 || list.contains(',') {
        return (200, Vec::new());
    }
    let unsatisfied = |size: u64| {
        let value = format!("bytes */{size}").into_bytes();
        (416, vec![("Content-Range".to_owned(), value)])
    };
    let Some((start, end)) = one_range(list.trim(), file.size) else {
        return unsatisfied(file.size);
    };
    file.part = (start, end - start);
    let value = format!("bytes {start}-{}/{}", end - 1, file.size).into_bytes();
    (206, vec![("Content-Range".to_owned(), value)])
}

/// `a-b`, `a-` or `-n` as a first byte and the one after the last.
fn one_range(text: &str, size: u64) -> Option<(u64, u64)> {
    let (first, last) = text.split_once('-')?;
    let (first, last) = (first.trim(), last.trim());
    let (start, end) = if first.is_empty() {
        let count: u64 = last.parse().ok()?;
        (size.saturating_sub(count), size)
    } else {
        let start: u64 = first.parse().ok()?;
        let end = match last {
            "" => size,
            last => last.parse::<u64>().ok()?.saturating_add(1).min(size),
        };
        (start, end)
    };
    (start < end && start < size).then_some((start, end))
}

/// The values of a header that is a list, joined.
fn lists(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let values: Vec<String> = headers
        .get_all(name)
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .collect();
    (!values.is_empty()).then(|| values.join(","))
}

/// Whether a list of tags has this one. A weak one counts only where `strong` is not asked.
fn has_tag(list: &str, tag: Option<&str>, strong: bool) -> bool {
    if list.trim() == "*" {
        return true;
    }
    let Some(tag) = tag else { return false };
    list.split(',')
        .map(str::trim)
        .any(|item| match item.strip_prefix("W/") {
            Some(weak) => !strong && weak == tag,
            None => item == tag,
        })
}

/// `Expires` and `Cache-Control`.
fn expire(expires: &Expires, modified: Option<SystemTime>) -> Vec<(String, Vec<u8>)> {
    let pair = |date: String, control: String| {
        vec![
            ("Expires".to_owned(), date.into_bytes()),
            ("Cache-Control".to_owned(), control.into_bytes()),
        ]
    };
    let now = now();
    let at = |base: SystemTime, seconds: i64| {
        let length = Duration::from_secs(seconds.unsigned_abs());
        let time = if seconds < 0 {
            base.checked_sub(length)
        } else {
            base.checked_add(length)
        };
        let time = time
            .filter(|time| *time >= UNIX_EPOCH)
            .unwrap_or(UNIX_EPOCH);
        let max_age = time
            .duration_since(now)
            .map_or(-1, |it| i64::try_from(it.as_secs()).unwrap_or(i64::MAX));
        let control = if seconds == 0 && base == now {
            "max-age=0".to_owned()
        } else if max_age < 0 || seconds < 0 {
            "no-cache".to_owned()
        } else {
            format!("max-age={max_age}")
        };
        pair(httpdate::fmt_http_date(time), control)
    };
    match expires {
        Expires::Off | Expires::Variable(_) => Vec::new(),
        Expires::Epoch => pair(
            httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(1)),
            "no-cache".to_owned(),
        ),
        Expires::Max => pair(
            "Thu, 31 Dec 2037 23:55:55 GMT".to_owned(),
            format!("max-age={TEN_YEARS_S}"),
        ),
        Expires::After(seconds) => at(now, *seconds),
        Expires::AfterModified(seconds) => at(modified.unwrap_or(now), *seconds),
        Expires::Daily(second) => {
            use chrono::Timelike as _;
            let of_day = chrono::DateTime::<chrono::Local>::from(now).num_seconds_from_midnight();
            let wait = second - i64::from(of_day);
            at(now, if wait <= 0 { wait + 86_400 } else { wait })
        }
    }
}
