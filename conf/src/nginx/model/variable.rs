//! Variables that the file makes: `map`, `geo`, `split_clients`, `set`, named groups.
//!
//! Each has a place in [`super::Http::variables`]; a request keeps the values it has worked out
//! or was given by that place. Lookups are here, since they are pure.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use ipnet::IpNet;

use super::names::HostTable;
use crate::nginx::regex::Regex;
use crate::nginx::template::Template;

/// A variable that the file makes.
#[derive(Debug, Clone)]
pub struct Variable {
    /// Its name, lower case, without `$`.
    pub name: String,
    /// How it is worked out if nothing has set it; `None` is empty.
    pub define: Option<Define>,
}

/// How a variable is worked out.
#[derive(Debug, Clone)]
pub enum Define {
    /// `map`
    Map(Box<Map>),
    /// `geo`
    Geo(Box<Geo>),
    /// `split_clients`
    Split(Box<Split>),
}

impl Define {
    /// Whether it is worked out anew each time.
    #[must_use]
    pub fn is_volatile(&self) -> bool {
        match self {
            Self::Map(map) => map.volatile,
            Self::Geo(geo) => geo.volatile,
            Self::Split(_) => false,
        }
    }
}

/// A `map` block.
#[derive(Debug, Clone, Default)]
pub struct Map {
    /// What is looked up.
    pub source: Template,
    /// Keys, lower case, with wildcards if `hostnames` is on, and their values.
    pub keys: HostTable<Template>,
    /// Keys that are regular expressions, in the order they stand.
    pub regexes: Vec<(Regex, Template)>,
    /// The value when no key matches; empty if not given.
    pub default: Template,
    /// `hostnames`
    pub hostnames: bool,
    /// `volatile`
    pub volatile: bool,
}

impl Map {
    /// The value for a key, and the expression that led to it.
    #[must_use]
    pub fn find(&self, key: &[u8]) -> (&Template, Option<&Regex>) {
        let key = match key.strip_suffix(b".") {
            Some(host) if self.hostnames => host,
            _ => key,
        };
        if let Some(value) = self.keys.find(&key.to_ascii_lowercase()) {
            return (value, None);
        }
        let mut regexes = self.regexes.iter();
        match regexes.find(|(regex, _)| !key.is_empty() && regex.is_match(key)) {
            Some((regex, value)) => (value, Some(regex)),
            None => (&self.default, None),
        }
    }
}

/// A `geo` block.
#[derive(Debug, Clone, Default)]
pub struct Geo {
    /// Where the address comes from; the client's if none is named.
    pub source: Option<Template>,
    /// What holds for addresses that no entry takes in.
    pub default: String,
    /// The entries.
    pub table: GeoTable,
    /// `proxy`: from these, `X-Forwarded-For` names the address.
    pub proxies: Vec<IpNet>,
    /// `proxy_recursive`
    pub recursive: bool,
    /// `volatile`
    pub volatile: bool,
}

/// The entries of a `geo`.
#[derive(Debug, Clone)]
pub enum GeoTable {
    /// Networks, those of IPv4 apart from those of IPv6: by length of the prefix, longest first,
    /// then by address.
    Nets(Vec<NetsOfLength>),
    /// `ranges` of IPv4 addresses: by first address, the last address and the value; they do not
    /// overlap.
    Ranges(BTreeMap<u32, (u32, String)>),
}

/// The networks of one length of prefix.
#[derive(Debug, Clone, Default)]
pub struct NetsOfLength {
    length: u8,
    v6: bool,
    values: HashMap<u128, String>,
}

impl Default for GeoTable {
    fn default() -> Self {
        Self::Nets(Vec::new())
    }
}

impl GeoTable {
    /// Puts a network in, in place of what stood there.
    pub fn insert_net(&mut self, net: IpNet, value: &str) {
        let Self::Nets(nets) = self else { return };
        let (length, v6) = (net.prefix_len(), net.addr().is_ipv6());
        let at = nets.partition_point(|it| it.length > length);
        let mut same = nets
            .iter_mut()
            .skip(at)
            .take_while(|it| it.length == length);
        let key = masked(net.addr(), length);
        if let Some(found) = same.find(|it| it.v6 == v6) {
            found.values.insert(key, value.to_owned());
        } else {
            let values = HashMap::from([(key, value.to_owned())]);
            nets.insert(at, NetsOfLength { length, v6, values });
        }
    }

    /// Takes a network out. False if it was not there.
    pub fn remove_net(&mut self, net: IpNet) -> bool {
        let Self::Nets(nets) = self else { return false };
        let (length, v6) = (net.prefix_len(), net.addr().is_ipv6());
        let mut same = nets
            .iter_mut()
            .filter(|it| it.length == length && it.v6 == v6);
        let key = masked(net.addr(), length);
        same.any(|it| it.values.remove(&key).is_some())
    }

    /// Takes a range out of those there are, so that another may stand there.
    pub fn remove_range(&mut self, first: u32, last: u32) {
        let Self::Ranges(ranges) = self else { return };
        let touched: Vec<u32> = ranges
            .range(..=last)
            .rev()
            .take_while(|(_, (end, _))| *end >= first)
            .map(|(start, _)| *start)
            .collect();
        for start in touched {
            let Some((end, value)) = ranges.remove(&start) else {
                continue;
            };
            if start < first {
                ranges.insert(start, (first - 1, value.clone()));
            }
            if end > last {
                ranges.insert(last + 1, (end, value));
            }
        }
    }

    /// Puts a range in, in place of what stood there.
    pub fn insert_range(&mut self, first: u32, last: u32, value: &str) {
        self.remove_range(first, last);
        if let Self::Ranges(ranges) = self {
            ranges.insert(first, (last, value.to_owned()));
        }
    }

    fn find(&self, addr: IpAddr) -> Option<&String> {
        match (self, addr) {
            (Self::Nets(nets), _) => {
                let mut nets = nets.iter().filter(|it| it.v6 == addr.is_ipv6());
                nets.find_map(|it| it.values.get(&masked(addr, it.length)))
            }
            (Self::Ranges(ranges), IpAddr::V4(addr)) => {
                let addr = u32::from(addr);
                let (_, (last, value)) = ranges.range(..=addr).next_back()?;
                (*last >= addr).then_some(value)
            }
            (Self::Ranges(_), IpAddr::V6(_)) => None,
        }
    }
}

impl Geo {
    /// The value for an address.
    #[must_use]
    pub fn find(&self, addr: IpAddr) -> &str {
        self.table
            .find(addr.to_canonical())
            .unwrap_or(&self.default)
    }
}

/// The address as a number, of which the first `length` bits are kept.
fn masked(addr: IpAddr, length: u8) -> u128 {
    let (bits, width) = match addr {
        IpAddr::V4(addr) => (u128::from(u32::from(addr)), 32),
        IpAddr::V6(addr) => (u128::from(addr), 128),
    };
    let cut = 128_u32.min(u32::from(width - length.min(width)));
    bits.checked_shr(cut).unwrap_or(0)
}

/// A `split_clients` block.
#[derive(Debug, Clone, Default)]
pub struct Split {
    /// What is hashed.
    pub source: Template,
    /// Values, each with the hash below which it holds; `None` takes all the rest.
    pub parts: Vec<(Option<u32>, String)>,
}

impl Split {
    /// The value for a key; empty if no part takes it.
    #[must_use]
    pub fn find(&self, key: &[u8]) -> &str {
        let hash = murmur2(key);
        let mut parts = self.parts.iter();
        let part = parts.find(|(below, _)| below.is_none_or(|below| hash < below));
        part.map_or("", |(_, value)| value)
    }
}

/// MurmurHash2, 32 bits, seed 0, little endian.
#[must_use]
pub fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    // The hash takes the length as 32 bits.
    #[expect(clippy::cast_possible_truncation, reason = "the hash is defined so")]
    let mut hash = data.len() as u32;
    let (words, tail) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !tail.is_empty() {
        for (index, byte) in tail.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * index);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_network_holds() {
        let mut geo = Geo {
            default: "d".to_owned(),
            ..Geo::default()
        };
        for (net, value) in [("10.0.0.0/8", "a"), ("10.1.0.0/16", "b"), ("::/0", "six")] {
            geo.table.insert_net(net.parse().unwrap(), value);
        }
        let find = |geo: &Geo, addr: &str| geo.find(addr.parse().unwrap()).to_owned();
        assert_eq!(find(&geo, "10.1.2.3"), "b");
        assert_eq!(find(&geo, "::ffff:10.2.2.3"), "a");
        assert_eq!(find(&geo, "11.0.0.0"), "d");
        assert_eq!(find(&geo, "2001::1"), "six");
        assert!(geo.table.remove_net("10.1.0.0/16".parse().unwrap()));
        assert!(!geo.table.remove_net("10.1.0.0/16".parse().unwrap()));
        assert_eq!(find(&geo, "10.1.2.3"), "a");
    }

    #[test]
    fn a_later_range_takes_the_place_of_an_earlier() {
        let mut geo = Geo {
            default: "d".to_owned(),
            table: GeoTable::Ranges(BTreeMap::new()),
            ..Geo::default()
        };
        geo.table.insert_range(0, u32::MAX, "all");
        geo.table.insert_range(10, 20, "a");
        geo.table.insert_range(15, 30, "b");
        geo.table.remove_range(18, 19);
        let find = |addr: u32| geo.find(IpAddr::V4(addr.into())).to_owned();
        let found: Vec<String> = [9, 10, 14, 15, 17, 18, 19, 20, 30, 31].map(find).into();
        assert_eq!(
            found,
            ["all", "a", "a", "b", "b", "d", "d", "b", "b", "all"]
        );
    }

    #[test]
    fn hashes_as_others_do() {
        for (text, hash) in [("", 0), ("a", 0x9268_5f5e), ("abcd", 0x2687_3021)] {
            assert_eq!(murmur2(text.as_bytes()), hash, "{text}");
        }
    }
}
