//! `/rest/v2/users/…`: login, logout, and the people who may.
//!
//! A refused login says the same whether the name or the password was wrong.

use crate::error::ApiError;
use crate::extract::UrlPath;
use crate::management::access::{self, Caller, Role};
use crate::management::attempts::BLOCK_MS;
use crate::management::people::Login;
use crate::management::session::Sessions;
use crate::management::wire::{Body, UserBody, UserJson, secret};
use crate::openapi::Refusals;
use crate::state::Shared;
use crate::wire::ResultJson;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::{HeaderMap, header};
use std::sync::Arc;
use weir_cluster::records::kinds::{User, write};

/// A command's answer.
pub(crate) type Told = Result<ResultJson, ApiError>;

/// `POST /rest/v2/users/authenticate`: a session for a name and the MD5 of its password. `message` is
/// `scope/userType`, or a JSON map of roles by application.
#[utoipa::path(post, path = "/rest/v2/users/authenticate", tag = "users", request_body = UserBody,
    responses((status = 200, body = ResultJson), Refusals))]
pub(crate) async fn authenticate(
    State(shared): State<Arc<Shared>>,
    Body(body): Body<UserBody>,
) -> Result<Response, ApiError> {
    let (email, sent) = body.credentials()?;
    let now_ms = shared.now_ms();
    match shared.people.log_in(email, sent, now_ms).await? {
        Login::Welcome(user) => {
            let cookie = shared.people.sessions.begin(&user.email, now_ms)?;
            let told = ResultJson::done(&place_of(&user));
            Ok(([(header::SET_COOKIE, cookie)], told).into_response())
        }
        Login::Wrong => Ok(ResultJson::failed(String::new()).into_response()),
        Login::Blocked => {
            let words = format!(
                "Too many login attempts. User is blocked for {} secs",
                BLOCK_MS / 1000
            );
            Ok(ResultJson::failed(words).into_response())
        }
    }
}

/// `DELETE /rest/v2/users/logout`: ends the session, on every node.
#[utoipa::path(delete, path = "/rest/v2/users/logout", tag = "users",
    responses((status = 200, body = ResultJson), Refusals))]
pub(crate) async fn logout(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let cookie = shared
        .people
        .sessions
        .end(&headers, shared.now_ms())
        .await?;
    Ok(([(header::SET_COOKIE, cookie)], ResultJson::ok()).into_response())
}

/// `POST /rest/v2/users/initial`: the first user, an admin of the system; refused when there is one.
#[utoipa::path(post, path = "/rest/v2/users/initial", tag = "users", request_body = UserBody,
    responses((status = 200, body = ResultJson), Refusals))]
pub(crate) async fn initial(State(shared): State<Arc<Shared>>, Body(body): Body<UserBody>) -> Told {
    let (_, sent) = body.credentials()?;
    let added = shared
        .people
        .add_first(body.user()?, sent, shared.now_ms())
        .await?;
    Ok(if added {
        tracing::info!("the first user was made");
        ResultJson::ok()
    } else {
        ResultJson::failed("there is a first user already".to_owned())
    })
}

/// `POST /rest/v2/users`: adds a user.
#[utoipa::path(post, path = "/rest/v2/users", tag = "users", request_body = UserBody,
    responses((status = 200, body = ResultJson), Refusals))]
pub(crate) async fn create(State(shared): State<Arc<Shared>>, Body(body): Body<UserBody>) -> Told {
    let (_, sent) = body.credentials()?;
    let added = shared
        .people
        .add(body.user()?, sent, shared.now_ms())
        .await?;
    Ok(if added {
        ResultJson::ok()
    } else {
        ResultJson::failed("there is a user of that name".to_owned())
    })
}

/// `PUT /rest/v2/users`: roles and names of a user, and its password when `newPassword` is given.
#[utoipa::path(put, path = "/rest/v2/users", tag = "users", request_body = UserBody,
    responses((status = 200, body = ResultJson), Refusals))]
pub(crate) async fn edit(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<UserBody>,
) -> Told {
    let user = body.user()?;
    if is_self(&caller, &user.email) {
        return Ok(ResultJson::failed("User cannot edit itself".to_owned()));
    }
    let email = user.email.clone();
    let mut fields = write(&user);
    fields.remove("password");
    if let Some(sent) = body.new_password.as_deref().filter(|sent| !sent.is_empty()) {
        let sent = secret("newPassword", Some(sent))?;
        fields.extend([shared.people.password(sent).await?]);
        fields.extend(Sessions::all_end(shared.now_ms()));
    }
    Ok(told(
        shared.people.set(&email, fields).await?,
        "Edited user is not found in database",
    ))
}

/// `DELETE /rest/v2/users/{email}`.
#[utoipa::path(delete, path = "/rest/v2/users/{email}", tag = "users",
    params(("email" = String, Path, description = "The user's name")),
    responses((status = 200, body = ResultJson), Refusals))]
pub(crate) async fn delete(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    UrlPath(email): UrlPath<String>,
) -> Told {
    if is_self(&caller, &email) {
        return Ok(ResultJson::failed("You cannot delete yourself".to_owned()));
    }
    Ok(told(
        shared.people.remove(&email).await?,
        "there is no user of that name",
    ))
}

/// `POST /rest/v2/users/password`: one's own. All other sessions of the user end.
#[utoipa::path(post, path = "/rest/v2/users/password", tag = "users", request_body = UserBody,
    responses((status = 200, body = ResultJson), Refusals))]
pub(crate) async fn change_password(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<UserBody>,
) -> Result<Response, ApiError> {
    let refused = "User not exist with that name and pass";
    let Caller::User(user) = caller else {
        return Ok(ResultJson::failed(refused.to_owned()).into_response());
    };
    let sent = secret("password", body.password.as_deref())?;
    let new = secret("newPassword", body.new_password.as_deref())?;
    let now_ms = shared.now_ms();
    let Login::Welcome(_) = shared.people.log_in(&user.email, sent, now_ms).await? else {
        return Ok(ResultJson::failed(refused.to_owned()).into_response());
    };
    let mut fields = Sessions::all_end(now_ms);
    fields.extend([shared.people.password(new).await?]);
    shared.people.set(&user.email, fields).await?;
    let cookie = shared.people.sessions.begin(&user.email, now_ms)?;
    Ok(([(header::SET_COOKIE, cookie)], ResultJson::done("Success")).into_response())
}

/// `GET /rest/v2/users/{email}/blocked`: whether too many logins failed under that name, on all nodes together.
#[utoipa::path(get, path = "/rest/v2/users/{email}/blocked", tag = "users",
    params(("email" = String, Path, description = "The user's name")),
    responses((status = 200, body = ResultJson), Refusals))]
pub(crate) async fn blocked(
    State(shared): State<Arc<Shared>>,
    UrlPath(email): UrlPath<String>,
) -> Told {
    let now_ms = shared.now_ms();
    let blocked = shared.people.attempts.is_blocked(&email, now_ms).await;
    Ok(told(blocked, ""))
}

/// `GET /rest/v2/user-list`: the first 250 by name, without their passwords.
#[utoipa::path(get, path = "/rest/v2/user-list", tag = "users",
    responses((status = 200, body = Vec<UserJson>), Refusals))]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
) -> Result<Json<Vec<UserJson>>, ApiError> {
    let users = shared.people.list().await?;
    Ok(Json(users.into_iter().map(UserJson::from).collect()))
}

/// `GET /rest/v2/admin-status`: whether the caller is an admin of its scope.
#[utoipa::path(get, path = "/rest/v2/admin-status", tag = "users",
    responses((status = 200, body = ResultJson), Refusals))]
pub(crate) async fn admin_status(Extension(caller): Extension<Caller>) -> ResultJson {
    let is_admin = match &caller {
        Caller::User(user) => {
            let scope = user.scope.as_deref().unwrap_or(access::SYSTEM);
            access::role_in(user, scope) == Some(Role::Admin)
        }
        Caller::Token | Caller::Node => true,
        Caller::Nobody => false,
    };
    if is_admin {
        ResultJson::done("User is admin")
    } else {
        ResultJson::failed("User is not admin".to_owned())
    }
}

/// `GET /rest/v2/first-login-status`: whether there is no user yet.
#[utoipa::path(get, path = "/rest/v2/first-login-status", tag = "users",
    responses((status = 200, body = ResultJson), Refusals))]
pub(crate) async fn first_login(State(shared): State<Arc<Shared>>) -> Told {
    Ok(told(shared.people.is_empty().await?, ""))
}

/// `GET /rest/v2/authentication-status`: whether the request shows a session.
#[utoipa::path(get, path = "/rest/v2/authentication-status", tag = "users",
    responses((status = 200, body = ResultJson), Refusals))]
pub(crate) async fn authentication_status(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
) -> Told {
    let user = shared
        .people
        .sessions
        .user(&headers, shared.now_ms())
        .await?;
    Ok(told(user.is_some(), ""))
}

/// Success, or a failure with these words (none when they are empty).
fn told(success: bool, or: &str) -> ResultJson {
    if success {
        ResultJson::ok()
    } else {
        ResultJson::failed(or.to_owned())
    }
}

fn is_self(caller: &Caller, email: &str) -> bool {
    matches!(caller, Caller::User(user) if user.email == email)
}

/// What a login tells of the user: `scope/userType`, or roles by application.
fn place_of(user: &User) -> String {
    match (&user.scope, &user.user_type) {
        (Some(scope), Some(role)) => format!("{scope}/{role}"),
        _ if user.app_name_user_type.is_empty() => format!("{}/ADMIN", access::SYSTEM),
        _ => serde_json::to_string(&user.app_name_user_type).unwrap_or_default(),
    }
}
