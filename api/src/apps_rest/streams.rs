//! Streams by id: make, read, change.

use super::body::{Body, Items};
use super::broadcast::{self, Broadcast, BroadcastBody};
use super::params::OfStream;
use crate::error::ApiError;
use crate::extract::{UrlPath, UrlQuery};
use crate::openapi::{NoSuchRecord, Refusals};
use crate::state::{Shared, bounded};
use crate::wire::ResultJson;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::Deserialize;
use std::sync::Arc;
use weir_cluster::{AppName, Fields, Kind, Place, StreamId, StreamKey};

/// Random letters and digits at the start of an id made here, as in Ant Media.
const RANDOM_CHARS: usize = 16;

/// How a stream is made.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct CreateQuery {
    /// Starts to pull a stream source at once.
    auto_start: bool,
}

/// What becomes of ids that are taken.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct CreateListQuery {
    /// `skip` or `overwrite`; without it, nothing is made when one is taken.
    on_duplicate: Option<String>,
}

/// `POST /broadcasts/create`: a new stream; its id is made when none is given.
#[utoipa::path(post, path = "/{app}/rest/v2/broadcasts/create", tag = "broadcasts", params(CreateQuery),
    request_body = Option<BroadcastBody>,
    responses((status = 200, body = Created, description = "The stream; a Result with autoStart"), Refusals))]
pub(crate) async fn create(
    State(shared): State<Arc<Shared>>,
    UrlPath(app): UrlPath<String>,
    UrlQuery(query): UrlQuery<CreateQuery>,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let app = &shared.app(&app)?;
    if query.auto_start {
        let pulled = matches!(
            broadcast::text(&body, "type"),
            Some("ipCamera" | "streamSource")
        );
        return Ok(ResultJson::failed(if pulled {
            "nothing was created: stream sources are not pulled in this version".to_owned()
        } else {
            "nothing was created: autoStart needs a stream of type ipCamera or streamSource"
                .to_owned()
        })
        .into_response());
    }
    match shared.make(app, &body).await? {
        Made::New(record) => Ok(Json(shared.view(app, &record)).into_response()),
        Made::Taken(id) => Err(ApiError::Invalid(format!(
            "Stream id is already being used: {id}"
        ))),
    }
}

/// What making a stream is answered with.
#[derive(utoipa::ToSchema)]
#[schema(as = Created)]
#[serde(untagged)]
#[expect(
    dead_code,
    reason = "only its description is used, in the OpenAPI document"
)]
pub(crate) enum Created {
    Stream(Broadcast),
    Told(ResultJson),
}

/// `POST /broadcasts/create-list`: many at once; an answer for each, in their order.
#[utoipa::path(post, path = "/{app}/rest/v2/broadcasts/create-list", tag = "broadcasts", params(CreateListQuery),
    request_body = Vec<BroadcastBody>, responses((status = 200, body = Vec<ResultJson>), Refusals))]
pub(crate) async fn create_list(
    State(shared): State<Arc<Shared>>,
    UrlPath(app): UrlPath<String>,
    UrlQuery(query): UrlQuery<CreateListQuery>,
    Items(bodies): Items,
) -> Result<Json<Vec<ResultJson>>, ApiError> {
    let app = &shared.app(&app)?;
    let overwrite = match query.on_duplicate.as_deref() {
        None => {
            shared.refuse_taken(app, &bodies).await?;
            false
        }
        Some("skip") => false,
        Some("overwrite") => true,
        Some(_) => {
            let words = "onDuplicate must be skip or overwrite";
            return Err(ApiError::Invalid(words.to_owned()));
        }
    };
    let mut answers = Vec::with_capacity(bodies.len());
    for body in &bodies {
        answers.push(match shared.make(app, body).await {
            Ok(Made::New(record)) => ResultJson::done("created")
                .about(broadcast::text(&record, "streamId").unwrap_or_default()),
            Ok(Made::Taken(id)) if overwrite => shared.overwrite(app, &id, body).await,
            Ok(Made::Taken(id)) => ResultJson::done("skipped").about(&id),
            Err(error) => ResultJson::failed(format!("failed: {error}")),
        });
    }
    Ok(Json(answers))
}

/// `GET /broadcasts/{id}`: the record; 404 without a body when there is none, as in Ant Media.
#[utoipa::path(get, path = "/{app}/rest/v2/broadcasts/{id}", tag = "broadcasts", params(OfStream),
    responses((status = 200, body = Broadcast), Refusals, NoSuchRecord))]
pub(crate) async fn one(
    State(shared): State<Arc<Shared>>,
    UrlPath((app, id)): UrlPath<(String, String)>,
) -> Result<Response, ApiError> {
    let app = &shared.app(&app)?;
    Ok(match shared.record(app, &id).await? {
        Some(record) => Json(shared.view(app, &record)).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    })
}

/// `PUT /broadcasts/{id}`: sets what the body says; nulls and what is not the client's change nothing.
#[utoipa::path(put, path = "/{app}/rest/v2/broadcasts/{id}", tag = "broadcasts", params(OfStream),
    request_body = BroadcastBody, responses((status = 200, body = ResultJson), Refusals))]
pub(crate) async fn update(
    State(shared): State<Arc<Shared>>,
    UrlPath((app, id)): UrlPath<(String, String)>,
    Body(body): Body,
) -> Result<ResultJson, ApiError> {
    let app = &shared.app(&app)?;
    let Some(record) = shared.record(app, &id).await? else {
        return Ok(no_stream(&id));
    };
    let set = broadcast::changes(&record, &body)?;
    if set.is_empty() {
        return Ok(ResultJson::done("nothing to change"));
    }
    let place = Place::in_app(Kind::Broadcast, app, [&id]);
    Ok(
        match bounded(shared.given.store.patch(&place, set)).await? {
            Some(_) => ResultJson::ok(),
            None => no_stream(&id),
        },
    )
}

/// What became of a record to make.
enum Made {
    New(Fields),
    Taken(String),
}

impl Shared {
    /// A stream's record as it is answered.
    pub(crate) fn view(&self, app: &AppName, record: &Fields) -> Broadcast {
        Broadcast::new(app, record, &self.given.node, self.judged_ms())
    }

    /// A stream's record. An id that cannot be is unknown, not wrong: Ant Media's clients ask for any text.
    pub(crate) async fn record(&self, app: &AppName, id: &str) -> Result<Option<Fields>, ApiError> {
        if StreamId::parse(id).is_err() {
            return Ok(None);
        }
        let place = Place::in_app(Kind::Broadcast, app, [id]);
        bounded(self.given.store.get(&place)).await
    }

    async fn make(&self, app: &AppName, body: &Fields) -> Result<Made, ApiError> {
        let id = match asked_id(body)? {
            Some(id) => id.as_str().to_owned(),
            None => made_id(self.now_ms())?,
        };
        let record = broadcast::born(body, &id, self.now_ms())?;
        let place = Place::in_app(Kind::Broadcast, app, [&id]);
        let new = bounded(self.given.store.insert(&place, record.clone())).await?;
        Ok(if new {
            Made::New(record)
        } else {
            Made::Taken(id)
        })
    }

    /// Sets all that a client may say of a record; what its owner says stays.
    async fn overwrite(&self, app: &AppName, id: &str, body: &Fields) -> ResultJson {
        let place = Place::in_app(Kind::Broadcast, app, [id]);
        let written = async {
            let set = broadcast::replaced(body)?;
            bounded(self.given.store.patch(&place, set)).await
        };
        match written.await {
            Ok(Some(_)) => ResultJson::done("overridden").about(id),
            Ok(None) => {
                ResultJson::failed("failed: the stream was deleted meanwhile".to_owned()).about(id)
            }
            Err(error) => ResultJson::failed(format!("failed: {error}")).about(id),
        }
    }

    /// Refuses a list in which an id cannot be, is taken, or comes twice, and names them.
    async fn refuse_taken(&self, app: &AppName, bodies: &[Fields]) -> Result<(), ApiError> {
        let mut ids = Vec::new();
        let mut taken = Vec::new();
        for body in bodies {
            let Some(id) = asked_id(body)? else { continue };
            let id = id.as_str().to_owned();
            if ids.contains(&id) || self.record(app, &id).await?.is_some() {
                taken.push(id);
            } else {
                ids.push(id);
            }
        }
        if taken.is_empty() {
            return Ok(());
        }
        Err(ApiError::Invalid(format!(
            "nothing was created; stream ids already being used: {}",
            taken.join(", ")
        )))
    }

    /// The stream's key, when its id can be.
    pub(crate) fn stream(&self, app: &AppName, id: &str) -> Option<StreamKey> {
        let id = StreamId::parse(id).ok()?;
        let app = app.clone();
        Some(StreamKey { app, id })
    }
}

/// The answer about a stream that is not there.
pub(crate) fn no_stream(id: &str) -> ResultJson {
    let shown: String = id.chars().take(128).collect();
    ResultJson::failed(format!("no stream {shown:?}"))
}

fn asked_id(body: &Fields) -> Result<Option<StreamId>, ApiError> {
    let given = body.get("streamId").filter(|id| !id.is_null());
    let Some(given) = given else { return Ok(None) };
    let Some(id) = given.as_str() else {
        let words = "streamId: something else was given; it must be a text";
        return Err(ApiError::Invalid(words.to_owned()));
    };
    match id.trim() {
        "" => Ok(None),
        id => StreamId::parse(id)
            .map(Some)
            .map_err(|error| ApiError::Invalid(format!("Stream id is not valid: {error}"))),
    }
}

/// Letters and digits nobody can guess, then the time in ns, as Ant Media makes its ids.
fn made_id(now_ms: i64) -> Result<String, ApiError> {
    let nanos = random_number(1_000_000)?;
    Ok(format!(
        "{}{}",
        random_text(RANDOM_CHARS)?,
        now_ms.saturating_mul(1_000_000).saturating_add(nanos)
    ))
}

/// `chars` letters and digits nobody can guess.
pub(crate) fn random_text(chars: usize) -> Result<String, ApiError> {
    const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut text = String::with_capacity(chars);
    while text.len() < chars {
        for byte in random_bytes::<64>()? {
            // Whole turns of the alphabet only, so that no letter comes more often than another.
            if byte < 248 && text.len() < chars {
                text.push(char::from(ALPHABET[usize::from(byte % 62)]));
            }
        }
    }
    Ok(text)
}

fn random_number(below: u32) -> Result<i64, ApiError> {
    Ok(i64::from(u32::from_le_bytes(random_bytes::<4>()?) % below))
}

fn random_bytes<const N: usize>() -> Result<[u8; N], ApiError> {
    let mut bytes = [0; N];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| ApiError::Store("the system gives no random numbers".to_owned()))?;
    Ok(bytes)
}
