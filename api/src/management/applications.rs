//! `/rest/v2/applications…`: which there are, what goes on in them, making and removing them.

use crate::error::ApiError;
use crate::extract::{LIST_SIZE_MAX, UrlPath, UrlQuery};
use crate::management::AppsError;
use crate::management::users::Told;
use crate::management::wire::app_name;
use crate::openapi::Refusals;
use crate::state::{Shared, bounded};
use crate::wire::ResultJson;
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;
use weir_cluster::records::kinds::{Vod, read};
use weir_cluster::{AppName, Broadcast, BroadcastStatus, Kind, Query};

/// The most streams of one application that are looked through.
const STREAMS_MAX: usize = 10_000;
/// The most recordings whose sizes are added.
const RECORDINGS_MAX: usize = 1_000;

/// How old a look at an application's streams may be.
const ON_AIR_AGE_MAX: Duration = Duration::from_secs(1);
/// Applications looked at.
const APPS_MAX: u64 = 256;

/// Streams on air by application. One scan serves everybody who asks within [`ON_AIR_AGE_MAX`], and those who come
/// while it runs wait for it: a crowd of open lists costs the store one scan a second and application.
#[derive(Debug)]
pub(crate) struct OnAir(moka::future::Cache<AppName, Arc<Vec<Broadcast>>>);

impl OnAir {
    pub(crate) fn new() -> Self {
        let builder = moka::future::Cache::builder();
        Self(
            builder
                .max_capacity(APPS_MAX)
                .time_to_live(ON_AIR_AGE_MAX)
                .build(),
        )
    }
}

/// The applications' names.
#[derive(Serialize, ToSchema)]
pub(crate) struct Applications {
    applications: Vec<String>,
}

/// What goes on in an application.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApplicationInfo {
    name: String,
    live_stream_count: usize,
    vod_count: u64,
    /// Bytes of the first 1,000 recordings.
    storage: i64,
}

/// A live stream in short.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BroadcastInfo {
    name: String,
    watcher_count: i64,
}

/// Past figures, oldest first; this version keeps the present only.
#[derive(Serialize, ToSchema)]
pub(crate) struct MetricsHistory {
    viewers: Vec<i64>,
    streams: Vec<usize>,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeleteQuery {
    /// Whether the application's records go too. Not in this version: `true` is refused.
    #[serde(rename = "deleteDB")]
    #[param(rename = "deleteDB")]
    delete_db: Option<bool>,
}

/// `GET /rest/v2/applications`.
#[utoipa::path(get, path = "/rest/v2/applications", tag = "applications",
    responses((status = 200, body = Applications), Refusals))]
pub(crate) async fn list(State(shared): State<Arc<Shared>>) -> Json<Applications> {
    let names = shared.given.management.apps.names();
    let applications = names.iter().map(ToString::to_string).collect();
    Json(Applications { applications })
}

/// `GET /rest/v2/applications-info`.
#[utoipa::path(get, path = "/rest/v2/applications-info", tag = "applications",
    responses((status = 200, body = Vec<ApplicationInfo>), Refusals))]
pub(crate) async fn info(
    State(shared): State<Arc<Shared>>,
) -> Result<Json<Vec<ApplicationInfo>>, ApiError> {
    let mut all = Vec::new();
    for app in shared.given.management.apps.names() {
        let recordings = Query::all(Kind::Vod, Some(app.clone()));
        all.push(ApplicationInfo {
            live_stream_count: shared.live(&app).await?.len(),
            vod_count: bounded(shared.given.store.count(&recordings)).await?,
            storage: shared.recorded_bytes(recordings).await?,
            name: app.as_str().to_owned(),
        });
    }
    Ok(Json(all))
}

/// `POST /rest/v2/applications/{name}`: makes an application, on every node.
#[utoipa::path(post, path = "/rest/v2/applications/{name}", tag = "applications",
    params(("name" = String, Path, description = "1 to 64 letters, digits, `_` or `-`")),
    responses((status = 200, body = ResultJson), Refusals))]
pub(crate) async fn create(
    State(shared): State<Arc<Shared>>,
    UrlPath(name): UrlPath<String>,
) -> Told {
    let app = app_name(&name)?;
    if is_taken(&app) {
        let words = "this name begins paths of the server itself";
        return Ok(ResultJson::failed(words.to_owned()));
    }
    told(shared.given.management.apps.create(&app).await)
}

/// `DELETE /rest/v2/applications/{name}`: takes an application away, on every node. Its records stay.
#[utoipa::path(delete, path = "/rest/v2/applications/{name}", tag = "applications",
    params(("name" = String, Path, description = "The application"), DeleteQuery),
    responses((status = 200, body = ResultJson), Refusals))]
pub(crate) async fn delete(
    State(shared): State<Arc<Shared>>,
    UrlPath(name): UrlPath<String>,
    UrlQuery(query): UrlQuery<DeleteQuery>,
) -> Told {
    if query.delete_db == Some(true) {
        let words = "nothing was done: deleteDB=true is not available here; without it the application goes and its \
                     records stay, to be dropped in the database";
        return Ok(ResultJson::failed(words.to_owned()));
    }
    told(shared.given.management.apps.delete(&app_name(&name)?).await)
}

/// `POST /rest/v2/applications/{name}/reset`: Ant Media's way to mend states after a crash. Here states are computed
/// when they are read, so that there is nothing to mend.
#[utoipa::path(post, path = "/rest/v2/applications/{name}/reset", tag = "applications",
    params(("name" = String, Path, description = "The application")),
    responses((status = 200, body = ResultJson), Refusals))]
pub(crate) async fn reset(
    State(shared): State<Arc<Shared>>,
    UrlPath(name): UrlPath<String>,
) -> Told {
    shared.existing(&name)?;
    Ok(ResultJson::done(
        "nothing to reset: states are computed when they are read",
    ))
}

/// `GET /rest/v2/applications/live-streams/{name}`.
#[utoipa::path(get, path = "/rest/v2/applications/live-streams/{name}", tag = "applications",
    params(("name" = String, Path, description = "The application")),
    responses((status = 200, body = Vec<BroadcastInfo>), Refusals))]
pub(crate) async fn live_streams(
    State(shared): State<Arc<Shared>>,
    UrlPath(name): UrlPath<String>,
) -> Result<Json<Vec<BroadcastInfo>>, ApiError> {
    let app = shared.existing(&name)?;
    let live = shared.live(&app).await?;
    let told = live.into_iter().map(|stream| BroadcastInfo {
        watcher_count: stream.hls_viewer_count.into(),
        name: stream.name.unwrap_or(stream.stream_id),
    });
    Ok(Json(told.collect()))
}

/// `GET /rest/v2/applications/{name}/metrics-history`.
#[utoipa::path(get, path = "/rest/v2/applications/{name}/metrics-history", tag = "applications",
    params(("name" = String, Path, description = "The application")),
    responses((status = 200, body = MetricsHistory), Refusals))]
pub(crate) async fn metrics_history(
    State(shared): State<Arc<Shared>>,
    UrlPath(name): UrlPath<String>,
) -> Result<Json<MetricsHistory>, ApiError> {
    let app = shared.existing(&name)?;
    let live = shared.live(&app).await?;
    Ok(Json(MetricsHistory {
        viewers: vec![shared.hls_viewers(&app).await?],
        streams: vec![live.len()],
    }))
}

/// What changing applications came to. A store that is away is a 503, everything else an answer.
pub(super) fn told(done: Result<(), AppsError>) -> Told {
    match done {
        Ok(()) => Ok(ResultJson::ok()),
        Err(AppsError::Store(reason)) => Err(ApiError::Store(reason)),
        Err(AppsError::Invalid(words)) => Err(ApiError::Invalid(words)),
        Err(error) => Ok(ResultJson::failed(error.to_string())),
    }
}

/// Names that would hide routes of the server.
fn is_taken(app: &AppName) -> bool {
    ["rest", "assets", "metrics"].contains(&app.as_str())
}

impl Shared {
    /// The application called `name`; 404 when there is none.
    pub(crate) fn existing(&self, name: &str) -> Result<AppName, ApiError> {
        let missing = || ApiError::NotFound("there is no application of that name".to_owned());
        let app = AppName::parse(name).map_err(|_| missing())?;
        let apps = &self.given.management.apps;
        apps.security(name).map(|_| app).ok_or_else(missing)
    }

    /// The application's streams that are live now.
    pub(crate) async fn live(&self, app: &AppName) -> Result<Vec<Broadcast>, ApiError> {
        let on_air = self.on_air(app).await?;
        let now_ms = self.judged_ms();
        let live = |stream: &&Broadcast| stream.status_at(now_ms) == BroadcastStatus::Broadcasting;
        Ok(on_air.iter().filter(live).cloned().collect())
    }

    /// The application's streams that were live or about to be at most [`ON_AIR_AGE_MAX`] ago.
    pub(crate) async fn on_air(&self, app: &AppName) -> Result<Arc<Vec<Broadcast>>, ApiError> {
        let scanned = self
            .on_air
            .0
            .try_get_with(app.clone(), self.scan(app))
            .await;
        scanned.map_err(|error| (*error).clone())
    }

    async fn scan(&self, app: &AppName) -> Result<Arc<Vec<Broadcast>>, ApiError> {
        let mut found = Vec::new();
        let mut offset = 0;
        while offset < STREAMS_MAX {
            let page = bounded(self.given.store.broadcasts(app, offset, LIST_SIZE_MAX)).await?;
            offset += page.len();
            let full = page.len() >= LIST_SIZE_MAX;
            let on_air = |stream: &Broadcast| {
                matches!(
                    stream.status,
                    BroadcastStatus::Broadcasting | BroadcastStatus::Preparing
                )
            };
            found.extend(page.into_iter().filter(on_air));
            if !full {
                break;
            }
        }
        Ok(Arc::new(found))
    }

    async fn recorded_bytes(&self, mut recordings: Query) -> Result<i64, ApiError> {
        let mut bytes: i64 = 0;
        while recordings.offset < RECORDINGS_MAX {
            let page = bounded(self.given.store.list(&recordings)).await?;
            recordings.offset += page.len();
            for fields in &page {
                bytes = bytes.saturating_add(read::<Vod>(fields).file_size.max(0));
            }
            if page.len() < LIST_SIZE_MAX {
                break;
            }
        }
        Ok(bytes)
    }
}

/// True for a value that tells something.
pub(super) fn is_set(value: &Value) -> bool {
    !value.is_null() && value.as_str() != Some("")
}
