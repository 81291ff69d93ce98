//! Settings as JSON: what REST sends and takes, and what the store keeps.

use super::error::{SettingError, SettingErrors};
use super::kind::Kind;
use super::{AppSettings, RECORD_FIELDS, SETTINGS, ladder, table};
use serde_json::{Map, Value};

/// The ladder as a list; the same as text is `encoderSettingsString`.
const LADDER: &str = "encoderSettings";
/// The most fields kept that are not known.
const UNKNOWN_MAX: usize = 500;

impl AppSettings {
    /// Settings from JSON as REST takes it; what it does not name has its default.
    ///
    /// # Errors
    /// [`SettingErrors`] with every value that is not what its key needs.
    pub fn from_json(fields: &Map<String, Value>) -> Result<Self, SettingErrors> {
        let (settings, errors) = Self::read(fields);
        errors.unless(settings)
    }

    /// Settings from a record of the store; a value that is not right counts as not set, and is
    /// named beside.
    #[must_use]
    pub fn from_record(fields: &Map<String, Value>) -> (Self, SettingErrors) {
        Self::read(fields)
    }

    /// Every setting by its name in JSON, defaults filled in, and what is not known.
    #[must_use]
    pub fn to_json(&self) -> Map<String, Value> {
        let mut fields = self.unknown.clone();
        for (at, setting) in SETTINGS.iter().enumerate() {
            let value = self.value(at);
            if setting.kind == Kind::Ladder {
                let list = value.as_str().and_then(ladder::list_of);
                fields.insert(LADDER.to_owned(), Value::Array(list.unwrap_or_default()));
            }
            fields.insert(setting.json.to_owned(), value.clone());
        }
        fields
    }

    /// What was set, by its name in JSON, and what is not known: what a record needs so that
    /// whatever it does not say can be said by somebody weaker ([`AppSettings::over`]).
    #[must_use]
    pub fn set_to_json(&self) -> Map<String, Value> {
        let mut fields = self.to_json();
        if !self.is_set(LADDER) {
            fields.remove(LADDER);
        }
        for setting in SETTINGS.iter().filter(|setting| !self.is_set(setting.name)) {
            fields.remove(setting.json);
        }
        fields
    }

    fn read(fields: &Map<String, Value>) -> (Self, SettingErrors) {
        let mut settings = Self::default();
        let mut errors = SettingErrors::default();
        for (name, value) in fields {
            let result = if name == LADDER {
                // Where both are sent, the list is what the panel shows and changes.
                settings.set("encoderSettingsString", value)
            } else if name == "encoderSettingsString" && list_is_sent(fields) {
                Ok(())
            } else if table::position(name).is_some() {
                settings.set(name, value)
            } else {
                settings.keep_unknown(name, value)
            };
            if let Err(mut error) = result {
                error.key.clone_from(name);
                errors.push(error);
            }
        }
        (settings, errors)
    }

    pub(super) fn keep_unknown(&mut self, name: &str, value: &Value) -> Result<(), SettingError> {
        if RECORD_FIELDS.contains(&name) {
            return Ok(());
        }
        let refused = |expected: &str| {
            Err(SettingError {
                key: name.to_owned(),
                line: None,
                found: "not known".to_owned(),
                expected: expected.to_owned(),
            })
        };
        if name.is_empty() || name.starts_with('$') || name.contains(['.', '\0']) {
            return refused("a name without a dot and without a leading $");
        }
        if self.unknown.len() >= UNKNOWN_MAX {
            return refused("at most 500 names that are not known");
        }
        self.unknown.insert(name.to_owned(), value.clone());
        Ok(())
    }
}

fn list_is_sent(fields: &Map<String, Value>) -> bool {
    fields.get(LADDER).is_some_and(|list| !list.is_null())
}
