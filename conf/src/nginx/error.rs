//! What is wrong with a configuration file, in nginx's words, and where it stands.
//!
//! Why nginx's words: scripts and people grep for them. Every error carries the file and line
//! (from 1); only a main file that cannot be opened has none.

use std::fmt;
use std::sync::Arc;

/// The name of what `-g` says, in place of a file's.
pub(super) const COMMAND_LINE: &str = "command line";

/// A place in a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pos {
    /// File as it was opened.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: u32,
}

impl fmt::Display for Pos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What `-g` says has no lines.
        if *self.file == *COMMAND_LINE {
            return f.write_str(COMMAND_LINE);
        }
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// What sort of fault it is, for callers that branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file or include could not be read.
    Io,
    /// The text does not follow nginx's grammar, or passes a limit.
    Syntax,
    /// No such directive.
    Unknown,
    /// The directive stands in the wrong block.
    NotAllowed,
    /// Too few or too many arguments, or a value that does not parse.
    Value,
    /// nginx knows it; this version does not do it yet.
    Unsupported,
    /// A host name that does not resolve.
    Host,
}

/// One fault in a configuration: the administrator's to mend, never worth a retry unchanged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("[emerg] {message}{}", At(.pos))]
pub struct Error {
    /// nginx's text for it.
    pub message: String,
    /// Where it stands; `None` only for a main file that cannot be opened.
    pub pos: Option<Pos>,
    /// What sort of fault it is.
    pub kind: Kind,
}

impl Error {
    /// A fault at a place.
    #[must_use]
    pub fn new(kind: Kind, message: impl Into<String>, pos: &Pos) -> Self {
        Self {
            message: message.into(),
            pos: Some(pos.clone()),
            kind,
        }
    }
}

/// Writes ` in FILE:LINE` when the place is known.
struct At<'a>(&'a Option<Pos>);

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |pos| write!(f, " in {pos}"))
    }
}
