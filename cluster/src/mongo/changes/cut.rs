//! Why following stopped, and what helps.

use crate::mongo::is_away;
use mongodb::error::{Error, ErrorKind};

/// Why following stopped, and what helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// The server is away, or electing: go on from the same place.
    Away,
    /// The place is no longer there: start from now.
    Lost,
    /// The server tells no changes.
    Refused,
    /// Somebody else has the turn.
    Overtaken,
}

/// Codes of servers that start, stop or change who is primary.
const PASSING: [i32; 17] = [
    6, 7, 43, 50, 64, 89, 91, 133, 134, 189, 234, 262, 9001, 10_107, 11_600, 11_602, 13_436,
];
/// Codes of servers that have no change streams, or keep them from this user.
const REFUSALS: [i32; 6] = [8_000, 13, 59, 115, 303, 40_573];

/// What an error means to who `resumes` from a place in the server's log.
pub(super) fn judge(error: &Error, resumes: bool) -> Cut {
    let code = match &*error.kind {
        ErrorKind::Command(command) => command.code,
        ErrorKind::MissingResumeToken => return Cut::Lost,
        _ if is_away(error) => return Cut::Away,
        // A reply that cannot be read would come again and again.
        _ if resumes => return Cut::Lost,
        _ => return Cut::Away,
    };
    if PASSING.contains(&code) || error.contains_label("ResumableChangeStreamError") {
        Cut::Away
    } else if REFUSALS.contains(&code) {
        Cut::Refused
    } else if resumes {
        // History lost (286, 136), a fatal event (280), a token of another log (260) and what
        // there may be else: none of it passes by waiting.
        Cut::Lost
    } else {
        Cut::Away
    }
}
