//! The door's limits; each has its one home here.

use weir_cache::CacheOptions;

/// What an edge may spend on viewers.
#[derive(Clone, Copy, Debug)]
pub struct EdgeOptions {
    /// Connections at once (`http.max.connections`). One more is answered 503 and closed.
    pub connections_max: usize,
    /// Time for a whole request head, from its first byte (on a new connection: from the accept),
    /// ms.
    pub head_ms_max: u64,
    /// How long a connection may be idle between two requests, ms.
    pub idle_ms_max: u64,
    /// Time for a whole request body, ms.
    pub body_ms_max: u64,
    /// Time without the viewer taking a single byte of an answer, ms.
    pub send_ms_max: u64,
    /// Requests on one connection.
    pub requests_per_connection_max: u32,
    /// How long requests under way may go on after the shutdown began, ms.
    pub drain_ms_max: u64,
    /// Bytes of a request head.
    pub head_bytes_max: usize,
    /// Bytes of a request target (path and query).
    pub target_bytes_max: usize,
    /// Bytes of a request body.
    pub request_body_bytes_max: usize,
    /// Lifetime of a playlist instead of the origin's (`cache.ttl`), ms.
    pub playlist_ttl_ms: Option<u64>,
    /// The cache.
    pub cache: CacheOptions,
}

impl Default for EdgeOptions {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            head_ms_max: 10_000,
            idle_ms_max: 75_000,
            body_ms_max: 30_000,
            send_ms_max: 30_000,
            requests_per_connection_max: 10_000,
            drain_ms_max: 10_000,
            head_bytes_max: 32 << 10,
            target_bytes_max: 8 << 10,
            request_body_bytes_max: 1 << 20,
            playlist_ttl_ms: None,
            cache: CacheOptions::default(),
        }
    }
}
