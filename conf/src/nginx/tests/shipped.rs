//! The shipped `lb.conf` is what the built-in text is, and both load.

use std::net::SocketAddr;
use std::path::Path;

use crate::nginx::model::NodeKind;
use crate::nginx::parse::{self, Directive, Limits};
use crate::nginx::{Addr, Behind, LoadOptions, default_config_text, load_text};

const SHIPPED: &str = include_str!("../../../lb.conf");

fn addr(text: &str) -> Addr {
    Addr::Inet(text.parse::<SocketAddr>().unwrap())
}

/// The words and blocks, without places and comments.
fn shape(directives: &[Directive]) -> String {
    directives
        .iter()
        .map(|directive| {
            let words: Vec<&str> = directive
                .args
                .iter()
                .map(|token| token.text.as_str())
                .collect();
            let block = directive.block.as_deref().map(shape);
            format!("{} {words:?} {block:?}\n", directive.name)
        })
        .collect()
}

fn shape_of(text: &str) -> String {
    let limits = Limits::default();
    let tree = parse::parse_text(text.as_bytes(), "t", Path::new(""), &limits, &parse::any);
    shape(&tree.unwrap().directives)
}

#[test]
fn the_shipped_file_is_the_built_in_text() {
    let built_in = default_config_text(
        &addr("0.0.0.0:5080"),
        &addr("0.0.0.0:1935"),
        Behind::Servers(&[addr("127.0.0.1:5081")]),
        Behind::Servers(&[addr("127.0.0.1:19350")]),
    );
    assert_eq!(shape_of(SHIPPED), shape_of(&built_in));
}

#[test]
fn the_built_in_text_loads_for_any_addresses() {
    let text = default_config_text(
        &addr("127.0.0.1:0"),
        &Addr::Unix("/run/rtmp.sock".into()),
        Behind::Servers(&[addr("[::1]:5081"), Addr::Unix("/run/edge.sock".into())]),
        Behind::Servers(&[addr("127.0.0.1:19350"), addr("127.0.0.2:19350")]),
    );
    let options = LoadOptions {
        allow_port_zero: true,
        ..LoadOptions::default()
    };
    let config = load_text(&text, "built-in", Path::new(""), &options).unwrap();
    let http = config.http.unwrap();
    assert_eq!(http.upstreams[0].servers.len(), 2);
    assert_eq!(http.servers[0].listens[0].addr.to_string(), "127.0.0.1:0");
    let stream = config.stream.unwrap();
    assert_eq!(stream.upstreams[0].servers.len(), 2);
    assert!(stream.servers[0].proxy_protocol);
    assert_eq!(config.warnings, Vec::<String>::new());
}

#[test]
fn the_shipped_file_loads_and_says_what_has_no_effect() {
    let config = load_text(SHIPPED, "lb.conf", Path::new(""), &LoadOptions::default()).unwrap();
    let names: Vec<&str> = config
        .noops()
        .iter()
        .map(|no_op| no_op.what.as_str())
        .collect();
    assert_eq!(names, ["proxy_buffering"]);
}

#[test]
fn the_clusters_file_is_the_built_in_text_before_nodes() {
    let built_in = default_config_text(
        &addr("127.0.0.10:5080"),
        &addr("127.0.0.10:1935"),
        Behind::Nodes,
        Behind::Nodes,
    );
    assert_eq!(
        shape_of(include_str!("../../../cluster/lb.conf")),
        shape_of(&built_in)
    );
    let config = load_text(
        &built_in,
        "built-in",
        Path::new(""),
        &LoadOptions::default(),
    )
    .unwrap();
    let edges = &config.http.as_ref().unwrap().upstreams[0];
    let origins = &config.stream.as_ref().unwrap().upstreams[0];
    let kind = |upstream: &crate::nginx::model::Upstream| upstream.nodes.as_ref().map(|it| it.kind);
    assert_eq!(
        (kind(edges), kind(origins)),
        (Some(NodeKind::Edge), Some(NodeKind::Origin))
    );
    assert!(edges.servers.is_empty() && origins.servers.is_empty());
}
