//! The `http` block: variables first, then upstreams, then servers, so that order in the file
//! does not matter for references between them.

use std::path::PathBuf;
use std::sync::Arc;

use super::super::addr;
use super::super::error::{Error, Kind};
use super::super::log::Logs;
use super::super::model::cache::CachePath;
use super::super::model::{CheckMatch, Http, Server, Upstream};
use super::super::parse::Directive;
use super::super::template::{self, Names};
use super::limits::Zones;
use super::location::{self, Place};
use super::scope::{Inherited, Scope, value_of};
use super::{
    Lowering, cache, checks, cluster, host_name, listen, script, tls, upstream, variable, web,
};

/// What locations refer to.
pub(super) struct Refs {
    pub(super) names: Names,
    pub(super) upstreams: Vec<Upstream>,
    /// Where relative paths begin.
    prefix: PathBuf,
    pub(super) logs: Logs,
    /// `match` blocks by name.
    pub(super) matches: Vec<(String, Arc<CheckMatch>)>,
    /// `proxy_cache_path`
    pub(super) caches: Vec<CachePath>,
    /// What requests and connections are counted in.
    pub(super) zones: Zones,
}

impl Refs {
    /// Where relative paths begin.
    pub(super) fn prefix(&self) -> &std::path::Path {
        &self.prefix
    }

    /// A path of the file's, made absolute.
    pub(super) fn path(&self, text: &str) -> String {
        web::absolute(&self.prefix, text)
    }
}

pub(super) fn http(block: &Directive, lowering: &mut Lowering<'_>) -> Result<Http, Error> {
    let names = variable::names(block)?;
    let words = variable::Words {
        names: &names,
        parse: template::parse,
        of_requests: true,
    };
    let mut http = Http {
        variables: variable::all(block, words)?,
        ..Http::default()
    };
    let mut refs = Refs {
        upstreams: upstream::all(block, lowering, Some(80), words)?,
        names,
        prefix: lowering.prefix.clone(),
        logs: Logs::default(),
        matches: checks::matches(block)?,
        caches: cache::paths(block, lowering)?,
        zones: Zones::default(),
    };
    refs.zones = Zones::of(block, &|d, text| value_of(d, text, &refs))?;
    refs.logs = logs(block, &refs)?;
    let mut outer = Inherited::default();
    if let Some(path) = lowering.options.access_log.as_ref() {
        outer.0.access_logs = Some(vec![refs.logs.plain(path)]);
    }
    let scope = Scope::read(block, &mut refs, lowering)?;
    let outer = outer.with(scope);
    upstream::give_resolver(&mut refs.upstreams, outer.resolver().as_ref())?;
    let outer_tls = tls::Scope::read(block, &tls::Scope::default(), lowering)?;
    for child in block
        .children()
        .iter()
        .filter(|child| child.name == "server")
    {
        http.servers
            .push(server(child, &outer, &outer_tls, &mut refs, lowering)?);
    }
    http.upstreams = refs.upstreams;
    http.logs = refs.logs;
    http.caches = refs.caches;
    cluster::check_nodes(&mut http.upstreams, true);
    http.request_zones = refs.zones.requests;
    http.connection_zones = refs.zones.connections;
    Ok(http)
}

/// Every format that the block has, wherever it stands in it.
fn logs(block: &Directive, refs: &Refs) -> Result<Logs, Error> {
    let read = |d: &Directive, text: &str| value_of(d, text, refs);
    let mut logs = Logs::new(&read, block)?;
    let formats = block.children().iter();
    for child in formats.filter(|child| child.name == "log_format") {
        logs.format(child, &read)?;
    }
    Ok(logs)
}

fn server(
    block: &Directive,
    outer: &Inherited,
    outer_tls: &tls::Scope,
    refs: &mut Refs,
    lowering: &mut Lowering<'_>,
) -> Result<Server, Error> {
    let tls = tls::Scope::read(block, outer_tls, lowering)?;
    let inherited = outer.with(Scope::read(block, refs, lowering)?);
    let mut server = Server {
        listens: Vec::new(),
        names: Vec::new(),
        name_regexes: Vec::new(),
        locations: Vec::new(),
        roots: Vec::new(),
        script: Vec::new(),
        client_header_timeout_ms: inherited.client_header_timeout_ms(),
        merge_slashes: inherited.0.guard.merge_slashes.unwrap_or(true),
        ignore_invalid_headers: inherited.0.guard.ignore_invalid_headers.unwrap_or(true),
        underscores: inherited.0.guard.underscores.unwrap_or(false),
        headers_max: inherited.0.guard.headers_max.unwrap_or(1000),
        header_bytes_max: inherited.header_bytes_max(),
        tls: None,
        http2: tls.http2.unwrap_or(false),
        common: inherited.common(refs),
        pos: block.pos.clone(),
    };
    for child in block.children() {
        match child.name.as_str() {
            "listen" => {
                server
                    .listens
                    .extend(listen::listen(child, lowering, listen::Place::Http)?)
            }
            "server_name" => {
                for token in &child.args {
                    let (name, regex) = host_name::host_name(child, &token.text)?;
                    server.names.push(name);
                    server.name_regexes.extend(regex);
                }
            }
            "location" => {
                let place = Place {
                    inherited: &inherited,
                    tls: &tls,
                    parent: None,
                };
                let index =
                    location::location(child, place, &mut server.locations, refs, lowering)?;
                location::check_twice(child, index, &server.roots, &server.locations)?;
                server.roots.push(index);
            }
            _ => {}
        }
    }
    server.script = script::ops(block, refs, &mut |inner, refs| {
        let nested = &mut |inner: &Directive, _: &mut Refs| {
            Err(inner.fault(Kind::NotAllowed, "\"if\" directive is not allowed here"))
        };
        Ok((script::ops(inner, refs, nested)?, None))
    })?;
    if server.listens.is_empty() {
        let all = addr::Addr::Inet((std::net::Ipv4Addr::UNSPECIFIED, 80).into());
        server.listens.push(listen::plain(all, block));
    }
    server.http2 |= server.listens.iter().any(|listen| listen.http2);
    let spoken = if server.http2 {
        &["h2", "http/1.1"][..]
    } else {
        &["http/1.1"][..]
    };
    let alpn = spoken.iter().map(|&name| name.to_owned()).collect();
    server.tls = tls.server(alpn, server.client_header_timeout_ms, &block.pos)?;
    Ok(server)
}
