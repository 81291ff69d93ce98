//! `/rest/v2/…` about the server itself: edition, licence, log, times, how it ended last.

use crate::error::ApiError;
use crate::extract::{UrlPath, UrlQuery};
use crate::openapi::Refusals;
use crate::state::Shared;
use crate::wire::ResultJson;
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;
use weir_cluster::Viewers;

/// The most of the log in one answer, bytes (Ant Media's 500 kB).
const LOG_BYTES_MAX: usize = 512_000;

/// `GET /rest/v2/enterprise-edition`: yes, clusters and all else are in every build.
#[utoipa::path(get, path = "/rest/v2/enterprise-edition", tag = "server",
    responses((status = 200, body = ResultJson), Refusals))]
pub(crate) async fn enterprise_edition() -> ResultJson {
    ResultJson::done("")
}

/// Ant Media's `Licence`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Licence {
    licence_id: String,
    start_date: Option<String>,
    end_date: Option<String>,
    r#type: String,
    licence_count: String,
    owner: String,
    status: String,
    hour_used: String,
    message: String,
}

impl Licence {
    pub(crate) fn free() -> Self {
        Self {
            licence_id: "none".to_owned(),
            start_date: None,
            end_date: None,
            r#type: "free".to_owned(),
            licence_count: "unlimited".to_owned(),
            owner: String::new(),
            status: "valid".to_owned(),
            hour_used: "0".to_owned(),
            message: "Weir is free software and needs no licence key".to_owned(),
        }
    }
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct LicenceQuery {
    /// Looked at by nobody.
    #[expect(dead_code, reason = "Ant Media's clients send it")]
    key: Option<String>,
}

/// `GET /rest/v2/licence-status`: always valid, because none is needed.
#[utoipa::path(get, path = "/rest/v2/licence-status", tag = "server", params(LicenceQuery),
    responses((status = 200, body = Licence), Refusals))]
pub(crate) async fn licence_status(UrlQuery(_): UrlQuery<LicenceQuery>) -> Json<Licence> {
    Json(Licence::free())
}

/// `GET /rest/v2/last-licence-status`: the same.
#[utoipa::path(get, path = "/rest/v2/last-licence-status", tag = "server",
    responses((status = 200, body = Licence), Refusals))]
pub(crate) async fn last_licence_status() -> Json<Licence> {
    Json(Licence::free())
}

/// A piece of the log.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LogPiece {
    log_content: String,
    /// Bytes.
    log_content_size: usize,
    /// Bytes.
    log_file_size: u64,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct LogQuery {
    /// `error` for lines of errors alone.
    #[serde(rename = "logType")]
    #[param(rename = "logType")]
    log_type: Option<String>,
}

/// `GET /rest/v2/log-file/{offset}/{charSize}`: what this node logged, the last of it when `offset` is -1. Only what is
/// kept in memory; the whole log is where the process's standard error goes.
#[utoipa::path(get, path = "/rest/v2/log-file/{offset}/{charSize}", tag = "server",
    params(("offset" = i64, Path, description = "Bytes to skip; -1 for the end"),
        ("charSize" = u32, Path, description = "Bytes wanted; at most 512000 are given"), LogQuery),
    responses((status = 200, body = LogPiece), Refusals))]
pub(crate) async fn log_file(
    State(shared): State<Arc<Shared>>,
    UrlPath((offset, size)): UrlPath<(String, String)>,
    UrlQuery(query): UrlQuery<LogQuery>,
) -> Result<Json<LogPiece>, ApiError> {
    let number = |name: &str| ApiError::Invalid(format!("{name} must be a number of bytes"));
    let offset: i64 = offset.parse().map_err(|_| number("offset"))?;
    let size: usize = size.parse().map_err(|_| number("charSize"))?;
    let Some(log) = &shared.given.management.log else {
        return Ok(Json(LogPiece {
            log_content: "There are no log files yet".to_owned(),
            log_content_size: 0,
            log_file_size: 0,
        }));
    };
    let bytes = log.read(u64::try_from(offset).ok(), size.min(LOG_BYTES_MAX));
    let mut log_content = String::from_utf8_lossy(&bytes).into_owned();
    if query.log_type.as_deref() == Some("error") {
        let lines = log_content.lines().filter(|line| line.contains("ERROR"));
        log_content = lines.map(|line| format!("{line}\n")).collect();
    }
    Ok(Json(LogPiece {
        log_content_size: log_content.len(),
        log_content,
        log_file_size: log.size(),
    }))
}

/// Since when the process runs.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct ServerTiming {
    /// Ms.
    up_time: i64,
    /// Ms since the Unix epoch.
    start_time: i64,
}

/// `GET /rest/v2/server-time`.
#[utoipa::path(get, path = "/rest/v2/server-time", tag = "server",
    responses((status = 200, body = ServerTiming), Refusals))]
pub(crate) async fn server_time(State(shared): State<Arc<Shared>>) -> Json<ServerTiming> {
    Json(shared.timing())
}

/// How much goes on.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LiveClientsSize {
    /// Viewers on this node, as its last heartbeat says.
    total_connection_size: i64,
    total_live_stream_size: usize,
}

/// `GET /rest/v2/live-clients-size`.
#[utoipa::path(get, path = "/rest/v2/live-clients-size", tag = "server",
    responses((status = 200, body = LiveClientsSize), Refusals))]
pub(crate) async fn live_clients_size(
    State(shared): State<Arc<Shared>>,
) -> Result<Json<LiveClientsSize>, ApiError> {
    let id = &shared.given.node.id;
    let own = shared.find_node(|node| node.id == *id).await?;
    Ok(Json(LiveClientsSize {
        total_connection_size: own.map_or(0, |own| all_of(own.viewers)),
        total_live_stream_size: shared.total_live().await?,
    }))
}

fn all_of(viewers: Viewers) -> i64 {
    [viewers.hls, viewers.dash, viewers.webrtc, viewers.rtmp]
        .into_iter()
        .map(i64::from)
        .sum()
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AppNamesQuery {
    /// Names with commas between them.
    #[serde(rename = "appNames")]
    #[param(rename = "appNames")]
    app_names: Option<String>,
}

/// `GET /rest/v2/shutdown-properly`: whether the applications' last end was in order. Here a crash leaves nothing to
/// mend, so that it always was.
#[utoipa::path(get, path = "/rest/v2/shutdown-properly", tag = "server", params(AppNamesQuery),
    responses((status = 200, body = ResultJson), Refusals))]
pub(crate) async fn is_shutdown_proper(
    State(shared): State<Arc<Shared>>,
    UrlQuery(query): UrlQuery<AppNamesQuery>,
) -> Result<ResultJson, ApiError> {
    shared.all_exist(&query)?;
    Ok(ResultJson::ok())
}

/// `GET /rest/v2/shutdown-proper-status`: the same.
#[utoipa::path(get, path = "/rest/v2/shutdown-proper-status", tag = "server", params(AppNamesQuery),
    responses((status = 200, body = ResultJson), Refusals))]
pub(crate) async fn shutdown_status(
    State(shared): State<Arc<Shared>>,
    UrlQuery(query): UrlQuery<AppNamesQuery>,
) -> Result<ResultJson, ApiError> {
    shared.all_exist(&query)?;
    Ok(ResultJson::ok())
}

/// `POST /rest/v2/shutdown-properly`: Ant Media's way to forget a bad end.
#[utoipa::path(post, path = "/rest/v2/shutdown-properly", tag = "server", params(AppNamesQuery),
    responses((status = 200, body = ResultJson), Refusals))]
pub(crate) async fn set_shutdown_proper(
    State(shared): State<Arc<Shared>>,
    UrlQuery(query): UrlQuery<AppNamesQuery>,
) -> Result<ResultJson, ApiError> {
    shared.all_exist(&query)?;
    Ok(ResultJson::ok())
}

impl Shared {
    pub(crate) fn timing(&self) -> ServerTiming {
        let start_time = self.given.management.options.started_ms;
        ServerTiming {
            up_time: self.now_ms().saturating_sub(start_time).max(0),
            start_time,
        }
    }

    /// Live streams of all applications.
    pub(crate) async fn total_live(&self) -> Result<usize, ApiError> {
        let mut total = 0;
        for app in self.given.management.apps.names() {
            total += self.live(&app).await?.len();
        }
        Ok(total)
    }

    fn all_exist(&self, query: &AppNamesQuery) -> Result<(), ApiError> {
        let names = query.app_names.as_deref().ok_or_else(|| {
            ApiError::Invalid("appNames must be names with commas between them".to_owned())
        })?;
        let mut names = names.split(',').filter(|name| !name.is_empty());
        names.try_for_each(|name| self.existing(name).map(drop))
    }
}
