//! Values that `http`, `server` and `location` may each set, and how inner ones hide outer ones.
//!
//! A [`Scope`] is what one block sets, an [`Inherited`] what holds there. Scalars: the innermost
//! wins. Lists: the innermost block that has any wins whole.

use std::path::PathBuf;

use super::super::error::{Error, Kind};
use super::super::log::AccessLog;
use super::super::model::{AddHeader, Common, NextUpstream, Resolver};
use super::super::parse::Directive;
use super::super::template::{self, Template};
use super::super::value as values;
use super::cache::CacheScope;
use super::guard::GuardScope;
use super::gzip::GzipScope;
use super::http::Refs;
use super::passing::{Pairs, PassingScope};
use super::web::Pages;
use super::{
    Lowering, Once, invalid_parameter, invalid_value, number, resolving, rewriting, size_bytes,
    time_ms,
};

/// What one block sets itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    pub(super) client_max_body_bytes: Option<u64>,
    pub(super) client_header_timeout_ms: Option<u64>,
    pub(super) client_body_timeout_ms: Option<u64>,
    pub(super) send_timeout_ms: Option<u64>,
    pub(super) keepalive_timeout_ms: Option<u64>,
    pub(super) keepalive_requests: Option<u32>,
    pub(super) header_bytes_max: Option<u64>,
    pub(super) default_type: Option<String>,
    pub(super) access_log: Option<bool>,
    pub(super) access_logs: Option<Vec<AccessLog>>,
    pub(super) body_temp_path: Option<PathBuf>,
    pub(super) resolver: Option<Resolver>,
    pub(super) resolver_timeout_ms: Option<u64>,
    pub(super) add_headers: Option<Vec<AddHeader>>,
    pub(super) set_headers: Option<Vec<(String, Template)>>,
    pub(super) hide_headers: Option<Vec<String>>,
    pub(super) redirects: Option<Redirects>,
    pub(super) connect_timeout_ms: Option<u64>,
    pub(super) proxy_send_timeout_ms: Option<u64>,
    pub(super) read_timeout_ms: Option<u64>,
    pub(super) next: Option<NextUpstream>,
    pub(super) next_tries: Option<u32>,
    pub(super) next_timeout_ms: Option<u64>,
    pub(super) passing: PassingScope,
    pub(super) cache: CacheScope,
    pub(super) pages: Pages,
    pub(super) guard: GuardScope,
    pub(super) gzip: GzipScope,
}

/// `proxy_redirect` as written; `default` needs the location to be worked out.
#[derive(Debug, Clone, Default)]
pub(super) struct Redirects {
    pub(super) default: bool,
    pub(super) pairs: Pairs,
}

impl Scope {
    /// Reads the values a block sets; everything else in it is left to others.
    pub(super) fn read(
        block: &Directive,
        refs: &mut Refs,
        lowering: &mut Lowering<'_>,
    ) -> Result<Self, Error> {
        let mut scope = Self::default();
        let mut once = Once::default();
        for directive in block.children() {
            if scope.list(directive, refs)? || scope.access_log(directive, refs, lowering)? {
                continue;
            }
            if scope.passing.read(directive, refs, &mut once)? {
                continue;
            }
            if scope.cache.read(directive, refs, &mut once)? {
                continue;
            }
            if scope.pages.read(directive, refs, &mut once)? {
                continue;
            }
            if scope.gzip.read(directive, &mut once)? {
                continue;
            }
            if scope.guard.read(directive, refs, lowering, &mut once)? {
                continue;
            }
            if scope.scalar(directive, refs, lowering)? {
                once.first(directive)?;
            }
        }
        Ok(scope)
    }

    /// Directives of one value. Says whether it was one.
    fn scalar(
        &mut self,
        d: &Directive,
        refs: &Refs,
        lowering: &mut Lowering<'_>,
    ) -> Result<bool, Error> {
        match d.name.as_str() {
            "client_body_temp_path" => self.body_temp_path = Some(refs.path(first(d)).into()),
            "resolver" => self.resolver = Some(resolving::resolver(d, lowering)?),
            "resolver_timeout" => self.resolver_timeout_ms = Some(time_ms(d, 0)?),
            "client_max_body_size" => self.client_max_body_bytes = Some(size_bytes(d, 0)?),
            "client_header_timeout" => self.client_header_timeout_ms = Some(time_ms(d, 0)?),
            "client_body_timeout" => self.client_body_timeout_ms = Some(time_ms(d, 0)?),
            "send_timeout" => self.send_timeout_ms = Some(time_ms(d, 0)?),
            "keepalive_timeout" => {
                self.keepalive_timeout_ms = Some(time_ms(d, 0)?);
                self.guard.tell_keepalive(d)?;
            }
            "keepalive_requests" => self.keepalive_requests = Some(number(d, 0)?),
            "large_client_header_buffers" => {
                let count = values::number::<u64>(first(d)).ok_or_else(|| invalid_value(d))?;
                let bytes = count
                    .checked_mul(size_bytes(d, 1)?)
                    .filter(|bytes| *bytes > 0);
                self.header_bytes_max = Some(bytes.ok_or_else(|| invalid_value(d))?);
            }
            "default_type" => self.default_type = d.arg(0).map(str::to_owned),
            "proxy_connect_timeout" => self.connect_timeout_ms = Some(time_ms(d, 0)?),
            "proxy_send_timeout" => self.proxy_send_timeout_ms = Some(time_ms(d, 0)?),
            "proxy_read_timeout" => self.read_timeout_ms = Some(time_ms(d, 0)?),
            "proxy_next_upstream" => self.next = Some(next_upstream(d)?),
            "proxy_next_upstream_tries" => self.next_tries = Some(number(d, 0)?),
            "proxy_next_upstream_timeout" => self.next_timeout_ms = Some(time_ms(d, 0)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Directives that add to a list. Says whether it was one.
    fn list(&mut self, d: &Directive, refs: &Refs) -> Result<bool, Error> {
        let first = first(d);
        match d.name.as_str() {
            "add_header" => {
                let always = match d.arg(2) {
                    None => false,
                    Some("always") => true,
                    Some(other) => return Err(invalid_parameter(d, other)),
                };
                let header = AddHeader {
                    name: header_name(d)?,
                    value: value(d, 1, refs)?,
                    always,
                };
                self.add_headers.get_or_insert_default().push(header);
            }
            "proxy_set_header" => {
                let header = (header_name(d)?, value(d, 1, refs)?);
                self.set_headers.get_or_insert_default().push(header);
            }
            "proxy_hide_header" => {
                let name = header_name(d)?.to_ascii_lowercase();
                self.hide_headers.get_or_insert_default().push(name);
            }
            "proxy_redirect" => {
                let redirects = self.redirects.get_or_insert_default();
                match (first, d.arg(1)) {
                    ("off", None) => {}
                    ("default", None) => redirects.default = true,
                    (_, None) => return Err(invalid_parameter(d, first)),
                    (from, Some(_)) => {
                        let from = rewriting::pattern(d, from, refs)?;
                        redirects.pairs.push((from, value(d, 1, refs)?));
                    }
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn access_log(
        &mut self,
        d: &Directive,
        refs: &mut Refs,
        lowering: &mut Lowering<'_>,
    ) -> Result<bool, Error> {
        if d.name != "access_log" {
            return Ok(false);
        }
        let logs = self.access_logs.get_or_insert_default();
        if d.arg(0) == Some("off") {
            self.access_log = Some(false);
            logs.clear();
            return Ok(true);
        }
        self.access_log = Some(true);
        if lowering.options.as_nginx {
            let mut all = std::mem::take(&mut refs.logs);
            let log = all.log(d, &|d, text| value_of(d, text, refs));
            refs.logs = all;
            logs.push(log?);
            for token in d.args.iter().skip(1) {
                let (what, _) = token.text.split_once('=').unwrap_or_default();
                if matches!(what, "buffer" | "flush") {
                    let what = format!("the \"{what}\" parameter of access_log");
                    lowering.no_op(d, what, "lines are written as they come, many at once");
                }
            }
        } else {
            let what = format!("the file {} of access_log", d.arg(0).unwrap_or_default());
            lowering.no_op(d, what, "lines go to weir's own log");
        }
        Ok(true)
    }
}

/// What holds in a block: its own values before those around it.
#[derive(Debug, Clone, Default)]
pub(super) struct Inherited(pub(super) Scope);

impl Inherited {
    /// The values inside a block that sets `inner`.
    pub(super) fn with(&self, inner: Scope) -> Self {
        let outer = self.0.clone();
        Self(Scope {
            client_max_body_bytes: inner.client_max_body_bytes.or(outer.client_max_body_bytes),
            client_header_timeout_ms: inner
                .client_header_timeout_ms
                .or(outer.client_header_timeout_ms),
            client_body_timeout_ms: inner
                .client_body_timeout_ms
                .or(outer.client_body_timeout_ms),
            send_timeout_ms: inner.send_timeout_ms.or(outer.send_timeout_ms),
            keepalive_timeout_ms: inner.keepalive_timeout_ms.or(outer.keepalive_timeout_ms),
            keepalive_requests: inner.keepalive_requests.or(outer.keepalive_requests),
            header_bytes_max: inner.header_bytes_max.or(outer.header_bytes_max),
            default_type: inner.default_type.or(outer.default_type),
            access_log: inner.access_log.or(outer.access_log),
            access_logs: inner.access_logs.or(outer.access_logs),
            body_temp_path: inner.body_temp_path.or(outer.body_temp_path),
            resolver: inner.resolver.or(outer.resolver),
            resolver_timeout_ms: inner.resolver_timeout_ms.or(outer.resolver_timeout_ms),
            add_headers: inner.add_headers.or(outer.add_headers),
            set_headers: inner.set_headers.or(outer.set_headers),
            hide_headers: inner.hide_headers.or(outer.hide_headers),
            redirects: inner.redirects.or(outer.redirects),
            connect_timeout_ms: inner.connect_timeout_ms.or(outer.connect_timeout_ms),
            proxy_send_timeout_ms: inner.proxy_send_timeout_ms.or(outer.proxy_send_timeout_ms),
            read_timeout_ms: inner.read_timeout_ms.or(outer.read_timeout_ms),
            next: inner.next.or(outer.next),
            next_tries: inner.next_tries.or(outer.next_tries),
            next_timeout_ms: inner.next_timeout_ms.or(outer.next_timeout_ms),
            passing: inner.passing.within(&outer.passing),
            cache: inner.cache.within(&outer.cache),
            pages: outer.pages.with(inner.pages),
            guard: inner.guard.within(&outer.guard),
            gzip: inner.gzip.within(&outer.gzip),
        })
    }

    pub(super) fn client_header_timeout_ms(&self) -> u64 {
        self.0.client_header_timeout_ms.unwrap_or(60_000)
    }

    /// nginx's default: four buffers of 8 KiB.
    pub(super) fn header_bytes_max(&self) -> u64 {
        self.0.header_bytes_max.unwrap_or(4 * 8192)
    }

    pub(super) fn common(&self, refs: &Refs) -> Common {
        let scope = &self.0;
        Common {
            client_max_body_bytes: scope.client_max_body_bytes.unwrap_or(1 << 20),
            client_body_timeout_ms: scope.client_body_timeout_ms.unwrap_or(60_000),
            send_timeout_ms: scope.send_timeout_ms.unwrap_or(60_000),
            keepalive_timeout_ms: scope.keepalive_timeout_ms.unwrap_or(75_000),
            keepalive_requests: scope.keepalive_requests.unwrap_or(1000),
            add_headers: scope.add_headers.clone().unwrap_or_default(),
            default_type: scope
                .default_type
                .clone()
                .unwrap_or_else(|| "text/plain".to_owned()),
            access_log: scope.access_log.unwrap_or(true),
            web: scope.pages.resolve(refs),
            access_logs: scope.access_logs.clone().unwrap_or_default(),
            body_temp_path: scope.body_temp_path.clone(),
            guard: scope.guard.resolve(),
            gzip: scope.gzip.resolve(),
        }
    }

    /// `resolver` with its `resolver_timeout`, if there is one.
    pub(super) fn resolver(&self) -> Option<Resolver> {
        let timeout_ms = self.0.resolver_timeout_ms;
        self.0.resolver.clone().map(|resolver| Resolver {
            timeout_ms: timeout_ms.unwrap_or(resolver.timeout_ms),
            ..resolver
        })
    }

    /// `proxy_next_upstream`, by default `error timeout`.
    pub(super) fn next(&self) -> NextUpstream {
        self.0.next.clone().unwrap_or(NextUpstream {
            error: true,
            timeout: true,
            invalid_header: false,
            non_idempotent: false,
            statuses: Vec::new(),
        })
    }
}

fn next_upstream(d: &Directive) -> Result<NextUpstream, Error> {
    let mut next = off();
    for token in &d.args {
        match token.text.as_str() {
            "off" => return Ok(off()),
            "error" => next.error = true,
            "timeout" => next.timeout = true,
            "invalid_header" => next.invalid_header = true,
            "non_idempotent" => next.non_idempotent = true,
            "http_403" => next.statuses.push(403),
            "http_404" => next.statuses.push(404),
            "http_429" => next.statuses.push(429),
            "http_500" => next.statuses.push(500),
            "http_502" => next.statuses.push(502),
            "http_503" => next.statuses.push(503),
            "http_504" => next.statuses.push(504),
            other => {
                return Err(d.fault(Kind::Value, format!("invalid value \"{other}\"")));
            }
        }
    }
    Ok(next)
}

fn off() -> NextUpstream {
    NextUpstream {
        error: false,
        timeout: false,
        invalid_header: false,
        non_idempotent: false,
        statuses: Vec::new(),
    }
}

/// The first word as a header's name (RFC 9110 section 5.1: a token).
fn header_name(d: &Directive) -> Result<String, Error> {
    let name = d.arg(0).unwrap_or_default();
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(d.fault(Kind::Value, format!("invalid header name \"{name}\"")));
    }
    Ok(name.to_owned())
}

/// A word as a value with variables.
pub(super) fn value(d: &Directive, arg: usize, refs: &Refs) -> Result<Template, Error> {
    value_of(d, d.arg(arg).unwrap_or_default(), refs)
}

/// A text of a directive as a value with variables.
pub(super) fn value_of(d: &Directive, text: &str, refs: &Refs) -> Result<Template, Error> {
    template::parse(text, &refs.names).map_err(|message| {
        let kind = if message.contains("not supported") {
            Kind::Unsupported
        } else {
            Kind::Value
        };
        d.fault(kind, message)
    })
}

fn first(d: &Directive) -> &str {
    d.arg(0).unwrap_or_default()
}
