//! What an owner writes of its stream into the store.
//!
//! Figures are counted as frames come and turned into rates once a checkpoint, over the time since
//! the one before. Times are ms since the Unix epoch.

use weir_cluster::{Broadcast, BroadcastStatus, StreamKey};
use weir_media::{TrackParams, VideoParams};

use crate::ingest::PublishRequest;

const BITS_PER_BYTE: i64 = 8;
const MS_PER_S: i64 = 1_000;
const MILLI: i64 = 1_000;

/// The figures of one broadcast, from its first publisher to its end.
#[derive(Debug)]
pub(crate) struct Record {
    broadcast: Broadcast,
    received_bytes: i64,
    /// Time, bytes and media time at the last measure.
    measured: (i64, i64, i64),
}

impl Record {
    /// The record of a broadcast that starts now. It counts as unknown to the store, which keeps
    /// what it knows better (`zombi`, `name`, `date`).
    pub(crate) fn new(
        key: &StreamKey,
        request: &PublishRequest,
        adress: &str,
        now_ms: i64,
    ) -> Self {
        let mut record = Self {
            broadcast: Broadcast {
                status: BroadcastStatus::Preparing,
                zombi: true,
                start_time: now_ms,
                update_time: now_ms,
                origin_adress: Some(adress.to_owned()),
                ..Broadcast::new(&key.id, now_ms)
            },
            received_bytes: 0,
            measured: (now_ms, 0, 0),
        };
        record.publisher(request);
        record
    }

    /// The record as last brought up to date.
    pub(crate) fn broadcast(&self) -> Broadcast {
        self.broadcast.clone()
    }

    /// Another publisher carries the broadcast on.
    pub(crate) fn publisher(&mut self, request: &PublishRequest) {
        self.broadcast.publish_type = Some(request.publish_type);
        self.broadcast.remote_ip = Some(request.peer.ip().to_string());
        self.broadcast.user_agent.clone_from(&request.user_agent);
    }

    /// Decoder parameters came.
    pub(crate) const fn params(&mut self, params: &TrackParams) {
        if let TrackParams::Video(VideoParams { width, height, .. }) = params {
            self.broadcast.width = *width;
            self.broadcast.height = *height;
        }
    }

    /// Media bytes came.
    pub(crate) fn received(&mut self, bytes: usize) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.received_bytes = self.received_bytes.saturating_add(bytes);
    }

    /// So many watch.
    pub(crate) const fn watched(&mut self, viewers: u32) {
        self.broadcast.hls_viewer_count = viewers;
    }

    /// The first segment is there.
    pub(crate) const fn live(&mut self) {
        self.broadcast.status = BroadcastStatus::Broadcasting;
    }

    /// A new epoch's media time starts at `media_time_ms`: no speed is measured over the gap.
    pub(crate) const fn start_epoch(&mut self, now_ms: i64, media_time_ms: i64) {
        self.measured = (now_ms, self.received_bytes, media_time_ms);
    }

    /// The record as of now.
    pub(crate) fn at(&mut self, now_ms: i64, media_time_ms: i64) -> Broadcast {
        let (then_ms, then_bytes, then_media_ms) = self.measured;
        let elapsed_ms = now_ms.saturating_sub(then_ms);
        let broadcast = &mut self.broadcast;
        // Over less than a second a rate is noise: the one before stands.
        if elapsed_ms >= MS_PER_S {
            let bytes = self.received_bytes.saturating_sub(then_bytes);
            let bit_ms = bytes.saturating_mul(BITS_PER_BYTE).saturating_mul(MS_PER_S);
            broadcast.bitrate = bit_ms / elapsed_ms;
            let media_ms = media_time_ms.saturating_sub(then_media_ms);
            broadcast.speed_milli = media_ms.saturating_mul(MILLI) / elapsed_ms;
            self.measured = (now_ms, self.received_bytes, media_time_ms);
        }
        broadcast.received_bytes = self.received_bytes;
        broadcast.update_time = now_ms;
        broadcast.duration = now_ms.saturating_sub(broadcast.start_time).max(0);
        broadcast.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_cluster::PublishType;

    #[test]
    fn rates_are_over_the_time_since_the_last_measure() {
        let request = PublishRequest {
            peer: "192.0.2.7:5000".parse().unwrap(),
            app: "live".into(),
            stream: "s".into(),
            query: String::new(),
            publish_type: PublishType::Rtmp,
            user_agent: Some("FMLE/3.0".into()),
        };
        let key = StreamKey::parse("live", "s").unwrap();
        let mut record = Record::new(&key, &request, "192.0.2.1:5082", 1_000);
        record.received(1_000_000);
        let first = record.at(9_000, 8_000);
        assert_eq!((first.bitrate, first.speed_milli), (1_000_000, 1_000));
        record.received(250_000);
        let second = record.at(11_000, 9_000);
        assert_eq!((second.bitrate, second.speed_milli), (1_000_000, 500));
        assert_eq!(
            (second.received_bytes, second.duration),
            (1_250_000, 10_000)
        );
        assert_eq!(record.at(11_010, 9_000).bitrate, 1_000_000);
        assert_eq!(second.remote_ip.as_deref(), Some("192.0.2.7"));
    }
}
