//! Values with variables, worked out for one request.
//!
//! Units: bytes, as headers are. Limits: [`DEPTH_MAX`], so that variables made of one another end.
//! A variable without a value is empty, as in nginx. `headers` has those of headers, cookies and
//! arguments, `made` those that the file makes.

mod headers;
mod made;

use std::borrow::Cow;
use std::cell::Cell;
use std::io::Write as _;

use pingora::http::RequestHeader;
use pingora::proxy::Session;
use weir_conf::nginx::Regex;
use weir_conf::nginx::model;
use weir_conf::nginx::model::stream::StreamVar;
use weir_conf::nginx::template::{Part, Template, Var};

use super::conn::Conn;
use super::proxy::{Ctx, Gateway};
use super::reply::Reply;
use super::site::Site;
use super::tries::{Count, Time};
use super::uri;
use crate::shared_vars::{NGINX_VERSION, binary, of_time};

/// How deep a variable may be made of others.
const DEPTH_MAX: u8 = 100;

/// What variables are looked up in.
pub(crate) struct Values<'a> {
    /// The client's request.
    pub(crate) request: &'a RequestHeader,
    pub(crate) session: &'a Session,
    pub(crate) gateway: &'a Gateway,
    pub(crate) conn: Option<&'a Conn>,
    pub(crate) ctx: &'a Ctx,
    /// First `server_name` of the server.
    pub(crate) server_name: &'a str,
    pub(crate) proxy: Option<&'a model::Proxy>,
    pub(crate) site: &'a Site,
    /// The answer about to be given, if it is the balancer's own.
    pub(crate) reply: Option<&'a Reply>,
    pub(crate) depth: Cell<u8>,
}

impl Values<'_> {
    /// A template's value; no copy if it is plain text.
    pub(crate) fn value<'t>(&self, template: &'t Template) -> Cow<'t, [u8]> {
        if let Some(text) = template.as_text() {
            return Cow::Borrowed(text.as_bytes());
        }
        let mut out = Vec::with_capacity(64);
        self.write(template, &mut out);
        Cow::Owned(out)
    }

    /// Whether an expression matches; its groups are kept.
    pub(crate) fn matches(&self, regex: &Regex, subject: &[u8]) -> bool {
        self.gateway.matches(regex, subject, self.ctx)
    }

    /// `absolute_redirect`
    pub(crate) fn absolute(&self, location: Vec<u8>) -> Vec<u8> {
        self.gateway.absolute(self.session, self.ctx, location)
    }

    /// `$uri`
    pub(crate) fn path(&self) -> Cow<'_, [u8]> {
        match &self.ctx.flow.path {
            Some(path) => Cow::Borrowed(path),
            None => Cow::Borrowed(uri::split(self.request.raw_path()).0),
        }
    }

    /// `$args`
    pub(crate) fn args(&self) -> Cow<'_, [u8]> {
        match &self.ctx.flow.args {
            Some(args) => Cow::Borrowed(args),
            None => Cow::Borrowed(uri::split(self.request.raw_path()).1),
        }
    }

    fn write(&self, template: &Template, out: &mut Vec<u8>) {
        for part in &template.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Var(var) => self.variable(var, out),
            }
        }
    }

    fn variable(&self, var: &Var, out: &mut Vec<u8>) {
        match var {
            Var::Http(name) => self.header(name, out),
            Var::Arg(name) => self.argument(name, out),
            Var::Cookie(name) => self.cookie(name, out),
            Var::User(place) => self.user(*place, out),
            Var::Capture(n) => self.ctx.flow.capture(*n, out),
            Var::ContentLength => self.header("content-length", out),
            Var::ContentType => self.header("content-type", out),
            Var::Host
            | Var::Args
            | Var::IsArgs
            | Var::Uri
            | Var::RequestUri
            | Var::RequestMethod
            | Var::Request
            | Var::Scheme
            | Var::ServerProtocol
            | Var::ServerName => self.of_request(var, out),
            Var::RemoteAddr
            | Var::BinaryRemoteAddr
            | Var::RemotePort
            | Var::RealipRemoteAddr
            | Var::RealipRemotePort
            | Var::ServerAddr
            | Var::ServerPort
            | Var::Connection
            | Var::ConnectionRequests
            | Var::ConnectionTime => self.of_connection(var, out),
            Var::ProxyAddXForwardedFor => {
                let before = out.len();
                self.header("x-forwarded-for", out);
                if out.len() > before {
                    out.extend_from_slice(b", ");
                }
                self.of_connection(&Var::RemoteAddr, out);
            }
            Var::ProxyHost => {
                let target = self.ctx.target.as_ref().map(|it| it.host.as_str());
                let host = target.or(self.proxy.map(|proxy| proxy.host.as_str()));
                out.extend_from_slice(host.unwrap_or_default().as_bytes());
            }
            Var::ProxyPort => {
                let target = self.ctx.target.as_ref().map(|it| it.port);
                write_number(out, target.or(self.proxy.map(|proxy| proxy.port)));
            }
            Var::UpstreamAddr => self.ctx.tries.write_addrs(out),
            Var::UpstreamStatus => self.ctx.tries.write_statuses(out),
            Var::UpstreamConnectTime => self.ctx.tries.write_times(Time::Connect, out),
            Var::UpstreamHeaderTime => self.ctx.tries.write_times(Time::Header, out),
            Var::UpstreamResponseTime => self.ctx.tries.write_times(Time::Response, out),
            Var::UpstreamBytesSent => self.ctx.tries.write_counts(Count::Sent, out),
            Var::UpstreamBytesReceived => self.ctx.tries.write_counts(Count::Received, out),
            Var::UpstreamResponseLength => self.ctx.tries.write_counts(Count::Body, out),
            Var::RequestBody => self.request_body(out),
            Var::UpstreamHttp(name) => self.upstream_header(name, out),
            Var::UpstreamCookie(name) => self.upstream_cookie(name, out),
            Var::SentHttp(name) => self.sent_header(name, out),
            Var::Status => write_number(out, self.ctx.status),
            Var::Https if self.scheme() == "https" => out.extend_from_slice(b"on"),
            Var::Https => {}
            Var::Http2 => out.extend_from_slice(self.http2().as_bytes()),
            Var::Ssl(var) => {
                if let Some(tls) = self.conn.and_then(|conn| conn.tls.as_ref()) {
                    tls.info.write(*var, out);
                }
            }
            Var::Stream(var) => self.told(*var, out),
            _ => self.of_answer(var, out),
        }
    }

    /// `$request_body`: what was read of it, if that is all of it and it is in memory.
    fn request_body(&self, out: &mut Vec<u8>) {
        if let Some(body) = self.session.as_downstream().get_retry_buffer() {
            out.extend_from_slice(&body);
        }
    }

    /// What a PROXY header told.
    fn told(&self, var: StreamVar, out: &mut Vec<u8>) {
        let Some(told) = self.conn.and_then(|conn| conn.told) else {
            return;
        };
        match var {
            StreamVar::ProxyProtocolAddr => write_number(out, Some(told.client.ip())),
            StreamVar::ProxyProtocolPort => write_number(out, Some(told.client.port())),
            StreamVar::ProxyProtocolServerAddr => write_number(out, Some(told.server.ip())),
            StreamVar::ProxyProtocolServerPort => write_number(out, Some(told.server.port())),
            // Refused while loading.
            _ => {}
        }
    }

    /// `$http2`
    fn http2(&self) -> &'static str {
        match self.conn {
            Some(conn) if conn.is_h2 && conn.tls.is_some() => "h2",
            Some(conn) if conn.is_h2 => "h2c",
            _ => "",
        }
    }

    /// `$scheme`
    pub(crate) fn scheme(&self) -> &'static str {
        match self.conn {
            Some(conn) if conn.tls.is_some() => "https",
            _ => "http",
        }
    }

    fn of_request(&self, var: &Var, out: &mut Vec<u8>) {
        let target = self.request.raw_path();
        let method = if let Some(inner) = &self.ctx.inner {
            inner.method.as_str()
        } else if self.ctx.flow.as_get && self.request.method != http::Method::HEAD {
            "GET"
        } else {
            self.request.method.as_str()
        };
        match var {
            Var::ServerName => out.extend_from_slice(self.server_name.as_bytes()),
            Var::Host if self.ctx.host.is_empty() => {
                out.extend_from_slice(self.server_name.as_bytes());
            }
            Var::Host => out.extend_from_slice(self.ctx.host.as_bytes()),
            Var::Args => out.extend_from_slice(&self.args()),
            Var::IsArgs if !self.args().is_empty() => out.push(b'?'),
            Var::Uri => out.extend_from_slice(&self.path()),
            Var::RequestUri => {
                let origin = uri::origin_form(target);
                out.extend_from_slice(origin.as_deref().unwrap_or(target));
            }
            Var::RequestMethod => out.extend_from_slice(method.as_bytes()),
            Var::Request => {
                out.extend_from_slice(self.request.method.as_str().as_bytes());
                out.push(b' ');
                out.extend_from_slice(target);
                // Debug writes it as the request line does: HTTP/1.1.
                let _ = write!(out, " {:?}", self.request.version);
            }
            Var::Scheme => out.extend_from_slice(self.scheme().as_bytes()),
            Var::ServerProtocol => {
                let _ = write!(out, "{:?}", self.request.version);
            }
            _ => {}
        }
    }

    fn of_connection(&self, var: &Var, out: &mut Vec<u8>) {
        let Some(conn) = self.conn else { return };
        match var {
            Var::RemoteAddr => out.extend_from_slice(self.ctx.remote_text().as_bytes()),
            Var::BinaryRemoteAddr => binary(self.ctx.remote(), out),
            Var::RemotePort => {
                let port = self.ctx.remote().map(|addr| addr.port());
                write_number(out, port.filter(|port| *port > 0));
            }
            Var::RealipRemoteAddr => out.extend_from_slice(conn.remote_text.as_bytes()),
            Var::RealipRemotePort => write_number(out, conn.remote.map(|addr| addr.port())),
            Var::ServerAddr => {
                if let Some(addr) = conn.local {
                    let _ = write!(out, "{}", addr.ip());
                }
            }
            Var::ServerPort => write_number(out, conn.local.map(|addr| addr.port())),
            Var::Connection => write_number(out, Some(conn.serial)),
            Var::ConnectionRequests => write_number(out, Some(conn.requests())),
            Var::ConnectionTime => {
                let _ = write!(out, "{:.3}", conn.age().as_secs_f64());
            }
            _ => {}
        }
    }

    /// What is known of the answer, the place and the time.
    fn of_answer(&self, var: &Var, out: &mut Vec<u8>) {
        let sent = self.session.body_bytes_sent();
        match var {
            Var::Pid => write_number(out, Some(std::process::id())),
            Var::BodyBytesSent => write_number(out, Some(sent)),
            Var::BytesSent => {
                let header = self.session.response_written().map_or(0, header_bytes);
                write_number(out, Some(sent + header));
            }
            Var::RequestLength => {
                let header = self.session.to_h1_raw().len() as u64;
                write_number(out, Some(header + self.ctx.body_bytes()));
            }
            Var::RequestTime => {
                let ms = self.ctx.elapsed_ms();
                let _ = write!(out, "{}.{:03}", ms / 1000, ms % 1000);
            }
            Var::RequestCompletion if self.session.response_written().is_some() => {
                out.extend_from_slice(b"OK");
            }
            Var::RequestId => out.extend_from_slice(self.ctx.flow.id().as_bytes()),
            Var::RemoteUser => {
                if let Some((user, _)) = super::access::credentials(self.session) {
                    out.extend_from_slice(user.as_bytes());
                }
            }
            Var::DocumentRoot | Var::RealpathRoot | Var::RequestFilename => {
                self.of_files(var, out);
            }
            Var::Hostname => out.extend_from_slice(self.site.hostname.as_bytes()),
            Var::LimitRate => {
                write_number(out, Some(self.ctx.flow.limit_rate.unwrap_or(0)));
            }
            Var::LimitReqStatus => {
                let status = self.ctx.limited.requests.unwrap_or_default();
                out.extend_from_slice(status.as_bytes());
            }
            Var::LimitConnStatus => {
                let status = self.ctx.limited.connections.unwrap_or_default();
                out.extend_from_slice(status.as_bytes());
            }
            Var::NginxVersion => out.extend_from_slice(NGINX_VERSION.as_bytes()),
            Var::Pipe => out.push(b'.'),
            Var::Msec | Var::TimeLocal | Var::TimeIso8601 => of_time(var, out),
            // The rest is the cache's, if it came there.
            _ => {
                if let Some(state) = &self.ctx.cache {
                    state.write(var, out);
                }
            }
        }
    }

    fn of_files(&self, var: &Var, out: &mut Vec<u8>) {
        let root = self.value(&self.gateway.web(self.ctx).root.dir);
        match var {
            Var::DocumentRoot => out.extend_from_slice(&root),
            Var::RealpathRoot => {
                use std::os::unix::ffi::OsStrExt as _;
                if let Ok(path) = std::fs::canonicalize(std::ffi::OsStr::from_bytes(&root)) {
                    out.extend_from_slice(path.as_os_str().as_bytes());
                }
            }
            _ => {
                let file = self.gateway.file_path(self.session, self.ctx, &self.path());
                out.extend_from_slice(&file);
            }
        }
    }
}

/// About what the header took on the wire.
fn header_bytes(header: &pingora::http::ResponseHeader) -> usize {
    let lines = header.headers.iter();
    let lines: usize = lines
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    lines + "HTTP/1.1 200 OK\r\n\r\n".len()
}

fn write_number(out: &mut Vec<u8>, number: Option<impl std::fmt::Display>) {
    if let Some(number) = number {
        // Writing to a Vec does not fail.
        let _ = write!(out, "{number}");
    }
}
