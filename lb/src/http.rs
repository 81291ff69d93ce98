//! HTTP: from a client's connection to an upstream's answer.
//!
//! `conn` and `serve` run a connection (deadline on headers, keep-alive) around Pingora's proxy;
//! `greet` is what comes before (PROXY header, TLS, HTTP/2), `secure` puts TLS on upstreams;
//! `route` and `uri` choose server and location as nginx does; `vars` works out values with
//! variables; `proxy` is Pingora's set of hooks, with `request`, `upstream` and `failure` for
//! what they do, and `reply` for the answers the balancer gives itself.

mod conn;
mod failure;
mod greet;
mod log;
mod proxy;
mod reply;
mod request;
mod route;
mod secure;
mod serve;
mod site;
mod upstream;
mod uri;
mod vars;

pub(crate) use serve::{Endpoint, Front};
