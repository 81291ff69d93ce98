//! `/rest/v2/applications/settings/{name}` and `/rest/v2/server-settings`.
//!
//! Settings hold secrets. An admin reads them all, because Ant Media's panel sends the whole object back; others
//! get what is secret left empty.

use crate::error::ApiError;
use crate::extract::UrlPath;
use crate::management::access::{self, Caller, Role};
use crate::management::applications::{is_set, told};
use crate::management::users::Told;
use crate::management::wire::Body;
use crate::openapi::Refusals;
use crate::state::Shared;
use crate::wire::ResultJson;
use axum::extract::State;
use axum::{Extension, Json};
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;
use utoipa::ToSchema;
use weir_cluster::Fields;

/// `GET /rest/v2/applications/settings/{name}`: Ant Media's `AppSettings`, whole.
#[utoipa::path(get, path = "/rest/v2/applications/settings/{name}", tag = "applications",
    params(("name" = String, Path, description = "The application")),
    responses((status = 200, body = Object), Refusals))]
pub(crate) async fn of_app(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    UrlPath(name): UrlPath<String>,
) -> Result<Json<Fields>, ApiError> {
    let app = shared.existing(&name)?;
    let settings = shared.given.management.apps.settings(&app);
    let mut settings = settings.unwrap_or_default();
    if !is_admin_of(&caller, &name) {
        for (key, value) in &mut settings {
            if is_secret(key) && is_set(value) {
                *value = Value::from("");
            }
        }
    }
    Ok(Json(settings))
}

/// `POST /rest/v2/applications/settings/{name}`: takes over the settings that the body names; every node applies
/// them within seconds.
#[utoipa::path(post, path = "/rest/v2/applications/settings/{name}", tag = "applications",
    params(("name" = String, Path, description = "The application")), request_body = Object,
    responses((status = 200, body = ResultJson), Refusals))]
pub(crate) async fn change_of_app(
    State(shared): State<Arc<Shared>>,
    UrlPath(name): UrlPath<String>,
    Body(set): Body<Fields>,
) -> Told {
    let app = shared.existing(&name)?;
    told(shared.given.management.apps.change(&app, set).await)
}

/// Ant Media's `ServerSettings`, the part that means something here. What is secret is not told.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServerSettings {
    server_name: String,
    licence_key: Option<String>,
    node_group: String,
    log_level: String,
    native_log_level: String,
    host_address: String,
    #[serde(rename = "allowedDashboardCIDR")]
    allowed_dashboard_cidr: String,
    default_http_port: u16,
    rtmp_port: u16,
    jwt_server_control_enabled: bool,
    jwt_server_secret_key: Option<String>,
    heartbeat_enabled: bool,
    use_global_ip: bool,
    build_for_market: bool,
    offline_license: bool,
    ssl_enabled: bool,
}

/// `GET /rest/v2/server-settings`.
#[utoipa::path(get, path = "/rest/v2/server-settings", tag = "server",
    responses((status = 200, body = ServerSettings), Refusals))]
pub(crate) async fn of_server(State(shared): State<Arc<Shared>>) -> Json<ServerSettings> {
    let options = &shared.given.management.options;
    let node = &shared.given.node;
    Json(ServerSettings {
        server_name: options.server_name.clone(),
        licence_key: None,
        node_group: options.node_group.clone(),
        log_level: options.log_level.clone(),
        native_log_level: options.log_level.clone(),
        host_address: node.ip.clone(),
        allowed_dashboard_cidr: options.allowed_dashboard_cidr.to_string(),
        default_http_port: options.http_port,
        rtmp_port: node.rtmp.port,
        jwt_server_control_enabled: options.jwt_secret.is_some(),
        jwt_server_secret_key: None,
        heartbeat_enabled: true,
        use_global_ip: false,
        build_for_market: false,
        offline_license: true,
        ssl_enabled: false,
    })
}

/// `POST /rest/v2/server-settings`: refused unless it changes nothing. A node's own settings are its file's.
#[utoipa::path(post, path = "/rest/v2/server-settings", tag = "server", request_body = Object,
    responses((status = 200, body = ResultJson), Refusals))]
pub(crate) async fn change_of_server(
    State(shared): State<Arc<Shared>>,
    Body(set): Body<Fields>,
) -> Told {
    let options = &shared.given.management.options;
    let kept = [
        ("serverName", "server.name", options.server_name.as_str()),
        ("nodeGroup", "nodeGroup", options.node_group.as_str()),
        ("logLevel", "log.level", options.log_level.as_str()),
    ];
    let changed = |(name, _, now): &(&str, &str, &str)| match set.get(*name) {
        None | Some(Value::Null) => false,
        Some(value) => !value
            .as_str()
            .is_some_and(|value| value.eq_ignore_ascii_case(now)),
    };
    match kept.iter().find(|setting| changed(setting)) {
        None => Ok(ResultJson::ok()),
        Some((name, key, _)) => {
            let words = format!(
                "nothing was changed: {name} is this node's own; set {key} in its file and start it again"
            );
            Ok(ResultJson::failed(words))
        }
    }
}

fn is_admin_of(caller: &Caller, app: &str) -> bool {
    match caller {
        Caller::User(user) => access::role_in(user, app) == Some(Role::Admin),
        Caller::Token | Caller::Node => true,
        Caller::Nobody => false,
    }
}

/// Keys whose value lets somebody in: what the table of settings hides, and what an unknown key calls itself.
fn is_secret(key: &str) -> bool {
    if let Some(setting) = weir_conf::app::find(key) {
        return !setting.kind.is_shown();
    }
    let key = key.to_ascii_lowercase();
    let words = [
        "secret",
        "password",
        "accesskey",
        "credential",
        "apikey",
        "privatekey",
        "token",
    ];
    words.iter().any(|word| key.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_told_by_their_names() {
        for key in [
            "jwtSecretKey",
            "s3SecretKey",
            "s3AccessKey",
            "turnServerCredential",
            "clusterCommunicationKey",
            "timeTokenSecretForPlay",
            "myPluginPassword",
        ] {
            assert!(is_secret(key), "{key}");
        }
        for key in [
            "hlsTime",
            "webRTCKeyframeTime",
            "jwtControlEnabled",
            "s3BucketName",
        ] {
            assert!(!is_secret(key), "{key}");
        }
    }
}
