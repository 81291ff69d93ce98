//! Active health checks, as nginx Plus' `health_check`: each peer is asked at an interval; so
//! many failures in a row take it out, so many passes put it back.
//!
//! An HTTP check is a GET whose status must be 2xx or 3xx; a TCP check is a connect. Each check
//! is a connection of its own, bounded in time, and an answer is read no further than its first
//! line. The rule is the pure [`Record`].

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use weir_conf::nginx::Addr;
use weir_conf::nginx::model::HealthCheck;

use crate::group::{Group, Peer};

/// Longest first line of an answer that is read, in bytes.
const STATUS_LINE_BYTES_MAX: usize = 1024;

/// A peer's checks so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    healthy: bool,
    /// Checks in a row that contradict `healthy`.
    against: u32,
}

impl Record {
    /// Peers of the file are taken for well until a check says otherwise, nodes of the cluster
    /// for ill.
    pub(crate) fn new(healthy: bool) -> Self {
        Self {
            healthy,
            against: 0,
        }
    }

    /// Takes in a check's result; the new state if it changed.
    pub(crate) fn observe(&mut self, passed: bool, check: &HealthCheck) -> Option<bool> {
        if passed == self.healthy {
            self.against = 0;
            return None;
        }
        self.against = self.against.saturating_add(1);
        let needed = if self.healthy {
            check.fails
        } else {
            check.passes
        };
        if self.against < needed {
            return None;
        }
        self.healthy = passed;
        self.against = 0;
        Some(passed)
    }
}

/// Starts a checking task for each peer that the configuration gave a group with a
/// `health_check`.
pub(crate) fn spawn(group: &Arc<Group>, tracker: &TaskTracker, stop: &CancellationToken) {
    for peer in group.peers().into_iter().filter(|peer| peer.fixed) {
        spawn_one(group, peer, tracker, stop.clone());
    }
}

/// Starts the checking task of one peer, if its group has a `health_check`.
pub(crate) fn spawn_one(
    group: &Arc<Group>,
    peer: Arc<Peer>,
    tracker: &TaskTracker,
    stop: CancellationToken,
) {
    let Some(check) = group.check.clone() else {
        return;
    };
    let group = Arc::clone(group);
    tracker.spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = watch(&group, &peer, &check) => {}
        }
    });
}

async fn watch(group: &Group, peer: &Peer, check: &HealthCheck) {
    let mut record = Record::new(peer.is_healthy());
    let mut ticks = tokio::time::interval(Duration::from_millis(check.interval_ms));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let result = ask(&peer.addr, &group.name, check).await;
        let Some(healthy) = record.observe(result.is_ok(), check) else {
            continue;
        };
        group.set_healthy(peer, healthy);
        let (upstream, peer) = (&group.name, &peer.name);
        match result {
            Ok(()) => tracing::info!(%upstream, %peer, "peer is healthy"),
            Err(reason) => tracing::warn!(%upstream, %peer, reason, "peer is unhealthy"),
        }
    }
}

/// One check. The error is for the log.
async fn ask(addr: &Addr, host: &str, check: &HealthCheck) -> Result<(), String> {
    let limit = Duration::from_millis(check.timeout_ms);
    match tokio::time::timeout(limit, ask_unbounded(addr, host, check)).await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err("timed out".to_owned()),
    }
}

async fn ask_unbounded(addr: &Addr, host: &str, check: &HealthCheck) -> std::io::Result<()> {
    match addr {
        Addr::Inet(addr) => {
            let mut addr = *addr;
            if let Some(port) = check.port {
                addr.set_port(port);
            }
            http(TcpStream::connect(addr).await?, host, check).await
        }
        Addr::Unix(path) => http(UnixStream::connect(path).await?, host, check).await,
    }
}

/// The HTTP part, if the check has one.
async fn http<S>(mut stream: S, host: &str, check: &HealthCheck) -> std::io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Some(uri) = &check.uri else { return Ok(()) };
    let request = format!(
        "GET {uri} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: weir-health-check\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut line = Vec::with_capacity(64);
    let mut chunk = [0_u8; 256];
    while !line.contains(&b'\n') && line.len() < STATUS_LINE_BYTES_MAX {
        let count = stream.read(&mut chunk).await?;
        if count == 0 {
            break;
        }
        line.extend_from_slice(chunk.get(..count).unwrap_or_default());
    }
    match status(&line) {
        Some(200..=399) => Ok(()),
        Some(status) => Err(std::io::Error::other(format!("status {status}"))),
        None => Err(std::io::Error::other("not an HTTP answer")),
    }
}

/// The status in `HTTP/1.x NNN …` (RFC 9112 section 4).
fn status(answer: &[u8]) -> Option<u16> {
    let rest = answer.strip_prefix(b"HTTP/1.")?;
    let digits = rest.get(1..5)?.strip_prefix(b" ")?;
    let ends = rest
        .get(5)
        .is_some_and(|byte| matches!(byte, b' ' | b'\r' | b'\n'));
    let text = std::str::from_utf8(digits).ok()?;
    let plain = ends && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(fails: u32, passes: u32) -> HealthCheck {
        HealthCheck {
            interval_ms: 1,
            fails,
            passes,
            port: None,
            uri: None,
            timeout_ms: 1,
        }
    }

    #[test]
    fn state_changes_after_so_many_in_a_row() {
        let check = check(2, 3);
        let mut record = Record::new(true);
        let mut see = |passed| record.observe(passed, &check);
        assert_eq!(
            [see(false), see(true), see(false), see(false)],
            [None, None, None, Some(false)]
        );
        assert_eq!([see(false), see(true), see(true), see(false)], [None; 4]);
        assert_eq!([see(true), see(true), see(true)], [None, None, Some(true)]);
        assert_eq!([see(false), see(false)], [None, Some(false)]);
        let mut new = Record::new(false);
        let mut see = |passed| new.observe(passed, &check);
        assert_eq!([see(false), see(true), see(true)], [None; 3]);
        assert_eq!(see(true), Some(true));
    }

    #[test]
    fn status_lines() {
        assert_eq!(status(b"HTTP/1.1 200 OK\r\n"), Some(200));
        assert_eq!(status(b"HTTP/1.0 503\r\n"), Some(503));
        for bad in [
            "",
            "HTTP/1.1",
            "HTTP/1.1 20",
            "HTTP/1.1 2000 ",
            "HTTP/2 200 ",
            "HTTP/1.1 x00 ",
        ] {
            assert_eq!(status(bad.as_bytes()), None, "{bad:?}");
        }
    }
}
