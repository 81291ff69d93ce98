//! An application's settings: Ant Media's names, defaults, types and bounds, from one table.
//!
//! Settings come from the application's properties file, from REST and from the store, under names
//! that differ here and there ([`Setting::name`], [`Setting::json`]); all are read everywhere. What
//! is not set has its default. Fields of JSON that are not known (another version's, a plugin's)
//! are kept and given back; what names the record itself ([`RECORD_FIELDS`]) is no setting.
//!
//! Limits: a text is at most [`TEXT_BYTES_MAX`] bytes. Units are in [`Setting::kind`]. Values of
//! secrets are in no error and no `Debug`.

mod error;
mod json;
mod kind;
mod ladder;
mod properties;
mod table;

#[cfg(test)]
mod tests;

pub use error::{SettingError, SettingErrors};
pub use kind::{Kind, TEXT_BYTES_MAX};
pub use properties::FromProperties;
pub use table::{SETTINGS, Setting, find};

use serde_json::{Map, Value};
use std::fmt;
use std::sync::LazyLock;
use std::time::Duration;

/// Fields of a stored or sent record that name it, or say how it stands.
pub const RECORD_FIELDS: [&str; 6] = ["_id", "_t", "dbId", "appName", "updateTime", "toBeDeleted"];

static DEFAULTS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let defaults = SETTINGS.iter().map(|s| s.kind.of_text(s.default));
    defaults.map(Option::unwrap_or_default).collect()
});

/// One application's settings.
#[derive(Clone, PartialEq)]
pub struct AppSettings {
    /// In the order of [`SETTINGS`]; `None` = the default.
    values: Vec<Option<Value>>,
    /// What is not known, by name in JSON.
    unknown: Map<String, Value>,
}

impl Default for AppSettings {
    fn default() -> Self {
        Self {
            values: vec![None; SETTINGS.len()],
            unknown: Map::new(),
        }
    }
}

impl fmt::Debug for AppSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names only: a value may be a secret, or hold one in a URL.
        let set = SETTINGS.iter().zip(&self.values);
        let set = set.filter(|(_, value)| value.is_some());
        f.debug_set().entries(set.map(|(s, _)| s.name)).finish()
    }
}

impl AppSettings {
    /// Sets a setting from text.
    ///
    /// # Errors
    /// [`SettingError`] names the key and what was expected; nothing is changed then.
    pub fn set_text(&mut self, key: &str, text: &str) -> Result<(), SettingError> {
        self.set_with(key, &Value::from(text), |kind| kind.of_text(text))
    }

    /// Sets a setting from JSON; `null`, and `""` where that is no value, set the default.
    ///
    /// # Errors
    /// [`SettingError`] names the key and what was expected; nothing is changed then.
    pub fn set(&mut self, key: &str, value: &Value) -> Result<(), SettingError> {
        self.set_with(key, value, |kind| kind.of_json(value))
    }

    /// Whether it was set, to whatever value.
    #[must_use]
    pub fn is_set(&self, key: &str) -> bool {
        let value = table::position(key).and_then(|at| self.values.get(at));
        value.is_some_and(Option::is_some)
    }

    /// These settings, and those of `weaker` where these say nothing.
    #[must_use]
    pub fn over(mut self, weaker: &Self) -> Self {
        for (value, weaker) in self.values.iter_mut().zip(&weaker.values) {
            if value.is_none() {
                value.clone_from(weaker);
            }
        }
        for (name, value) in &weaker.unknown {
            if !self.unknown.contains_key(name) {
                self.unknown.insert(name.clone(), value.clone());
            }
        }
        self
    }

    /// Names of the settings that have another value here than in `other`, in JSON's words.
    #[must_use]
    pub fn differs_in<'a>(&'a self, other: &'a Self) -> Vec<&'a str> {
        let rows = SETTINGS.iter().enumerate();
        let differ = rows.filter(|(at, _)| self.value(*at) != other.value(*at));
        let mut names: Vec<&'a str> = differ.map(|(_, setting)| setting.json).collect();
        let unknown = self.unknown.iter();
        let unknown = unknown.filter(|(name, value)| other.unknown.get(*name) != Some(value));
        names.extend(unknown.map(|(name, _)| name.as_str()));
        let gone = other.unknown.keys();
        let gone = gone.filter(|name| !self.unknown.contains_key(*name));
        names.extend(gone.map(String::as_str));
        names
    }

    /// `hlsTime`, ms.
    #[must_use]
    pub fn hls_time_ms(&self) -> u64 {
        let time = Duration::try_from_secs_f64(self.hls_time()).unwrap_or_default();
        u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
    }

    /// Sets `hlsTime`, which the node's table has checked.
    pub(crate) fn put_hls_time_ms(&mut self, ms: u64) {
        let text = format!("{}.{:03}", ms / 1_000, ms % 1_000);
        let _checked = self.set_text("hlsTime", &text);
    }

    /// Sets `hlsListSize`, which the node's table has checked.
    pub(crate) fn put_hls_list_size(&mut self, segments: u32) {
        let _checked = self.set("hlsListSize", &Value::from(segments));
    }

    fn set_with(
        &mut self,
        key: &str,
        found: &Value,
        read: impl FnOnce(Kind) -> Option<Value>,
    ) -> Result<(), SettingError> {
        let at = table::position(key);
        let known = at.and_then(|at| Some((SETTINGS.get(at)?, self.values.get_mut(at)?)));
        let Some((setting, value)) = known else {
            return Err(SettingError {
                key: key.to_owned(),
                line: None,
                found: "not known".to_owned(),
                expected: "a setting of an application".to_owned(),
            });
        };
        let blank = found.as_str().is_some_and(|text| text.trim().is_empty());
        if found.is_null() || (blank && !setting.kind.takes_empty()) {
            *value = None;
            return Ok(());
        }
        let new = read(setting.kind);
        *value = Some(new.ok_or_else(|| SettingError::of(key, setting, found))?);
        Ok(())
    }

    fn value(&self, at: usize) -> &Value {
        let set = self.values.get(at).and_then(Option::as_ref);
        set.or_else(|| DEFAULTS.get(at)).unwrap_or(&Value::Null)
    }
}
