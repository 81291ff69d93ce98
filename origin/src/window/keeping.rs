//! Which segments a window lists, which it still holds, and which it lets go.

use std::sync::Arc;

use super::entry::Entry;
use super::{ENTRIES_MAX, Kept, LISTED_MIN, Window};

impl Window {
    pub(super) fn add(&mut self, entry: Entry) {
        self.length_us = self.length_us.saturating_add(entry.duration_us.max(1));
        self.next_sequence_number = entry.sequence_number.saturating_add(1);
        self.bytes = self.bytes.saturating_add(entry.bytes());
        self.kept.push_back(Kept {
            entry: Arc::new(entry),
            longest_list_us: 0,
            keep_until_us: 0,
        });
        self.listed += 1;
        while self.listed > self.options.playlist_segments.max(1) {
            self.unlist_oldest();
        }
        let list_us = self.listed_entries().map(|entry| entry.duration_us).sum();
        let from = self.kept.len().saturating_sub(self.listed);
        for kept in self.kept.range_mut(from..) {
            kept.longest_list_us = kept.longest_list_us.max(list_us);
        }
    }

    pub(super) fn evict(&mut self) {
        while self.kept.len() > self.listed {
            let over = self.bytes > self.options.bytes_max || self.kept.len() > ENTRIES_MAX;
            let Some(oldest) = self.kept.front() else {
                return;
            };
            if !over && oldest.keep_until_us > self.length_us {
                return;
            }
            self.drop_oldest();
        }
        while self.bytes > self.options.bytes_max && self.listed > LISTED_MIN {
            self.unlist_oldest();
            self.drop_oldest();
        }
    }

    pub(super) fn drop_oldest(&mut self) {
        if let Some(kept) = self.kept.pop_front() {
            self.bytes = self.bytes.saturating_sub(kept.entry.bytes());
        }
    }

    pub(super) fn unlist_oldest(&mut self) {
        let at = self.kept.len().saturating_sub(self.listed);
        if let Some(kept) = self.kept.get_mut(at) {
            let keep_us = kept.entry.duration_us.saturating_add(kept.longest_list_us);
            kept.keep_until_us = self.length_us.saturating_add(keep_us);
        }
        self.listed = self.listed.saturating_sub(1);
    }

    pub(super) fn unlist_all(&mut self) {
        while self.listed > 0 {
            self.unlist_oldest();
        }
    }

    pub(super) fn listed_entries(&self) -> impl DoubleEndedIterator<Item = &Entry> + Clone {
        let from = self.kept.len().saturating_sub(self.listed);
        self.kept.range(from..).map(|kept| &*kept.entry)
    }
}
