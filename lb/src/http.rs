//! HTTP: from a client's connection to an upstream's answer.
//!
//! `conn` and `serve` run a connection (deadline on headers, keep-alive) around Pingora's proxy;
//! `route` and `uri` choose server and location as nginx does; `vars` works out values with
//! variables; `proxy` is Pingora's set of hooks, with `request`, `upstream`, `rewritten` and `failure`
//! for what they do, `target` and `tries` for where a request goes, `choice` for what a request says of its peer, and `reply` for the answers the balancer gives itself.

mod choice;
mod conn;
mod failure;
mod logged;
mod proxy;
mod reply;
mod request;
mod rewritten;
mod route;
mod serve;
mod site;
mod target;
mod tries;
mod upstream;
mod uri;
mod vars;

pub(crate) use serve::{Endpoint, Front};
