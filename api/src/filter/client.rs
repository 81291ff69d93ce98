//! Who really asks, when proxies stand between.
//!
//! Each proxy appends to `X-Forwarded-For` the address that it was asked from. Read from the right, the list is true
//! as long as the one who wrote the entry is trusted; the first address that is not trusted is the client. What
//! stands left of it the client may have written itself, and it is not looked at.

use http::{HeaderMap, HeaderName};
use std::net::{IpAddr, SocketAddr};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The most proxies in a row.
const HOPS_MAX: usize = 32;

/// The client of a request that came from `peer`. `None` when a trusted proxy wrote what is no address, or the row
/// is too long: then nobody knows.
pub(crate) fn client(
    peer: IpAddr,
    headers: &HeaderMap,
    trusted: impl Fn(IpAddr) -> bool,
) -> Option<IpAddr> {
    let values = headers.get_all(FORWARDED_FOR).into_iter().rev();
    let mut entries = values.flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b','));
    let mut client = peer.to_canonical();
    for _ in 0..HOPS_MAX {
        if !trusted(client) {
            return Some(client);
        }
        match entries.next() {
            Some(entry) => client = address(entry)?.to_canonical(),
            None => return Some(client),
        }
    }
    None
}

/// True when the answer depends on whom else we trust.
pub(crate) fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.contains_key(FORWARDED_FOR)
}

/// An entry: an address, with a port or without, IPv6 in brackets or bare.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?.trim();
    let bare = text.parse::<IpAddr>().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    bare.or_else(with_port).or_else(in_brackets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn of(peer: &str, forwarded: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FORWARDED_FOR, HeaderValue::from_str(value).unwrap());
        }
        let trusted = |ip: IpAddr| ip.is_loopback() || ip.to_string().starts_with("10.0.0.");
        client(peer.parse().unwrap(), &headers, trusted).map(|ip| ip.to_string())
    }

    #[test]
    fn the_rightmost_address_that_is_not_trusted_is_the_client() {
        let some = |ip: &str| Some(ip.to_owned());
        assert_eq!(of("203.0.113.9", &[]), some("203.0.113.9"));
        assert_eq!(
            of("203.0.113.9", &["127.0.0.1"]),
            some("203.0.113.9"),
            "a lie"
        );
        assert_eq!(of("127.0.0.1", &[]), some("127.0.0.1"));
        assert_eq!(of("127.0.0.1", &["203.0.113.9"]), some("203.0.113.9"));
        let lie = "127.0.0.1, 203.0.113.9";
        assert_eq!(
            of("127.0.0.1", &[lie]),
            some("203.0.113.9"),
            "a lie through our lb"
        );
        assert_eq!(
            of("127.0.0.1", &["1.2.3.4, 203.0.113.9, 10.0.0.3"]),
            some("203.0.113.9")
        );
        assert_eq!(
            of("127.0.0.1", &["1.2.3.4", "203.0.113.9"]),
            some("203.0.113.9")
        );
        assert_eq!(of("127.0.0.1", &["10.0.0.7,10.0.0.3"]), some("10.0.0.7"));
        assert_eq!(of("::1", &["203.0.113.9:5555"]), some("203.0.113.9"));
        assert_eq!(of("::1", &["[2001:db8::1]:5555"]), some("2001:db8::1"));
        assert_eq!(
            of("::ffff:127.0.0.1", &["2001:db8::1"]),
            some("2001:db8::1")
        );
    }

    #[test]
    fn what_is_no_address_is_nobody() {
        for entry in ["", "unknown", "_hidden", "203.0.113.9.4", "a,", "\t"] {
            assert_eq!(of("127.0.0.1", &[entry]), None, "{entry:?}");
        }
        let long = vec!["127.0.0.1"; 40].join(",");
        assert_eq!(of("127.0.0.1", &[&long]), None);
    }
}
