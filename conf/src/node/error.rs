//! What is wrong with the settings, and where; one line each.
//!
//! All errors of a load are collected, for a user mends a file in one go; the settings' author is
//! at fault for every one of them except [`Problem::Read`], and none goes away by trying again.

use std::fmt;
use std::path::PathBuf;

/// The most errors kept of one load; further ones are counted.
pub const ERRORS_MAX: usize = 100;

/// Where a setting was made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A line of a properties file, counted from 1.
    Line(PathBuf, u32),
    /// A properties file as a whole.
    File(PathBuf),
    /// The environment variable of this name.
    Environment(String),
    /// Nowhere: it is the default that does not fit, or a setting that is missing.
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(file, line) => write!(f, "{}:{line}", file.display()),
            Self::File(file) => write!(f, "{}", file.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Default => write!(f, "settings"),
        }
    }
}

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct ConfError {
    /// Where.
    pub place: Place,
    /// What.
    pub problem: Problem,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The file cannot be read: not there, no right, not a file.
    #[error("cannot be read: {0}")]
    Read(String),
    /// Not the syntax of a properties file.
    #[error("{0}")]
    Syntax(&'static str),
    /// Neither a key of ours nor one of Ant Media's.
    #[error("key {} is not known{}", shown(.key), did_you_mean(.nearest.as_deref()))]
    UnknownKey {
        /// As written.
        key: String,
        /// The nearest known one, if any is near.
        nearest: Option<String>,
    },
    /// `app.NAME.…` for an application that `apps` does not list.
    #[error("key {}: there is no application {}; `apps` lists {}", shown(.key), shown(.app), .apps.join(", "))]
    UnknownApp {
        /// As written.
        key: String,
        /// The application in it.
        app: String,
        /// Those there are.
        apps: Vec<String>,
    },
    /// A value of the wrong kind, unit or range.
    #[error("{key} is {found}; expected {expected}")]
    Value {
        /// The key.
        key: String,
        /// What was written, shortened; a placeholder for secrets.
        found: String,
        /// What would be right, with its unit.
        expected: String,
    },
    /// Settings that cannot stand together, or one that another needs.
    #[error("{0}")]
    Conflict(String),
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |key| format!("; did you mean \"{key}\"?"))
}

/// Names with commas between them, not without end.
fn names(names: &[String]) -> String {
    const NAMES_MAX: usize = 500;
    let shown = names.get(..NAMES_MAX).unwrap_or(names).join(", ");
    match names.len().saturating_sub(NAMES_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Text from outside, in quotes, control characters escaped, shortened.
pub(crate) fn shown(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 60;
    let mut short: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{short:?}")
}

/// Everything that is wrong with the settings; `Display` is one line each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfErrors {
    list: Vec<ConfError>,
    more: usize,
}

impl ConfErrors {
    /// The errors, at most [`ERRORS_MAX`], in the order of the files' lines.
    pub fn list(&self) -> &[ConfError] {
        &self.list
    }

    /// True when nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn push(&mut self, place: Place, problem: Problem) {
        self.push_with(&place, || problem);
    }

    /// `problem` is made only when it is kept.
    pub(super) fn push_with(&mut self, place: &Place, problem: impl FnOnce() -> Problem) {
        if self.list.len() < ERRORS_MAX {
            let (place, problem) = (place.clone(), problem());
            self.list.push(ConfError { place, problem });
        } else {
            self.more += 1;
        }
    }

    /// By file and line, then the environment.
    pub(super) fn sort(&mut self) {
        self.list.sort_by(|a, b| a.place.cmp(&b.place));
    }
}

impl fmt::Display for ConfErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, error) in self.list.iter().enumerate() {
            if n > 0 {
                writeln!(f)?;
            }
            write!(f, "{error}")?;
        }
        if self.more > 0 {
            write!(f, "\n{} more errors are not shown", self.more)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfErrors {}

/// What is worth a line in the log, though the node starts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Warning {
    /// Keys of Ant Media's that mean nothing here; one such warning a load.
    #[error("{} of Ant Media's keys have no meaning here and are not used: {}", .0.len(), names(.0))]
    Foreign(Vec<String>),
    /// A key set twice in one source; as in Java, the last one holds.
    #[error("{place}: {key} was already set at {earlier}; the last one holds")]
    Repeated {
        /// The one that holds.
        place: Place,
        /// The key.
        key: String,
        /// The one that does not.
        earlier: Place,
    },
    /// A setting that does nothing as things stand.
    #[error("{place}: {text}")]
    Unused {
        /// Where it was made.
        place: Place,
        /// What it is and why it does nothing.
        text: String,
    },
    /// Settings that work, but likely not as meant.
    #[error("{place}: {text}")]
    Advice {
        /// Where the setting in question was made.
        place: Place,
        /// What is likely wrong, and what to do.
        text: String,
    },
}
