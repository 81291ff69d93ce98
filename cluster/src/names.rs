//! Checked names: an application, a stream in it.
//!
//! Names come from encoders, viewers and scripts and end in URLs, file names and store keys: one
//! check at the door, a type ever after. The rules are Ant Media's (letters, digits, `-`, `_`,
//! `.`), made strict where its URLs give a sequence a meaning of its own. Case counts.
//! A name is at most [`STREAM_ID_BYTES_MAX`] or [`APP_NAME_BYTES_MAX`] bytes, all ASCII.

use std::fmt;

#[cfg(test)]
mod tests;

/// The longest stream id accepted, bytes.
pub const STREAM_ID_BYTES_MAX: usize = 128;
/// The longest application name accepted, bytes.
pub const APP_NAME_BYTES_MAX: usize = 64;

/// Why a name was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was given.
    #[error("{what} is empty")]
    Empty {
        /// Which name.
        what: &'static str,
    },
    /// Longer than allowed.
    #[error("{what} is {len_bytes} bytes long; at most {max_bytes} are allowed")]
    TooLong {
        /// Which name.
        what: &'static str,
        /// Its length.
        len_bytes: usize,
        /// The limit.
        max_bytes: usize,
    },
    /// A character that is not allowed.
    #[error("{what} has {found:?} at byte {offset}; only {allowed} are allowed")]
    Character {
        /// Which name.
        what: &'static str,
        /// The offender.
        found: char,
        /// Where it stands.
        offset: usize,
        /// What would be right.
        allowed: &'static str,
    },
    /// A sequence that has a meaning of its own in URLs.
    #[error("{what} may not {rule}")]
    Reserved {
        /// Which name.
        what: &'static str,
        /// The rule that was broken.
        rule: &'static str,
    },
}

/// An application's name, for example `LiveApp`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AppName(String);

/// A stream's id inside its application.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(String);

/// A stream: the application and the id in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamKey {
    /// The application.
    pub app: AppName,
    /// The stream in it.
    pub id: StreamId,
}

impl AppName {
    /// Checks `name`: letters, digits, `_`, `-`.
    ///
    /// # Errors
    /// [`NameError`] says what is wrong and where.
    pub fn parse(name: &str) -> Result<Self, NameError> {
        const WHAT: &str = "application name";
        check(
            WHAT,
            name,
            APP_NAME_BYTES_MAX,
            "letters, digits, '_' and '-'",
            |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'),
        )?;
        Ok(Self(name.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl StreamId {
    /// Checks `id` by Ant Media's rule: letters, digits, `-`, `_`, `.`; no double underscore
    /// (it parts id from suffix in URLs), no leading dot.
    ///
    /// # Errors
    /// [`NameError`] says what is wrong and where.
    pub fn parse(id: &str) -> Result<Self, NameError> {
        const WHAT: &str = "stream id";
        check(
            WHAT,
            id,
            STREAM_ID_BYTES_MAX,
            "letters, digits, '-', '_' and '.'",
            |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'),
        )?;
        if id.contains("__") {
            return Err(NameError::Reserved {
                what: WHAT,
                rule: "contain a double underscore",
            });
        }
        if id.starts_with('.') {
            return Err(NameError::Reserved {
                what: WHAT,
                rule: "start with a dot",
            });
        }
        Ok(Self(id.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl StreamKey {
    /// Checks both names.
    ///
    /// # Errors
    /// [`NameError`] of the first that is wrong.
    pub fn parse(app: &str, id: &str) -> Result<Self, NameError> {
        Ok(Self {
            app: AppName::parse(app)?,
            id: StreamId::parse(id)?,
        })
    }
}

impl fmt::Display for AppName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.app, self.id)
    }
}

fn check(
    what: &'static str,
    name: &str,
    max_bytes: usize,
    allowed: &'static str,
    ok: impl Fn(char) -> bool,
) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty { what });
    }
    if name.len() > max_bytes {
        return Err(NameError::TooLong {
            what,
            len_bytes: name.len(),
            max_bytes,
        });
    }
    match name.char_indices().find(|(_, c)| !ok(*c)) {
        Some((offset, found)) => Err(NameError::Character {
            what,
            found,
            offset,
            allowed,
        }),
        None => Ok(()),
    }
}
