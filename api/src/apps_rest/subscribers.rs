//! Subscribers: who may play or publish one stream, their codes, and when they came and went.

use super::body::Body;
use super::broadcast::text;
use super::params::{OfStream, OfSubscriber};
use super::shape::{self, By, Misfit};
use super::tables::{CONNECTION_EVENT, SUBSCRIBER, SUBSCRIBER_TYPES};
use super::totp;
use crate::error::ApiError;
use crate::extract::{Page, PageParams, UrlPath, UrlQuery};
use crate::openapi::Refusals;
use crate::state::{Shared, bounded};
use crate::wire::ResultJson;
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use weir_cluster::records::Order;
use weir_cluster::{AppName, Fields, Kind, Place, Query, StreamId};

/// Longer than this is a subscriber's id, as in Ant Media.
const ID_CHARS_MIN: usize = 4;
/// The longest id of a subscriber, bytes.
const ID_BYTES_MAX: usize = 256;
/// The longest time somebody is blocked, s: a hundred years.
const BLOCK_S_MAX: i64 = 100 * 366 * 24 * 3600;

/// A subscriber as it is answered.
#[derive(Serialize)]
#[serde(transparent)]
pub(crate) struct Subscriber(Fields);

/// What a client may say of a subscriber.
pub(crate) struct SubscriberBody;

/// A subscriber came or went.
#[derive(Serialize)]
#[serde(transparent)]
pub(crate) struct ConnectionEvent(Fields);

shape::described!(Subscriber, SUBSCRIBER, Answer);

shape::described!(SubscriberBody, SUBSCRIBER, Body);

shape::described!(ConnectionEvent, CONNECTION_EVENT, Answer);

/// For what a code is.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub(crate) struct TotpQuery {
    /// `play` or `publish`.
    r#type: Option<String>,
}

/// Whose events.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct EventsQuery {
    /// Of one subscriber only.
    subscriber_id: Option<String>,
}

/// `POST /broadcasts/{id}/subscribers`: adds one, or changes the one by that id.
#[utoipa::path(post, path = "/{app}/rest/v2/broadcasts/{id}/subscribers", tag = "subscribers", params(OfStream),
    request_body = SubscriberBody, responses((status = 200, body = ResultJson), Refusals))]
pub(crate) async fn add(
    State(shared): State<Arc<Shared>>,
    UrlPath((app, id)): UrlPath<(String, String)>,
    Body(body): Body,
) -> Result<ResultJson, ApiError> {
    let app = &shared.app(&app)?;
    let (sid, mut fields) = checked(&id, &body)?;
    fields.remove("subscriberId");
    let place = Place::in_app(Kind::Subscriber, app, [&id, &sid]);
    let there = bounded(shared.given.store.get(&place)).await?.is_some();
    if there {
        // Somebody who deletes it meanwhile has the last word.
        bounded(shared.given.store.patch(&place, fields)).await?;
        return Ok(ResultJson::done("changed").about(&sid));
    }
    for field in SUBSCRIBER {
        let value = fields
            .remove(field.name)
            .unwrap_or_else(|| field.default.value());
        fields.insert(field.name.to_owned(), value);
    }
    fields.insert("streamId".to_owned(), id.into());
    fields.insert("subscriberId".to_owned(), sid.as_str().into());
    let new = bounded(shared.given.store.insert(&place, fields)).await?;
    Ok(ResultJson::done(if new {
        "added"
    } else {
        "added by somebody else meanwhile"
    })
    .about(&sid))
}

/// `GET /broadcasts/{id}/subscribers/list/{offset}/{size}`.
#[utoipa::path(get, path = "/{app}/rest/v2/broadcasts/{id}/subscribers/list/{offset}/{size}", tag = "subscribers",
    params(OfStream, PageParams), responses((status = 200, body = Vec<Subscriber>), Refusals))]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    UrlPath((app, id, offset, size)): UrlPath<(String, String, String, String)>,
) -> Result<Json<Vec<Subscriber>>, ApiError> {
    let app = &shared.app(&app)?;
    let page = Page::parse(&offset, &size)?;
    let records = shared.records_of(of_stream(app, &id), page).await?;
    let view = |record| Subscriber(shape::filled(SUBSCRIBER, record));
    Ok(Json(records.iter().map(view).collect()))
}

/// `DELETE /broadcasts/{id}/subscribers/{sid}`.
#[utoipa::path(delete, path = "/{app}/rest/v2/broadcasts/{id}/subscribers/{sid}", tag = "subscribers",
    params(OfSubscriber), responses((status = 200, body = ResultJson), Refusals))]
pub(crate) async fn delete(
    State(shared): State<Arc<Shared>>,
    UrlPath((app, id, sid)): UrlPath<(String, String, String)>,
) -> Result<ResultJson, ApiError> {
    let app = &shared.app(&app)?;
    let place = Place::in_app(Kind::Subscriber, app, [&id, &sid]);
    Ok(match bounded(shared.given.store.delete(&place)).await? {
        true => ResultJson::ok().about(&sid),
        false => ResultJson::failed("no such subscriber of this stream".to_owned()).about(&sid),
    })
}

/// `DELETE /broadcasts/{id}/subscribers`: all of a stream's.
#[utoipa::path(delete, path = "/{app}/rest/v2/broadcasts/{id}/subscribers", tag = "subscribers", params(OfStream),
    responses((status = 200, body = ResultJson), Refusals))]
pub(crate) async fn delete_all(
    State(shared): State<Arc<Shared>>,
    UrlPath((app, id)): UrlPath<(String, String)>,
) -> Result<ResultJson, ApiError> {
    let app = &shared.app(&app)?;
    let query = of_stream(app, &id);
    let number = bounded(shared.given.store.delete_matching(&query)).await?;
    Ok(ResultJson::done(&format!("{number} subscribers deleted")))
}

/// `GET /broadcasts/{id}/subscribers/{sid}/totp`: the code of this moment, in `dataId`.
#[utoipa::path(get, path = "/{app}/rest/v2/broadcasts/{id}/subscribers/{sid}/totp", tag = "subscribers",
    params(OfSubscriber, TotpQuery), responses((status = 200, body = ResultJson), Refusals))]
pub(crate) async fn totp_code(
    State(shared): State<Arc<Shared>>,
    UrlPath((app, id, sid)): UrlPath<(String, String, String)>,
    UrlQuery(query): UrlQuery<TotpQuery>,
) -> Result<ResultJson, ApiError> {
    let app = &shared.app(&app)?;
    let place = Place::in_app(Kind::Subscriber, app, [&id, &sid]);
    let registered = bounded(shared.given.store.get(&place)).await?;
    let keys = shared.app_keys(app);
    let kind = query.r#type.unwrap_or_default();
    let code = totp::code(
        registered.as_ref(),
        &keys,
        (&id, &sid, &kind),
        shared.now_ms(),
    );
    Ok(match code {
        Some(code) => ResultJson::ok().about(&code),
        None => ResultJson::failed(
            "there is no secret to make a code from: the subscriber has no b32Secret, and the application no \
             timeTokenSecretForPlay or timeTokenSecretForPublish for this type"
                .to_owned(),
        ),
    })
}

/// `PUT /broadcasts/{id}/subscribers/{sid}/block/{seconds}/{type}`: keeps somebody out; 0 s ends that.
#[utoipa::path(put, path = "/{app}/rest/v2/broadcasts/{id}/subscribers/{sid}/block/{seconds}/{type}",
    tag = "subscribers",
    params(OfSubscriber, ("seconds" = u64, Path, description = "How long; 0 = no longer"),
        ("type" = String, Path, description = "publish, play or publish_play")),
    responses((status = 200, body = ResultJson), Refusals))]
pub(crate) async fn block(
    State(shared): State<Arc<Shared>>,
    UrlPath((app, id, sid, seconds, kind)): UrlPath<(String, String, String, String, String)>,
) -> Result<ResultJson, ApiError> {
    let app = &shared.app(&app)?;
    let seconds = seconds
        .parse()
        .ok()
        .filter(|s| (0..=BLOCK_S_MAX).contains(s));
    let Some(seconds) = seconds else {
        return Err(ApiError::Invalid(format!(
            "seconds: it must be a whole number from 0 to {BLOCK_S_MAX}"
        )));
    };
    if !SUBSCRIBER_TYPES.contains(&kind.as_str()) {
        let names = SUBSCRIBER_TYPES.join(", ");
        return Err(ApiError::Invalid(format!(
            "type: it must be one of {names}"
        )));
    }
    let (kind, until_ms) = if seconds == 0 {
        (Value::Null, 0)
    } else {
        (kind.into(), shared.now_ms().saturating_add(seconds * 1000))
    };
    let set = Fields::from_iter([
        ("blockedType".to_owned(), kind),
        ("blockedUntilUnitTimeStampMs".to_owned(), until_ms.into()),
    ]);
    let place = Place::in_app(Kind::Subscriber, app, [&id, &sid]);
    Ok(
        match bounded(shared.given.store.patch(&place, set)).await? {
            Some(_) => ResultJson::ok().about(&sid),
            None => ResultJson::failed("no such subscriber of this stream".to_owned()).about(&sid),
        },
    )
}

/// `GET /broadcasts/{id}/connection-events/{offset}/{size}`: newest last.
#[utoipa::path(get, path = "/{app}/rest/v2/broadcasts/{id}/connection-events/{offset}/{size}", tag = "subscribers",
    params(OfStream, PageParams, EventsQuery),
    responses((status = 200, body = Vec<ConnectionEvent>), Refusals))]
pub(crate) async fn events(
    State(shared): State<Arc<Shared>>,
    UrlPath((app, id, offset, size)): UrlPath<(String, String, String, String)>,
    UrlQuery(query): UrlQuery<EventsQuery>,
) -> Result<Json<Vec<ConnectionEvent>>, ApiError> {
    let app = &shared.app(&app)?;
    let page = Page::parse(&offset, &size)?;
    let mut wanted = Query::all(Kind::ConnectionEvent, Some(app.clone()));
    wanted.equals = vec![("streamId", id.into())];
    if let Some(subscriber) = query.subscriber_id.filter(|id| !id.is_empty()) {
        wanted.equals.push(("subscriberId", subscriber.into()));
    }
    wanted.sort = Some(("timestamp", Order::Ascending));
    let records = shared.records_of(wanted, page).await?;
    let view = |record| ConnectionEvent(shape::filled(CONNECTION_EVENT, record));
    Ok(Json(records.iter().map(view).collect()))
}

fn of_stream(app: &AppName, id: &str) -> Query {
    let mut query = Query::all(Kind::Subscriber, Some(app.clone()));
    query.equals = vec![("streamId", id.into())];
    query
}

/// The id and what is said of a subscriber.
fn checked(stream: &str, body: &Fields) -> Result<(String, Fields), ApiError> {
    StreamId::parse(stream)
        .map_err(|error| ApiError::Invalid(format!("Stream id is not valid: {error}")))?;
    let fields = shape::given(SUBSCRIBER, body, &[By::Client])?;
    let sid = text(&fields, "subscriberId").unwrap_or_default().to_owned();
    let good = sid.chars().count() >= ID_CHARS_MIN
        && sid.len() <= ID_BYTES_MAX
        && !sid.contains(char::is_control);
    if !good {
        return Err(Misfit {
            field: "subscriberId".to_owned(),
            found: format!("a text of {} bytes", sid.len()),
            expected: format!(
                "a text of {ID_CHARS_MIN} characters or more, {ID_BYTES_MAX} bytes at most"
            ),
        }
        .into());
    }
    let secret = text(&fields, "b32Secret").filter(|secret| !secret.is_empty());
    if secret.is_some_and(|secret| totp::decoded(secret).is_none()) {
        return Err(Misfit {
            field: "b32Secret".to_owned(),
            found: "something else".to_owned(),
            expected: "base32, its length a multiple of 8".to_owned(),
        }
        .into());
    }
    Ok((sid, fields))
}
