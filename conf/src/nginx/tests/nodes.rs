//! `cluster`, `cluster_properties` and `least_load`: weir's own directives, and how nothing else
//! changes beside them.

use std::path::Path;

use super::{Names, http, load, message};
use crate::nginx::model::{Method, NodeKind, Upstream, UpstreamNodes};
use crate::nginx::{Config, Error, LoadOptions, lower, parse, table};

#[test]
fn an_upstream_may_take_its_peers_from_the_cluster() {
    let config = http(
        "upstream a { least_conn; cluster role=edge max_fails=3 fail_timeout=4s max_conns=5; }
         upstream b { least_load; cluster group=eu role=origin prefer=owner;
           server 127.0.0.1:1 backup; }
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
    assert_eq!(
        (nodes.group.as_deref(), nodes.prefer_owner),
        (Some("eu"), true)
    );
    assert_eq!(upstreams[1].method, Method::LeastLoad);
    assert_eq!(upstreams[1].servers.len(), 1);
    assert!(upstreams[2].nodes.is_none() && upstreams[2].health_check.is_none());
    assert_eq!(config.first_cluster().unwrap().pos.line, 3);
    assert!(load("events {} http {}").unwrap().first_cluster().is_none());
}

#[test]
fn nodes_are_checked_whatever_the_file_says() {
    let text = "events {} http { upstream a { cluster role=edge; } } stream {
        upstream a { cluster role=origin; } upstream b { cluster role=origin; }
        server { listen 81; proxy_pass b; health_check interval=7s; } }";
    let config = load(text).unwrap();
    let check = |upstream: &Upstream| upstream.health_check.clone().unwrap();
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
            "upstream a { cluster; }",
            "invalid number of arguments in \"cluster\" directive",
        ),
        (
            "upstream a { cluster role=edges; }",
            "invalid parameter \"role=edges\"",
        ),
        (
            "upstream a { cluster group=eu; }",
            "\"cluster\" must have \"role=edge\" or \"role=origin\"",
        ),
        (
            "upstream a { cluster role=edge; cluster role=origin; }",
            "\"cluster\" directive is duplicate",
        ),
        (
            "upstream a { cluster role=edge role=origin; }",
            "invalid parameter \"role=origin\"",
        ),
        (
            "upstream a { cluster role=edge group=; }",
            "invalid parameter \"group=\"",
        ),
        (
            "upstream a { cluster role=edge backup; }",
            "invalid parameter \"backup\"",
        ),
        (
            "upstream a { cluster role=edge weight=2; }",
            "invalid parameter \"weight=2\"",
        ),
        (
            "upstream a { cluster role=edge max_fails=x; }",
            "invalid parameter \"max_fails=x\"",
        ),
        (
            "upstream a { cluster role=edge prefer=owner; }",
            "\"prefer=owner\" is for origins in \"http\": a path must name the stream",
        ),
        (
            "upstream a { weir_nodes edges; }",
            "invalid value \"edges\" in \"weir_nodes\" directive, it must be \"edge\" or \"origin\"",
        ),
        (
            "upstream a { least_load x; cluster role=edge; }",
            "invalid number of arguments in \"least_load\" directive",
        ),
        (
            "cluster role=edge;",
            "\"cluster\" directive is not allowed here",
        ),
    ] {
        let found = message(http(inner));
        assert_eq!(found, format!("[emerg] {wanted} in t.conf:3"), "{inner}");
    }
    let text = "events {} stream { upstream a { cluster role=edge; } }";
    assert_eq!(
        message(load(text)),
        "[emerg] \"cluster\" of edges stands in \"http\" only: they take no RTMP in t.conf:1"
    );
    let text = "events {} stream { upstream a { cluster role=origin prefer=owner; } }";
    assert!(message(load(text)).starts_with("[emerg] \"prefer=owner\" is for origins"));
}

/// As it was spelt before.
#[test]
fn the_old_spelling_means_the_same() {
    let of = |inner: &str| -> UpstreamNodes {
        let found = http(inner).unwrap().http.unwrap().upstreams.remove(0);
        found.nodes.unwrap()
    };
    let old = of("upstream a { weir_nodes origin max_fails=3; }");
    assert_eq!(old, of("upstream a { cluster role=origin max_fails=3; }"));
}

fn as_nginx(text: &str) -> Result<Config, Error> {
    let options = LoadOptions {
        as_nginx: true,
        ..LoadOptions::default()
    };
    let (limits, prefix) = (&options.limits, Path::new("/etc/nginx"));
    let tree = parse::parse_text(text.as_bytes(), "t.conf", prefix, limits, &table::check)?;
    lower::lower(&tree, &options, &Names)
}

#[test]
fn as_nginx_the_file_says_where_the_store_is() {
    let nodes = "upstream a { cluster role=origin; }";
    let text = format!("events {{}} http {{ {nodes} }}");
    assert_eq!(
        message(as_nginx(&text)),
        "[emerg] \"cluster\" needs \"cluster_properties FILE\", which says where the cluster's \
         store is in t.conf:1"
    );
    for (http, stream, path) in [
        (
            "cluster_properties n.properties;",
            "",
            "/etc/nginx/n.properties",
        ),
        ("", "cluster_properties /n.properties;", "/n.properties"),
        (
            "cluster_properties a;",
            "cluster_properties a;",
            "/etc/nginx/a",
        ),
    ] {
        let text = format!("events {{}} http {{ {http} }} stream {{ {nodes} {stream} }}");
        let found = as_nginx(&text).unwrap().cluster_properties.unwrap();
        assert_eq!(found.path, Path::new(path));
    }
    let two = "events {} http { cluster_properties a; }\nstream { cluster_properties b; }";
    assert_eq!(
        message(as_nginx(two)),
        "[emerg] \"cluster_properties\" names another file already: there is one cluster in \
         t.conf:2"
    );
    // Beside other roles the node's own settings say it.
    let text = "events {} http { cluster_properties a; upstream a { cluster role=edge; } }";
    let config = load(text).unwrap();
    assert!(config.cluster_properties.is_none());
    assert_eq!(config.noops()[0].what, "cluster_properties");
}
