//! The time by which the silence of others is judged: the store's, less the time that it was away.
//!
//! Who lives writes to the store every few seconds. While the store cannot be reached nobody can,
//! and the moment it is back everybody's last word is old, though nobody is dead. So the judging
//! time stands still while the store is away, and goes on from there when it is back, until all
//! had [`NODE_TIMEOUT_MS`] to be heard again. What dies meanwhile is noticed that much later.
//!
//! Unit: ms since the Unix epoch by the store's clock.

use crate::types::NODE_TIMEOUT_MS;

/// Told of each time that the store was heard, or was not.
#[derive(Debug, Default)]
pub(crate) struct JudgingTime {
    /// What it was when the store was last heard.
    last_ms: Option<i64>,
    /// How far it stands back since the store came back, and when that was.
    back: Option<(i64, i64)>,
    away: bool,
}

impl JudgingTime {
    /// The store was never heard.
    pub(crate) const fn is_new(&self) -> bool {
        self.last_ms.is_none()
    }

    /// The store was heard at `now_ms`; gives the judging time of then.
    pub(crate) fn seen(&mut self, now_ms: i64) -> i64 {
        if std::mem::take(&mut self.away)
            && let Some(last_ms) = self.last_ms
        {
            self.back = Some((now_ms.saturating_sub(last_ms).max(0), now_ms));
        }
        let judged_ms = self.at(now_ms);
        self.last_ms = Some(judged_ms);
        judged_ms
    }

    /// The store could not be reached.
    pub(crate) const fn lost(&mut self) {
        self.away = true;
    }

    /// The judging time at `now_ms`.
    pub(crate) fn at(&self, now_ms: i64) -> i64 {
        if self.away
            && let Some(last_ms) = self.last_ms
        {
            return last_ms;
        }
        let back = self.back.filter(|(_, since_ms)| {
            // All had time to be heard; a clock that was set back ends it as well.
            (0..=NODE_TIMEOUT_MS).contains(&now_ms.saturating_sub(*since_ms))
        });
        now_ms.saturating_sub(back.map_or(0, |(by_ms, _)| by_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: i64 = 1_700_000_000_000;

    #[test]
    fn the_judging_time_stands_back_for_as_long_as_the_store_was_away() {
        let mut time = JudgingTime::default();
        assert_eq!(time.seen(T), T);
        assert_eq!(time.seen(T + 1_000), T + 1_000);
        time.lost();
        time.lost();
        assert_eq!(time.at(T + 30_999), T + 1_000, "stands still");
        assert_eq!(time.seen(T + 31_000), T + 1_000, "as it was left");
        assert_eq!(time.seen(T + 41_000), T + 11_000);
        assert_eq!(time.seen(T + 51_000), T + 21_000);
        assert_eq!(time.seen(T + 51_001), T + 51_001, "all had their 20 s");
        time.lost();
        assert_eq!(time.seen(T + 60_000), T + 51_001);
        time.lost();
        assert_eq!(time.seen(T + 70_000), T + 51_001, "away twice in a row");
        assert_eq!(time.seen(T + 90_001), T + 90_001);
    }
}
