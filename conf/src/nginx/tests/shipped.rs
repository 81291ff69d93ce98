//! The shipped `standalone.conf` is what the built-in text is; all shipped files load.

use std::net::SocketAddr;
use std::path::Path;

use crate::nginx::model::{Method, NodeKind};
use crate::nginx::parse::{self, Directive, Limits};
use crate::nginx::{Addr, Behind, LoadOptions, default_config_text, load_text};

const SHIPPED: &str = include_str!("../../../standalone.conf");

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
    let config = load_text(
        SHIPPED,
        "standalone.conf",
        Path::new(""),
        &LoadOptions::default(),
    )
    .unwrap();
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

fn as_nginx(text: &str) -> crate::nginx::Config {
    let options = LoadOptions {
        as_nginx: true,
        ..LoadOptions::default()
    };
    load_text(text, "t.conf", Path::new("/etc/weir"), &options).unwrap()
}

#[test]
fn the_file_of_a_whole_cluster_names_no_node() {
    let config = as_nginx(include_str!("../../../lb.conf"));
    assert_eq!(config.warnings, Vec::<String>::new());
    let told = config.cluster_properties.as_ref().unwrap();
    assert_eq!(told.path, Path::new("/etc/weir/cluster/lb.properties"));
    let (http, stream) = (
        config.http.as_ref().unwrap(),
        config.stream.as_ref().unwrap(),
    );
    let all = http.upstreams.iter().chain(&stream.upstreams);
    let shown: Vec<_> = all
        .map(|it| {
            let nodes = it.nodes.as_ref().unwrap();
            assert!(it.servers.is_empty(), "{}", it.name);
            (it.name.as_str(), &it.method, nodes.kind, nodes.prefer_owner)
        })
        .collect();
    let wanted = [
        ("weir_edge", &Method::LeastConn, NodeKind::Edge, false),
        ("weir_origin", &Method::LeastLoad, NodeKind::Origin, true),
        ("weir_publish", &Method::LeastLoad, NodeKind::Origin, false),
    ];
    assert_eq!(shown, wanted);
}

#[test]
fn ant_medias_layout_has_its_doors() {
    let config = as_nginx(include_str!("../../../ant-media-lb.conf"));
    assert_eq!(config.warnings, Vec::<String>::new());
    assert!(config.first_cluster().is_none());
    let (http, stream) = (config.http.unwrap(), config.stream.unwrap());
    let doors = http.servers.iter().flat_map(|it| &it.listens);
    let doors: Vec<_> = doors
        .chain(stream.servers.iter().flat_map(|it| &it.listens))
        .map(|it| (it.addr.to_string(), it.ssl, it.udp))
        .collect();
    let wanted = [
        ("80", false, false),
        ("443", true, false),
        ("5080", false, false),
        ("5443", true, false),
        ("4444", true, false),
        ("4445", false, false),
        ("1935", false, false),
        ("1936", true, false),
        ("4200", false, true),
    ];
    assert_eq!(
        doors,
        wanted.map(|(port, ssl, udp)| (format!("0.0.0.0:{port}"), ssl, udp))
    );
}
