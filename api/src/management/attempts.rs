//! Failed logins: after more than [`FREE`] in a row a name is refused for [`BLOCK_MS`], as in Ant Media.
//!
//! Names that do not exist are counted like those that do, so that nobody learns which is which. Counted on each node
//! by itself: a crowd of n nodes gives n times as many tries. At most [`NAMES_MAX`] names are remembered; beyond
//! that the oldest count is forgotten first.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Failures without consequence.
const FREE: u32 = 2;
/// How long a name is refused, ms.
pub(crate) const BLOCK_MS: i64 = 300_000;
/// Names remembered.
const NAMES_MAX: usize = 10_000;

/// Failures by name.
#[derive(Debug, Default)]
pub(crate) struct Attempts(Mutex<HashMap<String, Failed>>);

#[derive(Clone, Copy, Debug)]
struct Failed {
    times: u32,
    last_ms: i64,
}

impl Attempts {
    /// Whether `name` is refused at `now_ms`.
    pub(crate) fn is_blocked(&self, name: &str, now_ms: i64) -> bool {
        let failed = self.names().get(name).copied();
        failed.is_some_and(|failed| failed.times > FREE && now_ms - failed.last_ms < BLOCK_MS)
    }

    /// A login failed.
    pub(crate) fn failed(&self, name: &str, now_ms: i64) {
        let mut names = self.names();
        if names.len() >= NAMES_MAX && !names.contains_key(name) {
            let oldest = names.iter().min_by_key(|(_, failed)| failed.last_ms);
            if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                names.remove(&oldest);
            }
        }
        let failed = names.entry(name.to_owned()).or_insert(Failed {
            times: 0,
            last_ms: now_ms,
        });
        if now_ms - failed.last_ms >= BLOCK_MS {
            failed.times = 0;
        }
        failed.times = failed.times.saturating_add(1);
        failed.last_ms = now_ms;
    }

    /// A login succeeded.
    pub(crate) fn succeeded(&self, name: &str) {
        self.names().remove(name);
    }

    fn names(&self) -> std::sync::MutexGuard<'_, HashMap<String, Failed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_failure_blocks_for_300_s() {
        let attempts = Attempts::default();
        for at_ms in [0, 1_000] {
            attempts.failed("a", at_ms);
            assert!(!attempts.is_blocked("a", at_ms));
        }
        attempts.failed("a", 2_000);
        assert!(attempts.is_blocked("a", 2_000) && !attempts.is_blocked("b", 2_000));
        assert!(attempts.is_blocked("a", 301_999) && !attempts.is_blocked("a", 302_000));
        attempts.failed("a", 302_000);
        assert!(!attempts.is_blocked("a", 302_000), "counted anew");
    }

    #[test]
    fn a_success_forgets_and_a_crowd_of_names_is_bounded() {
        let attempts = Attempts::default();
        for at_ms in 0..3 {
            attempts.failed("a", at_ms);
        }
        attempts.succeeded("a");
        assert!(!attempts.is_blocked("a", 3));
        for n in 0..NAMES_MAX + 7 {
            attempts.failed(&n.to_string(), i64::try_from(n).unwrap());
        }
        let names = attempts.names();
        assert_eq!(names.len(), NAMES_MAX);
        assert!(!names.contains_key("0") && names.contains_key("7"));
    }
}
