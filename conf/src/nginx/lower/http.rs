//! The `http` block: maps first, then upstreams, then servers, so that order in the file does
//! not matter for references between them.

use super::super::addr;
use super::super::error::{Error, Kind};
use super::super::log::Logs;
use super::super::model::{Http, Server, Upstream};
use super::super::parse::Directive;
use super::listen::Place;
use super::scope::{Inherited, Scope, value_of};
use super::{Lowering, location, map, tls, upstream};

/// What locations refer to.
pub(super) struct Refs {
    pub(super) maps: Vec<String>,
    pub(super) upstreams: Vec<Upstream>,
    pub(super) logs: Logs,
}

impl Refs {
    pub(super) fn map_names(&self) -> Vec<&str> {
        self.maps.iter().map(String::as_str).collect()
    }
}

pub(super) fn http(block: &Directive, lowering: &mut Lowering<'_>) -> Result<Http, Error> {
    let mut http = Http::default();
    for child in block.children().iter().filter(|child| child.name == "map") {
        http.maps.push(map::map(child, &http.maps)?);
    }
    let mut refs = Refs {
        maps: http.maps.iter().map(|map| map.name.clone()).collect(),
        upstreams: upstream::all(block, lowering, Some(80))?,
        logs: Logs::default(),
    };
    refs.logs = logs(block, &refs)?;
    let mut outer = Inherited::default();
    if let Some(path) = lowering.options.access_log.as_ref() {
        outer.0.access_logs = Some(vec![refs.logs.plain(path)]);
    }
    let scope = Scope::read(block, &mut refs, lowering)?;
    let outer = outer.with(scope);
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
    upstream::check_nodes(&mut http.upstreams, true);
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
        locations: Vec::new(),
        ret: None,
        client_header_timeout_ms: inherited.client_header_timeout_ms(),
        header_bytes_max: inherited.header_bytes_max(),
        tls: None,
        http2: tls.http2.unwrap_or(false),
        common: inherited.common(),
        pos: block.pos.clone(),
    };
    for child in block.children() {
        match child.name.as_str() {
            "listen" => server
                .listens
                .extend(super::listen::listen(child, lowering, Place::Http)?),
            "server_name" => {
                for token in &child.args {
                    server.names.push(server_name(child, &token.text)?);
                }
            }
            "return" if server.ret.is_none() => {
                server.ret = Some(location::return_(child, refs)?);
            }
            "location" => {
                let location = location::location(child, &inherited, &tls, refs, lowering)?;
                let same = server.locations.iter().any(|other| {
                    other.path == location.path
                        && (other.matching == super::super::model::Match::Exact)
                            == (location.matching == super::super::model::Match::Exact)
                });
                if same {
                    let message = format!("duplicate location \"{}\"", location.path);
                    return Err(child.fault(Kind::Value, message));
                }
                server.locations.push(location);
            }
            _ => {}
        }
    }
    if server.listens.is_empty() {
        let all = addr::Addr::Inet((std::net::Ipv4Addr::UNSPECIFIED, 80).into());
        server.listens.push(super::listen::plain(all, block));
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

/// A server's name, lower case; a wildcard only as a whole first or last label.
fn server_name(directive: &Directive, text: &str) -> Result<String, Error> {
    if text.starts_with('~') {
        let message = "regular expressions in \"server_name\" are not supported by weir yet";
        return Err(directive.fault(Kind::Unsupported, message));
    }
    let bad = match text.as_bytes() {
        [b'*', b'.', _, ..] | [b'.', _, ..] => text.ends_with(".*"),
        [b'*' | b'.', ..] => true,
        _ => text.ends_with('*') && !text.ends_with(".*"),
    };
    if bad {
        return Err(directive.fault(Kind::Value, format!("server name \"{text}\" is invalid")));
    }
    Ok(text.to_ascii_lowercase())
}
