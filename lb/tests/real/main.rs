//! The balancer over real sockets: small upstreams that do what they are told, raw clients that
//! send what they like. One file a subject.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail the test"
)]

mod auth;
mod bad_clients;
mod balancing;
mod bodies;
mod caching;
mod certs;
mod ends;
mod express;
mod failover;
mod guard;
mod gzip;
mod health;
mod held;
mod http;
mod nodes;
mod outliers;
mod passing;
mod preread;
mod reload;
mod resolve;
mod rewriting;
mod sessions;
mod smuggling;
mod stale;
mod tcp;
mod tls;
mod tools;
mod udp;
mod upgrade;
mod upstreams;
