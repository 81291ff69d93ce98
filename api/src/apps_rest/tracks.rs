//! Subtracks: streams that belong to a main track, a conference's room for one. Records only.
//!
//! A subtrack names its main track (`mainTrackStreamId`); a main track that has `subtracksLimit` takes no more.

use super::broadcast::{self, Broadcast};
use super::params::OfStream;
use super::streams::no_stream;
use crate::error::ApiError;
use crate::extract::{Page, PageParams, UrlPath, UrlQuery};
use crate::openapi::Refusals;
use crate::state::{Shared, bounded};
use crate::wire::{ResultJson, SimpleStat};
use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use weir_cluster::{AppName, Fields, Kind, Place, Query};

/// Which subtrack.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub(crate) struct TrackQuery {
    /// The subtrack.
    id: Option<String>,
}

/// Which subtracks.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub(crate) struct RoleQuery {
    /// Of this role only.
    role: Option<String>,
}

/// `POST /broadcasts/{id}/subtrack?id=`: adds a stream to a main track.
#[utoipa::path(post, path = "/{app}/rest/v2/broadcasts/{id}/subtrack", tag = "subtracks",
    params(OfStream, TrackQuery), responses((status = 200, body = ResultJson), Refusals))]
pub(crate) async fn add(
    State(shared): State<Arc<Shared>>,
    UrlPath((app, id)): UrlPath<(String, String)>,
    UrlQuery(query): UrlQuery<TrackQuery>,
) -> Result<ResultJson, ApiError> {
    let app = &shared.app(&app)?;
    let track = query.id.unwrap_or_default();
    let Some(main) = shared.record(app, &id).await? else {
        return Ok(no_stream(&id));
    };
    let Some(record) = shared.record(app, &track).await? else {
        return Ok(no_stream(&track));
    };
    if track == id {
        return Ok(ResultJson::failed(
            "a stream is no subtrack of itself".to_owned(),
        ));
    }
    if broadcast::text(&record, "mainTrackStreamId") == Some(id.as_str()) {
        return Ok(ResultJson::done("it is a subtrack already").about(&track));
    }
    let limit = main
        .get("subtracksLimit")
        .and_then(Value::as_i64)
        .unwrap_or(-1);
    if let Ok(limit) = usize::try_from(limit) {
        let query = of_main(app, &id, None);
        let there = bounded(shared.given.store.count(&query)).await?;
        if usize::try_from(there).is_ok_and(|there| there >= limit) {
            let words = format!("the main track takes {limit} subtracks, and has them");
            return Ok(ResultJson::failed(words));
        }
    }
    shared.set_main(app, &track, id.into()).await
}

/// `DELETE /broadcasts/{id}/subtrack?id=`: takes a stream from a main track.
#[utoipa::path(delete, path = "/{app}/rest/v2/broadcasts/{id}/subtrack", tag = "subtracks",
    params(OfStream, TrackQuery), responses((status = 200, body = ResultJson), Refusals))]
pub(crate) async fn remove(
    State(shared): State<Arc<Shared>>,
    UrlPath((app, id)): UrlPath<(String, String)>,
    UrlQuery(query): UrlQuery<TrackQuery>,
) -> Result<ResultJson, ApiError> {
    let app = &shared.app(&app)?;
    let track = query.id.unwrap_or_default();
    let Some(record) = shared.record(app, &track).await? else {
        return Ok(no_stream(&track));
    };
    if broadcast::text(&record, "mainTrackStreamId") != Some(id.as_str()) {
        return Ok(ResultJson::failed("it is no subtrack of this stream".to_owned()).about(&track));
    }
    shared.set_main(app, &track, Value::Null).await
}

/// `GET /broadcasts/{id}/subtracks/{offset}/{size}`.
#[utoipa::path(get, path = "/{app}/rest/v2/broadcasts/{id}/subtracks/{offset}/{size}", tag = "subtracks",
    params(OfStream, PageParams, RoleQuery), responses((status = 200, body = Vec<Broadcast>), Refusals))]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    UrlPath((app, id, offset, size)): UrlPath<(String, String, String, String)>,
    UrlQuery(query): UrlQuery<RoleQuery>,
) -> Result<Json<Vec<Broadcast>>, ApiError> {
    let app = &shared.app(&app)?;
    let page = Page::parse(&offset, &size)?;
    let query = of_main(app, &id, query.role);
    shared.streams(app, query, page).await.map(Json)
}

/// `GET /broadcasts/{id}/active-subtracks/{offset}/{size}`: those that are live. A page is short where owners went
/// silent.
#[utoipa::path(get, path = "/{app}/rest/v2/broadcasts/{id}/active-subtracks/{offset}/{size}", tag = "subtracks",
    params(OfStream, PageParams, RoleQuery), responses((status = 200, body = Vec<Broadcast>), Refusals))]
pub(crate) async fn list_active(
    State(shared): State<Arc<Shared>>,
    UrlPath((app, id, offset, size)): UrlPath<(String, String, String, String)>,
    UrlQuery(query): UrlQuery<RoleQuery>,
) -> Result<Json<Vec<Broadcast>>, ApiError> {
    let app = &shared.app(&app)?;
    let page = Page::parse(&offset, &size)?;
    let mut query = of_main(app, &id, query.role);
    query.equals.push(("status", json!("broadcasting")));
    let records = shared.records_of(query, page).await?;
    let now_ms = shared.judged_ms();
    let live = records
        .iter()
        .filter(|record| broadcast::is_live(record, now_ms));
    Ok(Json(live.map(|record| shared.view(app, record)).collect()))
}

/// `GET /broadcasts/{id}/active-subtracks-count`.
#[utoipa::path(get, path = "/{app}/rest/v2/broadcasts/{id}/active-subtracks-count", tag = "subtracks",
    params(OfStream, RoleQuery), responses((status = 200, body = SimpleStat), Refusals))]
pub(crate) async fn count_active(
    State(shared): State<Arc<Shared>>,
    UrlPath((app, id)): UrlPath<(String, String)>,
    UrlQuery(query): UrlQuery<RoleQuery>,
) -> Result<Json<SimpleStat>, ApiError> {
    let app = &shared.app(&app)?;
    let equals = of_main(app, &id, query.role).equals;
    Ok(Json(SimpleStat::of(shared.live_count(app, equals).await?)))
}

impl Shared {
    async fn set_main(
        &self,
        app: &AppName,
        track: &str,
        main: Value,
    ) -> Result<ResultJson, ApiError> {
        let set = Fields::from_iter([("mainTrackStreamId".to_owned(), main)]);
        let place = Place::in_app(Kind::Broadcast, app, [track]);
        Ok(match bounded(self.given.store.patch(&place, set)).await? {
            Some(_) => ResultJson::ok().about(track),
            None => no_stream(track),
        })
    }
}

fn of_main(app: &AppName, main: &str, role: Option<String>) -> Query {
    let mut query = Query::all(Kind::Broadcast, Some(app.clone()));
    query.equals = vec![("mainTrackStreamId", main.into())];
    if let Some(role) = role.filter(|role| !role.is_empty()) {
        query.equals.push(("role", role.into()));
    }
    query
}
