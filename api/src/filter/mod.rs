//! Who may ask: Ant Media's IP filter, its JWT control of applications, and the door of the management REST.
//!
//! **Applications** (`/{app}/rest/…`): the client's address must be in the application's `remoteAllowedCIDR` (403
//! `Not allowed IP`), and with `jwtControlEnabled` a token is wanted in `Authorization` (403 `Invalid App JWT
//! Token`). An application that does not exist is guarded like one with default settings, so that nobody outside
//! learns which exist.
//!
//! **Management** (`/rest/…`): the client's address must be in `server.allowed_dashboard_CIDR`; then a session or,
//! with `server.jwtServerControlEnabled`, a token in `ProxyAuthorization` is wanted. What each user may do is
//! decided in [`crate::management::access`].
//!
//! A valid node-to-node token (`ClusterAuthorization`) passes in applications, whatever the address, as in Ant
//! Media; in the management from this machine and from nodes' addresses alone, so that one that was overheard on
//! its way is of no use to whoever heard it. The client is judged, not who stands
//! before us: see [`client`]. A request without a known peer is nobody's and is refused.

pub(crate) mod cidr;
mod client;
mod jwks;
pub(crate) mod jwt;
mod nodes;

pub use cidr::CidrList;
pub(crate) use cidr::ReadOnce;
pub(crate) use jwks::{KeySets, check_url};
pub(crate) use nodes::NodeAddresses;

use crate::error::ApiError;
use crate::management::access::{self, Caller, Need};
use crate::management::panel::FromPanel;
use crate::state::Shared;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{MatchedPath, RawPathParams, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use std::net::IpAddr;
use std::sync::Arc;

/// The address that a request came from; whoever serves the router puts it into the request's extensions.
/// A unix socket's peer is this machine.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// Header of node-to-node calls.
const CLUSTER_AUTHORIZATION: &str = "clusterauthorization";
/// Header of management tokens.
const PROXY_AUTHORIZATION: &str = "proxyauthorization";

/// Why somebody may not; told as plain text, in Ant Media's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Address,
    AppToken,
    ServerToken,
    NoSession,
    NotPermitted,
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let words = match self {
            Self::Address => "Not allowed IP",
            Self::AppToken => "Invalid App JWT Token",
            Self::ServerToken => "Invalid Server JWT Token",
            Self::NoSession => "Not authenticated user",
            Self::NotPermitted => "Not allowed to access this resource. Contact system admin",
        };
        (StatusCode::FORBIDDEN, words).into_response()
    }
}

/// Guards REST of an application.
pub(crate) async fn of_app(
    State(shared): State<Arc<Shared>>,
    params: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
    next: Next,
) -> Response {
    let params = match params {
        Ok(params) => params,
        Err(fault) => return ApiError::Invalid(fault.body_text()).into_response(),
    };
    let app = params.iter().find(|(name, _)| *name == "app");
    let app = app.map_or("", |(_, app)| app);
    let (head, body) = request.into_parts();
    match shared.may_use_app(app, &head).await {
        Ok(()) => next.run(Request::from_parts(head, body)).await,
        Err(refused) => refused.into_response(),
    }
}

/// Guards REST of the server.
pub(crate) async fn of_server(
    State(shared): State<Arc<Shared>>,
    params: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
    next: Next,
) -> Response {
    let params = match params {
        Ok(params) => params,
        Err(fault) => return ApiError::Invalid(fault.body_text()).into_response(),
    };
    let (mut head, body) = request.into_parts();
    let matched = head.extensions.get::<MatchedPath>();
    let matched = matched.map_or("", MatchedPath::as_str);
    let app = params.iter().find(|(name, _)| *name == "name");
    let need = access::need(&head.method, matched, app.map(|(_, app)| app));
    match shared.may_manage(&need, &head).await {
        Ok(caller) => {
            head.extensions.insert(caller);
            next.run(Request::from_parts(head, body)).await
        }
        Err(response) => *response,
    }
}

impl Shared {
    /// Whether the caller may use the REST of `app`.
    pub(crate) async fn may_use_app(&self, app: &str, head: &Parts) -> Result<(), Refused> {
        if head.extensions.get::<FromPanel>().is_some() || self.is_from_node(&head.headers) {
            return Ok(());
        }
        let security = self.given.management.apps.security(app);
        let security = security.unwrap_or_default();
        if security.ip_filter_enabled {
            let allowed = self.networks.get(&security.remote_allowed_cidr);
            let client = self.client(head).await.ok_or(Refused::Address)?;
            if !allowed.contains(client) {
                return Err(Refused::Address);
            }
        }
        if security.jwt_control_enabled {
            let token = text(&head.headers, header::AUTHORIZATION.as_str());
            let (url, secret) = (&security.jwks_url, &security.jwt_secret_key);
            if !self.is_right(token, url, secret).await {
                return Err(Refused::AppToken);
            }
        }
        Ok(())
    }

    async fn may_manage(&self, need: &Need, head: &Parts) -> Result<Caller, Box<Response>> {
        let refuse = |refused: Refused| Box::new(refused.into_response());
        if *need == Need::Nothing {
            return Ok(Caller::Nobody);
        }
        let options = &self.given.management.options;
        let client = self.client(head).await;
        if self.is_from_node(&head.headers) && self.is_ours(client).await {
            return Ok(Caller::Node);
        }
        if !client.is_some_and(|client| options.allowed_dashboard_cidr.contains(client)) {
            return Err(refuse(Refused::Address));
        }
        if *need == Need::Address {
            return Ok(Caller::Nobody);
        }
        let token = text(&head.headers, PROXY_AUTHORIZATION);
        if let Some(secret) = &options.jwt_secret
            && !token.is_empty()
        {
            let right = self.is_right(token, &options.jwks_url, secret.expose());
            return if right.await {
                Ok(Caller::Token)
            } else {
                Err(refuse(Refused::ServerToken))
            };
        }
        let sessions = &self.people.sessions;
        let user = sessions.user(&head.headers, self.now_ms()).await;
        let user = user.map_err(|error: ApiError| Box::new(error.into_response()))?;
        let Some(user) = user else {
            let refused = match options.jwt_secret {
                Some(_) => Refused::ServerToken,
                None => Refused::NoSession,
            };
            return Err(refuse(refused));
        };
        if !access::may(&user, need) || access::is_forged(&head.method, need, &head.headers) {
            return Err(refuse(Refused::NotPermitted));
        }
        Ok(Caller::User(Arc::new(user)))
    }

    /// Whether a token is right: by the key set at `url` when there is one, else by `secret`.
    async fn is_right(&self, token: &str, url: &str, secret: &str) -> bool {
        if url.is_empty() {
            jwt::is_valid(token, secret, self.now_ms())
        } else {
            self.key_sets.is_valid(token, url, self.now_ms()).await
        }
    }

    /// The client's address; `None` when nobody knows it.
    pub(crate) async fn client(&self, head: &Parts) -> Option<IpAddr> {
        let Peer(peer) = head.extensions.get::<Peer>()?;
        let nodes = if client::is_forwarded(&head.headers) {
            self.nodes.get().await
        } else {
            Arc::default()
        };
        let proxies = &self.given.management.options.trusted_proxies;
        let trusted = |ip: IpAddr| ip.is_loopback() || nodes.contains(&ip) || proxies.contains(ip);
        client::client(*peer, &head.headers, trusted)
    }

    /// Whether an address is this machine's or a node's.
    async fn is_ours(&self, client: Option<IpAddr>) -> bool {
        match client {
            Some(ip) => ip.is_loopback() || self.nodes.get().await.contains(&ip),
            None => false,
        }
    }

    pub(crate) fn is_from_node(&self, headers: &HeaderMap) -> bool {
        let token = text(headers, CLUSTER_AUTHORIZATION);
        !token.is_empty() && self.given.management.cluster.is_node(token, self.now_ms())
    }
}

/// A header's value, empty when there is none.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default()
}
