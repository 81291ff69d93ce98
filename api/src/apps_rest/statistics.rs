//! Figures of streams, from their records: whichever node is asked, the answer is the owner's last report.
//!
//! Viewers are those on all edges together, by estimate and at most some 6 s old ([`weir_cluster::audience`]); an
//! application's are the sum of its live streams', which is read at most once a second. Nobody watches over WebRTC,
//! DASH or RTMP in this version, so that these are 0. -1, as in Ant Media, is told of a stream that is not there.

use super::broadcast::{self, number};
use super::params::OfStream;
use crate::error::ApiError;
use crate::extract::{Page, PageParams, UrlPath};
use crate::openapi::Refusals;
use crate::state::Shared;
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;
use weir_cluster::{AppName, Fields};

/// Who watches a stream.
#[derive(Debug, Serialize, ToSchema)]
#[allow(clippy::struct_field_names, reason = "Ant Media's names")]
pub(crate) struct BroadcastStatistics {
    #[serde(rename = "totalRTMPWatchersCount")]
    rtmp: i64,
    #[serde(rename = "totalHLSWatchersCount")]
    hls: i64,
    #[serde(rename = "totalWebRTCWatchersCount")]
    webrtc: i64,
    #[serde(rename = "totalDASHWatchersCount")]
    dash: i64,
}

/// Who watches an application's streams, and how many are live, in the whole cluster.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AppStatistics {
    #[serde(flatten)]
    watchers: BroadcastStatistics,
    active_live_stream_count: usize,
}

/// One video of a stream.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BasicStreamInfo {
    video_height: i64,
    video_width: i64,
    video_bitrate: i64,
    audio_bitrate: i64,
    video_codec: Option<String>,
}

impl BroadcastStatistics {
    const UNCOUNTED: Self = Self {
        rtmp: -1,
        hls: -1,
        webrtc: -1,
        dash: -1,
    };

    const NOBODY: Self = Self {
        rtmp: 0,
        hls: 0,
        webrtc: 0,
        dash: 0,
    };

    /// Of a record as seen at `now_ms`; whoever ended without a word had viewers to its end, and has none now.
    fn of(record: &Fields, now_ms: i64) -> Self {
        if !broadcast::is_live(record, now_ms) {
            return Self::NOBODY;
        }
        Self {
            rtmp: number(record, "rtmpViewerCount"),
            hls: number(record, "hlsViewerCount"),
            webrtc: number(record, "webRTCViewerCount"),
            dash: number(record, "dashViewerCount"),
        }
    }
}

/// `GET /broadcasts/{id}/broadcast-statistics`.
#[utoipa::path(get, path = "/{app}/rest/v2/broadcasts/{id}/broadcast-statistics", tag = "statistics",
    params(OfStream), responses((status = 200, body = BroadcastStatistics), Refusals))]
pub(crate) async fn of_stream(
    State(shared): State<Arc<Shared>>,
    UrlPath((app, id)): UrlPath<(String, String)>,
) -> Result<Json<BroadcastStatistics>, ApiError> {
    let app = &shared.app(&app)?;
    let record = shared.record(app, &id).await?;
    let now_ms = shared.judged_ms();
    let told = record.map(|record| BroadcastStatistics::of(&record, now_ms));
    Ok(Json(told.unwrap_or(BroadcastStatistics::UNCOUNTED)))
}

/// `GET /broadcasts/total-broadcast-statistics`.
#[utoipa::path(get, path = "/{app}/rest/v2/broadcasts/total-broadcast-statistics", tag = "statistics",
    responses((status = 200, body = AppStatistics), Refusals))]
pub(crate) async fn of_app(
    State(shared): State<Arc<Shared>>,
    UrlPath(app): UrlPath<String>,
) -> Result<Json<AppStatistics>, ApiError> {
    let app = &shared.app(&app)?;
    Ok(Json(AppStatistics {
        watchers: BroadcastStatistics {
            hls: shared.hls_viewers(app).await?,
            ..BroadcastStatistics::NOBODY
        },
        active_live_stream_count: shared.live_count(app, Vec::new()).await?,
    }))
}

impl Shared {
    /// Viewers of the application's live streams.
    pub(crate) async fn hls_viewers(&self, app: &AppName) -> Result<i64, ApiError> {
        let live = self.live(app).await?;
        Ok(live
            .iter()
            .map(|stream| i64::from(stream.hls_viewer_count))
            .sum())
    }
}

/// `GET /broadcasts/{id}/stream-info`: the videos of a live stream; empty when it is not live.
#[utoipa::path(get, path = "/{app}/rest/v2/broadcasts/{id}/stream-info", tag = "statistics", params(OfStream),
    responses((status = 200, body = Vec<BasicStreamInfo>), Refusals))]
pub(crate) async fn stream_info(
    State(shared): State<Arc<Shared>>,
    UrlPath((app, id)): UrlPath<(String, String)>,
) -> Result<Json<Vec<BasicStreamInfo>>, ApiError> {
    let app = &shared.app(&app)?;
    let record = shared.record(app, &id).await?;
    let live = record.filter(|record| broadcast::is_live(record, shared.judged_ms()));
    let info = live.map(|record| BasicStreamInfo {
        video_height: number(&record, "height"),
        video_width: number(&record, "width"),
        video_bitrate: number(&record, "bitrate"),
        audio_bitrate: 0,
        video_codec: broadcast::text(&record, "videoCodec").map(str::to_owned),
    });
    Ok(Json(info.into_iter().collect()))
}

/// `GET /broadcasts/{id}/webrtc-client-stats/{offset}/{size}`: nobody watches over WebRTC in this version.
#[utoipa::path(get, path = "/{app}/rest/v2/broadcasts/{id}/webrtc-client-stats/{offset}/{size}", tag = "statistics",
    params(OfStream, PageParams), responses((status = 200, body = Vec<Object>), Refusals))]
pub(crate) async fn webrtc_clients(
    State(shared): State<Arc<Shared>>,
    UrlPath((app, _, offset, size)): UrlPath<(String, String, String, String)>,
) -> Result<Json<Vec<serde_json::Value>>, ApiError> {
    shared.app(&app)?;
    Page::parse(&offset, &size)?;
    Ok(Json(Vec::new()))
}
