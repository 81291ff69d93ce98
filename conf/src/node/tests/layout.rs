//! Where the roles of a process listen, and where its data is.

use super::{env, errors, load, load_with, no_env};
use crate::node::{Endpoint, Layout, Listen, Roles};
use std::path::PathBuf;

fn layout(text: &str, roles: &str) -> Layout {
    load_with(text, Roles::parse(roles), no_env())
        .unwrap_or_else(|e| panic!("{e}"))
        .layout
}

/// (lb HTTP, lb RTMP, edge HTTP, origin HTTP, origin RTMP, PROXY protocol), "-" for none.
fn doors(text: &str, roles: &str) -> String {
    let l = layout(text, roles);
    let shown = [
        l.lb_http.map(|a| a.to_string()),
        l.lb_rtmp.map(|a| a.to_string()),
        l.edge_http.map(|a| a.to_string()),
        l.origin_http.map(|a| a.to_string()),
        l.origin_rtmp.map(|a| a.to_string()),
        Some(l.rtmp_proxy_protocol.to_string()),
    ];
    let shown: Vec<_> = shown.map(|s| s.unwrap_or_else(|| "-".to_owned())).into();
    shown.join(" ")
}

#[test]
fn the_first_role_owns_the_doors_and_the_others_are_behind_it() {
    let nodes = "cluster.origin.nodes=o1\n";
    assert_eq!(
        doors("", "all"),
        "0.0.0.0:5080 0.0.0.0:1935 127.0.0.1:5081 127.0.0.1:5082 127.0.0.1:19350 true"
    );
    assert_eq!(doors(nodes, "edge"), "- - 0.0.0.0:5080 - - false");
    assert_eq!(doors("", "origin"), "- - - 0.0.0.0:5080 0.0.0.0:1935 false");
    assert_eq!(
        doors("", "edge,origin"),
        "- - 0.0.0.0:5080 127.0.0.1:5082 0.0.0.0:1935 false"
    );
    assert_eq!(
        doors(nodes, "lb,edge"),
        "0.0.0.0:5080 - 127.0.0.1:5081 - - true"
    );
    let shared = "db.type=mongodb\ndb.host=db1\n";
    assert_eq!(doors(shared, "lb"), "0.0.0.0:5080 0.0.0.0:1935 - - - true");
    assert_eq!(
        doors("lb.conf=x", "all"),
        "- - 127.0.0.1:5081 127.0.0.1:5082 127.0.0.1:19350 true"
    );
}

#[test]
fn an_lb_alone_tells_of_itself_on_loopback() {
    let shared = "db.type=mongodb\ndb.host=db1\n";
    let door = |text: &str, roles| layout(text, roles).lb_admin.map(|at| at.to_string());
    assert_eq!(door(shared, "lb").as_deref(), Some("127.0.0.1:5083"));
    assert_eq!(door("", "all"), None);
    assert_eq!(door(shared, "edge"), None);
    let set = "lb.admin.listen=0.0.0.0:81\n";
    assert_eq!(door(set, "all").as_deref(), Some("0.0.0.0:81"));
    assert_eq!(door(set, "origin"), None);
    assert_eq!(errors("lb.admin.listen=127.0.0.1:5081").len(), 1);
}

#[test]
fn keys_move_the_doors() {
    let text = "http.host=127.0.0.1\nhttp.port=81\nrtmp.host=::1\nrtmp.port=82\n\
                edge.http.listen=unix:/e\norigin.http.listen=0.0.0.0:83\n\
                origin.rtmp.listen=127.0.0.1:84\nrtmp.proxy_protocol=false";
    assert_eq!(
        doors(text, "all"),
        "127.0.0.1:81 [::1]:82 unix:/e 0.0.0.0:83 127.0.0.1:84 false"
    );
    assert_eq!(
        doors("http.port=81\nrtmp.port=82", "origin"),
        "- - - 0.0.0.0:81 0.0.0.0:82 false"
    );
}

#[test]
fn two_doors_at_one_address_are_an_error() {
    assert_eq!(
        errors("origin.http.listen=127.0.0.1:5081"),
        [
            "conf/node.properties:1: edge.http.listen and origin.http.listen are both \
          127.0.0.1:5081; expected different addresses"
        ]
    );
    assert_eq!(
        errors("http.port=5081").len(),
        1,
        "0.0.0.0 takes loopback's port too"
    );
    assert_eq!(errors("rtmp.port=5080").len(), 1);
    assert_eq!(
        errors("edge.http.listen=unix:/x\norigin.http.listen=unix:/x").len(),
        1
    );
    load("http.port=0\nrtmp.port=0");
    load("http.host=127.0.0.2\nhttp.port=5081");
}

#[test]
fn ports_that_lb_conf_replaces_are_said() {
    let warnings = super::warnings("lb.conf=x\nhttp.port=81");
    assert_eq!(
        warnings,
        ["conf/node.properties:2: http.port is not used: the listen lines of lb.conf hold"]
    );
}

#[test]
fn an_origins_address_for_edges() {
    let bound = |text: &str| Listen::Tcp(text.parse().unwrap());
    let alone = layout("", "origin");
    assert_eq!(
        alone.node_address(&bound("0.0.0.0:5080")).to_string(),
        "127.0.0.1:5080"
    );
    assert_eq!(
        alone.node_address(&bound("10.0.0.7:81")).to_string(),
        "10.0.0.7:81"
    );
    let unix = Listen::Unix(PathBuf::from("/run/o.sock"));
    let expected = Endpoint::Unix(PathBuf::from("/run/o.sock"));
    assert_eq!(alone.node_address(&unix), expected);
    let named = layout("cluster.node.ip=fd00::7", "origin");
    assert_eq!(
        named.node_address(&bound("[::]:81")).to_string(),
        "[fd00::7]:81"
    );
}

#[test]
fn a_clusters_origin_must_be_reachable() {
    let text = "db.type=mongodb\ndb.host=db1\nserver.mode=origin\n";
    assert_eq!(
        super::warnings(text),
        [
            "settings: cluster.node.ip is not set: edges of other machines will ask this origin at \
          127.0.0.1"
        ]
    );
    assert_eq!(
        super::warnings(&format!("{text}cluster.node.ip=10.0.0.7")),
        [""; 0]
    );
    assert_eq!(
        super::warnings(&format!("{text}http.host=10.0.0.7")),
        [""; 0]
    );
}

#[test]
fn data_is_kept_in_the_users_folder_by_default() {
    let dir = |roles: &str, vars: &[(&str, &str)]| {
        let text = "cluster.origin.nodes=o1";
        let loaded = load_with(text, Roles::parse(roles), env(vars)).unwrap();
        loaded.layout.data_dir.to_str().unwrap().to_owned()
    };
    let home = ("HOME", "/home/u");
    assert_eq!(dir("all", &[home]), "/home/u/.local/share/weir");
    assert_eq!(
        dir("all", &[home, ("XDG_DATA_HOME", "/data")]),
        "/data/weir"
    );
    assert_eq!(
        dir("all", &[home, ("XDG_DATA_HOME", "relative")]),
        "/home/u/.local/share/weir"
    );
    assert_eq!(dir("edge", &[home]), "/home/u/.local/share/weir-edge");
    assert_eq!(
        dir("edge,origin", &[home]),
        "/home/u/.local/share/weir-edge-origin"
    );
    assert_eq!(dir("all", &[]), "weir-data");
    assert_eq!(dir("origin", &[]), "weir-data-origin");
    assert_eq!(dir("all", &[home, ("WEIR_DATA_DIR", "d")]), "d");
}
