//! Whether a client's connection is kept after an answer, and what the client is told of it.

use std::time::Duration;

use http::header::USER_AGENT;
use http::{HeaderMap, Method, Version};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use weir_conf::nginx::model::Common;
use weir_conf::nginx::model::guard::KeepaliveDisable;

use super::proxy::{Ctx, Gateway};

/// How long what is left of a request's body is read after the answer, so that the connection
/// can serve the next request.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

impl Gateway {
    /// Sets what the chosen location says of the client's connection.
    pub(super) fn apply(&self, session: &mut Session, ctx: &Ctx) {
        let common = self.common(ctx);
        self.set_times(session, ctx);
        if let Some(conn) = &ctx.conn {
            conn.keep(common.keepalive_timeout_ms);
        }
        if session.get_keepalive().is_some() {
            // Pingora counts seconds; anything below one is one.
            let seconds = common.keepalive_timeout_ms.div_ceil(1000);
            let kept = seconds > 0 && !is_last(session, ctx, common);
            session.set_keepalive(kept.then_some(seconds));
        }
    }

    /// The times of the client's side.
    pub(super) fn set_times(&self, session: &mut Session, ctx: &Ctx) {
        let common = self.common(ctx);
        session.set_read_timeout(Some(Duration::from_millis(common.client_body_timeout_ms)));
        session.set_write_timeout(Some(Duration::from_millis(common.send_timeout_ms)));
        session.set_total_drain_timeout(Some(DRAIN_LIMIT));
    }

    /// The second word of `keepalive_timeout`.
    pub(super) fn tell_keepalive(
        &self,
        session: &mut Session,
        ctx: &Ctx,
        response: &mut ResponseHeader,
    ) -> pingora::Result<()> {
        let seconds = self.common(ctx).guard.keepalive_header_s;
        if seconds > 0
            && session.req_header().version == Version::HTTP_11
            && session.get_keepalive().is_some()
        {
            response.insert_header("Keep-Alive", format!("timeout={seconds}"))?;
        }
        Ok(())
    }
}

/// Whether a request is the last on its connection.
fn is_last(session: &Session, ctx: &Ctx, common: &Common) -> bool {
    let Some(conn) = &ctx.conn else {
        return false;
    };
    let request = session.req_header();
    conn.requests() >= u64::from(common.keepalive_requests)
        || conn.age() >= Duration::from_millis(common.guard.keepalive_time_ms)
        || is_odd(
            common.guard.keepalive_disable,
            &request.method,
            &request.headers,
        )
}

/// `keepalive_disable`: browsers that do badly with connections that are kept.
fn is_odd(disabled: KeepaliveDisable, method: &Method, headers: &HeaderMap) -> bool {
    if !(disabled.safari || (disabled.msie6 && method == Method::POST)) {
        return false;
    }
    let agent = headers.get(USER_AGENT).and_then(|it| it.to_str().ok());
    let agent = agent.unwrap_or_default();
    let old = agent.split_once("MSIE ").is_some_and(|(_, version)| {
        version.starts_with(['4', '5']) || (version.starts_with('6') && !version.contains("SV1"))
    });
    let safari = agent.contains("Mac OS X") && agent.contains("Safari/");
    let safari = safari && !agent.contains("Chrome/");
    (disabled.msie6 && method == Method::POST && old) || (disabled.safari && safari)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_browsers_are_known_by_their_names() {
        let is_odd = |safari: bool, method: Method, agent: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(USER_AGENT, agent.parse().unwrap());
            let disabled = KeepaliveDisable {
                msie6: !safari,
                safari,
            };
            is_odd(disabled, &method, &headers)
        };
        assert!(is_odd(false, Method::POST, "x (MSIE 5.0)"));
        assert!(!is_odd(false, Method::GET, "x (MSIE 5.0)"));
        assert!(!is_odd(false, Method::POST, "x (MSIE 7.0)"));
        assert!(!is_odd(false, Method::POST, "MSIE 6.0; SV1"));
        assert!(is_odd(true, Method::GET, "Mac OS X Safari/7534.48.3"));
        assert!(!is_odd(true, Method::GET, "Mac OS X Chrome/1 Safari/7"));
    }
}
