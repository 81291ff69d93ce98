//! What is wrong with an application's settings, in one line each.

use super::table::Setting;
use crate::node::shown;
use serde_json::Value;
use std::fmt;

/// The most errors kept of one reading.
const ERRORS_MAX: usize = 100;

/// A value that is not what its key needs; whoever set it must change it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{key} is {found}; expected {expected}", at_line(*.line))]
pub struct SettingError {
    /// The key, as written.
    pub key: String,
    /// The line of a properties file, from 1.
    pub line: Option<u32>,
    /// What was written, shortened; a placeholder for secrets.
    pub found: String,
    /// What would be right, with its unit.
    pub expected: String,
}

impl SettingError {
    pub(super) fn of(key: &str, setting: &Setting, found: &Value) -> Self {
        let found = match (setting.kind.is_shown(), found) {
            (false, _) => "not right (it is not shown)".to_owned(),
            (true, Value::String(text)) => shown(text),
            (true, Value::Array(_)) => "an array".to_owned(),
            (true, Value::Object(_)) => "an object".to_owned(),
            (true, other) => other.to_string(),
        };
        Self {
            key: key.to_owned(),
            line: None,
            found,
            expected: setting.kind.expected(),
        }
    }
}

fn at_line(line: Option<u32>) -> String {
    line.map_or_else(String::new, |line| format!("line {line}: "))
}

/// All that is wrong, at most a hundred of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettingErrors(Vec<SettingError>);

impl SettingErrors {
    /// Each.
    #[must_use]
    pub fn list(&self) -> &[SettingError] {
        &self.0
    }

    pub(super) fn push(&mut self, error: SettingError) {
        if self.0.len() < ERRORS_MAX {
            self.0.push(error);
        }
    }

    /// `value`, when nothing is wrong.
    pub(super) fn unless<T>(self, value: T) -> Result<T, Self> {
        match self.0.is_empty() {
            true => Ok(value),
            false => Err(self),
        }
    }
}

impl fmt::Display for SettingErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for SettingErrors {}
