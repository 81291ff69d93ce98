//! How fast a client is answered: `limit_rate`, `limit_rate_after`, `$limit_rate`,
//! `X-Accel-Limit-Rate`.
//!
//! As nginx: the first second's worth goes at once, after what is free of the limit. Pieces of an
//! upstream's answer are written whole and wait before; our own are cut to fit.

use std::time::Duration;

use pingora::proxy::Session;
use tokio::time::Instant;

use super::proxy::{Ctx, Gateway};

/// An answer's pace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    start: Instant,
    rate_bytes_s: u64,
    free_bytes: u64,
    sent_bytes: u64,
}

impl Pace {
    /// How long to wait before a piece of so many bytes, which then counts as sent.
    pub(crate) fn wait(&mut self, bytes: usize, now: Instant) -> Option<Duration> {
        self.sent_bytes = self.sent_bytes.saturating_add(bytes as u64);
        let slow = self.sent_bytes.saturating_sub(self.free_bytes);
        let due_ms = slow.saturating_mul(1000).checked_div(self.rate_bytes_s)?;
        let due = Duration::from_millis(due_ms.saturating_sub(1000));
        let passed = now.saturating_duration_since(self.start);
        due.checked_sub(passed).filter(|wait| !wait.is_zero())
    }

    /// How much of an answer of our own is written at a time.
    pub(crate) fn piece_bytes(&self, most: usize) -> usize {
        let tenth = usize::try_from(self.rate_bytes_s / 10).unwrap_or(most);
        tenth.clamp(1, most)
    }
}

impl Gateway {
    /// The pace of a request's answer, if it has one.
    pub(super) fn pace(&self, session: &Session, ctx: &mut Ctx) -> Option<Pace> {
        let guard = &self.common(ctx).guard;
        if ctx.flow.limit_rate.is_none() && guard.rate.is_none() {
            return None;
        }
        let size = |template: &Option<_>| {
            let template = template.as_ref()?;
            let value = self.values(session, ctx).value(template).into_owned();
            weir_conf::nginx::size_bytes(std::str::from_utf8(&value).ok()?)
        };
        let rate = ctx
            .flow
            .limit_rate
            .or_else(|| size(&guard.rate))
            .unwrap_or(0);
        let free_bytes = size(&guard.rate_after).unwrap_or(0);
        ctx.flow.limit_rate = Some(rate);
        (rate > 0).then_some(Pace {
            start: ctx.started,
            rate_bytes_s: rate,
            free_bytes,
            sent_bytes: 0,
        })
    }

    /// How long a piece of an upstream's answer waits.
    pub(super) fn wait_for(
        &self,
        session: &Session,
        ctx: &mut Ctx,
        bytes: usize,
    ) -> Option<Duration> {
        if ctx.pace.is_none() {
            ctx.pace = Some(self.pace(session, ctx));
        }
        ctx.pace.as_mut()?.as_mut()?.wait(bytes, Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_goes_at_once_and_the_rest_at_the_rate() {
        let start = Instant::now();
        let mut pace = Pace {
            start,
            rate_bytes_s: 1000,
            free_bytes: 500,
            sent_bytes: 0,
        };
        let ms = |ms: u64| Some(Duration::from_millis(ms));
        assert_eq!(pace.wait(1500, start), None);
        assert_eq!(pace.wait(1000, start), ms(1000));
        let later = start + Duration::from_millis(1200);
        assert_eq!(pace.wait(1000, later), ms(800));
        assert_eq!(pace.wait(0, start + Duration::from_secs(9)), None);
        assert_eq!((pace.piece_bytes(4096), pace.piece_bytes(10)), (100, 10));
        assert!(pace.wait(usize::MAX, start).is_some());
    }
}
