//! The rows of `stream` beside proxying and TLS.

use super::{Args, ONE, RUNTIME, Row, STREAM, STREAM_SERVER, TWO, block, no_op, row};

const SS: super::Contexts = STREAM | STREAM_SERVER;

pub(super) const ROWS: &[Row] = &[
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
