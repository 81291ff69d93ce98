//! Headers of an answer of which a part is sent, and bodies of several parts.

use bytes::Bytes;
use http::HeaderValue;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, LAST_MODIFIED};
use pingora::http::ResponseHeader;

use super::ranges::{Cut, Validators, seconds};
use super::zones::Kept;

pub(super) fn stick(
    header: &mut ResponseHeader,
    cookie: Option<HeaderValue>,
) -> pingora::Result<()> {
    match cookie {
        Some(cookie) => header.append_header("Set-Cookie", cookie).map(|_| ()),
        None => Ok(()),
    }
}

pub(super) fn announced(header: &ResponseHeader) -> Option<u64> {
    let length = header.headers.get(CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}

pub(super) fn validators(header: &ResponseHeader) -> Validators<'_> {
    let text = |name| header.headers.get(name).and_then(|it| it.to_str().ok());
    Validators {
        etag: text(ETAG),
        modified_s: text(LAST_MODIFIED).and_then(seconds),
    }
}

/// Makes the header a 206's if a part is wanted. Returns the length of what is sent.
pub(super) fn partial(
    wanted: &Cut,
    size: Option<u64>,
    header: &mut ResponseHeader,
) -> pingora::Result<Option<u64>> {
    let (Cut::Part(start, end), Some(size)) = (wanted, size) else {
        return Ok(size);
    };
    header.set_status(206)?;
    let range = format!("bytes {start}-{}/{size}", end.saturating_sub(1));
    header.insert_header("Content-Range", range)?;
    Ok(Some(end.saturating_sub(*start)))
}

/// The pieces of a body of several ranges, and its header; `None` if one is not wanted.
pub(super) fn multipart(
    wanted: &Cut,
    kept: &Kept,
    header: &mut ResponseHeader,
) -> pingora::Result<Option<Vec<Bytes>>> {
    let (Cut::Parts(ranges), Some(whole)) = (wanted, kept.whole()) else {
        return Ok(None);
    };
    let boundary = format!("{:020}", fastrand::u64(..));
    let kind = header.headers.get(CONTENT_TYPE);
    let kind = kind.map_or_else(String::new, |kind| {
        let kind = String::from_utf8_lossy(kind.as_bytes());
        format!("Content-Type: {kind}\r\n")
    });
    let size = whole.len();
    let mut parts = Vec::with_capacity(ranges.len() * 2 + 1);
    for (start, end) in ranges {
        let last = end.saturating_sub(1);
        parts.push(Bytes::from(format!(
            "\r\n--{boundary}\r\n{kind}Content-Range: bytes {start}-{last}/{size}\r\n\r\n"
        )));
        let at = |byte: u64| usize::try_from(byte).unwrap_or(size).min(size);
        parts.push(whole.slice(at(*start)..at(*end)));
    }
    parts.push(Bytes::from(format!("\r\n--{boundary}--\r\n")));
    header.set_status(206)?;
    let kind = format!("multipart/byteranges; boundary={boundary}");
    header.insert_header("Content-Type", kind)?;
    Ok(Some(parts))
}
