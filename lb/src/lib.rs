//! The load balancer: nginx's configuration, run on Pingora.
//!
//! Why Pingora under our own accept loop: Pingora parses and proxies HTTP, but listeners that
//! come and go at a reload, a deadline on slow request headers, and plain TCP are ours to have.
//! Why nginx's words everywhere: whoever runs this had nginx before.
//!
//! The way of a connection: [`Bound::run`] accepts it, counts it against
//! [`LbOptions::connections_max`], and hands it to the HTTP server loop (Pingora's proxy with our
//! routing, balancing and retries) or to the TCP one. Upstream peers are chosen by the pure
//! [`balance`], under one short lock, and are put out and in by failed requests and by active
//! checks; where the configuration says `cluster`, they come and go with the cluster's nodes.
//!
//! Limits: connections, header size and time, body size, tries: each from the configuration or
//! [`LbOptions`]. Failures: [`LbError`] at start; later ones are logged as nginx words them and
//! answered with a status.

mod access_log;
pub mod balance;
mod error;
mod generation;
mod group;
mod health;
mod http;
mod inherited;
mod io;
mod l4;
mod limits;
mod listen;
mod members;
mod metrics;
mod owners;
mod proxy_protocol;
mod resolve;
mod run;
mod shared_vars;
mod tls;

pub use access_log::{AccessLogWriter, AccessLogs};
pub use error::LbError;
pub use owners::StreamOwners;
pub use run::{Bound, Lb, LbOptions, Running};
pub use tls::library as tls_library;
