//! Keys of the addresses a node listens on, and of its log.

use super::super::kind::Kind;
use super::super::types::{Listen, LogFormat, LogLevel, parse_ip, parse_tcp};
use super::{DefaultValue, Key, Section, put};

pub(super) const LISTENERS: Section = Section {
    title: "Listeners",
    keys: &[
        Key {
            name: "http.host",
            aliases: &[],
            default: DefaultValue::Is("0.0.0.0"),
            doc: "The address of this machine on which the node's HTTP door is open. The door \
                  belongs to the first of lb, edge and origin that runs in the process; those \
                  behind it listen on loopback addresses.",
            kind: Kind::Other {
                name: "address",
                expected: "an IP address of this machine, localhost, or * for every one",
                put: |c, w| put(&mut c.http.host, parse_ip(w.text)),
            },
        },
        Key {
            name: "http.port",
            aliases: &[],
            default: DefaultValue::Is("5080"),
            doc: "The port of the node's HTTP door. 0 takes any free port and names it at start.",
            kind: Kind::Port(|c, v| c.http.port = v),
        },
        Key {
            name: "http.max.connections",
            aliases: &[],
            default: DefaultValue::Is("10000"),
            doc: "The most client connections that the node's HTTP door (lb or edge) keeps open; \
                  one more is closed at once.",
            kind: Kind::Whole {
                min: 1,
                max: 1_000_000,
                unit: "connections",
                put: |c, v| c.http.max_connections = v,
            },
        },
        Key {
            name: "edge.http.listen",
            aliases: &[],
            default: DefaultValue::Unset(
                "127.0.0.1:5081 behind an lb in the same process, else `http.host:http.port`",
            ),
            doc: "Where the edge listens.",
            kind: Kind::Other {
                name: "address",
                expected: "IP:port or unix:/path",
                put: |c, w| {
                    put(
                        &mut c.http.edge_listen,
                        Listen::parse(w.text, w.base).map(Some),
                    )
                },
            },
        },
        Key {
            name: "origin.http.listen",
            aliases: &[],
            default: DefaultValue::Unset(
                "127.0.0.1:5082 behind an lb or edge in the same process, else \
                 `http.host:http.port`",
            ),
            doc: "Where the origin serves edges. Origins of a cluster need an address that other \
                  machines reach.",
            kind: Kind::Other {
                name: "address",
                expected: "IP:port or unix:/path",
                put: |c, w| {
                    put(
                        &mut c.http.origin_listen,
                        Listen::parse(w.text, w.base).map(Some),
                    )
                },
            },
        },
        Key {
            name: "lb.admin.listen",
            aliases: &[],
            default: DefaultValue::Unset(
                "127.0.0.1:5083 for an lb without an edge or origin in its process, else none: \
                 their doors tell the same",
            ),
            doc: "Where an lb answers for itself: `/metrics`, `/rest/v2/liveness` and the other \
                  REST of this node. What comes in at its other doors goes to edges and origins.",
            kind: Kind::Other {
                name: "address",
                expected: "IP:port or unix:/path",
                put: |c, w| {
                    put(
                        &mut c.http.lb_admin_listen,
                        Listen::parse(w.text, w.base).map(Some),
                    )
                },
            },
        },
        Key {
            name: "rtmp.host",
            aliases: &[],
            default: DefaultValue::Is("0.0.0.0"),
            doc: "The address of this machine on which the node's RTMP door is open. The door \
                  belongs to the lb when it runs in the process, else to the origin.",
            kind: Kind::Other {
                name: "address",
                expected: "an IP address of this machine, localhost, or * for every one",
                put: |c, w| put(&mut c.rtmp.host, parse_ip(w.text)),
            },
        },
        Key {
            name: "rtmp.port",
            aliases: &[],
            default: DefaultValue::Is("1935"),
            doc: "The port of the node's RTMP door. 0 takes any free port and names it at start.",
            kind: Kind::Port(|c, v| c.rtmp.port = v),
        },
        Key {
            name: "origin.rtmp.listen",
            aliases: &[],
            default: DefaultValue::Unset(
                "127.0.0.1:19350 behind an lb in the same process, else `rtmp.host:rtmp.port`",
            ),
            doc: "Where the origin takes RTMP.",
            kind: Kind::Other {
                name: "address",
                expected: "IP:port",
                put: |c, w| put(&mut c.rtmp.origin_listen, parse_tcp(w.text).map(Some)),
            },
        },
    ],
};

pub(super) const LOG: Section = Section {
    title: "Log",
    keys: &[
        Key {
            name: "log.level",
            aliases: &["logLevel"],
            default: DefaultValue::Is("info"),
            doc: "What is logged: everything from this level up. Upper case, as Ant Media has it, \
                  is accepted, and `ALL` for `trace`.",
            kind: Kind::Other {
                name: "word",
                expected: "off, error, warn, info, debug or trace",
                put: |c, w| put(&mut c.log.level, log_level(w.text)),
            },
        },
        Key {
            name: "log.format",
            aliases: &[],
            default: DefaultValue::Is("text"),
            doc: "`text`: lines for people. `json`: one object a line, for machines.",
            kind: Kind::Other {
                name: "word",
                expected: "text or json",
                put: |c, w| put(&mut c.log.format, log_format(w.text)),
            },
        },
    ],
};

fn log_level(text: &str) -> Option<LogLevel> {
    match text.to_ascii_lowercase().as_str() {
        "off" => Some(LogLevel::Off),
        "error" => Some(LogLevel::Error),
        "warn" => Some(LogLevel::Warn),
        "info" => Some(LogLevel::Info),
        "debug" => Some(LogLevel::Debug),
        "trace" | "all" => Some(LogLevel::Trace),
        _ => None,
    }
}

fn log_format(text: &str) -> Option<LogFormat> {
    match text {
        "text" => Some(LogFormat::Text),
        "json" => Some(LogFormat::Json),
        _ => None,
    }
}
