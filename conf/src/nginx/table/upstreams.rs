//! Rows of what balances and passes on: `upstream` blocks and the `proxy_` family.

use super::{
    Args, HSL, HTTP, NONE, ONE, Row, SHARED, STREAM, STREAM_UPSTREAM, STREAMED, TWO, UPSTREAM,
    as_nginx, block, no_op, row,
};

const HELD: &str = "a body is held in one piece up to 64k, a longer one in a file without a name";

/// These directives.
pub(super) const ROWS: &[Row] = &[
    no_op("proxy_buffering", HSL, Args::Flag, STREAMED),
    row("proxy_request_buffering", HSL, Args::Flag),
    row("client_body_temp_path", HSL, Args::Between(1, 4)),
    no_op("client_body_buffer_size", HSL, ONE, HELD),
    no_op("client_body_in_file_only", HSL, ONE, HELD),
    no_op("client_body_in_single_buffer", HSL, Args::Flag, HELD),
    row("resolver", HSL | UPSTREAM, Args::AtLeast(1)),
    row("resolver_timeout", HSL | UPSTREAM, ONE),
    no_op("proxy_buffers", HSL, TWO, STREAMED),
    no_op("proxy_buffer_size", HSL, ONE, STREAMED),
    no_op("proxy_busy_buffers_size", HSL, ONE, STREAMED),
    no_op("proxy_max_temp_file_size", HSL, ONE, STREAMED),
    no_op("proxy_temp_path", HSL, Args::Between(1, 4), STREAMED),
    row("server", UPSTREAM | STREAM_UPSTREAM, Args::AtLeast(1)),
    row("cluster", UPSTREAM | STREAM_UPSTREAM, Args::AtLeast(1)),
    // As `cluster` was spelt before.
    row("weir_nodes", UPSTREAM | STREAM_UPSTREAM, Args::AtLeast(1)),
    block("match", HTTP, ONE),
    row("weir_retry_budget", UPSTREAM, Args::Between(1, 2)),
    row("weir_outlier_ejection", UPSTREAM, Args::Between(0, 5)),
    as_nginx(
        "cluster_properties",
        HTTP | STREAM,
        ONE,
        "the node's own settings say where the store is",
    ),
    row("least_load", UPSTREAM | STREAM_UPSTREAM, NONE),
    row("least_conn", UPSTREAM | STREAM_UPSTREAM, NONE),
    row("keepalive", UPSTREAM, Args::Between(1, 2)),
    row("keepalive_timeout", UPSTREAM, ONE),
    no_op(
        "zone",
        UPSTREAM | STREAM_UPSTREAM,
        Args::Between(1, 2),
        SHARED,
    ),
    row("keepalive_requests", UPSTREAM, ONE),
    row("keepalive_time", UPSTREAM, ONE),
    row("ip_hash", UPSTREAM, NONE),
    row("hash", UPSTREAM | STREAM_UPSTREAM, Args::Between(1, 2)),
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
