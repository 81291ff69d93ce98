//! What `-v` and `-V` say. Scripts (certbot, Ansible, test suites) read modules out of it, so it
//! names what works and says of what nginx has by default and this has not that it is without.

use super::places::Places;

/// The nginx whose configuration this reads.
const NGINX: &str = "1.31.5";

/// Modules that nginx has when asked, and that work here.
const WITH: &[&str] = &[
    "http_auth_request_module",
    "http_gunzip_module",
    "http_gzip_static_module",
    "http_realip_module",
    "http_ssl_module",
    "http_v2_module",
    "stream",
    "stream_realip_module",
    "stream_ssl_module",
    "stream_ssl_preread_module",
];

/// Modules that nginx has unless told otherwise, and that are not here yet.
const WITHOUT: &[&str] = &[
    "http_charset_module",
    "http_ssi_module",
    "http_mirror_module",
    "http_userid_module",
    "http_autoindex_module",
    "http_referer_module",
    "http_fastcgi_module",
    "http_uwsgi_module",
    "http_scgi_module",
    "http_grpc_module",
    "http_memcached_module",
    "http_empty_gif_module",
    "http_browser_module",
    "http_tunnel_module",
    "stream_limit_conn_module",
];

/// The line of `-v`.
pub(super) fn line() -> String {
    format!(
        "nginx version: nginx/{NGINX} (weir {})\n",
        env!("CARGO_PKG_VERSION")
    )
}

/// What `-V` says after it.
pub(super) fn configure() -> String {
    let with = WITH.iter().map(|name| format!(" --with-{name}"));
    let without = WITHOUT.iter().map(|name| format!(" --without-{name}"));
    format!(
        "{}TLS SNI support enabled\nconfigure arguments: {}{}{}\n",
        weir_lb::tls_library().map_or_else(String::new, |name| format!("built with {name}\n")),
        Places::configured(),
        with.collect::<String>(),
        without.collect::<String>()
    )
}
