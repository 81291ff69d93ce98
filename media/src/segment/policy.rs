//! Where to cut: at the candidate nearest to a multiple of the target duration.

/// Decides between the instants at which a segment could start (key frames; for sound alone,
/// every frame). All times in flicks.
#[derive(Clone, Debug)]
pub(super) struct CutPolicy {
    target: i64,
    /// Where the segment being built started.
    start: i64,
}

impl CutPolicy {
    pub(super) fn new(target: i64) -> Self {
        let target = target.max(1);
        Self { target, start: 0 }
    }

    pub(super) fn start(&self) -> i64 {
        self.start
    }

    /// A segment starts at `at`.
    pub(super) fn restart(&mut self, at: i64) {
        self.start = at;
    }

    /// Whether to cut at the candidate `at` when the next one is expected `step` later: yes once
    /// the multiple is reached, and yes when waiting would miss it by more than cutting now does.
    /// Never before half the target has passed.
    pub(super) fn should_cut(&self, at: i64, step: i64) -> bool {
        let earliest = self.start.saturating_add(self.target / 2);
        if at < earliest {
            return false;
        }
        let over = earliest.checked_rem_euclid(self.target).unwrap_or(0);
        let multiple = if over == 0 {
            earliest
        } else {
            earliest.saturating_add(self.target).saturating_sub(over)
        };
        let missing = multiple.saturating_sub(at);
        let next = at.saturating_add(step);
        missing <= 0 || (next >= multiple && missing <= next.saturating_sub(multiple))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cuts made over key frames at these times, target 2000.
    fn cuts(keys: impl IntoIterator<Item = i64>) -> Vec<i64> {
        let mut policy = CutPolicy::new(2000);
        let (mut last, mut cuts) = (0, Vec::new());
        for key in keys {
            if policy.should_cut(key, key - last) {
                policy.restart(key);
                cuts.push(key);
            }
            last = key;
        }
        cuts
    }

    #[test]
    fn near_multiples() {
        assert_eq!(cuts((1..9).map(|k| k * 500)), [2000, 4000]);
        assert_eq!(cuts((1..5).map(|k| k * 2002)), [2002, 4004, 6006, 8008]);
        // A little short of the multiple is nearer than nearly twice it.
        assert_eq!(cuts((1..5).map(|k| k * 1920)), [1920, 3840, 5760, 7680]);
        assert_eq!(cuts([1999, 3999, 6000]), [1999, 3999, 6000]);
        assert_eq!(cuts([10_000, 20_000]), [10_000, 20_000]);
    }

    #[test]
    fn never_shorter_than_half() {
        let keys: Vec<i64> = (1..2000).map(|k| k * 37 % 991 + k * 53).collect();
        let mut last = 0;
        for cut in cuts(keys) {
            assert!(cut - last >= 1000, "{last} {cut}");
            last = cut;
        }
    }
}
