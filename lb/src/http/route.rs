//! Which server and which location: nginx's rules, pure.
//!
//! Server by name: the exact name, then the longest wildcard with the star in front, then the
//! longest with it behind, then the address's default. Location: the exact one, then the longest
//! prefix. (Regular expressions, which come between, are refused while loading.)

use std::borrow::Cow;
use std::collections::HashMap;

use weir_conf::nginx::model::{Location, Match, Server};

/// The servers on one address, by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hosts {
    exact: HashMap<String, usize>,
    /// `.b.c` for `*.b.c`, longest first.
    leading: Vec<(String, usize)>,
    /// `a.` for `a.*`, longest first.
    trailing: Vec<(String, usize)>,
    default: usize,
}

impl Hosts {
    /// Servers in the order of the file, each with its place and whether it is the default here.
    /// The first is the default if none says so; of two with one name the first wins.
    pub(crate) fn new<'a>(servers: impl IntoIterator<Item = (usize, &'a Server, bool)>) -> Self {
        let mut hosts = Self::default();
        let mut first = None;
        for (index, server, is_default) in servers {
            if first.is_none() || is_default {
                hosts.default = index;
            }
            first.get_or_insert(index);
            for name in &server.names {
                hosts.add(name, index);
            }
        }
        hosts
            .leading
            .sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        hosts
            .trailing
            .sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        hosts
    }

    fn add(&mut self, name: &str, index: usize) {
        if let Some(suffix) = name.strip_prefix('*') {
            push_new(&mut self.leading, suffix, index);
        } else if let Some(host) = name.strip_prefix('.') {
            push_new(&mut self.leading, name, index);
            self.exact.entry(host.to_owned()).or_insert(index);
        } else if let Some(prefix) = name.strip_suffix('*') {
            push_new(&mut self.trailing, prefix, index);
        } else {
            self.exact.entry(name.to_owned()).or_insert(index);
        }
    }

    /// The server for a host, lower case and without port; empty if the client named none.
    pub(crate) fn find(&self, host: &str) -> usize {
        if let Some(index) = self.exact.get(host) {
            return *index;
        }
        let longer = |name: &str| host.len() > name.len();
        let leading = self
            .leading
            .iter()
            .find(|(name, _)| longer(name) && host.ends_with(name.as_str()));
        let found = leading.or_else(|| {
            self.trailing
                .iter()
                .find(|(name, _)| longer(name) && host.starts_with(name.as_str()))
        });
        found.map_or(self.default, |(_, index)| *index)
    }

    /// The server that holds before a host is known.
    pub(crate) fn default_server(&self) -> usize {
        self.default
    }
}

fn push_new(list: &mut Vec<(String, usize)>, name: &str, index: usize) {
    if !list.iter().any(|(other, _)| other == name) {
        list.push((name.to_owned(), index));
    }
}

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// This location.
    Location(usize),
    /// A location of this path with a slash at the end: the client is sent there.
    WithSlash,
    /// None.
    Nothing,
}

/// The locations of one server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Paths {
    exact: Vec<(Vec<u8>, usize)>,
    /// Longest first.
    prefix: Vec<(Vec<u8>, usize)>,
    /// Paths of proxied locations that end in a slash, without it.
    slashless: Vec<Vec<u8>>,
}

impl Paths {
    pub(crate) fn new(locations: &[Location]) -> Self {
        use weir_conf::nginx::model::Action;
        let mut paths = Self::default();
        for (index, location) in locations.iter().enumerate() {
            let path = location.path.as_bytes().to_vec();
            if let (Some(bare), Action::Proxy(_)) = (path.strip_suffix(b"/"), &location.action)
                && !bare.is_empty()
            {
                paths.slashless.push(bare.to_vec());
            }
            match location.matching {
                Match::Exact => paths.exact.push((path, index)),
                Match::Prefix | Match::PrefixFinal => paths.prefix.push((path, index)),
            }
        }
        paths
            .prefix
            .sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        paths
    }

    /// The location for a normalised path.
    pub(crate) fn find(&self, path: &[u8]) -> Found {
        if let Some((_, index)) = self.exact.iter().find(|(other, _)| other == path) {
            return Found::Location(*index);
        }
        if self.slashless.iter().any(|other| other == path) {
            return Found::WithSlash;
        }
        let prefix = self
            .prefix
            .iter()
            .find(|(other, _)| path.starts_with(other));
        prefix.map_or(Found::Nothing, |(_, index)| Found::Location(*index))
    }
}

/// The host a `Host` header names: lower case, without port and without a dot at the end.
/// `None` if it is malformed, as nginx judges it.
pub(crate) fn host_name(header: &[u8]) -> Option<Cow<'_, str>> {
    let text = std::str::from_utf8(header).ok()?;
    let host = if text.starts_with('[') {
        let end = text.find(']')?;
        let rest = text.get(end + 1..)?;
        if !rest.is_empty() && !rest.starts_with(':') {
            return None;
        }
        text.get(..=end)?
    } else {
        text.split(':').next().unwrap_or_default()
    };
    let bad = |byte: u8| byte <= b' ' || byte == 0x7f || matches!(byte, b'/' | b'\\' | b'@');
    if host.bytes().any(bad) || host.contains("..") {
        return None;
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    Some(if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_conf::nginx::{LoadOptions, load_text};

    fn servers(inner: &str) -> Vec<Server> {
        let text = format!("events {{}} http {{ {inner} }}");
        let prefix = std::path::Path::new("");
        load_text(&text, "t", prefix, &LoadOptions::default())
            .unwrap()
            .http
            .unwrap()
            .servers
    }

    fn hosts(inner: &str) -> Hosts {
        let servers = servers(inner);
        let all = servers.iter().enumerate();
        Hosts::new(all.map(|(index, server)| (index, server, server.listens[0].default_server)))
    }

    #[test]
    fn names_are_found_in_nginxs_order() {
        let hosts = hosts(
            "server { server_name first; }
             server { server_name *.b.c; } server { server_name *.c .d; }
             server { server_name a.* a.b.*; } server { server_name x.b.c _; }
             server { server_name '' other; listen 80 default_server; }",
        );
        for (name, wanted) in [
            ("first", 0),
            ("x.b.c", 4),
            ("y.b.c", 1),
            ("z.y.b.c", 1),
            ("b.c", 2),
            ("d", 2),
            ("x.d", 2),
            ("xd", 5),
            ("a.q", 3),
            ("a.b.q", 3),
            ("a.c", 2),
            ("", 5),
            (".c", 5),
            ("unknown", 5),
        ] {
            assert_eq!(hosts.find(name), wanted, "{name}");
        }
    }

    #[test]
    fn the_first_server_is_the_default() {
        assert_eq!(
            hosts("server { server_name a; } server { server_name b; }").find("x"),
            0
        );
    }

    #[test]
    fn locations_are_found_in_nginxs_order() {
        let servers = servers(
            "server { location / { return 200; } location /a { return 200; }
               location = /a { return 200; } location ^~ /a/b/ { return 200; }
               location /p/ { proxy_pass http://127.0.0.1; } location = /e { return 200; } }
             server { location = /only { return 200; } }",
        );
        let paths = Paths::new(&servers[0].locations);
        for (path, wanted) in [
            ("/", Found::Location(0)),
            ("/x", Found::Location(0)),
            ("/a", Found::Location(2)),
            ("/ab", Found::Location(1)),
            ("/a/b", Found::Location(1)),
            ("/a/b/c", Found::Location(3)),
            ("/p/x", Found::Location(4)),
            ("/p", Found::WithSlash),
            ("/e", Found::Location(5)),
            ("/e/", Found::Location(0)),
        ] {
            assert_eq!(paths.find(path.as_bytes()), wanted, "{path}");
        }
        assert_eq!(Paths::new(&servers[1].locations).find(b"/"), Found::Nothing);
    }

    #[test]
    fn host_headers() {
        for (given, wanted) in [
            ("A.b:80", Some("a.b")),
            ("a.b.", Some("a.b")),
            ("[::1]:80", Some("[::1]")),
            ("", Some("")),
            ("a b", None),
            ("a/b", None),
            ("a..b", None),
            ("[::1", None),
            ("[::1]x", None),
            ("a\u{0}b", None),
        ] {
            assert_eq!(host_name(given.as_bytes()).as_deref(), wanted, "{given:?}");
        }
        assert_eq!(host_name(b"\xff"), None);
    }
}
