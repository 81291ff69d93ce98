//! Values with variables, worked out for one request.
//!
//! Units: bytes, as headers are. Limits: maps only use the maps before them, so that there is no
//! loop. A variable without a value is empty, as in nginx.

use std::borrow::Cow;
use std::io::Write as _;

use pingora::http::RequestHeader;
use weir_conf::nginx::model::stream::StreamVar;
use weir_conf::nginx::model::{self, Map};
use weir_conf::nginx::template::{Part, Template, Var};

use super::conn::Conn;
use super::proxy::Ctx;
use super::uri;

/// What variables are looked up in.
pub(crate) struct Values<'a> {
    /// The client's request.
    pub(crate) request: &'a RequestHeader,
    pub(crate) conn: Option<&'a Conn>,
    pub(crate) ctx: &'a Ctx,
    /// First `server_name` of the server.
    pub(crate) server_name: &'a str,
    pub(crate) proxy: Option<&'a model::Proxy>,
    pub(crate) maps: &'a [Map],
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
            Var::Arg(name) => out.extend_from_slice(self.argument(name).unwrap_or_default()),
            Var::Cookie(name) => self.cookie(name, out),
            Var::Map(index) => self.map(*index, out),
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
            | Var::ServerProtocol => {
                self.of_request(var, out);
            }
            Var::RemoteAddr
            | Var::RemotePort
            | Var::ServerAddr
            | Var::ServerPort
            | Var::Connection => self.of_connection(var, out),
            Var::ProxyAddXForwardedFor => {
                self.header("x-forwarded-for", out);
                if !out.is_empty() && self.request.headers.contains_key("x-forwarded-for") {
                    out.extend_from_slice(b", ");
                }
                self.of_connection(&Var::RemoteAddr, out);
            }
            Var::ServerName => out.extend_from_slice(self.server_name.as_bytes()),
            Var::ProxyHost => {
                out.extend_from_slice(self.proxy.map_or("", |proxy| &proxy.host).as_bytes());
            }
            Var::ProxyPort => write_number(out, self.proxy.map(|proxy| proxy.port)),
            Var::UpstreamAddr => out.extend_from_slice(self.ctx.upstream_addrs.as_bytes()),
            Var::UpstreamStatus => out.extend_from_slice(self.ctx.upstream_statuses.as_bytes()),
            Var::Status => write_number(out, self.ctx.status),
            Var::Https if self.scheme() == "https" => out.extend_from_slice(b"on"),
            Var::Https => {}
            Var::Ssl(var) => {
                if let Some(tls) = self.conn.and_then(|conn| conn.tls.as_ref()) {
                    tls.info.write(*var, out);
                }
            }
            Var::Stream(var) => {
                let told = self.conn.and_then(|conn| conn.told);
                match var {
                    StreamVar::ProxyProtocolAddr => {
                        write_number(out, told.map(|it| it.client.ip()))
                    }
                    StreamVar::ProxyProtocolPort => {
                        write_number(out, told.map(|it| it.client.port()));
                    }
                    StreamVar::ProxyProtocolServerAddr => {
                        write_number(out, told.map(|it| it.server.ip()));
                    }
                    StreamVar::ProxyProtocolServerPort => {
                        write_number(out, told.map(|it| it.server.port()));
                    }
                    // Refused while loading.
                    _ => {}
                }
            }
            Var::Pid => write_number(out, Some(std::process::id())),
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
        let (path, args) = uri::split(target);
        match var {
            Var::Host if self.ctx.host.is_empty() => {
                out.extend_from_slice(self.server_name.as_bytes());
            }
            Var::Host => out.extend_from_slice(self.ctx.host.as_bytes()),
            Var::Args => out.extend_from_slice(args),
            Var::IsArgs if !args.is_empty() => out.push(b'?'),
            Var::Uri => match &self.ctx.path {
                Some(normalised) => out.extend_from_slice(normalised),
                None => out.extend_from_slice(path),
            },
            Var::RequestUri => {
                out.extend_from_slice(uri::origin_form(target).unwrap_or(target));
            }
            Var::RequestMethod => out.extend_from_slice(self.request.method.as_str().as_bytes()),
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
            Var::RemoteAddr => out.extend_from_slice(conn.remote_text.as_bytes()),
            Var::RemotePort => write_number(out, conn.remote.map(|addr| addr.port())),
            Var::ServerAddr => {
                if let Some(addr) = conn.local {
                    let _ = write!(out, "{}", addr.ip());
                }
            }
            Var::ServerPort => write_number(out, conn.local.map(|addr| addr.port())),
            Var::Connection => write_number(out, Some(conn.serial)),
            _ => {}
        }
    }

    /// Several headers of a name are joined, as nginx does for `$http_*`.
    fn header(&self, name: &str, out: &mut Vec<u8>) {
        let separator: &[u8] = if name == "cookie" { b"; " } else { b", " };
        for (index, value) in self.request.headers.get_all(name).iter().enumerate() {
            if index > 0 {
                out.extend_from_slice(separator);
            }
            out.extend_from_slice(value.as_bytes());
        }
    }

    fn argument(&self, name: &str) -> Option<&[u8]> {
        let (_, args) = uri::split(self.request.raw_path());
        args.split(|byte| *byte == b'&').find_map(|pair| {
            let at = pair.iter().position(|byte| *byte == b'=')?;
            let (key, value) = pair.split_at(at);
            key.eq_ignore_ascii_case(name.as_bytes())
                .then(|| value.get(1..).unwrap_or_default())
        })
    }

    fn cookie(&self, name: &str, out: &mut Vec<u8>) {
        for header in self.request.headers.get_all("cookie") {
            for pair in header.as_bytes().split(|byte| *byte == b';') {
                let pair = pair.trim_ascii();
                let Some(at) = pair.iter().position(|byte| *byte == b'=') else {
                    continue;
                };
                let (key, value) = pair.split_at(at);
                if key.eq_ignore_ascii_case(name.as_bytes()) {
                    out.extend_from_slice(value.get(1..).unwrap_or_default());
                    return;
                }
            }
        }
    }

    fn map(&self, index: usize, out: &mut Vec<u8>) {
        let Some(map) = self.maps.get(index) else {
            return;
        };
        let key = self.value(&map.source).to_ascii_lowercase();
        let entry = map
            .entries
            .iter()
            .find(|(other, _)| other.as_bytes() == key);
        self.write(entry.map_or(&map.default, |(_, value)| value), out);
    }
}

fn write_number(out: &mut Vec<u8>, number: Option<impl std::fmt::Display>) {
    if let Some(number) = number {
        // Writing to a Vec does not fail.
        let _ = write!(out, "{number}");
    }
}
