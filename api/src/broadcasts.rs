//! `/{app}/rest/v2/broadcasts/…`: streams.

use crate::error::ApiError;
use crate::extract::{Page, PageParams, UrlPath, UrlQuery};
use crate::openapi::Refusals;
use crate::state::{Shared, bounded};
use crate::wire::{BroadcastJson, SimpleStat, status_name};
use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use std::sync::Arc;
use weir_cluster::{AppName, Broadcast, BroadcastStatus, StreamId, StreamKey};

/// `sort_by`, `order_by`, `type_by`, `search` of a list.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// `name`, `date` or `status`.
    sort_by: Option<String>,
    /// `asc` or `desc`.
    order_by: Option<String>,
    /// `liveStream`, `ipCamera`, `streamSource` or `VoD`.
    type_by: Option<String>,
    /// Part of an id or a name.
    search: Option<String>,
}

/// `GET /broadcasts/{id}`: the record, 404 when there is none.
#[utoipa::path(get, path = "/{app}/rest/v2/broadcasts/{id}", tag = "broadcasts",
    params(("id" = String, Path, description = "The stream")),
    responses((status = 200, body = BroadcastJson), Refusals))]
pub(crate) async fn one(
    State(shared): State<Arc<Shared>>,
    UrlPath((app, id)): UrlPath<(String, String)>,
) -> Result<Json<BroadcastJson>, ApiError> {
    let app = shared.app(&app)?;
    // An id that could not be published is unknown, not wrong: Ant Media's clients ask for any string.
    let unknown = || ApiError::NotFound("no such stream".to_owned());
    let id = StreamId::parse(&id).map_err(|_| unknown())?;
    let key = StreamKey {
        app: app.clone(),
        id,
    };
    let record = bounded(shared.given.store.broadcast(&key)).await?;
    let record = record.ok_or_else(unknown)?;
    Ok(Json(shared.view(app, &record)))
}

/// `GET /broadcasts/list/{offset}/{size}`: in id order, or as the query says.
#[utoipa::path(get, path = "/{app}/rest/v2/broadcasts/list/{offset}/{size}", tag = "broadcasts",
    params(PageParams, ListQuery), responses((status = 200, body = Vec<BroadcastJson>), Refusals))]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    UrlPath((app, offset, size)): UrlPath<(String, String, String)>,
    UrlQuery(query): UrlQuery<ListQuery>,
) -> Result<Json<Vec<BroadcastJson>>, ApiError> {
    let app = shared.app(&app)?;
    let page = Page::parse(&offset, &size)?;
    if !query.wants_streams() || page.size == 0 {
        return Ok(Json(Vec::new()));
    }
    if query.is_plain() {
        let store = &shared.given.store;
        let records = bounded(store.broadcasts(app, page.offset, page.size)).await?;
        return Ok(Json(records.iter().map(|r| shared.view(app, r)).collect()));
    }
    let all = shared.catalogue.all(app).await?;
    let records = query.apply(&all, shared.now_ms());
    let window = records.into_iter().skip(page.offset).take(page.size);
    Ok(Json(window.map(|r| shared.view(app, r)).collect()))
}

/// `GET /broadcasts/count`: all records.
#[utoipa::path(get, path = "/{app}/rest/v2/broadcasts/count", tag = "broadcasts",
    responses((status = 200, body = SimpleStat), Refusals))]
pub(crate) async fn count(
    State(shared): State<Arc<Shared>>,
    UrlPath(app): UrlPath<String>,
) -> Result<Json<SimpleStat>, ApiError> {
    let all = shared.catalogue.all(shared.app(&app)?).await?;
    Ok(Json(SimpleStat::of(all.len())))
}

/// `GET /broadcasts/count/{search}`: records that match.
#[utoipa::path(get, path = "/{app}/rest/v2/broadcasts/count/{search}", tag = "broadcasts",
    params(("search" = String, Path, description = "Part of an id or a name")),
    responses((status = 200, body = SimpleStat), Refusals))]
pub(crate) async fn count_matching(
    State(shared): State<Arc<Shared>>,
    UrlPath((app, search)): UrlPath<(String, String)>,
) -> Result<Json<SimpleStat>, ApiError> {
    let all = shared.catalogue.all(shared.app(&app)?).await?;
    let search = search.to_lowercase();
    let number = all.iter().filter(|r| matches(r, &search)).count();
    Ok(Json(SimpleStat::of(number)))
}

/// `GET /broadcasts/active-live-stream-count`: those that are live now.
#[utoipa::path(get, path = "/{app}/rest/v2/broadcasts/active-live-stream-count", tag = "broadcasts",
    responses((status = 200, body = SimpleStat), Refusals))]
pub(crate) async fn count_live(
    State(shared): State<Arc<Shared>>,
    UrlPath(app): UrlPath<String>,
) -> Result<Json<SimpleStat>, ApiError> {
    let all = shared.catalogue.all(shared.app(&app)?).await?;
    let now_ms = shared.now_ms();
    let live = |r: &&Broadcast| r.status_at(now_ms) == BroadcastStatus::Broadcasting;
    Ok(Json(SimpleStat::of(all.iter().filter(live).count())))
}

impl Shared {
    fn view(&self, app: &AppName, record: &Broadcast) -> BroadcastJson {
        BroadcastJson::new(app, record, &self.given.node, self.now_ms())
    }
}

impl ListQuery {
    /// Nothing to sort, nothing to search.
    fn is_plain(&self) -> bool {
        let unset = |value: &Option<String>| value.as_deref().is_none_or(str::is_empty);
        unset(&self.sort_by) && unset(&self.search)
    }

    /// False when only kinds are wanted that this version has none of (cameras, pulled sources, recordings).
    fn wants_streams(&self) -> bool {
        let kind = self.type_by.as_deref().unwrap_or_default();
        kind.is_empty() || kind == "liveStream"
    }

    /// The records that match, sorted. An unknown `sort_by` keeps the order of ids, as in Ant Media.
    fn apply<'a>(&self, all: &'a [Broadcast], now_ms: i64) -> Vec<&'a Broadcast> {
        let search = self.search.as_deref().unwrap_or_default().to_lowercase();
        let mut records: Vec<_> = all.iter().filter(|r| matches(r, &search)).collect();
        match self.sort_by.as_deref().unwrap_or_default() {
            "name" => records.sort_by_key(|r| r.name.as_deref().unwrap_or(&r.stream_id)),
            "date" => records.sort_by_key(|r| r.date),
            "status" => records.sort_by_key(|r| status_name(r.status_at(now_ms))),
            _ => {}
        }
        if self.order_by.as_deref() == Some("desc") {
            records.reverse();
        }
        records
    }
}

/// True when id or name holds `search`, which is in lower case.
fn matches(record: &Broadcast, search: &str) -> bool {
    let holds = |text: &str| text.to_lowercase().contains(search);
    search.is_empty() || holds(&record.stream_id) || record.name.as_deref().is_some_and(holds)
}
