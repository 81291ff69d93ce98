//! The tries of a request on upstreams, as `$upstream_addr`, `$upstream_status` and the times
//! tell of them: one item a try, commas between, `-` for what did not come to be.

use std::io::Write as _;

use http::HeaderMap;
use pingora::http::{RequestHeader, ResponseHeader};
use tokio::time::Instant;

/// All tries so far.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tries(Vec<Try>);

#[derive(Debug, Clone)]
struct Try {
    addr: String,
    status: Option<u16>,
    started: Instant,
    connect_ms: Option<u128>,
    header_ms: Option<u128>,
    response_ms: Option<u128>,
    /// Bytes of the request that went out, as far as they were handed on.
    sent: u64,
    /// Bytes of the answer's header and body.
    header: u64,
    body: u64,
}

/// Which number of bytes of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Count {
    /// Of the request.
    Sent,
    /// Of the answer, header and body.
    Received,
    /// Of the answer's body.
    Body,
}

/// Which time of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Time {
    /// Until it was connected.
    Connect,
    /// Until the answer's header had come.
    Header,
    /// Until it ended.
    Response,
}

impl Tries {
    /// A try on this peer begins; the one before it has ended.
    pub(crate) fn begin(&mut self, addr: &str) {
        self.end(None);
        self.0.push(Try {
            addr: addr.to_owned(),
            status: None,
            started: Instant::now(),
            connect_ms: None,
            header_ms: None,
            response_ms: None,
            sent: 0,
            header: 0,
            body: 0,
        });
    }

    /// Takes the last try back.
    pub(crate) fn forget(&mut self) {
        self.0.pop();
    }

    pub(crate) fn connected(&mut self) {
        if let Some(last) = self.0.last_mut() {
            last.connect_ms = Some(last.started.elapsed().as_millis());
        }
    }

    /// The header of an answer has come.
    pub(crate) fn answered(&mut self, status: u16, header_bytes: u64) {
        if let Some(last) = self.0.last_mut() {
            last.header = header_bytes;
            last.status = Some(status);
            last.header_ms = Some(last.started.elapsed().as_millis());
        }
    }

    /// So many bytes of the request were handed on.
    pub(crate) fn gave(&mut self, bytes: u64) {
        if let Some(last) = self.0.last_mut() {
            last.sent += bytes;
        }
    }

    /// So many bytes of the answer's body have come.
    pub(crate) fn took(&mut self, bytes: u64) {
        if let Some(last) = self.0.last_mut() {
            last.body += bytes;
        }
    }

    /// The last try ended; with the status it is worth if no answer came.
    pub(crate) fn end(&mut self, status: Option<u16>) {
        if let Some(last) = self.0.last_mut() {
            last.status = last.status.or(status);
            let elapsed = last.started.elapsed().as_millis();
            last.response_ms.get_or_insert(elapsed);
        }
    }

    pub(crate) fn write_addrs(&self, out: &mut Vec<u8>) {
        self.list(out, |out, it| out.extend_from_slice(it.addr.as_bytes()));
    }

    pub(crate) fn write_statuses(&self, out: &mut Vec<u8>) {
        self.list(out, |out, it| match it.status {
            Some(status) => write(out, format_args!("{status}")),
            None => out.push(b'-'),
        });
    }

    /// Seconds with milliseconds.
    pub(crate) fn write_times(&self, which: Time, out: &mut Vec<u8>) {
        self.list(out, |out, it| {
            let time_ms = match which {
                Time::Connect => it.connect_ms,
                Time::Header => it.header_ms,
                Time::Response => it.response_ms,
            };
            match time_ms {
                Some(ms) => write(out, format_args!("{}.{:03}", ms / 1000, ms % 1000)),
                None => out.push(b'-'),
            }
        });
    }

    pub(crate) fn write_counts(&self, which: Count, out: &mut Vec<u8>) {
        self.list(out, |out, it| {
            let bytes = match which {
                Count::Sent => it.sent,
                Count::Received => it.header + it.body,
                Count::Body => it.body,
            };
            write(out, format_args!("{bytes}"));
        });
    }

    /// The addresses, for the log.
    pub(crate) fn addrs(&self) -> String {
        let mut out = Vec::new();
        self.write_addrs(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    fn list(&self, out: &mut Vec<u8>, item: impl Fn(&mut Vec<u8>, &Try)) {
        for (index, it) in self.0.iter().enumerate() {
            if index > 0 {
                out.extend_from_slice(b", ");
            }
            item(out, it);
        }
    }
}

/// What a request's header takes on the wire.
pub(crate) fn request_bytes(request: &RequestHeader) -> u64 {
    let line = request.method.as_str().len() + request.raw_path().len() + "  HTTP/1.1\r\n".len();
    (line + lines_bytes(&request.headers)) as u64
}

/// What an answer's header takes on the wire, its lines ended as they should be.
pub(crate) fn header_bytes(response: &ResponseHeader) -> u64 {
    let reason = response.get_reason_phrase().unwrap_or_default();
    let line = "HTTP/1.1 200 \r\n".len() + reason.len();
    (line + lines_bytes(&response.headers)) as u64
}

fn lines_bytes(headers: &HeaderMap) -> usize {
    let lines = headers.iter();
    let lines = lines.map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
    lines.sum::<usize>() + "\r\n".len()
}

fn write(out: &mut Vec<u8>, what: std::fmt::Arguments<'_>) {
    // Writing to a Vec does not fail.
    let _ = out.write_fmt(what);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_try_is_told() {
        let wait = |ms| tokio::time::advance(std::time::Duration::from_millis(ms));
        let mut tries = Tries::default();
        tries.begin("a:1");
        wait(5).await;
        tries.end(Some(502));
        tries.begin("b:2");
        wait(1).await;
        tries.connected();
        wait(1200).await;
        tries.answered(200, 40);
        tries.gave(30);
        tries.took(2);
        let shown = |time| {
            let mut out = Vec::new();
            tries.write_times(time, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(tries.addrs(), "a:1, b:2");
        assert_eq!(shown(Time::Connect), "-, 0.001");
        assert_eq!(shown(Time::Header), "-, 1.201");
        assert_eq!(shown(Time::Response), "0.005, -");
        let mut out = Vec::new();
        tries.write_statuses(&mut out);
        assert_eq!(out, b"502, 200");
        let counted = |count| {
            let mut out = Vec::new();
            tries.write_counts(count, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(counted(Count::Sent), "0, 30");
        assert_eq!(counted(Count::Received), "0, 42");
        assert_eq!(counted(Count::Body), "0, 2");
    }
}
