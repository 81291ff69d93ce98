//! `limit_req` and `limit_conn` for one request.
//!
//! Each is asked once a request, at the first location that has such a limit, as in nginx; the
//! request is in hand (`limit_conn`) until all of it is over.

use std::time::Duration;

use pingora::proxy::Session;
use weir_cluster::{SystemClock, WallClock as _};
use weir_conf::nginx::process::LogLevel;

use super::machine::Phase;
use super::proxy::{Ctx, Gateway};
use super::reply::Step;
use crate::limits::{Held, KEY_BYTES_MAX, Look, Requests};

/// What the limits said of a request.
#[derive(Debug, Default)]
pub(crate) struct Limited {
    /// `$limit_req_status`
    pub(crate) requests: Option<&'static str>,
    /// `$limit_conn_status`
    pub(crate) connections: Option<&'static str>,
    held: Vec<Held>,
}

/// What is to be done with a request.
enum Verdict {
    Pass,
    /// Too much in this zone: by how much, in thousandths of a request.
    Refuse(usize, u64),
    /// It waits so many milliseconds for this zone.
    Wait(u64, usize, u64),
}

impl Gateway {
    /// The phase before access.
    pub(super) fn preaccess(&self, session: &Session, ctx: &mut Ctx) -> Phase {
        self.find_client(session, ctx);
        if let Some(phase) = self.limit_requests(session, ctx) {
            return phase;
        }
        self.limit_connections(session, ctx)
            .unwrap_or(Phase::Access)
    }

    fn limit_requests(&self, session: &Session, ctx: &mut Ctx) -> Option<Phase> {
        let limits = &self.common(ctx).guard.requests;
        if limits.all.is_empty() || ctx.limited.requests.is_some() {
            return None;
        }
        let dry = limits.dry_run;
        let note = if dry { ", dry run" } else { "" };
        let zone = |place| {
            self.site
                .request_zones
                .get(place)
                .map_or("", Requests::name)
        };
        match self.judge_requests(session, ctx)? {
            Verdict::Pass => {
                ctx.limited.requests = Some("PASSED");
                None
            }
            Verdict::Refuse(place, excess) => {
                let text = format!(
                    "limiting requests{note}, excess: {}.{:03} by zone \"{}\"",
                    excess / 1000,
                    excess % 1000,
                    zone(place)
                );
                self.say(session, ctx, limits.log_level, &text);
                let status = limits.status;
                ctx.limited.requests = Some(if dry { "REJECTED_DRY_RUN" } else { "REJECTED" });
                (!dry).then_some(Phase::Fail(status))
            }
            Verdict::Wait(ms, place, excess) => {
                let text = format!(
                    "delaying request{note}, excess: {}.{:03}, by zone \"{}\"",
                    excess / 1000,
                    excess % 1000,
                    zone(place)
                );
                self.say(session, ctx, less_important(limits.log_level), &text);
                ctx.limited.requests = Some(if dry { "DELAYED_DRY_RUN" } else { "DELAYED" });
                let wait = Step::Wait(Duration::from_millis(ms), Box::new(Phase::Preaccess));
                (!dry).then(|| Phase::Answer(Box::new(wait)))
            }
        }
    }

    /// Asks every zone, and counts the request in all of them if none refuses it. `None` if no
    /// limit has a key for it.
    fn judge_requests(&self, session: &Session, ctx: &Ctx) -> Option<Verdict> {
        let now_ms = SystemClock.now_ms();
        let limits = &self.common(ctx).guard.requests.all;
        let mut asked = Vec::with_capacity(limits.len());
        for limit in limits {
            let (Some(zone), Some(model)) = (
                self.site.request_zones.get(limit.zone),
                self.site.request_keys.get(limit.zone),
            ) else {
                continue;
            };
            let key = self.values(session, ctx).value(model).into_owned();
            if is_counted(&key) {
                asked.push((limit, zone, key));
            }
        }
        let mut counted = None;
        for (place, (limit, zone, key)) in asked.iter().enumerate() {
            let last = place + 1 == asked.len();
            match zone.look(key, limit.burst_milli, now_ms, last) {
                Look::Passed { excess_milli } => counted = Some(excess_milli),
                refused => {
                    for (_, zone, key) in asked.iter().take(place) {
                        zone.release(key);
                    }
                    let excess = match refused {
                        Look::Refused { excess_milli } => excess_milli,
                        Look::Passed { .. } | Look::Full => 0,
                    };
                    return Some(Verdict::Refuse(limit.zone, excess));
                }
            }
        }
        let counted = counted?;
        let waits = asked.iter().enumerate().map(|(place, (limit, zone, key))| {
            let excess = if place + 1 == asked.len() {
                counted
            } else {
                zone.settle(key, now_ms)
            };
            let delay = limit.delay_milli.unwrap_or(u64::MAX);
            (zone.wait_ms(excess, delay), limit.zone, excess)
        });
        // All are counted, whichever is the longest.
        let longest = waits.reduce(|a, b| if b.0 > a.0 { b } else { a });
        Some(match longest {
            Some((ms, place, excess)) if ms > 0 => Verdict::Wait(ms, place, excess),
            _ => Verdict::Pass,
        })
    }

    fn limit_connections(&self, session: &Session, ctx: &mut Ctx) -> Option<Phase> {
        let limits = &self.common(ctx).guard.connections;
        if limits.all.is_empty() || ctx.limited.connections.is_some() {
            return None;
        }
        for limit in &limits.all {
            let (Some(zone), Some(model)) = (
                self.site.connection_zones.get(limit.zone),
                self.site.connection_keys.get(limit.zone),
            ) else {
                continue;
            };
            let key = self.values(session, ctx).value(model).into_owned();
            if !is_counted(&key) {
                continue;
            }
            ctx.limited.connections = Some("PASSED");
            if let Some(held) = zone.hold(&key, limit.max) {
                ctx.limited.held.push(held);
                continue;
            }
            ctx.limited.held.clear();
            let dry = limits.dry_run;
            let note = if dry { ", dry run," } else { "" };
            let text = format!("limiting connections{note} by zone \"{}\"", zone.name());
            self.say(session, ctx, limits.log_level, &text);
            let status = limits.status;
            ctx.limited.connections = Some(if dry { "REJECTED_DRY_RUN" } else { "REJECTED" });
            return (!dry).then_some(Phase::Fail(status));
        }
        None
    }
}

/// An empty key is not counted; nor is one that is too long, as in nginx.
fn is_counted(key: &[u8]) -> bool {
    if key.len() > KEY_BYTES_MAX {
        tracing::error!(bytes = key.len(), "the value of a limit's key is too long");
    }
    !key.is_empty() && key.len() <= KEY_BYTES_MAX
}

/// Waiting is one level less important than being refused.
fn less_important(level: LogLevel) -> LogLevel {
    match level {
        LogLevel::Error => LogLevel::Warn,
        LogLevel::Warn => LogLevel::Notice,
        LogLevel::Notice => LogLevel::Info,
        _ => LogLevel::Debug,
    }
}
