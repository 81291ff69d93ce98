//! Active health checks, as nginx Plus' `health_check`: each peer is asked at an interval; so
//! many failures in a row take it out, so many passes put it back.
//!
//! An HTTP check is a GET whose status must be 2xx or 3xx, or whose answer must be as a `match`
//! says; a TCP check is a connect. Each check is a connection of its own, bounded in time, and an
//! answer is read no further than it counts. The rule is the pure [`Record`].

mod matching;

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
use matching::{ANSWER_BYTES_MAX, judge};

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
        if check.jitter_ms > 0 {
            tokio::time::sleep(Duration::from_millis(fastrand::u64(..=check.jitter_ms))).await;
        }
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
    let matching = check.matching.as_deref();
    let whole = matching.is_some_and(|it| it.body.is_some());
    // HTTP/1.0 where the body counts: it comes in one piece then.
    let version = if whole { "1.0" } else { "1.1" };
    let request = format!(
        "GET {uri} HTTP/{version}\r\nHost: {host}\r\nUser-Agent: weir-health-check\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::with_capacity(512);
    let done = |answer: &[u8]| match matching {
        None => answer.contains(&b'\n'),
        Some(_) if whole => false,
        Some(_) => answer.windows(4).any(|it| it == b"\r\n\r\n"),
    };
    let bytes_max = matching.map_or(STATUS_LINE_BYTES_MAX, |_| ANSWER_BYTES_MAX);
    while !done(&answer) && answer.len() < bytes_max {
        if stream.read_buf(&mut answer).await? == 0 {
            break;
        }
    }
    judge(&answer, matching).map_err(std::io::Error::other)
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
            mandatory: false,
            persistent: false,
            jitter_ms: 0,
            matching: None,
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
}
