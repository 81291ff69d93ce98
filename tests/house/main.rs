//! The whole house, from outside: the real `weir` binary, real encoders, real clients.
//!
//! Every test starts its own process on ports the system chose and a directory of its own, waits
//! for conditions with a deadline, and ends only what it started.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub,
    reason = "a test fails by panicking, in its helpers too"
)]

mod ams_page;
mod behind;
mod browser;
mod cluster;
mod faults;
mod fed;
mod ingest;
mod load;
mod load_soak;
mod mongo_layout;
mod nginx;
mod origins;
mod recordings;
mod rest_nodes;
mod settings;
mod shared_store;
mod shipped_lb;
mod spine;
mod startup;
mod support;
