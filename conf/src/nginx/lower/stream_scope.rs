//! What `stream` and its servers may each say, and how a server's word goes before the block's.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::super::error::{Error, Kind};
use super::super::model::stream::{Datagrams, Preread, Rule, Who};
use super::super::parse::Directive;
use super::super::template::{self, Names, Template};
use super::{Lowering, Once, flag, invalid_parameter, invalid_value, number, size_bytes, time_ms};

/// Greatest buffer in bytes: two of them are held for each connection.
const BUFFER_BYTES_MAX: u64 = 1 << 20;

#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    pub(super) connect_timeout_ms: Option<u64>,
    pub(super) idle_timeout_ms: Option<u64>,
    pub(super) proxy_protocol: Option<bool>,
    pub(super) proxy_protocol_timeout_ms: Option<u64>,
    pub(super) next: Option<bool>,
    pub(super) next_tries: Option<u32>,
    pub(super) next_timeout_ms: Option<u64>,
    pub(super) buffer_bytes: Option<usize>,
    pub(super) half_close: Option<bool>,
    pub(super) socket_keepalive: Option<bool>,
    pub(super) paced: Values,
    preread_ssl: Option<bool>,
    preread_bytes: Option<usize>,
    preread_timeout_ms: Option<u64>,
    requests: Option<u32>,
    responses: Option<u32>,
    pub(super) real_ip_from: Option<Vec<Who>>,
    pub(super) rules: Option<Vec<Rule>>,
}

/// Directives whose value may have variables, which are read where a server has its names.
#[derive(Debug, Clone, Default)]
pub(super) struct Values(Vec<Directive>);

impl Values {
    fn or(mut self, outer: Self) -> Self {
        let fresh = |d: &Directive| self.0.iter().all(|own| own.name != d.name);
        let kept: Vec<Directive> = outer.0.into_iter().filter(fresh).collect();
        self.0.extend(kept);
        self
    }

    /// What a directive says; `off` and zero are nothing.
    pub(super) fn value(&self, name: &str, names: &Names) -> Result<Option<Template>, Error> {
        let Some(d) = self.0.iter().find(|d| d.name == name) else {
            return Ok(None);
        };
        let text = d.arg(0).unwrap_or_default();
        let template =
            template::parse_stream(text, names).map_err(|message| d.fault(Kind::Value, message))?;
        Ok(Some(template).filter(|_| !matches!(text, "off" | "0")))
    }
}

impl Scope {
    /// Reads a block; what it does not say is what holds around it.
    pub(super) fn read(
        block: &Directive,
        outer: &Self,
        lowering: &Lowering<'_>,
    ) -> Result<Self, Error> {
        let mut scope = Self::default();
        let mut once = Once::default();
        for child in block.children() {
            match child.name.as_str() {
                "allow" | "deny" => {
                    let rule = Rule {
                        allow: child.name == "allow",
                        who: who(child, lowering)?,
                    };
                    scope.rules.get_or_insert_default().push(rule);
                }
                "set_real_ip_from" => {
                    let who = who(child, lowering)?;
                    scope.real_ip_from.get_or_insert_default().push(who);
                }
                _ => {
                    if scope.one(child)? {
                        once.first(child)?;
                    }
                }
            }
        }
        Ok(scope.or(outer.clone()))
    }

    fn one(&mut self, d: &Directive) -> Result<bool, Error> {
        match d.name.as_str() {
            "proxy_connect_timeout" => self.connect_timeout_ms = Some(time_ms(d, 0)?),
            "proxy_timeout" => self.idle_timeout_ms = Some(time_ms(d, 0)?),
            "proxy_protocol" => self.proxy_protocol = Some(flag(d)),
            "proxy_protocol_timeout" => self.proxy_protocol_timeout_ms = Some(time_ms(d, 0)?),
            "proxy_next_upstream" => self.next = Some(flag(d)),
            "proxy_next_upstream_tries" => self.next_tries = Some(number(d, 0)?),
            "proxy_next_upstream_timeout" => self.next_timeout_ms = Some(time_ms(d, 0)?),
            "proxy_bind" => {
                bind(d)?;
                self.paced.0.push(d.clone());
            }
            "proxy_upload_rate" | "proxy_download_rate" => {
                if !d.arg(0).is_some_and(|text| text.contains('$')) {
                    size_bytes(d, 0)?;
                }
                self.paced.0.push(d.clone());
            }
            "proxy_socket_keepalive" => self.socket_keepalive = Some(flag(d)),
            "proxy_half_close" => self.half_close = Some(flag(d)),
            "proxy_buffer_size" => self.buffer_bytes = Some(buffer(d)?),
            "ssl_preread" => self.preread_ssl = Some(flag(d)),
            "preread_buffer_size" => self.preread_bytes = Some(buffer(d)?),
            "preread_timeout" => self.preread_timeout_ms = Some(time_ms(d, 0)?),
            "proxy_requests" => self.requests = Some(number(d, 0)?),
            "proxy_responses" => self.responses = Some(number(d, 0)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn or(self, outer: Self) -> Self {
        Self {
            connect_timeout_ms: self.connect_timeout_ms.or(outer.connect_timeout_ms),
            idle_timeout_ms: self.idle_timeout_ms.or(outer.idle_timeout_ms),
            proxy_protocol: self.proxy_protocol.or(outer.proxy_protocol),
            proxy_protocol_timeout_ms: self
                .proxy_protocol_timeout_ms
                .or(outer.proxy_protocol_timeout_ms),
            next: self.next.or(outer.next),
            next_tries: self.next_tries.or(outer.next_tries),
            next_timeout_ms: self.next_timeout_ms.or(outer.next_timeout_ms),
            buffer_bytes: self.buffer_bytes.or(outer.buffer_bytes),
            half_close: self.half_close.or(outer.half_close),
            socket_keepalive: self.socket_keepalive.or(outer.socket_keepalive),
            paced: self.paced.or(outer.paced),
            preread_ssl: self.preread_ssl.or(outer.preread_ssl),
            preread_bytes: self.preread_bytes.or(outer.preread_bytes),
            preread_timeout_ms: self.preread_timeout_ms.or(outer.preread_timeout_ms),
            requests: self.requests.or(outer.requests),
            responses: self.responses.or(outer.responses),
            real_ip_from: self.real_ip_from.or(outer.real_ip_from),
            rules: self.rules.or(outer.rules),
        }
    }

    pub(super) fn preread(&self) -> Preread {
        Preread {
            ssl: self.preread_ssl.unwrap_or(false),
            buffer_bytes: self.preread_bytes.unwrap_or(16 << 10),
            timeout_ms: self.preread_timeout_ms.unwrap_or(30_000),
        }
    }

    pub(super) fn datagrams(&self) -> Datagrams {
        Datagrams {
            requests: self.requests.unwrap_or(0),
            responses: self.responses,
        }
    }
}

/// `proxy_bind ADDRESS[:PORT] | off`
fn bind(d: &Directive) -> Result<(), Error> {
    let text = d.arg(0).unwrap_or_default();
    match d.arg(1) {
        Some("transparent") => {
            let message = "\"transparent\" in \"proxy_bind\" is not supported by weir yet";
            return Err(d.fault(Kind::Unsupported, message));
        }
        Some(other) => return Err(invalid_parameter(d, other)),
        None => {}
    }
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse::<IpAddr>().is_ok() || text.parse::<SocketAddr>().is_ok();
    if address || text == "off" || text.contains('$') {
        return Ok(());
    }
    Err(d.fault(Kind::Value, format!("invalid address \"{text}\"")))
}

fn buffer(d: &Directive) -> Result<usize, Error> {
    let bytes = size_bytes(d, 0)?;
    let fits = (1..=BUFFER_BYTES_MAX).contains(&bytes);
    let bytes = usize::try_from(bytes).ok().filter(|_| fits);
    bytes.ok_or_else(|| invalid_value(d))
}

/// `all`, `unix:`, an address, a network; a name only where nginx takes one.
fn who(d: &Directive, lowering: &Lowering<'_>) -> Result<Who, Error> {
    let text = d.arg(0).unwrap_or_default();
    match text {
        "all" if d.name != "set_real_ip_from" => return Ok(Who::All),
        "unix:" => return Ok(Who::Unix),
        _ => {}
    }
    let net = text.parse::<IpNet>().map(|net| net.trunc());
    let net = net.or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    if let Ok(net) = net {
        return Ok(Who::Net(net));
    }
    let named = lowering.resolver.resolve(text).first().copied();
    match named {
        Some(addr) if d.name == "set_real_ip_from" => Ok(Who::Net(addr.into())),
        _ => Err(d.fault(Kind::Value, format!("invalid parameter \"{text}\""))),
    }
}
