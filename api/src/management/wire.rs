//! JSON of the management REST, in and out.

use crate::error::ApiError;
use crate::management::BODY_BYTES_MAX;
use crate::management::access::{Role, SYSTEM};
use crate::management::password::PASSWORD_BYTES_MAX;
use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use weir_cluster::AppName;
use weir_cluster::records::kinds::User;

/// The longest name to log in with, bytes (RFC 5321's longest address).
const EMAIL_BYTES_MAX: usize = 254;
/// The longest other text of a user, bytes; a picture is a URL.
const TEXT_BYTES_MAX: usize = 2_048;
/// The most applications one user has roles in.
const APPS_MAX: usize = 256;

/// A JSON body.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let bytes = to_bytes(request.into_body(), BODY_BYTES_MAX).await;
        let bytes = bytes.map_err(|_| ApiError::TooLong {
            max: BODY_BYTES_MAX,
        })?;
        let value = serde_json::from_slice(&bytes);
        value.map(Self).map_err(|error| {
            ApiError::Invalid(format!(
                "the body is not the JSON that is read here: {error}"
            ))
        })
    }
}

/// A user as clients send it; the names are Ant Media's.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = UserBody)]
pub(crate) struct UserBody {
    /// The name to log in with.
    #[schema(min_length = 1, max_length = 254)]
    pub(crate) email: Option<String>,
    /// The MD5 of the password, 32 hex digits.
    pub(crate) password: Option<String>,
    /// Likewise, to take its place.
    pub(crate) new_password: Option<String>,
    /// `ADMIN`, `USER` or `READ_ONLY`.
    user_type: Option<String>,
    /// `system` or an application.
    scope: Option<String>,
    /// Role by application.
    app_name_user_type: Option<BTreeMap<String, String>>,
    first_name: Option<String>,
    last_name: Option<String>,
    full_name: Option<String>,
    picture: Option<String>,
}

impl UserBody {
    /// Its name and password.
    pub(crate) fn credentials(&self) -> Result<(&str, &str), ApiError> {
        Ok((self.name()?, secret("password", self.password.as_deref())?))
    }

    pub(crate) fn name(&self) -> Result<&str, ApiError> {
        let email = self.email.as_deref().unwrap_or_default();
        let fits = !email.is_empty() && email.len() <= EMAIL_BYTES_MAX;
        if !fits || email.chars().any(char::is_control) {
            let words = format!("email must be a text of 1 to {EMAIL_BYTES_MAX} bytes");
            return Err(ApiError::Invalid(words));
        }
        Ok(email)
    }

    /// The record that it describes; the password is not in it.
    pub(crate) fn user(&self) -> Result<User, ApiError> {
        if let Some(role) = &self.user_type {
            role_name("userType", role)?;
        }
        if let Some(scope) = &self.scope
            && scope != SYSTEM
            && AppName::parse(scope).is_err()
        {
            let words = "scope must be \"system\" or the name of an application";
            return Err(ApiError::Invalid(words.to_owned()));
        }
        let roles = self.app_name_user_type.clone().unwrap_or_default();
        if roles.len() > APPS_MAX {
            let words = format!("appNameUserType may name at most {APPS_MAX} applications");
            return Err(ApiError::Invalid(words));
        }
        for (app, role) in &roles {
            let fault =
                |_| ApiError::Invalid("appNameUserType: no such name of an application".to_owned());
            AppName::parse(app).map_err(fault)?;
            role_name("appNameUserType", role)?;
        }
        Ok(User {
            email: self.name()?.to_owned(),
            password: String::new(),
            user_type: self.user_type.clone(),
            scope: self.scope.clone(),
            app_name_user_type: roles,
            first_name: short("firstName", self.first_name.as_ref())?,
            last_name: short("lastName", self.last_name.as_ref())?,
            full_name: short("fullName", self.full_name.as_ref())?,
            picture: short("picture", self.picture.as_ref())?,
        })
    }
}

/// A password as a client sends it.
pub(crate) fn secret<'a>(name: &str, sent: Option<&'a str>) -> Result<&'a str, ApiError> {
    let sent = sent.unwrap_or_default();
    if sent.is_empty() || sent.len() > PASSWORD_BYTES_MAX {
        let words = format!("{name} must be a text of 1 to {PASSWORD_BYTES_MAX} bytes");
        return Err(ApiError::Invalid(words));
    }
    Ok(sent)
}

fn role_name(field: &str, name: &str) -> Result<(), ApiError> {
    match Role::parse(name) {
        Some(_) => Ok(()),
        None => Err(ApiError::Invalid(format!(
            "{field} must be ADMIN, USER or READ_ONLY"
        ))),
    }
}

fn short(field: &str, text: Option<&String>) -> Result<Option<String>, ApiError> {
    match text {
        Some(text) if text.len() > TEXT_BYTES_MAX => {
            let words = format!("{field} may have at most {TEXT_BYTES_MAX} bytes");
            Err(ApiError::Invalid(words))
        }
        other => Ok(other.cloned()),
    }
}

/// A user as it is told: never its password.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = User)]
pub(crate) struct UserJson {
    email: String,
    password: Option<String>,
    new_password: Option<String>,
    user_type: Option<String>,
    scope: Option<String>,
    app_name_user_type: Option<BTreeMap<String, String>>,
    first_name: Option<String>,
    last_name: Option<String>,
    full_name: Option<String>,
    picture: Option<String>,
}

impl From<User> for UserJson {
    fn from(user: User) -> Self {
        let roles = user.app_name_user_type;
        Self {
            email: user.email,
            password: None,
            new_password: None,
            user_type: user.user_type,
            scope: user.scope,
            app_name_user_type: (!roles.is_empty()).then_some(roles),
            first_name: user.first_name,
            last_name: user.last_name,
            full_name: user.full_name,
            picture: user.picture,
        }
    }
}

/// A name from the path that may be an application's.
pub(crate) fn app_name(text: &str) -> Result<AppName, ApiError> {
    let fault = |_| {
        let words = "an application's name is 1 to 64 letters, digits, '_' or '-'";
        ApiError::Invalid(words.to_owned())
    };
    AppName::parse(text).map_err(fault)
}
