//! A connection's life: request after request through Pingora's proxy.
//!
//! Pingora's own loop does the same but for two things: here a header has a deadline from its
//! first byte to its last (nginx's `client_header_timeout`), and each request knows its
//! connection. Cancel safety: a connection is only dropped while it reads a header, or when the
//! balancer is told to end.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pingora::apps::{HttpServerApp as _, HttpServerOptions, ServerApp as _};
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::proxy::{HttpProxy, http_proxy};
use pingora::server::ShutdownWatch;
use pingora::server::configuration::ServerConf;
use weir_conf::nginx::Addr;
use weir_conf::nginx::model::{Common, Http, Listen, Server};

use super::conn::{Conn, Deadline};
use super::downstream::Downstream;
use super::express::{Next, Short};
use super::greet::greet;
use super::log::Logs;
use super::proxy::Gateway;
use super::route::Hosts;
use super::site::Site;
use crate::LbOptions;
use crate::error::LbError;
use crate::group::Group;
use crate::listen::Accepted;
use crate::metrics::{ListenerMetrics, Metrics};

/// The HTTP side of the balancer.
pub(crate) struct Front {
    proxy: Arc<HttpProxy<Gateway>>,
    site: Arc<Site>,
    /// The way of plain requests, if any location has one.
    short: Option<Short>,
    serial: AtomicU64,
}

/// One address to bind, and the servers behind it.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    pub(crate) listen: Listen,
    /// By the address the client came to: a socket on every interface serves the servers of
    /// single interfaces too. The first holds for every other address. What a `listen` says of TLS
    /// and of the PROXY protocol holds for all servers on its address.
    hosts: Vec<(Listen, Arc<Hosts>)>,
}

impl Front {
    pub(crate) fn new(
        http: &Http,
        metrics: &Metrics,
        options: &LbOptions,
    ) -> Result<Self, LbError> {
        let site = Arc::new(Site::new(http, metrics)?);
        let logs = (options.access_logs.as_ref()).map(|all| Logs::open(http, all));
        let logs = logs.transpose()?.map(Arc::new);
        let conf = ServerConf {
            // One pool: Pingora multiplies by the threads.
            threads: 1,
            upstream_keepalive_pool_size: site.keepalive().max(1),
            // Ours decide long before; see `failure`.
            max_retries: site.peers_max().saturating_add(8),
            ..ServerConf::default()
        };
        let gateway = Gateway {
            site: Arc::clone(&site),
            fallback: fallback(),
            owners: options.owners.clone(),
            logs: logs.clone(),
        };
        let mut proxy = http_proxy(&Arc::new(conf), gateway);
        let mut options = HttpServerOptions::default();
        options.h2_idle_timeout = Some(site.idle_limit());
        // So that it is refused as all others are.
        options.allow_connect_method_proxying = true;
        proxy.server_options = Some(options);
        let proxy = Arc::new(proxy);
        let short = site
            .has_express()
            .then(|| Short::new(Arc::clone(&site), logs));
        Ok(Self {
            proxy,
            site,
            short,
            serial: AtomicU64::new(1),
        })
    }

    /// Takes over what the one before has counted, and keeps of upstreams' answers.
    pub(crate) fn learn(&self, before: &Self) {
        self.site.learn(&before.site);
    }

    pub(crate) fn groups(&self) -> &[Arc<Group>] {
        &self.site.groups
    }

    /// Ends the connections that wait for a next request.
    pub(crate) async fn close_idle(&self) {
        if let Some(short) = &self.short {
            short.close_idle();
        }
        self.proxy.http_cleanup().await;
    }

    /// Serves a connection to its end.
    pub(crate) async fn serve(
        &self,
        accepted: Accepted,
        endpoint: &Endpoint,
        metrics: ListenerMetrics,
        shutdown: ShutdownWatch,
    ) {
        let Some((listen, hosts)) = endpoint.hosts_for(accepted.local) else {
            return;
        };
        let server = self
            .site
            .servers
            .get(hosts.default_server())
            .map(|server| &server.model);
        let Some(server) = server else { return };
        let header_timeout = Duration::from_millis(server.client_header_timeout_ms);
        let _permit = accepted.permit;
        // In a box that goes with it: a handshake is large, and a connection long.
        let greeting = greet(accepted.io, listen, &hosts, &self.site, header_timeout);
        let greeted = match Box::pin(greeting).await {
            Ok(greeted) => greeted,
            Err(error) => {
                tracing::info!(client = ?accepted.remote, %error, "no connection was made");
                return;
            }
        };
        let mut conn = Conn::new(
            self.serial.fetch_add(1, Ordering::Relaxed),
            accepted.remote,
            accepted.local,
            hosts,
            server.header_bytes_max,
            metrics,
            Arc::clone(&self.site.stub),
        );
        conn.tls = greeted.tls;
        conn.plain_on_tls = greeted.plain_on_tls;
        conn.is_h2 = greeted.is_h2;
        conn.told = greeted.told;
        let conn = Arc::new(conn);
        conn.keep(server.common.keepalive_timeout_ms);
        let mut down = Downstream::new(greeted.io, Arc::clone(&conn));
        if let Some(short) = self.short.as_ref().filter(|_| !conn.is_h2) {
            let served = self.by_short(short, down, &conn, header_timeout, &shutdown);
            match served.await {
                Some(rest) => down = rest,
                None => return,
            }
        }
        let stream: Stream = Box::new(down);
        if conn.is_h2 {
            conn.request_done();
            self.proxy.process_new(stream, &shutdown).await;
            return;
        }
        let mut session = self.session(stream, &conn);
        session.set_keepalive(Some(
            server.common.keepalive_timeout_ms.div_ceil(1000).max(1),
        ));
        loop {
            let Some(next) = self.one(session, &conn, header_timeout, &shutdown).await else {
                return;
            };
            let (stream, settings) = next.consume();
            session = ServerSession::new_http1(stream);
            if let Some(settings) = settings {
                settings.apply_to_session(&mut session);
            }
            self.introduce(&mut session, &conn);
        }
    }

    /// Request after request by the short way, or by Pingora where that does not do. What is left
    /// is a connection that is Pingora's for good, with a request on it.
    async fn by_short(
        &self,
        short: &Short,
        mut down: Downstream,
        conn: &Arc<Conn>,
        header_timeout: Duration,
        shutdown: &ShutdownWatch,
    ) -> Option<Downstream> {
        loop {
            match short.run(&mut down, conn, header_timeout, shutdown).await {
                Next::End => return None,
                Next::Pingora { back: false, .. } => return Some(down),
                Next::Pingora { failed, .. } => conn.leave_failed(failed),
            }
            let mut session = self.session(Box::new(down), conn);
            // What the location says of it is set when that is known.
            session.set_keepalive(Some(1));
            let next = self.one(session, conn, header_timeout, shutdown).await?;
            let (stream, _) = next.consume();
            down = *stream.into_any().downcast::<Downstream>().ok()?;
            down.take_back();
            if !down.ahead().is_empty() {
                conn.header_began(down.ahead().len());
            }
        }
    }

    /// One request, cut off if its header takes too long.
    async fn one(
        &self,
        session: ServerSession,
        conn: &Conn,
        header_timeout: Duration,
        shutdown: &ShutdownWatch,
    ) -> Option<pingora::apps::ReusedHttpStream> {
        let mut request = self.proxy.process_new_http(session, shutdown);
        loop {
            match conn.deadline(header_timeout) {
                Deadline::Passed => {
                    tracing::info!(client = %conn.remote_text, "client timed out");
                    return None;
                }
                Deadline::At(end) => {
                    if let Ok(next) = tokio::time::timeout_at(end, &mut request).await {
                        return next;
                    }
                }
            }
        }
    }

    fn session(&self, stream: Stream, conn: &Arc<Conn>) -> ServerSession {
        let mut session = ServerSession::new_http1(stream);
        self.introduce(&mut session, conn);
        session
    }

    fn introduce(&self, session: &mut ServerSession, conn: &Arc<Conn>) {
        // Else bytes of a next request that come early would end this one.
        session.set_pipelining_enabled(true);
        session.set_connection_user_context(Some(Box::new(Arc::clone(conn))));
    }
}

impl Endpoint {
    /// The addresses to bind. One that a wildcard of its port covers is served by that socket.
    pub(crate) fn plan(http: &Http) -> Vec<Self> {
        let mut order: Vec<(Listen, Vec<(usize, bool)>)> = Vec::new();
        let mut places: HashMap<Addr, usize> = HashMap::new();
        for (index, server) in http.servers.iter().enumerate() {
            for listen in &server.listens {
                let user = (index, listen.default_server);
                match places
                    .get(&listen.addr)
                    .filter(|_| !is_port_zero(&listen.addr))
                {
                    Some(place) => {
                        if let Some((first, users)) = order.get_mut(*place) {
                            users.push(user);
                            first.ssl |= listen.ssl;
                            first.http2 |= server.http2;
                            first.proxy_protocol |= listen.proxy_protocol;
                        }
                    }
                    None => {
                        places.insert(listen.addr.clone(), order.len());
                        let http2 = server.http2;
                        let listen = Listen {
                            http2,
                            ..listen.clone()
                        };
                        order.push((listen, vec![user]));
                    }
                }
            }
        }
        let named = |users: &[(usize, bool)]| {
            let server = |index: usize| http.servers.get(index).map(|s: &Server| (index, s));
            let all = users.iter().filter_map(|(index, default)| {
                server(*index).map(|(index, server)| (index, server, *default))
            });
            Arc::new(Hosts::new(all))
        };
        let (covered, bound): (Vec<_>, Vec<_>) = order
            .iter()
            .partition(|(listen, _)| order.iter().any(|(other, _)| covers(other, listen)));
        bound
            .into_iter()
            .map(|(listen, users)| {
                let mut hosts = vec![(listen.clone(), named(users))];
                for (inner, users) in &covered {
                    if covers(listen, inner) {
                        hosts.push((inner.clone(), named(users)));
                    }
                }
                Self {
                    listen: listen.clone(),
                    hosts,
                }
            })
            .collect()
    }

    fn hosts_for(&self, local: Option<std::net::SocketAddr>) -> Option<(&Listen, Arc<Hosts>)> {
        let local = local.map(Addr::Inet);
        let exact = self
            .hosts
            .iter()
            .find(|(listen, _)| Some(&listen.addr) == local.as_ref());
        // `plan` puts the socket's own first.
        let (listen, hosts) = exact.or_else(|| self.hosts.first())?;
        Some((listen, Arc::clone(hosts)))
    }
}

/// Whether a socket on `outer` gets the connections to `inner`.
fn covers(outer: &Listen, inner: &Listen) -> bool {
    let (Addr::Inet(wide), Addr::Inet(narrow)) = (&outer.addr, &inner.addr) else {
        return false;
    };
    wide.ip().is_unspecified()
        && !narrow.ip().is_unspecified()
        && wide.port() == narrow.port()
        && wide.port() != 0
        && (wide.is_ipv4() == narrow.is_ipv4() || (wide.is_ipv6() && !outer.ipv6only))
}

fn is_port_zero(addr: &Addr) -> bool {
    matches!(addr, Addr::Inet(addr) if addr.port() == 0)
}

/// nginx's defaults, for a request that no server was found for.
fn fallback() -> Common {
    Common {
        client_max_body_bytes: 1 << 20,
        client_body_timeout_ms: 60_000,
        send_timeout_ms: 60_000,
        keepalive_timeout_ms: 75_000,
        keepalive_requests: 1000,
        add_headers: Vec::new(),
        default_type: "text/plain".to_owned(),
        access_log: true,
        web: weir_conf::nginx::model::web::Web::default(),
        access_logs: Vec::new(),
        body_temp_path: None,
        guard: weir_conf::nginx::model::guard::Guard::default(),
        gzip: weir_conf::nginx::model::gzip::Gzip::default(),
    }
}
