//! One line of the access log for a request.

use pingora::proxy::Session;

use super::proxy::{Ctx, Gateway};

impl Gateway {
    /// One line for each request, where `access_log` is on.
    pub(crate) fn log_access(&self, session: &Session, ctx: &Ctx, status: u16) {
        let request = session.req_header();
        let header = |name: &str| {
            let value = request.headers.get(name).map(|value| value.as_bytes());
            String::from_utf8_lossy(value.unwrap_or(b"-")).into_owned()
        };
        tracing::info!(
            target: "weir_lb::access",
            client = ctx.remote_text(),
            host = %ctx.host,
            request = %format_args!(
                "{} {} {:?}",
                request.method,
                String::from_utf8_lossy(request.raw_path()),
                request.version
            ),
            status,
            body_bytes_sent = session.body_bytes_sent(),
            referer = header("referer"),
            user_agent = header("user-agent"),
            upstream = %ctx.tries.addrs(),
            request_ms = u64::try_from(ctx.elapsed_ms()).unwrap_or(u64::MAX),
        );
    }
}
