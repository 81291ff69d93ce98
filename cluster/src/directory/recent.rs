//! Which streams were told of lately: whether an answer that was under way meanwhile may be older.
//!
//! Keeps hashes, so that two streams may be taken for one; the worst of that is one query more.

use crate::names::StreamKey;
use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};

/// Changes remembered. An answer that was under way during more of them counts as doubtful.
pub(super) const RECENT_MAX: usize = 4_096;

#[derive(Debug, Default)]
pub(super) struct Recent {
    hasher: RandomState,
    /// Changes told so far.
    told: u64,
    keys: VecDeque<u64>,
}

impl Recent {
    /// A place in the order of changes: now.
    pub(super) const fn now(&self) -> u64 {
        self.told
    }

    /// A change of `key` is about to be taken in.
    pub(super) fn push(&mut self, key: &StreamKey) {
        if self.keys.len() == RECENT_MAX {
            self.keys.pop_front();
        }
        self.keys.push_back(self.hasher.hash_one(key));
        self.told += 1;
    }

    /// Whether `key` may have changed since the place `since`.
    pub(super) fn may_have_changed(&self, key: &StreamKey, since: u64) -> bool {
        let missed = self.told.saturating_sub(since);
        let Ok(missed) = usize::try_from(missed) else {
            return true;
        };
        if missed > self.keys.len() {
            return true;
        }
        let hash = self.hasher.hash_one(key);
        self.keys
            .iter()
            .rev()
            .take(missed)
            .any(|told| *told == hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_stream_that_changed_meanwhile_is_doubted_until_too_much_went_by() {
        let key = |id: &str| StreamKey::parse("LiveApp", id).unwrap();
        let mut recent = Recent::default();
        recent.push(&key("before"));
        let since = recent.now();
        assert!(!recent.may_have_changed(&key("before"), since));
        recent.push(&key("a"));
        assert!(recent.may_have_changed(&key("a"), since));
        assert!(!recent.may_have_changed(&key("b"), since));
        for i in 0..RECENT_MAX {
            recent.push(&key(&format!("x{i}")));
        }
        assert!(recent.may_have_changed(&key("b"), since));
        assert_eq!(recent.keys.len(), RECENT_MAX);
    }
}
