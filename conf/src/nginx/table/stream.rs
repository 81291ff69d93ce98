//! The rows of `stream` beside TLS.

use super::{Args, NONE, ONE, RUNTIME, Row, STREAM, STREAM_SERVER, TWO, block, no_op, row};

const SS: super::Contexts = STREAM | STREAM_SERVER;

pub(super) const ROWS: &[Row] = &[
    block("upstream", STREAM, ONE),
    block("server", STREAM, NONE),
    row("listen", STREAM_SERVER, Args::AtLeast(1)),
    row("proxy_pass", STREAM_SERVER, ONE),
    row("proxy_timeout", SS, ONE),
    row("proxy_protocol", SS, Args::Flag),
    row("proxy_next_upstream", SS, Args::Flag),
    row("proxy_half_close", SS, Args::Flag),
    row("proxy_buffer_size", SS, ONE),
    block("map", STREAM, TWO),
    block("geo", STREAM, Args::Between(1, 2)),
    block("split_clients", STREAM, TWO),
    row("server_name", STREAM_SERVER, Args::AtLeast(1)),
    row("set", STREAM_SERVER, TWO),
    row("pass", STREAM_SERVER, ONE),
    row("proxy_bind", SS, Args::Between(1, 2)),
    row("proxy_socket_keepalive", SS, Args::Flag),
    row("proxy_upload_rate", SS, ONE),
    row("proxy_download_rate", SS, ONE),
    row("return", STREAM_SERVER, ONE),
    row("ssl_preread", SS, Args::Flag),
    row("preread_buffer_size", SS, ONE),
    row("preread_timeout", SS, ONE),
    row("proxy_protocol_timeout", SS, ONE),
    row("proxy_requests", SS, ONE),
    row("proxy_responses", SS, ONE),
    row("set_real_ip_from", SS, ONE),
    row("allow", SS, ONE),
    row("deny", SS, ONE),
    no_op("server_names_hash_max_size", STREAM, ONE, RUNTIME),
    no_op("server_names_hash_bucket_size", STREAM, ONE, RUNTIME),
    no_op("map_hash_max_size", STREAM, ONE, "the runtime decides"),
    no_op("map_hash_bucket_size", STREAM, ONE, "the runtime decides"),
    no_op(
        "variables_hash_max_size",
        STREAM,
        ONE,
        "the runtime decides",
    ),
    no_op(
        "variables_hash_bucket_size",
        STREAM,
        ONE,
        "the runtime decides",
    ),
];
