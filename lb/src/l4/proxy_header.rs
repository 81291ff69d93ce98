//! The PROXY protocol's line, version 1 (HAProxy's `proxy-protocol.txt`, section 2.1): who the
//! client is, for a peer that only sees our connection.

use std::net::SocketAddr;

/// The line for a connection from `client` to `here`. Addresses of two families, or none at all
/// (a unix socket), are `UNKNOWN`, as in nginx.
pub(crate) fn version_1(client: Option<SocketAddr>, here: Option<SocketAddr>) -> String {
    let (Some(client), Some(here)) = (client, here) else {
        return "PROXY UNKNOWN\r\n".to_owned();
    };
    let family = match (client, here) {
        (SocketAddr::V4(_), SocketAddr::V4(_)) => "TCP4",
        (SocketAddr::V6(_), SocketAddr::V6(_)) => "TCP6",
        _ => return "PROXY UNKNOWN\r\n".to_owned(),
    };
    let (from, to) = (client.ip(), here.ip());
    format!(
        "PROXY {family} {from} {to} {} {}\r\n",
        client.port(),
        here.port()
    )
}

#[cfg(test)]
mod tests {
    use super::version_1;

    #[test]
    fn lines_are_as_the_protocol_has_them() {
        let addr = |text: &str| Some(text.parse().unwrap());
        let line = |client, here| version_1(client, here);
        assert_eq!(
            line(addr("192.0.2.1:5"), addr("198.51.100.2:1935")),
            "PROXY TCP4 192.0.2.1 198.51.100.2 5 1935\r\n"
        );
        assert_eq!(
            line(addr("[::1]:5"), addr("[::2]:6")),
            "PROXY TCP6 ::1 ::2 5 6\r\n"
        );
        assert_eq!(
            line(addr("[::1]:5"), addr("1.2.3.4:6")),
            "PROXY UNKNOWN\r\n"
        );
        assert_eq!(line(None, addr("1.2.3.4:6")), "PROXY UNKNOWN\r\n");
        // The longest line there can be is 107 bytes (section 2.1).
        let longest = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535";
        assert!(line(addr(longest), addr(longest)).len() <= 107);
    }
}
