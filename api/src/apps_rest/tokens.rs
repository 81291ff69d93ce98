//! Tokens: one-time ones, kept in the store, and signed ones, kept nowhere.
//!
//! A one-time token is spent by whoever deletes it: of many who validate it at once, one is told that it was good.
//! A signed token is a JWT (HS256, `jwtStreamSecretKey`) with `streamId`, `type`, `exp` and, where given, `roomId`.

use super::body::Body;
use super::broadcast::{number, text};
use super::params::OfStream;
use super::shape::{self, By};
use super::streams::random_text;
use super::tables::{TOKEN, TOKEN_TYPES};
use crate::error::ApiError;
use crate::extract::{Page, PageParams, UrlPath, UrlQuery};
use crate::openapi::Refusals;
use crate::state::{Shared, bounded};
use crate::wire::ResultJson;
use axum::Json;
use axum::extract::State;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;
use weir_cluster::{Fields, Kind, Place, Query, StreamId};

/// Letters and digits of a one-time token.
const TOKEN_CHARS: usize = 32;

/// A token as it is answered.
#[derive(Serialize)]
#[serde(transparent)]
pub(crate) struct Token(Fields);

impl Token {
    fn new(record: &Fields) -> Self {
        Self(shape::filled(TOKEN, record))
    }
}

shape::described!(Token, TOKEN, Answer);

/// What a token is asked for.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct TokenQuery {
    /// Until when it is good, seconds since the Unix epoch.
    expire_date: Option<i64>,
    /// `play` or `publish`.
    r#type: Option<String>,
    /// The room, for conferences.
    room_id: Option<String>,
}

/// What a signed token says.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Claims<'a> {
    stream_id: &'a str,
    r#type: &'a str,
    exp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    room_id: Option<&'a str>,
}

/// `GET /broadcasts/{id}/token`: a new one-time token.
#[utoipa::path(get, path = "/{app}/rest/v2/broadcasts/{id}/token", tag = "tokens", params(OfStream, TokenQuery),
    responses((status = 200, body = Token), Refusals))]
pub(crate) async fn one_time(
    State(shared): State<Arc<Shared>>,
    UrlPath((app, id)): UrlPath<(String, String)>,
    UrlQuery(query): UrlQuery<TokenQuery>,
) -> Result<Json<Token>, ApiError> {
    let app = &shared.app(&app)?;
    let token = query.token(&id, random_text(TOKEN_CHARS)?)?;
    let place = Place::in_app(
        Kind::Token,
        app,
        [text(&token, "tokenId").unwrap_or_default()],
    );
    bounded(shared.given.store.insert(&place, token.clone())).await?;
    Ok(Json(Token::new(&token)))
}

/// `GET /broadcasts/{id}/jwt-token`: a signed token.
#[utoipa::path(get, path = "/{app}/rest/v2/broadcasts/{id}/jwt-token", tag = "tokens", params(OfStream, TokenQuery),
    responses((status = 200, body = Token), Refusals))]
pub(crate) async fn signed(
    State(shared): State<Arc<Shared>>,
    UrlPath((app, id)): UrlPath<(String, String)>,
    UrlQuery(query): UrlQuery<TokenQuery>,
) -> Result<Json<Token>, ApiError> {
    let app = &shared.app(&app)?;
    let mut token = query.token(&id, String::new())?;
    let keys = shared.app_keys(app);
    let Some(secret) = keys.jwt_stream_secret() else {
        let words = "Cannot create JWT token: the application has no jwtStreamSecretKey";
        return Err(ApiError::Invalid(words.to_owned()));
    };
    let claims = Claims {
        stream_id: &id,
        r#type: text(&token, "type").unwrap_or_default(),
        exp: number(&token, "expireDate"),
        room_id: text(&token, "roomId"),
    };
    let key = EncodingKey::from_secret(secret.as_bytes());
    let signed = encode(&Header::new(Algorithm::HS256), &claims, &key);
    let signed = signed.map_err(|_| ApiError::Invalid("Cannot create JWT token".to_owned()))?;
    token.insert("tokenId".to_owned(), signed.into());
    Ok(Json(Token::new(&token)))
}

/// `POST /broadcasts/validate-token`: whether a one-time token is good; then it is spent, unless it is of a room.
#[utoipa::path(post, path = "/{app}/rest/v2/broadcasts/validate-token", tag = "tokens", request_body = Token,
    responses((status = 200, body = ResultJson), Refusals))]
pub(crate) async fn validate(
    State(shared): State<Arc<Shared>>,
    UrlPath(app): UrlPath<String>,
    Body(body): Body,
) -> Result<ResultJson, ApiError> {
    let app = &shared.app(&app)?;
    let given = shape::given(TOKEN, &body, &[By::Client])?;
    let Some(token_id) = text(&given, "tokenId").filter(|id| !id.is_empty()) else {
        return Ok(ResultJson::failed("tokenId is missing".to_owned()));
    };
    let refused = || ResultJson::failed("the token is not valid".to_owned());
    let place = Place::in_app(Kind::Token, app, [token_id]);
    let Some(kept) = bounded(shared.given.store.get(&place)).await? else {
        return Ok(refused());
    };
    let in_time = shared.now_ms().div_euclid(1000) < number(&kept, "expireDate");
    if !in_time || text(&kept, "type") != text(&given, "type") {
        return Ok(refused());
    }
    let room = text(&kept, "roomId").filter(|room| !room.is_empty());
    if room.is_some() {
        return Ok(if room == text(&given, "roomId") {
            ResultJson::ok()
        } else {
            refused()
        });
    }
    if text(&kept, "streamId") != text(&given, "streamId") {
        return Ok(refused());
    }
    let spent = bounded(shared.given.store.delete(&place)).await?;
    Ok(if spent { ResultJson::ok() } else { refused() })
}

/// `DELETE /broadcasts/{id}/tokens`: all of a stream's.
#[utoipa::path(delete, path = "/{app}/rest/v2/broadcasts/{id}/tokens", tag = "tokens", params(OfStream),
    responses((status = 200, body = ResultJson), Refusals))]
pub(crate) async fn revoke(
    State(shared): State<Arc<Shared>>,
    UrlPath((app, id)): UrlPath<(String, String)>,
) -> Result<ResultJson, ApiError> {
    let app = &shared.app(&app)?;
    let mut query = Query::all(Kind::Token, Some(app.clone()));
    query.equals = vec![("streamId", id.into())];
    let number = bounded(shared.given.store.delete_matching(&query)).await?;
    Ok(ResultJson::done(&format!("{number} tokens deleted")))
}

/// `GET /broadcasts/{id}/tokens/list/{offset}/{size}`.
#[utoipa::path(get, path = "/{app}/rest/v2/broadcasts/{id}/tokens/list/{offset}/{size}", tag = "tokens",
    params(OfStream, PageParams), responses((status = 200, body = Vec<Token>), Refusals))]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    UrlPath((app, id, offset, size)): UrlPath<(String, String, String, String)>,
) -> Result<Json<Vec<Token>>, ApiError> {
    let app = &shared.app(&app)?;
    let page = Page::parse(&offset, &size)?;
    let mut query = Query::all(Kind::Token, Some(app.clone()));
    query.equals = vec![("streamId", id.into())];
    let records = shared.records_of(query, page).await?;
    Ok(Json(records.iter().map(Token::new).collect()))
}

impl TokenQuery {
    /// The record of a token that this asks for.
    fn token(&self, id: &str, token_id: String) -> Result<Fields, ApiError> {
        let refuse = |words: &str| ApiError::Invalid(words.to_owned());
        StreamId::parse(id)
            .map_err(|error| ApiError::Invalid(format!("Stream id is not valid: {error}")))?;
        let kind = self.r#type.as_deref().unwrap_or_default();
        if !TOKEN_TYPES.contains(&kind) {
            return Err(refuse("type: it must be play or publish"));
        }
        let expires = self.expire_date.filter(|at| *at > 0);
        let expires = expires.ok_or_else(|| {
            refuse("expireDate: it must be a time in seconds since the Unix epoch, greater than 0")
        })?;
        let room = self.room_id.as_deref().filter(|room| !room.is_empty());
        let token = json!({
            "tokenId": token_id, "streamId": id, "expireDate": expires, "type": kind, "roomId": room,
        });
        match token {
            serde_json::Value::Object(fields) => Ok(fields),
            _ => Ok(Fields::new()),
        }
    }
}
