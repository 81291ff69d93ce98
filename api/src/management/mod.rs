//! The management REST: users and sessions, applications and their settings, the server's figures, the cluster.
//!
//! Shapes are Ant Media's `RestServiceV2`, with its V1 twins where its panels still call them. What changes
//! something elsewhere in the house goes through the traits below, which `src/` wires.
//!
//! Limits: a body is at most [`BODY_BYTES_MAX`]; the others stand where they hold.

pub(crate) mod access;
mod applications;
mod apps;
mod attempts;
mod cluster;
mod later;
mod legacy;
mod machine;
pub(crate) mod panel;
mod password;
mod people;
mod public;
mod server;
pub(crate) mod session;
mod settings;
mod users;
mod wire;

pub(crate) use applications::OnAir;
pub(crate) use machine::Machine;
pub(crate) use people::People;

use crate::filter::CidrList;
use crate::state::Shared;
use async_trait::async_trait;
use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use weir_cluster::{AppName, ClusterKey, Fields};

/// The longest body of a management request, bytes.
pub(crate) const BODY_BYTES_MAX: usize = 1024 * 1024;

/// What the management REST is made from.
#[derive(Clone, Debug)]
pub struct Management {
    /// The applications.
    pub apps: Arc<dyn AppsAdmin>,
    /// How nodes of the cluster know each other.
    pub cluster: Arc<dyn ClusterAuth>,
    /// What the node's log said last; `None` where it is not kept.
    pub log: Option<Arc<dyn LogTail>>,
    /// The node's settings that matter here.
    pub options: ManagementOptions,
}

/// Settings of the node that matter to the management REST.
#[derive(Clone, Debug)]
pub struct ManagementOptions {
    /// `server.allowed_dashboard_CIDR`.
    pub allowed_dashboard_cidr: CidrList,
    /// `trusted.proxies`: whose `X-Forwarded-For` is believed beside that of this machine and the cluster's nodes.
    pub trusted_proxies: CidrList,
    /// `server.jwtServerSecretKey` when `server.jwtServerControlEnabled`; may be empty, then no token passes.
    pub jwt_secret: Option<Secret>,
    /// `server.jwksURL`: whose keys sign those tokens in place of the secret; empty = the secret.
    pub jwks_url: String,
    /// `server.name`.
    pub server_name: String,
    /// `nodeGroup`.
    pub node_group: String,
    /// `log.level`.
    pub log_level: String,
    /// `http.port`, as the world sees it.
    pub http_port: u16,
    /// Whether the store is shared by several nodes.
    pub clustered: bool,
    /// Whose file system is told.
    pub data_dir: PathBuf,
    /// When the process began, ms since the Unix epoch.
    pub started_ms: i64,
}

impl Default for ManagementOptions {
    fn default() -> Self {
        Self {
            allowed_dashboard_cidr: CidrList::parse("0.0.0.0/0"),
            trusted_proxies: CidrList::default(),
            jwt_secret: None,
            jwks_url: String::new(),
            server_name: String::new(),
            node_group: "default".to_owned(),
            log_level: "INFO".to_owned(),
            http_port: 5080,
            clustered: false,
            data_dir: PathBuf::from("."),
            started_ms: 0,
        }
    }
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text`.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// The applications and their settings.
#[async_trait]
pub trait AppsAdmin: Send + Sync + Debug {
    /// Their names, in the order they are shown.
    fn names(&self) -> Vec<AppName>;

    /// What guards the REST of `app`; `None` when there is no such application.
    fn security(&self, app: &str) -> Option<AppSecurity>;

    /// All settings of `app` under Ant Media's JSON names; `None` when there is no such application.
    fn settings(&self, app: &AppName) -> Option<Fields>;

    /// Makes an application.
    ///
    /// # Errors
    /// [`AppsError`].
    async fn create(&self, app: &AppName) -> Result<(), AppsError>;

    /// Takes an application away; its records stay.
    ///
    /// # Errors
    /// [`AppsError`].
    async fn delete(&self, app: &AppName) -> Result<(), AppsError>;

    /// Takes over those settings that `set` names.
    ///
    /// # Errors
    /// [`AppsError`]; then nothing changed.
    async fn change(&self, app: &AppName, set: Fields) -> Result<(), AppsError>;
}

/// What guards the REST of an application. The default is that of an application without settings.
#[derive(Clone, PartialEq, Eq)]
pub struct AppSecurity {
    /// `ipFilterEnabled`.
    pub ip_filter_enabled: bool,
    /// `remoteAllowedCIDR`.
    pub remote_allowed_cidr: String,
    /// `jwtControlEnabled`.
    pub jwt_control_enabled: bool,
    /// `jwtSecretKey`.
    pub jwt_secret_key: String,
    /// `jwksURL`; empty = the secret counts.
    pub jwks_url: String,
}

impl Default for AppSecurity {
    fn default() -> Self {
        Self {
            ip_filter_enabled: true,
            remote_allowed_cidr: "127.0.0.1".to_owned(),
            jwt_control_enabled: false,
            jwt_secret_key: String::new(),
            jwks_url: String::new(),
        }
    }
}

impl Debug for AppSecurity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppSecurity")
            .field("ip_filter_enabled", &self.ip_filter_enabled)
            .field("remote_allowed_cidr", &self.remote_allowed_cidr)
            .field("jwt_control_enabled", &self.jwt_control_enabled)
            .finish_non_exhaustive()
    }
}

/// Why applications did not change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AppsError {
    /// There is one by that name.
    #[error("there is an application of that name")]
    Exists,
    /// There is none by that name.
    #[error("there is no application of that name")]
    NoSuchApp,
    /// A value that cannot be; names the key.
    #[error("{0}")]
    Invalid(String),
    /// There may not be more; says why.
    #[error("{0}")]
    Refused(String),
    /// The store does not answer; worth a retry.
    #[error("the cluster's store does not answer: {0}")]
    Store(String),
}

/// How nodes of the cluster know each other.
pub trait ClusterAuth: Send + Sync + Debug {
    /// Whether `token` was made by a node of this cluster just now.
    fn is_node(&self, token: &str, now_ms: i64) -> bool;

    /// A signature of `bytes` that every node of the cluster can check, good for `purpose` alone.
    fn sign(&self, purpose: &str, bytes: &[u8]) -> Vec<u8>;

    /// Whether `signature` is a node's over `bytes` for `purpose`, compared in constant time.
    fn is_signed(&self, purpose: &str, bytes: &[u8], signature: &[u8]) -> bool;
}

impl ClusterAuth for ClusterKey {
    fn is_node(&self, token: &str, now_ms: i64) -> bool {
        self.verify(token, now_ms).is_ok()
    }

    fn sign(&self, purpose: &str, bytes: &[u8]) -> Vec<u8> {
        Self::sign(self, purpose, bytes)
    }

    fn is_signed(&self, purpose: &str, bytes: &[u8], signature: &[u8]) -> bool {
        Self::is_signed(self, purpose, bytes, signature)
    }
}

/// The last of the node's log.
pub trait LogTail: Send + Sync + Debug {
    /// Bytes logged since the process began.
    fn size(&self) -> u64;

    /// Up to `size` bytes from `offset` on, or the last ones when that is `None`; what is no longer kept is left out.
    fn read(&self, offset: Option<u64>, size: usize) -> Vec<u8>;
}

/// The routes.
pub(crate) fn routes() -> OpenApiRouter<Arc<Shared>> {
    let people = OpenApiRouter::new()
        .routes(routes!(users::authenticate))
        .routes(routes!(users::logout))
        .routes(routes!(users::initial))
        .routes(routes!(users::create, users::edit))
        .routes(routes!(users::delete))
        .routes(routes!(users::change_password))
        .routes(routes!(users::blocked))
        .routes(routes!(users::list))
        .routes(routes!(users::admin_status))
        .routes(routes!(users::first_login))
        .routes(routes!(users::authentication_status));
    let applications = OpenApiRouter::new()
        .routes(routes!(applications::list))
        .routes(routes!(applications::info))
        .routes(routes!(
            applications::create,
            applications::delete,
            later::upload
        ))
        .routes(routes!(applications::reset))
        .routes(routes!(applications::live_streams))
        .routes(routes!(applications::metrics_history))
        .routes(routes!(settings::of_app, settings::change_of_app))
        .routes(routes!(settings::of_server, settings::change_of_server));
    let figures = OpenApiRouter::new()
        .routes(routes!(server::enterprise_edition))
        .routes(routes!(server::licence_status))
        .routes(routes!(server::last_licence_status))
        .routes(routes!(server::log_file))
        .routes(routes!(server::server_time))
        .routes(routes!(server::live_clients_size))
        .routes(routes!(server::shutdown_status))
        .routes(routes!(
            server::is_shutdown_proper,
            server::set_shutdown_proper
        ))
        .routes(routes!(machine::system_resources))
        .routes(routes!(machine::cpu_status))
        .routes(routes!(machine::system_memory_status))
        .routes(routes!(machine::jvm_memory_status))
        .routes(routes!(machine::file_system_status))
        .routes(routes!(machine::system_status))
        .routes(routes!(machine::gpu_status));
    let cluster = OpenApiRouter::new()
        .routes(routes!(cluster::mode_status))
        .routes(routes!(cluster::delete_node))
        .routes(routes!(cluster::note));
    people
        .merge(applications)
        .merge(figures)
        .merge(cluster)
        .merge(legacy::routes())
        .merge(later::routes())
        .merge(panel::routes())
}

/// The routes that ask for nothing.
pub(crate) fn public_routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new().routes(routes!(public::live))
}
