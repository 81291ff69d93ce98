//! One viewer's judgement of one media playlist and its segments: no socket, no clock. Lists,
//! segments' times and the time of the run in; faults and what to fetch out.
//!
//! The rules are RFC 8216bis's: numbers run on by one (§4.4.3.2) and never back, entries do not
//! change (§6.2.1), a discontinuity that leaves is counted (§4.4.3.3), no EXTINF rounds above the
//! target duration (§4.4.3.1), a live list grows. Of fMP4 segments also: EXTINF is what the samples
//! last, and each begins where the one before it ended, give or take a frame, unless a
//! discontinuity stands between.
//!
//! A fault is told once: what was found is what is expected from then on.

#[cfg(test)]
mod tests;

use super::playlist::{Entry, List};
use super::timing::Timing;
use crate::fault::{Fault, Kind};
use std::sync::Arc;
use std::time::Duration;

/// Where a player begins, counted in segments from the live edge (§6.3.3).
const START_SEGMENTS: usize = 3;
/// Target durations without a new segment that are a stall.
const STALL_TARGETS: u32 = 3;
/// EXTINF is allowed to be rounded, seconds.
const EXTINF_SLACK_S: f64 = 0.001;

/// The judge of one media playlist.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    last: Option<Arc<List>>,
    /// When the newest segment was first seen.
    newest_at: Duration,
    stalled: bool,
    /// The segment judged last.
    before: Option<(u64, Timing)>,
}

/// What a list brought.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) faults: Vec<Fault>,
    /// Index of the list's first entry that is new.
    pub(crate) new_from: usize,
    /// Whether anything in it is new.
    pub(crate) changed: bool,
}

impl Judge {
    /// Judges a list that came at `now`.
    pub(crate) fn list(&mut self, list: &Arc<List>, now: Duration) -> Verdict {
        let mut verdict = Verdict {
            new_from: list.entries.len(),
            ..Verdict::default()
        };
        let faults = &mut verdict.faults;
        match self.last.clone() {
            None => {
                self.newest_at = now;
                verdict.new_from = list.entries.len().saturating_sub(START_SEGMENTS);
                check_entries(list, verdict.new_from, None, faults);
                verdict.changed = true;
            }
            // The very same text, already judged.
            Some(last) if Arc::ptr_eq(&last, list) => {}
            Some(last) if went_back(&last, list, faults) => {
                // An older list tells nothing more, and the newer one stays what is expected.
                faults.extend(self.waited(now));
                return verdict;
            }
            Some(last) => {
                verdict.new_from = compare(&last, list, faults);
                let known = last.entries.last();
                check_entries(list, verdict.new_from, known, faults);
                verdict.changed = verdict.new_from < list.entries.len() || list.ended;
            }
        }
        if verdict.new_from < list.entries.len() {
            self.newest_at = now;
            self.stalled = false;
        }
        self.last = Some(Arc::clone(list));
        verdict.faults.extend(self.waited(now));
        verdict
    }

    /// Judges how long the newest segment has been the newest; to be asked after each attempt to
    /// get a list.
    pub(crate) fn waited(&mut self, now: Duration) -> Option<Fault> {
        let last = self.last.as_ref().filter(|last| !last.ended)?;
        let limit = Duration::from_secs(last.target_s) * STALL_TARGETS;
        let waited = now.saturating_sub(self.newest_at);
        if self.stalled || waited <= limit {
            return None;
        }
        self.stalled = true;
        let newest = last
            .entries
            .last()
            .map_or(last.media_sequence, |e| e.sequence);
        Some(Fault::new(
            Kind::Stalled,
            format!(
                "segment {newest} has been the newest for {:.1} s (target duration {} s)",
                waited.as_secs_f64(),
                last.target_s
            ),
        ))
    }

    /// Target duration of the list in force; a second before there is one.
    pub(crate) fn target(&self) -> Duration {
        Duration::from_secs(self.last.as_ref().map_or(1, |list| list.target_s))
    }

    /// Judges a segment's times; segments are to be given in the order listed.
    pub(crate) fn segment(&mut self, entry: &Entry, timing: Timing) -> Vec<Fault> {
        let mut faults = Vec::new();
        let real_s = timing.seconds(timing.duration);
        let frame_s = timing.seconds(timing.frame);
        if (entry.duration_s - real_s).abs() > frame_s + EXTINF_SLACK_S {
            let text = format!(
                "EXTINF {} s, its samples last {real_s:.6} s",
                entry.duration_s
            );
            faults.push(Fault::new(Kind::Extinf, text));
        }
        let follows = self
            .before
            .filter(|(sequence, _)| sequence + 1 == entry.sequence);
        if let Some((_, before)) = follows.filter(|_| !entry.discontinuity) {
            let end_s = before.seconds(before.end());
            let start_s = timing.seconds(timing.start);
            let frame_s = frame_s.max(before.seconds(before.frame));
            if (start_s - end_s).abs() > frame_s + EXTINF_SLACK_S {
                let text = format!(
                    "begins at {start_s:.6} s, the one before ended at {end_s:.6} s, and no \
                     discontinuity is announced"
                );
                faults.push(Fault::new(Kind::Timing, text));
            }
        }
        self.before = Some((entry.sequence, timing));
        faults
    }
}

/// Whether `list` is older than `last`, which is a fault.
fn went_back(last: &List, list: &List, faults: &mut Vec<Fault>) -> bool {
    let end = |list: &List| list.media_sequence + list.entries.len() as u64;
    let back = list.media_sequence < last.media_sequence || end(list) < end(last);
    if back {
        let text = format!(
            "segments {} up to {} listed after {} up to {}",
            list.media_sequence,
            end(list),
            last.media_sequence,
            end(last)
        );
        faults.push(Fault::new(Kind::SequenceBack, text));
    }
    back
}

/// Judges what `list` has in common with `last`; gives the index of its first new entry.
fn compare(last: &List, list: &List, faults: &mut Vec<Fault>) -> usize {
    let last_end = last.media_sequence + last.entries.len() as u64;
    if list.media_sequence > last_end && !last.entries.is_empty() {
        let text = format!(
            "the list begins with segment {}, the newest before was {}",
            list.media_sequence,
            last_end.saturating_sub(1)
        );
        faults.push(Fault::new(Kind::SequenceGap, text));
    }
    if list.target_s < last.target_s {
        let text = format!("{} s after {} s", list.target_s, last.target_s);
        faults.push(Fault::new(Kind::TargetDuration, text));
    }
    discontinuities(last, list, faults);
    let gone = usize::try_from(list.media_sequence - last.media_sequence).unwrap_or(usize::MAX);
    let common = last.entries.get(gone..).unwrap_or_default();
    for (before, after) in common.iter().zip(&list.entries) {
        if before != after {
            let text = format!("{} was {}", shown(after), shown(before));
            faults.push(Fault::new(Kind::EntryChanged, text));
        }
    }
    common.len()
}

/// Those that left the list must be in its discontinuity sequence.
fn discontinuities(last: &List, list: &List, faults: &mut Vec<Fault>) {
    let gone = |entry: &&Entry| entry.sequence < list.media_sequence;
    let left = last
        .entries
        .iter()
        .filter(gone)
        .filter(|e| e.discontinuity)
        .count();
    let expected = last.discontinuity_sequence + left as u64;
    let found = list.discontinuity_sequence;
    // Of segments that came and went unseen nobody knows how many had one.
    let unseen = list.media_sequence > last.media_sequence + last.entries.len() as u64;
    if found < expected || (found > expected && !unseen) {
        let text = format!(
            "{found}, expected {expected} ({left} left the list since it said {})",
            last.discontinuity_sequence
        );
        faults.push(Fault::new(Kind::DiscontinuitySequence, text));
    }
}

/// Judges entries from `from` on by themselves; `before` is the one before the first of them.
fn check_entries(list: &List, from: usize, before: Option<&Entry>, faults: &mut Vec<Fault>) {
    let mut before = before;
    for entry in list.entries.iter().skip(from) {
        if entry.duration_s.round() > list.target_s as f64 {
            let text = format!("{} exceeds the target of {} s", shown(entry), list.target_s);
            faults.push(Fault::new(Kind::TargetDuration, text));
        }
        if entry.gap {
            faults.push(Fault::new(Kind::Gap, shown(entry)));
        }
        if before.is_some_and(|before| before.uri == entry.uri) {
            faults.push(Fault::new(Kind::SegmentRepeated, shown(entry)));
        }
        before = Some(entry);
    }
}

fn shown(entry: &Entry) -> String {
    let mark = if entry.discontinuity {
        ", discontinuity"
    } else {
        ""
    };
    let gap = if entry.gap { ", gap" } else { "" };
    format!(
        "segment {} ({}, {} s{mark}{gap})",
        entry.sequence, entry.uri, entry.duration_s
    )
}
