//! The boundary between a publishing protocol and the stream it feeds.
//!
//! A protocol session asks [`Admission`] for its stream; what it gets is a [`Publisher`], a
//! bounded door to the stream's owner task. The session awaits the door, so a slow owner pushes
//! back on the encoder's socket; the owner never waits for a reader.

pub mod rtmp;

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

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
    /// Someone publishes this id now, here or at another node.
    #[error("stream id is in use: another encoder publishes it")]
    StreamIdInUse,
    /// Another node has the stream; it neither answers nor has it been gone for long enough.
    #[error("stream id is in use by a node that does not answer; try again")]
    OwnerSilent,
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
    /// stop: then the session tells its encoder why ([`Farewell::reason`]) and closes.
    pub events: mpsc::Sender<PublishEvent>,
    /// Why, once it did.
    pub farewell: Farewell,
}

/// Why a stream's owner made its publisher go, in words for the encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Closed {
    /// A newer epoch of the stream has begun at another node.
    #[error("the stream was taken over by another encoder at another node")]
    TakenOver,
    /// Another encoder came for the stream while this one sent nothing.
    #[error("nothing was sent for a while, and another encoder has come for the stream")]
    Silent,
    /// Nothing came that a viewer can start from.
    #[error("no key frame came in time")]
    NoKeyframe,
    /// What came cannot be packaged.
    #[error("the media sent cannot be packaged")]
    MediaRefused,
    /// The application is no more.
    #[error("the application was deleted")]
    AppDeleted,
    /// The node stops.
    #[error("the node is stopping")]
    Shutdown,
}

impl Closed {
    /// A word for metrics and logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::TakenOver => "taken_over",
            Self::Silent => "silent",
            Self::NoKeyframe => "no_keyframe",
            Self::MediaRefused => "media_refused",
            Self::AppDeleted => "app_deleted",
            Self::Shutdown => "shutdown",
        }
    }
}

/// The owner's last word to its publisher, said before the door closes. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Farewell(Arc<OnceLock<Closed>>);

impl Farewell {
    /// What was said; `None` when the door is open, or closed without a word.
    #[must_use]
    pub fn reason(&self) -> Option<Closed> {
        self.0.get().copied()
    }

    /// Says why; only the first word counts.
    pub(crate) fn say(&self, reason: Closed) {
        let _ = self.0.set(reason);
    }
}

/// Who may publish: checks names, finds or makes the stream's owner task.
#[async_trait]
pub trait Admission: Send + Sync + 'static {
    /// Opens a stream for a publisher.
    async fn open(&self, request: PublishRequest) -> Result<Publisher, PublishRefusal>;
}
