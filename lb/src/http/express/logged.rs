//! A plain request that is done, in the access logs.

use tokio::time::Instant;

use super::door::{Job, Short};
use super::head::{self, Parsed};
use super::known::Known;
use crate::http::conn::Conn;
use crate::http::downstream::Downstream;
use crate::http::failure;
use crate::http::host::host_name;
use crate::http::log::Finished;
use crate::http::site::Location;

/// What is told of it.
pub(super) struct Ended<'e> {
    pub(super) down: &'e Downstream,
    pub(super) conn: &'e Conn,
    pub(super) job: &'e Job,
    pub(super) location: &'e Location,
    pub(super) peer: &'e str,
    /// Zero if the client left before there was one.
    pub(super) status: u16,
    /// Bytes of the body.
    pub(super) sent: u64,
    pub(super) started: Instant,
}

impl Short {
    /// Reads a request's header once more: it lies where it came. `None` cannot be.
    pub(super) fn with_known<T>(
        &self,
        down: &Downstream,
        conn: &Conn,
        job: &Job,
        what: impl FnOnce(Known<'_>) -> T,
    ) -> Option<T> {
        let mut room = head::room();
        let Parsed::Whole(head) = head::parse(down.ahead(), &mut room) else {
            return None;
        };
        let host = host_name(head.host)?;
        let server = self.site.servers.get(job.server)?;
        let (_, proxy) = self.way(server.locations.get(job.location)?)?;
        Some(what(self.known(&head, conn, &host, server, &proxy.model)))
    }

    /// Writes its lines.
    pub(super) fn logged(&self, ended: &Ended<'_>) {
        let common = &ended.location.common;
        let logs = self
            .logs
            .as_ref()
            .filter(|_| !common.access_logs.is_empty());
        if logs.is_none() && !common.access_log {
            return;
        }
        let status = match ended.status {
            0 => failure::unanswered(),
            status => status,
        };
        let ms = ended.started.elapsed().as_millis();
        self.with_known(ended.down, ended.conn, ended.job, |known| {
            let known = Known {
                peer: ended.peer,
                status,
                ..known
            };
            if common.access_log {
                log_line(&known, status, ended.sent, ms);
            }
            let Some(logs) = logs else { return };
            let mut authorization = Vec::new();
            known.header("authorization", &mut authorization);
            let finished = Finished {
                status,
                body_bytes_sent: ended.sent,
                request_ms: ms,
                authorization: std::str::from_utf8(&authorization).ok(),
            };
            for log in &common.access_logs {
                logs.write(log, &finished, |template, out| known.write(template, out));
            }
        });
    }
}

/// The line of a process that does not run as nginx.
fn log_line(known: &Known<'_>, status: u16, sent: u64, ms: u128) {
    let header = |name: &str| {
        let mut value = Vec::new();
        known.header(name, &mut value);
        match value.as_slice() {
            [] => "-".to_owned(),
            value => String::from_utf8_lossy(value).into_owned(),
        }
    };
    tracing::info!(
        target: "weir_lb::access",
        client = %known.conn.remote_text,
        host = %known.host,
        request = %format_args!(
            "{} {} HTTP/1.1",
            known.head.method,
            String::from_utf8_lossy(known.head.target)
        ),
        status,
        body_bytes_sent = sent,
        referer = header("referer"),
        user_agent = header("user-agent"),
        upstream = %known.peer,
        request_ms = u64::try_from(ms).unwrap_or(u64::MAX),
    );
}
