//! A table by host name with wildcards: `server_name`, and `map` with `hostnames`.
//!
//! Order: the exact name, the longest with the star in front, the longest with it behind.
//! Regular expressions come after and are the caller's.

use std::collections::HashMap;

/// Values by name. Names are lower case.
#[derive(Debug, Clone)]
pub struct HostTable<T> {
    exact: HashMap<Vec<u8>, T>,
    /// `.b.c` for `*.b.c`, longest first.
    leading: Vec<(Vec<u8>, T)>,
    /// `a.` for `a.*`, longest first.
    trailing: Vec<(Vec<u8>, T)>,
}

impl<T> Default for HostTable<T> {
    fn default() -> Self {
        Self {
            exact: HashMap::new(),
            leading: Vec::new(),
            trailing: Vec::new(),
        }
    }
}

impl<T: Clone> HostTable<T> {
    /// Puts a name or wildcard in. False if it is there already; the first stays.
    pub fn insert(&mut self, name: &str, value: T) -> bool {
        if let Some(suffix) = name.strip_prefix('*') {
            push_new(&mut self.leading, suffix, value)
        } else if let Some(host) = name.strip_prefix('.') {
            let first = self.insert_exact(host.as_bytes(), value.clone());
            push_new(&mut self.leading, name, value) && first
        } else if let Some(prefix) = name.strip_suffix(".*") {
            push_new(&mut self.trailing, &format!("{prefix}."), value)
        } else {
            self.insert_exact(name.as_bytes(), value)
        }
    }

    /// Puts a name in as it stands.
    pub fn insert_exact(&mut self, name: &[u8], value: T) -> bool {
        let fresh = !self.exact.contains_key(name);
        self.exact.entry(name.to_vec()).or_insert(value);
        fresh
    }

    /// The value for a lower case name.
    #[must_use]
    pub fn find(&self, host: &[u8]) -> Option<&T> {
        if let Some(value) = self.exact.get(host) {
            return Some(value);
        }
        let longer = |name: &[u8]| host.len() > name.len();
        let leading = self.leading.iter();
        let mut leading = leading.filter(|(name, _)| longer(name) && host.ends_with(name));
        let trailing = self.trailing.iter();
        let mut trailing = trailing.filter(|(name, _)| longer(name) && host.starts_with(name));
        let found = leading.next().or_else(|| trailing.next());
        found.map(|(_, value)| value)
    }

    /// All values, in no order.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        let wild = self.leading.iter().chain(&self.trailing);
        self.exact.values().chain(wild.map(|(_, value)| value))
    }

    /// How many names there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.exact.len() + self.leading.len() + self.trailing.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn push_new<T>(list: &mut Vec<(Vec<u8>, T)>, name: &str, value: T) -> bool {
    let name = name.as_bytes();
    if list.iter().any(|(other, _)| other == name) {
        return false;
    }
    let at = list.partition_point(|(other, _)| other.len() >= name.len());
    list.insert(at, (name.to_vec(), value));
    true
}
