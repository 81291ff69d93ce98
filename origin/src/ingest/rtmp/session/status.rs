//! What a session tells its peer: `onStatus` information objects, and its refusals.

use super::{Session, Stage};
use crate::ingest::rtmp::amf0::Value;

/// A refusal the session makes by itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// `connect` without an application.
    #[error("connect names no application: the address is rtmp://host/app/stream")]
    NoApp,
    /// A command before `connect`.
    #[error("{0:?} before connect")]
    NotConnected(String),
    /// A viewer.
    #[error("RTMP is for publishing here: play {app}/streams/{stream}.m3u8 over HTTP instead")]
    Play {
        /// Application.
        app: String,
        /// Stream asked for.
        stream: String,
    },
    /// A video coding format that is not taken.
    #[error("video codec {0} is not supported; publish H.264")]
    VideoCodec(String),
    /// An audio coding format that is not taken.
    #[error("audio codec {0} is not supported; publish AAC")]
    AudioCodec(String),
}

impl Refusal {
    /// A word for metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::NoApp => "no_app",
            Self::NotConnected(_) => "not_connected",
            Self::Play { .. } => "play",
            Self::VideoCodec(_) => "video_codec",
            Self::AudioCodec(_) => "audio_codec",
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NoApp | Self::NotConnected(_) => "NetConnection.Connect.Rejected",
            Self::Play { .. } => "NetStream.Play.Failed",
            Self::VideoCodec(_) | Self::AudioCodec(_) => "NetStream.Publish.Rejected",
        }
    }
}

/// `NetStream.Publish.BadName`: the name is malformed or taken.
pub const BAD_NAME: &str = "NetStream.Publish.BadName";
/// `NetStream.Publish.Rejected`: refused for another reason.
pub const REJECTED: &str = "NetStream.Publish.Rejected";
/// `NetStream.Failed`: a publish under way cannot go on.
pub const FAILED: &str = "NetStream.Failed";
/// `NetConnection.Connect.Closed`: the server goes.
pub const CLOSED: &str = "NetConnection.Connect.Closed";

impl Session {
    /// Answers [`super::Event::PublishRequested`] with yes.
    pub fn accept_publish(&mut self) {
        if self.stage != Stage::Asking {
            return;
        }
        self.stage = Stage::Publishing;
        let stream = self.publish_stream;
        let description = format!("{} is now published.", self.publish_name);
        self.outbox.stream_begin(stream);
        let info = info("status", "NetStream.Publish.Start", &description);
        let on_fc_publish = Value::string("onFCPublish");
        self.outbox
            .command(0, &[on_fc_publish, Value::Number(0.0), Value::Null, info]);
        self.on_status(stream, "status", "NetStream.Publish.Start", &description);
    }

    /// Answers [`super::Event::PublishRequested`] with no, and closes: `code` is one of this
    /// module's, `description` is what encoders show.
    pub fn refuse_publish(&mut self, code: &str, description: &str) {
        if self.stage == Stage::Asking {
            self.stage = Stage::Closing;
            self.on_status(self.publish_stream, "error", code, description);
        }
    }

    /// Ends whatever goes on from our side, and closes.
    pub fn close(&mut self, code: &str, description: &str) {
        match self.stage {
            Stage::Handshake | Stage::Closing => {}
            Stage::Publishing | Stage::Asking => {
                self.on_status(self.publish_stream, "error", code, description);
            }
            Stage::Idle => self.on_status(0, "error", code, description),
        }
        self.stage = Stage::Closing;
    }

    /// Tells the peer why it is refused while publishing, and closes.
    pub(super) fn end_with(&mut self, refusal: Refusal) {
        self.on_status(
            self.publish_stream,
            "error",
            refusal.code(),
            &refusal.to_string(),
        );
        self.stage = Stage::Closing;
    }

    /// Refuses a command and closes: by `_error` when it wants a result, by `onStatus` on its
    /// stream besides, because encoders show one or the other.
    pub(super) fn refuse_command(&mut self, transaction: f64, stream: u32, refusal: &Refusal) {
        let (code, description) = (refusal.code(), refusal.to_string());
        if transaction != 0.0 {
            self.error(transaction, code, &description);
        }
        if stream != 0 {
            self.on_status(stream, "error", code, &description);
        }
        self.stage = Stage::Closing;
    }

    pub(super) fn on_status(&mut self, stream: u32, level: &str, code: &str, description: &str) {
        self.outbox.command(
            stream,
            &[
                Value::string("onStatus"),
                Value::Number(0.0),
                Value::Null,
                info(level, code, description),
            ],
        );
    }

    pub(super) fn error(&mut self, transaction: f64, code: &str, description: &str) {
        self.outbox.command(
            0,
            &[
                Value::string("_error"),
                Value::Number(transaction),
                Value::Null,
                info("error", code, description),
            ],
        );
    }

    pub(super) fn result(&mut self, transaction: f64, properties: Value, answer: Value) {
        self.outbox.command(
            0,
            &[
                Value::string("_result"),
                Value::Number(transaction),
                properties,
                answer,
            ],
        );
    }
}

fn info(level: &str, code: &str, description: &str) -> Value {
    Value::object([
        ("level", Value::string(level)),
        ("code", Value::string(code)),
        ("description", Value::string(description)),
    ])
}
