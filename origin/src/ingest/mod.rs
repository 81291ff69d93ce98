//! The boundary between a publishing protocol and the stream it feeds.
//!
//! A protocol session asks [`Admission`] for its stream; what it gets is a [`Publisher`], a
//! bounded door to the stream's owner task. The session awaits the door, so a slow owner pushes
//! back on the encoder's socket; the owner never waits for a reader.

pub mod rtmp;

use std::net::SocketAddr;

use async_trait::async_trait;
use tokio::sync::mpsc;
use weir_cluster::PublishType;
use weir_media::{Frame, TrackParams};

/// What an encoder asks for, as it came over the wire, unchecked.
#[derive(Clone, Debug)]
pub struct PublishRequest {
    /// The encoder's address (through the PROXY protocol when a balancer stands between).
    pub peer: SocketAddr,
    /// Application name.
    pub app: String,
    /// Stream id, without its query.
    pub stream: String,
    /// Text after `?` in the stream name, without the `?`; empty when there was none.
    pub query: String,
    /// The protocol.
    pub publish_type: PublishType,
    /// What the encoder calls itself (`flashVer`), if it says.
    pub user_agent: Option<String>,
}

/// Why a publisher was turned away, in words for the encoder and for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishRefusal {
    /// The name cannot be a stream's.
    #[error("{0}")]
    InvalidName(#[from] weir_cluster::NameError),
    /// No such application on this node.
    #[error("application {0:?} does not exist")]
    UnknownApp(String),
    /// Someone publishes this id now.
    #[error("stream id is in use")]
    StreamIdInUse,
    /// The node is full or stopping.
    #[error("node accepts no publisher now: {0}")]
    Unavailable(String),
}

/// What a session sends its stream.
#[derive(Clone, Debug)]
pub enum PublishEvent {
    /// Decoder parameters: before the first frame of a track, and again when they change.
    Params(TrackParams),
    /// One access unit.
    Frame(Frame),
    /// The encoder said that it is done (`FCUnpublish`, `deleteStream`): end the stream now.
    /// A [`Publisher`] dropped without it is a lost connection: the stream waits its grace time.
    Unpublish,
}

/// The session's door to its stream. Dropping it says "connection lost".
#[derive(Debug)]
pub struct Publisher {
    /// Bounded; `send` waits while the owner is busy and fails when the owner told the session to
    /// stop (fenced, shut down): then the session closes the connection.
    pub events: mpsc::Sender<PublishEvent>,
}

/// Who may publish: checks names, finds or makes the stream's owner task.
#[async_trait]
pub trait Admission: Send + Sync + 'static {
    /// Opens a stream for a publisher.
    async fn open(&self, request: PublishRequest) -> Result<Publisher, PublishRefusal>;
}
