//! HTTP: from a client's connection to an upstream's answer.
//!
//! `conn` and `serve` run a connection (deadline on headers, keep-alive) around Pingora's proxy;
//! `greet` is what comes before (PROXY header, TLS, HTTP/2), `secure` puts TLS on upstreams;
//! `machine` takes a request through nginx's phases: `route` and `uri` choose server and location,
//! `script` rewrites, `access` lets in, `files` finds files, `flow` is where the request stands and
//! `vars` works out values with variables; `proxy` is Pingora's set of hooks, with `request`,
//! `upstream`, `rewritten` and `failure` for what they do; `target`, `choice` and `tries` say where
//! a request goes, `cached` keeps upstreams' answers, `reply` and `answer` are the answers the
//! balancer gives itself. `express` is the short way of plain requests, which meets none of these
//! unless something goes wrong.

mod absolute;
mod accel;
mod access;
mod answer;
mod apr1;
mod body;
mod cached;
mod choice;
mod conn;
mod cookies;
mod ctx;
mod downstream;
mod express;
mod failure;
mod files;
mod flow;
mod greet;
mod gzip;
mod handed;
mod host;
mod inner;
mod keep;
mod limits;
mod log;
mod logged;
mod machine;
mod pace;
mod proxy;
mod real_ip;
mod replay;
mod reply;
mod request;
mod rewritten;
mod route;
mod said;
mod script;
mod secure;
mod serve;
mod site;
mod sound;
mod stub;
mod target;
mod tries;
mod upstream;
mod uri;
mod vars;

pub(crate) use express::Pool;
pub(crate) use route::Hosts;
pub(crate) use serve::{Endpoint, Front};
