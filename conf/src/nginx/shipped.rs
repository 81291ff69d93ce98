//! The balancer's configuration that weir runs when it is given none: what `conf/standalone.conf` ships.
//!
//! Why text and not a ready [`super::Config`]: one way in. The all-in-one node reads this through
//! the same parser as a file of the user's, and a test holds the shipped file to it.

use std::fmt::Write as _;

use super::addr::Addr;

/// Who stands behind the balancer.
#[derive(Debug, Clone, Copy)]
pub enum Behind<'a> {
    /// Servers at these addresses.
    Servers(&'a [Addr]),
    /// The cluster's nodes of the role, as they come and go.
    Nodes,
}

/// The text of the shipped `standalone.conf` for these addresses.
///
/// HTTP comes in at `http_listen` and goes to `edges`; RTMP comes in at `rtmp_listen` and goes to
/// `origins`, each connection opened with a PROXY protocol line.
#[must_use]
pub fn default_config_text(
    http_listen: &Addr,
    rtmp_listen: &Addr,
    edges: Behind<'_>,
    origins: Behind<'_>,
) -> String {
    let mut out = String::with_capacity(2048);
    out.push_str(HEAD);
    out.push_str("http {\n    upstream weir_edge {\n        least_conn;\n");
    servers(&mut out, edges, "edge");
    out.push_str("        keepalive 64;\n    }\n\n");
    out.push_str(MAP);
    let listen = listen_text(http_listen);
    let _ = write!(
        out,
        "    server {{\n        listen {listen} default_server;\n\n"
    );
    out.push_str(HTTP_SERVER);
    out.push_str("stream {\n    upstream weir_origin {\n        least_conn;\n");
    servers(&mut out, origins, "origin");
    out.push_str("    }\n\n    server {\n");
    let _ = writeln!(out, "        listen {};", listen_text(rtmp_listen));
    out.push_str(STREAM_SERVER);
    out
}

fn servers(out: &mut String, behind: Behind<'_>, role: &str) {
    match behind {
        Behind::Nodes => {
            let _ = writeln!(out, "        cluster role={role};");
        }
        Behind::Servers(addrs) => {
            for addr in addrs {
                let _ = writeln!(out, "        server {addr};");
            }
        }
    }
}

/// An address on every interface is written as the port alone.
fn listen_text(addr: &Addr) -> String {
    match addr {
        Addr::Inet(addr) if addr.is_ipv4() && addr.ip().is_unspecified() => addr.port().to_string(),
        _ => addr.to_string(),
    }
}

const HEAD: &str = "\
worker_processes auto;

events {
    worker_connections 16384;
}

";

const MAP: &str = "\
    map $http_upgrade $connection_upgrade {
        default upgrade;
        '' '';
    }

";

const HTTP_SERVER: &str = "\
        client_max_body_size 64m;
        client_header_timeout 15s;
        keepalive_timeout 75s;

        location / {
            proxy_pass http://weir_edge;
            proxy_http_version 1.1;

            proxy_set_header Host $http_host;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;

            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;

            proxy_connect_timeout 2s;
            proxy_read_timeout 60s;
            proxy_send_timeout 60s;
            proxy_next_upstream error timeout;
            proxy_next_upstream_tries 3;
            proxy_buffering off;

            health_check interval=1s fails=2 passes=1 uri=/rest/v2/weir/node;
        }
    }
}

";

const STREAM_SERVER: &str = "\
        proxy_pass weir_origin;
        proxy_protocol on;
        proxy_connect_timeout 2s;
        proxy_timeout 10m;
        health_check interval=1s fails=2 passes=1;
    }
}
";
