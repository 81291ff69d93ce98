//! Lines of the error log about one request.

use pingora::proxy::Session;
use weir_conf::nginx::process::LogLevel;

use super::proxy::{Ctx, Gateway};

impl Gateway {
    /// Says something of a request, in nginx's fields and nginx's order.
    pub(super) fn say(&self, session: &Session, ctx: &Ctx, level: LogLevel, message: &str) {
        macro_rules! line {
            ($event:ident) => {
                tracing::$event!(
                    severity = level.as_str(),
                    connection = ctx.conn.as_ref().map_or(0, |conn| conn.serial),
                    client = ctx.remote_text(),
                    server = self.server_name(ctx),
                    request = %request_line(session),
                    host = %ctx.host,
                    "{message}"
                )
            };
        }
        match level {
            LogLevel::Emerg | LogLevel::Alert | LogLevel::Crit | LogLevel::Error => line!(error),
            LogLevel::Warn => line!(warn),
            LogLevel::Notice | LogLevel::Info => line!(info),
            LogLevel::Debug => line!(debug),
        }
    }

    fn server_name(&self, ctx: &Ctx) -> &str {
        let server = self.site.servers.get(ctx.server);
        let name = server.and_then(|server| server.model.names.first());
        name.map_or("", String::as_str)
    }
}

fn request_line(session: &Session) -> String {
    let request = session.req_header();
    let target = String::from_utf8_lossy(request.raw_path());
    format!("{} {target} {:?}", request.method, request.version)
}
