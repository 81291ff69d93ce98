//! The checked settings of a node, and of one application on it.

use super::keys;
use super::types::{
    DbHost, DbType, Endpoint, Listen, LogFormat, LogLevel, Secret, ServerMode, is_host,
};
use crate::app::AppSettings;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

/// A node's settings, each in range; what a field does is said at its key in
/// [`keys::KEYS`] and in `docs/settings.md`. `Default` is what a node without any file has.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeConfig {
    /// `server.mode`: which roles run when the command line names none.
    pub server_mode: ServerMode,
    /// `server.cpu_limit`, percent of the machine's processors.
    pub cpu_limit_percent: u32,
    /// `apps`: the applications served, in order, without repeats.
    pub apps: Vec<String>,
    /// `apps.dir`: where applications' own files are.
    pub apps_dir: Option<PathBuf>,
    /// `data.dir` as set; where the data is when it is not set says [`super::Layout::data_dir`].
    pub data_dir: Option<PathBuf>,
    /// `lb.conf`: the load balancer's nginx-syntax file; none = the built-in one.
    pub lb_conf: Option<PathBuf>,
    /// `shutdown.timeout`, ms.
    pub shutdown_timeout_ms: u64,
    /// `hls.time`, ms; an application may have its own, see [`NodeConfig::app`].
    pub hls_time_ms: u64,
    /// `hls.list.size`, segments; likewise.
    pub hls_list_size: u32,
    /// `hls.ended.linger`, ms.
    pub hls_ended_linger_ms: u64,
    /// `publish.grace`, ms.
    pub publish_grace_ms: u64,
    /// `cluster.*`.
    pub cluster: ClusterConfig,
    /// `db.*`.
    pub db: DbConfig,
    /// `http.*` and the listeners that speak it.
    pub http: HttpConfig,
    /// `rtmp.*` and the listener that speaks it.
    pub rtmp: RtmpConfig,
    /// The management REST and whom its filters believe.
    pub management: ManagementConfig,
    /// `cache.*` and `metadata.cache.enabled`.
    pub cache: CacheConfig,
    /// `encoder.*`.
    pub encoder: EncoderConfig,
    /// `log.*`.
    pub log: LogConfig,
    pub(super) app_overrides: BTreeMap<String, AppSettings>,
}

impl ManagementConfig {
    /// The host by which the world reaches the server: `server.name`, where it can be one. A single word is
    /// taken for a name for people.
    #[must_use]
    pub fn public_host(&self) -> Option<String> {
        let name = self.server_name.as_str();
        let named = name.contains('.') && is_host(name);
        let known = named || name.parse::<IpAddr>().is_ok();
        known.then(|| name.to_owned())
    }
}

/// The node among others.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClusterConfig {
    /// `cluster.enabled`, or what follows from the other settings when it is not set.
    pub enabled: bool,
    /// `cluster.node.id`; none = the node makes one.
    pub node_id: Option<String>,
    /// `cluster.node.ip`: the address other nodes reach this one at, an IP or a host name.
    pub node_ip: Option<String>,
    /// `nodeGroup`.
    pub node_group: String,
    /// `cluster.key`; none = the one that the store keeps.
    pub key: Option<Secret>,
    /// `cluster.origin.nodes`; empty when the node is in no cluster.
    pub origin_nodes: Vec<Endpoint>,
}

/// The store.
#[derive(Clone, Debug, PartialEq)]
pub struct DbConfig {
    /// `db.type`.
    pub kind: DbType,
    /// `db.host`; there when `kind` is MongoDB.
    pub host: Option<DbHost>,
    /// `db.name`.
    pub name: String,
    /// `db.user`.
    pub user: Option<String>,
    /// `db.password`.
    pub password: Option<Secret>,
    /// `db.options`, `key=value` joined by `&`; may hold secrets.
    pub options: Option<Secret>,
    /// `db.changes.watched`.
    pub changes_watched: bool,
}

/// HTTP doors.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpConfig {
    /// `http.host`.
    pub host: IpAddr,
    /// `http.port`.
    pub port: u16,
    /// `http.max.connections`.
    pub max_connections: u32,
    /// `edge.http.listen` as set; see [`super::Layout`].
    pub edge_listen: Option<Listen>,
    /// `origin.http.listen` as set; see [`super::Layout`].
    pub origin_listen: Option<Listen>,
    /// `lb.admin.listen` as set; see [`super::Layout`].
    pub lb_admin_listen: Option<Listen>,
}

/// RTMP doors.
#[derive(Clone, Debug, PartialEq)]
pub struct RtmpConfig {
    /// `rtmp.host`.
    pub host: IpAddr,
    /// `rtmp.port`.
    pub port: u16,
    /// `origin.rtmp.listen` as set; see [`super::Layout`].
    pub origin_listen: Option<std::net::SocketAddr>,
    /// `rtmp.proxy_protocol` as set; see [`super::Layout`].
    pub proxy_protocol: Option<bool>,
    /// `rtmp.max.connections`.
    pub max_connections: u32,
    /// `rtmp.max.connections.per.address`; 0 = no limit.
    pub max_connections_per_address: u32,
    /// `rtmp.max_handshake_time`, ms.
    pub max_handshake_ms: u64,
    /// `rtmp.max_inactivity`, ms.
    pub max_inactivity_ms: u64,
    /// `rtmp.max_packet_size`, bytes.
    pub max_packet_bytes: u64,
}

/// The management REST and whom its filters believe.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ManagementConfig {
    /// `server.name`.
    pub server_name: String,
    /// `server.allowed_dashboard_CIDR`: addresses and networks with commas between them.
    pub allowed_dashboard_cidr: String,
    /// `trusted.proxies`, likewise.
    pub trusted_proxies: String,
    /// `server.jwtServerControlEnabled`.
    pub jwt_control_enabled: bool,
    /// `server.jwtServerSecretKey`.
    pub jwt_secret_key: Option<Secret>,
    /// `server.jwksURL`.
    pub jwks_url: Option<String>,
}

/// The edge's cache and the directory's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CacheConfig {
    /// `cache.enabled`.
    pub enabled: bool,
    /// `cache.ttl`, ms; none = what the origin says.
    pub playlist_ttl_ms: Option<u64>,
    /// `cache.max.bytes`.
    pub max_bytes: u64,
    /// `metadata.cache.enabled`.
    pub metadata_enabled: bool,
}

/// For the transcoder.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EncoderConfig {
    /// `encoder.thread.count`; 0 = the encoder chooses.
    pub thread_count: u32,
    /// `encoder.gpu.enabled`.
    pub gpu_enabled: bool,
}

/// The log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogConfig {
    /// `log.level`.
    pub level: LogLevel,
    /// `log.format`.
    pub format: LogFormat,
}

/// What holds for one application: its own settings, else the node's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppConfig {
    /// The application.
    pub name: String,
    /// `hlsTime`, else `hls.time`, ms.
    pub hls_time_ms: u64,
    /// `hlsListSize`, else `hls.list.size`, segments.
    pub hls_list_size: u32,
}

impl NodeConfig {
    /// The settings of application `name`; an application the node does not list has the node's.
    pub fn app(&self, name: &str) -> AppConfig {
        let settings = self.app_settings(name);
        AppConfig {
            name: name.to_owned(),
            hls_time_ms: settings.hls_time_ms(),
            hls_list_size: u32::try_from(settings.hls_list_size()).unwrap_or(self.hls_list_size),
        }
    }

    /// All settings of application `name`: its own, the node's where it says nothing, else the
    /// defaults.
    pub fn app_settings(&self, name: &str) -> AppSettings {
        self.own_app_settings(name).over(&self.node_app_settings())
    }

    /// What the node's files say of application `name` itself.
    pub fn own_app_settings(&self, name: &str) -> AppSettings {
        self.app_overrides.get(name).cloned().unwrap_or_default()
    }

    /// What the node says where an application says nothing: `hls.time`, `hls.list.size`.
    pub fn node_app_settings(&self) -> AppSettings {
        let mut nodes = AppSettings::default();
        nodes.put_hls_time_ms(self.hls_time_ms);
        nodes.put_hls_list_size(self.hls_list_size);
        nodes
    }

    /// Every field empty: what the table's defaults are put into.
    fn blank() -> Self {
        let nowhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        Self {
            server_mode: ServerMode::default(),
            cpu_limit_percent: 0,
            apps: Vec::new(),
            apps_dir: None,
            data_dir: None,
            lb_conf: None,
            shutdown_timeout_ms: 0,
            hls_time_ms: 0,
            hls_list_size: 0,
            hls_ended_linger_ms: 0,
            publish_grace_ms: 0,
            cluster: ClusterConfig::default(),
            db: DbConfig {
                kind: DbType::default(),
                host: None,
                name: String::new(),
                user: None,
                password: None,
                options: None,
                changes_watched: false,
            },
            http: HttpConfig {
                host: nowhere,
                port: 0,
                max_connections: 0,
                edge_listen: None,
                origin_listen: None,
                lb_admin_listen: None,
            },
            rtmp: RtmpConfig {
                host: nowhere,
                port: 0,
                origin_listen: None,
                proxy_protocol: None,
                max_connections: 0,
                max_connections_per_address: 0,
                max_handshake_ms: 0,
                max_inactivity_ms: 0,
                max_packet_bytes: 0,
            },
            management: ManagementConfig::default(),
            cache: CacheConfig::default(),
            encoder: EncoderConfig::default(),
            log: LogConfig::default(),
            app_overrides: BTreeMap::new(),
        }
    }
}

impl Default for NodeConfig {
    fn default() -> Self {
        let mut config = Self::blank();
        keys::put_defaults(&mut config);
        config
    }
}
