//! The rows of TLS: `ssl_*`, `http2`, `proxy_ssl_*`, `ssl_preread`.

use super::{
    Args, HTTP, LOCATION, ONE, RUNTIME, Row, SERVER, STREAM, STREAM_SERVER, TWO, no_op, row,
    with_openssl,
};

const HS: super::Contexts = HTTP | SERVER;
const SS: super::Contexts = STREAM | STREAM_SERVER;
const ALL: super::Contexts = HS | SS;
const PROXY: super::Contexts = HS | LOCATION | SS;

const DEPTH: &str = "a chain may have six certificates between the two ends";
const STAPLING: &str = "no OCSP answer is fetched; the one in ssl_stapling_file is sent";
const KEYS: &str = "ticket keys are made at start and renewed by themselves";
const H2: &str = "the HTTP/2 side has its own bounds";

pub(super) const ROWS: &[Row] = &[
    row("ssl_certificate", ALL, ONE),
    row("ssl_certificate_key", ALL, ONE),
    row("ssl_protocols", ALL, Args::AtLeast(1)),
    row("ssl_ciphers", ALL, ONE),
    row("ssl_prefer_server_ciphers", ALL, Args::Flag),
    row("ssl_session_cache", ALL, Args::Between(1, 2)),
    row("ssl_session_tickets", ALL, Args::Flag),
    row("ssl_client_certificate", ALL, ONE),
    row("ssl_trusted_certificate", ALL, ONE),
    row("ssl_verify_client", ALL, ONE),
    row("ssl_crl", ALL, ONE),
    row("ssl_stapling_file", ALL, ONE),
    row("ssl_reject_handshake", ALL, Args::Flag),
    row("ssl_handshake_timeout", SS, ONE),
    row("ssl_alpn", SS, Args::AtLeast(1)),
    row("http2", HS, Args::Flag),
    no_op(
        "ssl_session_timeout",
        ALL,
        ONE,
        "a session ends by the cache's size or with its ticket's key",
    ),
    row("ssl_password_file", ALL, ONE),
    row("ssl_conf_command", ALL, TWO),
    row("proxy_ssl_password_file", PROXY, ONE),
    row("proxy_ssl_conf_command", PROXY, TWO),
    no_op("ssl_session_ticket_key", ALL, ONE, KEYS),
    with_openssl("ssl_verify_depth", ALL, ONE, DEPTH),
    no_op("ssl_stapling", ALL, Args::Flag, STAPLING),
    no_op("ssl_stapling_verify", ALL, Args::Flag, STAPLING),
    no_op("ssl_stapling_responder", ALL, ONE, STAPLING),
    no_op(
        "ssl_dhparam",
        ALL,
        ONE,
        "keys are exchanged by elliptic curves alone",
    ),
    with_openssl(
        "ssl_ecdh_curve",
        ALL,
        ONE,
        "X25519, P-256 and P-384 are offered, in this order",
    ),
    no_op("ssl_buffer_size", HS, ONE, RUNTIME),
    no_op("ssl_early_data", HS, Args::Flag, "early data is not taken"),
    no_op(
        "ssl_object_cache_inheritable",
        super::MAIN,
        Args::Flag,
        RUNTIME,
    ),
    no_op("http2_max_concurrent_streams", HS, ONE, H2),
    no_op("http2_recv_buffer_size", HTTP, ONE, H2),
    no_op("http2_body_preread_size", HS, ONE, H2),
    no_op("http2_chunk_size", HS | LOCATION, ONE, H2),
    // To upstreams.
    row("proxy_ssl", SS, Args::Flag),
    row("proxy_ssl_name", PROXY, ONE),
    row("proxy_ssl_server_name", PROXY, Args::Flag),
    row("proxy_ssl_verify", PROXY, Args::Flag),
    row("proxy_ssl_trusted_certificate", PROXY, ONE),
    row("proxy_ssl_crl", PROXY, ONE),
    row("proxy_ssl_certificate", PROXY, ONE),
    row("proxy_ssl_certificate_key", PROXY, ONE),
    row("proxy_ssl_protocols", PROXY, Args::AtLeast(1)),
    row("proxy_ssl_ciphers", PROXY, ONE),
    row("proxy_ssl_session_reuse", PROXY, Args::Flag),
    with_openssl("proxy_ssl_verify_depth", PROXY, ONE, DEPTH),
];
