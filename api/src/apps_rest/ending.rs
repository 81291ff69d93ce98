//! Streams end: stop, delete; and start, which only pulled streams know.
//!
//! A live stream is stopped at its owner before its record is deleted: an owner that goes on would write the record
//! again. When the owner cannot be reached the record is deleted all the same, as in Ant Media, and the answer says
//! what that is worth.

use super::body::Texts;
use super::broadcast;
use super::carry::{Hop, Stop};
use super::params::OfStream;
use super::streams::no_stream;
use crate::error::ApiError;
use crate::extract::{UrlPath, UrlQuery};
use crate::openapi::Refusals;
use crate::state::{Shared, bounded};
use crate::wire::ResultJson;
use axum::extract::State;
use serde::Deserialize;
use std::sync::Arc;
use weir_cluster::records::LIST_MAX;
use weir_cluster::{AppName, Fields, Kind, Place, Query};

/// The most streams of one conference that are ended with it.
const SUBTRACKS_MAX: usize = 4 * LIST_MAX;

/// How a stream is deleted.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct DeleteQuery {
    /// Deletes its subtracks, too; unless it is false.
    delete_subtracks: Option<bool>,
}

/// How a stream is stopped.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct StopQuery {
    /// Stops its subtracks, too.
    stop_subtracks: Option<bool>,
}

/// Which streams are deleted.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub(crate) struct IdsQuery {
    /// Ids, with commas between them. A body that is a list of ids does the same.
    ids: Option<String>,
}

/// `DELETE /broadcasts/{id}`: stops it if it is live, and deletes its record.
#[utoipa::path(delete, path = "/{app}/rest/v2/broadcasts/{id}", tag = "broadcasts", params(OfStream, DeleteQuery),
    responses((status = 200, body = ResultJson), Refusals))]
pub(crate) async fn delete(
    State(shared): State<Arc<Shared>>,
    UrlPath((app, id)): UrlPath<(String, String)>,
    UrlQuery(query): UrlQuery<DeleteQuery>,
    hop: Hop,
) -> Result<ResultJson, ApiError> {
    let app = &shared.app(&app)?;
    let Some(record) = shared.record(app, &id).await? else {
        return Ok(no_stream(&id));
    };
    let mut remarks = Vec::new();
    if query.delete_subtracks.unwrap_or(true) {
        for track in shared.subtracks(app, &id).await? {
            shared.remove(app, &track, hop, &mut remarks).await?;
        }
    }
    shared.remove(app, &record, hop, &mut remarks).await?;
    Ok(ResultJson::ok().about(&id).with_remarks(&remarks))
}

/// `DELETE /broadcasts/?ids=a,b`: deletes many.
#[utoipa::path(delete, path = "/{app}/rest/v2/broadcasts/", tag = "broadcasts", params(IdsQuery),
    request_body = Option<Vec<String>>, responses((status = 200, body = ResultJson), Refusals))]
pub(crate) async fn delete_many(
    State(shared): State<Arc<Shared>>,
    UrlPath(app): UrlPath<String>,
    UrlQuery(query): UrlQuery<IdsQuery>,
    hop: Hop,
    Texts(listed): Texts,
) -> Result<ResultJson, ApiError> {
    let app = &shared.app(&app)?;
    let mut remarks = Vec::new();
    let mut unknown = Vec::new();
    for id in query.all(listed)? {
        match shared.record(app, &id).await? {
            Some(record) => shared.remove(app, &record, hop, &mut remarks).await?,
            None => unknown.push(id),
        }
    }
    Ok(about_many(&unknown).with_remarks(&remarks))
}

/// `POST /broadcasts/{id}/stop`: ends a live stream, whoever publishes it.
#[utoipa::path(post, path = "/{app}/rest/v2/broadcasts/{id}/stop", tag = "broadcasts", params(OfStream, StopQuery),
    responses((status = 200, body = ResultJson), Refusals))]
pub(crate) async fn stop(
    State(shared): State<Arc<Shared>>,
    UrlPath((app, id)): UrlPath<(String, String)>,
    UrlQuery(query): UrlQuery<StopQuery>,
    hop: Hop,
) -> Result<ResultJson, ApiError> {
    let app = &shared.app(&app)?;
    let (Some(key), Some(record)) = (shared.stream(app, &id), shared.record(app, &id).await?)
    else {
        return Ok(no_stream(&id));
    };
    let mut remarks = Vec::new();
    if query.stop_subtracks.unwrap_or(false) {
        for track in shared.subtracks(app, &id).await? {
            let track_id = broadcast::text(&track, "streamId").unwrap_or_default();
            if let Some(key) = shared.stream(app, track_id)
                && let Stop::GoesOn(reason) = shared.stop(&key, &track, hop).await
            {
                remarks.push(format!("{track_id} was not stopped: {reason}"));
            }
        }
    }
    let result = match shared.stop(&key, &record, hop).await {
        Stop::Stopped => ResultJson::ok(),
        Stop::Idle => ResultJson::failed("the stream is not live".to_owned()),
        Stop::GoesOn(reason) => ResultJson::failed(format!("the stream was not stopped: {reason}")),
    };
    Ok(result.about(&id).with_remarks(&remarks))
}

/// `POST /broadcasts/{id}/start`: pulled streams only, which this version does not have.
#[utoipa::path(post, path = "/{app}/rest/v2/broadcasts/{id}/start", tag = "broadcasts", params(OfStream),
    responses((status = 200, body = ResultJson), Refusals))]
pub(crate) async fn start(
    State(shared): State<Arc<Shared>>,
    UrlPath((app, id)): UrlPath<(String, String)>,
) -> Result<ResultJson, ApiError> {
    let app = &shared.app(&app)?;
    let Some(record) = shared.record(app, &id).await? else {
        return Ok(no_stream(&id));
    };
    let words = match broadcast::text(&record, "type").unwrap_or("liveStream") {
        "liveStream" => {
            "a liveStream starts when somebody publishes it; it cannot be started from here"
                .to_owned()
        }
        kind => format!("streams of type {kind} are not started in this version"),
    };
    Ok(ResultJson::failed(words))
}

impl Shared {
    /// Stops a stream and deletes its record.
    async fn remove(
        &self,
        app: &AppName,
        record: &Fields,
        hop: Hop,
        remarks: &mut Vec<String>,
    ) -> Result<(), ApiError> {
        let id = broadcast::text(record, "streamId").unwrap_or_default();
        if let Some(key) = self.stream(app, id)
            && let Stop::GoesOn(reason) = self.stop(&key, record, hop).await
        {
            remarks.push(format!(
                "{id} was deleted while live, and its owner may write it again: {reason}"
            ));
        }
        let place = Place::in_app(Kind::Broadcast, app, [id]);
        // A record that publishing made is gone with its stream.
        bounded(self.given.store.delete(&place)).await?;
        Ok(())
    }

    /// The records of a main track's subtracks.
    async fn subtracks(&self, app: &AppName, main: &str) -> Result<Vec<Fields>, ApiError> {
        let mut query = Query::all(Kind::Broadcast, Some(app.clone()));
        query.equals = vec![("mainTrackStreamId", main.into())];
        let mut tracks = Vec::new();
        while tracks.len() < SUBTRACKS_MAX {
            query.offset = tracks.len();
            let page = bounded(self.given.store.list(&query)).await?;
            let full = page.len() >= LIST_MAX;
            tracks.extend(page);
            if !full {
                break;
            }
        }
        Ok(tracks)
    }
}

impl IdsQuery {
    /// The ids of query and body.
    ///
    /// # Errors
    /// When there are none, or more than one call deletes.
    pub(crate) fn all(self, listed: Vec<String>) -> Result<Vec<String>, ApiError> {
        let asked = self.ids.unwrap_or_default();
        let asked = asked.split(',').map(|id| id.trim().to_owned());
        let mut ids: Vec<_> = asked.chain(listed).filter(|id| !id.is_empty()).collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.is_empty() || ids.len() > LIST_MAX {
            return Err(ApiError::Invalid(format!(
                "ids: {} were given; it must be 1 to {LIST_MAX} ids with commas between them",
                ids.len()
            )));
        }
        Ok(ids)
    }
}

/// The answer to a deletion of many, of which these did not exist.
pub(crate) fn about_many(unknown: &[String]) -> ResultJson {
    if unknown.is_empty() {
        return ResultJson::ok();
    }
    let shown: Vec<String> = unknown
        .iter()
        .map(|id| id.chars().take(128).collect())
        .collect();
    ResultJson::failed(format!(
        "not there, the others were deleted: {}",
        shown.join(", ")
    ))
}
