//! Values of the variables that a plain request needs, worked out without a request of Pingora's.
//!
//! A template with any other variable keeps its location from the short way: [`supports`] is
//! asked while loading. Values are the same as those of [`crate::http::vars`].

use std::io::Write as _;

use httparse::Header;
use weir_conf::nginx::model;
use weir_conf::nginx::model::variable::{Define, Variable};
use weir_conf::nginx::template::{Part, Template, Var};

use super::head::Head;
use crate::http::conn::Conn;
use crate::http::uri;

/// How deep maps may be made of one another.
const DEPTH_MAX: u8 = 8;

/// What is known of a request.
pub(super) struct Known<'a> {
    pub(super) head: &'a Head<'a, 'a>,
    pub(super) conn: &'a Conn,
    /// Lower case, without port.
    pub(super) host: &'a str,
    pub(super) server_name: &'a str,
    pub(super) proxy: &'a model::Proxy,
    pub(super) variables: &'a [Variable],
    /// `$upstream_addr`, once it is known.
    pub(super) peer: &'a str,
    /// `$status`, once it is known.
    pub(super) status: u16,
}

/// Whether [`Known`] has all of a template's variables.
pub(super) fn supports(template: &Template, variables: &[Variable]) -> bool {
    deep(template, variables, 0)
}

fn deep(template: &Template, variables: &[Variable], depth: u8) -> bool {
    template.parts.iter().all(|part| match part {
        Part::Text(_) => true,
        Part::Var(Var::User(place)) => {
            let define = variables.get(*place).and_then(|it| it.define.as_ref());
            let deeper = |it: &Template| depth < DEPTH_MAX && deep(it, variables, depth + 1);
            match define {
                Some(Define::Map(map)) => {
                    let regexes = map.regexes.iter().map(|(_, value)| value);
                    let mut values = map.keys.values().chain(regexes);
                    deeper(&map.source) && deeper(&map.default) && values.all(deeper)
                }
                _ => false,
            }
        }
        Part::Var(var) => is_known(var),
    })
}

fn is_known(var: &Var) -> bool {
    matches!(
        var,
        Var::Host
            | Var::Http(_)
            | Var::Args
            | Var::IsArgs
            | Var::Uri
            | Var::RequestUri
            | Var::RequestMethod
            | Var::Request
            | Var::Scheme
            | Var::RemoteAddr
            | Var::RemotePort
            | Var::ServerAddr
            | Var::ServerPort
            | Var::ServerName
            | Var::ServerProtocol
            | Var::Connection
            | Var::ConnectionRequests
            | Var::ContentLength
            | Var::ContentType
            | Var::ProxyHost
            | Var::ProxyPort
            | Var::ProxyAddXForwardedFor
            | Var::UpstreamAddr
            | Var::UpstreamStatus
            | Var::Status
            | Var::Https
            | Var::Pid
            | Var::Empty
    )
}

impl Known<'_> {
    /// Appends a template's value.
    pub(super) fn write(&self, template: &Template, out: &mut Vec<u8>) {
        for part in &template.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Var(var) => self.variable(var, out),
            }
        }
    }

    /// A template's value.
    pub(super) fn value(&self, template: &Template) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(template, &mut out);
        out
    }

    /// The headers of a name, joined as nginx does for `$http_*`.
    pub(super) fn header(&self, name: &str, out: &mut Vec<u8>) {
        let separator: &[u8] = if name == "cookie" { b"; " } else { b", " };
        let named = |it: &&Header<'_>| it.name.eq_ignore_ascii_case(name);
        for (index, header) in self.head.headers.iter().filter(named).enumerate() {
            if index > 0 {
                out.extend_from_slice(separator);
            }
            out.extend_from_slice(header.value);
        }
    }

    fn variable(&self, var: &Var, out: &mut Vec<u8>) {
        let conn = self.conn;
        match var {
            Var::Http(name) => self.header(name, out),
            Var::ContentLength => self.header("content-length", out),
            Var::ContentType => self.header("content-type", out),
            Var::User(place) => self.user(*place, out),
            Var::ProxyHost => out.extend_from_slice(self.proxy.host.as_bytes()),
            Var::ProxyPort => number(out, self.proxy.port),
            Var::UpstreamAddr => out.extend_from_slice(self.peer.as_bytes()),
            Var::UpstreamStatus | Var::Status if self.status > 0 => number(out, self.status),
            Var::Pid => number(out, std::process::id()),
            Var::RemoteAddr => out.extend_from_slice(conn.remote_text.as_bytes()),
            Var::RemotePort => port(out, conn.remote),
            Var::ServerAddr => {
                if let Some(addr) = conn.local {
                    number(out, addr.ip());
                }
            }
            Var::ServerPort => port(out, conn.local),
            Var::Connection => number(out, conn.serial),
            Var::ConnectionRequests => number(out, conn.requests()),
            Var::ProxyAddXForwardedFor => {
                let before = out.len();
                self.header("x-forwarded-for", out);
                if out.len() > before {
                    out.extend_from_slice(b", ");
                }
                out.extend_from_slice(conn.remote_text.as_bytes());
            }
            _ => self.of_request(var, out),
        }
    }

    fn of_request(&self, var: &Var, out: &mut Vec<u8>) {
        let (path, args) = uri::split(self.head.target);
        match var {
            Var::Host if self.host.is_empty() => out.extend_from_slice(self.server_name.as_bytes()),
            Var::Host => out.extend_from_slice(self.host.as_bytes()),
            Var::ServerName => out.extend_from_slice(self.server_name.as_bytes()),
            Var::Args => out.extend_from_slice(args),
            Var::IsArgs if !args.is_empty() => out.push(b'?'),
            Var::Uri => out.extend_from_slice(path),
            Var::RequestUri => out.extend_from_slice(self.head.target),
            Var::RequestMethod => out.extend_from_slice(self.head.method.as_bytes()),
            Var::Request => {
                out.extend_from_slice(self.head.method.as_bytes());
                out.push(b' ');
                out.extend_from_slice(self.head.target);
                out.extend_from_slice(b" HTTP/1.1");
            }
            Var::ServerProtocol => out.extend_from_slice(b"HTTP/1.1"),
            Var::Scheme if self.conn.tls.is_some() => out.extend_from_slice(b"https"),
            Var::Scheme => out.extend_from_slice(b"http"),
            Var::Https if self.conn.tls.is_some() => out.extend_from_slice(b"on"),
            // Those that are empty, and none else: see `is_known`.
            _ => {}
        }
    }

    fn user(&self, place: usize, out: &mut Vec<u8>) {
        let variable = self.variables.get(place);
        if let Some(Define::Map(map)) = variable.and_then(|it| it.define.as_ref()) {
            let key = self.value(&map.source);
            self.write(map.find(&key).0, out);
        }
    }
}

fn number(out: &mut Vec<u8>, number: impl std::fmt::Display) {
    // Writing to a Vec does not fail.
    let _ = write!(out, "{number}");
}

fn port(out: &mut Vec<u8>, addr: Option<std::net::SocketAddr>) {
    if let Some(addr) = addr {
        number(out, addr.port());
    }
}
