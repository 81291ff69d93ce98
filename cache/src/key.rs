//! What an object is filed under.
//!
//! Host-independent, because the same media path means the same bytes on every name a node is
//! reached by. The query is left out, so that a token does not split the cache; arguments that
//! choose other bytes (blocking playlist reloads) are named one by one and kept in a fixed order.

use std::borrow::Borrow;
use std::sync::Arc;

/// An object's key: its path, then the named query arguments if there are any.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Arc<str>);

impl Key {
    /// The key of `path`, without any query.
    pub fn from_path(path: &str) -> Self {
        Self(Arc::from(path))
    }

    /// The key of `path` with those arguments of `query` that `named` lists, in the order of
    /// `named`; of an argument given twice the first counts.
    pub fn with_named_args(path: &str, query: Option<&str>, named: &[&str]) -> Self {
        let Some(query) = query else {
            return Self::from_path(path);
        };
        let mut key = path.to_owned();
        for name in named {
            let value = query
                .split('&')
                .find_map(|arg| arg.strip_prefix(name)?.strip_prefix('='));
            if let Some(value) = value {
                key.push(if key.len() == path.len() { '?' } else { '&' });
                key.push_str(name);
                key.push('=');
                key.push_str(value);
            }
        }
        Self(Arc::from(key))
    }

    /// The key as text; also the request target to ask an origin for.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Key;

    #[test]
    fn tokens_do_not_split_the_cache_and_named_arguments_do() {
        let named = ["_HLS_msn", "_HLS_part"];
        let key = |query| Key::with_named_args("/a/streams/b.m3u8", query, &named);
        assert_eq!(key(Some("token=1")), key(None));
        assert_eq!(
            key(Some("_HLS_part=2&token=x&_HLS_msn=7")),
            key(Some("_HLS_msn=7&_HLS_part=2"))
        );
        assert_eq!(
            key(Some("_HLS_msn=7&_HLS_part=2")).as_str(),
            "/a/streams/b.m3u8?_HLS_msn=7&_HLS_part=2"
        );
        assert_eq!(key(Some("_HLS_msnx=7")), key(None));
    }
}
