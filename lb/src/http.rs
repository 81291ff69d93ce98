//! HTTP: from a client's connection to an upstream's answer.
//!
//! `conn` and `serve` run a connection (deadline on headers, keep-alive) around Pingora's proxy;
//! `machine` takes a request through nginx's phases: `route` and `uri` choose server and location,
//! `script` rewrites, `access` lets in, `files` finds files, `flow` is where the request stands and
//! `vars` works out values with variables; `proxy` is Pingora's set of hooks, with `request`, `upstream` and `failure` for
//! what they do, and `reply` and `answer` for the answers the balancer gives itself.

mod access;
mod answer;
mod apr1;
mod conn;
mod failure;
mod files;
mod flow;
mod machine;
mod proxy;
mod reply;
mod request;
mod route;
mod script;
mod serve;
mod site;
mod stub;
mod upstream;
mod uri;
mod vars;

pub(crate) use serve::{Endpoint, Front};
