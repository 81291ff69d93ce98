//! How long a peer may take for what it is at.

use tokio::time::Instant;

use super::end::End;
use super::options::RtmpOptions;
use crate::ingest::rtmp::session::Stage;

/// When a connection last did something.
#[derive(Debug)]
pub(super) struct Watch {
    stage: Stage,
    stage_since: Instant,
    bytes_at: Instant,
    message_at: Instant,
    messages: u64,
}

impl Watch {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            stage: Stage::Handshake,
            stage_since: now,
            bytes_at: now,
            message_at: now,
            messages: 0,
        }
    }

    /// Bytes came at `now`, and were looked at: the session is in `stage` and has seen `messages`.
    /// True when the deadline may have come nearer.
    pub(super) fn progress(&mut self, now: Instant, stage: Stage, messages: u64) -> bool {
        self.bytes_at = now;
        if messages != self.messages {
            self.messages = messages;
            self.message_at = now;
        }
        let changed = stage != self.stage;
        if changed {
            self.stage = stage;
            self.stage_since = now;
            self.message_at = now;
        }
        changed
    }

    /// When patience ends, and what is said then.
    pub(super) fn deadline(&self, options: &RtmpOptions) -> (Instant, End) {
        match self.stage {
            Stage::Handshake => {
                let limit = options.handshake_timeout;
                (self.stage_since + limit, End::HandshakeTimeout(limit))
            }
            Stage::Publishing => {
                let idle = self.bytes_at + options.idle_timeout;
                let stall = self.message_at + options.stall_timeout;
                if idle <= stall {
                    (idle, End::IdleTimeout(options.idle_timeout))
                } else {
                    (stall, End::StallTimeout(options.stall_timeout))
                }
            }
            Stage::Idle | Stage::Asking | Stage::Closing => {
                let limit = options.publish_timeout;
                (self.stage_since + limit, End::PublishTimeout(limit))
            }
        }
    }
}
