//! Why a connection ended.

use std::time::Duration;

use crate::ingest::Closed;
use crate::ingest::rtmp::error::WireError;

/// The ways a connection can end.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    /// The peer closed without having published.
    #[error("{how} after {received_bytes} bytes, before it published")]
    Left { how: String, received_bytes: u64 },
    /// The peer closed after it ended its publish in due form.
    #[error("closed by the peer after its unpublish")]
    Unpublished,
    /// The peer closed, or the network did, in the middle of a publish.
    #[error("connection lost while publishing: {how}")]
    Lost { how: String },
    /// Refused by the admission or by the session; the words are the peer's answer.
    #[error("refused: {words}")]
    Refused { label: &'static str, words: String },
    /// The peer broke the protocol.
    #[error("malformed bytes: {0}")]
    Malformed(#[from] WireError),
    /// No or no good PROXY header.
    #[error("PROXY header: {0}")]
    ProxyHeader(&'static str),
    /// The handshake took too long.
    #[error("slow client: handshake not done in {0:?}")]
    HandshakeTimeout(Duration),
    /// No publish came.
    #[error("no publish in {0:?}")]
    PublishTimeout(Duration),
    /// A publisher fell silent.
    #[error("slow client: no bytes for {0:?}")]
    IdleTimeout(Duration),
    /// A publisher dribbles.
    #[error("slow client: no whole message for {0:?}")]
    StallTimeout(Duration),
    /// The peer does not read what we write.
    #[error("slow client: took none of our bytes for {0:?}")]
    WriteTimeout(Duration),
    /// The stream's owner closed its door, and mostly said why.
    #[error("stream stopped by its owner{}", because(.0))]
    OwnerClosed(Option<Closed>),
    /// The node stops.
    #[error("node is shutting down")]
    Shutdown,
    /// Turned away unheard: all places taken.
    #[error("too many connections")]
    Full,
    /// Turned away: the peer's address has its share.
    #[error("too many connections from this address (at most {0})")]
    PeerFull(usize),
}

impl End {
    /// The metric's label.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Left { .. } => "left",
            Self::Unpublished => "unpublished",
            Self::Lost { .. } => "lost",
            Self::Refused { label, .. } => label,
            Self::Malformed(_) => "malformed",
            Self::ProxyHeader(_) => "proxy_header",
            Self::HandshakeTimeout(_) => "handshake_timeout",
            Self::PublishTimeout(_) => "publish_timeout",
            Self::IdleTimeout(_) => "idle_timeout",
            Self::StallTimeout(_) => "stall_timeout",
            Self::WriteTimeout(_) => "write_timeout",
            Self::OwnerClosed(_) => "owner_closed",
            Self::Shutdown => "shutdown",
            Self::Full => "full",
            Self::PeerFull(_) => "peer_full",
        }
    }
}

fn because(reason: &Option<Closed>) -> String {
    reason.map_or_else(String::new, |reason| format!(": {reason}"))
}
