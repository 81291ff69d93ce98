//! Conditions and ranges on answers that are kept, by nginx's rules, pure.
//!
//! Units: bytes; seconds since 1970 for dates.

use http::HeaderMap;
use http::header::{
    HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
};
use weir_conf::nginx::model::web::IfModified;

/// What an answer can be compared by.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Validators<'a> {
    pub(crate) etag: Option<&'a str>,
    /// `Last-Modified`
    pub(crate) modified_s: Option<u64>,
}

/// What of a body is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cut {
    /// All of it.
    Whole,
    /// From the first to before the last.
    Part(u64, u64),
    /// Several, each in a part of a multipart body.
    Parts(Vec<(u64, u64)>),
    /// Nothing fits: 416.
    Nothing,
}

/// The status that a request's conditions make of a 200, 304 or 412, if any.
pub(crate) fn condition(request: &HeaderMap, its: Validators<'_>, how: IfModified) -> Option<u16> {
    let unmodified = date(request, &IF_UNMODIFIED_SINCE);
    if let (Some(since_s), Some(modified_s)) = (unmodified, its.modified_s)
        && modified_s > since_s
    {
        return Some(412);
    }
    if let Some(list) = text(request, &IF_MATCH)
        && !has_tag(&list, its.etag, true)
    {
        return Some(412);
    }
    let since = text(request, &IF_MODIFIED_SINCE);
    let none = text(request, &IF_NONE_MATCH);
    if since.is_none() && none.is_none() {
        return None;
    }
    let time_same = match (&since, how, date(request, &IF_MODIFIED_SINCE)) {
        (None, ..) => true,
        (Some(_), IfModified::Off, _) | (Some(_), _, None) => false,
        (Some(_), IfModified::Exact, Some(since_s)) => its.modified_s == Some(since_s),
        (Some(_), IfModified::Before, Some(since_s)) => its
            .modified_s
            .is_some_and(|modified_s| modified_s <= since_s),
    };
    let tag_same = none.is_none_or(|list| has_tag(&list, its.etag, false));
    (time_same && tag_same).then_some(304)
}

/// What of a body of `size` a request wants. `many` allows several ranges, `max` at most.
pub(crate) fn cut(
    request: &HeaderMap,
    size: u64,
    its: Validators<'_>,
    many: bool,
    max: u32,
) -> Cut {
    let Some(range) = text(request, &RANGE) else {
        return Cut::Whole;
    };
    let unit = range.get(..6).unwrap_or_default();
    if !unit.eq_ignore_ascii_case("bytes=") || max == 0 || !holds(request, its) {
        return Cut::Whole;
    }
    let mut parts = Vec::new();
    let mut sum = 0_u64;
    let items = range.get(6..).unwrap_or_default().split(',');
    for (count, item) in items.enumerate() {
        if count as u64 >= u64::from(max) {
            return Cut::Whole;
        }
        match part(item.trim(), size) {
            Some(Some((start, end))) => {
                sum = sum.saturating_add(end - start);
                parts.push((start, end));
            }
            Some(None) => {}
            None => return Cut::Nothing,
        }
    }
    match parts.as_slice() {
        [] => Cut::Nothing,
        [(start, end)] => Cut::Part(*start, *end),
        // More than all of it is an attack, not a wish.
        _ if !many || sum > size => Cut::Whole,
        _ => Cut::Parts(parts),
    }
}

/// The first byte of a range, if the request has one; `None` counts from the end.
pub(crate) fn range_start(request: &HeaderMap) -> Option<Option<u64>> {
    let range = text(request, &RANGE)?;
    let rest = range.get(6..)?;
    let digits: &str = rest.split('-').next().unwrap_or_default().trim();
    Some(digits.parse().ok())
}

/// One range: `None` if it is none, `Some(None)` if nothing of it is there.
fn part(text: &str, size: u64) -> Option<Option<(u64, u64)>> {
    let (first, last) = text.split_once('-')?;
    let (first, last) = (first.trim(), last.trim());
    let number = |text: &str| -> Option<u64> {
        let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| text.parse().unwrap_or(u64::MAX))
    };
    let (start, end) = if first.is_empty() {
        (size.saturating_sub(number(last)?), size)
    } else {
        let start = number(first)?;
        let end = match last {
            "" => size,
            last => number(last)?.saturating_add(1),
        };
        if end <= start && !last.is_empty() {
            return None;
        }
        (start, end.min(size))
    };
    Some((start < end).then_some((start, end)))
}

/// `If-Range`
fn holds(request: &HeaderMap, its: Validators<'_>) -> bool {
    match text(request, &IF_RANGE) {
        None => true,
        Some(tag) if tag.ends_with('"') => its.etag == Some(tag.as_str()),
        Some(date) => its.modified_s.is_some() && its.modified_s == seconds(&date),
    }
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let mut all = headers.get_all(name).iter();
    let mut text = all.next()?.to_str().ok()?.to_owned();
    for value in all {
        text.push(',');
        text.push_str(value.to_str().unwrap_or_default());
    }
    Some(text)
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    seconds(&text(headers, name)?)
}

/// A date of HTTP.
pub(crate) fn seconds(text: &str) -> Option<u64> {
    let time = httpdate::parse_http_date(text).ok()?;
    let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(since.as_secs())
}

/// Whether a list of tags has this one. A weak one counts only where `strong` is not asked.
fn has_tag(list: &str, tag: Option<&str>, strong: bool) -> bool {
    if list.trim() == "*" {
        return true;
    }
    let Some(tag) = tag else { return false };
    let bare = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).to_owned();
    list.split(',').map(str::trim).any(|item| {
        if strong {
            item == tag && !tag.starts_with("W/")
        } else {
            bare(item) == bare(tag)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const ITS: Validators<'static> = Validators {
        etag: Some("\"a\""),
        modified_s: Some(784_111_777),
    };
    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn headers(lines: &[(HeaderName, &'static str)]) -> HeaderMap {
        let pairs = lines.iter();
        pairs
            .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn conditions_are_judged_in_nginxs_order() {
        for (lines, wanted) in [
            (&[][..], None),
            (&[(IF_NONE_MATCH, "\"a\"")], Some(304)),
            (&[(IF_NONE_MATCH, "\"b\", W/\"a\"")], Some(304)),
            (&[(IF_NONE_MATCH, "*")], Some(304)),
            (&[(IF_NONE_MATCH, "\"b\"")], None),
            (&[(IF_MODIFIED_SINCE, DATE)], Some(304)),
            (&[(IF_MODIFIED_SINCE, LATER)], None),
            (&[(IF_MODIFIED_SINCE, "never")], None),
            (&[(IF_MODIFIED_SINCE, DATE), (IF_NONE_MATCH, "\"b\"")], None),
            (&[(IF_MATCH, "\"b\"")], Some(412)),
            (&[(IF_MATCH, "\"a\"")], None),
            (&[(IF_UNMODIFIED_SINCE, DATE)], None),
            (
                &[(IF_UNMODIFIED_SINCE, "Sun, 06 Nov 1994 08:49:36 GMT")],
                Some(412),
            ),
        ] {
            let request = headers(lines);
            assert_eq!(
                condition(&request, ITS, IfModified::Exact),
                wanted,
                "{lines:?}"
            );
        }
        let later = headers(&[(IF_MODIFIED_SINCE, LATER)]);
        assert_eq!(condition(&later, ITS, IfModified::Before), Some(304));
        let same = headers(&[(IF_MODIFIED_SINCE, DATE)]);
        assert_eq!(condition(&same, ITS, IfModified::Off), None);
    }

    #[test]
    fn ranges_are_cut() {
        for (range, wanted) in [
            ("bytes=0-0", Cut::Part(0, 1)),
            ("bytes=4-", Cut::Part(4, 10)),
            ("Bytes=4-99", Cut::Part(4, 10)),
            ("bytes=-3", Cut::Part(7, 10)),
            ("bytes=-99", Cut::Part(0, 10)),
            ("bytes=0-1, 4-5", Cut::Parts(vec![(0, 2), (4, 6)])),
            ("bytes=0-8,1-9", Cut::Whole),
            ("bytes=0-1,20-21", Cut::Part(0, 2)),
            ("bytes=10-", Cut::Nothing),
            ("bytes=-0", Cut::Nothing),
            ("bytes=5-4", Cut::Nothing),
            ("bytes=x", Cut::Nothing),
            ("bytes=", Cut::Nothing),
            ("lines=1-2", Cut::Whole),
        ] {
            let request = headers(&[(RANGE, range)]);
            assert_eq!(cut(&request, 10, ITS, true, 5), wanted, "{range}");
        }
        let two = headers(&[(RANGE, "bytes=0-0,2-2")]);
        assert_eq!(cut(&two, 10, ITS, false, 5), Cut::Whole);
        assert_eq!(cut(&two, 10, ITS, true, 1), Cut::Whole);
        for (condition, held) in [
            ("\"a\"", true),
            ("\"b\"", false),
            (DATE, true),
            (LATER, false),
        ] {
            let request = headers(&[(RANGE, "bytes=1-1"), (IF_RANGE, condition)]);
            let whole = cut(&request, 10, ITS, true, 5) == Cut::Whole;
            assert_eq!(whole, !held, "{condition}");
        }
        assert_eq!(range_start(&headers(&[(RANGE, "bytes=7-")])), Some(Some(7)));
        assert_eq!(range_start(&headers(&[(RANGE, "bytes=-7")])), Some(None));
        assert_eq!(range_start(&headers(&[])), None);
    }
}
