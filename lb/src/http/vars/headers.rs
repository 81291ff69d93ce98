//! Variables that are headers, cookies and arguments.

use super::Values;

impl Values<'_> {
    /// Several headers of a name are joined, as nginx does for `$http_*`.
    pub(super) fn header(&self, name: &str, out: &mut Vec<u8>) {
        if name == "host" && !self.request.headers.contains_key(name) {
            // HTTP/2 says it in its own way.
            if let Some(host) = self.request.uri.authority() {
                out.extend_from_slice(host.as_str().as_bytes());
            }
            return;
        }
        let separator: &[u8] = if name == "cookie" { b"; " } else { b", " };
        join(self.request.headers.get_all(name), separator, out);
    }

    pub(super) fn sent_header(&self, name: &str, out: &mut Vec<u8>) {
        if let Some(reply) = self.reply {
            if name == "content-type" {
                out.extend_from_slice(reply.content_type.as_bytes());
            }
            let all = reply.headers.iter();
            for (index, (_, value)) in all
                .filter(|(other, _)| other.eq_ignore_ascii_case(name))
                .enumerate()
            {
                if index > 0 {
                    out.extend_from_slice(b", ");
                }
                out.extend_from_slice(value);
            }
        } else if let Some(header) = self.session.response_written() {
            join(header.headers.get_all(name), b", ", out);
        } else {
            self.upstream_header(name, out);
        }
    }

    pub(super) fn upstream_header(&self, name: &str, out: &mut Vec<u8>) {
        if let Some(headers) = &self.ctx.upstream_headers {
            join(headers.get_all(name), b", ", out);
        }
    }

    pub(super) fn upstream_cookie(&self, name: &str, out: &mut Vec<u8>) {
        let Some(headers) = &self.ctx.upstream_headers else {
            return;
        };
        for header in headers.get_all("set-cookie") {
            let pair = header.as_bytes().split(|byte| *byte == b';').next();
            let Some((key, value)) = pair.and_then(split_pair) else {
                continue;
            };
            let spaces = |text: &[u8]| text.iter().take_while(|byte| **byte == b' ').count();
            let value = value.get(spaces(value)..).unwrap_or_default();
            let after = key.get(name.len()..).unwrap_or_default();
            let key = key.get(..name.len()).unwrap_or_default();
            if key.eq_ignore_ascii_case(name.as_bytes()) && spaces(after) == after.len() {
                out.extend_from_slice(value);
                return;
            }
        }
    }

    pub(super) fn argument(&self, name: &str, out: &mut Vec<u8>) {
        let args = self.args();
        let mut pairs = args.split(|byte| *byte == b'&').filter_map(split_pair);
        if let Some((_, value)) = pairs.find(|(key, _)| key.eq_ignore_ascii_case(name.as_bytes())) {
            out.extend_from_slice(value);
        }
    }

    pub(super) fn cookie(&self, name: &str, out: &mut Vec<u8>) {
        for header in self.request.headers.get_all("cookie") {
            let pairs = header.as_bytes().split(|byte| *byte == b';');
            let mut pairs = pairs.filter_map(|pair| split_pair(pair.trim_ascii()));
            if let Some((_, value)) =
                pairs.find(|(key, _)| key.eq_ignore_ascii_case(name.as_bytes()))
            {
                out.extend_from_slice(value);
                return;
            }
        }
    }
}

fn join<'h>(
    values: impl IntoIterator<Item = &'h http::HeaderValue>,
    separator: &[u8],
    out: &mut Vec<u8>,
) {
    for (index, value) in values.into_iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(separator);
        }
        out.extend_from_slice(value.as_bytes());
    }
}

fn split_pair(pair: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = pair.iter().position(|byte| *byte == b'=')?;
    let (key, value) = pair.split_at(at);
    Some((key, value.get(1..).unwrap_or_default()))
}
