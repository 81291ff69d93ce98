//! `GET /rest/v2/weir/live`: what the public list of live streams shows. Ours, not Ant Media's.
//!
//! The list's page is public and has no login. It reads this one path, which tells of an application only what a
//! viewer could see anyway, and only to those whom the application's own filter lets in; applications that keep
//! their list to themselves are named, so that the page can say why it is empty. Nodes are told to whom any
//! application is told.

use crate::error::ApiError;
use crate::extract::Page;
use crate::filter::Refused;
use crate::openapi::Refusals;
use crate::state::Shared;
use crate::wire::ClusterNodeJson;
use axum::Json;
use axum::extract::{Request, State};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;
use weir_cluster::{AppName, Broadcast, BroadcastStatus, PublishType};

/// Streams told of one application.
const STREAMS_MAX: usize = 50;

/// A stream that is live or about to be.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LiveStream {
    app: String,
    stream_id: String,
    name: Option<String>,
    #[schema(value_type = String)]
    status: BroadcastStatus,
    /// Ms since the Unix epoch.
    start_time: i64,
    /// Bits a second.
    bitrate: i64,
    width: u32,
    height: u32,
    #[schema(value_type = Option<String>)]
    publish_type: Option<PublishType>,
}

/// What the page shows.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LiveList {
    streams: Vec<LiveStream>,
    nodes: Vec<ClusterNodeJson>,
    /// Applications that do not tell the caller, and why.
    hidden: Vec<Hidden>,
}

/// An application that does not tell the caller.
#[derive(Serialize, ToSchema)]
pub(crate) struct Hidden {
    app: String,
    reason: &'static str,
}

/// `GET /rest/v2/weir/live`.
#[utoipa::path(get, path = "/rest/v2/weir/live", tag = "server",
    responses((status = 200, body = LiveList), Refusals))]
pub(crate) async fn live(
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Result<Json<LiveList>, ApiError> {
    let (head, _) = request.into_parts();
    let mut list = LiveList {
        streams: Vec::new(),
        nodes: Vec::new(),
        hidden: Vec::new(),
    };
    let mut told = false;
    for app in shared.given.management.apps.names() {
        match shared.may_use_app(app.as_str(), &head).await {
            Ok(()) => {
                told = true;
                let all = shared.on_air(&app).await?;
                let on_air = all.iter().filter_map(|stream| shared.told(&app, stream));
                list.streams.extend(on_air.take(STREAMS_MAX));
            }
            Err(refused) => list.hidden.push(Hidden {
                app: app.as_str().to_owned(),
                reason: match refused {
                    Refused::Address => "address",
                    _ => "token",
                },
            }),
        }
    }
    if told {
        let Json(nodes) = shared.nodes(Page::FIRST).await?;
        list.nodes = nodes;
    }
    Ok(Json(list))
}

impl Shared {
    fn told(&self, app: &AppName, stream: &Broadcast) -> Option<LiveStream> {
        let status = stream.status_at(self.judged_ms());
        let on_air = matches!(
            status,
            BroadcastStatus::Broadcasting | BroadcastStatus::Preparing
        );
        on_air.then(|| LiveStream {
            app: app.as_str().to_owned(),
            stream_id: stream.stream_id.clone(),
            name: stream.name.clone(),
            status,
            start_time: stream.start_time,
            bitrate: stream.bitrate,
            width: stream.width,
            height: stream.height,
            publish_type: stream.publish_type,
        })
    }
}
