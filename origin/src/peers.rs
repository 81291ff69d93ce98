//! What an origin asks of the other nodes, and what it tells them.
//!
//! The calls themselves are made by whoever wires the process ([`Peers`]); here stands what they
//! mean. Nodes prove to each other that they are of one cluster; who cannot is told nothing.

use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Body;
use http::Response;
use serde::{Deserialize, Serialize};
use weir_cluster::{EpochEnd, StreamKey};

/// The header that a request carries which an origin passes on to the stream's owner: who gets one
/// with it asks nobody else, so that no two nodes ask each other for ever.
pub const HOP_HEADER: &str = "weir-hop";

/// The path under which an origin is asked to yield a stream, by POST.
#[must_use]
pub fn yield_path(stream: &StreamKey) -> String {
    format!("/weir/v1/streams/{}/{}/yield", stream.app, stream.id)
}

/// Where a stream's epoch ended at the node that yielded it: the answer's JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Given {
    /// The epoch that ended.
    pub epoch: u64,
    /// Where.
    pub end: EpochEnd,
    /// Whether the store knows, so that the stream can be claimed there.
    pub released: bool,
}

/// What a node answered that was asked to yield.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum YieldAnswer {
    /// It ended its epoch (200).
    Given(Given),
    /// Its publisher is sending (409).
    Publishing,
    /// It does not know the stream (404).
    NotHeld,
    /// No usable answer; the words are for the log.
    Silent(String),
}

/// The way to the other nodes of the cluster.
#[async_trait]
pub trait Peers: Send + Sync + std::fmt::Debug + 'static {
    /// Where the stream is served, as far as this node remembers or can ask: `host:port` or
    /// `unix:/path`. It may be this node's own address. `None` when nobody is known. `anew`: what is
    /// remembered has proved wrong.
    async fn owner_of(&self, stream: &StreamKey, anew: bool) -> Option<Arc<str>>;

    /// Asks the node at `adress` to yield `stream`, by POST to [`yield_path`].
    async fn ask_to_yield(&self, adress: &str, stream: &StreamKey) -> YieldAnswer;

    /// Gets an object from the node at `adress`, with [`HOP_HEADER`] in the request. An error is
    /// answered as what it is: 502, 503 or 504.
    async fn fetch(&self, adress: &str, target: &str) -> Response<Body>;
}

/// Of a node that is alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPeers;

#[async_trait]
impl Peers for NoPeers {
    async fn owner_of(&self, _: &StreamKey, _: bool) -> Option<Arc<str>> {
        None
    }

    async fn ask_to_yield(&self, _: &str, _: &StreamKey) -> YieldAnswer {
        YieldAnswer::Silent("this node knows no other".to_owned())
    }

    async fn fetch(&self, _: &str, _: &str) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = http::StatusCode::BAD_GATEWAY;
        response
    }
}
