//! What an origin must be told, with defaults and the bounds every stream lives in.

/// Nominal segment duration unless the application says otherwise, ms (`hls.time`).
pub const SEGMENT_DURATION_MS: u32 = 2_000;
/// Segments listed in a playlist unless the application says otherwise (`hls.list.size`).
pub const PLAYLIST_SEGMENTS: usize = 5;
/// How long a lost publisher is waited for, ms.
pub const PUBLISH_GRACE_MS: u64 = 10_000;
/// How long an ended stream's playlists and segments stay served, ms.
pub const ENDED_LINGER_MS: u64 = 60_000;
/// How long a publisher may go without making its first segment possible, ms.
pub const FIRST_KEYFRAME_TIMEOUT_MS: u64 = 15_000;
/// How often a live stream writes its record to the store, ms.
pub const CHECKPOINT_INTERVAL_MS: u64 = 5_000;
/// How long one call to the store may take before it counts as unavailable, ms.
pub const STORE_TIMEOUT_MS: u64 = 3_000;
/// How long a publisher is held while its stream is being taken over from another node, ms. A node
/// that has died loses its lease in 3 s.
pub const TAKEOVER_TIMEOUT_MS: u64 = 7_000;
/// How long another node may take to yield a stream, ms: a release there may wait for the store.
pub const OWNER_TIMEOUT_MS: u64 = 4_000;
/// How long a publisher must have sent nothing before its stream is yielded to another, ms.
pub const YIELD_SILENCE_MS: u64 = 3_000;
/// Streams a node holds at once, lingering ones included.
pub const STREAMS_MAX: usize = 1_000;
/// Bytes of segments one stream keeps in RAM.
pub const WINDOW_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Events a publisher may have in flight before it is made to wait.
pub const PUBLISH_EVENTS_MAX: usize = 64;
/// How long a stop may take to end every stream, ms.
pub const SHUTDOWN_TIMEOUT_MS: u64 = 5_000;

/// The whole origin's settings.
#[derive(Clone, Debug)]
pub struct OriginOptions {
    /// This node, stable over restarts.
    pub node_id: String,
    /// `host:port` or `unix:/path` at which edges reach this node's objects.
    pub origin_adress: String,
    /// See [`PUBLISH_GRACE_MS`].
    pub publish_grace_ms: u64,
    /// See [`ENDED_LINGER_MS`].
    pub ended_linger_ms: u64,
    /// See [`FIRST_KEYFRAME_TIMEOUT_MS`].
    pub first_keyframe_timeout_ms: u64,
    /// See [`CHECKPOINT_INTERVAL_MS`].
    pub checkpoint_interval_ms: u64,
    /// See [`STORE_TIMEOUT_MS`].
    pub store_timeout_ms: u64,
    /// See [`TAKEOVER_TIMEOUT_MS`].
    pub takeover_timeout_ms: u64,
    /// See [`YIELD_SILENCE_MS`].
    pub yield_silence_ms: u64,
    /// See [`STREAMS_MAX`].
    pub streams_max: usize,
    /// See [`WINDOW_BYTES_MAX`]. The newest segments of a playlist stay whatever they weigh.
    pub window_bytes_max: usize,
    /// See [`SHUTDOWN_TIMEOUT_MS`].
    pub shutdown_timeout_ms: u64,
}

impl OriginOptions {
    /// The defaults for a node.
    pub fn new(node_id: impl Into<String>, origin_adress: impl Into<String>) -> Self {
        Self {
            node_id: node_id.into(),
            origin_adress: origin_adress.into(),
            publish_grace_ms: PUBLISH_GRACE_MS,
            ended_linger_ms: ENDED_LINGER_MS,
            first_keyframe_timeout_ms: FIRST_KEYFRAME_TIMEOUT_MS,
            checkpoint_interval_ms: CHECKPOINT_INTERVAL_MS,
            store_timeout_ms: STORE_TIMEOUT_MS,
            takeover_timeout_ms: TAKEOVER_TIMEOUT_MS,
            yield_silence_ms: YIELD_SILENCE_MS,
            streams_max: STREAMS_MAX,
            window_bytes_max: WINDOW_BYTES_MAX,
            shutdown_timeout_ms: SHUTDOWN_TIMEOUT_MS,
        }
    }
}

/// One application's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppOptions {
    /// Nominal segment duration, ms (`hls.time`, outranked by the application's `hlsTime`).
    pub segment_duration_ms: u32,
    /// Segments listed in a playlist (`hls.list.size`).
    pub playlist_segments: usize,
}

impl Default for AppOptions {
    fn default() -> Self {
        Self {
            segment_duration_ms: SEGMENT_DURATION_MS,
            playlist_segments: PLAYLIST_SEGMENTS,
        }
    }
}
