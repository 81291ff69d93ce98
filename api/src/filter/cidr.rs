//! Lists of networks, as Ant Media's settings write them: `127.0.0.1,10.0.0.0/8`.

use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// The most networks of one list that are looked at.
const NETWORKS_MAX: usize = 256;
/// Lists that are kept read; the least used go first.
const LISTS_MAX: u64 = 512;

/// Networks, and what of the text was none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CidrList {
    networks: Vec<IpNet>,
    /// Words that could not be read; they admit nobody.
    pub unreadable: Vec<String>,
}

impl CidrList {
    /// Reads addresses and networks between commas or blanks. What cannot be read is put aside: a mistyped network
    /// must not open the door, and must not close it for those that are right.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut list = Self::default();
        let words = text.split([',', ';', ' ', '\t', '\n']);
        for word in words.filter(|w| !w.is_empty()).take(NETWORKS_MAX) {
            let network = word.parse::<IpNet>().ok();
            match network.or_else(|| word.parse::<IpAddr>().ok().map(IpNet::from)) {
                Some(network) => list.networks.push(network),
                None => list.unreadable.push(word.to_owned()),
            }
        }
        list
    }

    /// Whether `address` is in one of them. This machine's addresses are one: who lists `127.0.0.1` means them
    /// all. `0.0.0.0/0` means everybody, over IPv6 too.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let listed = |address| self.networks.iter().any(|n| n.contains(&address));
        let everybody = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        listed(address)
            || address.is_loopback() && (listed(V4_LOOPBACK) || listed(V6_LOOPBACK))
            || self
                .networks
                .iter()
                .any(|n| n.prefix_len() == 0 && n.addr() == everybody)
    }
}

/// Lists by their text, each read once: settings rarely change, and every request of an application asks.
#[derive(Debug)]
pub(crate) struct ReadOnce(moka::sync::Cache<String, Arc<CidrList>>);

impl ReadOnce {
    pub(crate) fn new() -> Self {
        Self(moka::sync::Cache::new(LISTS_MAX))
    }

    /// The list that `text` says.
    pub(crate) fn get(&self, text: &str) -> Arc<CidrList> {
        self.0
            .get_with_by_ref(text, || Arc::new(CidrList::parse(text)))
    }
}

impl std::fmt::Display for CidrList {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let words: Vec<_> = self.networks.iter().map(ToString::to_string).collect();
        f.write_str(&words.join(","))
    }
}

const V4_LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6_LOOPBACK: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(list: &str, address: &str) -> bool {
        CidrList::parse(list).contains(address.parse().unwrap())
    }

    #[test]
    fn networks_and_addresses_are_read() {
        assert!(allows("127.0.0.1", "127.0.0.1"));
        assert!(allows("127.0.0.1", "127.0.0.9") && allows("127.0.0.1", "::1"));
        assert!(!allows("127.0.0.1", "10.0.0.1"));
        assert!(allows("10.0.0.0/8, 192.168.1.7", "10.200.3.4"));
        assert!(allows("10.0.0.0/8, 192.168.1.7", "192.168.1.7"));
        assert!(!allows("10.0.0.0/8, 192.168.1.7", "192.168.1.8"));
        assert!(allows("10.0.0.0/8", "::ffff:10.1.1.1"));
        assert!(allows("2001:db8::/32", "2001:db8::7") && !allows("2001:db8::/32", "2001:db9::7"));
        assert!(allows("0.0.0.0/0", "2001:db8::7") && allows("0.0.0.0/0", "8.8.8.8"));
        assert!(!allows("", "127.0.0.1"));
    }

    #[test]
    fn a_list_is_read_once_and_another_text_is_another_list() {
        let lists = ReadOnce::new();
        let first = lists.get("10.0.0.0/8");
        assert!(Arc::ptr_eq(&first, &lists.get("10.0.0.0/8")));
        assert_eq!(*lists.get("10.0.0.9"), CidrList::parse("10.0.0.9"));
    }

    #[test]
    fn what_cannot_be_read_admits_nobody_and_harms_nothing() {
        let list = CidrList::parse("10.0.0.0/99,localhost, 10.0.0.1");
        assert_eq!(list.unreadable, ["10.0.0.0/99", "localhost"]);
        assert!(list.contains("10.0.0.1".parse().unwrap()));
        assert!(!list.contains("10.0.0.2".parse().unwrap()));
    }
}
