//! The records kept in the store: a stream, its owner, a node.
//!
//! Field names on the wire are Ant Media's, spelling included, so that its tools find what they
//! look for. States that time alone can change (`terminated_unexpectedly`, `dead`) are computed by
//! the reader from a time stamp and never stored: a writer that died cannot write that it died.
//! Times are ms since the Unix epoch, UTC. A field that is missing in a stored record reads as its
//! default, so that older records stay readable.

use crate::names::StreamId;
use serde::{Deserialize, Deserializer, Serialize};

/// A stream whose owner has not written for longer than this is taken for lost, ms (Ant Media:
/// twice its 10 s statistics period).
pub const STREAM_TIMEOUT_MS: i64 = 20_000;
/// How often a node writes its heartbeat, ms.
pub const HEARTBEAT_PERIOD_MS: i64 = 5_000;
/// A node whose last heartbeat is older than this is dead, ms (Ant Media: four periods).
pub const NODE_TIMEOUT_MS: i64 = 4 * HEARTBEAT_PERIOD_MS;

#[cfg(test)]
mod tests;

/// A broadcast's state, with Ant Media's spelling on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BroadcastStatus {
    /// Known, never published.
    #[default]
    Created,
    /// A publisher connected, no media yet.
    Preparing,
    /// Live.
    Broadcasting,
    /// Ended cleanly; Ant Media's `error` and `failed` are read as this, too.
    #[serde(alias = "error", alias = "failed")]
    Finished,
    /// Its owner went away without ending it.
    TerminatedUnexpectedly,
}

/// How a stream came in, with Ant Media's spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PublishType {
    /// RTMP push.
    #[serde(rename = "RTMP")]
    Rtmp,
}

/// What the store knows of one stream. Field names on the wire are Ant Media's (camelCase, with
/// its spelling `originAdress`); the JSON that REST answers is built from this in `api`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Broadcast {
    /// Id inside the application.
    pub stream_id: String,
    /// State as last written; read it through [`Broadcast::status_at`].
    pub status: BroadcastStatus,
    /// How it came in; a way this version does not know reads as `None`.
    #[serde(deserialize_with = "known_publish_type")]
    pub publish_type: Option<PublishType>,
    /// Name for people.
    pub name: Option<String>,
    /// True when made by publishing, without REST; then the record ends with the stream.
    pub zombi: bool,
    /// When the record was made, ms since the Unix epoch.
    pub date: i64,
    /// When the present publish started, ms since the Unix epoch; 0 = never.
    pub start_time: i64,
    /// When the owner last wrote it, ms since the Unix epoch.
    pub update_time: i64,
    /// How long it has been live, ms.
    pub duration: i64,
    /// Bits a second coming in.
    pub bitrate: i64,
    /// Bytes received since the start.
    pub received_bytes: i64,
    /// Shown width, pixels; 0 = not known.
    pub width: u32,
    /// Shown height, pixels; 0 = not known.
    pub height: u32,
    /// Media time over wall time of late, thousandths; 1,000 = real time. On the wire a float, 1.0.
    #[serde(rename = "speed", with = "thousandths")]
    pub speed_milli: i64,
    /// HLS viewers on all edges, by estimate; see [`crate::audience`].
    pub hls_viewer_count: u32,
    /// `host:port` at which the owning node serves HTTP to other nodes.
    #[serde(rename = "originAdress")]
    pub origin_adress: Option<String>,
    /// The encoder's address.
    pub remote_ip: Option<String>,
    /// What the encoder calls itself.
    pub user_agent: Option<String>,
    /// Present owner; `None` when nobody publishes.
    pub owner: Option<Ownership>,
}

impl Broadcast {
    /// A record for a stream that nobody has published yet.
    #[must_use]
    pub fn new(stream_id: &StreamId, now_ms: i64) -> Self {
        Self {
            stream_id: stream_id.as_str().to_owned(),
            date: now_ms,
            ..Self::default()
        }
    }

    /// The state as seen at `now_ms`: a live one whose owner has been silent for more than
    /// [`STREAM_TIMEOUT_MS`] reads as `terminated_unexpectedly` (Ant Media's rule).
    #[must_use]
    pub const fn status_at(&self, now_ms: i64) -> BroadcastStatus {
        self.status.at(self.update_time, now_ms)
    }
}

impl BroadcastStatus {
    /// This state as seen at `now_ms`, when it was last written at `update_time_ms`; see
    /// [`Broadcast::status_at`].
    #[must_use]
    pub const fn at(self, update_time_ms: i64, now_ms: i64) -> Self {
        let silent = now_ms.saturating_sub(update_time_ms) > STREAM_TIMEOUT_MS;
        if silent && self.is_live() {
            Self::TerminatedUnexpectedly
        } else {
            self
        }
    }

    /// True while a publisher is there: preparing or broadcasting.
    #[must_use]
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Preparing | Self::Broadcasting)
    }
}

/// One writer a stream: which node, which epoch, and where its timeline starts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ownership {
    /// The owning node.
    pub node_id: String,
    /// Grows with every taking; a segment's URL carries it.
    pub epoch: u64,
    /// Media sequence number of the epoch's first segment.
    pub first_sequence_number: u64,
    /// Discontinuities of the stream before the epoch.
    #[serde(default)]
    pub first_discontinuity_sequence: u64,
    /// Media time of the epoch's first segment on the stream's continuous timeline, ms.
    pub media_time_ms: i64,
    /// Wall clock at the epoch's first segment, ms since the Unix epoch.
    pub wall_clock_ms: i64,
}

/// What a node does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeRole {
    /// Balances.
    Lb,
    /// Serves viewers.
    Edge,
    /// Takes publishers.
    Origin,
    /// All three in one process; and what a node that names no role is taken for.
    #[default]
    All,
}

/// A node as registered. Status is computed when read, never stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeRecord {
    /// Stable over restarts.
    pub id: String,
    /// Address other nodes reach it at.
    pub ip: String,
    /// What it does.
    pub role: NodeRole,
    /// Last heartbeat, ms since the Unix epoch.
    pub last_update_time: i64,
    /// "usedMB/totalMB".
    pub memory: String,
    /// Load of the machine, 0 to 100.
    pub cpu: String,
    /// Mean time of a store query, ms (Ant Media's spelling on the wire).
    #[serde(rename = "dbQueryAveargeTimeMs")]
    pub db_query_average_time_ms: u32,
    /// Weir's version.
    pub version: String,
    /// The region it belongs to (`nodeGroup`).
    pub node_group: Option<String>,
    /// `host:port` at which it answers HTTP to nodes and to the load balancer.
    pub http_address: Option<String>,
    /// `host:port` at which it takes RTMP, when it is an origin.
    pub rtmp_address: Option<String>,
    /// Streams published on it now.
    pub streams: u32,
    /// Viewers now, by protocol.
    pub viewers: Viewers,
    /// Media coming in, Mbit/s.
    pub ingress_mbps: f64,
    /// Bytes going out to viewers and nodes, Mbit/s.
    pub egress_mbps: f64,
    /// It is on its way out: it takes nothing new.
    pub draining: bool,
}

/// Viewers by protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Viewers {
    /// HLS.
    pub hls: u32,
    /// DASH.
    pub dash: u32,
    /// WebRTC.
    pub webrtc: u32,
    /// RTMP.
    pub rtmp: u32,
}

impl NodeRecord {
    /// Whether the node counts as alive at `now_ms`: its last heartbeat is at most
    /// [`NODE_TIMEOUT_MS`] old.
    #[must_use]
    pub const fn alive_at(&self, now_ms: i64) -> bool {
        now_ms.saturating_sub(self.last_update_time) <= NODE_TIMEOUT_MS
    }
}

fn known_publish_type<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PublishType>, D::Error> {
    Ok(match Option::<String>::deserialize(from)?.as_deref() {
        Some("RTMP") => Some(PublishType::Rtmp),
        _ => None,
    })
}

/// Thousandths as a float of ones.
mod thousandths {
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(milli: &i64, to: S) -> Result<S::Ok, S::Error> {
        let milli = i32::try_from(*milli).unwrap_or(if *milli < 0 { i32::MIN } else { i32::MAX });
        to.serialize_f64(f64::from(milli) / 1_000.0)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
        let milli = f64::deserialize(from)? * 1_000.0;
        // Written out, for there is no cast from a float that is right by its type.
        Ok(format!("{milli:.0}").parse().unwrap_or(0))
    }
}
