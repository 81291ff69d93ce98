//! `/{app}/rest/v2/vods/…`: recordings. Deleting one deletes its file, then its record.

use super::body::Texts;
use super::broadcast::text;
use super::ending::{IdsQuery, about_many};
use super::lists::{order, searched};
use super::params::{OfSearch, OfStream};
use super::shape::{self};
use super::tables::VOD;
use crate::error::ApiError;
use crate::extract::{Page, PageParams, UrlPath, UrlQuery};
use crate::openapi::{NoSuchRecord, Refusals};
use crate::state::{Shared, bounded};
use crate::wire::{ResultJson, SimpleStat};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use weir_cluster::{AppName, Fields, Kind, Place, Query};

/// Fields that a search looks into.
const SEARCHED: &[&str] = &["vodId", "vodName", "streamName", "streamId"];

/// Fields that name a recording's files.
const FILES: [(&str, &str); 2] = [("filePath", "file"), ("previewFilePath", "preview")];

/// A recording as it is answered.
#[derive(Serialize)]
#[serde(transparent)]
pub(crate) struct Vod(Fields);

impl Vod {
    fn new(record: &Fields) -> Self {
        let mut fields = shape::filled(VOD, record);
        let known = |name: &str| VOD.iter().any(|field| field.name == name) || name == "dbId";
        fields.extend(shape::unknown(known, record));
        Self(fields)
    }
}

shape::described!(Vod, VOD, Answer);

/// `sort_by`, `order_by`, `streamId`, `search` of a list.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct VodsQuery {
    /// `name` or `date`; anything else is the order of ids.
    sort_by: Option<String>,
    /// `asc` or `desc`.
    order_by: Option<String>,
    /// Of one stream only.
    #[serde(rename = "streamId")]
    #[param(rename = "streamId")]
    stream_id: Option<String>,
    /// Part of an id or a name.
    search: Option<String>,
}

/// `GET /vods/{id}`: the record; 404 without a body when there is none.
#[utoipa::path(get, path = "/{app}/rest/v2/vods/{id}", tag = "vods", params(OfStream),
    responses((status = 200, body = Vod), Refusals, NoSuchRecord))]
pub(crate) async fn one(
    State(shared): State<Arc<Shared>>,
    UrlPath((app, id)): UrlPath<(String, String)>,
) -> Result<Response, ApiError> {
    let app = &shared.app(&app)?;
    let place = Place::in_app(Kind::Vod, app, [&id]);
    Ok(match bounded(shared.given.store.get(&place)).await? {
        Some(record) => Json(Vod::new(&record)).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    })
}

/// `GET /vods/list/{offset}/{size}`.
#[utoipa::path(get, path = "/{app}/rest/v2/vods/list/{offset}/{size}", tag = "vods", params(PageParams, VodsQuery),
    responses((status = 200, body = Vec<Vod>), Refusals))]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    UrlPath((app, offset, size)): UrlPath<(String, String, String)>,
    UrlQuery(asked): UrlQuery<VodsQuery>,
) -> Result<Json<Vec<Vod>>, ApiError> {
    let app = &shared.app(&app)?;
    let page = Page::parse(&offset, &size)?;
    let mut query = Query::all(Kind::Vod, Some(app.clone()));
    if let Some(stream) = asked.stream_id.filter(|id| !id.is_empty()) {
        query.equals.push(("streamId", stream.into()));
    }
    query.contains = searched(asked.search.as_deref(), SEARCHED);
    let by = match asked.sort_by.as_deref() {
        Some("name") => Some("vodName"),
        Some("date") => Some("creationDate"),
        _ => None,
    };
    query.sort = by.map(|field| (field, order(asked.order_by.as_deref())));
    let records = shared.records_of(query, page).await?;
    Ok(Json(records.iter().map(Vod::new).collect()))
}

/// `GET /vods/count`.
#[utoipa::path(get, path = "/{app}/rest/v2/vods/count", tag = "vods",
    responses((status = 200, body = SimpleStat), Refusals))]
pub(crate) async fn count(
    State(shared): State<Arc<Shared>>,
    UrlPath(app): UrlPath<String>,
) -> Result<Json<SimpleStat>, ApiError> {
    let app = &shared.app(&app)?;
    let query = Query::all(Kind::Vod, Some(app.clone()));
    shared.count(&query).await.map(Json)
}

/// `GET /vods/count/{search}`.
#[utoipa::path(get, path = "/{app}/rest/v2/vods/count/{search}", tag = "vods", params(OfSearch),
    responses((status = 200, body = SimpleStat), Refusals))]
pub(crate) async fn count_matching(
    State(shared): State<Arc<Shared>>,
    UrlPath((app, search)): UrlPath<(String, String)>,
) -> Result<Json<SimpleStat>, ApiError> {
    let app = &shared.app(&app)?;
    let mut query = Query::all(Kind::Vod, Some(app.clone()));
    query.contains = Some((search, SEARCHED));
    shared.count(&query).await.map(Json)
}

/// `DELETE /vods/{id}`.
#[utoipa::path(delete, path = "/{app}/rest/v2/vods/{id}", tag = "vods", params(OfStream),
    responses((status = 200, body = ResultJson), Refusals))]
pub(crate) async fn delete(
    State(shared): State<Arc<Shared>>,
    UrlPath((app, id)): UrlPath<(String, String)>,
) -> Result<ResultJson, ApiError> {
    let app = &shared.app(&app)?;
    let mut remarks = Vec::new();
    if shared.remove_vod(app, &id, &mut remarks).await? {
        return Ok(ResultJson::ok().about(&id).with_remarks(&remarks));
    }
    let shown: String = id.chars().take(128).collect();
    Ok(ResultJson::failed(format!("no recording {shown:?}")))
}

/// `DELETE /vods/?ids=a,b`: deletes many.
#[utoipa::path(delete, path = "/{app}/rest/v2/vods/", tag = "vods", params(IdsQuery),
    request_body = Option<Vec<String>>, responses((status = 200, body = ResultJson), Refusals))]
pub(crate) async fn delete_many(
    State(shared): State<Arc<Shared>>,
    UrlPath(app): UrlPath<String>,
    UrlQuery(query): UrlQuery<IdsQuery>,
    Texts(listed): Texts,
) -> Result<ResultJson, ApiError> {
    let app = &shared.app(&app)?;
    let mut remarks = Vec::new();
    let mut unknown = Vec::new();
    for id in query.all(listed)? {
        if !shared.remove_vod(app, &id, &mut remarks).await? {
            unknown.push(id);
        }
    }
    Ok(about_many(&unknown).with_remarks(&remarks))
}

impl Shared {
    /// Deletes a recording's file and record; says whether there was one. A file that stays is remarked upon, and
    /// keeps nobody from forgetting the record, as in Ant Media.
    async fn remove_vod(
        &self,
        app: &AppName,
        id: &str,
        remarks: &mut Vec<String>,
    ) -> Result<bool, ApiError> {
        let place = Place::in_app(Kind::Vod, app, [id]);
        let Some(record) = bounded(self.given.store.get(&place)).await? else {
            return Ok(false);
        };
        for (field, what) in FILES {
            if let Some(path) = text(&record, field).filter(|path| !path.is_empty())
                && let Err(reason) = self.given.rooms.media.remove(app, path).await
            {
                remarks.push(format!("the {what} of {id} was not removed: {reason}"));
            }
        }
        bounded(self.given.store.delete(&place)).await
    }
}
