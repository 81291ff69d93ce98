//! The `stream` block: servers of TCP and UDP that pass bytes to an upstream.

use super::super::error::{Error, Kind};
use super::super::model::stream::StreamAction;
use super::super::model::{Stream, StreamServer};
use super::super::parse::Directive;
use super::super::template::{self, Names, Template};
use super::stream_scope::Scope;
use super::{Lowering, Once, listen, location, tls, upstream, variable};

pub(super) fn stream(block: &Directive, lowering: &mut Lowering<'_>) -> Result<Stream, Error> {
    let names = variable::names(block)?;
    let words = variable::Words {
        names: &names,
        parse: template::parse_stream,
        of_requests: false,
    };
    let mut stream = Stream {
        variables: variable::all(block, words)?,
        upstreams: upstream::all(block, lowering, None, &Names::default())?,
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
    upstream::check_nodes(&mut stream.upstreams, false);
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
                found = Some((StreamAction::Return(value(child, names)?), None));
            }
            "proxy_pass" => {
                once.first(child)?;
                let mut secure = None;
                if tls.proxy.on.unwrap_or(false) {
                    secure = Some(Box::new(tls.proxy.client(text, &child.pos)?));
                }
                let action = if text.contains('$') {
                    StreamAction::ProxyTo(value(child, names)?)
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

/// The first word as a value with variables.
fn value(d: &Directive, names: &Names) -> Result<Template, Error> {
    let text = d.arg(0).unwrap_or_default();
    template::parse_stream(text, names).map_err(|message| d.fault(Kind::Value, message))
}
