//! Raw settings to a checked [`NodeConfig`], one at a time; all errors are collected.

use super::apps;
use super::config::NodeConfig;
use super::env;
use super::error::{ConfErrors, Place, Problem, Warning, shown};
use super::foreign::is_foreign;
use super::keys::{self, Key};
use super::kind::Written;
use super::nearest::nearest;
use super::properties::{self, SyntaxError};
use crate::app::AppSettings;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The most warnings kept of one load.
const WARNINGS_MAX: usize = 100;

/// A setting as written, and where.
pub(super) struct Raw {
    pub(super) key: String,
    pub(super) value: String,
    pub(super) place: Place,
    /// What a relative path in the value starts from.
    base: PathBuf,
}

/// Where a key was last set, and how it was spelled there.
#[derive(Clone)]
pub(super) struct Set {
    pub(super) place: Place,
    pub(super) spelling: String,
}

/// The settings read so far.
#[derive(Default)]
pub(super) struct Checker {
    pub(super) config: NodeConfig,
    pub(super) notes: Notes,
    apps_later: Vec<Raw>,
}

/// What was noticed while reading: what is wrong, and where each setting was made.
#[derive(Default)]
pub(super) struct Notes {
    pub(super) errors: ConfErrors,
    warnings: Vec<Warning>,
    set: BTreeMap<String, Set>,
    foreign: BTreeSet<String>,
}

impl Checker {
    /// Reads the node's properties file. Its `app.` keys wait for [`Checker::app_settings`].
    pub(super) fn node_file(&mut self, file: &Path, bytes: &[u8]) {
        for raw in self.parse(file, bytes) {
            self.node_file_setting(raw);
        }
    }

    /// Reads the environment; variables that do not start with `WEIR_` are passed over.
    pub(super) fn environment(&mut self, mut variables: Vec<(String, String)>) {
        variables.retain(|(name, value)| {
            name.starts_with(env::PREFIX) && !env::is_service_link(name, value)
        });
        // In a fixed order, for the environment has none.
        variables.sort();
        for (name, value) in variables {
            let raw = Raw {
                key: name.clone(),
                value,
                place: Place::Environment(name),
                base: PathBuf::new(),
            };
            let called = |key: &&Key<_>| key.spellings().any(|s| env::variable(s) == raw.key);
            match keys::all().find(called) {
                Some(key) => self.set_node(key, &raw),
                None => self.apps_later.push(raw),
            }
        }
    }

    /// Reads the file of application `app`.
    pub(super) fn app_file(&mut self, app: &str, file: &Path, bytes: &[u8]) {
        for raw in self.parse(file, bytes) {
            apps::own_file_setting(self, app, &raw);
        }
    }

    /// Settings of applications that stood in the node's file and the environment: checked last,
    /// for they outrank the applications' files and need `apps`.
    pub(super) fn app_settings(&mut self) {
        for raw in std::mem::take(&mut self.apps_later) {
            if raw.key.starts_with(apps::PREFIX) {
                apps::node_file_setting(self, &raw);
            } else if !apps::environment_setting(self, &raw) {
                let of_apps = apps::variables(&self.config.apps);
                let of_apps = of_apps.into_iter().map(|(variable, _, _)| variable);
                let of_node = keys::all().flat_map(Key::spellings).map(env::variable);
                let near = || nearest(&raw.key, of_node.chain(of_apps));
                self.notes.unknown(&raw, near);
            }
        }
    }

    pub(super) fn set_app(&mut self, app: &str, key: &'static Key<AppSettings>, raw: &Raw) {
        let full_name = format!("{}{app}.{}", apps::PREFIX, key.name);
        let mut own = self
            .config
            .app_overrides
            .get(app)
            .cloned()
            .unwrap_or_default();
        if self.notes.set(&full_name, key, &mut own, raw) {
            self.config.app_overrides.insert(app.to_owned(), own);
        }
    }

    /// Keeps a setting of application `app` that this version makes no use of.
    pub(super) fn keep_app(&mut self, app: &str, raw: &Raw) {
        let name = raw.key.strip_prefix(apps::PREFIX).unwrap_or(&raw.key);
        let name = name
            .strip_prefix(app)
            .and_then(|n| n.strip_prefix('.'))
            .unwrap_or(name);
        if raw.value.trim().is_empty() {
            return;
        }
        let own = self.config.app_overrides.entry(app.to_owned()).or_default();
        if let Err(error) = own.set_text(name, raw.value.trim()) {
            let problem = Problem::Value {
                key: raw.key.clone(),
                found: error.found,
                expected: error.expected,
            };
            self.notes.errors.push(raw.place.clone(), problem);
        }
    }

    /// Ends the reading: the warning of foreign keys comes first.
    pub(super) fn finish(self) -> Result<(NodeConfig, Vec<Warning>), ConfErrors> {
        let Notes {
            mut errors,
            mut warnings,
            foreign,
            ..
        } = self.notes;
        if !errors.is_empty() {
            errors.sort();
            return Err(errors);
        }
        if !foreign.is_empty() {
            warnings.insert(0, Warning::Foreign(foreign.into_iter().collect()));
        }
        Ok((self.config, warnings))
    }

    fn parse(&mut self, file: &Path, bytes: &[u8]) -> Vec<Raw> {
        let (entries, errors) = properties::parse(bytes);
        for SyntaxError { line, reason } in errors {
            let place = match line {
                0 => Place::File(file.to_owned()),
                line => Place::Line(file.to_owned(), line),
            };
            self.notes.errors.push(place, Problem::Syntax(reason));
        }
        let base = file.parent().unwrap_or(Path::new(""));
        let raw = |entry: properties::Entry| Raw {
            key: entry.key,
            value: entry.value,
            place: Place::Line(file.to_owned(), entry.line),
            base: base.to_owned(),
        };
        entries.into_iter().map(raw).collect()
    }

    fn node_file_setting(&mut self, raw: Raw) {
        if let Some(key) = keys::all().find(|key| key.is_called(&raw.key)) {
            self.set_node(key, &raw);
        } else if raw.key.starts_with(apps::PREFIX) {
            self.apps_later.push(raw);
        } else if is_foreign(&raw.key) {
            self.notes.foreign(raw.key);
        } else {
            let known = keys::all().flat_map(Key::spellings);
            let near = || nearest(&raw.key, known).map(str::to_owned);
            self.notes.unknown(&raw, near);
        }
    }

    fn set_node(&mut self, key: &'static Key<NodeConfig>, raw: &Raw) {
        self.notes.set(key.name, key, &mut self.config, raw);
    }
}

impl Notes {
    /// Where `key` was set, if it was.
    pub(super) fn is_set(&self, key: &str) -> Option<&Set> {
        self.set.get(key)
    }

    /// Where `key` was set, or that it was not.
    pub(super) fn place(&self, key: &str) -> Place {
        self.is_set(key)
            .map_or(Place::Default, |set| set.place.clone())
    }

    /// Keeps a warning, the first [`WARNINGS_MAX`] of them.
    pub(super) fn warn(&mut self, warning: Warning) {
        if self.warnings.len() < WARNINGS_MAX {
            self.warnings.push(warning);
        }
    }

    /// Remembers a key for the one warning of such keys.
    pub(super) fn foreign(&mut self, key: String) {
        self.foreign.insert(key);
    }

    /// A key of nobody's; `nearest` is looked for only when the error is kept.
    pub(super) fn unknown(&mut self, raw: &Raw, nearest: impl FnOnce() -> Option<String>) {
        self.errors.push_with(&raw.place, || Problem::UnknownKey {
            key: raw.key.clone(),
            nearest: nearest(),
        });
    }

    /// Puts one value; true when it was put. An empty value is as none: Ant Media's files have
    /// many keys with nothing behind the `=`.
    fn set<T>(&mut self, full_name: &str, key: &Key<T>, target: &mut T, raw: &Raw) -> bool {
        let trimmed = raw.value.trim();
        if trimmed.is_empty() {
            return false;
        }
        let written = Written {
            text: if key.kind.is_shown() {
                trimmed
            } else {
                &raw.value
            },
            base: &raw.base,
        };
        if !key.kind.set(target, written) {
            let found = match key.kind.is_shown() {
                true => shown(trimmed),
                false => "not right (it is not shown)".to_owned(),
            };
            let problem = Problem::Value {
                key: raw.key.clone(),
                found,
                expected: key.kind.expected(),
            };
            self.errors.push(raw.place.clone(), problem);
            return false;
        }
        self.remember(full_name, raw);
        true
    }

    fn remember(&mut self, full_name: &str, raw: &Raw) {
        let now = Set {
            place: raw.place.clone(),
            spelling: raw.key.clone(),
        };
        let before = self.set.insert(full_name.to_owned(), now);
        if let Some(before) = before.filter(|before| same_source(&before.place, &raw.place)) {
            self.warn(Warning::Repeated {
                place: raw.place.clone(),
                key: full_name.to_owned(),
                earlier: before.place,
            });
        }
    }
}

/// True when neither place outranks the other.
fn same_source(a: &Place, b: &Place) -> bool {
    match (a, b) {
        (Place::Line(a, _), Place::Line(b, _)) => a == b,
        (Place::Environment(_), Place::Environment(_)) => true,
        _ => false,
    }
}
