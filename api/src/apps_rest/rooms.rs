//! What REST needs of the rest of the house: hands on a live stream, on recorded files, on another node.
//!
//! `src/` wires these to the rooms that have them. Nothing is wired by [`Rooms::none`]: then no stream is published
//! here, no file is kept here, and no other node can be reached.

use async_trait::async_trait;
use axum::body::Bytes;
use http::{Request, Response};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;
use weir_cluster::{AppName, StreamKey};

/// How long a call to another node may take, connecting included.
pub const FORWARD_TIMEOUT: Duration = Duration::from_secs(10);

/// The streams published on this node.
#[async_trait]
pub trait Streams: Send + Sync + Debug {
    /// Ends a stream: its encoder is disconnected, its playlist ended, its ownership released. Returns when that is
    /// done; `false` when the stream is not published on this node.
    async fn stop(&self, key: &StreamKey) -> bool;
}

/// The recorded files.
#[async_trait]
pub trait Media: Send + Sync + Debug {
    /// Removes a recording's file, or its preview; one that is not there is no error. `path` is what the record says
    /// (`streams/x.mp4`): whatever wrote it, it must not lead outside the application's folder.
    ///
    /// # Errors
    /// Why the file is still there, in words for the client.
    async fn remove(&self, app: &AppName, path: &str) -> Result<(), String>;
}

/// The way to other nodes.
#[async_trait]
pub trait Forward: Send + Sync + Debug {
    /// Carries a request to the node whose `originAdress` this is, with a fresh token in
    /// [`weir_cluster::key::HEADER`], and brings its answer back. The caller waits [`FORWARD_TIMEOUT`] at most; connecting should take 5 s at most.
    ///
    /// # Errors
    /// [`ForwardError`] says whether the request may have been acted upon.
    async fn forward(
        &self,
        origin_adress: &str,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, ForwardError>;
}

/// Why a request did not come back from another node.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ForwardError {
    /// It was never sent: nothing was done there.
    #[error("{0}")]
    Unreachable(String),
    /// It was sent and no answer came: it may have been done.
    #[error("{0}")]
    Broken(String),
}

/// What is wired.
#[derive(Clone, Debug)]
pub struct Rooms {
    /// Streams published here.
    pub streams: Arc<dyn Streams>,
    /// Files recorded here.
    pub media: Arc<dyn Media>,
    /// Other nodes.
    pub forward: Arc<dyn Forward>,
}

impl Rooms {
    /// Nothing wired.
    #[must_use]
    pub fn none() -> Self {
        Self {
            streams: Arc::new(Nothing),
            media: Arc::new(Nothing),
            forward: Arc::new(Nothing),
        }
    }
}

#[derive(Debug)]
struct Nothing;

#[async_trait]
impl Streams for Nothing {
    async fn stop(&self, _: &StreamKey) -> bool {
        false
    }
}

#[async_trait]
impl Media for Nothing {
    async fn remove(&self, _: &AppName, _: &str) -> Result<(), String> {
        Err("this node keeps no recorded files".to_owned())
    }
}

#[async_trait]
impl Forward for Nothing {
    async fn forward(&self, _: &str, _: Request<Bytes>) -> Result<Response<Bytes>, ForwardError> {
        let why = "this node has no way to other nodes";
        Err(ForwardError::Unreachable(why.to_owned()))
    }
}
