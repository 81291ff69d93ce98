//! Streams by the many: lists and counts.
//!
//! The store selects, sorts and counts. A live stream whose owner went silent still says so in its record; counts of
//! live streams leave those out ([`Shared::live_count`]).

use super::broadcast::{self, Broadcast};
use super::params::OfSearch;
use crate::error::ApiError;
use crate::extract::{Page, PageParams, UrlPath, UrlQuery};
use crate::openapi::Refusals;
use crate::state::{Shared, bounded};
use crate::wire::SimpleStat;
use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use weir_cluster::records::{LIST_MAX, Order};
use weir_cluster::{AppName, Kind, Query};

/// Fields that a search looks into.
const SEARCHED: &[&str] = &["streamId", "name"];
/// The most records of silent owners that one count goes through.
const SILENT_MAX: usize = 40 * LIST_MAX;
/// Beyond this nobody has records.
const OFFSET_MAX: usize = 1_000_000_000;

/// `sort_by`, `order_by`, `type_by`, `search` of a list.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// `name`, `date` or `status`; anything else is the order of ids.
    sort_by: Option<String>,
    /// `asc` or `desc`.
    order_by: Option<String>,
    /// `liveStream`, `ipCamera`, `streamSource`, `VoD` or `playlist`.
    type_by: Option<String>,
    /// Part of an id or a name.
    search: Option<String>,
}

/// `GET /broadcasts/list/{offset}/{size}`: in id order, or as the query says.
#[utoipa::path(get, path = "/{app}/rest/v2/broadcasts/list/{offset}/{size}", tag = "broadcasts",
    params(PageParams, ListQuery), responses((status = 200, body = Vec<Broadcast>), Refusals))]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    UrlPath((app, offset, size)): UrlPath<(String, String, String)>,
    UrlQuery(query): UrlQuery<ListQuery>,
) -> Result<Json<Vec<Broadcast>>, ApiError> {
    let app = &shared.app(&app)?;
    let page = Page::parse(&offset, &size)?;
    let query = query.to_store(app);
    shared.streams(app, query, page).await.map(Json)
}

/// `GET /broadcasts/count`: all records.
#[utoipa::path(get, path = "/{app}/rest/v2/broadcasts/count", tag = "broadcasts",
    responses((status = 200, body = SimpleStat), Refusals))]
pub(crate) async fn count(
    State(shared): State<Arc<Shared>>,
    UrlPath(app): UrlPath<String>,
) -> Result<Json<SimpleStat>, ApiError> {
    let app = &shared.app(&app)?;
    let query = Query::all(Kind::Broadcast, Some(app.clone()));
    shared.count(&query).await.map(Json)
}

/// `GET /broadcasts/count/{search}`: records that match.
#[utoipa::path(get, path = "/{app}/rest/v2/broadcasts/count/{search}", tag = "broadcasts", params(OfSearch),
    responses((status = 200, body = SimpleStat), Refusals))]
pub(crate) async fn count_matching(
    State(shared): State<Arc<Shared>>,
    UrlPath((app, search)): UrlPath<(String, String)>,
) -> Result<Json<SimpleStat>, ApiError> {
    let app = &shared.app(&app)?;
    let mut query = Query::all(Kind::Broadcast, Some(app.clone()));
    query.contains = Some((search, SEARCHED));
    shared.count(&query).await.map(Json)
}

/// `GET /broadcasts/active-live-stream-count`: those that are live now.
#[utoipa::path(get, path = "/{app}/rest/v2/broadcasts/active-live-stream-count", tag = "broadcasts",
    responses((status = 200, body = SimpleStat), Refusals))]
pub(crate) async fn count_live(
    State(shared): State<Arc<Shared>>,
    UrlPath(app): UrlPath<String>,
) -> Result<Json<SimpleStat>, ApiError> {
    let app = &shared.app(&app)?;
    let number = shared.live_count(app, Vec::new()).await?;
    Ok(Json(SimpleStat::of(number)))
}

impl Shared {
    /// A page of streams.
    pub(crate) async fn streams(
        &self,
        app: &AppName,
        query: Query,
        page: Page,
    ) -> Result<Vec<Broadcast>, ApiError> {
        let records = self.records_of(query, page).await?;
        Ok(records
            .iter()
            .map(|record| self.view(app, record))
            .collect())
    }

    /// A page of records.
    pub(crate) async fn records_of(
        &self,
        mut query: Query,
        page: Page,
    ) -> Result<Vec<weir_cluster::Fields>, ApiError> {
        if page.size == 0 || page.offset > OFFSET_MAX {
            return Ok(Vec::new());
        }
        query.offset = page.offset;
        query.size = page.size;
        bounded(self.given.store.list(&query)).await
    }

    pub(crate) async fn count(&self, query: &Query) -> Result<SimpleStat, ApiError> {
        let number = bounded(self.given.store.count(query)).await?;
        Ok(SimpleStat::of(
            usize::try_from(number).unwrap_or(usize::MAX),
        ))
    }

    /// How many streams that also are `equals` broadcast now: those whose record says so, less those whose owner
    /// has been silent too long. The silent are few, and come first in the order of their last report.
    pub(crate) async fn live_count(
        &self,
        app: &AppName,
        equals: Vec<(&'static str, Value)>,
    ) -> Result<usize, ApiError> {
        let mut query = Query::all(Kind::Broadcast, Some(app.clone()));
        query.equals = equals;
        query.equals.push(("status", json!("broadcasting")));
        let said = bounded(self.given.store.count(&query)).await?;
        query.sort = Some(("updateTime", Order::Ascending));
        let mut silent = 0;
        while silent < SILENT_MAX {
            query.offset = silent;
            let page = bounded(self.given.store.list(&query)).await?;
            let now_ms = self.judged_ms();
            let gone = page
                .iter()
                .filter(|r| !broadcast::is_live(r, now_ms))
                .count();
            silent += gone;
            if gone < LIST_MAX {
                break;
            }
        }
        Ok(usize::try_from(said)
            .unwrap_or(usize::MAX)
            .saturating_sub(silent))
    }
}

impl ListQuery {
    fn to_store(&self, app: &AppName) -> Query {
        let mut query = Query::all(Kind::Broadcast, Some(app.clone()));
        match self.type_by.as_deref().unwrap_or_default() {
            "" => {}
            // What publishing made says no type.
            "liveStream" => query.equals.push(("type", json!(["liveStream", null]))),
            kind => query.equals.push(("type", kind.into())),
        }
        query.contains = searched(self.search.as_deref(), SEARCHED);
        let by = match self.sort_by.as_deref().unwrap_or_default() {
            "name" => Some("name"),
            "date" => Some("date"),
            "status" => Some("status"),
            // Ids: the order there is, unless it is to be turned round.
            _ => (order(self.order_by.as_deref()) == Order::Descending).then_some("streamId"),
        };
        query.sort = by.map(|field| (field, order(self.order_by.as_deref())));
        query
    }
}

/// What `order_by` says; ascending unless it says otherwise.
pub(crate) fn order(order_by: Option<&str>) -> Order {
    if order_by == Some("desc") {
        Order::Descending
    } else {
        Order::Ascending
    }
}

/// A search in these fields, `None` for an empty one.
pub(crate) fn searched(
    text: Option<&str>,
    fields: &'static [&'static str],
) -> Option<(String, &'static [&'static str])> {
    let text = text.filter(|text| !text.is_empty())?;
    Some((text.to_owned(), fields))
}
