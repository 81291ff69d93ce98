//! What the RTMP server can be told.

use std::time::Duration;

use crate::ingest::rtmp::session::SessionOptions;

/// Settings of an [`super::RtmpServer`].
#[derive(Clone, Debug)]
pub struct RtmpOptions {
    /// What a session allows and announces.
    pub session: SessionOptions,
    /// From accept to the end of the handshake (the PROXY header in it).
    pub handshake_timeout: Duration,
    /// From the handshake, or from an unpublish, to an accepted publish.
    pub publish_timeout: Duration,
    /// A publisher that sends no byte for so long is gone.
    pub idle_timeout: Duration,
    /// A publisher that sends bytes, but for so long no whole message, is gone too.
    pub stall_timeout: Duration,
    /// How long the admission may take to answer: a stream may have to be taken over from a node
    /// that does not answer.
    pub admission_timeout: Duration,
    /// How long a peer may refuse to take our bytes.
    pub write_timeout: Duration,
    /// How long we listen on after a refusal, so that closing does not destroy the answer on its
    /// way.
    pub linger_timeout: Duration,
    /// After shutdown began, how long connections may take to say goodbye.
    pub drain_timeout: Duration,
    /// Connections open at once; more are closed unheard.
    pub connections_max: usize,
    /// Of those, from one address; `None` = no such limit (right where a balancer hides peers).
    pub connections_per_peer_max: Option<usize>,
    /// Bytes read at once from a publisher; a connection that does not publish has
    /// [`super::IDLE_READ_BYTES`].
    pub read_buffer_bytes: usize,
    /// Every connection must open with a PROXY protocol header (v1 or v2), which names the peer.
    pub proxy_protocol: bool,
}

impl Default for RtmpOptions {
    fn default() -> Self {
        Self {
            session: SessionOptions::default(),
            handshake_timeout: Duration::from_secs(10),
            publish_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(30),
            admission_timeout: Duration::from_secs(20),
            write_timeout: Duration::from_secs(10),
            linger_timeout: Duration::from_secs(2),
            drain_timeout: Duration::from_secs(5),
            connections_max: 2000,
            connections_per_peer_max: None,
            read_buffer_bytes: 64 * 1024,
            proxy_protocol: false,
        }
    }
}
