//! Names to addresses while running: `resolver`.
//!
//! Why not the system's resolver: nginx asks the servers its file names, keeps an answer as long
//! as the answer says (or `valid=`), and never blocks. Limits: [`CACHE_MAX`] answers are kept; a
//! question ends after `resolver_timeout`. Failures: [`NoAddress`], in nginx's words.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig,
    ServerOrderingStrategy,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use tokio::time::Instant;
use weir_conf::nginx::model::Resolver as Model;

/// Answers kept.
const CACHE_MAX: u64 = 4096;

/// How long one server is waited for before the next, or the same again, is asked.
const RESEND: Duration = Duration::from_secs(5);

/// How often a question is sent again.
const ATTEMPTS: usize = 2;

/// Why a name has no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoAddress {
    /// There is none, or no server knows.
    #[error("3: Host not found")]
    NotFound,
    /// No answer in time.
    #[error("110: Operation timed out")]
    TimedOut,
}

/// Asks the servers of one `resolver`.
#[derive(Debug)]
pub(crate) struct Names {
    pub(crate) model: Model,
    inner: Option<TokioResolver>,
}

/// Addresses of a name, and until when they hold.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) ips: Vec<IpAddr>,
    pub(crate) until: Instant,
}

/// The resolvers of a configuration: one for all places that say the same.
#[derive(Debug, Default)]
pub(crate) struct Resolvers(RefCell<Vec<Arc<Names>>>);

impl Resolvers {
    pub(crate) fn of(&self, model: &Model) -> Arc<Names> {
        let mut all = self.0.borrow_mut();
        if let Some(names) = all.iter().find(|it| it.model == *model) {
            return Arc::clone(names);
        }
        let names = Arc::new(Names::new(model));
        all.push(Arc::clone(&names));
        names
    }
}

impl Names {
    pub(crate) fn new(model: &Model) -> Self {
        let servers = model.servers.iter().map(|addr| {
            let on_port = |mut it: ConnectionConfig| {
                it.port = addr.port();
                it
            };
            let ways = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
            let mut server = NameServerConfig::udp(addr.ip());
            server.connections = ways.map(on_port).into();
            server
        });
        let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
        let runtime = TokioRuntimeProvider::default();
        let mut builder = TokioResolver::builder_with_config(config, runtime);
        let options = builder.options_mut();
        let valid = model.valid_ms.map(Duration::from_millis);
        options.ip_strategy = match (model.ipv4, model.ipv6) {
            (true, false) => LookupIpStrategy::Ipv4Only,
            (false, _) => LookupIpStrategy::Ipv6Only,
            (true, true) => LookupIpStrategy::Ipv4AndIpv6,
        };
        options.timeout = RESEND.min(Duration::from_millis(model.timeout_ms.max(1)));
        options.attempts = ATTEMPTS;
        options.cache_size = CACHE_MAX;
        options.use_hosts_file = ResolveHosts::Never;
        options.server_ordering_strategy = ServerOrderingStrategy::RoundRobin;
        options.positive_min_ttl = valid;
        options.positive_max_ttl = valid;
        let inner = builder.build();
        if let Err(error) = &inner {
            tracing::error!(%error, "names cannot be resolved");
        }
        Self {
            model: model.clone(),
            inner: inner.ok(),
        }
    }

    /// The addresses of a name.
    pub(crate) async fn find(&self, name: &str) -> Result<Found, NoAddress> {
        let inner = self.inner.as_ref().ok_or(NoAddress::NotFound)?;
        // With a dot at its end no domain of this machine is put behind it.
        let whole = format!("{}.", name.trim_end_matches('.'));
        let limit = Duration::from_millis(self.model.timeout_ms);
        let answer = tokio::time::timeout(limit, inner.lookup_ip(whole)).await;
        let answer = answer.map_err(|_| NoAddress::TimedOut)?;
        let answer = answer.map_err(|error| {
            tracing::debug!(%error, name, "could not be resolved");
            NoAddress::NotFound
        })?;
        let mut ips: Vec<IpAddr> = answer.iter().collect();
        ips.sort_unstable();
        ips.dedup();
        if ips.is_empty() {
            return Err(NoAddress::NotFound);
        }
        let until = Instant::from_std(answer.valid_until());
        Ok(Found { ips, until })
    }

    /// The addresses of a name with a port, in an order of chance: any may be the first tried.
    pub(crate) async fn addrs(&self, name: &str, port: u16) -> Result<Vec<SocketAddr>, NoAddress> {
        let mut ips = self.find(name).await?.ips;
        fastrand::shuffle(&mut ips);
        Ok(ips.into_iter().map(|ip| (ip, port).into()).collect())
    }
}
