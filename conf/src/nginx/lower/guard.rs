//! Values of [`Guard`] that `http`, `server` and `location` may each set. Inheritance as in
//! [`super::scope`].

use std::sync::Arc;

use ipnet::IpNet;

use super::super::error::{Error, Kind};
use super::super::model::guard::{
    Guard, KeepaliveDisable, LimitConn, LimitReq, Limits, RealIp, ToldBy,
};
use super::super::model::stream::Who;
use super::super::model::web::Target;
use super::super::parse::Directive;
use super::super::process::LogLevel;
use super::super::template::Template;
use super::super::value as values;
use super::http::Refs;
use super::scope::value;
use super::{Lowering, Once, flag, invalid_value, limits, number, script, time_ms};

/// What one block sets itself.
#[derive(Debug, Clone, Default)]
pub(super) struct GuardScope {
    believed: Option<Vec<Who>>,
    told_by: Option<ToldBy>,
    recursive: Option<bool>,
    requests: LimitScope<LimitReq>,
    connections: LimitScope<LimitConn>,
    rate: Option<Template>,
    rate_after: Option<Template>,
    /// Empty is `off`.
    auth_request: Option<String>,
    auth_sets: Option<Vec<(Target, Template)>>,
    auth_delay_ms: Option<u64>,
    pub(super) merge_slashes: Option<bool>,
    pub(super) ignore_invalid_headers: Option<bool>,
    pub(super) underscores: Option<bool>,
    pub(super) headers_max: Option<usize>,
    keepalive_time_ms: Option<u64>,
    keepalive_disable: Option<KeepaliveDisable>,
    keepalive_header_s: Option<u64>,
}

/// What one block says of limits of one kind.
#[derive(Debug, Clone)]
struct LimitScope<L> {
    all: Option<Vec<L>>,
    status: Option<u16>,
    log_level: Option<LogLevel>,
    dry_run: Option<bool>,
}

impl<L> Default for LimitScope<L> {
    fn default() -> Self {
        Self {
            all: None,
            status: None,
            log_level: None,
            dry_run: None,
        }
    }
}

impl<L: Clone> LimitScope<L> {
    /// The part of a directive's name after that of the limit itself.
    fn read(&mut self, d: &Directive, rest: &str) -> Result<bool, Error> {
        match rest {
            "_status" => self.status = Some(limits::status(d)?),
            "_log_level" => self.log_level = Some(limits::log_level(d)?),
            "_dry_run" => self.dry_run = Some(flag(d)),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn within(self, outer: Self) -> Self {
        Self {
            all: self.all.or(outer.all),
            status: self.status.or(outer.status),
            log_level: self.log_level.or(outer.log_level),
            dry_run: self.dry_run.or(outer.dry_run),
        }
    }

    fn resolve(&self) -> Limits<L> {
        let usual = Limits::default();
        Limits {
            all: self.all.clone().unwrap_or(usual.all),
            status: self.status.unwrap_or(usual.status),
            log_level: self.log_level.unwrap_or(usual.log_level),
            dry_run: self.dry_run.unwrap_or(usual.dry_run),
        }
    }
}

impl GuardScope {
    /// Reads one directive. Says whether it was one of these.
    pub(super) fn read(
        &mut self,
        d: &Directive,
        refs: &Refs,
        lowering: &Lowering<'_>,
        once: &mut Once,
    ) -> Result<bool, Error> {
        match d.name.as_str() {
            "set_real_ip_from" => {
                self.believed
                    .get_or_insert_default()
                    .extend(who(d, lowering)?);
                return Ok(true);
            }
            "limit_req" => {
                let limit = refs.zones.limit_req(d)?;
                let all = self.requests.all.get_or_insert_default();
                check_zone(d, all.iter().any(|other| other.zone == limit.zone))?;
                all.push(limit);
                return Ok(true);
            }
            "limit_conn" => {
                let limit = refs.zones.limit_conn(d)?;
                let all = self.connections.all.get_or_insert_default();
                check_zone(d, all.iter().any(|other| other.zone == limit.zone))?;
                all.push(limit);
                return Ok(true);
            }
            "auth_request" => {
                let path = d.arg(0).unwrap_or_default();
                self.auth_request = Some(if path == "off" { "" } else { path }.to_owned());
            }
            "auth_request_set" => {
                let set = (script::target(d, refs)?, value(d, 1, refs)?);
                self.auth_sets.get_or_insert_default().push(set);
                return Ok(true);
            }
            "auth_delay" => self.auth_delay_ms = Some(time_ms(d, 0)?),
            "merge_slashes" => self.merge_slashes = Some(flag(d)),
            "ignore_invalid_headers" => self.ignore_invalid_headers = Some(flag(d)),
            "underscores_in_headers" => self.underscores = Some(flag(d)),
            "max_headers" => self.headers_max = Some(number(d, 0)?),
            "keepalive_time" => self.keepalive_time_ms = Some(time_ms(d, 0)?),
            "keepalive_disable" => self.keepalive_disable = Some(keepalive_disable(d)?),
            "limit_rate" => self.rate = Some(size(d, refs)?),
            "limit_rate_after" => self.rate_after = Some(size(d, refs)?),
            "real_ip_header" => {
                let name = d.arg(0).unwrap_or_default();
                self.told_by = Some(match name {
                    "proxy_protocol" => ToldBy::ProxyProtocol,
                    name => ToldBy::Header(name.to_ascii_lowercase()),
                });
            }
            "real_ip_recursive" => self.recursive = Some(flag(d)),
            name => {
                let found = match (
                    name.strip_prefix("limit_req"),
                    name.strip_prefix("limit_conn"),
                ) {
                    (Some(rest), _) => self.requests.read(d, rest)?,
                    (_, Some(rest)) => self.connections.read(d, rest)?,
                    _ => false,
                };
                if !found {
                    return Ok(false);
                }
            }
        }
        once.first(d)?;
        Ok(true)
    }

    /// The values inside a block that sets these.
    pub(super) fn within(self, outer: &Self) -> Self {
        let outer = outer.clone();
        Self {
            believed: self.believed.or(outer.believed),
            told_by: self.told_by.or(outer.told_by),
            recursive: self.recursive.or(outer.recursive),
            requests: self.requests.within(outer.requests),
            connections: self.connections.within(outer.connections),
            auth_request: self.auth_request.or(outer.auth_request),
            auth_sets: self.auth_sets.or(outer.auth_sets),
            auth_delay_ms: self.auth_delay_ms.or(outer.auth_delay_ms),
            merge_slashes: self.merge_slashes.or(outer.merge_slashes),
            ignore_invalid_headers: self.ignore_invalid_headers.or(outer.ignore_invalid_headers),
            underscores: self.underscores.or(outer.underscores),
            headers_max: self.headers_max.or(outer.headers_max),
            keepalive_time_ms: self.keepalive_time_ms.or(outer.keepalive_time_ms),
            keepalive_disable: self.keepalive_disable.or(outer.keepalive_disable),
            keepalive_header_s: self.keepalive_header_s.or(outer.keepalive_header_s),
            rate: self.rate.or(outer.rate),
            rate_after: self.rate_after.or(outer.rate_after),
        }
    }

    /// With nginx's defaults for what is not set.
    pub(super) fn resolve(&self) -> Guard {
        let real_ip = self.believed.clone().map(|from| {
            let usual = || ToldBy::Header("x-real-ip".to_owned());
            Arc::new(RealIp {
                from,
                told_by: self.told_by.clone().unwrap_or_else(usual),
                recursive: self.recursive.unwrap_or(false),
            })
        });
        let is_set = |size: &Template| size.as_text() != Some("0");
        Guard {
            real_ip,
            requests: self.requests.resolve(),
            connections: self.connections.resolve(),
            auth_request: self.auth_request.clone().filter(|path| !path.is_empty()),
            auth_sets: self.auth_sets.clone().unwrap_or_default(),
            auth_delay_ms: self.auth_delay_ms.unwrap_or(0),
            keepalive_time_ms: self.keepalive_time_ms.unwrap_or(3_600_000),
            keepalive_disable: self.keepalive_disable.unwrap_or(KeepaliveDisable {
                msie6: true,
                safari: false,
            }),
            keepalive_header_s: self.keepalive_header_s.unwrap_or(0),
            rate: self.rate.clone().filter(is_set),
            rate_after: self.rate_after.clone().filter(is_set),
        }
    }
}

impl GuardScope {
    /// The second word of `keepalive_timeout`: what the client is told.
    pub(super) fn tell_keepalive(&mut self, d: &Directive) -> Result<(), Error> {
        if d.args.len() > 1 {
            self.keepalive_header_s = Some(time_ms(d, 1)? / 1000);
        }
        Ok(())
    }
}

fn keepalive_disable(d: &Directive) -> Result<KeepaliveDisable, Error> {
    let mut all = KeepaliveDisable::default();
    for token in &d.args {
        match token.text.as_str() {
            "none" => all = KeepaliveDisable::default(),
            "msie6" => all.msie6 = true,
            "safari" => all.safari = true,
            other => {
                return Err(d.fault(Kind::Value, format!("invalid value \"{other}\"")));
            }
        }
    }
    Ok(all)
}

/// A size, or variables that come to one.
fn size(d: &Directive, refs: &Refs) -> Result<Template, Error> {
    let size = value(d, 0, refs)?;
    match size.as_text() {
        Some(text) if values::size_bytes(text).is_none() => Err(invalid_value(d)),
        _ => Ok(size),
    }
}

fn check_zone(d: &Directive, is_taken: bool) -> Result<(), Error> {
    if is_taken {
        let message = format!("\"{}\" directive is duplicate", d.name);
        return Err(d.fault(Kind::Value, message));
    }
    Ok(())
}

/// `unix:`, an address, a network, or every address of a name.
fn who(d: &Directive, lowering: &Lowering<'_>) -> Result<Vec<Who>, Error> {
    let text = d.arg(0).unwrap_or_default();
    if text == "unix:" {
        return Ok(vec![Who::Unix]);
    }
    if let Ok(net) = super::variable::network(d, text) {
        return Ok(vec![Who::Net(net)]);
    }
    let named = lowering.resolver.resolve(text);
    if named.is_empty() {
        let message = format!("host not found in set_real_ip_from \"{text}\"");
        return Err(d.fault(Kind::Host, message));
    }
    Ok(named
        .into_iter()
        .map(|it| Who::Net(IpNet::from(it)))
        .collect())
}
