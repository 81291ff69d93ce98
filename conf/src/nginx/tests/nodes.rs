//! `weir_nodes`: weir's own directive, and how nothing else changes beside it.

use super::{http, load, message};
use crate::nginx::model::NodeKind;

#[test]
fn an_upstream_may_take_its_peers_from_the_cluster() {
    let config = http(
        "upstream a { least_conn; weir_nodes edge max_fails=3 fail_timeout=4s max_conns=5; }
         upstream b { weir_nodes origin; server 127.0.0.1:1 backup; }
         upstream c { server 127.0.0.1:2; }
         server { listen 81; location / { proxy_pass http://a; } }",
    )
    .unwrap();
    let upstreams = &config.http.as_ref().unwrap().upstreams;
    let nodes = upstreams[0].nodes.as_ref().unwrap();
    assert_eq!(nodes.kind, NodeKind::Edge);
    assert_eq!(
        (nodes.max_fails, nodes.fail_timeout_ms, nodes.max_conns),
        (3, 4000, 5)
    );
    let nodes = upstreams[1].nodes.as_ref().unwrap();
    assert_eq!(nodes.kind, NodeKind::Origin);
    assert_eq!((nodes.max_fails, nodes.fail_timeout_ms), (1, 10_000));
    assert_eq!(upstreams[1].servers.len(), 1);
    assert!(upstreams[2].nodes.is_none() && upstreams[2].health_check.is_none());
    assert_eq!(config.first_weir_nodes().unwrap().pos.line, 3);
    assert!(
        load("events {} http {}")
            .unwrap()
            .first_weir_nodes()
            .is_none()
    );
}

#[test]
fn nodes_are_checked_whatever_the_file_says() {
    let text = "events {} http { upstream a { weir_nodes edge; } } stream {
        upstream a { weir_nodes origin; } upstream b { weir_nodes origin; }
        server { listen 81; proxy_pass b; health_check interval=7s; } }";
    let config = load(text).unwrap();
    let check = |upstream: &crate::nginx::model::Upstream| upstream.health_check.clone().unwrap();
    let http = config.http.unwrap();
    assert_eq!(
        check(&http.upstreams[0]).uri.as_deref(),
        Some("/rest/v2/weir/node")
    );
    let stream = config.stream.unwrap();
    let own = check(&stream.upstreams[0]);
    assert_eq!((own.uri, own.interval_ms), (None, 1000));
    assert_eq!(check(&stream.upstreams[1]).interval_ms, 7000);
}

#[test]
fn what_it_does_not_take_is_refused_with_its_line() {
    for (inner, wanted) in [
        (
            "upstream a { weir_nodes; }",
            "invalid number of arguments in \"weir_nodes\" directive",
        ),
        (
            "upstream a { weir_nodes edges; }",
            "invalid value \"edges\" in \"weir_nodes\" directive, it must be \"edge\" or \"origin\"",
        ),
        (
            "upstream a { weir_nodes edge; weir_nodes origin; }",
            "\"weir_nodes\" directive is duplicate",
        ),
        (
            "upstream a { weir_nodes edge backup; }",
            "invalid parameter \"backup\"",
        ),
        (
            "upstream a { weir_nodes edge weight=2; }",
            "invalid parameter \"weight=2\"",
        ),
        (
            "upstream a { weir_nodes edge max_fails=x; }",
            "invalid parameter \"max_fails=x\"",
        ),
        (
            "weir_nodes edge;",
            "\"weir_nodes\" directive is not allowed here",
        ),
    ] {
        let found = message(http(inner));
        assert_eq!(found, format!("[emerg] {wanted} in t.conf:3"), "{inner}");
    }
    let text = "events {} stream { upstream a { weir_nodes edge; } }";
    assert_eq!(
        message(load(text)),
        "[emerg] \"weir_nodes edge\" stands in \"http\" only: edges take no RTMP in t.conf:1"
    );
}
