//! The `stream` block: servers of TCP and UDP that pass bytes to an upstream.

use std::net::SocketAddr;

use super::super::error::{Error, Kind};
use super::super::model::stream::StreamAction;
use super::super::model::{Stream, StreamServer};
use super::super::parse::Directive;
use super::super::template::{self, Names, Template};
use super::stream_scope::Scope;
use super::{Lowering, Once, cluster, host_name, listen, location, tls, upstream, variable};

pub(super) fn stream(block: &Directive, lowering: &mut Lowering<'_>) -> Result<Stream, Error> {
    let names = variable::names(block)?;
    let words = variable::Words {
        names: &names,
        parse: template::parse_stream,
        of_requests: false,
    };
    let mut stream = Stream {
        variables: variable::all(block, words)?,
        upstreams: upstream::all(block, lowering, None, words)?,
        servers: Vec::new(),
    };
    let outer = Scope::read(block, &Scope::default(), lowering)?;
    let outer_tls = tls::Scope::read(block, &tls::Scope::default(), lowering)?;
    for child in block
        .children()
        .iter()
        .filter(|child| child.name == "server")
    {
        let found = server(child, (&outer, &outer_tls), &mut stream, &names, lowering)?;
        stream.servers.push(found);
    }
    cluster::check_nodes(&mut stream.upstreams, false);
    Ok(stream)
}

fn server(
    block: &Directive,
    (outer, outer_tls): (&Scope, &tls::Scope),
    stream: &mut Stream,
    names: &Names,
    lowering: &mut Lowering<'_>,
) -> Result<StreamServer, Error> {
    let scope = Scope::read(block, outer, lowering)?;
    let tls = tls::Scope::read(block, outer_tls, lowering)?;
    let mut listens = Vec::new();
    for child in block.children() {
        if child.name == "listen" {
            let found = listen::listen(child, lowering, listen::Place::Stream)?;
            listens.extend(found);
        }
    }
    let (mut server_names, mut name_regexes) = (Vec::new(), Vec::new());
    let mut sets = Vec::new();
    for child in block.children() {
        if child.name == "server_name" {
            for token in &child.args {
                let (name, regex) = host_name::host_name(child, &token.text)?;
                server_names.push(name);
                name_regexes.extend(regex);
            }
        } else if child.name == "set" {
            let name = variable::made(child, 0)?.to_ascii_lowercase();
            let place = names.find(&name).unwrap_or_default();
            sets.push((place, value(child, 1, names)?));
        }
    }
    let Some((action, proxy_tls)) = action(block, &tls, stream, names, lowering)? else {
        return Err(block.fault(Kind::Value, "no handler for server"));
    };
    if listens.is_empty() {
        return Err(block.fault(Kind::Value, "no \"listen\" is defined for server"));
    }
    for child in block
        .children()
        .iter()
        .filter(|child| child.name == "health_check")
    {
        let StreamAction::Proxy(target) = action else {
            let message = "\"health_check\" needs a \"proxy_pass\" to an upstream beside it";
            return Err(child.fault(Kind::Value, message));
        };
        let check = super::checks::health_check(child, false, &[])?;
        location::attach_check(child, stream.upstreams.get_mut(target), check)?;
    }
    Ok(StreamServer {
        listens,
        names: server_names,
        name_regexes,
        sets,
        action,
        preread: scope.preread(),
        datagrams: scope.datagrams(),
        proxy_protocol_timeout_ms: scope.proxy_protocol_timeout_ms.unwrap_or(30_000),
        real_ip_from: scope.real_ip_from.unwrap_or_default(),
        rules: scope.rules.unwrap_or_default(),
        tls: tls.server(tls.alpn(), tls.handshake_timeout_ms(), &block.pos)?,
        proxy_tls,
        connect_timeout_ms: scope.connect_timeout_ms.unwrap_or(60_000),
        idle_timeout_ms: scope.idle_timeout_ms.unwrap_or(600_000),
        proxy_protocol: scope.proxy_protocol.unwrap_or(false),
        next: scope.next.unwrap_or(true),
        next_tries: scope.next_tries.unwrap_or(0),
        next_timeout_ms: scope.next_timeout_ms.unwrap_or(0),
        buffer_bytes: scope.buffer_bytes.unwrap_or(16 << 10),
        half_close: scope.half_close.unwrap_or(false),
        bind: scope.paced.value("proxy_bind", names)?,
        socket_keepalive: scope.socket_keepalive.unwrap_or(false),
        upload_rate: scope.paced.value("proxy_upload_rate", names)?,
        download_rate: scope.paced.value("proxy_download_rate", names)?,
        pos: block.pos.clone(),
    })
}

type Acting = (
    StreamAction,
    Option<Box<super::super::model::tls::ProxyTls>>,
);

/// `proxy_pass` or `return`: the one handler of a server.
fn action(
    block: &Directive,
    tls: &tls::Scope,
    stream: &mut Stream,
    names: &Names,
    lowering: &Lowering<'_>,
) -> Result<Option<Acting>, Error> {
    let mut found = None;
    let mut once = Once::default();
    for child in block.children() {
        let text = child.arg(0).unwrap_or_default();
        match child.name.as_str() {
            "return" => {
                once.first(child)?;
                found = Some((StreamAction::Return(value(child, 0, names)?), None));
            }
            "pass" => {
                once.first(child)?;
                found = Some((StreamAction::Pass(pass(child, text, names)?), None));
            }
            "proxy_pass" => {
                once.first(child)?;
                let mut secure = None;
                if tls.proxy.on.unwrap_or(false) {
                    secure = Some(Box::new(tls.proxy.client(text, &child.pos)?));
                }
                let action = if text.contains('$') {
                    StreamAction::ProxyTo(value(child, 0, names)?)
                } else {
                    let upstreams = &mut stream.upstreams;
                    let place = upstream::find_or_make(child, text, None, upstreams, lowering)?;
                    StreamAction::Proxy(place)
                };
                found = Some((action, secure));
            }
            _ => {}
        }
    }
    Ok(found)
}

/// `pass`: an address, or a value that is one.
fn pass(d: &Directive, text: &str, names: &Names) -> Result<Template, Error> {
    let address = text.strip_prefix("unix:").is_some() || text.parse::<SocketAddr>().is_ok();
    if !address && !text.contains('$') {
        let port = text
            .parse::<u16>()
            .ok()
            .map(|port| format!("0.0.0.0:{port}"));
        let star = text
            .strip_prefix("*:")
            .map(|port| format!("0.0.0.0:{port}"));
        let known = port
            .or(star)
            .filter(|text| text.parse::<SocketAddr>().is_ok());
        let message = || format!("invalid address \"{text}\" in \"pass\" directive");
        return known
            .map(|text| Template::text(&text))
            .ok_or_else(|| d.fault(Kind::Value, message()));
    }
    value(d, 0, names)
}

/// A word as a value with variables.
fn value(d: &Directive, arg: usize, names: &Names) -> Result<Template, Error> {
    let text = d.arg(arg).unwrap_or_default();
    template::parse_stream(text, names).map_err(|message| d.fault(Kind::Value, message))
}
