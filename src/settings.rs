//! From the command line, a file and the environment to what each role is told.
//!
//! `weir_conf` checks every value; here they are only handed on, in the units of each crate's
//! options. This is the one place where the process's environment is read.

use crate::cli::{Cli, Role};
use anyhow::Context as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use weir_api::{CidrList, ManagementOptions};
use weir_cluster::{AppName, LEASE_MS, NodeRole};
use weir_conf::app::AppSettings;
use weir_conf::nginx;
use weir_conf::node::{self, DbType, Layout, Listen, NodeConfig, Roles};

/// Segments of a whole ladder of settings, checked.
pub(crate) struct Settings {
    /// The node's settings.
    pub(crate) config: NodeConfig,
    /// Where its roles listen.
    pub(crate) layout: Layout,
    /// Applications, as names.
    pub(crate) apps: Vec<AppName>,
    /// What the settings were read from, for messages.
    pub(crate) source: String,
    warnings: Vec<String>,
}

/// Reads and checks everything, the balancer's file included.
pub(crate) fn load(cli: &Cli) -> anyhow::Result<Settings> {
    let roles = cli.role.map(|role| Roles {
        lb: role == Role::Lb,
        edge: role == Role::Edge,
        origin: role == Role::Origin,
    });
    let env = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let loaded = NodeConfig::load(cli.config.as_deref(), roles, env, node::read_file)?;
    let apps = loaded
        .config
        .apps
        .iter()
        .map(|app| AppName::parse(app))
        .collect::<Result<_, _>>()?;
    let settings = Settings {
        apps,
        source: cli.config.as_ref().map_or_else(
            || "of defaults and environment".to_owned(),
            |path| path.display().to_string(),
        ),
        warnings: loaded.warnings.iter().map(ToString::to_string).collect(),
        config: loaded.config,
        layout: loaded.layout,
    };
    if settings.layout.roles.lb {
        let settled = |listen: Option<SocketAddr>| listen.map(settle_port);
        let edge = tcp(settings.layout.edge_http.as_ref()).map(settle_port);
        let config = settings.balancer(edge, settled(settings.layout.origin_rtmp))?;
        needs_store(&settings, &config)?;
    }
    Ok(settings)
}

impl Settings {
    /// Tells the log (or, before there is one, stderr) what is worth a line.
    pub(crate) fn warn(&self) {
        for warning in &self.warnings {
            if tracing::dispatcher::has_been_set() {
                tracing::warn!("{warning}");
            } else {
                crate::banner::complain(&format!("warning: {warning}"));
            }
        }
    }

    /// The role that the node's record tells.
    pub(crate) fn node_role(&self) -> NodeRole {
        match self.layout.roles {
            Roles {
                lb: false,
                edge: false,
                ..
            } => NodeRole::Origin,
            Roles {
                lb: false,
                origin: false,
                ..
            } => NodeRole::Edge,
            Roles {
                edge: false,
                origin: false,
                ..
            } => NodeRole::Lb,
            _ => NodeRole::All,
        }
    }

    /// The balancer's configuration: the file of `lb.conf`, or the built-in one that stands before
    /// the edge and origin of this very process.
    pub(crate) fn balancer(
        &self,
        edge_http: Option<SocketAddr>,
        origin_rtmp: Option<SocketAddr>,
    ) -> anyhow::Result<nginx::Config> {
        let options = nginx::LoadOptions {
            allow_port_zero: true,
            ..Default::default()
        };
        if let Some(path) = &self.config.lb_conf {
            return Ok(nginx::load(path, &options)?);
        }
        let http = self
            .layout
            .lb_http
            .context("the load balancer has no HTTP address")?;
        let rtmp = self.layout.lb_rtmp;
        let edges: Vec<_> = edge_http.map(Into::into).into_iter().collect();
        let origins: Vec<_> = origin_rtmp.map(Into::into).into_iter().collect();
        let text = nginx::default_config_text(
            &http.into(),
            &rtmp.unwrap_or(http).into(),
            self.behind(&edges),
            self.behind(&origins),
        );
        Ok(nginx::load_text(
            &text,
            nginx::INLINE_NAME,
            Path::new("."),
            &options,
        )?)
    }

    /// Who stands behind the built-in balancer: the role in this very process, else the cluster's.
    fn behind<'a>(&self, here: &'a [nginx::Addr]) -> nginx::Behind<'a> {
        if here.is_empty() && self.shares_store() {
            nginx::Behind::Nodes
        } else {
            nginx::Behind::Servers(here)
        }
    }

    /// Whether other nodes register where this one looks.
    pub(crate) fn shares_store(&self) -> bool {
        self.config.db.kind == DbType::MongoDb
    }

    /// What the edge may spend.
    pub(crate) fn edge_options(&self) -> weir_edge::EdgeOptions {
        let cache = &self.config.cache;
        let mut options = weir_edge::EdgeOptions {
            connections_max: count(self.config.http.max_connections),
            drain_ms_max: self.config.shutdown_timeout_ms,
            playlist_ttl_ms: cache.playlist_ttl_ms,
            ..weir_edge::EdgeOptions::default()
        };
        options.cache.enabled = cache.enabled;
        // As long as a stream may be between a dead owner and the next: the owner's lease lapses,
        // and then an encoder has as long as one that lost its connection.
        options.cache.stale_if_error_ms = LEASE_MS
            .unsigned_abs()
            .saturating_add(self.config.publish_grace_ms);
        options.cache.store_bytes_max = cache.max_bytes;
        options
    }

    /// How the directory keeps what it knows.
    pub(crate) fn directory_options(&self) -> weir_cluster::directory::Options {
        weir_cluster::directory::Options {
            cache_enabled: self.config.cache.metadata_enabled,
            ended_kept: Duration::from_millis(self.config.hls_ended_linger_ms),
            ..weir_cluster::directory::Options::default()
        }
    }

    /// What the origin is told; `origin_adress` is where edges reach it.
    pub(crate) fn origin_options(
        &self,
        node_id: &str,
        origin_adress: &str,
    ) -> weir_origin::OriginOptions {
        let mut options = weir_origin::OriginOptions::new(node_id, origin_adress);
        options.publish_grace_ms = self.config.publish_grace_ms;
        options.ended_linger_ms = self.config.hls_ended_linger_ms;
        options.shutdown_timeout_ms = self.config.shutdown_timeout_ms;
        options
    }

    /// What applications start from where the store has no record of them.
    pub(crate) fn app_seeds(&self) -> Vec<(AppName, AppSettings)> {
        let seed = |app: &AppName| (app.clone(), self.config.own_app_settings(app.as_str()));
        self.apps.iter().map(seed).collect()
    }

    /// What the management REST is told; `started_ms` is when the process began.
    pub(crate) fn management_options(&self, started_ms: i64) -> ManagementOptions {
        let management = &self.config.management;
        let secret = management.jwt_secret_key.as_ref();
        let secret = || secret.map_or_else(String::new, |secret| secret.expose().to_owned());
        ManagementOptions {
            allowed_dashboard_cidr: CidrList::parse(&management.allowed_dashboard_cidr),
            trusted_proxies: CidrList::parse(&management.trusted_proxies),
            jwt_secret: management
                .jwt_control_enabled
                .then(|| weir_api::Secret::new(secret())),
            jwks_url: management.jwks_url.clone().unwrap_or_default(),
            server_name: management.server_name.clone(),
            node_group: self.config.cluster.node_group.clone(),
            log_level: self.config.log.level.as_str().to_ascii_uppercase(),
            http_port: self.config.http.port,
            clustered: self.config.cluster.enabled || self.config.db.kind == DbType::MongoDb,
            data_dir: self.layout.data_dir.clone(),
            started_ms,
        }
    }

    /// What RTMP sessions may take.
    pub(crate) fn rtmp_options(&self) -> weir_origin::ingest::rtmp::RtmpOptions {
        let rtmp = &self.config.rtmp;
        let mut options = weir_origin::ingest::rtmp::RtmpOptions {
            handshake_timeout: Duration::from_millis(rtmp.max_handshake_ms),
            idle_timeout: Duration::from_millis(rtmp.max_inactivity_ms),
            connections_max: count(rtmp.max_connections),
            connections_per_peer_max: match rtmp.max_connections_per_address {
                0 => None,
                limit => Some(count(limit)),
            },
            proxy_protocol: self.layout.rtmp_proxy_protocol,
            ..weir_origin::ingest::rtmp::RtmpOptions::default()
        };
        options.session.chunk.media_message_bytes_max =
            usize::try_from(rtmp.max_packet_bytes).unwrap_or(usize::MAX);
        options
    }

    /// The longest a stop may take.
    pub(crate) fn shutdown_timeout(&self) -> Duration {
        Duration::from_millis(self.config.shutdown_timeout_ms)
    }
}

/// `cluster` finds nobody where no other node can register.
fn needs_store(settings: &Settings, config: &nginx::Config) -> anyhow::Result<()> {
    let roles = settings.layout.roles;
    let alone = !settings.shares_store() && !roles.edge && !roles.origin;
    match config.first_cluster().filter(|_| alone) {
        Some(nodes) => Err(weir_lb::LbError::NoStore {
            at: nodes.pos.clone(),
        }
        .into()),
        None => Ok(()),
    }
}

/// A count from settings as a count in memory.
pub(crate) fn count(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

/// The address of a TCP listener.
pub(crate) fn tcp(listen: Option<&Listen>) -> Option<SocketAddr> {
    match listen {
        Some(Listen::Tcp(address)) => Some(*address),
        _ => None,
    }
}

/// A test of the configuration has bound nothing yet: "any free port" stands for some port.
fn settle_port(mut address: SocketAddr) -> SocketAddr {
    if address.port() == 0 {
        address.set_port(1);
    }
    address
}
