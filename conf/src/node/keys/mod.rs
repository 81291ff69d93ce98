//! The table of settings: the one place that says what a key is.
//!
//! Each row has the name (Ant Media's where Ant Media has it), other spellings that mean the
//! same, the kind with unit and range, the default, and the behaviour.

mod listeners;
mod management;
mod media;
mod node;
mod store;

use super::config::NodeConfig;
use super::kind::{Kind, Written};
use crate::app::AppSettings;
use std::path::Path;

/// The most bytes of free text: names of users, paths, options.
const TEXT_BYTES_MAX: usize = 4096;

/// One setting.
pub struct Key<T: 'static> {
    /// The name in a properties file.
    pub name: &'static str,
    /// Other names of the same setting.
    pub aliases: &'static [&'static str],
    /// The default, in the file's own words, or what happens without the key.
    pub default: DefaultValue,
    /// What it does.
    pub doc: &'static str,
    pub(super) kind: Kind<T>,
}

/// What holds when a key is not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultValue {
    /// This value.
    Is(&'static str),
    /// No value; this happens.
    Unset(&'static str),
}

/// Keys that belong together.
pub struct Section {
    /// The heading.
    pub title: &'static str,
    /// The rows.
    pub keys: &'static [Key<NodeConfig>],
}

/// Every key of a node, by section.
pub static KEYS: &[Section] = &[
    node::NODE,
    node::CLUSTER,
    store::STORE,
    listeners::LISTENERS,
    management::MANAGEMENT,
    media::PUBLISH,
    media::HLS,
    media::CACHE,
    media::ENCODER,
    listeners::LOG,
];

/// Every key of an application.
pub(super) static APP_KEYS: &[Key<AppSettings>] = media::APP_KEYS;

/// The keys of all sections.
pub fn all() -> impl Iterator<Item = &'static Key<NodeConfig>> {
    KEYS.iter().flat_map(|section| section.keys)
}

impl<T> Key<T> {
    /// Its kind in a word or two, and its range with the unit where it has one.
    pub fn kind(&self) -> (&'static str, String) {
        self.kind.summary()
    }

    /// True for the key's name and its other spellings.
    pub(super) fn is_called(&self, name: &str) -> bool {
        self.name == name || self.aliases.contains(&name)
    }

    /// Its name and its other spellings.
    pub(super) fn spellings(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }
}

/// Puts every default; a test holds that each is a right value of its kind.
pub(super) fn put_defaults(config: &mut NodeConfig) {
    for key in all() {
        if let DefaultValue::Is(text) = key.default {
            let base = Path::new("");
            let _put = key.kind.set(config, Written { text, base });
        }
    }
}

/// Items between commas, without white space around them; none may be empty, `max` at most.
fn items(text: &str, max: usize) -> Option<Vec<&str>> {
    let items: Vec<_> = text.split(',').map(str::trim).collect();
    (items.len() <= max && items.iter().all(|item| !item.is_empty())).then_some(items)
}

/// Sets `field` when there is a value; says whether there was one.
fn put<V>(field: &mut V, value: Option<V>) -> bool {
    match value {
        Some(value) => {
            *field = value;
            true
        }
        None => false,
    }
}

/// A name of at most `bytes_max` letters, digits, `_` and `-`.
fn name(text: &str, bytes_max: usize) -> Option<String> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    ((1..=bytes_max).contains(&text.len()) && text.bytes().all(fits)).then(|| text.to_owned())
}
