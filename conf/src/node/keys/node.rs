//! Keys of the node itself and its place in a cluster.

use super::super::kind::{Kind, Written};
use super::super::types::{Endpoint, Roles, Secret, ServerMode, is_host};
use super::{DefaultValue, Key, Section, TEXT_BYTES_MAX, items, name, put};
use std::path::PathBuf;

/// The port an origin is asked at when `cluster.origin.nodes` names none: `http.port`'s default.
const ORIGIN_PORT: u16 = 5080;
const APPS_MAX: usize = 256;
const APP_NAME_BYTES_MAX: usize = 64;
const ORIGIN_NODES_MAX: usize = 256;
const NODE_ID_BYTES_MAX: usize = 64;
/// What guessing cannot reach, and what a header still carries.
const CLUSTER_KEY_BYTES: std::ops::RangeInclusive<usize> = 16..=256;

pub(super) const NODE: Section = Section {
    title: "The node",
    keys: &[
        Key {
            name: "server.mode",
            aliases: &[],
            default: DefaultValue::Is("standalone"),
            doc: "Which roles this process runs when the command line names none. `standalone`: all \
                  three, with a store of its own. `cluster`: all three, as one node of a cluster. \
                  Or the roles themselves: `lb`, `edge`, `origin`, several with commas, or `all`.",
            kind: Kind::Other {
                name: "word",
                expected: "standalone, cluster, or roles: lb, edge, origin (several with commas), all",
                put: |c, w| put(&mut c.server_mode, server_mode(w.text)),
            },
        },
        Key {
            name: "apps",
            aliases: &[],
            default: DefaultValue::Is("LiveApp,WebRTCAppEE,live"),
            doc: "The applications of this node. A stream is published and watched under one of \
                  them; any other name is refused.",
            kind: Kind::Other {
                name: "list",
                expected: "at most 256 application names with commas between them, each of 1 to 64 \
                           letters, digits, '_' or '-'",
                put: |c, w| put(&mut c.apps, apps(w.text)),
            },
        },
        Key {
            name: "apps.dir",
            aliases: &[],
            default: DefaultValue::Unset("no such files are read"),
            doc: "A folder with applications' own settings in Ant Media's layout: \
                  `{apps.dir}/{app}/WEB-INF/red5-web.properties`. Applications without a file have \
                  the node's settings.",
            kind: Kind::Other {
                name: "path",
                expected: "a folder's path",
                put: |c, w| put(&mut c.apps_dir, path(w).map(Some)),
            },
        },
        Key {
            name: "data.dir",
            aliases: &[],
            default: DefaultValue::Unset(
                "`weir` in `$XDG_DATA_HOME` or `~/.local/share`, without a home `weir-data` in the \
                 working folder; a process that does not run all three roles adds their names \
                 (`weir-edge`), so that several of one user keep apart",
            ),
            doc: "The folder of what must outlive a restart: the embedded store, the node's name, the nodes that an lb saw last. It is made when it \
                  is not there. One process uses it at a time.",
            kind: Kind::Other {
                name: "path",
                expected: "a folder's path",
                put: |c, w| put(&mut c.data_dir, path(w).map(Some)),
            },
        },
        Key {
            name: "lb.conf",
            aliases: &[],
            default: DefaultValue::Unset(
                "the built-in one: HTTP at `http.host:http.port` to this node's edge, RTMP at \
                 `rtmp.host:rtmp.port` to its origin",
            ),
            doc: "The load balancer's file, in nginx syntax. Its `listen` lines then hold in place \
                  of `http.port` and `rtmp.port`.",
            kind: Kind::Other {
                name: "path",
                expected: "a file's path",
                put: |c, w| put(&mut c.lb_conf, path(w).map(Some)),
            },
        },
        Key {
            name: "shutdown.timeout",
            aliases: &[],
            default: DefaultValue::Is("10"),
            doc: "After SIGTERM or SIGINT: the longest time for open segments to be finished and \
                  running requests to be answered before the process ends.",
            kind: Kind::Seconds {
                min_ms: 0,
                max_ms: 600_000,
                put: |c, v| c.shutdown_timeout_ms = v,
            },
        },
        Key {
            name: "server.cpu_limit",
            aliases: &[],
            default: DefaultValue::Is("75"),
            doc: "Ant Media's limit of processor load above which no stream is taken. Kept and \
                  shown; this version admits whatever the load is.",
            kind: Kind::Whole {
                min: 1,
                max: 100,
                unit: "percent",
                put: |c, v| c.cpu_limit_percent = v,
            },
        },
    ],
};

pub(super) const CLUSTER: Section = Section {
    title: "Cluster",
    keys: &[
        Key {
            name: "cluster.enabled",
            aliases: &[],
            default: DefaultValue::Unset(
                "true as soon as another setting names a cluster: `server.mode=cluster`, \
                 `db.type=mongodb` or `cluster.origin.nodes`",
            ),
            doc: "Whether this node looks beyond itself. `false`: it serves only what its own \
                  origin has, and `cluster.origin.nodes` is not used.",
            kind: Kind::Flag(|c, v| c.cluster.enabled = v),
        },
        Key {
            name: "cluster.node.id",
            aliases: &[],
            default: DefaultValue::Unset("one is made at the first start and kept in `data.dir`"),
            doc: "The node's name in the store, in REST answers and in logs; no two nodes of a \
                  cluster may share one.",
            kind: Kind::Other {
                name: "text",
                expected: "1 to 64 letters, digits, '.', '_', ':' or '-'",
                put: |c, w| put(&mut c.cluster.node_id, node_id(w.text).map(Some)),
            },
        },
        Key {
            name: "cluster.node.ip",
            aliases: &[],
            default: DefaultValue::Unset("127.0.0.1, which is right on one machine only"),
            doc: "The address other nodes reach this one at. An origin that listens on every \
                  address (0.0.0.0) names this one in the store.",
            kind: Kind::Other {
                name: "address",
                expected: "an IP address or a host name, without a port",
                put: |c, w| put(&mut c.cluster.node_ip, node_ip(w.text).map(Some)),
            },
        },
        Key {
            name: "nodeGroup",
            aliases: &[],
            default: DefaultValue::Is("default"),
            doc: "The region or group this node says it belongs to, in its record and in REST.",
            kind: Kind::Other {
                name: "text",
                expected: "letters, digits, - and _, at most 64 of them",
                put: |c, w| put(&mut c.cluster.node_group, node_group(w.text)),
            },
        },
        Key {
            name: "cluster.key",
            aliases: &[],
            default: DefaultValue::Unset(
                "a random one that the first node keeps in the store for all; edges that share no \
                 store with their origins need the setting",
            ),
            doc: "The secret by which the nodes of a cluster know each other's calls (header \
                  `ClusterAuthorization`); the same on every node. It is never logged; the \
                  environment variable `WEIR_CLUSTER_KEY` keeps it out of files.",
            kind: Kind::Hidden {
                name: "secret",
                expected: "a text of 16 to 256 bytes",
                put: |c, w| put(&mut c.cluster.key, cluster_key(w.text).map(Some)),
            },
        },
        Key {
            name: "cluster.origin.nodes",
            aliases: &[],
            default: DefaultValue::Unset("origins are found through the store alone"),
            doc: "Origins that an edge asks for a stream the store does not know, for edges that \
                  share no store with them. The port is 5080 when none is named.",
            kind: Kind::Other {
                name: "list",
                expected: "at most 256 origins with commas between them, each host, host:port or \
                           unix:/path",
                put: |c, w| put(&mut c.cluster.origin_nodes, origin_nodes(w)),
            },
        },
    ],
};

fn server_mode(text: &str) -> Option<ServerMode> {
    match text {
        "standalone" => Some(ServerMode::Standalone),
        "cluster" => Some(ServerMode::Cluster),
        roles => Roles::parse(roles).map(ServerMode::Roles),
    }
}

fn apps(text: &str) -> Option<Vec<String>> {
    let mut apps = Vec::new();
    for item in items(text, APPS_MAX)? {
        let app = name(item, APP_NAME_BYTES_MAX)?;
        if !apps.contains(&app) {
            apps.push(app);
        }
    }
    Some(apps)
}

fn node_id(text: &str) -> Option<String> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"._:-".contains(&b);
    let right = (1..=NODE_ID_BYTES_MAX).contains(&text.len()) && text.bytes().all(fits);
    right.then(|| text.to_owned())
}

fn node_group(text: &str) -> Option<String> {
    let right = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let fits = !text.is_empty() && text.len() <= 64 && text.chars().all(right);
    fits.then(|| text.to_owned())
}

fn node_ip(text: &str) -> Option<String> {
    let known = text.parse::<std::net::IpAddr>().is_ok() || is_host(text);
    known.then(|| text.to_owned())
}

fn cluster_key(text: &str) -> Option<Secret> {
    CLUSTER_KEY_BYTES
        .contains(&text.len())
        .then(|| Secret::new(text))
}

fn origin_nodes(written: Written<'_>) -> Option<Vec<Endpoint>> {
    items(written.text, ORIGIN_NODES_MAX)?
        .into_iter()
        .map(|item| Endpoint::parse(item, ORIGIN_PORT, written.base))
        .collect()
}

fn path(written: Written<'_>) -> Option<PathBuf> {
    let fits = written.text.len() <= TEXT_BYTES_MAX && !written.text.contains('\0');
    fits.then(|| written.base.join(written.text))
}
