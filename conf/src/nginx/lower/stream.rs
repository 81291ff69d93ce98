//! The `stream` block: TCP servers that pass bytes to an upstream.

use super::super::error::{Error, Kind};
use super::super::model::{Stream, StreamServer, Upstream};
use super::super::parse::Directive;
use super::super::template::Names;
use super::{
    Lowering, Once, flag, invalid_value, listen, location, number, size_bytes, time_ms, upstream,
};

/// Greatest `proxy_buffer_size` in bytes: two of them are held for each connection.
const BUFFER_BYTES_MAX: u64 = 1 << 20;

#[derive(Debug, Clone, Default)]
struct Scope {
    connect_timeout_ms: Option<u64>,
    idle_timeout_ms: Option<u64>,
    proxy_protocol: Option<bool>,
    next: Option<bool>,
    next_tries: Option<u32>,
    next_timeout_ms: Option<u64>,
    buffer_bytes: Option<usize>,
    half_close: Option<bool>,
}

pub(super) fn stream(block: &Directive, lowering: &mut Lowering<'_>) -> Result<Stream, Error> {
    let mut stream = Stream {
        upstreams: upstream::all(block, lowering, None, &Names::default())?,
        servers: Vec::new(),
    };
    let outer = scope(block)?;
    for child in block
        .children()
        .iter()
        .filter(|child| child.name == "server")
    {
        let found = server(child, &outer, &mut stream.upstreams, lowering)?;
        stream.servers.push(found);
    }
    upstream::check_nodes(&mut stream.upstreams, false);
    Ok(stream)
}

fn server(
    block: &Directive,
    outer: &Scope,
    upstreams: &mut Vec<Upstream>,
    lowering: &mut Lowering<'_>,
) -> Result<StreamServer, Error> {
    let own = scope(block)?;
    let mut listens = Vec::new();
    let mut target = None;
    let mut once = Once::default();
    for child in block.children() {
        match child.name.as_str() {
            "listen" => listens.extend(listen::listen(child, lowering, None)?),
            "proxy_pass" => {
                once.first(child)?;
                let host = child.arg(0).unwrap_or_default();
                if host.contains('$') {
                    let message = "variables in \"proxy_pass\" are not supported by weir yet";
                    return Err(child.fault(Kind::Unsupported, message));
                }
                target = Some(upstream::find_or_make(
                    child, host, None, upstreams, lowering,
                )?);
            }
            _ => {}
        }
    }
    let Some(target) = target else {
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
        let check = upstream::health_check(child, false)?;
        location::attach_check(child, upstreams.get_mut(target), check)?;
    }
    Ok(StreamServer {
        listens,
        upstream: target,
        connect_timeout_ms: own
            .connect_timeout_ms
            .or(outer.connect_timeout_ms)
            .unwrap_or(60_000),
        idle_timeout_ms: own
            .idle_timeout_ms
            .or(outer.idle_timeout_ms)
            .unwrap_or(600_000),
        proxy_protocol: own.proxy_protocol.or(outer.proxy_protocol).unwrap_or(false),
        next: own.next.or(outer.next).unwrap_or(true),
        next_tries: own.next_tries.or(outer.next_tries).unwrap_or(0),
        next_timeout_ms: own.next_timeout_ms.or(outer.next_timeout_ms).unwrap_or(0),
        buffer_bytes: own.buffer_bytes.or(outer.buffer_bytes).unwrap_or(16 << 10),
        half_close: own.half_close.or(outer.half_close).unwrap_or(false),
        pos: block.pos.clone(),
    })
}

fn scope(block: &Directive) -> Result<Scope, Error> {
    let mut scope = Scope::default();
    let mut once = Once::default();
    for child in block.children() {
        match child.name.as_str() {
            "proxy_connect_timeout" => scope.connect_timeout_ms = Some(time_ms(child, 0)?),
            "proxy_timeout" => scope.idle_timeout_ms = Some(time_ms(child, 0)?),
            "proxy_protocol" => scope.proxy_protocol = Some(flag(child)),
            "proxy_next_upstream" => scope.next = Some(flag(child)),
            "proxy_next_upstream_tries" => scope.next_tries = Some(number(child, 0)?),
            "proxy_next_upstream_timeout" => scope.next_timeout_ms = Some(time_ms(child, 0)?),
            "proxy_half_close" => scope.half_close = Some(flag(child)),
            "proxy_buffer_size" => {
                let bytes = size_bytes(child, 0)?;
                let fits = (1..=BUFFER_BYTES_MAX).contains(&bytes);
                let bytes = usize::try_from(bytes).ok().filter(|_| fits);
                scope.buffer_bytes = Some(bytes.ok_or_else(|| invalid_value(child))?);
            }
            _ => continue,
        }
        once.first(child)?;
    }
    Ok(scope)
}
