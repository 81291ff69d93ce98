//! What was told of lately: whether an answer that was under way meanwhile may be older.
//!
//! Keeps hashes of names, so that two may be taken for one; the worst of that is one query more.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hash, RandomState};

/// Changes remembered. An answer that was under way during more of them counts as doubtful.
pub(crate) const RECENT_MAX: usize = 4_096;

#[derive(Debug, Default)]
pub(crate) struct Recent {
    hasher: RandomState,
    /// Changes told so far.
    told: u64,
    keys: VecDeque<u64>,
}

impl Recent {
    /// A place in the order of changes: now.
    pub(crate) const fn now(&self) -> u64 {
        self.told
    }

    /// A change of `key` is about to be taken in.
    pub(crate) fn push(&mut self, key: &impl Hash) {
        if self.keys.len() == RECENT_MAX {
            self.keys.pop_front();
        }
        self.keys.push_back(self.hasher.hash_one(key));
        self.told += 1;
    }

    /// Whether `key` may have changed since the place `since`.
    pub(crate) fn may_have_changed(&self, key: &impl Hash, since: u64) -> bool {
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
    fn only_what_changed_meanwhile_is_doubted_until_too_much_went_by() {
        let key = str::to_owned;
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
