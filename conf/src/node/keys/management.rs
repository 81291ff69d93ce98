//! Keys of the management REST and of who is believed about a client's address.

use super::super::kind::Kind;
use super::super::types::Secret;
use super::{DefaultValue, Key, Section, items, put};
use ipnet::IpNet;
use std::net::IpAddr;

const NETWORKS_MAX: usize = 256;
const NAME_BYTES_MAX: usize = 253;
const URL_BYTES_MAX: usize = 2048;
/// HS256 wants a key at least as long as its hash to be worth it; Ant Media's panel makes 32 characters.
const JWT_SECRET_BYTES: std::ops::RangeInclusive<usize> = 1..=4096;

pub(super) const MANAGEMENT: Section = Section {
    title: "Management and filters",
    keys: &[
        Key {
            name: "server.name",
            aliases: &[],
            default: DefaultValue::Unset("no name"),
            doc: "The server's name, shown by the management REST. Where it is a host name with a dot or an \
                  address, a stream's `rtmpURL` is made of it: on nodes behind a load balancer, that one's.",
            kind: Kind::Other {
                name: "text",
                expected: "a text of at most 253 bytes",
                put: |c, w| {
                    let fits = w.text.len() <= NAME_BYTES_MAX;
                    put(
                        &mut c.management.server_name,
                        fits.then(|| w.text.to_owned()),
                    )
                },
            },
        },
        Key {
            name: "server.allowed_dashboard_CIDR",
            aliases: &[],
            default: DefaultValue::Is("0.0.0.0/0"),
            doc: "Networks whose clients may reach the management REST, login included. `0.0.0.0/0` is \
                  everybody, over IPv6 too.",
            kind: Kind::Other {
                name: "networks",
                expected: "at most 256 addresses or networks (10.0.0.0/8) with commas between them",
                put: |c, w| put(&mut c.management.allowed_dashboard_cidr, networks(w.text)),
            },
        },
        Key {
            name: "trusted.proxies",
            aliases: &[],
            default: DefaultValue::Unset("this machine and the cluster's nodes alone are believed"),
            doc: "Networks of proxies before this node whose `X-Forwarded-For` is believed, beside this \
                  machine's and those of the cluster's nodes.",
            kind: Kind::Other {
                name: "networks",
                expected: "at most 256 addresses or networks (10.0.0.0/8) with commas between them",
                put: |c, w| put(&mut c.management.trusted_proxies, networks(w.text)),
            },
        },
        Key {
            name: "server.jwtServerControlEnabled",
            aliases: &[],
            default: DefaultValue::Is("false"),
            doc: "Whether the management REST takes tokens (HS256, header `ProxyAuthorization`) in place \
                  of a login.",
            kind: Kind::Flag(|c, v| c.management.jwt_control_enabled = v),
        },
        Key {
            name: "server.jwtServerSecretKey",
            aliases: &[],
            default: DefaultValue::Unset("no token is right"),
            doc: "The secret of those tokens. It is never logged; the environment variable \
                  `WEIR_SERVER_JWTSERVERSECRETKEY` keeps it out of files.",
            kind: Kind::Hidden {
                name: "secret",
                expected: "a text of at most 4096 bytes",
                put: |c, w| {
                    let fits = JWT_SECRET_BYTES.contains(&w.text.len());
                    put(
                        &mut c.management.jwt_secret_key,
                        fits.then(|| Some(Secret::new(w.text))),
                    )
                },
            },
        },
        Key {
            name: "server.jwksURL",
            aliases: &[],
            default: DefaultValue::Unset("the secret counts"),
            doc: "Where the public keys are that those tokens are signed with in place of the secret: a key \
                  set (RFC 7517), fetched from here and nowhere else.",
            kind: Kind::Other {
                name: "URL",
                expected: "an http:// or https:// URL of at most 2048 bytes, without a user or password in it",
                put: |c, w| {
                    put(
                        &mut c.management.jwks_url,
                        is_web(w.text).then(|| Some(w.text.to_owned())),
                    )
                },
            },
        },
    ],
};

/// Whether a text is a URL that may be fetched.
fn is_web(text: &str) -> bool {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let host = rest.map_or("", |rest| rest.split(['/', '?', '#']).next().unwrap_or(""));
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte);
    !host.is_empty()
        && !host.contains('@')
        && text.len() <= URL_BYTES_MAX
        && text.bytes().all(plain)
}

/// The text itself, when each item is a network.
fn networks(text: &str) -> Option<String> {
    let is_network = |item: &&str| item.parse::<IpNet>().is_ok() || item.parse::<IpAddr>().is_ok();
    let items = items(text, NETWORKS_MAX)?;
    items.iter().all(is_network).then(|| items.join(","))
}
