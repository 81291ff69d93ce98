//! Which server and which location: nginx's rules, pure.
//!
//! Server by name: the exact name, then the longest wildcard with the star in front, then the
//! longest with it behind, then the first regular expression, then the address's default.
//! Location: the exact one; else the first regular expression, unless the longest prefix is
//! `^~`; else that prefix. Inside a prefix its own locations come first, by the same rules.

use std::collections::HashMap;

use weir_conf::nginx::Regex;
use weir_conf::nginx::model::names::HostTable;
use weir_conf::nginx::model::{Action, Location, Match, Server};

/// The servers on one address, by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hosts {
    names: HostTable<usize>,
    regexes: Vec<(Regex, usize)>,
    default: usize,
}

impl Hosts {
    /// Servers in the order of the file, each with its place and whether it is the default here.
    /// The first is the default if none says so; of two with one name the first wins.
    pub(crate) fn new<'a>(servers: impl IntoIterator<Item = (usize, &'a Server, bool)>) -> Self {
        Self::of(servers.into_iter().map(|(index, server, is_default)| {
            let names = (server.names.as_slice(), server.name_regexes.as_slice());
            (index, names, is_default)
        }))
    }

    /// [`Self::new`] of names and those of them that are expressions.
    pub(crate) fn of<'a>(
        servers: impl IntoIterator<Item = (usize, (&'a [String], &'a [Regex]), bool)>,
    ) -> Self {
        let mut hosts = Self::default();
        let mut first = None;
        for (index, (names, regexes), is_default) in servers {
            if first.is_none() || is_default {
                hosts.default = index;
            }
            first.get_or_insert(index);
            for name in names.iter().filter(|name| !name.starts_with('~')) {
                hosts.names.insert(name, index);
            }
            let regexes = regexes.iter();
            hosts
                .regexes
                .extend(regexes.map(|regex| (regex.clone(), index)));
        }
        hosts
    }

    /// The server for a host, lower case and without port, and the expression that led to it;
    /// the host is empty if the client named none.
    pub(crate) fn find(&self, host: &str) -> (usize, Option<&Regex>) {
        if let Some(index) = self.names.find(host.as_bytes()) {
            return (*index, None);
        }
        let mut regexes = self.regexes.iter();
        match regexes.find(|(regex, _)| !host.is_empty() && regex.is_match(host.as_bytes())) {
            Some((regex, index)) => (*index, Some(regex)),
            None => (self.default, None),
        }
    }

    /// The server that holds before a host is known.
    pub(crate) fn default_server(&self) -> usize {
        self.default
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
pub(crate) struct Tree {
    roots: Paths,
    /// The locations in each location, by place.
    inner: Vec<Paths>,
    named: HashMap<String, usize>,
}

impl Tree {
    pub(crate) fn new(server: &Server) -> Self {
        let all = &server.locations;
        let named = all.iter().enumerate();
        let named = named.filter(|(_, location)| location.matching == Match::Named);
        Self {
            roots: Paths::new(all, &server.roots),
            inner: all.iter().map(|it| Paths::new(all, &it.children)).collect(),
            named: named.map(|(index, it)| (it.path.clone(), index)).collect(),
        }
    }

    /// The location for a normalised path. `matches` is asked of regular expressions in their
    /// order, and may keep what their groups take in.
    pub(crate) fn find(&self, path: &[u8], matches: impl Fn(&Regex) -> bool) -> Found {
        self.within(&self.roots, path, &matches).0
    }

    /// The location of a name, with its `@`.
    pub(crate) fn named(&self, name: &str) -> Option<usize> {
        self.named.get(name).copied()
    }

    /// What is found among some locations, and whether that is final.
    fn within(
        &self,
        paths: &Paths,
        path: &[u8],
        matches: &dyn Fn(&Regex) -> bool,
    ) -> (Found, bool) {
        let mut found = Found::Nothing;
        let mut try_regexes = true;
        if let Some(index) = paths.exact.get(path) {
            return (Found::Location(*index), true);
        }
        if paths.slashless.iter().any(|other| other == path) {
            return (Found::WithSlash, true);
        }
        let mut prefix = paths.prefix.iter();
        if let Some(hit) = prefix.find(|prefix| path.starts_with(&prefix.path)) {
            found = Found::Location(hit.index);
            try_regexes = !hit.last;
            let (deeper, done) = self.inside(hit.index, path, matches);
            if deeper != Found::Nothing {
                found = deeper;
            }
            if done {
                return (found, true);
            }
        }
        if try_regexes {
            let mut regexes = paths.regexes.iter();
            if let Some((_, index)) = regexes.find(|(regex, _)| matches(regex)) {
                let (deeper, _) = self.inside(*index, path, matches);
                return match deeper {
                    Found::Nothing => (Found::Location(*index), true),
                    deeper => (deeper, true),
                };
            }
        }
        (found, false)
    }

    fn inside(&self, index: usize, path: &[u8], matches: &dyn Fn(&Regex) -> bool) -> (Found, bool) {
        match self.inner.get(index) {
            Some(paths) if !paths.is_empty() => self.within(paths, path, matches),
            _ => (Found::Nothing, false),
        }
    }
}

/// Locations that stand side by side.
#[derive(Debug, Clone, Default)]
struct Paths {
    exact: HashMap<Vec<u8>, usize>,
    /// Longest first.
    prefix: Vec<Prefix>,
    regexes: Vec<(Regex, usize)>,
    /// Paths of proxied locations that end in a slash, without it.
    slashless: Vec<Vec<u8>>,
}

#[derive(Debug, Clone)]
struct Prefix {
    path: Vec<u8>,
    index: usize,
    /// Whether regular expressions are left out.
    last: bool,
}

impl Paths {
    fn new(all: &[Location], members: &[usize]) -> Self {
        let mut paths = Self::default();
        let members = members.iter();
        for (index, location) in members.filter_map(|index| Some((*index, all.get(*index)?))) {
            let path = location.path.as_bytes().to_vec();
            match &location.matching {
                Match::Exact => {
                    paths.exact.insert(path, index);
                }
                Match::Prefix | Match::PrefixFinal => {
                    if let (Some(bare), Action::Proxy(_)) =
                        (path.strip_suffix(b"/"), &location.action)
                        && !bare.is_empty()
                    {
                        paths.slashless.push(bare.to_vec());
                    }
                    let last = location.matching == Match::PrefixFinal;
                    paths.prefix.push(Prefix { path, index, last });
                }
                Match::Regex(regex) => paths.regexes.push((regex.clone(), index)),
                Match::Named | Match::If => {}
            }
        }
        paths
            .prefix
            .sort_by_key(|prefix| std::cmp::Reverse(prefix.path.len()));
        paths
    }

    fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.prefix.is_empty() && self.regexes.is_empty()
    }
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
            assert_eq!(hosts.find(name).0, wanted, "{name}");
        }
    }

    #[test]
    fn the_first_server_is_the_default() {
        assert_eq!(
            hosts("server { server_name a; } server { server_name b; }")
                .find("x")
                .0,
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
        let tree = Tree::new(&servers[0]);
        let find = |tree: &Tree, path: &str| {
            tree.find(path.as_bytes(), |regex| regex.is_match(path.as_bytes()))
        };
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
            assert_eq!(find(&tree, path), wanted, "{path}");
        }
        assert_eq!(find(&Tree::new(&servers[1]), "/"), Found::Nothing);
    }

    #[test]
    fn expressions_and_nested_locations_are_found_in_nginxs_order() {
        let servers = servers(
            "server { server_name ~^q; location /a { location ~ y { } location /a/b { } }
               location ^~ /f { } location ~ x { location ~ z { } } location ~ y { }
               location @n { } }",
        );
        let tree = Tree::new(&servers[0]);
        let all = &servers[0].locations;
        let place = |path: &str| match tree.find(path.as_bytes(), |it| it.is_match(path.as_bytes()))
        {
            Found::Location(index) => all[index].path.clone(),
            other => format!("{other:?}"),
        };
        for (path, wanted) in [
            ("/a", "/a"),
            ("/a/b", "/a/b"),
            ("/a/b/y", "y"),
            ("/ax", "x"),
            ("/axz", "z"),
            ("/fx", "/f"),
            ("/y", "y"),
            ("/n", "Nothing"),
        ] {
            assert_eq!(place(path), wanted, "{path}");
        }
        // The inner one of the two.
        let found = tree.find(b"/ay", |it| it.is_match(b"/ay"));
        assert!(
            servers[0]
                .roots
                .iter()
                .all(|root| Found::Location(*root) != found)
        );
        assert!(tree.named("@n").is_some() && tree.named("@m").is_none());
        let hosts = Hosts::new(servers.iter().enumerate().map(|(n, it)| (n, it, false)));
        assert!(hosts.find("qq").1.is_some() && hosts.find("xq").1.is_none());
    }
}
