//! The tries of a request on upstreams, as `$upstream_addr`, `$upstream_status` and the times
//! tell of them: one item a try, commas between, `-` for what did not come to be.

use std::io::Write as _;

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
        });
    }

    pub(crate) fn connected(&mut self) {
        if let Some(last) = self.0.last_mut() {
            last.connect_ms = Some(last.started.elapsed().as_millis());
        }
    }

    /// The header of an answer has come.
    pub(crate) fn answered(&mut self, status: u16) {
        if let Some(last) = self.0.last_mut() {
            last.status = Some(status);
            last.header_ms = Some(last.started.elapsed().as_millis());
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
        tries.answered(200);
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
    }
}
