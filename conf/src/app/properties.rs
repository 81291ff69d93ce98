//! Settings from an application's own file, Ant Media's `red5-web.properties`.

use super::error::{SettingError, SettingErrors};
use super::{AppSettings, find};
use crate::node::properties;
use serde_json::Value;

/// What a file says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FromProperties {
    /// Its settings.
    pub settings: AppSettings,
    /// Keys that are no settings of an application (`db.name`, `webapp.contextPath`), in the order of the
    /// file.
    pub others: Vec<String>,
}

impl AppSettings {
    /// Reads a properties file. A key may have `settings.` before it; nothing after the `=` is as no
    /// line at all, as in all of Ant Media's files.
    ///
    /// # Errors
    /// [`SettingErrors`] with every line that is not right.
    pub fn from_properties(bytes: &[u8]) -> Result<FromProperties, SettingErrors> {
        let (entries, wrong) = properties::parse(bytes);
        let mut errors = SettingErrors::default();
        for error in wrong {
            errors.push(SettingError {
                key: "the line".to_owned(),
                line: Some(error.line),
                found: "not a setting".to_owned(),
                expected: format!("key=value ({})", error.reason),
            });
        }
        let mut read = FromProperties::default();
        for entry in entries {
            let Some(setting) = find(&entry.key) else {
                if !entry.key.contains('.') {
                    let value = Value::from(entry.value);
                    // Too many, or a name no store takes: named below like any other.
                    let _ = read.settings.keep_unknown(&entry.key, &value);
                }
                read.others.push(entry.key);
                continue;
            };
            let text = match setting.kind.is_shown() {
                true => entry.value.trim(),
                false => &entry.value,
            };
            if text.is_empty() {
                continue;
            }
            if let Err(mut error) = read.settings.set_text(&entry.key, text) {
                error.line = Some(entry.line);
                errors.push(error);
            }
        }
        errors.unless(read)
    }
}
