//! Rows of what balances and passes on: `upstream` blocks and the `proxy_` family.

use super::{Args, HSL, NONE, ONE, Row, STREAM_UPSTREAM, UPSTREAM, row};

/// These directives.
pub(super) const ROWS: &[Row] = &[
    row("keepalive_requests", UPSTREAM, ONE),
    row("keepalive_time", UPSTREAM, ONE),
    row("ip_hash", UPSTREAM, NONE),
    row("hash", UPSTREAM, Args::Between(1, 2)),
    row("random", UPSTREAM | STREAM_UPSTREAM, Args::Between(0, 2)),
    row(
        "least_time",
        UPSTREAM | STREAM_UPSTREAM,
        Args::Between(1, 2),
    ),
    row("sticky", UPSTREAM, Args::AtLeast(2)),
    row("proxy_method", HSL, ONE),
    row("proxy_pass_request_headers", HSL, Args::Flag),
    row("proxy_pass_request_body", HSL, Args::Flag),
    row("proxy_set_body", HSL, ONE),
    row("proxy_limit_rate", HSL, ONE),
    row("proxy_bind", HSL, Args::Between(1, 2)),
    row("proxy_socket_keepalive", HSL, Args::Flag),
    row("proxy_ignore_client_abort", HSL, Args::Flag),
    row("proxy_ignore_headers", HSL, Args::AtLeast(1)),
    row("proxy_pass_header", HSL, ONE),
    row("proxy_cookie_domain", HSL, Args::Between(1, 2)),
    row("proxy_cookie_path", HSL, Args::Between(1, 2)),
    row("proxy_cookie_flags", HSL, Args::Between(1, 4)),
];
