//! `WEIR_` environment variables: how a key and a variable's name belong together.
//!
//! A key's variable is `WEIR_` and the key in upper case, with `_` for every character that is no
//! letter or digit: `hls.time` is `WEIR_HLS_TIME`, `rtmp.max_packet_size` is
//! `WEIR_RTMP_MAX_PACKET_SIZE`, `app.LiveApp.hlsTime` is `WEIR_APP_LIVEAPP_HLSTIME`. The way back
//! goes through the table, so no two keys may share a variable (a test holds that).

/// What every variable of ours starts with.
pub(super) const PREFIX: &str = "WEIR_";

/// The variable of `key`.
pub(super) fn variable(key: &str) -> String {
    let upper = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    };
    PREFIX.chars().chain(key.chars().map(upper)).collect()
}

/// True for variables that Kubernetes gives every container for a Service called `weir` or
/// `weir-…` (`WEIR_SERVICE_HOST`, `WEIR_EDGE_PORT_5080_TCP_ADDR`, `WEIR_PORT=tcp://…`): nobody
/// set them, so they are no mistake of anybody's.
pub(super) fn is_service_link(name: &str, value: &str) -> bool {
    if name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
    {
        return true;
    }
    let is_url = value.starts_with("tcp://") || value.starts_with("udp://");
    if name.ends_with("_PORT") {
        return is_url;
    }
    name.split_once("_PORT_").is_some_and(|(_, rest)| {
        let mut parts = rest.split('_');
        let port = parts.next().is_some_and(|p| p.parse::<u16>().is_ok());
        port && matches!(parts.next(), Some("TCP" | "UDP" | "SCTP"))
    })
}
